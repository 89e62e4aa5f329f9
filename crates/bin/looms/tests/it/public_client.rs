//! A client generated from the public API alone: its messages stand in `messages.rs` with the published field numbers, and
//! nothing here knows the types of the server. What such clients assert of the API holds.

mod messages;

use ::http::Method;
use loom_testkit::{ProviderFake, PublicWire, Reply};
use serde_json::Value;

use crate::home::Home;
use crate::serving::Serving;
use messages::{
    ConversationHistory, CreateSessionRequest, DeleteSessionRequest, DeleteSessionResponse,
    GetConversationHistoryRequest, GetSessionRequest, GetStorageStatusRequest, GetStorageStatusResponse,
    ListAgentsRequest, ListAgentsResponse, ListSessionsRequest, ListSessionsResponse, ListToolsRequest,
    ListToolsResponse, Session, WeaveProgress, WeaveRequest, WeaveResponse,
};

const SERVICE: &str = "loom.v1.LoomService";
/// `EXECUTION_STAGE_COMPLETED`, as published.
const COMPLETED: i32 = 7;
/// `STORAGE_BACKEND_TYPE_SQLITE`, as published.
const SQLITE: i32 = 1;

const SCRIPT: &str = "
chunk_size: 3
rules:
  - { when: { contains: tools }, reply: { tool_calls: [{ name: search_patterns, arguments: { question: top } }] } }
  - { when: { contains: tools, after_tool: '*' }, reply: { text: found it } }
  - { when: { contains: broken }, reply: { text: so far, error: { class: auth, message: who are you, after_chunks: 1 } } }
default: { text: 'you said {{user}}', usage: { input: 12, output: 4 } }
";

async fn serving() -> (Serving, PublicWire) {
    let server = Serving::start(Home::playing(SCRIPT)).await;
    let client = PublicWire::connect(&server.grpc.to_string(), SERVICE).await.unwrap();
    (server, client)
}

fn asking(query: &str, session: &str) -> WeaveRequest {
    WeaveRequest { query: query.to_owned(), session_id: session.to_owned(), ..WeaveRequest::default() }
}

#[tokio::test]
async fn a_session_is_created_used_listed_resumed_and_deleted() {
    let (_server, client) = serving().await;
    let draft = CreateSessionRequest {
        name: "first".to_owned(),
        metadata: [("team".to_owned(), "a".to_owned())].into(),
        ..CreateSessionRequest::default()
    };
    let made: Session = client.call("CreateSession", draft).await.unwrap();
    assert_eq!(
        (made.name.as_str(), made.state.as_str(), made.agent_name.as_str()),
        ("first", "active", "tester")
    );
    assert!(made.created_at > 0 && !made.started_at.is_empty() && made.metadata["team"] == "a");

    let answer: WeaveResponse = client.call("Weave", asking("hello", &made.id)).await.unwrap();
    assert_eq!((answer.text.as_str(), answer.session_id.as_str()), ("you said hello", made.id.as_str()));
    assert_eq!(answer.agent_id, made.agent_id);
    let cost = answer.cost.and_then(|cost| cost.llm_cost).unwrap();
    assert!(
        cost.input_tokens > 0
            && cost.output_tokens > 0
            && !cost.provider.is_empty()
            && !cost.model.is_empty()
    );

    let listed: ListSessionsResponse =
        client.call("ListSessions", ListSessionsRequest::default()).await.unwrap();
    assert_eq!((listed.total_count, listed.sessions.len()), (1, 1));
    assert_eq!((&listed.sessions[0].id, listed.sessions[0].conversation_count), (&made.id, 1));

    // Resumed by its id alone, with the agent that it has.
    let resumed: WeaveResponse = client.call("Weave", asking("again", &made.id)).await.unwrap();
    assert_eq!(resumed.session_id, made.id);
    let history = history_of(&client, &made.id).await;
    let roles: Vec<_> = history.messages.iter().map(|message| message.role.as_str()).collect();
    assert_eq!((roles, history.total_count), (vec!["user", "assistant", "user", "assistant"], 4));

    let delete = || DeleteSessionRequest { session_id: made.id.clone() };
    let gone: DeleteSessionResponse = client.call("DeleteSession", delete()).await.unwrap();
    assert!(gone.success);
    let again = client.call::<_, DeleteSessionResponse>("DeleteSession", delete()).await.unwrap_err();
    let get = GetSessionRequest { session_id: made.id.clone() };
    let missing = client.call::<_, Session>("GetSession", get).await.unwrap_err();
    assert_eq!([again.status.as_str(), &missing.status], ["NOT_FOUND"; 2]);
}

