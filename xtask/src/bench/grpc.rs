//! Just enough gRPC to put load on a server: unary calls over one HTTP/2 connection, messages by their descriptors.
//!
//! The real client is `loom-grpc`. This tool cannot link it: it generates the code that client is made of.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, Value};
use tokio::net::TcpStream;

const SERVICE: &str = "loom.v1.LoomService";
/// A byte that says uncompressed, and four of length.
const PREFIX: usize = 5;

/// One RPC.
#[derive(Clone)]
pub(super) struct Method {
    path: String,
    request: MessageDescriptor,
    response: MessageDescriptor,
}

impl Method {
    /// The RPC `name` of the API whose descriptor set is in the file `api`.
    pub(super) fn read(api: &Path, name: &str) -> Result<Self> {
        let pool = DescriptorPool::decode(std::fs::read(api)?.as_slice())?;
        let service = pool.get_service_by_name(SERVICE).context("the API has no such service")?;
        let method = service.methods().find(|method| method.name() == name);
        let method = method.with_context(|| format!("the API has no {name}"))?;
        Ok(Self { path: format!("/{SERVICE}/{name}"), request: method.input(), response: method.output() })
    }

    /// A request with these text fields, framed.
    pub(super) fn request(&self, fields: &[(&str, &str)]) -> Result<Bytes> {
        let mut message = DynamicMessage::new(self.request.clone());
        for (name, text) in fields {
            message
                .try_set_field_by_name(name, Value::String((*text).to_owned()))
                .map_err(|error| anyhow::anyhow!("{}: {error}", self.path))?;
        }
        let mut framed = BytesMut::with_capacity(PREFIX + message.encoded_len());
        framed.put_u8(0);
        framed.put_u32(u32::try_from(message.encoded_len())?);
        message.encode(&mut framed)?;
        Ok(framed.freeze())
    }

    /// The text in the field `name` of a response.
    pub(super) fn text(&self, response: &[u8], name: &str) -> Result<String> {
        let message = DynamicMessage::decode(self.response.clone(), response)?;
        let value = message.get_field_by_name(name);
        let text = value.as_ref().and_then(|value| value.as_str());
        Ok(text.with_context(|| format!("{} answers without {name}", self.path))?.to_owned())
    }
}

impl Method {
    /// The number in the field of a response that `path` leads to; 0 where nothing is there.
    pub(super) fn number(&self, response: &[u8], path: &[&str]) -> Result<i64> {
        let mut message = DynamicMessage::decode(self.response.clone(), response)?;
        let Some((last, above)) = path.split_last() else { bail!("no field is asked for") };
        for name in above {
            let inner = message.get_field_by_name(name).and_then(|value| value.as_message().cloned());
            message = inner.with_context(|| format!("{} answers without {name}", self.path))?;
        }
        let value = message.get_field_by_name(last);
        let value = value.with_context(|| format!("{} answers without {last}", self.path))?;
        Ok(value.as_i64().or_else(|| value.as_i32().map(i64::from)).unwrap_or_default())
    }
}

/// One connection to a server.
#[derive(Clone)]
pub(super) struct Connection {
    requests: SendRequest<Full<Bytes>>,
    port: u16,
}

impl Connection {
    pub(super) async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        // Ends with the handle; what goes wrong on it the calls report.
        tokio::spawn(connection);
        Ok(Self { requests, port })
    }

    /// Sends a framed request and returns the response's message.
    pub(super) async fn call(&mut self, method: &Method, framed: Bytes) -> Result<Bytes> {
        let request = Request::post(format!("http://127.0.0.1:{}{}", self.port, method.path))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(framed))?;
        self.requests.ready().await?;
        let (head, body) = self.requests.send_request(request).await?.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        let status = trailers.get("grpc-status").or_else(|| head.headers.get("grpc-status"));
        if status.is_none_or(|status| status != "0") {
            bail!("{} fails: {:?} {:?}", method.path, head.headers, trailers);
        }
        let mut message = body.to_bytes();
        if message.len() < PREFIX {
            bail!("{} answers with nothing", method.path);
        }
        Ok(message.split_off(PREFIX))
    }
}
