//! The data directory: whose it is, and who may read it.

use loom_store::Error;
use loom_store_sqlite::{Options, SqliteStore};
use sqlx::Connection as _;

use crate::support::Home;

async fn refusal(options: Options) -> Error {
    match SqliteStore::open(options).await {
        Ok(_) => panic!("the store opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_second_store_on_the_directory_is_refused_and_told_who_has_it() {
    let home = Home::new();
    // Opening can be spawned, whatever sqlx's futures borrow.
    let first =
        tokio::spawn(SqliteStore::open(home.options())).await.expect("no one panics").expect("it opens");
    let error = refusal(home.options()).await;
    let Error::Locked { holder, directory } = &error else { panic!("{error}") };
    assert_eq!(*holder, format!("process {}, running since 2026-01-01T00:00:00.000000Z", std::process::id()));
    assert_eq!(*directory, home.directory().display().to_string());
    first.stores().health.status().await.expect("the first goes on");
    first.close().await;
    home.open().await.close().await;
}

#[tokio::test]
async fn a_database_elsewhere_is_locked_too() {
    let (one, two) = (Home::new(), Home::new());
    let database = Some(one.directory().join("elsewhere/x.db"));
    let first =
        SqliteStore::open(Options { database: database.clone(), ..one.options() }).await.expect("it opens");
    assert!(first.path().is_file());
    let error = refusal(Options { database: database.clone(), ..two.options() }).await;
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    first.close().await;
    SqliteStore::open(Options { database, ..two.options() }).await.expect("it opens").close().await;
}

#[tokio::test]
async fn a_database_of_a_newer_loom_is_refused_and_left_alone() {
    for newer in [
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'later', 1, x'00', 0)",
        "UPDATE meta SET value = 9999 WHERE key = 'min_binary'",
    ] {
        let home = Home::new();
        home.open().await.close().await;
        let mut stranger = home.stranger().await;
        sqlx::query(newer).execute(&mut stranger).await.expect("the table is there");
        stranger.close().await.expect("it closes");
        let error = refusal(home.options()).await;
        assert!(matches!(error, Error::TooNew { found: 9999, known: 1..9999 }), "{error}");
        let again = refusal(home.options()).await;
        assert!(matches!(again, Error::TooNew { .. }), "the refusal frees the directory: {again}");
    }
}

#[tokio::test]
async fn what_is_not_a_database_is_an_error_and_is_left_alone() {
    let home = Home::new();
    std::fs::create_dir_all(home.directory()).expect("the folder can be made");
    let path = home.directory().join("loom.db");
    let text = "not a database ".repeat(500);
    std::fs::write(&path, &text).expect("the file can be written");
    let error = refusal(home.options()).await;
    assert!(matches!(error, Error::Corrupt { .. }) && error.to_string().contains("loom.db"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).expect("the file is there"), text);
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_left_alone() {
    let home = Home::new();
    let path = home.directory().join("loom.db");
    std::fs::create_dir_all(home.directory()).expect("the folder can be made");
    std::fs::File::create(&path).expect("the file can be made");
    let mut stranger = home.stranger().await;
    sqlx::query("CREATE TABLE sessions (id TEXT)").execute(&mut stranger).await.expect("it can be written");
    stranger.close().await.expect("it closes");
    let before = std::fs::read(&path).expect("the file is there");
    let error = refusal(home.options()).await;
    assert!(matches!(error, Error::Foreign { .. }) && error.to_string().contains("loom.db"), "{error}");
    assert_eq!(std::fs::read(&path).expect("the file is there"), before);
}

#[tokio::test]
async fn a_store_that_was_only_just_made_is_ours() {
    let home = Home::new();
    let store = home.open().await;
    // What a kill leaves: the tables are in the log only.
    let copy = Home::new();
    std::fs::create_dir_all(copy.directory()).expect("the folder can be made");
    for file in ["loom.db", "loom.db-wal", "spans.db", "spans.db-wal"] {
        std::fs::copy(home.directory().join(file), copy.directory().join(file)).expect("it can be copied");
    }
    store.close().await;
    copy.open().await.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_what_is_stored() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    let store = home.open().await;
    crate::support::open_session(&store.stores(), "s").await;
    store.stores().spans.append(Vec::new()).await.expect("spans are stored");
    let mode = |path| std::fs::metadata(path).map(|file| file.permissions().mode() & 0o777);
    assert_eq!(mode(home.directory()).expect("the folder is there"), 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(home.directory()).expect("the folder is there") {
        let entry = entry.expect("the folder can be read");
        assert_eq!(mode(entry.path()).expect("the file is there"), 0o600, "{:?}", entry.path());
        names.push(entry.file_name().into_string().expect("names are text"));
    }
    names.sort();
    for expected in ["loom.db", "loom.db-wal", "loom.lock", "spans.db"] {
        assert!(names.iter().any(|name| name == expected), "{expected} is not among {names:?}");
    }
}
