//! Two complete servers side by side in one process: nothing is shared, nothing is global.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use loom_embed::base::ErrorCode;
use loom_embed::mock::{MockProvider, Script};
use loom_embed::runtime::TurnRequest;
use loom_embed::server::ServeOptions;
use loom_embed::{Loom, SystemClock};
use loom_testkit::Reflected;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt;

use crate::setup::{PATIENCE, add_tool, agent, folder, until};

struct Served {
    loom: Loom,
    client: Reflected,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

async fn loom_called(name: &str, folder: &Path) -> Loom {
    let script = format!(
        "chunk_size: 2\nrules: [{{ when: {{ contains: sleep }}, reply: {{ text: late, latency_ms: 600000 }} }}, {{ when: {{ contains: sum }}, reply: {{ tool_calls: [{{ name: add, arguments: {{ a: 1, b: 2 }} }}] }} }}]\n\
         default: {{ text: 'this is {name}' }}\n"
    );
    let mut agent = agent();
    name.clone_into(&mut agent.name);
    Loom::builder()
        .data_dir(folder)
        .provider(
            "mock",
            "script-1",
            Arc::new(MockProvider::new(Script::parse(&script).unwrap(), Arc::new(SystemClock))),
        )
        .tool(add_tool())
        .agent(agent)
        .build()
        .await
        .unwrap()
}

async fn serve(loom: Loom) -> Served {
    let bound = loom.bind(&ServeOptions::local()).await.unwrap();
    let address = bound.grpc.to_string();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(bound.serve(stop.clone()));
    let client = Reflected::connect(&address, "loom.v1.LoomService").await.unwrap();
    Served { loom, client, stop, serving }
}

impl Served {
    async fn call(&self, rpc: &str, request: Value) -> Value {
        self.client.call(rpc, request, &[]).await.unwrap()
    }

    async fn code(&self, rpc: &str, request: Value) -> String {
        self.client.call(rpc, request, &[]).await.unwrap_err().reason
    }

    async fn end(self) {
        drop(self.client);
        self.stop.cancel();
        self.serving.await.unwrap();
        self.loom.close(PATIENCE).await;
    }
}

#[tokio::test]
async fn two_servers_serve_different_agents_at_once() {
    let folders = [folder(), folder()];
    let left = serve(loom_called("left", folders[0].path()).await).await;
    let right = serve(loom_called("right", folders[1].path()).await).await;
    for _ in 0..4 {
        let ask = json!({ "query": "who is this?", "sessionId": "shared" });
        let (one, other) = tokio::join!(left.call("Weave", ask.clone()), right.call("Weave", ask));
        assert_eq!((&one["text"], &other["text"]), (&json!("this is left"), &json!("this is right")));
        assert_ne!(one["traceId"], other["traceId"]);
    }
    let mine = left.call("Weave", json!({ "query": "hi" })).await;
    for (server, name, other, sessions) in [(&left, "left", "right", 2), (&right, "right", "left", 1)] {
        let agents = server.call("ListAgents", json!({})).await;
        assert_eq!((&agents["totalCount"], &agents["agents"][0]["name"]), (&json!(1), &json!(name)));
        assert_eq!(server.code("GetAgent", json!({ "agentId": other })).await, "LOOM_AGENT_NOT_FOUND");
        assert_eq!(server.call("ListSessions", json!({})).await["totalCount"], sessions);
        let metrics = loom_metrics(&server.loom);
        assert!(
            metrics.contains(&format!("agent=\"{name}\""))
                && !metrics.contains(&format!("agent=\"{other}\""))
        );
    }
    assert_eq!(
        right.code("GetSession", json!({ "sessionId": mine["sessionId"] })).await,
        "LOOM_SESSION_NOT_FOUND"
    );
    assert_eq!(right.code("GetTrace", json!({ "traceId": mine["traceId"] })).await, "LOOM_TRACE_NOT_FOUND");

    left.end().await;
    assert_eq!(right.call("Weave", json!({ "query": "alone?" })).await["text"], "this is right");
    let again = serve(loom_called("left", folders[0].path()).await).await;
    assert_eq!(again.call("GetSession", json!({ "sessionId": "shared" })).await["conversationCount"], 4);
    again.end().await;
    right.end().await;
}

#[tokio::test]
async fn a_stop_parks_the_turns_of_its_own_loom_only() {
    let folders = [folder(), folder()];
    let left = loom_called("left", folders[0].path()).await;
    let right = serve(loom_called("right", folders[1].path()).await).await;
    let mut options = ServeOptions::local();
    options.limits.drain_time = Duration::ZERO;
    let bound = left.bind(&options).await.unwrap();
    let address = bound.grpc.to_string();
    let mine = left.start(TurnRequest::new("sleep")).await.unwrap();
    let other = right.loom.start(TurnRequest::new("sleep")).await.unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(left.serve(bound, stop.clone()));
    let client = Reflected::connect(&address, "loom.v1.LoomService").await.unwrap();
    stop.cancel();
    serving.await.unwrap();
    assert_eq!(mine.end().await.unwrap_err().error.code, ErrorCode::ShuttingDown);
    let refused = client.call("GetHealth", json!({}), &[]).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(right.call("Weave", json!({ "query": "alone?" })).await["text"], "this is right");
    assert!(other.end().now_or_never().is_none(), "it runs on");
    other.cancel();
    right.end().await;
}

#[tokio::test]
async fn each_keeps_the_inner_spans_of_its_own_turns() {
    let folders = [folder(), folder()];
    let looms = [loom_called("left", folders[0].path()).await, loom_called("right", folders[1].path()).await];
    let layers: Vec<_> = looms.iter().map(|loom| loom.span_layer().unwrap()).collect();
    // For the whole process: a span that another test's thread meets first would be off for good with a subscriber that
    // only this thread has.
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layers)).unwrap();
    let [left, right] = looms;
    let (left, right) = (serve(left).await, serve(right).await);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let detailed = json!({ "query": "hi", "enableTrace": true });
    let headers = [("traceparent", parent.as_str())];
    // The same trace goes through both servers, and twice through each: a turn's spans are its own all the same.
    let mut turns = Vec::new();
    for server in [&left, &right, &left, &right] {
        let answer = server.client.call("Weave", detailed.clone(), &headers).await.unwrap();
        turns.push((server, answer["turnId"].clone()));
    }
    for (server, turn) in turns {
        let names = tokio::time::timeout(PATIENCE, async {
            loop {
                let trace = server.call("GetTrace", json!({ "traceId": turn })).await;
                let spans = trace["spans"].as_array().unwrap().iter();
                let names: Vec<_> = spans.map(|span| span["name"].as_str().unwrap().to_owned()).collect();
                if names.len() >= 3 {
                    break names;
                }
                tokio::task::yield_now().await;
            }
        });
        let names = names.await.expect("the inner spans are stored");
        assert_eq!(names[0], "invoke_agent");
        let count = |name: &str| names.iter().filter(|known| *known == name).count();
        assert_eq!((count("invoke_agent"), count("chat script-1"), count("chat")), (1, 1, 1), "{names:?}");
    }
    left.end().await;
    right.end().await;
}