async fn history_of(client: &PublicWire, session: &str) -> ConversationHistory {
    let asked = GetConversationHistoryRequest { session_id: session.to_owned(), ..Default::default() };
    client.call("GetConversationHistory", asked).await.unwrap()
}

#[tokio::test]
async fn a_later_turn_knows_the_earlier_one_unless_the_context_is_reset_and_the_history_stays() {
    let replies = ["noted", "42 and LOOM", "what number?"].map(Reply::text).to_vec();
    let fake = ProviderFake::ollama(replies).await.unwrap();
    let server = Serving::start(Home::asking(&fake.base_url())).await;
    let client = PublicWire::connect(&server.grpc.to_string(), SERVICE).await.unwrap();
    // An id that the client chose and the server has not seen makes that session.
    let session = "client-made-session-1";
    for (query, reset) in [("42, and the word LOOM", false), ("which?", false), ("which number?", true)] {
        let request = WeaveRequest { reset_context: reset, ..asking(query, session) };
        let answer: WeaveResponse = client.call("Weave", request).await.unwrap();
        assert_eq!(answer.session_id, session);
    }
    let knows: Vec<_> =
        fake.requests().iter().map(|request| request.body.to_string().contains("LOOM")).collect();
    assert_eq!(knows, [true, true, false]);
    assert_eq!(history_of(&client, session).await.messages.len(), 6);
}

