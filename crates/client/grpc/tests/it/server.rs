//! A gRPC server on a free port that answers with what a test gives it. The tests of `loom-cli` use it too.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures::Stream;
use prost::Message;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status};

use loom_proto::v1::loom_service_server::{LoomService, LoomServiceServer};
use loom_proto::v1::*;

/// What a call is answered with.
#[derive(Clone)]
pub(crate) enum Answer {
    /// A message.
    Message(Vec<u8>),
    /// A status with details.
    Refusal(Code, String, Vec<u8>),
}

/// How a stream of events ends.
#[derive(Clone)]
pub(crate) enum End {
    Ends,
    Refuses(Code, String, Vec<u8>),
    Hangs,
}

/// What a server answers, by the name of the RPC. An RPC without an entry is a failure inside the server.
#[derive(Clone, Default)]
pub(crate) struct Answers {
    unary: HashMap<&'static str, Answer>,
    turns: Vec<(Vec<WeaveProgress>, End)>,
}

impl Answers {
    pub(crate) fn message(mut self, rpc: &'static str, message: &impl Message) -> Self {
        self.unary.insert(rpc, Answer::Message(message.encode_to_vec()));
        self
    }

    pub(crate) fn answer(mut self, rpc: &'static str, answer: Answer) -> Self {
        self.unary.insert(rpc, answer);
        self
    }

    /// The next turn; the last one is repeated.
    pub(crate) fn turn(mut self, events: Vec<WeaveProgress>, end: End) -> Self {
        self.turns.push((events, end));
        self
    }
}

/// What a server was asked.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) rpc: &'static str,
    pub(crate) request: Vec<u8>,
    /// The `grpc-timeout` that came with it.
    pub(crate) timeout: Option<String>,
    /// The key that names it.
    pub(crate) key: Option<String>,
}

/// A server that runs until it is dropped. It has threads of its own, so that it can die with all its connections.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) seen: mpsc::UnboundedReceiver<Seen>,
    runtime: Option<Runtime>,
}

impl Running {
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next request of type `T`, which must be for `rpc`.
    pub(crate) async fn asked<T: Message + Default>(&mut self, rpc: &str) -> T {
        let seen = self.seen.recv().await.unwrap();
        assert_eq!(seen.rpc, rpc);
        T::decode(seen.request.as_slice()).unwrap()
    }

    /// Ends the server and all its connections at once.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn start(answers: Answers) -> Running {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (sender, seen) = mpsc::unbounded_channel();
    let turns = Mutex::new(answers.turns.into_iter().collect());
    let service = Arc::new(Service { unary: answers.unary, turns, seen: sender });
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    runtime.spawn(async move {
        let incoming = TcpListenerStream::new(TcpListener::from_std(listener).unwrap());
        let server = tonic::transport::Server::builder().add_service(LoomServiceServer::from_arc(service));
        server.serve_with_incoming(incoming).await.unwrap();
    });
    Running { address, seen, runtime: Some(runtime) }
}

struct Service {
    unary: HashMap<&'static str, Answer>,
    turns: Mutex<VecDeque<(Vec<WeaveProgress>, End)>>,
    seen: mpsc::UnboundedSender<Seen>,
}

type Exported = Pin<Box<dyn Stream<Item = Result<ExportStoreResponse, Status>> + Send>>;
type PatternUpdates = Pin<Box<dyn Stream<Item = Result<PatternUpdateEvent, Status>> + Send>>;
type Events = Pin<Box<dyn Stream<Item = Result<WeaveProgress, Status>> + Send>>;

/// Tells the test that a stream is no longer read.
struct Dropped(mpsc::UnboundedSender<Seen>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(Seen { rpc: "dropped", request: Vec::new(), timeout: None, key: None });
    }
}

fn refusal(code: Code, message: String, details: Vec<u8>) -> Status {
    Status::with_details(code, message, details.into())
}

