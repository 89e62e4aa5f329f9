//! Connections that say nothing, and more of them than there are places.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use loom_access::AllowLocal;
use loom_api::Limits;
use loom_proto::v1::GetHealthRequest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::setup::{limits, start_with};

const ASK: &[u8] = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";

async fn read(connection: &mut TcpStream) -> String {
    let mut answer = vec![0; 4096];
    let length = connection.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn who_says_nothing_is_closed_and_who_spoke_may_pause() {
    let limits = Limits { greeting_time: Duration::from_millis(50), ..limits() };
    let server = start_with(limits, Arc::new(AllowLocal)).await;
    let mut spoke = TcpStream::connect(server.http).await.unwrap();
    spoke.write_all(ASK).await.unwrap();
    assert!(read(&mut spoke).await.starts_with("HTTP/1.1 200 "));
    let mut client = server.client().await;
    for (door, words) in
        [(server.http, ""), (server.grpc, ""), (server.http, "PRI * HTTP"), (server.grpc, "PRI * H")]
    {
        let mut silent = TcpStream::connect(door).await.unwrap();
        silent.write_all(words.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        // HTTP/2 greets first. Whether the end is one or an error, it comes.
        let _ = silent.read_to_end(&mut said).await;
        assert!(said.len() < 100, "{said:?}");
    }
    spoke.write_all(ASK).await.unwrap();
    assert!(read(&mut spoke).await.starts_with("HTTP/1.1 200 "));
    client.get_health(GetHealthRequest {}).await.unwrap();
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_there_is_room_again_when_one_goes() {
    let limits = Limits { connections: 1, ..limits() };
    let server = start_with(limits, Arc::new(AllowLocal)).await;
    let mut first = TcpStream::connect(server.http).await.unwrap();
    first.write_all(ASK).await.unwrap();
    assert!(read(&mut first).await.starts_with("HTTP/1.1 200 "));

    let refused = server.get("/livez").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(crate::setup::json(refused).await["code"], "LOOM_OVERLOADED");
    let mut grpc = TcpStream::connect(server.grpc).await.unwrap();
    let mut said = Vec::new();
    grpc.read_to_end(&mut said).await.unwrap();
    assert_eq!(said[..9], [0, 0, 0, 4, 0, 0, 0, 0, 0], "settings");
    assert_eq!(
        (usize::from(said[11]), said[12]),
        (said.len() - 18, 7),
        "the length of a GOAWAY, and its kind"
    );
    assert!(String::from_utf8_lossy(&said).contains("LOOM_OVERLOADED"));

    drop(first);
    while server.get("/livez").await.status() != StatusCode::OK {
        tokio::task::yield_now().await;
    }
}
