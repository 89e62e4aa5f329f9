//! The RPCs, each a translation between the wire and the runtime.
//!
//! Every field of a request is honoured or refused; nothing is accepted and ignored.

mod admin;
mod agent_config;
mod agents;
mod bounds;
mod budgets;
mod convert;
mod page_token;
mod patterns;
mod people;
mod progress;
mod sessions;
mod store;
mod turns;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use tonic::{Request, Response, Status};

use loom_access::Principal;
use loom_base::{Clock, Timestamp};
use loom_patterns::PatternFiles;
use loom_proto::v1::loom_service_server::LoomService;
use loom_proto::v1::{
    AgentInfo, AnswerApprovalRequest, AnswerApprovalResponse, AnswerClarificationRequest,
    AnswerClarificationResponse, BackUpStoreRequest, BackUpStoreResponse, CancelTurnRequest,
    CancelTurnResponse, CleanUpStoreRequest, CleanUpStoreResponse, ConversationHistory, CreateAgentRequest,
    CreatePatternRequest, CreatePatternResponse, CreateSessionRequest, DeleteAgentRequest,
    DeleteAgentResponse, DeleteSessionRequest, DeleteSessionResponse, DescribeStoreRequest,
    DescribeStoreResponse, ExportStoreRequest, ExportStoreResponse, ForkSessionRequest, GetAgentRequest,
    GetConversationHistoryRequest, GetHealthRequest, GetPatternRequest, GetServerConfigRequest,
    GetSessionRequest, GetStorageStatusRequest, GetStorageStatusResponse, GetTraceRequest, HealthStatus,
    ListAgentsRequest, ListAgentsResponse, ListApprovalsRequest, ListApprovalsResponse, ListBudgetsRequest,
    ListBudgetsResponse, ListEffectsRequest, ListEffectsResponse, ListPatternsRequest, ListPatternsResponse,
    ListSessionsRequest, ListSessionsResponse, ListToolsRequest, ListToolsResponse, ListTurnsRequest,
    ListTurnsResponse, LoadPatternsRequest, LoadPatternsResponse, MigrateStoreRequest, MigrateStoreResponse,
    Pattern, ReloadAgentRequest, ReloadPatternsRequest, ReloadPatternsResponse, ReplaySessionRequest,
    ResolveEffectRequest, ResolveEffectResponse, ServerConfig, Session, StreamPatternUpdatesRequest,
    StreamTurnRequest, Trace, VacuumStoreRequest, VacuumStoreResponse, VerifyStoreRequest,
    VerifyStoreResponse, WeaveProgress, WeaveRequest, WeaveResponse,
};
use loom_runtime::Runtime;

use crate::Failure;

/// Reads an agent's file again, by the agent's id.
pub type ReloadAgentFile =
    Arc<dyn Fn(&str) -> Result<loom_runtime::AgentDefinition, loom_runtime::Error> + Send + Sync>;

/// Answers the RPCs of `loom.v1.LoomService`.
pub struct LoomApi {
    runtime: Arc<Runtime>,
    patterns: Arc<dyn PatternFiles>,
    clock: Arc<dyn Clock>,
    config: ServerConfig,
    reload_file: ReloadAgentFile,
    backup_dir: Option<PathBuf>,
    started_at: Timestamp,
}

/// What [`LoomApi`] is made of.
pub struct ApiParts {
    /// Runs the agents.
    pub runtime: Arc<Runtime>,
    /// The patterns.
    pub patterns: Arc<dyn PatternFiles>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What the server runs with, without its secrets, as `GetServerConfig` shows it.
    pub config: ServerConfig,
    /// Reads an agent's file again, given its path below the agents folder.
    pub reload_file: ReloadAgentFile,
    /// Where backups that a request asks for are written; `None` refuses them.
    pub backup_dir: Option<PathBuf>,
}

impl LoomApi {
    /// The service over `parts`.
    pub fn new(parts: ApiParts) -> Self {
        let started_at = parts.clock.now();
        let ApiParts { runtime, patterns, clock, config, reload_file, backup_dir } = parts;
        Self { runtime, patterns, clock, config, reload_file, backup_dir, started_at }
    }
}

impl From<loom_runtime::Error> for Failure {
    fn from(error: loom_runtime::Error) -> Self {
        let mut failure = Self::new(error.code, error.message);
        if let Some(holder) = error.holder {
            failure = failure.with(Self::HOLDER, &*holder);
        }
        match error.retry_after {
            Some(pause) => failure.retry_after(pause),
            None => failure,
        }
    }
}

/// Who sent `request`, as its door found out.
fn principal_of<T>(request: &Request<T>) -> Principal {
    request.extensions().get::<Principal>().copied().unwrap_or(Principal::Anonymous)
}

fn reply<T>(result: Result<T, Failure>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(Status::from)
}

type ExportStream = Pin<Box<dyn Stream<Item = Result<ExportStoreResponse, Status>> + Send>>;
type ProgressStream = Pin<Box<dyn Stream<Item = Result<WeaveProgress, Status>> + Send>>;

