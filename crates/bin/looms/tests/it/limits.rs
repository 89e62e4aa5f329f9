//! What strangers send: too much, too many, from elsewhere, and then nothing more. The next request works each time.

use std::net::SocketAddr;

use ::http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::doors::Door;
use crate::home::Home;
use crate::serving::{Serving, until};

const SCRIPT: &str = "
rules:
  - { when: { contains: sleep }, reply: { text: late, latency_ms: 600000 } }
default: { text: fine }
";

/// Sends `head`, then `chunk` up to `times` times or until nobody takes it, and returns the answer.
async fn flood(address: SocketAddr, head: &str, chunk: &[u8], times: usize) -> String {
    let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
    write.write_all(head.as_bytes()).await.unwrap();
    let sending = async {
        for _ in 0..times {
            if write.write_all(chunk).await.is_err() {
                return;
            }
        }
    };
    let receiving = async {
        let mut answer = vec![0; 8192];
        let length = read.read(&mut answer).await.unwrap_or(0);
        String::from_utf8_lossy(&answer[..length]).into_owned()
    };
    tokio::join!(receiving, sending).0
}

#[tokio::test]
async fn a_body_of_100_mb_is_refused_at_every_door() {
    let server = Serving::start(Home::playing(SCRIPT)).await;
    let megabyte = vec![b' '; 1 << 20];
    for path in ["/v1/weave", "/v1/weave:stream", "/v1/sessions"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 104857600\r\n\r\n"
        );
        let answer = flood(server.http.address, &head, &megabyte, 100).await;
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("LOOM_TOO_LARGE"), "{answer}");
        let head = head.replace("content-length: 104857600", "transfer-encoding: chunked");
        let chunk = [b"100000\r\n".as_slice(), &megabyte, b"\r\n"].concat();
        let answer = flood(server.http.address, &head, &chunk, 100).await;
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("LOOM_TOO_LARGE"), "{answer}");
        assert_eq!(server.ask("hi").await["text"], "fine");
    }
    let client = server.reflected().await;
    let refusal = client.call("Weave", json!({ "query": "x".repeat(100 << 20) }), &[]).await.unwrap_err();
    assert_eq!((refusal.status.as_str(), refusal.reason.as_str()), ("RESOURCE_EXHAUSTED", "LOOM_TOO_LARGE"));
    assert_eq!(client.call("Weave", json!({ "query": "hi" }), &[]).await.unwrap()["text"], "fine");
}

#[tokio::test]
async fn no_web_page_can_drive_the_server() {
    let server = Serving::start(Home::playing(SCRIPT)).await;
    let body = json!({ "query": "hi" }).to_string();
    let json_type = ("content-type", "application/json");
    for path in ["/v1/weave", "/v1/weave:stream", "/v1/chat:stream"] {
        for headers in [
            vec![json_type, ("origin", "https://evil.example")],
            vec![json_type, ("origin", "null")],
            vec![json_type, ("host", "rebound.evil.example")],
        ] {
            let answer = server.http.send(Method::POST, path, &headers, body.clone()).await;
            let (status, problem) = answer.problem();
            assert_eq!(
                (status, &problem["code"]),
                (403, &json!("LOOM_FORBIDDEN_ORIGIN")),
                "{path} {headers:?}"
            );
        }
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
            let headers = [("content-type", content_type)];
            assert_eq!(server.http.send(Method::POST, path, &headers, body.clone()).await.status, 415);
        }
    }
    for path in ["/metrics", "/v1/sessions", "/openapi.json", "/v1/server/config"] {
        let headers = [("host", "rebound.evil.example")];
        assert_eq!(server.http.send(Method::GET, path, &headers, String::new()).await.status, 403, "{path}");
    }
    assert_eq!(server.http.get("/v1/sessions").await.ok()["totalCount"], 0);
    let own = format!("http://{}", server.http.address);
    let headers = [json_type, ("origin", own.as_str())];
    assert_eq!(server.http.send(Method::POST, "/v1/weave", &headers, body).await.status, 200);
}