#[tokio::test]
async fn a_call_that_is_given_up_while_its_turn_waits_leaves_nothing_to_run() {
    let folder = folder();
    let script = "rules: [{ when: { contains: slow }, reply: { text: never said, latency_ms: 600000 } }]\n\
                  default: { text: fine }\n";
    let server = Arc::new(serve(crate::setup::loom(folder.path(), script).await).await);
    let in_flight = |count: i64| {
        let metrics = server.loom.metrics();
        until("calls in flight", async move || (metrics.requests_in_flight.get() == count).then_some(()))
    };
    let slow = json!({ "query": "slow", "sessionId": "mine", "cancelOnDisconnect": true });
    let mut running = server.client.stream("StreamWeave", slow, &[]).await.unwrap();
    running.next().await.unwrap().unwrap();
    for rpc in ["Weave", "StreamWeave"] {
        let waiting = tokio::spawn({
            let server = Arc::clone(&server);
            async move {
                let asked = json!({ "query": "late", "sessionId": "mine", "cancelOnDisconnect": true });
                if rpc == "Weave" {
                    drop(server.client.call(rpc, asked, &[]).await);
                } else {
                    // It has its stream at once, and hears nothing.
                    let _open = server.client.stream(rpc, asked, &[]).await;
                    std::future::pending::<()>().await;
                }
            }
        });
        in_flight(2).await;
        waiting.abort();
        in_flight(1).await;
    }
    drop(running);
    assert_eq!(server.call("Weave", json!({ "query": "hi", "sessionId": "mine" })).await["text"], "fine");
    let history = server.call("GetConversationHistory", json!({ "sessionId": "mine" })).await;
    let said: Vec<_> =
        history["messages"].as_array().unwrap().iter().map(|message| &message["content"]).collect();
    assert_eq!(said, ["slow", "hi", "fine"]);
    Arc::into_inner(server).unwrap().end().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_refused_and_named() {
    let folders = [folder(), folder()];
    let first = loom_called("left", folders[0].path()).await;
    let second = loom_called("right", folders[1].path()).await;
    let bound = first.bind(&ServeOptions::local()).await.unwrap();
    let taken = ServeOptions { grpc_port: bound.grpc.port(), ..ServeOptions::local() };
    let error = second.bind(&taken).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::InvalidConfig);
    assert!(error.message.contains(&bound.grpc.port().to_string()), "{error}");
    drop(bound);
    first.close(PATIENCE).await;
    second.close(PATIENCE).await;
}

fn loom_metrics(loom: &Loom) -> String {
    use loom_telemetry::MetricsSource as _;
    loom.metrics().render()
}
