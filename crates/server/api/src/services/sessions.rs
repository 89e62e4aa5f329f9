//! The session RPCs.

use std::collections::HashMap;

use loom_access::Principal;
use loom_base::MessageId;
use loom_llm::Message as Content;
use loom_proto::v1::{
    ConversationHistory, CreateSessionRequest, DeleteSessionRequest, DeleteSessionResponse,
    ForkSessionRequest, GetConversationHistoryRequest, GetSessionRequest, ListSessionsRequest,
    ListSessionsResponse, Message, Session, ToolCall,
};
use loom_runtime::{ForkPoint, SessionDraft, WhenBusy};
use loom_store::{
    MessageRecord, RESERVED_METADATA, SessionFilter, SessionRecord, SessionState, ToolCallRecord,
};

use super::convert::{cost, count, given, invalid, millis, page, positive, session_id, turn_id, unsupported};
use super::turns::when_busy;
use super::{LoomApi, bounds};
use crate::Failure;

impl LoomApi {
    pub(super) async fn session_create(
        &self,
        request: CreateSessionRequest,
        principal: Principal,
    ) -> Result<Session, Failure> {
        if !request.config.is_empty() {
            return Err(unsupported("config", "a session is run by its agent's configuration"));
        }
        bounds::name("name", &request.name)?;
        bounds::name("backend", &request.backend)?;
        bounds::map("metadata", &request.metadata)?;
        if request.metadata.keys().any(|key| key.starts_with(RESERVED_METADATA)) {
            let message = format!("keys that start with `{RESERVED_METADATA}` are Loom's own");
            return Err(invalid("metadata", message));
        }
        let draft = SessionDraft {
            name: request.name,
            backend: request.backend,
            agent: given(request.agent_id),
            metadata: request.metadata,
            when_busy: when_busy(request.when_busy)?,
        };
        let record = self.runtime.sessions().create(draft, principal).await?;
        Ok(self.session(record))
    }

    pub(super) async fn session_get(
        &self,
        request: &GetSessionRequest,
        principal: Principal,
    ) -> Result<Session, Failure> {
        let id = session_id(&request.session_id)?;
        Ok(self.session(self.runtime.sessions().get(&id, principal).await?))
    }

    pub(super) async fn session_list(
        &self,
        request: ListSessionsRequest,
        principal: Principal,
    ) -> Result<ListSessionsResponse, Failure> {
        for (field, value) in
            [("project_id", &request.project_id), ("metadata_status", &request.metadata_status)]
        {
            if !value.is_empty() {
                return Err(unsupported(field, "sessions are listed by agent, backend and state"));
            }
        }
        let state = match request.state.as_str() {
            "" => None,
            "active" => Some(SessionState::Active),
            "ended" => Some(SessionState::Ended),
            other => {
                return Err(invalid("state", format!("state {other:?} is unknown: use active or ended")));
            }
        };
        let agent = match given(request.agent_id) {
            Some(agent) => Some(self.runtime.agents().get(&agent)?.id.clone()),
            None => None,
        };
        let filter = SessionFilter {
            principal: Some(principal.to_string()),
            agent,
            state,
            backend: given(request.backend),
        };
        let listed = self.runtime.sessions().list(&filter, page(request.offset, request.limit)?).await?;
        let total_count = count(listed.total);
        Ok(ListSessionsResponse {
            sessions: bounds::fitting(listed.items.into_iter().map(|record| self.session(record))),
            total_count,
        })
    }

    pub(super) async fn session_fork(
        &self,
        request: ForkSessionRequest,
        principal: Principal,
    ) -> Result<Session, Failure> {
        let id = session_id(&request.session_id)?;
        let at = match (positive("at", request.at)?, given(request.turn_id)) {
            (None, None) => ForkPoint::Latest,
            (Some(count), None) => ForkPoint::Turns(count),
            (None, Some(turn)) => ForkPoint::Turn(turn_id(&turn)?),
            (Some(_), Some(_)) => {
                return Err(invalid("turn_id", "give either at or turn_id, not both"));
            }
        };
        let model = given(request.model);
        Ok(self.session(self.runtime.sessions().fork(&id, at, model, principal).await?))
    }

