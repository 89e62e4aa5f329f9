//! Disks that are full or read-only and a database that cannot be reached: what clients are told, that nothing acknowledged is
//! lost, and that the server recovers by itself.

use std::path::PathBuf;
use std::process::Command;

use loom_testkit::{Mode, PostgresSchema, Proxy};
use serde_json::{Value, json};

use crate::home::Home;
use crate::http::Answer;
use crate::serving::{Serving, until};

const ECHO: &str = "default: { text: '{{user}}' }";

/// A small disk of its own under a folder; gone with this.
struct Disk(PathBuf);

impl Disk {
    /// `None` where it may not be mounted, which takes root.
    #[expect(clippy::print_stdout, reason = "a test says aloud that it is skipped")]
    fn mount(folder: PathBuf) -> Option<Self> {
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"]).arg(&folder).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self(folder));
        }
        println!("skipped: a disk of its own cannot be mounted here; that takes root on Linux");
        None
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        let done = Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap();
        assert!(done.success(), "it cannot be made {how}");
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut filler = std::fs::File::create(self.filler()).unwrap();
        while std::io::Write::write_all(&mut filler, &[1; 4_096]).is_ok() {}
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever still has a file open on it keeps it until then.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

async fn ask(server: &Serving, query: &str) -> Answer {
    server.http.post("/v1/weave", json!({ "query": query, "sessionId": "s" })).await
}

/// The answer is that the store cannot be used, as what may be tried again.
#[track_caller]
fn is_unavailable(answer: Answer) {
    let (status, problem) = answer.problem();
    assert_eq!((status, &problem["code"]), (503, &json!("LOOM_STORE_UNAVAILABLE")), "{problem}");
}

/// Readiness says what the store is.
async fn until_ready(server: &Serving, status: u16) {
    until("readiness follows the store", async || {
        (server.http.get("/readyz").await.status == status).then_some(())
    })
    .await;
}

/// What the user said in the session, in order.
async fn said(server: &Serving) -> Vec<String> {
    let history = server.http.get("/v1/sessions/s/history").await.ok();
    let messages = history["messages"].as_array().unwrap().iter();
    let of_users = messages.filter(|message| message["role"] == "user");
    of_users.map(|message| message["content"].as_str().unwrap().chars().take(12).collect()).collect()
}

#[tokio::test]
async fn a_full_disk_is_told_and_recovered_from_without_a_restart() {
    let home = Home::playing(ECHO);
    let Some(disk) = Disk::mount(home.path("data")) else { return };
    let server = Serving::start(home).await;
    let mut acknowledged = vec!["before".to_owned()];
    assert_eq!(ask(&server, "before").await.ok()["text"], "before");
    disk.fill();
    // The log of the database may have some room left.
    let large = "x".repeat(100_000);
    let mut number = 0;
    let refused = loop {
        let query = format!("number {number:04} {large}");
        let answer = ask(&server, &query).await;
        if answer.status != 200 {
            break answer;
        }
        acknowledged.push(query.chars().take(12).collect());
        number += 1;
        assert!(number < 100, "it is never full");
    };
    is_unavailable(refused);
    until_ready(&server, 503).await;
    assert_eq!(said(&server).await, acknowledged, "reading goes on");

    std::fs::remove_file(disk.filler()).unwrap();
    until_ready(&server, 200).await;
    assert_eq!(ask(&server, "after").await.ok()["text"], "after");
    acknowledged.push("after".to_owned());
    assert_eq!(said(&server).await, acknowledged);
    let sound = server.run(["db", "verify", "--online"]).await.worked();
    assert!(sound.ends_with(": 0 wrong\n"), "{sound}");
    server.stop().await;
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_is_refused_and_harms_nothing() {
    let home = Home::playing(ECHO);
    let Some(disk) = Disk::mount(home.path("data")) else { return };
    let server = Serving::start(home).await;
    assert_eq!(ask(&server, "before").await.ok()["text"], "before");
    let (home, _) = server.stop().await;
    disk.remount("ro");
    let refused = Serving::does_not_start(&home).await;
    assert!(refused.code != 0 && refused.err.contains("LOOM_STORE_UNAVAILABLE"), "{}", refused.err);
    disk.remount("rw");
    let server = Serving::start(home).await;
    assert_eq!(said(&server).await, ["before"]);
    assert_eq!(ask(&server, "after").await.ok()["text"], "after");
    server.stop().await;
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_told_and_recovered_from_without_a_restart() {
    let test = |schema: PostgresSchema| async move {
        let proxy = Proxy::before(schema.address().unwrap()).await.unwrap();
        let mut home = Home::playing(ECHO);
        home.configure_also("storage: { backend: postgres, lease_seconds: 2 }");
        home.set("DATABASE_URL", &schema.url_at(proxy.address()).unwrap());
        let server = Serving::start(home).await;
        assert_eq!(ask(&server, "before").await.ok()["text"], "before");
        proxy.set(Mode::Down);
        is_unavailable(ask(&server, "meanwhile").await);
        until_ready(&server, 503).await;
        proxy.set(Mode::Pass);
        until_ready(&server, 200).await;
        // While it was silent its hold on the session may have ended, and it takes it again.
        let answer: Value = until("the session goes on", async || {
            let answer = ask(&server, "after").await;
            (answer.status == 200).then(|| answer.json())
        })
        .await;
        assert_eq!(answer["text"], "after");
        let said = said(&server).await;
        assert_eq!(
            (&said[0], &said[said.len() - 1]),
            (&"before".to_owned(), &"after".to_owned()),
            "{said:?}"
        );
        server.stop().await;
    };
    PostgresSchema::lend("looms", test).await.unwrap();
}
