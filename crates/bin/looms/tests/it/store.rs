//! Looking after the store: checking, copying, putting back, clearing; with a server and without one.

use std::path::PathBuf;

use loom_testkit::{PostgresSchema, tamper};
use serde_json::{Value, json};

use crate::doors::Door;
use crate::home::Home;
use crate::serving::{Serving, until};
use crate::shop::make_database;

const SCRIPT: &str = "
rules:
  - { when: { contains: sleep }, reply: { text: late, latency_ms: 600000 } }
  - { when: { contains: tables }, reply: { tool_calls: [{ name: list_tables }] } }
  - { when: { contains: tables, after_tool: '*' }, reply: { text: counted } }
default: { text: '{{user}}' }
";

async fn home() -> Home {
    let home = Home::playing(SCRIPT);
    make_database(&home.path("shop.db")).await;
    home.write("backends/shop.yaml", "type: sqlite\nconnection: { path: ../shop.db }\n");
    home.write(
        "agents/tester.yaml",
        "apiVersion: loom/v1\nkind: Agent\nmetadata: { name: tester }\nspec: { backends: [shop], config: { patterns: { enabled: false } } }\n",
    );
    home
}

/// The answer of an offline `db` command that must work.
async fn db<const N: usize>(home: &Home, arguments: [&str; N]) -> Value {
    let mut command = home.command(["db", "--json", "--config", "looms.yaml"]);
    let output = command.args(arguments).output().await.unwrap();
    let said = crate::home::Said::of(&output);
    serde_json::from_str(&said.worked()).unwrap()
}

/// What an offline `db` command says that must end with `code`: first its answer, then its error.
async fn db_fails<const N: usize>(home: &Home, arguments: [&str; N], code: i32) -> (String, String) {
    let output = home.command(["db", "--config", "looms.yaml"]).args(arguments).output().await.unwrap();
    let said = crate::home::Said::of(&output);
    let out = said.out.clone();
    (out, said.failed(code))
}

fn replaced(home: &Home) -> Vec<PathBuf> {
    let files = std::fs::read_dir(home.path("data")).unwrap().map(|file| file.unwrap().path());
    files.filter(|file| file.display().to_string().contains(".replaced-")).collect()
}

#[tokio::test]
async fn a_backup_made_while_turns_run_is_whole_and_can_be_put_back() {
    let server = Serving::start(home().await).await;
    let before = server.ask("how many tables").await["sessionId"].clone();
    let mut running =
        server.http.stream("/v1/chat:stream", json!({ "query": "sleep", "sessionId": "long" })).await;
    running.next().await.unwrap();
    let asking =
        futures::future::join_all((0..8).map(|n| server.ask(if n % 2 == 0 { "tables" } else { "x" })));
    let backing_up = server.run(["db", "backup", "--online", "monday.db"]);
    let (_, said) = tokio::join!(asking, backing_up);
    assert!(said.worked().contains("monday.db"));
    let sound = server.run(["db", "verify", "--online"]).await.worked();
    assert!(sound.ends_with(": 0 wrong\n"), "{sound}");

    let again = server.run(["db", "backup", "--online", "monday.db"]).await.failed(5);
    assert!(again.contains("LOOM_BACKUP_EXISTS"), "{again}");
    let restore = server.run(["db", "restore", "--online", "monday.db"]).await.failed(5);
    assert!(restore.contains("while no server uses it"), "{restore}");
    let (_, locked) = db_fails(&server.home, ["verify"], 5).await;
    assert!(locked.contains("LOOM_DATA_DIR_LOCKED") && locked.contains(&server.id().to_string()), "{locked}");
    let (_, locked) = db_fails(&server.home, ["restore", "data/backups/monday.db"], 5).await;
    assert!(locked.contains("LOOM_DATA_DIR_LOCKED"), "{locked}");

    let after = server.ask("after the backup").await["sessionId"].clone();
    let home = server.kill().await;
    let old = db(&home, ["status"]).await;
    let restored = db(&home, ["restore", "data/backups/monday.db"]).await;
    assert_eq!(replaced(&home), [PathBuf::from(restored["replaced"].as_str().unwrap())]);
    let verified = db(&home, ["verify"]).await;
    assert_eq!(verified["violationCount"], "0", "{verified}");
    let now = db(&home, ["status"]).await;
    assert_eq!(now["kind"], old["kind"]);
    assert_ne!(now["unfinishedTurns"], "0", "the copy has the turn that ran");
    let kept = db(&home, ["status", "--db", restored["replaced"].as_str().unwrap()]).await;
    assert_eq!(kept["sessions"], old["sessions"], "what was there is kept whole");

    let server = Serving::start(home).await;
    let path = |session: &Value| format!("/v1/sessions/{}", session.as_str().unwrap());
    assert_eq!(server.http.get(&path(&before)).await.status, 200);
    assert_eq!(server.http.get(&path(&after)).await.status, 404);
    assert_eq!(server.ask("and on").await["text"], "and on");
}

