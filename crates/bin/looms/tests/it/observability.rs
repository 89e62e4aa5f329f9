//! What a server tells of itself, and what it never does.

use loom_testkit::{ProviderFake, Reply};
use serde_json::{Value, json};

use crate::home::{Home, TESTER};
use crate::serving::{Serving, until};
use crate::shop::make_database;

const KEY: &str = "sk-ant-api03-NobodyMayEverReadThisKey0123456789";
const PASSWORD: &str = "open-sesame-4711";

/// The value of a metric's sample with all of `labels`.
fn sample(metrics: &str, name: &str, labels: &[&str]) -> u64 {
    let fits = |line: &&str| line.starts_with(name) && labels.iter().all(|label| line.contains(label));
    let line = metrics.lines().find(fits).unwrap_or_else(|| panic!("no {name} {labels:?} in {metrics}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn turns_tools_and_tokens_are_counted() {
    let script = "
rules:
  - { when: { contains: tools }, reply: { tool_calls: [{ name: search_patterns, arguments: { question: top } }], usage: { input: 100, output: 10 } } }
  - { when: { contains: tools, after_tool: '*' }, reply: { text: found, usage: { input: 200, output: 20 } } }
  - { when: { contains: broken }, reply: { error: { class: auth } } }
";
    let server = Serving::start(Home::playing(script)).await;
    server.ask("use tools").await;
    server.http.post("/v1/weave", json!({ "query": "a broken one" })).await.problem();
    let metrics = server.http.get("/metrics").await.text;
    assert_eq!(sample(&metrics, "loom_turns_total", &["tester", "finished"]), 1);
    assert_eq!(sample(&metrics, "loom_turns_total", &["tester", "failed"]), 1);
    assert_eq!(sample(&metrics, "loom_tool_calls_total", &["search_patterns", "succeeded"]), 1);
    assert_eq!(sample(&metrics, "loom_llm_calls_total", &["mock", "\"ok\""]), 2);
    assert_eq!(sample(&metrics, "loom_llm_tokens_total", &["mock", "\"input\""]), 300);
    assert_eq!(sample(&metrics, "loom_llm_tokens_total", &["mock", "\"output\""]), 30);
    assert!(sample(&metrics, "loom_turn_duration_seconds_count", &["tester"]) >= 2);
    assert_eq!(sample(&metrics, "loom_requests_total", &["loom.v1.LoomService/Weave", "\"OK\""]), 1);
    assert!(sample(&metrics, "loom_request_duration_seconds_count", &["loom.v1.LoomService/Weave"]) >= 2);
    server.home.write("agents/tester.yaml", &TESTER.replace("Test.", "Test again."));
    until("the reload is counted", async || {
        let metrics = server.http.get("/metrics").await.text;
        metrics
            .lines()
            .any(|line| line.starts_with("loom_") && line.contains("reload") && line.contains("agents"))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn no_secret_leaves_the_server() {
    let refusal = Reply::failure(401, "invalid_api_key", format!("Incorrect API key provided: {KEY}"));
    let fake = ProviderFake::anthropic(vec![Reply::text("fine"), refusal]).await.unwrap();
    let mut home = Home::bare();
    home.set("ANTHROPIC_API_KEY", "unused");
    home.set("TEAM_KEY", loom_testkit::API_KEY);
    home.set("DB_PASSWORD", PASSWORD);
    home.write("agents/tester.yaml", &TESTER.replace("spec:", "spec:\n  backends: [far]"));
    home.write(
        "backends/far.yaml",
        "type: postgres\nconnection: { dsn: 'postgres://me:${DB_PASSWORD}@127.0.0.1:1/x' }\n",
    );
    home.configure(&format!(
        "llm: {{ provider: team, model: claude-test }}\nlogging: {{ level: trace }}\n\
         providers: {{ team: {{ type: anthropic, base_url: '{}', api_key: '${{TEAM_KEY}}' }} }}\n",
        fake.base_url()
    ));
    let server = Serving::start(home).await;
    let secrets = [KEY, PASSWORD, loom_testkit::API_KEY];
    let mut said = Vec::new();
    let asked = json!({ "query": "hi", "enableTrace": true });
    let answer = server.http.post("/v1/weave", asked.clone()).await.ok();
    assert_eq!(answer["text"], "fine", "the key reached the provider");
    said.push(server.http.get(&format!("/v1/traces/{}", answer["traceId"].as_str().unwrap())).await.text);
    let (status, problem) = server.http.post("/v1/weave", asked).await.problem();
    assert_eq!((status, &problem["code"]), (400, &json!("LOOM_CREDENTIAL")));
    said.push(problem.to_string());
    let trace = problem["metadata"]["trace_id"].as_str().unwrap();
    said.push(server.http.get(&format!("/v1/traces/{trace}")).await.text);
    for path in ["/metrics", "/v1/server/config", "/v1/agents", "/v1/health", "/v1/tools", "/openapi.json"] {
        said.push(server.http.get(path).await.text);
    }
    let wrong = json!({ "query": "q", "context": { "token": KEY }, "occurredAt": "2026-01-01T00:00:00Z" });
    said.push(server.http.post("/v1/weave", wrong).await.text);
    let explained = server.home.run(["config", "explain", "--config", "looms.yaml"]).await.worked();
    assert!(explained.contains("TEAM_KEY"), "{explained}");
    said.push(explained);
    let (_, stopped) = server.stop().await;
    assert!(stopped.err.contains("TRACE"), "the log is at its most talkative");
    said.push(stopped.err);
    for text in &said {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
}

#[tokio::test]
async fn a_log_line_is_one_json_object_and_belongs_to_its_turn() {
    let home = Home::playing("default: { text: fine }");
    home.configure_also("logging: { level: debug }");
    let server = Serving::start(home).await;
    let answer =
        server.http.post("/v1/weave", json!({ "query": "the question itself is not logged" })).await.ok();
    let (_, said) = server.stop().await;
    let lines: Vec<Value> = said.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["message"].is_string() && line["timestamp"].is_string()));
    assert!(lines.iter().any(|line| line["session_id"] == answer["sessionId"]), "{}", said.err);
    assert!(!said.err.contains("the question itself"), "{}", said.err);
}

#[tokio::test]
async fn the_query_behind_an_answer_is_in_its_trace() {
    let script = "
rules:
  - { when: { contains: count }, reply: { tool_calls: [{ name: query, arguments: { sql: SELECT count(*) AS n FROM taking } }] } }
  - { when: { contains: count, after_tool: '*' }, reply: { text: '{{tool_result}}' } }
";
    let home = Home::playing(script);
    make_database(&home.path("shop.db")).await;
    home.write("backends/shop.yaml", "type: sqlite\nconnection: { path: ../shop.db }\n");
    home.write("agents/tester.yaml", &TESTER.replace("spec:", "spec:\n  backends: [shop]"));
    let server = Serving::start(home).await;
    let answer = server.ask("count them").await;
    assert_eq!(
        (&answer["result"]["columns"], &answer["result"]["dataJson"]),
        (&json!(["n"]), &json!("[[4]]"))
    );
    let trace = server.http.get(&format!("/v1/traces/{}", answer["traceId"].as_str().unwrap())).await.ok();
    let tool =
        trace["spans"].as_array().unwrap().iter().find(|span| span["name"] == "execute_tool query").unwrap();
    assert_eq!(tool["attributes"]["loom.tool.query"], "SELECT count(*) AS n FROM taking");
    assert_eq!(tool["attributes"]["loom.tool.rows"], "1");
}
