//! A gRPC client that is given its messages: what a test writes down of a public API, field number by field number.
//!
//! It is linked with no type of the server it calls, so that a test of it shows what a client generated from the published
//! definitions would meet.

use tonic::Request;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

use crate::Refusal;

/// A service by its name, and a connection to call it on.
#[derive(Clone, Debug)]
pub struct PublicWire {
    channel: Channel,
    service: &'static str,
}

/// The messages of a server stream.
pub struct WireStream<A>(tonic::Streaming<A>);

impl PublicWire {
    /// Connects to `address` (`host:port`).
    pub async fn connect(address: &str, service: &'static str) -> anyhow::Result<Self> {
        let channel = Channel::from_shared(format!("http://{address}"))?.connect().await?;
        Ok(Self { channel, service })
    }

    /// Calls an RPC with one answer.
    pub async fn call<Q, A>(&self, rpc: &str, request: Q) -> Result<A, Refusal>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let (mut client, path) = self.prepare(rpc).await?;
        let answer = client.unary(Request::new(request), path, ProstCodec::<Q, A>::default()).await;
        answer.map(tonic::Response::into_inner).map_err(|status| Refusal::of(&status))
    }

    /// Calls an RPC with a stream of answers.
    pub async fn stream<Q, A>(&self, rpc: &str, request: Q) -> Result<WireStream<A>, Refusal>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let (mut client, path) = self.prepare(rpc).await?;
        let answer =
            client.server_streaming(Request::new(request), path, ProstCodec::<Q, A>::default()).await;
        answer.map(|answer| WireStream(answer.into_inner())).map_err(|status| Refusal::of(&status))
    }

    async fn prepare(
        &self,
        rpc: &str,
    ) -> Result<(tonic::client::Grpc<Channel>, tonic::codegen::http::uri::PathAndQuery), Refusal> {
        let path = format!("/{}/{rpc}", self.service).parse();
        let path = path.map_err(|_| Refusal::of(&tonic::Status::internal("the path is not one")))?;
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        let ready = client.ready().await;
        ready.map_err(|error| Refusal::of(&tonic::Status::unavailable(error.to_string())))?;
        Ok((client, path))
    }
}

impl<A> WireStream<A> {
    /// The next message; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<A, Refusal>> {
        self.0.message().await.map_err(|status| Refusal::of(&status)).transpose()
    }

    /// All messages up to the end, and the status that ended the stream where that was not OK.
    pub async fn rest(mut self) -> (Vec<A>, Option<Refusal>) {
        let mut messages = Vec::new();
        while let Some(next) = self.next().await {
            match next {
                Ok(message) => messages.push(message),
                Err(refusal) => return (messages, Some(refusal)),
            }
        }
        (messages, None)
    }
}