#[tokio::test]
async fn what_was_tampered_with_is_found_and_named() {
    let server = Serving::start(home().await).await;
    let mut turns = Vec::new();
    for n in 0..6 {
        let answer = server.ask(&format!("tables {n}")).await;
        let name = |key: &str| answer[key].as_str().unwrap().to_owned();
        turns.push((name("sessionId"), name("turnId")));
    }
    let (home, _) = server.stop().await;
    assert_eq!(db(&home, ["verify"]).await["violationCount"], "0");
    let [one, two, three, four, five, _] = &turns[..] else { panic!("six turns") };
    let garbled = r#"'{"at": 1, "event": "no_such"}'"#;
    let statements = [
        format!("UPDATE turns SET output_tokens = output_tokens + 1 WHERE id = '{}'", one.1),
        format!("UPDATE turn_events SET event = {garbled} WHERE turn_id = '{}' AND seq = 1", two.1),
        format!("DELETE FROM messages WHERE session_id = '{}' AND seq = 2", three.0),
        format!(
            "UPDATE tool_calls SET args = '{{\"a\": 1}}', outcome = 'failed' WHERE turn_id = '{}'",
            four.1
        ),
        format!("UPDATE sessions SET cost = cost + 1 WHERE id = '{}'", five.0),
        "UPDATE meta SET value = 10000 WHERE key = 'fts_cursor'".to_owned(),
    ];
    tamper(&home.path("data/loom.db"), &statements).await.unwrap();
    let (found, error) = db_fails(&home, ["verify"], 1).await;
    for wanted in [
        format!("turn {}: output tokens is stored as", one.1),
        format!("session {}: output tokens are stored as", one.0),
        format!("event 1 of turn {}: does not decode: event: unknown variant `no_such`", two.1),
        format!("session {}: has message 3 where message 2 belongs", three.0),
        format!("session {}: its next message is number 4, and it has 3", three.0),
        format!("of turn {}: its arguments are not those of the journal's digest", four.1),
        format!("of turn {}: its outcome is stored as Failed, its journal makes it Succeeded", four.1),
        format!("session {}: cost is stored as", five.0),
        "the full-text index: its cursor is at 10000, and messages go to 24".to_owned(),
        "looked at 6 sessions, 6 turns, ".to_owned(),
    ] {
        assert!(found.contains(&wanted), "{wanted} is not in:\n{found}");
    }
    assert!(error.contains(" things in the store are wrong"), "{error}");
    assert!(!found.contains(&turns[5].0) && !found.contains(&turns[5].1), "{found}");
}

#[tokio::test]
async fn what_is_no_backup_of_ours_is_refused_and_changes_nothing() {
    let server = Serving::start(home().await).await;
    server.ask("x").await;
    let (home, _) = server.stop().await;
    db(&home, ["backup", "mine.db"]).await;
    db(&home, ["backup", "newer.db"]).await;
    let newer = "UPDATE meta SET value = 99 WHERE key = 'min_binary'".to_owned();
    tamper(&home.path("newer.db"), &[newer]).await.unwrap();
    home.write("text.db", "no database at all");
    home.write("empty.db", "");
    for (file, code, name) in [
        ("shop.db", 5, "LOOM_STORE_FOREIGN"),
        ("newer.db", 5, "LOOM_STORE_TOO_NEW"),
        ("text.db", 1, "LOOM_STORE_CORRUPT"),
        ("empty.db", 1, "LOOM_STORE_CORRUPT"),
        ("nothing.db", 4, "LOOM_BACKUP_NOT_FOUND"),
    ] {
        let (_, error) = db_fails(&home, ["restore", file], code).await;
        assert!(error.contains(name) && !error.contains(".restoring"), "{file}: {error}");
    }
    assert_eq!(replaced(&home), Vec::<PathBuf>::new());
    assert!(!home.path("data/loom.db.restoring").exists());
    assert_eq!(db(&home, ["status"]).await["sessions"], "1");
    let (_, error) = db_fails(&home, ["backup", "mine.db"], 5).await;
    assert!(error.contains("LOOM_BACKUP_EXISTS"), "{error}");
    let (_, error) = db_fails(&home, ["verify", "--db", "nowhere.db"], 1).await;
    assert!(error.contains("there is no store at"), "{error}");
    assert!(!home.path("nowhere.db").exists());
}