#[tonic::async_trait]
impl LoomService for LoomApi {
    type StreamWeaveStream = ProgressStream;
    type StreamChatStream = ProgressStream;

    async fn weave(&self, request: Request<WeaveRequest>) -> Result<Response<WeaveResponse>, Status> {
        bounds::map("context", &request.get_ref().context)?;
        reply(self.weave_whole(request).await)
    }

    async fn stream_weave(&self, request: Request<WeaveRequest>) -> Result<Response<ProgressStream>, Status> {
        bounds::map("context", &request.get_ref().context)?;
        reply(self.weave_stream(request).await)
    }

    async fn stream_chat(&self, request: Request<WeaveRequest>) -> Result<Response<ProgressStream>, Status> {
        bounds::map("context", &request.get_ref().context)?;
        reply(self.weave_stream(request).await)
    }

    type StreamTurnStream = ProgressStream;

    async fn stream_turn(
        &self,
        request: Request<StreamTurnRequest>,
    ) -> Result<Response<Self::StreamTurnStream>, Status> {
        reply(self.turn_stream(&request).await)
    }

    type ReplaySessionStream = ProgressStream;

    async fn replay_session(
        &self,
        request: Request<ReplaySessionRequest>,
    ) -> Result<Response<Self::ReplaySessionStream>, Status> {
        let principal = principal_of(&request);
        reply(self.session_replay(&request.into_inner(), principal).await)
    }

    async fn fork_session(&self, request: Request<ForkSessionRequest>) -> Result<Response<Session>, Status> {
        let principal = principal_of(&request);
        reply(self.session_fork(request.into_inner(), principal).await)
    }

    async fn cancel_turn(
        &self,
        request: Request<CancelTurnRequest>,
    ) -> Result<Response<CancelTurnResponse>, Status> {
        let principal = principal_of(&request);
        reply(self.turn_cancel(&request.into_inner(), principal).await)
    }

    async fn list_turns(
        &self,
        request: Request<ListTurnsRequest>,
    ) -> Result<Response<ListTurnsResponse>, Status> {
        let principal = principal_of(&request);
        reply(self.turn_list(&request.into_inner(), principal).await)
    }

    async fn list_effects(
        &self,
        request: Request<ListEffectsRequest>,
    ) -> Result<Response<ListEffectsResponse>, Status> {
        let principal = principal_of(&request);
        reply(self.effect_list(&request.into_inner(), principal).await)
    }

    async fn resolve_effect(
        &self,
        request: Request<ResolveEffectRequest>,
    ) -> Result<Response<ResolveEffectResponse>, Status> {
        let principal = principal_of(&request);
        reply(self.effect_resolve(request.into_inner(), principal).await)
    }

    async fn list_approvals(
        &self,
        request: Request<ListApprovalsRequest>,
    ) -> Result<Response<ListApprovalsResponse>, Status> {
        let principal = principal_of(&request);
        reply(self.approval_list(&request.into_inner(), principal).await)
    }

    async fn answer_approval(
        &self,
        request: Request<AnswerApprovalRequest>,
    ) -> Result<Response<AnswerApprovalResponse>, Status> {
        let principal = principal_of(&request);
        reply(self.approval_answer(request.into_inner(), principal).await)
    }

    async fn answer_clarification_question(
        &self,
        request: Request<AnswerClarificationRequest>,
    ) -> Result<Response<AnswerClarificationResponse>, Status> {
        let principal = principal_of(&request);
        reply(self.question_answer(request.into_inner(), principal).await)
    }

    async fn list_budgets(
        &self,
        request: Request<ListBudgetsRequest>,
    ) -> Result<Response<ListBudgetsResponse>, Status> {
        let principal = principal_of(&request);
        reply(self.budget_list(request.into_inner(), principal).await)
    }

    async fn create_session(
        &self,
        request: Request<CreateSessionRequest>,
    ) -> Result<Response<Session>, Status> {
        let principal = principal_of(&request);
        reply(self.session_create(request.into_inner(), principal).await)
    }

    async fn get_session(&self, request: Request<GetSessionRequest>) -> Result<Response<Session>, Status> {
        let principal = principal_of(&request);
        reply(self.session_get(&request.into_inner(), principal).await)
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let principal = principal_of(&request);
        reply(self.session_list(request.into_inner(), principal).await)
    }

    async fn delete_session(
        &self,
        request: Request<DeleteSessionRequest>,
    ) -> Result<Response<DeleteSessionResponse>, Status> {
        let principal = principal_of(&request);
        reply(self.session_delete(&request.into_inner(), principal).await)
    }

    async fn get_conversation_history(
        &self,
        request: Request<GetConversationHistoryRequest>,
    ) -> Result<Response<ConversationHistory>, Status> {
        let principal = principal_of(&request);
        reply(self.session_history(&request.into_inner(), principal).await)
    }

    async fn create_agent_from_config(
        &self,
        request: Request<CreateAgentRequest>,
    ) -> Result<Response<AgentInfo>, Status> {
        reply(self.agent_create(request.into_inner()).await)
    }