impl Service {
    fn note<T: Message>(&self, rpc: &'static str, request: &Request<T>) {
        let said = |name| request.metadata().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (timeout, key) = (said("grpc-timeout"), said("x-loom-idempotency-key"));
        let _ = self.seen.send(Seen { rpc, request: request.get_ref().encode_to_vec(), timeout, key });
    }

    fn reply<T: Message, R: Message + Default>(
        &self,
        rpc: &'static str,
        request: &Request<T>,
    ) -> Result<Response<R>, Status> {
        self.note(rpc, request);
        match self.unary.get(rpc).cloned() {
            Some(Answer::Message(bytes)) => Ok(Response::new(R::decode(bytes.as_slice()).unwrap())),
            Some(Answer::Refusal(code, message, details)) => Err(refusal(code, message, details)),
            None => Err(Status::internal(format!("a test gave no answer for {rpc}"))),
        }
    }

    fn events<T: Message>(&self, rpc: &'static str, request: &Request<T>) -> Events {
        self.note(rpc, request);
        let mut turns = self.turns.lock().unwrap();
        let (events, end) =
            if turns.len() > 1 { turns.pop_front().unwrap() } else { turns.front().unwrap().clone() };
        let dropped = Dropped(self.seen.clone());
        Box::pin(async_stream::stream! {
            let _dropped = dropped;
            for event in events {
                yield Ok(event);
            }
            match end {
                End::Refuses(code, message, details) => yield Err(refusal(code, message, details)),
                End::Hangs => std::future::pending().await,
                End::Ends => {}
            }
        })
    }
}

macro_rules! service {
    ($($rpc:ident($request:ident) -> $answer:ident;)*) => {
        #[tonic::async_trait]
        impl LoomService for Service {
            type StreamWeaveStream = Events;
            type StreamChatStream = Events;
            type StreamTurnStream = Events;
            type ReplaySessionStream = Events;

            async fn stream_weave(&self, request: Request<WeaveRequest>) -> Result<Response<Events>, Status> {
                Ok(Response::new(self.events("stream_weave", &request)))
            }

            async fn stream_chat(&self, request: Request<WeaveRequest>) -> Result<Response<Events>, Status> {
                Ok(Response::new(self.events("stream_weave", &request)))
            }

            async fn replay_session(
                &self,
                request: Request<ReplaySessionRequest>,
            ) -> Result<Response<Events>, Status> {
                Ok(Response::new(self.events("replay_session", &request)))
            }

            type ExportStoreStream = Exported;

            async fn export_store(
                &self,
                request: Request<ExportStoreRequest>,
            ) -> Result<Response<Exported>, Status> {
                let pieces: Response<ExportStoreResponse> = self.reply("export_store", &request)?;
                Ok(pieces.map(|piece| Box::pin(tokio_stream::iter([Ok(piece)])) as Exported))
            }

            type StreamPatternUpdatesStream = PatternUpdates;

            async fn stream_pattern_updates(
                &self,
                request: Request<StreamPatternUpdatesRequest>,
            ) -> Result<Response<PatternUpdates>, Status> {
                let update: Response<PatternUpdateEvent> = self.reply("stream_pattern_updates", &request)?;
                Ok(update.map(|update| Box::pin(tokio_stream::iter([Ok(update)])) as PatternUpdates))
            }

            async fn stream_turn(&self, request: Request<StreamTurnRequest>) -> Result<Response<Events>, Status> {
                Ok(Response::new(self.events("stream_turn", &request)))
            }

            $(
                async fn $rpc(&self, request: Request<$request>) -> Result<Response<$answer>, Status> {
                    self.reply(stringify!($rpc), &request)
                }
            )*
        }
    };
}

