//! The search for programs on made-up folders, and a real server where there is one.

use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use super::account::{Account, unprivileged};
use super::{Throwaway, binaries};

#[test]
fn the_newest_version_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["9.6", "15", "17", "not-a-version", "postgresql@16"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let found: Vec<String> = binaries::versions(folder.path())
        .iter()
        .map(|path| path.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(found, ["17", "postgresql@16", "15", "9.6"]);
}

#[test]
fn a_folder_without_all_programs_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("initdb"), "").unwrap();
    assert!(!binaries::is_complete(folder.path()));
}

#[test]
fn root_steps_down_to_postgres_else_to_nobody() {
    let nobody = "root:x:0:0::/:/bin/sh\nnobody:x:65534:65533::/:/bin/false\n";
    assert_eq!(unprivileged(nobody), Some(Account::Other { uid: 65534, gid: 65533 }));
    let both = format!("{nobody}postgres:x:101:104::/:/bin/bash\n");
    assert_eq!(unprivileged(&both), Some(Account::Other { uid: 101, gid: 104 }));
    assert_eq!(unprivileged("root:x:0:0::/:/bin/sh\n"), None);
}

#[test]
fn a_server_answers_until_it_is_dropped_and_leaves_nothing() {
    let Some(bin) = binaries::find() else {
        assert!(std::env::var_os("LOOM_TEST_REQUIRE_ALL").is_none(), "no PostgreSQL programs found");
        println!("skipped: no PostgreSQL programs found");
        return;
    };
    let running = Throwaway::start(&bin).unwrap();
    let address = ("127.0.0.1", running.server.port);
    let folder = running.server.place.folder.clone();
    assert!(running.url().contains(&address.1.to_string()));
    TcpStream::connect(address).unwrap();
    let mut running = running;
    running.crash(Duration::ZERO).unwrap();
    TcpStream::connect(address).expect("it is there again, at the same address");
    drop(running);
    assert!(TcpStream::connect(address).is_err());
    assert!(!Path::new(&folder).exists());
}
