//! Calls that reach a server which has not got the session, and are sent on to the one that has.

use ::http::Method;
use serde_json::{Value, json};

use crate::doors::Door;
use crate::home::Home;
use crate::serving::{Serving, until};
use crate::sharing::{SECOND, ask, on_a_schema, said, start};

/// Says who it is, piece by piece; to `wait` it says nothing.
const FIRST: &str = "
chunk_size: 4
rules: [{ when: { contains: wait }, reply: { text: never, latency_ms: 600000 } }]
default: { text: 'the first says {{user}}' }";

/// Says a piece and takes its time with the rest.
const STALLING: &str = "
chunk_size: 4
chunk_delay_ms: 600000
default: { text: 'the first never ends' }";

/// Code of a call at a server that the one who has the session does not let in.
const ELSEWHERE: &str = "LOOM_SESSION_ELSEWHERE";

#[tokio::test]
async fn a_call_is_answered_by_the_server_that_has_the_session_through_every_door() {
    on_a_schema(|schema| async move {
        let (one, other) = (start(&schema, FIRST).await, start(&schema, SECOND).await);
        let session = one.ask("zero").await["sessionId"].clone();
        for door in Door::both(&other).await {
            let name = door.name();
            let answer = door.ok("Weave", json!({ "query": name, "sessionId": session })).await;
            assert_eq!(answer["text"], format!("the first says {name}"));
            let refused = door.refused("Weave", json!({ "query": "", "sessionId": session })).await;
            assert_eq!(refused, "LOOM_EMPTY_QUERY", "what is wrong is told by whoever finds it");
        }
        let asked = json!({ "query": "sse", "sessionId": session, "streamMode": "STREAM_MODE_DELTA" });
        let events = other.http.stream("/v1/chat:stream", asked).await.rest().await;
        let text: String = events.iter().filter_map(|event| event.data["delta"].as_str()).collect();
        assert_eq!(text, "the first says sse");
        assert!(events.len() > 3, "piece by piece: {events:?}");
        let own = other.ask("mine").await;
        assert_eq!(own["text"], "the second says mine");
        assert_eq!(said(&one, &session).await.len(), 8);
        other.http.delete(&format!("/v1/sessions/{}", session.as_str().unwrap())).await.ok();
    })
    .await;
}

#[tokio::test]
async fn a_running_turn_is_followed_and_stopped_through_another_server() {
    on_a_schema(|schema| async move {
        let (one, other) = (start(&schema, STALLING).await, start(&schema, SECOND).await);
        let asked = json!({ "query": "wait", "streamMode": "STREAM_MODE_DELTA" });
        let mut stream = one.http.stream("/v1/chat:stream", asked).await;
        let turn = stream.next().await.unwrap().data["turnId"].as_str().unwrap().to_owned();
        let path = format!("/v1/turns/{turn}:stream?streamMode=STREAM_MODE_DELTA");
        let mut followed = other.http.stream_after(&path, None).await;
        let mut text = String::new();
        while text.is_empty() {
            let event = followed.next().await.unwrap();
            text.push_str(event.data["delta"].as_str().unwrap_or_default());
        }
        assert_eq!(text, "the ", "what is still being said comes through");
        other.http.post(&format!("/v1/turns/{turn}:cancel"), json!({})).await.ok();
        let last = followed.rest().await.pop().unwrap();
        assert_eq!(last.data["code"], "LOOM_CANCELLED", "{last:?}");
        assert_eq!(stream.rest().await.pop().unwrap().data["code"], "LOOM_CANCELLED");
    })
    .await;
}

#[tokio::test]
async fn a_turn_that_its_caller_leashed_is_stopped_when_the_caller_leaves_the_other_server() {
    on_a_schema(|schema| async move {
        let (one, other) = (start(&schema, FIRST).await, start(&schema, SECOND).await);
        let session = one.ask("zero").await["sessionId"].clone();
        let asked = json!({ "query": "wait", "sessionId": session, "cancelOnDisconnect": true });
        let mut stream = other.http.stream("/v1/chat:stream", asked).await;
        stream.next().await.unwrap();
        drop(stream);
        until("the turn is stopped", async || {
            let turns = one.http.get("/v1/turns").await.ok();
            (turns["totalCount"].as_i64().unwrap_or_default() == 0).then_some(())
        })
        .await;
        assert_eq!(ask(&other, &session, "next").await.ok()["text"], "the first says next");
    })
    .await;
}

