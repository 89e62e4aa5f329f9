//! Every wire protocol of a provider answers a turn with a tool call, through the real binary.

use loom_testkit::{API_KEY, Dialect, ProviderFake, Reply};
use serde_json::json;

use crate::home::{Home, TESTER};
use crate::serving::Serving;

#[tokio::test]
async fn every_protocol_answers_a_turn_that_calls_a_tool() {
    for (kind, dialect) in
        [("anthropic", Dialect::Anthropic), ("openai", Dialect::OpenAi), ("gemini", Dialect::Gemini)]
    {
        let call = Reply::tool_calls([("call_1", "search_patterns", r#"{"question": "orders by month"}"#)]);
        let fake = ProviderFake::start(dialect, vec![call, Reply::text("done")]).await.unwrap();
        let mut home = Home::bare();
        home.set("TEAM_KEY", API_KEY);
        home.write("agents/tester.yaml", TESTER);
        home.configure(&format!(
            "llm: {{ provider: team, model: model-1 }}\n\
             providers: {{ team: {{ type: {kind}, base_url: '{}', api_key: '${{TEAM_KEY}}' }} }}\n",
            fake.base_url()
        ));
        let server = Serving::start(home).await;
        let answer = server.http.post("/v1/weave", json!({ "query": "which pattern?" })).await.ok();
        assert_eq!(answer["text"], "done", "{kind}");
        let asked = fake.requests();
        assert_eq!(asked.len(), 2, "{kind}");
        let body = asked[1].body.to_string();
        assert!(body.contains("_by_month"), "{kind}: {body}");
    }
}