    pub(super) async fn session_delete(
        &self,
        request: &DeleteSessionRequest,
        principal: Principal,
    ) -> Result<DeleteSessionResponse, Failure> {
        let id = session_id(&request.session_id)?;
        self.runtime.sessions().delete(&id, principal).await?;
        Ok(DeleteSessionResponse {
            success: true,
            message: format!("session {id} and all it held is deleted"),
        })
    }

    pub(super) async fn session_history(
        &self,
        request: &GetConversationHistoryRequest,
        principal: Principal,
    ) -> Result<ConversationHistory, Failure> {
        let id = session_id(&request.session_id)?;
        let page = page(request.offset, request.limit)?;
        let history = self.runtime.sessions().history(&id, principal, page).await?;
        let mut calls: HashMap<MessageId, Vec<ToolCall>> = HashMap::new();
        for call in &history.calls {
            calls.entry(call.message).or_default().push(tool_call(call));
        }
        let total_count = count(history.messages.total);
        let to_message = |record| message(record, &mut calls);
        let messages = bounds::fitting(history.messages.items.into_iter().map(to_message));
        Ok(ConversationHistory { session_id: id.to_string(), messages, total_count })
    }

    fn session(&self, record: SessionRecord) -> Session {
        let agent = self.runtime.agents().get(record.agent.as_str());
        let ended = record.state == SessionState::Ended;
        Session {
            id: record.id.to_string(),
            name: record.name,
            backend: record.backend,
            created_at: record.created_at.as_seconds(),
            updated_at: record.last_active.as_seconds(),
            state: record.state.as_str().to_owned(),
            total_cost_usd: record.totals.cost.as_dollars(),
            conversation_count: count(record.totals.turns),
            metadata: record.metadata,
            agent_id: record.agent.to_string(),
            agent_name: agent.map(|agent| agent.definition.name.clone()).unwrap_or_default(),
            started_at: record.created_at.to_string(),
            ended_at: if ended { record.last_active.to_string() } else { String::new() },
            metadata_status: String::new(),
            artifact_count: 0,
            when_busy: match record.when_busy {
                None => loom_proto::v1::WhenBusy::Unspecified,
                Some(WhenBusy::Queue) => loom_proto::v1::WhenBusy::Queue,
                Some(WhenBusy::Interrupt) => loom_proto::v1::WhenBusy::Interrupt,
                Some(WhenBusy::Reject) => loom_proto::v1::WhenBusy::Reject,
            }
            .into(),
        }
    }
}

fn message(record: MessageRecord, calls: &mut HashMap<MessageId, Vec<ToolCall>>) -> Message {
    let stored = record.message;
    let is_note = stored.content.is_empty() && !stored.beside.is_empty();
    let content = if is_note { stored.beside } else { stored.content };
    let said = Content { role: stored.role, content };
    let is_results =
        said.content.iter().any(|block| matches!(block, loom_llm::ContentBlock::ToolResult { .. }));
    Message {
        id: stored.id.to_string(),
        role: match (is_note, is_results) {
            (true, _) => "hook".to_owned(),
            (_, true) => "tool".to_owned(),
            _ => stored.role.as_str().to_owned(),
        },
        content: said.plain_text(),
        timestamp: stored.created_at.as_seconds(),
        tool_calls: calls.remove(&stored.id).unwrap_or_default(),
        cost: (stored.cost != loom_base::NanoUsd::ZERO)
            .then(|| cost(loom_llm::Usage::default(), stored.cost, "", "")),
    }
}

fn tool_call(call: &ToolCallRecord) -> ToolCall {
    let success = call.outcome == Some(loom_agent::CallOutcome::Succeeded);
    let result = call.result.clone().unwrap_or_default();
    let ran = call.start.zip(call.ended_at).map(|(start, end)| end.since(start.at));
    ToolCall {
        name: call.tool.clone(),
        args_json: call.arguments.to_string(),
        duration_ms: ran.map_or(0, millis),
        success,
        error: if success { String::new() } else { result.clone() },
        result_json: if success { result } else { String::new() },
    }
}
