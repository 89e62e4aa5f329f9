//! Budgets of an agent's file and of the configuration, as clients meet them.

use serde_json::{Value, json};

use crate::doors::Door;
use crate::home::Home;
use crate::serving::{Serving, until};

const SLOW: &str = "
rules:
  - { when: { contains: sleep }, reply: { text: late, latency_ms: 600000 } }
default: { text: fine }
";
const QUICK: &str = "default: { text: fine }";
const AGENT: &str = "
apiVersion: loom/v1
kind: Agent
metadata: { name: tester }
spec:
  system_prompt: Test.
  llm: { max_tokens: 1000 }
  config: { patterns: { enabled: false } }
  budgets: { agent: { tokens: 5000, per: total } }
";

/// What the budget of `scope` says of `measure`.
fn said<'a>(budgets: &'a Value, scope: &str, measure: &str) -> &'a Value {
    let named = |list: &'a Value, field: &str, name: &str| {
        list.as_array().unwrap().iter().find(|one| one[field] == name).unwrap()
    };
    named(&named(&budgets["budgets"], "scope", scope)["measures"], "name", measure)
}

#[tokio::test]
async fn what_is_used_and_held_back_is_listed_and_outlives_a_kill() {
    let home = Home::playing(SLOW);
    home.write("agents/tester.yaml", AGENT);
    home.configure_also("budgets: { server: { usd: 5, per: day } }");
    let server = Serving::start(home).await;
    server.ask("hello").await;
    let door = Door::Grpc(Box::new(server.reflected().await));
    let before = door.ok("ListBudgets", json!({})).await;
    let used = said(&before, "agent", "tokens")["used"].as_f64().unwrap();
    assert!(used > 0.0 && said(&before, "server", "usd")["used"].as_f64().unwrap() > 0.0, "{before}");
    let asked = tokio::spawn({
        let http = server.http.clone();
        async move { http.post("/v1/weave", json!({ "query": "sleep" })).await }
    });
    let held = until("a call is in flight", || async {
        let held = said(&door.ok("ListBudgets", json!({})).await, "agent", "tokens")["reserved"].as_f64();
        held.filter(|held| *held > 0.0)
    })
    .await;
    assert!(held > 1_000.0);
    asked.abort();

    let server = server.kill_and_restart(|home| home.write("script.yaml", QUICK)).await;
    for door in Door::both(&server).await {
        let after = until("the turn is over", || async {
            let after = door.ok("ListBudgets", json!({})).await;
            (said(&after, "agent", "tokens")["reserved"] == 0.0).then_some(after)
        })
        .await;
        let tokens = said(&after, "agent", "tokens");
        let estimated = after["budgets"][1]["estimatedTokens"].as_str().unwrap().parse::<f64>().unwrap();
        assert_eq!((tokens["limit"].as_f64(), estimated), (Some(5_000.0), held), "{after}");
        assert!(tokens["used"].as_f64().unwrap() > used + held, "{after}");
        let unknown = door.refused("ListBudgets", json!({ "sessionId": "sess_none" })).await;
        assert_eq!(unknown, "LOOM_SESSION_NOT_FOUND");
    }
    let shown = server.run(["budget", "list"]).await;
    assert!(shown.out.contains("are estimates") && shown.out.contains("5000"), "{}", shown.out);
    // What is left runs out in the end.
    let door = Door::Grpc(Box::new(server.reflected().await));
    let refused = loop {
        if let Err((code, status)) = door.call("Weave", json!({ "query": "hello" })).await {
            break (code, status);
        }
    };
    assert_eq!(refused, ("LOOM_BUDGET_EXCEEDED".to_owned(), "RESOURCE_EXHAUSTED".to_owned()));
    let last = door.ok("ListBudgets", json!({})).await;
    assert!(said(&last, "agent", "tokens")["used"].as_f64().unwrap() <= 5_000.0, "{last}");
    server.stop().await;
}
