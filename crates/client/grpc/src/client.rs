//! The client and its calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use tonic::Request;
use tonic::transport::Channel;

use loom_base::Clock;
use loom_proto::v1;
use loom_proto::v1::loom_service_client::LoomServiceClient;

use crate::{Error, RequestKey, TurnStream, address};

/// How long a server may take to accept a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a server may take to answer a call that is not a turn. Turns have the limits of their agent.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a server may take to look after its whole store.
pub const STORE_TIMEOUT: Duration = Duration::from_hours(6);

/// A server that is silent this long while it owes an answer is asked whether it still lives, and has
/// [`PING_TIMEOUT`] to say so.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest message that is accepted: traces and histories may be larger than tonic's 4 MiB.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// A connection to one server. Clones share it.
#[derive(Clone)]
pub struct Client {
    pub(crate) rpc: LoomServiceClient<Channel>,
    pub(crate) clock: Arc<dyn Clock>,
    address: String,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

macro_rules! calls {
    ($timeout:ident: $($(#[$doc:meta])+ $rpc:ident($request:ident) -> $answer:ident;)*) => {
        impl Client {
            $(
                $(#[$doc])+
                pub async fn $rpc(&self, request: v1::$request) -> Result<v1::$answer, Error> {
                    let mut request = Request::new(request);
                    request.set_timeout($timeout);
                    let answer = self.rpc.clone().$rpc(request).await;
                    answer.map(tonic::Response::into_inner).map_err(|status| self.error(&status))
                }
            )*
        }
    };
}

calls! { CALL_TIMEOUT:
    /// Stops a turn. One that is over stays as it is.
    cancel_turn(CancelTurnRequest) -> CancelTurnResponse;
    /// Lists the turns that have not ended, in the order they were accepted.
    list_turns(ListTurnsRequest) -> ListTurnsResponse;
    /// Lists the tool calls that were cut off and may have taken effect.
    list_effects(ListEffectsRequest) -> ListEffectsResponse;
    /// Says what became of such a call.
    resolve_effect(ResolveEffectRequest) -> ResolveEffectResponse;
    /// Lists the tool calls that wait for an approval.
    list_approvals(ListApprovalsRequest) -> ListApprovalsResponse;
    /// Approves such a call, or refuses it.
    answer_approval(AnswerApprovalRequest) -> AnswerApprovalResponse;
    /// Answers a question that the agent asks the user.
    answer_clarification_question(AnswerClarificationRequest) -> AnswerClarificationResponse;
    /// Lists budgets, and what is left of them.
    list_budgets(ListBudgetsRequest) -> ListBudgetsResponse;
    /// Starts a session.
    create_session(CreateSessionRequest) -> Session;
    /// Returns one session.
    get_session(GetSessionRequest) -> Session;
    /// Lists sessions, the last used first.
    list_sessions(ListSessionsRequest) -> ListSessionsResponse;
    /// Deletes a session with its messages and traces.
    delete_session(DeleteSessionRequest) -> DeleteSessionResponse;
    /// Makes a session of the first turns of another.
    fork_session(ForkSessionRequest) -> Session;
    /// Returns messages of a session, in order.
    get_conversation_history(GetConversationHistoryRequest) -> ConversationHistory;
    /// Creates an agent.
    create_agent(CreateAgentRequest) -> AgentInfo;
    /// Lists agents, by name.
    list_agents(ListAgentsRequest) -> ListAgentsResponse;
    /// Returns one agent.
    get_agent(GetAgentRequest) -> AgentInfo;
    /// Replaces an agent's configuration.
    reload_agent(ReloadAgentRequest) -> AgentInfo;
    /// Deletes an agent.
    delete_agent(DeleteAgentRequest) -> DeleteAgentResponse;
    /// Lists or searches patterns.
    list_patterns(ListPatternsRequest) -> ListPatternsResponse;
    /// Returns one pattern.
    get_pattern(GetPatternRequest) -> Pattern;
    /// Has the server read its pattern files again.
    reload_patterns(ReloadPatternsRequest) -> ReloadPatternsResponse;
    /// Has the server read pattern files again, all or those of one place.
    load_patterns(LoadPatternsRequest) -> LoadPatternsResponse;
    /// Writes a pattern into the server's patterns folder.
    create_pattern(CreatePatternRequest) -> CreatePatternResponse;
    /// Lists the tools that agents can call.
    list_tools(ListToolsRequest) -> ListToolsResponse;
    /// Returns all that a turn did, by the id of its trace or of the turn.
    get_trace(GetTraceRequest) -> Trace;
    /// Says whether the server works.
    get_health(GetHealthRequest) -> HealthStatus;
    /// Returns what the server runs with.
    get_server_config(GetServerConfigRequest) -> ServerConfig;
    /// Says whether the store works.
    get_storage_status(GetStorageStatusRequest) -> GetStorageStatusResponse;
    /// Says what the store is and how much it holds.
    describe_store(DescribeStoreRequest) -> DescribeStoreResponse;
}

calls! { STORE_TIMEOUT:
    /// Compares all that is stored with what its journals say.
    verify_store(VerifyStoreRequest) -> VerifyStoreResponse;
    /// Writes a copy of the store to a file on the server.
    back_up_store(BackUpStoreRequest) -> BackUpStoreResponse;
    /// Brings the schema of the store up to date.
    migrate_store(MigrateStoreRequest) -> MigrateStoreResponse;
    /// Gives the room of what was removed back to the file system.
    vacuum_store(VacuumStoreRequest) -> VacuumStoreResponse;
    /// Removes sessions that nobody has used for long.
    clean_up_store(CleanUpStoreRequest) -> CleanUpStoreResponse;
}

impl Client {
    /// Connects to `endpoint`, `http://host:port` or `host:port`, within `timeout`; see [`CONNECT_TIMEOUT`]. `clock` times
    /// the pauses before a lost turn is looked for again.
    ///
    /// Nobody there is [`ErrorCode::ServerUnreachable`](loom_base::ErrorCode::ServerUnreachable).
    pub async fn connect(endpoint: &str, timeout: Duration, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let parsed = address::parse(endpoint)?
            .connect_timeout(timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        let channel = parsed.connect().await.map_err(|_| Error::unreachable(endpoint))?;
        let rpc = LoomServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        Ok(Self { rpc, clock, address: endpoint.to_owned() })
    }

    /// The server's address, as it was given.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Asks a question and waits for the whole answer.
    pub async fn weave(&self, request: v1::WeaveRequest) -> Result<v1::WeaveResponse, Error> {
        let answer = self.rpc.clone().weave(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| self.error(&status))
    }

    /// Asks a question, once the stream is read, and follows the turn through lost connections and restarts of the
    /// server. Text comes as `delta`, whatever the request's `stream_mode` says. A question that may not have been
    /// accepted is asked again only under a `key`.
    ///
    /// A lost connection cancels a turn that asked for `cancel_on_disconnect`: there is nothing to find again then.
    pub fn stream_weave(&self, mut request: v1::WeaveRequest, key: Option<RequestKey>) -> TurnStream {
        request.set_stream_mode(v1::StreamMode::Delta);
        TurnStream::of_question(self.clone(), request, key)
    }

    /// Follows a turn that was accepted before, from its beginning or after an event, as [`Self::stream_weave`] does.
    pub fn stream_turn(&self, mut request: v1::StreamTurnRequest) -> TurnStream {
        request.set_stream_mode(v1::StreamMode::Delta);
        TurnStream::of_turn(self.clone(), request)
    }

    /// Tells all turns of a session again, as their journals tell them: the same events each time. A connection that is lost
    /// ends it with an error; nothing is missing before that.
    pub async fn replay_session(
        &self,
        request: v1::ReplaySessionRequest,
    ) -> Result<impl Stream<Item = Result<v1::WeaveProgress, Error>> + Send + use<>, Error> {
        let told = self.rpc.clone().replay_session(request).await.map_err(|status| self.error(&status))?;
        let client = self.clone();
        Ok(told.into_inner().map(move |event| event.map_err(|status| client.error(&status))))
    }

    /// Follows what changes among the patterns, from when this returns. It ends with an error when the connection is lost or
    /// the server stops; what changed meanwhile is found by listing the patterns.
    pub async fn stream_pattern_updates(
        &self,
        request: v1::StreamPatternUpdatesRequest,
    ) -> Result<impl Stream<Item = Result<v1::PatternUpdateEvent, Error>> + Send + Unpin + use<>, Error> {
        let told = self.rpc.clone().stream_pattern_updates(request).await;
        let told = told.map_err(|status| self.error(&status))?.into_inner();
        let client = self.clone();
        Ok(told.map(move |event| event.map_err(|status| client.error(&status))))
    }

    /// Hands all that is stored to `take`, piece by piece; the pieces one after the other are a file that a store can be
    /// filled with. What `take` returns as an error ends it.
    pub async fn export_store<E: From<Error>>(
        &self,
        mut take: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut request = Request::new(v1::ExportStoreRequest {});
        request.set_timeout(STORE_TIMEOUT);
        let failed = |status| E::from(self.error(&status));
        let mut pieces = self.rpc.clone().export_store(request).await.map_err(failed)?.into_inner();
        while let Some(piece) = pieces.message().await.map_err(failed)? {
            take(&piece.lines)?;
        }
        Ok(())
    }

    pub(crate) fn error(&self, status: &tonic::Status) -> Error {
        Error::from_status(status, &self.address)
    }
}
