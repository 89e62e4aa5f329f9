//! An HTTP service that notes what it is told and answers what it was given. The tests of `looms` use it too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A request as it arrived.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What the service does with each connection.
#[derive(Clone)]
pub(crate) enum Does {
    /// Writes this, and closes.
    Answers(String),
    /// Closes without a word.
    Breaks,
    /// Keeps the connection open and says nothing.
    Waits,
}

pub(crate) struct Service {
    pub(crate) address: String,
    pub(crate) told: mpsc::UnboundedReceiver<Told>,
    does: Arc<Mutex<Does>>,
}

/// An answer with `status` and `body`.
pub(crate) fn answer(status: &str, body: &str) -> Does {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nlocation: /elsewhere\r\ncontent-length: {length}\r\n");
    Does::Answers(format!("{head}connection: close\r\n\r\n{body}"))
}

impl Service {
    pub(crate) async fn start(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (sender, told) = mpsc::unbounded_channel();
        let does = Arc::new(Mutex::new(does));
        let now = Arc::clone(&does);
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read(&mut stream).await;
                if sender.send(request).is_err() {
                    return;
                }
                let does = now.lock().unwrap().clone();
                match does {
                    Does::Answers(text) => stream.write_all(text.as_bytes()).await.unwrap(),
                    Does::Breaks => drop(stream),
                    Does::Waits => open.push(stream),
                }
            }
        });
        Self { address, told, does }
    }

    /// What it does from now on.
    pub(crate) fn changes(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }
}

async fn read(stream: &mut TcpStream) -> Told {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the head of a request ends");
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let (line, rest) = head.split_once("\r\n").unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    };
    let headers: BTreeMap<_, _> = rest.split("\r\n").map(header).collect();
    let length: usize = headers["content-length"].parse().unwrap();
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        assert!(stream.read_buf(&mut body).await.unwrap() > 0, "the body of a request is whole");
    }
    Told { line: line.to_owned(), headers, body }
}
