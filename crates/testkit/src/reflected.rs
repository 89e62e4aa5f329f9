//! A gRPC client made from reflection alone: it is linked with no message of the server it calls.
//!
//! Requests and answers are JSON, so that one test can put the same words through gRPC and through HTTP.

use std::collections::{BTreeMap, VecDeque};

use anyhow::Context as _;
use prost::Message as _;
use prost_reflect::prost_types::{FileDescriptorProto, FileDescriptorSet};
use prost_reflect::{
    DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor, SerializeOptions, ServiceDescriptor,
};
use serde_json::Value;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

/// A service as its server describes it, and a connection to call it on.
#[derive(Clone, Debug)]
pub struct Reflected {
    channel: Channel,
    service: ServiceDescriptor,
}

/// A status that is not OK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The name of the status, such as `INVALID_ARGUMENT`.
    pub status: String,
    /// What went wrong, for people.
    pub message: String,
    /// The reason in the status's `google.rpc.ErrorInfo`; empty when there is none.
    pub reason: String,
    /// The facts in the status's `google.rpc.ErrorInfo`.
    pub metadata: BTreeMap<String, String>,
}

/// The messages of a server stream.
pub struct ReflectedStream(Streaming<DynamicMessage>);

impl Reflected {
    /// Connects to `address` (`host:port`) and asks it what `service` looks like.
    pub async fn connect(address: &str, service: &str) -> anyhow::Result<Self> {
        let channel = Channel::from_shared(format!("http://{address}"))?.connect().await?;
        let mut pool = DescriptorPool::new();
        pool.add_file_descriptor_set(files(channel.clone(), service).await?)?;
        let service = pool.get_service_by_name(service).context("the files do not hold the service")?;
        Ok(Self { channel, service })
    }

    /// The names of the service's RPCs.
    pub fn rpcs(&self) -> Vec<String> {
        self.service.methods().map(|method| method.name().to_owned()).collect()
    }

    /// Calls an RPC with one answer. `headers` go with it.
    ///
    /// # Panics
    ///
    /// When reflection does not know the RPC or a field of `request`.
    pub async fn call(&self, rpc: &str, request: Value, headers: &[(&str, &str)]) -> Result<Value, Refusal> {
        let (mut client, request, path, codec) = self.prepare(rpc, request, headers).await?;
        let answer = client.unary(request, path, codec).await.map_err(|status| Refusal::of(&status))?;
        Ok(json(answer.get_ref()))
    }

    /// Calls an RPC with a stream of answers.
    ///
    /// # Panics
    ///
    /// As [`call`](Self::call).
    pub async fn stream(
        &self,
        rpc: &str,
        request: Value,
        headers: &[(&str, &str)],
    ) -> Result<ReflectedStream, Refusal> {
        let (mut client, request, path, codec) = self.prepare(rpc, request, headers).await?;
        let answer =
            client.server_streaming(request, path, codec).await.map_err(|status| Refusal::of(&status))?;
        Ok(ReflectedStream(answer.into_inner()))
    }

    async fn prepare(
        &self,
        rpc: &str,
        request: Value,
        headers: &[(&str, &str)],
    ) -> Result<Prepared, Refusal> {
        #[expect(clippy::panic, reason = "a test that names an RPC wrongly must end")]
        let Some(method) = self.service.methods().find(|method| method.name() == rpc) else {
            panic!("reflection knows no RPC {rpc}")
        };
        #[expect(clippy::panic, reason = "a test that names a field wrongly must end")]
        let message = DynamicMessage::deserialize(method.input(), request)
            .unwrap_or_else(|error| panic!("{rpc}: {error}"));
        let mut request = Request::new(message);
        for (name, value) in headers {
            let name = name.parse::<tonic::metadata::AsciiMetadataKey>();
            let entry = name.map_err(|error| error.to_string()).and_then(|name| {
                Ok((name, value.parse().map_err(|_| "a header value is not ASCII".to_owned())?))
            });
            let (name, value) = entry.map_err(|error| Refusal::of(&Status::internal(error)))?;
            request.metadata_mut().insert(name, value);
        }
        let path = format!("/{}/{rpc}", self.service.full_name());
        let path = path.parse().map_err(|_| Refusal::of(&Status::internal("the path is not one")))?;
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        let ready = client.ready().await;
        ready.map_err(|error| Refusal::of(&Status::unavailable(error.to_string())))?;
        Ok((client, request, path, DynamicCodec(method)))
    }
}

