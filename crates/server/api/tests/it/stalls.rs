//! Clients that do not read what they asked for.

use std::sync::Arc;
use std::time::Duration;

use loom_access::AllowLocal;
use loom_api::{Failure, Limits};
use loom_base::ErrorCode;
use loom_proto::v1::{GetHealthRequest, WeaveRequest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::setup::{Running, json, limits, start_with};

/// How long a state may take to come about; no test passes or fails by it unless something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

fn asking(query: &str) -> WeaveRequest {
    WeaveRequest { query: query.into(), ..WeaveRequest::default() }
}

async fn start(places: usize, stall_time: Duration) -> Running {
    let limits = Limits { concurrent_requests: places, stall_time, ..limits() };
    start_with(limits, Arc::new(AllowLocal)).await
}

impl Running {
    /// Asks for a stream over HTTP and reads none of it.
    async fn ask_and_not_read(&self, path: &str) -> TcpStream {
        let body = r#"{"query": "flood"}"#;
        let mut deaf = TcpStream::connect(self.http).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        deaf.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        deaf
    }

    /// Waits until `calls` are in progress, and there is no place for another.
    async fn until_full(&self, calls: i64) {
        while self.metrics.requests_in_flight.get() < calls {
            tokio::task::yield_now().await;
        }
        self.until(|code| code == "LOOM_OVERLOADED").await;
    }

    async fn until_free(&self) {
        self.until(str::is_empty).await;
    }

    async fn until(&self, wanted: impl Fn(&str) -> bool) {
        let looking = async {
            loop {
                let answer = json(self.post("/v1/weave", r#"{"query": "q"}"#).await).await;
                if wanted(answer["code"].as_str().unwrap_or_default()) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.expect("it comes about");
    }
}

#[tokio::test]
async fn those_who_do_not_read_lose_their_places_and_then_their_connections() {
    let server = start(3, Duration::from_millis(300)).await;
    let mut deaf = Vec::new();
    for path in ["/v1/weave:stream", "/v1/chat:stream", "/v1/weave:stream"] {
        deaf.push(server.ask_and_not_read(path).await);
    }
    while server.metrics.requests_in_flight.get() < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        json(server.get("/v1/health").await).await["status"],
        "healthy",
        "health answers all the same"
    );
    server.until_free().await;
    while server.metrics.requests_in_flight.get() > 0 {
        tokio::task::yield_now().await;
    }
    for mut deaf in deaf {
        let mut rest = Vec::new();
        // Whether the system tells of the cut with an error or an end: the stream does not end as streams do.
        let _ = tokio::time::timeout(PATIENCE, deaf.read_to_end(&mut rest)).await.expect("it is cut off");
        assert!(!rest.ends_with(b"\r\n0\r\n\r\n"), "it ended well");
    }
}

#[tokio::test]
async fn one_who_reads_again_in_time_is_told_over_http() {
    let server = start(1, Duration::from_secs(3)).await;
    let mut deaf = server.ask_and_not_read("/v1/chat:stream").await;
    server.until_full(1).await;
    assert_eq!(
        json(server.get("/v1/health").await).await["status"],
        "healthy",
        "health answers all the same"
    );
    server.until_free().await;
    let mut rest = Vec::new();
    let mut part = vec![0; 1 << 16];
    while !rest.ends_with(b"\r\n0\r\n\r\n") {
        let length = deaf.read(&mut part).await.unwrap();
        assert!(length > 0, "the stream ends well");
        rest.extend_from_slice(&part[..length]);
    }
    let end = String::from_utf8_lossy(&rest[rest.len() - 600..]).into_owned();
    assert!(end.contains("event: error\ndata: {\"code\":\"LOOM_DEADLINE_EXCEEDED\""), "{end}");
}

#[tokio::test]
async fn one_who_reads_again_in_time_is_told_over_grpc() {
    let server = start(1, Duration::from_secs(3)).await;
    let mut deaf = server.client().await.stream_weave(asking("flood")).await.unwrap().into_inner();
    server.until_full(1).await;
    server.until_free().await;
    let status = loop {
        match deaf.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended well"),
            Err(status) => break status,
        }
    };
    assert_eq!(Failure::from_status(&status).code, ErrorCode::DeadlineExceeded);
}

#[tokio::test]
async fn one_stream_is_reset_and_the_others_of_its_connection_go_on() {
    let server = start(2, Duration::from_secs(2)).await;
    let channel = tonic::transport::Channel::from_shared(format!("http://{}", server.grpc)).unwrap();
    // A window of the connection that one stream cannot use up.
    let channel = channel.initial_connection_window_size(8 << 20).connect().await.unwrap();
    let mut client = loom_proto::v1::loom_service_client::LoomServiceClient::new(channel);
    let mut quiet = client.stream_weave(asking("hang")).await.unwrap().into_inner();
    quiet.message().await.unwrap().unwrap();
    let mut deaf = client.stream_weave(asking("flood")).await.unwrap().into_inner();
    // The quiet one keeps its place: it takes all there is.
    server.until_full(2).await;
    server.until_free().await;
    while server.metrics.requests_in_flight.get() > 1 {
        client.get_health(GetHealthRequest {}).await.unwrap();
    }
    let status = loop {
        match deaf.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended well"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), tonic::Code::Cancelled, "{status:?}");
    assert_eq!(server.metrics.requests_in_flight.get(), 1);
    client.weave(asking("q")).await.unwrap();
}

#[tokio::test]
async fn silence_is_not_the_client_s_fault() {
    let server = start(1, Duration::from_millis(40)).await;
    let response = server.post("/v1/chat:stream", r#"{"query": "hang"}"#).await;
    let mut body = response.into_body();
    // One each 20 ms.
    for _ in 0..20 {
        http_body_util::BodyExt::frame(&mut body).await.expect("the stream goes on").unwrap();
    }
    server.until_full(1).await;
}
