//! One turn, streamed by a client that knows only what reflection tells, and by one that knows only HTTP.

use serde_json::{Value, json};

use crate::home::Home;
use crate::serving::Serving;

const SAYS_LITTLE: &str = "
chunk_size: 3
rules:
  - { when: { contains: tools }, reply: { tool_calls: [{ name: search_patterns, arguments: { question: top } }], usage: { input: 100, output: 10 } } }
  - { when: { contains: tools, after_tool: search_patterns }, reply: { text: 'found it', usage: { input: 200, output: 20 } } }
  - { when: { contains: broken }, reply: { text: 'so far', error: { class: auth, message: who are you, after_chunks: 1 } } }
default: { text: 'hello there, you', usage: { input: 7, output: 3, cache_read: 5 } }
";

fn text(event: &Value, snake: &str, camel: &str) -> String {
    let value = event.get(snake).or_else(|| event.get(camel));
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_client_made_from_reflection_streams_a_turn() {
    let server = Serving::start(Home::playing(SAYS_LITTLE)).await;
    let client = server.reflected().await;
    for rpc in ["StreamWeave", "StreamChat"] {
        let stream = client.stream(rpc, json!({ "query": "hi" }), &[]).await.unwrap();
        let (events, refusal) = stream.rest().await;
        assert_eq!(refusal, None);
        let last = events.last().unwrap();
        assert_eq!((&last["stage"], &last["progress"]), (&json!("EXECUTION_STAGE_COMPLETED"), &json!(100)));
        assert_eq!(last["partialContent"], "hello there, you");
        assert_eq!(last["partialResult"]["dataJson"], "hello there, you");
        let cost = &last["cost"]["llmCost"];
        assert_eq!((&cost["inputTokens"], &cost["outputTokens"]), (&json!(12), &json!(3)));
        assert_eq!((&cost["totalTokens"], &cost["provider"]), (&json!(15), &json!("mock")));
        assert!(!cost["model"].as_str().unwrap().is_empty());

        let deltas: Vec<_> = events.iter().filter(|event| event["isTokenStream"] == true).collect();
        let said: String = deltas.iter().map(|event| event["delta"].as_str().unwrap()).collect();
        assert_eq!(said, "hello there, you");
        assert_eq!(deltas.len(), 6);
        let mut so_far = String::new();
        for event in &deltas {
            so_far.push_str(event["delta"].as_str().unwrap());
            assert_eq!(event["partialContent"], so_far);
        }
        let turn = last["turnId"].as_str().unwrap();
        assert!(turn.starts_with("turn_") && last["sessionId"].as_str().unwrap().starts_with("sess_"));
        assert!(
            events
                .iter()
                .map(|event| place(event["eventId"].as_str().unwrap(), turn))
                .is_sorted_by(|a, b| a < b)
        );
        for event in &events {
            assert_eq!((&event["turnId"], &event["sessionId"]), (&last["turnId"], &last["sessionId"]));
            assert_ne!(event["stage"], "EXECUTION_STAGE_UNSPECIFIED");
        }
        let progress: Vec<_> = events.iter().map(|event| event["progress"].as_i64().unwrap()).collect();
        assert!(progress.is_sorted(), "{progress:?}");
    }
}

/// The place in the turn that an event's id names: how often the turn was taken up, the journal's event, its item.
fn place(event_id: &str, turn: &str) -> Vec<u32> {
    let place = event_id.strip_prefix(turn).unwrap().strip_prefix('.').unwrap();
    place.split('.').map(|number| number.parse().unwrap()).collect()
}

#[tokio::test]
async fn who_takes_deltas_is_not_sent_the_text_again_and_again() {
    let server = Serving::start(Home::playing(SAYS_LITTLE)).await;
    let client = server.reflected().await;
    let asked = json!({ "query": "hi", "streamMode": "STREAM_MODE_DELTA" });
    let (events, _) = client.stream("StreamWeave", asked, &[]).await.unwrap().rest().await;
    let deltas = events.iter().filter(|event| event["isTokenStream"] == true);
    assert!(deltas.clone().count() == 6 && deltas.clone().all(|event| event["partialContent"] == ""));
    assert_eq!(events.last().unwrap()["partialContent"], "hello there, you");
}

#[tokio::test]
async fn a_client_of_http_alone_streams_the_same_turn() {
    let server = Serving::start(Home::playing(SAYS_LITTLE)).await;
    let mut turns = Vec::new();
    for path in ["/v1/weave:stream", "/v1/chat:stream"] {
        let stream = server.http.stream(path, json!({ "query": "hi" })).await;
        assert_eq!(stream.headers["content-type"], "text/event-stream");
        let events = stream.rest().await;
        let last = events.last().unwrap();
        assert_eq!(text(&last.data, "partial_content", "partialContent"), "hello there, you");
        let turn = text(&last.data, "turn_id", "turnId");
        assert!(!text(&last.data, "session_id", "sessionId").is_empty());
        assert!(events.iter().map(|event| place(&event.id, &turn)).is_sorted_by(|a, b| a < b));
        for event in &events {
            assert_eq!(text(&event.data, "event_id", "eventId"), event.id);
        }
        let said: String = events.iter().map(|event| text(&event.data, "delta", "delta")).collect();
        assert_eq!(said, "hello there, you");
        turns.push(events);
    }
    // The old route keeps snake_case and numbers for enums, the new one is the JSON of every other route.
    let last: Vec<_> = turns.iter().map(|events| &events.last().unwrap().data).collect();
    assert!(last[0]["stage"].is_number(), "{}", last[0]);
    assert_eq!(last[1]["stage"], "EXECUTION_STAGE_COMPLETED");
    assert_eq!(last[0]["cost"]["llm_cost"]["input_tokens"], 12);
    assert_eq!(last[1]["cost"]["llmCost"]["inputTokens"], 12);
}

#[tokio::test]
async fn tools_show_in_the_stream_and_the_cost_is_that_of_all_calls() {
    let server = Serving::start(Home::playing(SAYS_LITTLE)).await;
    let client = server.reflected().await;
    let (events, refusal) =
        client.stream("StreamChat", json!({ "query": "use tools" }), &[]).await.unwrap().rest().await;
    assert_eq!(refusal, None);
    let started = events.iter().find(|event| event["isToolStarted"] == true).unwrap();
    assert_eq!(
        (&started["toolName"], &started["toolInput"]["question"]),
        (&json!("search_patterns"), &json!("top"))
    );
    let done = events.iter().find(|event| event["isToolCompleted"] == true).unwrap();
    assert_eq!((&done["toolCallId"], &done["toolSuccess"]), (&started["toolCallId"], &json!(true)));
    assert!(!done["toolResult"]["patterns"].as_array().unwrap().is_empty());
    let last = events.last().unwrap();
    assert_eq!(last["partialContent"], "found it");
    let cost = &last["cost"]["llmCost"];
    assert_eq!((&cost["inputTokens"], &cost["outputTokens"]), (&json!(300), &json!(30)));
}

#[tokio::test]
async fn a_turn_that_fails_says_so_in_its_last_event_and_in_its_status() {
    let server = Serving::start(Home::playing(SAYS_LITTLE)).await;
    let client = server.reflected().await;
    let asked = json!({ "query": "a broken one" });
    let (events, refusal) = client.stream("StreamWeave", asked.clone(), &[]).await.unwrap().rest().await;
    let refusal = refusal.expect("it fails");
    assert_eq!(
        (refusal.status.as_str(), refusal.reason.as_str()),
        ("FAILED_PRECONDITION", "LOOM_CREDENTIAL")
    );
    let last = events.last().unwrap();
    assert_eq!((&last["stage"], &last["progress"]), (&json!("EXECUTION_STAGE_FAILED"), &json!(100)));
    assert_eq!(last["partialContent"], "so ");
    assert_eq!(refusal.metadata["turn_id"], last["turnId"].as_str().unwrap());

    let events = server.http.stream("/v1/chat:stream", asked.clone()).await.rest().await;
    let [.., failed, error] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(failed.data["stage"], "EXECUTION_STAGE_FAILED");
    assert_eq!((error.event.as_str(), &error.data["code"]), ("error", &json!("LOOM_CREDENTIAL")));
    let whole = server.http.post("/v1/weave", asked).await.problem();
    assert_eq!((whole.0, &whole.1["code"]), (400, &json!("LOOM_CREDENTIAL")));
    assert!(server.http.post("/v1/weave", json!({ "query": "hi" })).await.ok()["turnId"].is_string());
}