service! {
    weave(WeaveRequest) -> WeaveResponse;
    cancel_turn(CancelTurnRequest) -> CancelTurnResponse;
    list_turns(ListTurnsRequest) -> ListTurnsResponse;
    list_effects(ListEffectsRequest) -> ListEffectsResponse;
    resolve_effect(ResolveEffectRequest) -> ResolveEffectResponse;
    list_approvals(ListApprovalsRequest) -> ListApprovalsResponse;
    answer_approval(AnswerApprovalRequest) -> AnswerApprovalResponse;
    answer_clarification_question(AnswerClarificationRequest) -> AnswerClarificationResponse;
    list_budgets(ListBudgetsRequest) -> ListBudgetsResponse;
    create_session(CreateSessionRequest) -> Session;
    get_session(GetSessionRequest) -> Session;
    list_sessions(ListSessionsRequest) -> ListSessionsResponse;
    delete_session(DeleteSessionRequest) -> DeleteSessionResponse;
    fork_session(ForkSessionRequest) -> Session;
    get_conversation_history(GetConversationHistoryRequest) -> ConversationHistory;
    create_agent_from_config(CreateAgentRequest) -> AgentInfo;
    create_agent(CreateAgentRequest) -> AgentInfo;
    list_agents(ListAgentsRequest) -> ListAgentsResponse;
    get_agent(GetAgentRequest) -> AgentInfo;
    reload_agent(ReloadAgentRequest) -> AgentInfo;
    delete_agent(DeleteAgentRequest) -> DeleteAgentResponse;
    list_patterns(ListPatternsRequest) -> ListPatternsResponse;
    get_pattern(GetPatternRequest) -> Pattern;
    reload_patterns(ReloadPatternsRequest) -> ReloadPatternsResponse;
    load_patterns(LoadPatternsRequest) -> LoadPatternsResponse;
    create_pattern(CreatePatternRequest) -> CreatePatternResponse;
    list_tools(ListToolsRequest) -> ListToolsResponse;
    get_trace(GetTraceRequest) -> Trace;
    get_health(GetHealthRequest) -> HealthStatus;
    get_server_config(GetServerConfigRequest) -> ServerConfig;
    get_storage_status(GetStorageStatusRequest) -> GetStorageStatusResponse;
    describe_store(DescribeStoreRequest) -> DescribeStoreResponse;
    verify_store(VerifyStoreRequest) -> VerifyStoreResponse;
    back_up_store(BackUpStoreRequest) -> BackUpStoreResponse;
    migrate_store(MigrateStoreRequest) -> MigrateStoreResponse;
    vacuum_store(VacuumStoreRequest) -> VacuumStoreResponse;
    clean_up_store(CleanUpStoreRequest) -> CleanUpStoreResponse;
}

/// The details that a Loom server sends with `code`: a `google.rpc.Status` with one `ErrorInfo`.
pub(crate) fn details(code: &str, fact: (&str, &str)) -> Vec<u8> {
    #[derive(Clone, PartialEq, Message)]
    struct RpcStatus {
        #[prost(message, repeated, tag = "3")]
        details: Vec<prost_types::Any>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct ErrorInfo {
        #[prost(string, tag = "1")]
        reason: String,
        #[prost(string, tag = "2")]
        domain: String,
        #[prost(map = "string, string", tag = "3")]
        metadata: HashMap<String, String>,
    }
    let metadata = HashMap::from([(fact.0.to_owned(), fact.1.to_owned())]);
    let info = ErrorInfo { reason: code.to_owned(), domain: "loom".to_owned(), metadata };
    let type_url = "type.googleapis.com/google.rpc.ErrorInfo".to_owned();
    RpcStatus { details: vec![prost_types::Any { type_url, value: info.encode_to_vec() }] }.encode_to_vec()
}

/// An event of `stage`.
pub(crate) fn event(stage: ExecutionStage) -> WeaveProgress {
    WeaveProgress {
        stage: stage.into(),
        session_id: "sess_1".to_owned(),
        turn_id: "turn_1".to_owned(),
        ..WeaveProgress::default()
    }
}

/// An event with new text.
pub(crate) fn delta(text: &str) -> WeaveProgress {
    WeaveProgress { is_token_stream: true, delta: text.to_owned(), ..event(ExecutionStage::LlmGeneration) }
}
