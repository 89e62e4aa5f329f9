//! Hooks of an agent file, with a real service, through kills and at every door; and sessions that go on elsewhere.

use serde_json::{Value, json};

use crate::doors::Door;
use crate::home::Home;
use crate::service::{Does, Service, Told, answer};
use crate::serving::{Serving, until};

/// A home whose agent tells `service` at `point`.
fn told_at(point: &str, service: &Service) -> Home {
    let mut home = Home::playing("default: { text: 'you said {{user}}' }");
    home.set("HOOK_SECRET", "hunter2");
    home.write(
        "agents/tester.yaml",
        &format!(
            "apiVersion: loom/v1\nkind: Agent\nmetadata: {{ name: tester }}\nspec:\n  config: {{ patterns: {{ enabled: false }} }}\n  \
             hooks: [{{ type: webhook, points: [{point}], url: '{}', secret_variable: HOOK_SECRET }}]\n",
            service.address
        ),
    );
    home
}

fn id(told: &Told) -> &str {
    &told.headers["webhook-id"]
}

#[tokio::test]
async fn a_service_that_was_told_before_a_kill_is_told_again_under_the_same_id() {
    for point in ["session_start", "before_model", "after_model"] {
        let mut service = Service::start(Does::Waits).await;
        let server = Serving::start(told_at(point, &service)).await;
        let asked = json!({ "query": "hello", "sessionId": "s" });
        let stream = server.http.stream("/v1/chat:stream", asked).await;
        let first = service.told.recv().await.unwrap();
        assert!(first.line.starts_with("POST / ") && first.headers["webhook-signature"].starts_with("v1,"));
        service.changes(answer("200 OK", r#"{"answer":"annotate","text":"mind the step"}"#));
        let server = server.kill_and_restart(|_| {}).await;
        drop(stream);
        let second = service.told.recv().await.unwrap();
        assert_eq!((id(&second), second.line.as_str()), (id(&first), "POST / HTTP/1.1"), "{point}");
        until("the turn ends", || async {
            let unfinished = server.http.get("/v1/turns").await.ok();
            (unfinished["totalCount"] == 0).then_some(())
        })
        .await;
        let history = server.http.get("/v1/sessions/s/history").await.ok();
        let messages = history["messages"].as_array().unwrap();
        let said: Vec<_> = messages.iter().map(|message| (&message["role"], &message["content"])).collect();
        let note = (json!("hook"), json!("[note of the hook webhook] mind the step"));
        let answered = (json!("assistant"), json!("you said hello"));
        let rest = if point == "after_model" { [&answered, &note] } else { [&note, &answered] };
        let expected = [&(json!("user"), json!("hello")), rest[0], rest[1]];
        assert_eq!(said, expected.map(|(role, content)| (role, content)), "{point}");
        let sound = server.run(["db", "verify", "--online"]).await.worked();
        assert!(sound.ends_with(": 0 wrong\n"), "{sound}");
    }
}

#[tokio::test]
async fn a_denial_is_the_same_error_at_both_doors() {
    let service = Service::start(answer("200 OK", r#"{"answer":"deny","reason":"not on Sundays"}"#)).await;
    let server = Serving::start(told_at("turn_start", &service)).await;
    for door in Door::both(&server).await {
        assert_eq!(door.refused("Weave", json!({ "query": "hello" })).await, "LOOM_HOOK_DENIED");
    }
    let (status, problem) = server.http.post("/v1/weave", json!({ "query": "hello" })).await.problem();
    assert_eq!((status, &problem["code"]), (403, &Value::from("LOOM_HOOK_DENIED")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("\"webhook\" ended the turn at turn_start: not on Sundays"), "{detail}");
}

#[tokio::test]
async fn the_command_line_forks_a_session_and_tells_both_again() {
    let server = Serving::start(Home::playing("default: { text: 'you said {{user}}' }")).await;
    for query in ["one", "two"] {
        server.http.post("/v1/weave", json!({ "query": query, "sessionId": "s" })).await.ok();
    }
    let told = server.run(["session", "replay", "s", "--json"]).await.worked();
    assert_eq!(server.run(["session", "replay", "s", "--json"]).await.worked(), told);
    assert!(told.contains("you said one") && told.contains("you said two"), "{told}");
    let forked = server.run(["session", "fork", "s", "--at", "1", "--json"]).await.worked();
    let forked: Value = serde_json::from_str(&forked).unwrap();
    let fork = forked["id"].as_str().unwrap();
    let shown = server.run(["session", "show", fork]).await.worked();
    assert!(shown.contains("you said one") && !shown.contains("you said two"), "{shown}");
    server.http.post("/v1/weave", json!({ "query": "three", "sessionId": fork })).await.ok();
    let told = server.run(["session", "replay", fork]).await.worked();
    assert!(told.contains("you said three") && !told.contains("you said one"), "{told}");
    let missing = server.run(["session", "fork", "s", "--at", "9"]).await;
    assert!(missing.code != 0 && missing.err.contains("LOOM_TURN_NOT_FOUND"), "{}", missing.err);
}
