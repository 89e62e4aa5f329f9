//! All of a store, moved from one to another by `looms db export` and `import`.

use std::path::PathBuf;

use loom_testkit::PostgresSchema;
use serde_json::{Value, json};

use crate::home::Home;
use crate::serving::Serving;

/// Calls a tool, echoes, and says what no text column of PostgreSQL takes.
const SCRIPT: &str = r#"
rules:
  - when: { contains: odd }
    reply: { text: "\u0001 \u001a0 \u001a \u2028 🧶" }
  - when: { contains: tool }
    reply: { tool_calls: [{ name: search_patterns, arguments: { question: top } }] }
  - when: { contains: tool, after_tool: '*' }
    reply: { text: 'tools were used' }
default: { text: 'echo {{user}}' }
"#;

/// A server's home whose store is the SQLite file of its folder.
fn on_sqlite() -> Home {
    Home::playing(SCRIPT)
}

/// A server's home whose store is the database of `schema`.
fn on_postgres(schema: &PostgresSchema) -> Home {
    let mut home = Home::playing(SCRIPT);
    home.configure_also("storage: { backend: postgres, lease_seconds: 2 }");
    home.set("DATABASE_URL", &schema.url());
    home
}

/// A store with turns of several kinds in it.
async fn filled(home: Home) -> (Home, Value) {
    let server = Serving::start(home).await;
    let session = server.ask("one\u{0}two").await["sessionId"].clone();
    for query in ["odd", "use a tool", "last"] {
        let asked = json!({ "query": query, "sessionId": session });
        server.http.post("/v1/weave", asked).await.ok();
    }
    let metadata = json!({ "metadata": { "no\u{0}te": "\u{1a}1" }, "name": "n\u{0}\u{1a}" });
    server.http.post("/v1/sessions", metadata).await.ok();
    let (home, said) = server.stop().await;
    assert_eq!(said.code, 0, "{}", said.err);
    (home, session)
}

async fn export(home: &Home, name: &str) -> (PathBuf, Value) {
    let file = home.path(name);
    let path = file.to_str().unwrap();
    let said = home.run(["db", "export", path, "--config", "looms.yaml", "--json"]).await.worked();
    (file, serde_json::from_str(&said).unwrap())
}

async fn import(home: &Home, file: &std::path::Path) -> crate::home::Said {
    let path = file.to_str().unwrap();
    home.run(["db", "import", path, "--config", "looms.yaml", "--json"]).await
}

#[tokio::test]
async fn what_goes_from_sqlite_to_postgres_and_back_is_the_same_to_the_byte() {
    PostgresSchema::lend("looms", |schema| async move {
        let (first, session) = filled(on_sqlite()).await;
        let (file, told) = export(&first, "all.jsonl").await;
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(told["bytes"], text.len().to_string());

        let second = on_postgres(&schema);
        let imported: Value = serde_json::from_str(&import(&second, &file).await.worked()).unwrap();
        assert_eq!(imported["digest"], told["digest"]);
        assert_eq!(imported["rows"]["sessions"], "2");
        assert_eq!(imported["rows"]["turns"], "4");
        let again = import(&second, &file).await.failed(5);
        assert!(again.contains("LOOM_STORE_NOT_EMPTY"), "{again}");
        let (between, _) = export(&second, "all.jsonl").await;
        assert!(std::fs::read_to_string(&between).unwrap() == text, "the same rows are the same file");

        let third = on_sqlite();
        import(&third, &between).await.worked();
        let (last, _) = export(&third, "all.jsonl").await;
        assert!(std::fs::read_to_string(&last).unwrap() == text, "and back again");

        // What was moved can be worked with.
        for home in [second, third] {
            let server = Serving::start(home).await;
            let path = format!("/v1/sessions/{}/history", session.as_str().unwrap());
            let history = server.http.get(&path).await.ok();
            assert_eq!(history["messages"][0]["content"], "one\u{0}two");
            let asked = json!({ "query": "more", "sessionId": session });
            assert_eq!(server.http.post("/v1/weave", asked).await.ok()["text"], "echo more");
            server.run(["db", "verify", "--online"]).await.worked();
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_file_that_was_cut_off_or_altered_leaves_the_store_empty() {
    let (home, _) = filled(on_sqlite()).await;
    let (file, _) = export(&home, "all.jsonl").await;
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let without = |place: usize| {
        let kept = lines.iter().enumerate().filter(|(other, _)| *other != place);
        kept.flat_map(|(_, line)| [line, "\n"]).collect::<String>()
    };
    let row = lines.iter().position(|line| line.starts_with('[')).unwrap();
    let bad = [
        ("nothing", String::new()),
        ("half", text[..text.len() / 2].to_owned()),
        ("no last line", without(lines.len() - 1)),
        ("no end of the last line", text.trim_end().to_owned()),
        ("no row", without(row)),
        ("no head", without(0)),
        ("another text", text.replacen("echo last", "echo lost", 1)),
        ("another number", text.replacen("\"rows\":4", "\"rows\":5", 1)),
        ("something after it", format!("{text}[]\n")),
        ("another migration", text.replacen("\"migration\":", "\"migration\":9", 1)),
        ("no export", "{\"hello\": 1}\n".to_owned()),
    ];
    let target = on_sqlite();
    for (what, text) in &bad {
        assert!(*text != std::fs::read_to_string(&file).unwrap(), "{what} changes nothing");
        let altered = target.path("altered.jsonl");
        std::fs::write(&altered, text).unwrap();
        let error = import(&target, &altered).await.failed(5);
        assert!(error.contains("LOOM_EXPORT_INVALID"), "{what}: {error}");
    }
    // It is as empty as before.
    import(&target, &file).await.worked();
}

#[tokio::test]
async fn a_server_tells_all_it_stores_while_it_runs_and_what_its_schema_was() {
    let server = Serving::start(on_sqlite()).await;
    server.ask("one").await;
    let file = server.home.path("online.jsonl");
    let said = server.run(["db", "export", file.to_str().unwrap(), "--online"]).await.worked();
    assert!(said.contains("has all of the store"), "{said}");
    let taken = server.run(["db", "export", file.to_str().unwrap(), "--online"]).await;
    assert!(taken.failed(5).contains("LOOM_BACKUP_EXISTS"));
    let refused = server.run(["db", "import", file.to_str().unwrap(), "--online"]).await;
    assert!(refused.failed(5).contains("while no server uses it"));

    let events = server.http.stream_after("/v1/store:export", None).await.rest().await;
    let pieces: String = events.iter().filter_map(|event| event.data["lines"].as_str()).collect();
    assert_eq!(pieces, std::fs::read_to_string(&file).unwrap());
    let migrated = server.http.post("/v1/store:migrate", json!({})).await.ok();
    assert_eq!(migrated["before"], "0", "it was a new one");
    assert_ne!(migrated["after"], "0");

    let (home, _) = server.stop().await;
    let said = home.run(["db", "migrate", "--config", "looms.yaml"]).await.worked();
    assert_eq!(
        said,
        format!("the schema is at migration {}, the newest\n", migrated["after"].as_str().unwrap())
    );
    let target = on_sqlite();
    import(&target, &file).await.worked();
}

#[tokio::test]
async fn a_database_that_a_server_uses_is_not_filled() {
    PostgresSchema::lend("looms", |schema| async move {
        let (home, _) = filled(on_sqlite()).await;
        let (file, _) = export(&home, "all.jsonl").await;
        let server = Serving::start(on_postgres(&schema)).await;
        let error = import(&server.home, &file).await.failed(5);
        assert!(error.contains("servers use the store"), "{error}");
    })
    .await
    .unwrap();
}
