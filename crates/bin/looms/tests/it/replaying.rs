//! A session is told again from its journal, byte for byte, also from the journals of earlier versions.

use std::path::{Path, PathBuf};

use ::http::Method;
use serde_json::{Value, json};

use crate::home::Home;
use crate::serving::Serving;
use crate::shop::make_database;

const SCRIPT: &str = "
rules:
  - when: { contains: fail }
    reply: { error: { class: invalid, message: no } }
  - when: { contains: stumble, turn: 3 }
    reply: { text: 'on the second try', error: { class: transient, message: gone, after_chunks: 1 } }
  - when: { contains: look }
    reply:
      tool_calls:
        - { name: query, arguments: { sql: 'SELECT 1.1 + 2.2 AS sum, NULL AS none, ''é'' AS letter' } }
        - { name: query, arguments: { sql: 'SELECT * FROM nowhere' } }
        - { name: nothing, arguments: {} }
  - when: { after_tool: '*' }
    reply: { text: 'it says {{tool_result}}', usage: { input: 12, output: 3, cache_read: 4 } }
default: { text: 'you said {{user}}' }
chunk_size: 4
";
const WITH_SHOP: &str = "
apiVersion: loom/v1
kind: Agent
metadata: { name: tester }
spec: { backends: [shop] }
";

async fn serving() -> Serving {
    let home = Home::playing(SCRIPT);
    make_database(&home.path("shop.db")).await;
    home.write("backends/shop.yaml", "type: sqlite\nconnection: { path: ../shop.db }\n");
    home.write("agents/tester.yaml", WITH_SHOP);
    Serving::start(home).await
}

/// The events of a stream as they came, id and data, the text deltas left out.
fn lasting(stream: &str) -> Vec<String> {
    let events = stream.split("\n\n").filter(|event| event.starts_with("id: "));
    events.filter(|event| !event.contains("\"isTokenStream\":true")).map(str::to_owned).collect()
}

async fn replay(server: &Serving, session: &str) -> Vec<String> {
    lasting(&server.http.get(&format!("/v1/sessions/{session}:replay")).await.text)
}

/// A server on which the session `s` has had some turns, and what was streamed of them.
async fn played() -> (Serving, Vec<String>) {
    let server = serving().await;
    let mut live = Vec::new();
    for query in ["hello", "look", "stumble", "fail"] {
        let asked = json!({ "query": query, "sessionId": "s", "streamMode": "STREAM_MODE_DELTA" });
        let headers = [("content-type", "application/json")];
        let stream = server.http.send(Method::POST, "/v1/chat:stream", &headers, asked.to_string()).await;
        live.extend(lasting(&stream.text));
    }
    for what in ["it says", "no tool is called", "trying again", "EXECUTION_STAGE_FAILED"] {
        assert!(live.iter().any(|event| event.contains(what)), "{what} is not in {live:#?}");
    }
    (server, live)
}

#[tokio::test]
async fn a_session_is_told_again_byte_for_byte_in_the_same_process_and_after_a_kill() {
    let (server, live) = played().await;
    let first = replay(&server, "s").await;
    assert_eq!(first, live);
    let server = Serving::start(server.kill().await).await;
    assert_eq!(replay(&server, "s").await, live);
    let (status, problem) = server.http.get("/v1/sessions/other:replay").await.problem();
    assert_eq!((status, &problem["code"]), (404, &Value::from("LOOM_SESSION_NOT_FOUND")));
}

/// Databases that releases left, each with what it says of the session `s`.
fn golden() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "db")).collect()
}

/// With `WRITE_GOLDEN=1.2.3` in the environment, the database of this run becomes the one of that release.
#[tokio::test]
async fn every_release_is_told_again_as_it_told_it() {
    if let Some(release) = std::env::var_os("WRITE_GOLDEN") {
        let (server, live) = played().await;
        let (home, _) = server.stop().await;
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden").join(release);
        std::fs::copy(home.path("data/loom.db"), file.with_extension("db")).unwrap();
        std::fs::write(file.with_extension("txt"), live.join("\n\n") + "\n").unwrap();
    }
    let golden = golden();
    assert!(!golden.is_empty());
    for file in golden {
        let home = Home::playing(SCRIPT);
        std::fs::copy(&file, home.path("data/loom.db")).unwrap();
        let server = Serving::start(home).await;
        let expected = std::fs::read_to_string(file.with_extension("txt")).unwrap();
        assert_eq!(replay(&server, "s").await.join("\n\n") + "\n", expected, "{}", file.display());
    }
}