#[tokio::test]
async fn a_full_server_says_so_and_is_free_again_when_a_client_leaves() {
    let home = Home::playing(SCRIPT);
    home.configure_also("server: { behavior: { max_concurrent_requests: 1 } }");
    let server = Serving::start(home).await;
    let asked = json!({ "query": "sleep", "cancelOnDisconnect": true });
    let mut stream = server.http.stream("/v1/chat:stream", asked).await;
    assert!(stream.next().await.is_some());
    let answer = server.http.post("/v1/weave", json!({ "query": "hi" })).await;
    assert!(answer.headers.contains_key("retry-after"));
    let (status, problem) = answer.problem();
    assert_eq!((status, &problem["code"]), (503, &json!("LOOM_OVERLOADED")));
    let refusal = server.reflected().await.call("Weave", json!({ "query": "hi" }), &[]).await.unwrap_err();
    assert_eq!((refusal.status.as_str(), refusal.reason.as_str()), ("RESOURCE_EXHAUSTED", "LOOM_OVERLOADED"));
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(server.http.get(path).await.status, 200, "{path} answers on a full server");
    }
    drop(stream);
    until("the place is free", async || {
        (server.http.post("/v1/weave", json!({ "query": "hi" })).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn large_headers_broken_requests_and_silent_clients_harm_nobody() {
    let server = Serving::start(Home::playing(SCRIPT)).await;
    let large = "x".repeat(20 << 10);
    let answer = server.http.send(Method::GET, "/v1/agents", &[("x-large", &large)], String::new()).await;
    assert_eq!(answer.status, 431, "{}", answer.text);
    let refused = server.reflected().await.call("GetHealth", json!({}), &[("x-large", &large)]).await;
    assert!(refused.is_err(), "{refused:?}");
    let _silent = TcpStream::connect(server.http.address).await.unwrap();
    let mut half = TcpStream::connect(server.http.address).await.unwrap();
    half.write_all(b"POST /v1/weave HTTP/1.1\r\nhost: localh").await.unwrap();
    for garbage in ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "POST /v1/weave HTTP/1.1\r\n\r\n{}"] {
        let answer = flood(server.http.address, garbage, b"", 0).await;
        assert!(answer.starts_with("HTTP/1.1 4") || answer.is_empty(), "{answer}");
    }
    let mut grpc = TcpStream::connect(server.grpc).await.unwrap();
    grpc.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(server.ask("hi").await["text"], "fine");
    assert_eq!(server.http.get("/v1/sessions").await.ok()["totalCount"], 1);
}

#[tokio::test]
async fn a_client_that_vanishes_or_does_not_read_keeps_nobody_waiting() {
    let long = format!("chunk_size: 64\ndefault: {{ text: '{}' }}", "long ".repeat(40_000));
    let server = Serving::start(Home::playing(&long)).await;
    let body = json!({ "query": "talk", "sessionId": "deaf" }).to_string();
    let request = format!(
        "POST /v1/weave:stream HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut deaf = TcpStream::connect(server.http.address).await.unwrap();
    deaf.write_all(request.as_bytes()).await.unwrap();
    let mut gone = TcpStream::connect(server.http.address).await.unwrap();
    gone.write_all(request.replace("deaf", "gone").as_bytes()).await.unwrap();
    gone.read_exact(&mut [0; 100]).await.unwrap();
    drop(gone);
    for session in ["deaf", "gone"] {
        until("the turn ends although nobody reads", async || {
            let history = server.http.get(&format!("/v1/sessions/{session}/history")).await;
            (history.status == 200 && history.json()["totalCount"] == 2).then_some(())
        })
        .await;
    }
    let next = server.http.post("/v1/weave", json!({ "query": "next", "sessionId": "deaf" })).await.ok();
    assert!(next["text"].as_str().unwrap().starts_with("long long"));
}

#[tokio::test]
async fn what_is_kept_for_lists_is_bounded_and_so_are_the_lists() {
    const AGENTS: usize = 250;
    let server = Serving::start(Home::playing(SCRIPT)).await;
    let long = |bytes: usize| "x".repeat(bytes);
    let many = |entries: usize, bytes: usize| {
        (0..entries).map(|at| (at.to_string(), json!(long(bytes)))).collect::<serde_json::Map<_, _>>()
    };
    for door in Door::both(&server).await {
        for (rpc, request) in [
            ("CreateSession", json!({ "name": long(15 << 20) })),
            ("CreateSession", json!({ "metadata": many(65, 1) })),
            ("CreateSession", json!({ "metadata": many(5, 4096) })),
            ("CreateSession", json!({ "backend": long(1 << 20) })),
            ("Weave", json!({ "query": "hi", "context": many(65, 1) })),
            ("CreateAgent", json!({ "config": { "name": "big", "description": long(5000) } })),
            ("CreateAgent", json!({ "config": { "name": "big", "metadata": many(1, 5000) } })),
            ("ListSessions", json!({ "limit": 501 })),
            ("GetConversationHistory", json!({ "sessionId": "s", "limit": 501 })),
            ("ListAgents", json!({ "pageSize": 501 })),
            ("ListAgents", json!({ "pageToken": "zz" })),
        ] {
            assert_eq!(
                door.refused(rpc, request).await,
                "LOOM_INVALID_ARGUMENT",
                "{rpc} over {}",
                door.name()
            );
        }
    }
    let [grpc, _] = Door::both(&server).await;
    assert_eq!(grpc.ok("ListSessions", json!({})).await["totalCount"], 0);

    // The largest there can be, and more of them than a client takes at once.
    let largest = json!({ "name": long(256), "metadata": many(4, 4095) });
    for _ in 0..250 {
        grpc.ok("CreateSession", largest.clone()).await;
    }
    let mut seen = 0;
    while seen < 250 {
        let page = grpc.ok("ListSessions", json!({ "limit": 500, "offset": seen })).await;
        let sessions = page["sessions"].as_array().unwrap().len();
        assert!((1..250).contains(&sessions) && page["totalCount"] == 250, "{sessions}");
        seen += sessions;
    }
    assert_eq!(seen, 250);

    for at in 0..AGENTS {
        let config = json!({ "name": format!("agent-{at:03}"), "metadata": many(4, 4000) });
        grpc.ok("CreateAgent", json!({ "config": config })).await;
    }
    let (mut names, mut token) = (Vec::new(), json!(""));
    loop {
        let page = grpc.ok("ListAgents", json!({ "pageToken": token, "pageSize": 500 })).await;
        let agents = page["agents"].as_array().unwrap();
        assert!(agents.len() < AGENTS, "they do not fit into one answer");
        names.extend(agents.iter().map(|agent| agent["name"].as_str().unwrap().to_owned()));
        token = page["nextPageToken"].clone();
        if token == "" {
            break;
        }
    }
    let wanted: Vec<_> =
        (0..AGENTS).map(|at| format!("agent-{at:03}")).chain(["tester".to_owned()]).collect();
    assert_eq!(names, wanted);
}