#[tokio::test]
async fn the_time_that_a_caller_gives_goes_on_with_the_call() {
    on_a_schema(|schema| async move {
        let (one, other) = (start(&schema, FIRST).await, start(&schema, SECOND).await);
        let session = one.ask("zero").await["sessionId"].clone();
        let asked = json!({ "query": "wait", "sessionId": session }).to_string();
        let headers = [("content-type", "application/json"), ("grpc-timeout", "700m")];
        let refused = other.http.send(Method::POST, "/v1/weave", &headers, asked).await.problem().1;
        assert_eq!(refused["code"], "LOOM_DEADLINE_EXCEEDED");
        assert!(refused.to_string().contains("turn_"), "it is the turn that says so: {refused}");
        until("the turn is over", async || {
            let turns = one.http.get("/v1/turns").await.ok();
            (turns["totalCount"].as_i64().unwrap_or_default() == 0).then_some(())
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn nobody_is_taken_for_a_server_who_does_not_prove_it() {
    on_a_schema(|schema| async move {
        let one = start(&schema, FIRST).await;
        let client = one.reflected().await;
        for (credential, principal) in [("", "local"), ("0".repeat(64).as_str(), "local"), ("x", "root")] {
            let headers = [("x-loom-instance-credential", credential), ("x-loom-principal", principal)];
            let refused = client.call("ListSessions", json!({}), &headers).await.unwrap_err();
            assert_eq!(refused.reason, ELSEWHERE);
        }
        let alone = client.call("ListSessions", json!({}), &[("x-loom-principal", "anonymous")]).await;
        assert!(alone.is_ok(), "a name without a proof is no name: {alone:?}");
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_one_server_makes_is_known_to_the_other_at_once_and_gone_with_it() {
    on_a_schema(|schema| async move {
        let (one, other) = (start(&schema, FIRST).await, start(&schema, SECOND).await);
        let config = json!({ "name": "helper", "systemPrompt": "Help." });
        let made = one.http.post("/v1/agents:create", json!({ "config": config })).await.ok();
        let answer = other.http.post("/v1/weave", json!({ "query": "hi", "agentId": "helper" })).await.ok();
        assert_eq!(answer["text"], "the second says hi");
        assert_eq!(answer["agentId"], made["id"]);
        let lists = async |server: &Serving| -> bool {
            let agents: Value = server.http.get("/v1/agents").await.ok();
            agents["agents"].as_array().unwrap().iter().any(|agent| agent["name"] == "helper")
        };
        until("the other lists it", async || lists(&other).await.then_some(())).await;
        one.http.delete(&format!("/v1/agents/{}?force=true", made["id"].as_str().unwrap())).await.ok();
        until("the other has lost it", async || (!lists(&other).await).then_some(())).await;
    })
    .await;
}

#[tokio::test]
async fn a_server_that_listens_everywhere_has_to_say_where_it_is_reached() {
    on_a_schema(|schema| async move {
        let everywhere = |advertise: &str| {
            let mut home = Home::playing(FIRST);
            home.configure_also("server: { host: 0.0.0.0, insecure_bind: true }");
            home.configure_also(&format!("storage: {{ backend: postgres, lease_seconds: 2{advertise} }}"));
            home.set("DATABASE_URL", &schema.url());
            home
        };
        let home = everywhere("");
        let said = home.run(["serve", "--config", "looms.yaml", "--port", "1", "--http-port", "0"]).await;
        let error = said.err;
        assert_ne!(said.code, 0, "{error}");
        assert!(error.contains("storage.advertise"), "{error}");

        let one = Serving::start(everywhere(", advertise: 127.0.0.1")).await;
        let other = start(&schema, SECOND).await;
        let session = one.ask("zero").await["sessionId"].clone();
        assert_eq!(ask(&other, &session, "one").await.ok()["text"], "the first says one");
    })
    .await;
}
