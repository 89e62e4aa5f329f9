//! HTTP as a stranger speaks it, and Server-Sent Events.

use std::net::SocketAddr;

use ::http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// A caller of one address.
#[derive(Clone)]
pub(crate) struct Http {
    pub(crate) address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SseEvent {
    pub(crate) id: String,
    pub(crate) event: String,
    pub(crate) data: Value,
}

/// An event stream that is being read.
pub(crate) struct Sse {
    pub(crate) headers: HeaderMap,
    body: Incoming,
    buffer: String,
}

impl Http {
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self { address, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], String::new()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], String::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        let response = self.start(method, path, headers, body).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// Posts and reads events as they come.
    pub(crate) async fn stream(&self, path: &str, body: Value) -> Sse {
        let headers = [("content-type", "application/json")];
        self.events(Method::POST, path, &headers, body.to_string()).await
    }

    /// Reads the events at `path` after the one that was seen last, as a browser does.
    pub(crate) async fn stream_after(&self, path: &str, last: Option<&str>) -> Sse {
        let headers: Vec<_> = last.into_iter().map(|last| ("last-event-id", last)).collect();
        self.events(Method::GET, path, &headers, String::new()).await
    }

    async fn events(&self, method: Method, path: &str, headers: &[(&str, &str)], body: String) -> Sse {
        let response = self.start(method, path, headers, body).await;
        assert_eq!(response.status(), 200, "{:?}", response.into_body().collect().await.unwrap().to_bytes());
        Sse { headers: response.headers().clone(), body: response.into_body(), buffer: String::new() }
    }

    async fn start(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> ::http::Response<Incoming> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.client.request(request.body(Full::from(body)).unwrap()).await.unwrap()
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The JSON of an answer that must be a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }

    /// The problem of an answer that must be a failure: its code, after its status.
    #[track_caller]
    pub(crate) fn problem(self) -> (u16, Value) {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.text);
        (self.status, self.json())
    }
}

impl Sse {
    /// The next event; `None` at the end. Comments are left out.
    pub(crate) async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let event = event(block);
                self.buffer = rest.to_owned();
                match event {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            let frame = self.body.frame().await?.unwrap();
            let data = frame.into_data().unwrap_or_default();
            self.buffer.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    /// The events up to the end.
    pub(crate) async fn rest(mut self) -> Vec<SseEvent> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        assert_eq!(self.buffer, "", "the stream ends with a whole event");
        events
    }
}

/// The event in a block of lines; `None` when they are all comments.
fn event(block: &str) -> Option<SseEvent> {
    let mut event = SseEvent::default();
    let mut data = String::new();
    for line in block.lines().filter(|line| !line.starts_with(':')) {
        match line.split_once(": ") {
            Some(("id", value)) => event.id = value.to_owned(),
            Some(("event", value)) => event.event = value.to_owned(),
            Some(("data", value)) => data.push_str(value),
            _ => panic!("a line of no event: {line:?}"),
        }
    }
    if data.is_empty() {
        return None;
    }
    event.data = serde_json::from_str(&data).unwrap();
    Some(event)
}
