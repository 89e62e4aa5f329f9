//! Tells a connection that there are too many.

use std::time::Duration;

use loom_base::ErrorCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::connection::Protocol;
use crate::Failure;
use crate::error::{http_status, problem};

/// Connections being refused at a time, at most; those beyond are closed without a word.
pub(super) const MOST: usize = 32;
/// The longest a connection is kept to be told. Closing it with its request unread would take the answer back.
const LINGER: Duration = Duration::from_secs(1);
/// HTTP/2's empty SETTINGS, with which a server begins, and the head of a GOAWAY (RFC 9113, §6.5, §6.8).
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const GOAWAY: u8 = 7;
const ENHANCE_YOUR_CALM: u32 = 0xb;

/// Says so in the words of `protocol`, and closes.
pub(super) async fn refuse(mut stream: TcpStream, protocol: Protocol, limit: usize) {
    let failure = Failure::new(
        ErrorCode::Overloaded,
        format!("{limit} connections are open, the most this server takes"),
    )
    .with("max_connections", limit.to_string());
    let telling = async {
        let words = match protocol {
            Protocol::Grpc => goaway(&failure),
            Protocol::Http => {
                // Clients take no answer before they have asked.
                stream.peek(&mut [0]).await?;
                unavailable(&failure)
            }
        };
        stream.write_all(&words).await?;
        stream.shutdown().await?;
        let mut unread = [0; 4096];
        while stream.read(&mut unread).await? > 0 {}
        std::io::Result::Ok(())
    };
    // It is closed whether it listened or not.
    let _ = tokio::time::timeout(LINGER, telling).await;
}

fn unavailable(failure: &Failure) -> Vec<u8> {
    let status = http_status(failure.code);
    let body = problem(failure, status, None).to_string();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nretry-after: 1\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn goaway(failure: &Failure) -> Vec<u8> {
    let reason = format!("{}: {}", failure.code, failure.message);
    let length = u32::try_from(8 + reason.len()).unwrap_or(8);
    let mut words = SETTINGS.to_vec();
    words.extend_from_slice(&length.to_be_bytes()[1..]);
    words.extend_from_slice(&[GOAWAY, 0, 0, 0, 0, 0]);
    // No stream was worked on.
    words.extend_from_slice(&0u32.to_be_bytes());
    words.extend_from_slice(&ENHANCE_YOUR_CALM.to_be_bytes());
    words.extend_from_slice(reason.as_bytes());
    words
}
