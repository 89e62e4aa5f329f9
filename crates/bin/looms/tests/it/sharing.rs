//! Several servers on one PostgreSQL database.

use loom_testkit::PostgresSchema;
use serde_json::{Value, json};

use crate::home::Home;
use crate::http::Answer;
use crate::serving::{Serving, until};

/// Says what was said to it.
const ECHO: &str = "default: { text: '{{user}}' }";
/// The same, but to `wait` takes longer than any test.
const SLOW: &str = "
rules: [{ when: { contains: wait }, reply: { text: never, latency_ms: 600000 } }]
default: { text: '{{user}}' }";

/// Says that it is the second.
pub(crate) const SECOND: &str = "default: { text: 'the second says {{user}}' }";

/// A server on the database of `schema`, which the others take for gone after two seconds.
pub(crate) async fn start(schema: &PostgresSchema, script: &str) -> Serving {
    let mut home = Home::playing(script);
    home.configure_also("storage: { backend: postgres, lease_seconds: 2 }");
    home.set("DATABASE_URL", &schema.url());
    Serving::start(home).await
}

/// Runs `test` on a schema of its own.
pub(crate) async fn on_a_schema<T: Future<Output = ()>>(test: impl FnOnce(PostgresSchema) -> T) {
    PostgresSchema::lend("looms", test).await.unwrap();
}

pub(crate) async fn ask(server: &Serving, session: &Value, query: &str) -> Answer {
    server.http.post("/v1/weave", json!({ "query": query, "sessionId": session })).await
}

/// What is stored of a session, as `server` tells it.
pub(crate) async fn said(server: &Serving, session: &Value) -> Vec<String> {
    let path = format!("/v1/sessions/{}/history", session.as_str().unwrap());
    let history = server.http.get(&path).await.ok();
    let messages = history["messages"].as_array().unwrap();
    messages.iter().map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

/// The session answers at `server`, once its owner is taken for gone.
async fn until_taken(server: &Serving, session: &Value, query: &str) {
    until("the session is taken over", async || {
        let answer = ask(server, session, query).await;
        if answer.status == 200 {
            assert_eq!(answer.json()["text"], query);
            return Some(());
        }
        assert_eq!(answer.problem().1["code"], "LOOM_SESSION_ELSEWHERE");
        None
    })
    .await;
}

#[tokio::test]
async fn a_session_goes_on_at_another_server_after_its_own_was_killed() {
    on_a_schema(|schema| async move {
        let (one, other) = (start(&schema, SLOW).await, start(&schema, ECHO).await);
        let session = one.ask("first").await["sessionId"].clone();
        assert_eq!(said(&other, &session).await, ["first", "first"], "it can be read everywhere");
        let address = one.grpc.to_string();
        one.kill().await;
        let refused = ask(&other, &session, "too early").await;
        assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
        let (status, problem) = refused.problem();
        assert_eq!((status, &problem["code"]), (503, &json!("LOOM_SESSION_ELSEWHERE")), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(&address), "{problem}");
        until_taken(&other, &session, "second").await;
        assert_eq!(said(&other, &session).await, ["first", "first", "second", "second"]);
    })
    .await;
}

#[tokio::test]
async fn a_session_goes_on_at_once_after_its_server_has_stopped() {
    on_a_schema(|schema| async move {
        let (one, other) = (start(&schema, SLOW).await, start(&schema, ECHO).await);
        let session = one.ask("first").await["sessionId"].clone();
        let (_, stopped) = one.stop().await;
        assert_eq!(stopped.code, 0, "{}", stopped.err);
        assert_eq!(ask(&other, &session, "second").await.ok()["text"], "second");
    })
    .await;
}

#[tokio::test]
async fn a_server_that_stood_still_for_too_long_writes_nothing_to_what_was_taken_from_it() {
    on_a_schema(|schema| async move {
        let (mut one, other) = (start(&schema, SLOW).await, start(&schema, ECHO).await);
        let idle = one.ask("first").await["sessionId"].clone();
        let mut stream = one.http.stream("/v1/chat:stream", json!({ "query": "wait" })).await;
        let busy = stream.next().await.unwrap().data["sessionId"].clone();

        one.signal("STOP");
        until_taken(&other, &idle, "second").await;
        until("the turn is taken up unasked", async || {
            (said(&other, &busy).await == ["wait", "wait"]).then_some(())
        })
        .await;
        let before = [said(&other, &idle).await, said(&other, &busy).await];
        assert_eq!(before[0], ["first", "first", "second", "second"]);

        one.signal("CONT");
        let events = stream.rest().await;
        assert_eq!(events.last().unwrap().data["code"], "LOOM_SESSION_ELSEWHERE");
        one.logged(|line| line.contains("silent for too long")).await;
        assert_eq!([said(&one, &idle).await, said(&one, &busy).await], before);
        // What was taken from it is asked of the one that took it: this one would wait.
        for session in [&idle, &busy] {
            assert_eq!(ask(&one, session, "wait no more").await.ok()["text"], "wait no more");
        }
        // It is an instance like the others again.
        let new = one.ask("third").await["sessionId"].clone();
        assert_eq!(ask(&other, &new, "fourth").await.ok()["text"], "fourth");
        assert_eq!(said(&one, &new).await, ["third", "third", "fourth", "fourth"]);
    })
    .await;
}

#[tokio::test]
async fn a_server_without_the_databases_address_says_what_to_set() {
    let home = Home::playing(ECHO);
    home.configure_also("storage: { backend: postgres }");
    let said = home.run(["serve", "--config", "looms.yaml", "--port", "1", "--http-port", "0"]).await;
    let error = said.err;
    assert_ne!(said.code, 0, "{error}");
    assert!(error.contains("storage.dsn") && error.contains("DATABASE_URL"), "{error}");
}