#[tokio::test]
async fn old_sessions_go_and_those_with_something_to_do_stay() {
    let server = Serving::start(home().await).await;
    let old = server.ask("how many tables").await["sessionId"].clone();
    let young = server.ask("young").await["sessionId"].clone();
    let _running =
        server.http.stream("/v1/chat:stream", json!({ "query": "sleep", "sessionId": "busy" })).await;
    until("the turn is accepted", async || {
        (server.http.get("/v1/turns").await.ok()["totalCount"] == 1).then_some(())
    })
    .await;
    let home = server.kill().await;
    let age =
        format!("UPDATE sessions SET last_active = 1 WHERE id IN ('busy', '{}')", old.as_str().unwrap());
    tamper(&home.path("data/loom.db"), &[age]).await.unwrap();

    let removed = db(&home, ["cleanup", "--older-than", "30"]).await;
    assert_eq!(removed, json!({ "sessions": "1", "turns": "1", "messages": "4" }));
    assert_eq!(db(&home, ["cleanup", "--older-than", "30"]).await["sessions"], "0");
    let shrunk = db(&home, ["vacuum"]).await;
    let bytes = |key: &str| shrunk[key].as_str().unwrap().parse::<u64>().unwrap();
    assert!(bytes("bytesAfter") <= bytes("bytesBefore"), "{shrunk}");
    assert_eq!(db(&home, ["verify"]).await["violationCount"], "0");

    let server = Serving::start(home).await;
    let left = server.http.get("/v1/sessions").await.ok();
    let mut ids: Vec<_> = left["sessions"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    ids.sort_by_key(ToString::to_string);
    let mut expected = vec![json!("busy"), young];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn the_store_is_looked_after_at_both_doors() {
    let server = Serving::start(home().await).await;
    server.ask("how many tables").await;
    for door in Door::both(&server).await {
        let facts = door.ok("DescribeStore", json!({})).await;
        assert_eq!(
            (&facts["sessions"], &facts["turns"], &facts["messages"]),
            (&json!("1"), &json!("1"), &json!("4"))
        );
        let verified = door.ok("VerifyStore", json!({})).await;
        assert_eq!((&verified["violationCount"], &verified["toolCalls"]), (&json!("0"), &json!("1")));
        let name = format!("{}.db", door.name());
        let copied = door.ok("BackUpStore", json!({ "name": name })).await;
        let path = server.home.path("data/backups").join(&name);
        assert!(copied["path"].as_str().unwrap().ends_with(&format!("data/backups/{name}")), "{copied}");
        assert_eq!(copied["bytes"], std::fs::metadata(&path).unwrap().len().to_string());
        assert_eq!(door.refused("BackUpStore", json!({ "name": name })).await, "LOOM_BACKUP_EXISTS");
        for name in ["", "../x.db", "/tmp/x.db", "a/b.db", ".."] {
            assert_eq!(door.refused("BackUpStore", json!({ "name": name })).await, "LOOM_INVALID_ARGUMENT");
        }
        door.ok("VacuumStore", json!({})).await;
        let removed = door.ok("CleanUpStore", json!({ "olderThanDays": 1 })).await;
        assert_eq!(removed["sessions"], "0");
        for days in [0, -1] {
            let request = json!({ "olderThanDays": days });
            assert_eq!(door.refused("CleanUpStore", request).await, "LOOM_INVALID_ARGUMENT");
        }
        let url = format!("http://{}", server.grpc);
        let told = server.home.run(["db", "status", "--server", &url]).await.worked();
        assert!(told.contains("SQLite"), "{told}");
    }
}

#[tokio::test]
async fn a_store_on_postgres_is_looked_after_but_for_what_it_does_itself() {
    let on_a_schema = |schema: PostgresSchema| async move {
        let mut home = home().await;
        home.configure_also("storage: { backend: postgres }");
        home.set("DATABASE_URL", &schema.url());
        let server = Serving::start(home).await;
        server.ask("how many tables").await;
        let sound = server.run(["db", "verify", "--online"]).await.worked();
        assert!(
            sound.starts_with("looked at 1 sessions, 1 turns, ") && sound.ends_with(": 0 wrong\n"),
            "{sound}"
        );
        for (command, instead) in [("backup", "pg_dump"), ("vacuum", "autovacuum")] {
            let mut line =
                server.home.command(["db", "--online", "--server", &format!("http://{}", server.grpc)]);
            line.arg(command).args((command == "backup").then_some("a.db"));
            let error = crate::home::Said::of(&line.output().await.unwrap()).failed(5);
            assert!(error.contains("LOOM_STORE_UNSUPPORTED") && error.contains(instead), "{error}");
        }
        let (_, error) = db_fails(&server.home, ["restore", "a.db"], 5).await;
        assert!(error.contains("LOOM_STORE_UNSUPPORTED") && error.contains("pg_restore"), "{error}");
        assert_eq!(db(&server.home, ["cleanup", "--older-than", "1"]).await["sessions"], "0");
        assert_eq!(db(&server.home, ["status"]).await["kind"], "STORAGE_BACKEND_TYPE_POSTGRES");
    };
    PostgresSchema::lend("looms", on_a_schema).await.unwrap();
}
