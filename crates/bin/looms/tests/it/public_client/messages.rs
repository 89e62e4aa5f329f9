//! The public messages, written down by hand from the published field numbers: what a client needs, no more.

use std::collections::HashMap;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WeaveRequest {
    #[prost(string, tag = "1")]
    pub(crate) query: String,
    #[prost(string, tag = "2")]
    pub(crate) session_id: String,
    #[prost(map = "string, string", tag = "3")]
    pub(crate) backend_config: HashMap<String, String>,
    #[prost(int32, tag = "4")]
    pub(crate) max_rounds: i32,
    #[prost(int32, tag = "5")]
    pub(crate) timeout_seconds: i32,
    #[prost(map = "string, string", tag = "6")]
    pub(crate) context: HashMap<String, String>,
    #[prost(string, tag = "7")]
    pub(crate) force_pattern: String,
    #[prost(bool, tag = "8")]
    pub(crate) enable_trace: bool,
    #[prost(string, tag = "9")]
    pub(crate) agent_id: String,
    #[prost(bool, tag = "10")]
    pub(crate) reset_context: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WeaveResponse {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) result: Option<ExecutionResult>,
    #[prost(string, tag = "3")]
    pub(crate) session_id: String,
    #[prost(string, tag = "4")]
    pub(crate) trace_id: String,
    #[prost(message, optional, tag = "5")]
    pub(crate) cost: Option<CostInfo>,
    #[prost(message, optional, tag = "6")]
    pub(crate) metadata: Option<ExecutionMetadata>,
    #[prost(string, tag = "8")]
    pub(crate) agent_id: String,
    #[prost(message, optional, tag = "9")]
    pub(crate) context_state: Option<ContextState>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[expect(clippy::struct_excessive_bools, reason = "the published message has them")]
pub(crate) struct WeaveProgress {
    #[prost(int32, tag = "1")]
    pub(crate) stage: i32,
    #[prost(int32, tag = "2")]
    pub(crate) progress: i32,
    #[prost(string, tag = "3")]
    pub(crate) message: String,
    #[prost(string, tag = "4")]
    pub(crate) tool_name: String,
    #[prost(int64, tag = "5")]
    pub(crate) timestamp: i64,
    #[prost(message, optional, tag = "6")]
    pub(crate) partial_result: Option<ExecutionResult>,
    #[prost(string, tag = "8")]
    pub(crate) partial_content: String,
    #[prost(bool, tag = "9")]
    pub(crate) is_token_stream: bool,
    #[prost(int32, tag = "10")]
    pub(crate) token_count: i32,
    #[prost(int64, tag = "11")]
    pub(crate) ttft_ms: i64,
    #[prost(message, optional, tag = "12")]
    pub(crate) cost: Option<CostInfo>,
    #[prost(bool, tag = "13")]
    pub(crate) is_tool_started: bool,
    #[prost(bool, tag = "14")]
    pub(crate) is_tool_completed: bool,
    #[prost(string, tag = "17")]
    pub(crate) tool_error: String,
    #[prost(bool, tag = "18")]
    pub(crate) tool_success: bool,
    #[prost(int64, tag = "19")]
    pub(crate) tool_duration_ms: i64,
    #[prost(string, tag = "20")]
    pub(crate) tool_call_id: String,
    #[prost(message, optional, tag = "21")]
    pub(crate) context_state: Option<ContextState>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExecutionResult {
    #[prost(string, tag = "1")]
    pub(crate) r#type: String,
    #[prost(string, tag = "2")]
    pub(crate) data_json: String,
    #[prost(int32, tag = "3")]
    pub(crate) row_count: i32,
    #[prost(string, repeated, tag = "4")]
    pub(crate) columns: Vec<String>,
    #[prost(int64, tag = "5")]
    pub(crate) bytes_scanned: i64,
    #[prost(int64, tag = "6")]
    pub(crate) duration_ms: i64,
    #[prost(map = "string, string", tag = "7")]
    pub(crate) backend_metadata: HashMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CostInfo {
    #[prost(double, tag = "1")]
    pub(crate) total_cost_usd: f64,
    #[prost(message, optional, tag = "2")]
    pub(crate) llm_cost: Option<LlmCost>,
    #[prost(double, tag = "3")]
    pub(crate) backend_cost_usd: f64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LlmCost {
    #[prost(int32, tag = "1")]
    pub(crate) total_tokens: i32,
    #[prost(int32, tag = "2")]
    pub(crate) input_tokens: i32,
    #[prost(int32, tag = "3")]
    pub(crate) output_tokens: i32,
    #[prost(double, tag = "4")]
    pub(crate) cost_usd: f64,
    #[prost(string, tag = "5")]
    pub(crate) model: String,
    #[prost(string, tag = "6")]
    pub(crate) provider: String,
    #[prost(int32, tag = "7")]
    pub(crate) cache_read_input_tokens: i32,
    #[prost(int32, tag = "8")]
    pub(crate) cache_creation_input_tokens: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ContextState {
    #[prost(string, tag = "1")]
    pub(crate) active_pattern: String,
    #[prost(int64, tag = "2")]
    pub(crate) context_tokens_used: i64,
    #[prost(int64, tag = "3")]
    pub(crate) context_tokens_max: i64,
    #[prost(string, tag = "4")]
    pub(crate) rom: String,
    #[prost(string, repeated, tag = "5")]
    pub(crate) tools_loaded: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExecutionMetadata {
    #[prost(string, tag = "1")]
    pub(crate) pattern_name: String,
    #[prost(int32, tag = "2")]
    pub(crate) llm_calls: i32,
    #[prost(int32, tag = "3")]
    pub(crate) tool_executions: i32,
    #[prost(int32, tag = "4")]
    pub(crate) correction_attempts: i32,
    #[prost(int64, tag = "5")]
    pub(crate) total_duration_ms: i64,
    #[prost(string, repeated, tag = "6")]
    pub(crate) guardrails_checked: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CreateSessionRequest {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) backend: String,
    #[prost(map = "string, string", tag = "3")]
    pub(crate) config: HashMap<String, String>,
    #[prost(map = "string, string", tag = "4")]
    pub(crate) metadata: HashMap<String, String>,
    #[prost(string, tag = "5")]
    pub(crate) agent_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Session {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(string, tag = "3")]
    pub(crate) backend: String,
    #[prost(int64, tag = "4")]
    pub(crate) created_at: i64,
    #[prost(int64, tag = "5")]
    pub(crate) updated_at: i64,
    #[prost(string, tag = "6")]
    pub(crate) state: String,
    #[prost(double, tag = "7")]
    pub(crate) total_cost_usd: f64,
    #[prost(int32, tag = "8")]
    pub(crate) conversation_count: i32,
    #[prost(map = "string, string", tag = "9")]
    pub(crate) metadata: HashMap<String, String>,
    #[prost(string, tag = "10")]
    pub(crate) agent_id: String,
    #[prost(string, tag = "11")]
    pub(crate) agent_name: String,
    #[prost(string, tag = "12")]
    pub(crate) started_at: String,
    #[prost(string, tag = "13")]
    pub(crate) ended_at: String,
    #[prost(string, tag = "14")]
    pub(crate) metadata_status: String,
    #[prost(int32, tag = "15")]
    pub(crate) artifact_count: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetSessionRequest {
    #[prost(string, tag = "1")]
    pub(crate) session_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ListSessionsRequest {
    #[prost(string, tag = "1")]
    pub(crate) state: String,
    #[prost(string, tag = "2")]
    pub(crate) backend: String,
    #[prost(int32, tag = "3")]
    pub(crate) offset: i32,
    #[prost(int32, tag = "4")]
    pub(crate) limit: i32,
    #[prost(string, tag = "5")]
    pub(crate) agent_id: String,
    #[prost(string, tag = "6")]
    pub(crate) project_id: String,
    #[prost(string, tag = "7")]
    pub(crate) metadata_status: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ListSessionsResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) sessions: Vec<Session>,
    #[prost(int32, tag = "2")]
    pub(crate) total_count: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DeleteSessionRequest {
    #[prost(string, tag = "1")]
    pub(crate) session_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DeleteSessionResponse {
    #[prost(bool, tag = "1")]
    pub(crate) success: bool,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetConversationHistoryRequest {
    #[prost(string, tag = "1")]
    pub(crate) session_id: String,
    #[prost(int32, tag = "2")]
    pub(crate) limit: i32,
    #[prost(int32, tag = "3")]
    pub(crate) offset: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ConversationHistory {
    #[prost(string, tag = "1")]
    pub(crate) session_id: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) messages: Vec<HistoryMessage>,
    #[prost(int32, tag = "3")]
    pub(crate) total_count: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HistoryMessage {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(string, tag = "2")]
    pub(crate) role: String,
    #[prost(string, tag = "3")]
    pub(crate) content: String,
    #[prost(int64, tag = "4")]
    pub(crate) timestamp: i64,
    #[prost(message, repeated, tag = "5")]
    pub(crate) tool_calls: Vec<ToolCall>,
    #[prost(message, optional, tag = "6")]
    pub(crate) cost: Option<CostInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ToolCall {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) args_json: String,
    #[prost(string, tag = "3")]
    pub(crate) result_json: String,
    #[prost(int64, tag = "4")]
    pub(crate) duration_ms: i64,
    #[prost(bool, tag = "5")]
    pub(crate) success: bool,
    #[prost(string, tag = "6")]
    pub(crate) error: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ListAgentsRequest {
    #[prost(string, tag = "1")]
    pub(crate) status_filter: String,
    #[prost(int32, tag = "2")]
    pub(crate) page_size: i32,
    #[prost(string, tag = "3")]
    pub(crate) page_token: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ListAgentsResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) agents: Vec<AgentInfo>,
    #[prost(string, tag = "2")]
    pub(crate) next_page_token: String,
    #[prost(int32, tag = "3")]
    pub(crate) total_count: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AgentInfo {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(string, tag = "3")]
    pub(crate) status: String,
    #[prost(int64, tag = "4")]
    pub(crate) uptime_seconds: i64,
    #[prost(int32, tag = "5")]
    pub(crate) active_sessions: i32,
    #[prost(int64, tag = "6")]
    pub(crate) total_messages: i64,
    #[prost(map = "string, string", tag = "7")]
    pub(crate) metadata: HashMap<String, String>,
    #[prost(string, tag = "9")]
    pub(crate) error: String,
    #[prost(int64, tag = "10")]
    pub(crate) created_at: i64,
    #[prost(int64, tag = "11")]
    pub(crate) updated_at: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ListToolsRequest {
    #[prost(string, tag = "1")]
    pub(crate) backend: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ListToolsResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) tools: Vec<ToolDefinition>,
    #[prost(int32, tag = "2")]
    pub(crate) total_count: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ToolDefinition {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) description: String,
    #[prost(string, tag = "3")]
    pub(crate) input_schema_json: String,
    #[prost(string, repeated, tag = "4")]
    pub(crate) backends: Vec<String>,
    #[prost(string, tag = "5")]
    pub(crate) output_schema_json: String,
    #[prost(string, repeated, tag = "6")]
    pub(crate) capabilities: Vec<String>,
    #[prost(string, repeated, tag = "7")]
    pub(crate) keywords: Vec<String>,
    #[prost(string, tag = "15")]
    pub(crate) best_practices: String,
    #[prost(string, tag = "16")]
    pub(crate) category: String,
    #[prost(string, repeated, tag = "18")]
    pub(crate) providers: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetStorageStatusRequest {}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetStorageStatusResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) status: Option<StorageHealthStatus>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StorageHealthStatus {
    #[prost(int32, tag = "1")]
    pub(crate) backend: i32,
    #[prost(bool, tag = "2")]
    pub(crate) healthy: bool,
    #[prost(int64, tag = "3")]
    pub(crate) latency_ms: i64,
    #[prost(int32, tag = "4")]
    pub(crate) migration_version: i32,
    #[prost(string, tag = "5")]
    pub(crate) error: String,
    #[prost(message, optional, tag = "6")]
    pub(crate) pool_stats: Option<PoolStats>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PoolStats {
    #[prost(int32, tag = "1")]
    pub(crate) total_connections: i32,
    #[prost(int32, tag = "2")]
    pub(crate) idle_connections: i32,
    #[prost(int32, tag = "3")]
    pub(crate) active_connections: i32,
    #[prost(int32, tag = "4")]
    pub(crate) max_connections: i32,
    #[prost(int64, tag = "5")]
    pub(crate) wait_count: i64,
    #[prost(int64, tag = "6")]
    pub(crate) wait_duration_ms: i64,
}