type Prepared = (
    tonic::client::Grpc<Channel>,
    Request<DynamicMessage>,
    tonic::codegen::http::uri::PathAndQuery,
    DynamicCodec,
);

impl ReflectedStream {
    /// The next message; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<Value, Refusal>> {
        match self.0.message().await {
            Ok(message) => message.map(|message| Ok(json(&message))),
            Err(status) => Some(Err(Refusal::of(&status))),
        }
    }

    /// All messages up to the end, and the status that ended the stream where that was not OK.
    pub async fn rest(mut self) -> (Vec<Value>, Option<Refusal>) {
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

/// The file of `symbol` and all it imports, imported ones first.
async fn files(channel: Channel, symbol: &str) -> anyhow::Result<FileDescriptorSet> {
    let mut reflection = ServerReflectionClient::new(channel);
    let mut wanted = VecDeque::from([MessageRequest::FileContainingSymbol(symbol.to_owned())]);
    let mut known: BTreeMap<String, FileDescriptorProto> = BTreeMap::new();
    while let Some(message) = wanted.pop_front() {
        let asked = ServerReflectionRequest { host: String::new(), message_request: Some(message) };
        let asked = tokio_stream::iter([asked]);
        let mut answers = reflection.server_reflection_info(asked).await?.into_inner();
        let answer = answers.message().await?.and_then(|answer| answer.message_response);
        let Some(MessageResponse::FileDescriptorResponse(found)) = answer else {
            anyhow::bail!("reflection does not know {symbol}: {answer:?}");
        };
        for bytes in found.file_descriptor_proto {
            let file = FileDescriptorProto::decode(bytes.as_slice())?;
            wanted.extend(file.dependency.iter().cloned().map(MessageRequest::FileByFilename));
            known.insert(file.name().to_owned(), file);
        }
        wanted
            .retain(|next| !matches!(next, MessageRequest::FileByFilename(name) if known.contains_key(name)));
    }
    Ok(FileDescriptorSet { file: known.into_values().collect() })
}

fn json(message: &DynamicMessage) -> Value {
    let options = SerializeOptions::new().skip_default_fields(false);
    let mut text = Vec::new();
    // Through text, as over HTTP: a float of 32 bits keeps its short form. Every message of proto3 has a JSON form, but
    // for an `Any` of an unknown type, which no API of ours has.
    let written = message.serialize_with_options(&mut serde_json::Serializer::new(&mut text), &options);
    written.and_then(|()| serde_json::from_slice(&text)).unwrap_or_default()
}

/// `google.rpc.Status`; its code and message are the gRPC status's own.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
struct Detail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.ErrorInfo`.
#[derive(Clone, PartialEq, prost::Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(btree_map = "string, string", tag = "3")]
    metadata: BTreeMap<String, String>,
}

impl Refusal {
    pub(crate) fn of(status: &Status) -> Self {
        let details = RpcStatus::decode(status.details()).unwrap_or_default().details;
        let info = details.iter().find(|detail| detail.type_url.ends_with("/google.rpc.ErrorInfo"));
        let info = info.and_then(|info| ErrorInfo::decode(info.value.as_slice()).ok()).unwrap_or_default();
        let name = format!("{:?}", status.code());
        Self {
            status: upper_snake(&name),
            message: status.message().to_owned(),
            reason: info.reason,
            metadata: info.metadata,
        }
    }
}

/// `InvalidArgument` as `INVALID_ARGUMENT`.
fn upper_snake(name: &str) -> String {
    let mut out = String::new();
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}

/// Messages of one RPC as `prost` would write them.
struct DynamicCodec(MethodDescriptor);
struct Writer;
struct Reader(MessageDescriptor);

impl Codec for DynamicCodec {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Writer;
    type Decoder = Reader;

    fn encoder(&mut self) -> Writer {
        Writer
    }

    fn decoder(&mut self) -> Reader {
        Reader(self.0.output())
    }
}

impl Encoder for Writer {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, message: DynamicMessage, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(to).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for Reader {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let message = DynamicMessage::decode(self.0.clone(), from);
        message.map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
