//! What the commands print and ask.

use loom_cli::{Error, Exit};
use loom_proto::v1::*;
use serde_json::Value;
use tokio::net::TcpListener;
use tonic::Code;

use crate::asking::trace;
use crate::server::{Answer, Answers, Running, details, start};
use crate::setup::{looms, looms_at};

/// A moment for tests.
const WHEN: i64 = 1_767_225_600;

async fn printed(server: &Running, line: &str) -> String {
    let (text, ended) = looms(server, line, "").await;
    ended.unwrap();
    text
}

fn agent() -> AgentInfo {
    let llm = LlmConfig { provider: "anthropic".into(), model: "claude".into(), ..LlmConfig::default() };
    let config = AgentConfig {
        name: "shop".into(),
        description: "Answers questions about the shop".into(),
        system_prompt: "You know the shop.\nBe brief.\u{1b}[2J".into(),
        llm: Some(llm),
        backends: vec!["shop-db".into()],
        ..AgentConfig::default()
    };
    AgentInfo {
        id: "agent_1".into(),
        name: "shop".into(),
        status: "running".into(),
        active_sessions: 2,
        total_messages: 1_234,
        config: Some(config),
        created_at: WHEN,
        updated_at: WHEN + 60,
        ..AgentInfo::default()
    }
}

#[tokio::test]
async fn agents() {
    let list = ListAgentsResponse { agents: vec![agent()], total_count: 1, ..Default::default() };
    let mut server = start(
        Answers::default()
            .message("list_agents", &list)
            .message("get_agent", &agent())
            .message("reload_agent", &agent())
            .message("delete_agent", &DeleteAgentResponse { success: true, agent_id: "agent_1".into() }),
    );
    insta::assert_snapshot!("agent_list", printed(&server, "agent list").await);
    server.asked::<ListAgentsRequest>("list_agents").await;
    insta::assert_snapshot!("agent_show", printed(&server, "agent show shop").await);
    assert_eq!(server.asked::<GetAgentRequest>("get_agent").await.agent_id, "shop");
    assert_eq!(printed(&server, "agent reload shop").await, "agent shop is reloaded\n");
    assert!(server.asked::<ReloadAgentRequest>("reload_agent").await.reload_from_file);
    assert_eq!(printed(&server, "agent delete shop --force").await, "agent agent_1 is deleted\n");
    assert!(server.asked::<DeleteAgentRequest>("delete_agent").await.force);
}