    async fn create_agent(
        &self,
        request: Request<CreateAgentRequest>,
    ) -> Result<Response<AgentInfo>, Status> {
        reply(self.agent_create(request.into_inner()).await)
    }

    async fn list_agents(
        &self,
        request: Request<ListAgentsRequest>,
    ) -> Result<Response<ListAgentsResponse>, Status> {
        reply(self.agent_list(&request.into_inner()).await)
    }

    async fn get_agent(&self, request: Request<GetAgentRequest>) -> Result<Response<AgentInfo>, Status> {
        reply(self.agent_get(&request.into_inner()).await)
    }

    async fn reload_agent(
        &self,
        request: Request<ReloadAgentRequest>,
    ) -> Result<Response<AgentInfo>, Status> {
        reply(self.agent_reload(request.into_inner()).await)
    }

    async fn delete_agent(
        &self,
        request: Request<DeleteAgentRequest>,
    ) -> Result<Response<DeleteAgentResponse>, Status> {
        reply(self.agent_delete(&request.into_inner()).await)
    }

    async fn list_patterns(
        &self,
        request: Request<ListPatternsRequest>,
    ) -> Result<Response<ListPatternsResponse>, Status> {
        reply(self.pattern_list(&request.into_inner()))
    }

    async fn get_pattern(&self, request: Request<GetPatternRequest>) -> Result<Response<Pattern>, Status> {
        reply(self.pattern_get(&request.into_inner()))
    }

    async fn reload_patterns(
        &self,
        _: Request<ReloadPatternsRequest>,
    ) -> Result<Response<ReloadPatternsResponse>, Status> {
        reply(Ok(self.pattern_reload().await))
    }

    async fn load_patterns(
        &self,
        request: Request<LoadPatternsRequest>,
    ) -> Result<Response<LoadPatternsResponse>, Status> {
        reply(self.pattern_load(&request.into_inner()).await)
    }

    async fn create_pattern(
        &self,
        request: Request<CreatePatternRequest>,
    ) -> Result<Response<CreatePatternResponse>, Status> {
        reply(self.pattern_create(request.into_inner()).await)
    }

    type StreamPatternUpdatesStream = patterns::UpdateStream;

    async fn stream_pattern_updates(
        &self,
        request: Request<StreamPatternUpdatesRequest>,
    ) -> Result<Response<Self::StreamPatternUpdatesStream>, Status> {
        reply(self.pattern_updates(request.into_inner()))
    }

    async fn list_tools(
        &self,
        request: Request<ListToolsRequest>,
    ) -> Result<Response<ListToolsResponse>, Status> {
        reply(self.tool_list(&request.into_inner()))
    }

    async fn get_trace(&self, request: Request<GetTraceRequest>) -> Result<Response<Trace>, Status> {
        reply(self.trace_get(&request.into_inner()).await)
    }

    async fn get_health(&self, _: Request<GetHealthRequest>) -> Result<Response<HealthStatus>, Status> {
        reply(Ok(self.health().await))
    }

    async fn get_server_config(
        &self,
        _: Request<GetServerConfigRequest>,
    ) -> Result<Response<ServerConfig>, Status> {
        reply(Ok(self.config.clone()))
    }

    async fn get_storage_status(
        &self,
        _: Request<GetStorageStatusRequest>,
    ) -> Result<Response<GetStorageStatusResponse>, Status> {
        reply(Ok(self.storage_status().await))
    }

    async fn describe_store(
        &self,
        _: Request<DescribeStoreRequest>,
    ) -> Result<Response<DescribeStoreResponse>, Status> {
        reply(self.store_describe().await)
    }

    async fn verify_store(
        &self,
        _: Request<VerifyStoreRequest>,
    ) -> Result<Response<VerifyStoreResponse>, Status> {
        reply(self.store_verify().await)
    }

    async fn back_up_store(
        &self,
        request: Request<BackUpStoreRequest>,
    ) -> Result<Response<BackUpStoreResponse>, Status> {
        reply(self.store_back_up(&request.into_inner()).await)
    }

    async fn migrate_store(
        &self,
        _: Request<MigrateStoreRequest>,
    ) -> Result<Response<MigrateStoreResponse>, Status> {
        reply(self.store_migrate().await)
    }

    type ExportStoreStream = ExportStream;

    async fn export_store(
        &self,
        _: Request<ExportStoreRequest>,
    ) -> Result<Response<Self::ExportStoreStream>, Status> {
        reply(self.store_export().await)
    }

    async fn vacuum_store(
        &self,
        _: Request<VacuumStoreRequest>,
    ) -> Result<Response<VacuumStoreResponse>, Status> {
        reply(self.store_vacuum().await)
    }

    async fn clean_up_store(
        &self,
        request: Request<CleanUpStoreRequest>,
    ) -> Result<Response<CleanUpStoreResponse>, Status> {
        reply(self.store_clean_up(&request.into_inner()).await)
    }
}
