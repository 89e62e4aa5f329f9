//! Commands that ask a running server.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::home::{Home, Said};
use crate::serving::Serving;

const SCRIPT: &str = "
chunk_size: 4
rules:
  - { when: { contains: tools }, reply: { tool_calls: [{ name: search_patterns, arguments: { question: top } }] } }
  - { when: { contains: tools, after_tool: '*' }, reply: { text: found it } }
  - { when: { contains: broken }, reply: { error: { class: quota, message: no money } } }
default: { text: 'you said {{user}}' }
";

async fn chat(server: &Serving, lines: &str) -> Said {
    let mut command = server.home.command(["chat"]);
    command.env("LOOM_SERVER", format!("http://{}", server.grpc));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(lines.as_bytes()).await.unwrap();
    drop(stdin);
    Said::of(&child.wait_with_output().await.unwrap())
}

#[tokio::test]
async fn a_chat_through_a_pipe_is_one_session_with_tools_and_cost() {
    let server = Serving::start(Home::playing(SCRIPT)).await;
    let said = chat(&server, "hello\nuse tools\n").await.worked();
    for part in ["you said hello", "search_patterns", "found it", "tokens in", "$0."] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let sessions = server.http.get("/v1/sessions").await.ok();
    assert_eq!(
        (sessions["totalCount"].as_i64(), sessions["sessions"][0]["conversationCount"].as_i64()),
        (Some(1), Some(2))
    );
    let said = chat(&server, "hello\na broken one\nhello\n").await;
    assert_eq!(
        said.out.matches("you said hello").count(),
        1,
        "what is piped ends with the first failure: {}",
        said.out
    );
    assert!(said.failed(1).contains("LOOM_LLM_QUOTA"));
}

#[tokio::test]
async fn a_chat_continues_only_a_session_that_is_there() {
    let server = Serving::start(Home::playing(SCRIPT)).await;
    assert!(server.run(["chat", "--session", "nope"]).await.failed(4).contains("LOOM_SESSION_NOT_FOUND"));
    assert_eq!(server.http.get("/v1/sessions").await.ok()["totalCount"], 0);
    let session = server.ask("hello").await["sessionId"].as_str().unwrap().to_owned();
    server.run(["chat", "--session", &session]).await.worked();
}

#[tokio::test]
async fn agents_sessions_patterns_and_traces_are_shown() {
    let server = Serving::start(Home::playing(SCRIPT)).await;
    let answer = server.ask("use tools").await;
    let (session, trace) = (answer["sessionId"].as_str().unwrap(), answer["traceId"].as_str().unwrap());
    let worked = async |arguments: &[&str]| {
        let mut command = server.home.command::<0>([]);
        command.args(arguments).env("LOOM_SERVER", format!("http://{}", server.grpc));
        Said::of(&command.output().await.unwrap()).worked()
    };
    for (arguments, parts) in [
        (&["agent", "list"][..], &["tester", "running"][..]),
        (&["agent", "show", "tester"], &["tester", "Test."]),
        (&["agent", "reload", "tester"], &["tester is reloaded"]),
        (&["session", "list"], &[session, "tester"]),
        (&["session", "show", session], &["use tools", "search_patterns", "found it"]),
        (&["pattern", "list", "--domain", "postgres"], &["postgres"]),
        (&["pattern", "search", "top", "customers"], &["top_by_total"]),
        (&["trace", "show", trace], &["invoke_agent", "chat mock", "execute_tool search_patterns", session]),
        (&["health"], &["healthy", "storage"]),
    ] {
        let said = worked(arguments).await;
        for part in parts {
            assert!(said.contains(part), "{part} is not in what {arguments:?} says: {said}");
        }
    }
    for arguments in [
        &["agent", "list", "--json"][..],
        &["session", "show", session, "--json"],
        &["trace", "show", trace, "--json"],
    ] {
        let said = worked(arguments).await;
        assert!(serde_json::from_str::<Value>(&said).is_ok(), "{said}");
    }
    assert!(worked(&["session", "delete", session]).await.contains(session));
    for arguments in [
        ["session", "show", session],
        ["session", "delete", session],
        ["agent", "show", "nobody"],
        ["trace", "show", "nothing"],
    ] {
        let error = server.run(arguments).await.failed(4);
        assert!(error.contains("LOOM_") && error.contains("NOT_FOUND"), "{error}");
    }
}

#[tokio::test]
async fn without_a_server_they_say_so() {
    let server = Serving::start(Home::playing(SCRIPT)).await;
    let address = format!("http://{}", server.grpc);
    let (home, said) = server.stop().await;
    said.worked();
    for arguments in [["agent", "list"], ["chat", "--agent=x"], ["session", "list"], ["trace", "show"]] {
        let mut command = home.command::<0>([]);
        command.args(arguments).args((arguments[0] == "trace").then_some("x")).args(["--server", &address]);
        let error = Said::of(&command.output().await.unwrap()).failed(3);
        assert!(error.contains("looms serve") && error.contains(&address), "{error}");
    }
}