#[tokio::test]
async fn sessions() {
    let session = Session {
        id: "sess_1".into(),
        name: "first try".into(),
        agent_id: "agent_1".into(),
        agent_name: "shop".into(),
        state: "active".into(),
        created_at: WHEN,
        updated_at: WHEN + 60,
        total_cost_usd: 0.0123,
        conversation_count: 3,
        ..Session::default()
    };
    let call = |success, text: &str| ToolCall {
        name: "query".into(),
        args_json: r#"{"sql":"SELECT 1"}"#.into(),
        result_json: if success { text.into() } else { String::new() },
        error: if success { String::new() } else { text.into() },
        duration_ms: 3,
        success,
    };
    let said = |role: &str, content: &str, tool_calls| Message {
        role: role.into(),
        content: content.into(),
        timestamp: WHEN,
        tool_calls,
        ..Message::default()
    };
    let calls = vec![call(true, r#"{"row_count":1}"#), call(false, "no such\ntable")];
    let history = ConversationHistory {
        session_id: "sess_1".into(),
        messages: vec![
            said("user", "how many?", vec![]),
            said("assistant", "Let me see.", calls),
            said("tool", "unseen", vec![]),
            said("assistant", "One.", vec![]),
        ],
        total_count: 9,
    };
    let list = ListSessionsResponse { sessions: vec![session.clone()], total_count: 3 };
    let mut server = start(
        Answers::default()
            .message("list_sessions", &list)
            .message("get_session", &session)
            .message("get_conversation_history", &history)
            .message("delete_session", &DeleteSessionResponse { success: true, message: "gone".into() }),
    );
    insta::assert_snapshot!("session_list", printed(&server, "session list --agent shop --limit 1").await);
    let asked: ListSessionsRequest = server.asked("list_sessions").await;
    assert_eq!((asked.agent_id.as_str(), asked.limit, asked.offset), ("shop", 1, 0));
    insta::assert_snapshot!("session_show", printed(&server, "session show sess_1 --offset 2").await);
    server.asked::<GetSessionRequest>("get_session").await;
    let asked: GetConversationHistoryRequest = server.asked("get_conversation_history").await;
    assert_eq!((asked.session_id.as_str(), asked.limit, asked.offset), ("sess_1", 50, 2));
    assert_eq!(printed(&server, "session delete sess_1").await, "session sess_1 is deleted\n");
    let both: Value = serde_json::from_str(&printed(&server, "session show sess_1 --json").await).unwrap();
    assert_eq!(both["session"]["totalCostUsd"], 0.0123);
    assert_eq!(both["history"]["messages"][1]["toolCalls"][0]["durationMs"], "3");
}

#[tokio::test]
async fn patterns() {
    let limit = PatternParameter {
        name: "limit".into(),
        r#type: "number".into(),
        default_value: "5".into(),
        description: "how many".into(),
        ..PatternParameter::default()
    };
    let example =
        PatternExample { input: r#"{"limit":3}"#.into(), output: "3 rows".into(), ..Default::default() };
    let hints =
        [("backend_type", "sql"), ("confidence", "0.913"), ("template.main", "SELECT c\nLIMIT {{limit}}")];
    let pattern = Pattern {
        name: "top_n".into(),
        domain: "sql-core".into(),
        category: "ranking".into(),
        description: "The largest values of a measure".into(),
        parameters: vec![limit],
        examples: vec![example],
        backend_hints: hints.map(|(name, text)| (name.to_owned(), text.to_owned())).into(),
        tags: vec!["top".into(), "best".into()],
    };
    let list = ListPatternsResponse { patterns: vec![pattern.clone()], total_count: 1, ..Default::default() };
    let mut server =
        start(Answers::default().message("list_patterns", &list).message("get_pattern", &pattern));
    insta::assert_snapshot!("pattern_list", printed(&server, "pattern list --domain sql-core").await);
    assert_eq!(server.asked::<ListPatternsRequest>("list_patterns").await.domain, "sql-core");
    insta::assert_snapshot!("pattern_search", printed(&server, "pattern search best customers").await);
    assert_eq!(server.asked::<ListPatternsRequest>("list_patterns").await.search, "best customers");
    insta::assert_snapshot!("pattern_show", printed(&server, "pattern show top_n").await);
}

#[tokio::test]
async fn pattern_files() {
    let problem = "sql/b.yaml:2:1: unknown key `titel`\u{1b}[2J";
    let file = PatternFileError { file: "sql/b.yaml".into(), line: 2, ..PatternFileError::default() };
    let loaded = LoadPatternsResponse {
        patterns_loaded: 2,
        pattern_names: vec!["a".into(), "c".into()],
        errors: vec![problem.into()],
        failed: vec![file],
        changed: vec!["a".into()],
        removed: vec!["d".into()],
    };
    let mut update = PatternUpdateEvent {
        pattern_name: "b".into(),
        timestamp: WHEN,
        file_path: "sql/b.yaml".into(),
        error: problem.into(),
        ..PatternUpdateEvent::default()
    };
    update.set_type(PatternUpdateType::PatternValidationFailed);
    let answers = Answers::default()
        .message("load_patterns", &loaded)
        .message("stream_pattern_updates", &update)
        .message("create_pattern", &CreatePatternResponse::default());
    let mut server = start(answers);
    let (text, ended) = looms(&server, "pattern load --dir ./patterns/sql --domain sql --force", "").await;
    insta::assert_snapshot!("pattern_load", text);
    assert!(ended.unwrap_err().to_string().contains("1 file cannot be used"));
    let asked = server.asked::<LoadPatternsRequest>("load_patterns").await;
    assert_eq!(
        (asked.source.as_str(), &asked.domains[..], asked.force_reload),
        ("./patterns/sql", &["sql".to_owned()][..], true)
    );
    insta::assert_snapshot!("pattern_watch", printed(&server, "pattern watch --category a --agent b").await);
    let asked = server.asked::<StreamPatternUpdatesRequest>("stream_pattern_updates").await;
    assert_eq!((asked.category.as_str(), asked.agent_id.as_str()), ("a", "b"));
}

#[tokio::test]
async fn traces_and_tools() {
    let tool = ToolDefinition {
        name: "query".into(),
        description: "Runs one query".into(),
        backends: vec!["a".into(), "b".into()],
        ..ToolDefinition::default()
    };
    let list = ListToolsResponse { tools: vec![tool], total_count: 1 };
    let mut server = start(Answers::default().message("get_trace", &trace()).message("list_tools", &list));
    insta::assert_snapshot!("trace_show", printed(&server, "trace show turn_1").await);
    assert_eq!(server.asked::<GetTraceRequest>("get_trace").await.trace_id, "turn_1");
    insta::assert_snapshot!("tool_list", printed(&server, "tool list --backend a").await);
    assert_eq!(server.asked::<ListToolsRequest>("list_tools").await.backend, "a");
    let json: Value = serde_json::from_str(&printed(&server, "trace show turn_1 --json").await).unwrap();
    assert_eq!(json["spans"][1]["parentId"], "a");
}

#[tokio::test]
async fn health_is_told_and_an_unhealthy_server_is_a_failure() {
    let part = |status: &str, error: &str| ComponentHealth {
        status: status.into(),
        error: error.into(),
        ..ComponentHealth::default()
    };
    let mut health = HealthStatus {
        status: "degraded".into(),
        version: "0.1.0".into(),
        uptime_seconds: 3_725,
        components: [
            ("storage".into(), part("healthy", "")),
            ("agents".into(), part("degraded", "shop.yaml: unknown key")),
        ]
        .into(),
    };
    let server = start(Answers::default().message("get_health", &health));
    insta::assert_snapshot!("health", printed(&server, "health").await);
    health.status = "unhealthy".into();
    let server = start(Answers::default().message("get_health", &health));
    let (text, ended) = looms(&server, "health --json", "").await;
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["status"], "unhealthy");
    assert_eq!(ended.unwrap_err().exit(), Exit::Failed);
}

#[tokio::test]
async fn all_pages_of_agents_are_read() {
    let page = ListAgentsResponse { agents: vec![agent()], next_page_token: "shop".into(), total_count: 2 };
    let mut server = start(Answers::default().message("list_agents", &page));
    // This server has a next page for ever; the second is enough to see.
    let reading = tokio::spawn({
        let endpoint = server.endpoint();
        async move { looms_at(&endpoint, "agent list", "").await }
    });
    assert_eq!(server.asked::<ListAgentsRequest>("list_agents").await.page_token, "");
    assert_eq!(server.asked::<ListAgentsRequest>("list_agents").await.page_token, "shop");
    server.kill();
    assert_eq!(reading.await.unwrap().1.unwrap_err().exit(), Exit::Unreachable);
}

#[tokio::test]
async fn a_refusal_is_the_commands_end() {
    let refusal =
        Answer::Refusal(Code::NotFound, "no agent".into(), details("LOOM_AGENT_NOT_FOUND", ("a", "b")));
    let server = start(Answers::default().answer("get_agent", refusal));
    let (text, ended) = looms(&server, "agent show nobody", "").await;
    assert_eq!((text.as_str(), ended.unwrap_err().exit()), ("", Exit::NotFound));
}

#[tokio::test]
async fn without_a_server_every_command_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let lines = [
        "chat",
        "agent list",
        "session list",
        "turn list",
        "turn watch t",
        "effect list",
        "approval list",
        "pattern list",
        "trace show t",
        "tool list",
        "health",
    ];
    for line in lines {
        let (_, ended) = looms_at(&nowhere, line, "hello\n").await;
        let error = ended.unwrap_err();
        assert_eq!(error.exit(), Exit::Unreachable, "{line}");
        let Error::Server(error) = error else { panic!("{error:?}") };
        assert_eq!(error.message, format!("no server answers at {nowhere}; start one with `looms serve`"));
    }
}
