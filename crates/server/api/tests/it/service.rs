//! A `LoomService` that answers with what it was asked.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use loom_api::{Failure, status};
use loom_base::ErrorCode;
use loom_proto::v1::loom_service_server::LoomService;
use loom_proto::v1::*;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};

/// Tells the test what happens inside.
#[derive(Clone)]
pub(crate) struct Fake {
    /// Gets the query of each call that starts to wait, and "dropped" when such a call is dropped.
    pub(crate) events: mpsc::UnboundedSender<String>,
}

struct Dropped(mpsc::UnboundedSender<String>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send("dropped".into());
    }
}

type Progress = Pin<Box<dyn Stream<Item = Result<WeaveProgress, Status>> + Send>>;
type Exported = Pin<Box<dyn Stream<Item = Result<ExportStoreResponse, Status>> + Send>>;
type PatternUpdates = Pin<Box<dyn Stream<Item = Result<PatternUpdateEvent, Status>> + Send>>;
type Answer<T> = Result<Response<T>, Status>;

#[expect(clippy::unnecessary_wraps, reason = "it is what every handler returns")]
fn answer<T>(message: T) -> Answer<T> {
    Ok(Response::new(message))
}

fn refusal(query: &str) -> Status {
    match query {
        "overloaded" => Failure::new(ErrorCode::LlmRateLimited, "the provider asks to wait")
            .retry_after(Duration::from_millis(2500))
            .into(),
        _ => status(ErrorCode::AgentNotFound, "no agent \"x\"", [("agent_id", "x".to_owned())]),
    }
}

impl Fake {
    async fn wait(&self, query: &str) {
        let _dropped = Dropped(self.events.clone());
        let _ = self.events.send(query.to_owned());
        std::future::pending::<()>().await;
    }

    fn stream(&self, request: &WeaveRequest) -> Answer<Progress> {
        let event = |number: i32, text: &str| WeaveProgress {
            stage: ExecutionStage::LlmGeneration.into(),
            progress: 20 * number,
            partial_content: text.into(),
            is_token_stream: true,
            ttft_ms: 7,
            event_id: format!("turn_1.{number}"),
            ..WeaveProgress::default()
        };
        let last = WeaveProgress {
            stage: ExecutionStage::Completed.into(),
            progress: 100,
            timestamp: 1_700_000_000,
            cost: Some(CostInfo { total_cost_usd: 0.5, ..CostInfo::default() }),
            ..event(5, "Hello")
        };
        match request.query.as_str() {
            "refused" => Err(refusal("refused")),
            "broken" => {
                let failed = refusal("broken");
                answer(Box::pin(stream::iter([Ok(event(1, "He")), Err(failed)])))
            }
            "hang" => {
                let fake = self.clone();
                let silence = stream::once(async move {
                    fake.wait("hang").await;
                    Ok(WeaveProgress::default())
                });
                answer(Box::pin(stream::iter([Ok(event(1, "He"))]).chain(silence)))
            }
            // More than any socket takes from a client that does not read.
            "flood" => {
                let part = "x".repeat(16 << 10);
                answer(Box::pin(stream::iter(0..4_000).map(move |number| Ok(event(number, &part)))))
            }
            _ => answer(Box::pin(stream::iter([Ok(event(1, "He")), Ok(event(2, "Hello")), Ok(last)]))),
        }
    }
}

macro_rules! not_asked {
    ($($rpc:ident($request:ty) -> $answer:ty;)*) => {
        $(
            fn $rpc<'life0, 'async_trait>(
                &'life0 self,
                _: Request<$request>,
            ) -> Pin<Box<dyn Future<Output = Answer<$answer>> + Send + 'async_trait>>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                Box::pin(async { Err(Status::internal("a test does not ask this")) })
            }
        )*
    };
}

#[tonic::async_trait]
impl LoomService for Fake {
    type StreamWeaveStream = Progress;
    type StreamChatStream = Progress;
    type ExportStoreStream = Exported;
    type StreamPatternUpdatesStream = PatternUpdates;
    type StreamTurnStream = Progress;
    type ReplaySessionStream = Progress;

    async fn weave(&self, request: Request<WeaveRequest>) -> Answer<WeaveResponse> {
        let trace = request.metadata().get("traceparent").and_then(|value| value.to_str().ok());
        let trace_id = trace.unwrap_or_default().to_owned();
        let request = request.into_inner();
        match request.query.as_str() {
            "" => Err(status(ErrorCode::EmptyQuery, "the query is empty", [])),
            "refused" | "overloaded" => Err(refusal(&request.query)),
            "hang" => {
                self.wait("hang").await;
                answer(WeaveResponse::default())
            }
            _ => {
                let context = request.context.into_iter().map(|(name, value)| format!("{name}={value}"));
                let text = format!("{} {}", request.query, context.collect::<Vec<_>>().join(","));
                answer(WeaveResponse {
                    text: text.trim().to_owned(),
                    session_id: request.session_id,
                    agent_id: request.agent_id,
                    trace_id,
                    turn_id: format!("mode {}", request.stream_mode),
                    ..WeaveResponse::default()
                })
            }
        }
    }