#[tokio::test]
async fn a_stream_ends_with_all_that_clients_read_from_its_last_event() {
    let (_server, client) = serving().await;
    let stream = client.stream::<_, WeaveProgress>("StreamWeave", asking("hello", "")).await.unwrap();
    let (events, refusal) = stream.rest().await;
    assert_eq!(refusal, None);
    let last = events.last().unwrap();
    assert_eq!(
        (last.stage, last.progress, last.partial_content.as_str()),
        (COMPLETED, 100, "you said hello")
    );
    let result = last.partial_result.as_ref().unwrap();
    assert_eq!((result.r#type.as_str(), result.data_json.as_str()), ("text", "you said hello"));
    let cost = last.cost.as_ref().and_then(|cost| cost.llm_cost.as_ref()).unwrap();
    assert_eq!((cost.input_tokens, cost.output_tokens, cost.total_tokens), (12, 4, 16));
    let tokens: Vec<_> = events.iter().filter(|event| event.is_token_stream).collect();
    assert!(!tokens.is_empty());
    // What these clients show while it comes is the whole text so far.
    assert!(tokens.iter().all(|event| "you said hello".starts_with(&event.partial_content)));
    assert!(tokens.is_sorted_by_key(|event| event.partial_content.len()));

    let stream = client.stream::<_, WeaveProgress>("StreamWeave", asking("use tools", "")).await.unwrap();
    let (events, _) = stream.rest().await;
    let started = events.iter().find(|event| event.is_tool_started).unwrap();
    let done = events.iter().find(|event| event.is_tool_completed).unwrap();
    assert_eq!((started.tool_name.as_str(), &done.tool_call_id), ("search_patterns", &started.tool_call_id));
    assert!(done.tool_success && done.tool_error.is_empty());
}

#[tokio::test]
async fn what_is_refused_has_the_status_that_clients_look_for() {
    let (_server, client) = serving().await;
    let unknown_agent = WeaveRequest { agent_id: "nobody".to_owned(), ..asking("hello", "") };
    for (request, status) in [(asking("", ""), "INVALID_ARGUMENT"), (unknown_agent, "NOT_FOUND")] {
        let unary = client.call::<_, WeaveResponse>("Weave", request.clone()).await.unwrap_err();
        let (events, refusal) = match client.stream::<_, WeaveProgress>("StreamWeave", request).await {
            Ok(stream) => stream.rest().await,
            Err(refusal) => (Vec::new(), Some(refusal)),
        };
        assert_eq!((unary.status.as_str(), refusal.unwrap().status.as_str()), (status, status));
        assert!(events.is_empty());
    }
    // The list of agents is in the message of the one that is not there.
    let unknown_agent = WeaveRequest { agent_id: "nobody".to_owned(), ..asking("hello", "") };
    let refusal = client.call::<_, WeaveResponse>("Weave", unknown_agent).await.unwrap_err();
    assert!(refusal.message.contains("tester"), "{}", refusal.message);
    // What is published and not served says so.
    let refusal = client.call::<_, WeaveResponse>("ExecuteWorkflow", asking("hello", "")).await.unwrap_err();
    assert_eq!(refusal.status, "UNIMPLEMENTED");
}

#[tokio::test]
async fn what_is_there_is_told_as_clients_expect_it() {
    let (_server, client) = serving().await;
    let agents: ListAgentsResponse = client.call("ListAgents", ListAgentsRequest::default()).await.unwrap();
    assert!(!agents.agents.is_empty());
    for agent in &agents.agents {
        assert!(agent.status == "running" && !agent.id.is_empty() && !agent.name.is_empty());
    }
    let tools: ListToolsResponse = client.call("ListTools", ListToolsRequest::default()).await.unwrap();
    assert!(!tools.tools.is_empty() && usize::try_from(tools.total_count) == Ok(tools.tools.len()));
    assert!(tools.tools.iter().all(|tool| !tool.name.is_empty() && !tool.description.is_empty()));
    let storage: GetStorageStatusResponse =
        client.call("GetStorageStatus", GetStorageStatusRequest::default()).await.unwrap();
    let storage = storage.status.unwrap();
    assert_eq!((storage.backend, storage.healthy), (SQLITE, true));
    assert!(storage.latency_ms > 0 && storage.migration_version > 0 && storage.pool_stats.is_some());
}

/// The frames as those clients cut them: what follows `data: ` up to a blank line, decoded by field names of the `.proto`.
#[tokio::test]
async fn the_http_stream_of_existing_clients_keeps_its_frames() {
    let (server, _client) = serving().await;
    let stream = |query: &str| {
        let body = serde_json::json!({ "query": query, "stream_mode": 0, "agent_id": "tester" }).to_string();
        let http = server.http.clone();
        async move {
            http.send(Method::POST, "/v1/weave:stream", &[("content-type", "application/json")], body).await
        }
    };
    let answer = stream("use tools").await;
    assert_eq!(
        (answer.status, &answer.headers["content-type"]),
        (200, &"text/event-stream".parse().unwrap())
    );
    let frames = frames(&answer.text);
    let last = frames.last().unwrap();
    assert_eq!((&last["stage"], &last["progress"]), (&Value::from(COMPLETED), &Value::from(100)));
    assert_eq!(last["partial_content"], "found it");
    assert!(last["cost"]["llm_cost"]["input_tokens"].as_i64().unwrap() > 0);
    for frame in &frames {
        assert!(frame["stage"].is_number() && frame["timestamp"].is_number(), "{frame}");
        nothing_at_its_default(frame);
    }
    let done = frames.iter().find(|frame| frame["is_tool_completed"] == true).unwrap();
    assert_eq!(
        (&done["tool_success"], &done["tool_name"]),
        (&Value::from(true), &Value::from("search_patterns"))
    );
    assert!(done.get("is_tool_started").is_none() && done.get("tool_error").is_none());

    // A failure is the FAILED event, and then a frame whose stage is a name, unlike all others.
    let text = stream("a broken one").await.text;
    let frames = self::frames(&text);
    let [.., failed, error] = frames.as_slice() else { panic!("{text}") };
    assert_eq!((&failed["stage"], &failed["progress"]), (&Value::from(8), &Value::from(100)));
    assert_eq!(error["stage"], "EXECUTION_STAGE_FAILED");
    assert_eq!(error["progress"], 0);
    assert!(!error["error"].as_str().unwrap().is_empty());
    assert!(!text.contains("event:"), "those clients know no event names");
}

fn frames(text: &str) -> Vec<Value> {
    let blocks = text.split("\n\n").filter(|block| !block.is_empty());
    let data = blocks.filter_map(|block| block.lines().find_map(|line| line.strip_prefix("data: ")));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// Zero fields are left out and names are those of the `.proto`. What a tool was given and gave is its own JSON.
fn nothing_at_its_default(value: &Value) {
    let Value::Object(fields) = value else { return };
    for (name, value) in fields {
        assert!(!name.contains(char::is_uppercase), "{name}");
        if name == "tool_input" || name == "tool_result" {
            continue;
        }
        let is_default = match value {
            Value::Null => true,
            Value::Bool(value) => !value,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(_) => false,
        };
        assert!(!is_default, "{name}: {value}");
        nothing_at_its_default(value);
    }
}
