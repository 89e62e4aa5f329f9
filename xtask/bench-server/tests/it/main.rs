//! The bench server as the public load harness calls it: raw messages over gRPC, and JSON on the second port.
//!
//! The messages are made and read by field numbers, as a client that was generated from the public API has them: the test would
//! not notice a renamed field, and does notice one that moved.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::tests_outside_test_module,
    reason = "an integration test is a test module as a whole"
)]

use std::net::Ipv4Addr;
use std::process::Stdio;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// What the harness asks.
const QUERY: &str = "SELECT * FROM test_table WHERE id = 1";
/// `WeaveRequest.query`, `.session_id` and `.agent_id`.
const REQUEST: [u64; 3] = [1, 2, 9];
/// `WeaveResponse.text` and `.session_id`.
const RESPONSE: [u64; 2] = [1, 3];
/// `WeaveProgress.stage` and `.partial_content`; the stage COMPLETED.
const PROGRESS: [u64; 2] = [1, 8];
const COMPLETED: u64 = 7;

/// A bench server, killed with this.
struct Bench {
    _child: Child,
    grpc: u16,
    http: u16,
}

impl Bench {
    async fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bench-server"));
        command.args([
            "--port",
            "0",
            "--http-port",
            "0",
            "--llm-latency",
            "0ms",
            "--stream-chunk-delay",
            "0ms",
        ]);
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("it says where it is");
        let mut ports = line.split(", ").map(|part| part.rsplit_once(':').unwrap().1.parse().unwrap());
        Self { grpc: ports.next().unwrap(), http: ports.next().unwrap(), _child: child }
    }

    /// Asks the second port.
    async fn ask(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.http)).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request::builder().method(method).uri(path).header("host", "bench");
        let response =
            sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn metric(&self, name: &str) -> u64 {
        self.ask(Method::GET, "/metrics", Value::Null).await.1[name].as_u64().unwrap()
    }

    /// Calls an RPC with these texts in its request, and reads the messages of its answer and its status.
    async fn call(&self, rpc: &str, texts: [&str; 3]) -> (Vec<Message>, String) {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.grpc)).await.unwrap();
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::post(format!("http://127.0.0.1:{}/loom.v1.LoomService/{rpc}", self.grpc))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(framed(texts)))
            .unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        let status = trailers.get("grpc-status").or_else(|| head.headers.get("grpc-status")).unwrap();
        (unframed(&body.to_bytes()), status.to_str().unwrap().to_owned())
    }
}

/// A request whose text fields hold `texts`, with the prefix of gRPC.
fn framed(texts: [&str; 3]) -> Bytes {
    let mut message = BytesMut::new();
    for (number, text) in REQUEST.into_iter().zip(texts).filter(|(_, text)| !text.is_empty()) {
        message.put_u8(u8::try_from(number << 3 | 2).unwrap());
        message.put_u8(u8::try_from(text.len()).expect("shorter than 128 bytes"));
        message.put_slice(text.as_bytes());
    }
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap());
    framed.extend_from_slice(&message);
    framed.freeze()
}

/// The fields of a message: numbers, and what has a length.
#[derive(Debug, Default)]
struct Message {
    numbers: Vec<(u64, u64)>,
    texts: Vec<(u64, Vec<u8>)>,
}

impl Message {
    fn read(bytes: &[u8]) -> Self {
        let (mut message, mut rest) = (Self::default(), bytes);
        while !rest.is_empty() {
            let key = varint(&mut rest);
            match key & 7 {
                0 => message.numbers.push((key >> 3, varint(&mut rest))),
                1 => rest = &rest[8..],
                2 => {
                    let length = usize::try_from(varint(&mut rest)).unwrap();
                    let (text, after) = rest.split_at(length);
                    message.texts.push((key >> 3, text.to_vec()));
                    rest = after;
                }
                5 => rest = &rest[4..],
                other => panic!("no such wire type: {other}"),
            }
        }
        message
    }

    fn number(&self, field: u64) -> u64 {
        self.numbers.iter().find(|(number, _)| *number == field).map_or(0, |(_, value)| *value)
    }

    fn text(&self, field: u64) -> String {
        let found = self.texts.iter().find(|(number, _)| *number == field);
        found.map(|(_, text)| String::from_utf8(text.clone()).unwrap()).unwrap_or_default()
    }
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, after) = rest.split_first().expect("a number has an end");
        *rest = after;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}

fn unframed(bytes: &[u8]) -> Vec<Message> {
    let (mut messages, mut rest) = (Vec::new(), bytes);
    while rest.len() >= 5 {
        let length = u32::from_be_bytes(rest[1..5].try_into().unwrap()) as usize;
        messages.push(Message::read(&rest[5..5 + length]));
        rest = &rest[5 + length..];
    }
    messages
}

#[tokio::test]
async fn the_public_harness_is_served() {
    let bench = Bench::start().await;
    assert_eq!(bench.ask(Method::GET, "/health", Value::Null).await.0, 200);

    let (answers, status) = bench.call("Weave", [QUERY, "", ""]).await;
    assert_eq!((status.as_str(), answers.len()), ("0", 1));
    assert_eq!(answers[0].text(RESPONSE[0]), format!("Load test response for: {QUERY}"));
    let session = answers[0].text(RESPONSE[1]);
    let (again, _) = bench.call("Weave", [QUERY, &session, ""]).await;
    assert_eq!(again[0].text(RESPONSE[1]), session, "a session is used again by its id");

    let (events, status) = bench.call("StreamWeave", [QUERY, "named-by-the-harness", ""]).await;
    let last = events.last().expect("there are events");
    assert_eq!((status.as_str(), last.number(PROGRESS[0])), ("0", COMPLETED), "{last:?}");
    assert_eq!(last.text(PROGRESS[1]), format!("Load test response for: {QUERY}"));
    assert!(events.len() > 4, "the answer comes in pieces of ten characters: {}", events.len());
    assert_eq!((bench.metric("TotalCalls").await, bench.metric("SuccessCount").await), (3, 3));

    let (status, set) = bench
        .ask(
            Method::POST,
            "/reconfigure",
            json!({ "num_agents": 3, "llm_error_rate": 1.0, "llm_latency_ms": 1 }),
        )
        .await;
    assert_eq!((status, &set["agents"], &set["status"]), (200, &json!(3), &json!("reconfigured")));
    let (_, status) = bench.call("Weave", [QUERY, "", "bench-agent-2"]).await;
    assert_eq!(status, "14", "UNAVAILABLE: there is such an agent, and every call of its model fails");
    assert!(bench.metric("ErrorCount").await > 0);
    let (refused, said) = bench.ask(Method::POST, "/reconfigure", json!({ "llm_speed": 1 })).await;
    assert!(refused == 400 && said["error"].as_str().unwrap().contains("llm_speed"), "{said}");

    assert_eq!(bench.ask(Method::POST, "/reset", Value::Null).await.0, 200);
    assert_eq!(bench.metric("TotalCalls").await, 0);
    let (status, _) = bench.ask(Method::POST, "/reconfigure", json!({ "llm_error_rate": 0.0 })).await;
    assert_eq!(status, 200);
    let (answers, _) = bench.call("Weave", [QUERY, &session, ""]).await;
    assert_eq!(answers[0].text(RESPONSE[1]), session, "what was removed begins anew");
}