    async fn stream_weave(&self, request: Request<WeaveRequest>) -> Answer<Progress> {
        self.stream(request.get_ref())
    }

    async fn stream_chat(&self, request: Request<WeaveRequest>) -> Answer<Progress> {
        self.stream(request.get_ref())
    }

    async fn get_session(&self, request: Request<GetSessionRequest>) -> Answer<Session> {
        answer(Session {
            id: request.into_inner().session_id,
            created_at: i64::MAX,
            metadata: BTreeMap::from([("k".into(), "v".into())]),
            ..Session::default()
        })
    }

    async fn list_sessions(&self, request: Request<ListSessionsRequest>) -> Answer<ListSessionsResponse> {
        let name = format!("{:?}", request.into_inner());
        answer(ListSessionsResponse {
            sessions: vec![Session { name, ..Session::default() }],
            total_count: 0,
        })
    }

    async fn get_conversation_history(
        &self,
        request: Request<GetConversationHistoryRequest>,
    ) -> Answer<ConversationHistory> {
        let request = request.into_inner();
        answer(ConversationHistory {
            session_id: request.session_id,
            total_count: request.limit,
            ..ConversationHistory::default()
        })
    }

    async fn reload_agent(&self, request: Request<ReloadAgentRequest>) -> Answer<AgentInfo> {
        let request = request.into_inner();
        answer(AgentInfo { id: request.agent_id, config: request.config, ..AgentInfo::default() })
    }

    async fn create_agent(&self, request: Request<CreateAgentRequest>) -> Answer<AgentInfo> {
        answer(AgentInfo {
            status: "created".into(),
            config: request.into_inner().config,
            ..AgentInfo::default()
        })
    }

    async fn delete_agent(&self, request: Request<DeleteAgentRequest>) -> Answer<DeleteAgentResponse> {
        let request = request.into_inner();
        answer(DeleteAgentResponse { success: request.force, agent_id: request.agent_id })
    }

    async fn reload_patterns(&self, _: Request<ReloadPatternsRequest>) -> Answer<ReloadPatternsResponse> {
        answer(ReloadPatternsResponse { patterns_loaded: 3, ..ReloadPatternsResponse::default() })
    }

    async fn back_up_store(&self, request: Request<BackUpStoreRequest>) -> Answer<BackUpStoreResponse> {
        answer(BackUpStoreResponse { path: request.into_inner().name, bytes: 7 })
    }

    async fn get_health(&self, _: Request<GetHealthRequest>) -> Answer<HealthStatus> {
        answer(HealthStatus { status: "healthy".into(), ..HealthStatus::default() })
    }

    not_asked! {
        stream_turn(StreamTurnRequest) -> Progress;
        replay_session(ReplaySessionRequest) -> Progress;
        cancel_turn(CancelTurnRequest) -> CancelTurnResponse;
        list_turns(ListTurnsRequest) -> ListTurnsResponse;
        list_effects(ListEffectsRequest) -> ListEffectsResponse;
        resolve_effect(ResolveEffectRequest) -> ResolveEffectResponse;
        list_approvals(ListApprovalsRequest) -> ListApprovalsResponse;
        answer_approval(AnswerApprovalRequest) -> AnswerApprovalResponse;
        answer_clarification_question(AnswerClarificationRequest) -> AnswerClarificationResponse;
        list_budgets(ListBudgetsRequest) -> ListBudgetsResponse;
        create_session(CreateSessionRequest) -> Session;
        delete_session(DeleteSessionRequest) -> DeleteSessionResponse;
        fork_session(ForkSessionRequest) -> Session;
        create_agent_from_config(CreateAgentRequest) -> AgentInfo;
        list_agents(ListAgentsRequest) -> ListAgentsResponse;
        get_agent(GetAgentRequest) -> AgentInfo;
        list_patterns(ListPatternsRequest) -> ListPatternsResponse;
        get_pattern(GetPatternRequest) -> Pattern;
        load_patterns(LoadPatternsRequest) -> LoadPatternsResponse;
        create_pattern(CreatePatternRequest) -> CreatePatternResponse;
        stream_pattern_updates(StreamPatternUpdatesRequest) -> PatternUpdates;
        list_tools(ListToolsRequest) -> ListToolsResponse;
        get_trace(GetTraceRequest) -> Trace;
        get_server_config(GetServerConfigRequest) -> ServerConfig;
        get_storage_status(GetStorageStatusRequest) -> GetStorageStatusResponse;
        describe_store(DescribeStoreRequest) -> DescribeStoreResponse;
        verify_store(VerifyStoreRequest) -> VerifyStoreResponse;
        migrate_store(MigrateStoreRequest) -> MigrateStoreResponse;
        export_store(ExportStoreRequest) -> Exported;
        vacuum_store(VacuumStoreRequest) -> VacuumStoreResponse;
        clean_up_store(CleanUpStoreRequest) -> CleanUpStoreResponse;
    }
}
