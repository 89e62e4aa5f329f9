//! What turns wait for people for: unknown effects and approvals.

use loom_access::Principal;
use loom_agent::Resolution;
use loom_base::{Digest, EffectId};
use loom_proto::v1::{
    AnswerApprovalRequest, AnswerApprovalResponse, AnswerClarificationRequest, AnswerClarificationResponse,
    EffectResolution, ListApprovalsRequest, ListApprovalsResponse, ListEffectsRequest, ListEffectsResponse,
    PendingApproval, ResolveEffectRequest, ResolveEffectResponse, UnknownEffect,
};
use loom_runtime::{Decision, Said};
use loom_store::{Waiting, WaitingCall, WaitingFor};

use super::LoomApi;
use super::convert::{count, given, invalid, page, session_id};
use crate::Failure;

/// The longest result or reason that someone may give, in bytes.
const MAX_TEXT_BYTES: usize = 64 * 1024;

impl LoomApi {
    pub(super) async fn effect_list(
        &self,
        request: &ListEffectsRequest,
        principal: Principal,
    ) -> Result<ListEffectsResponse, Failure> {
        let page = page(request.offset, request.limit)?;
        let listed = self.runtime.sessions().waiting(WaitingFor::Resolution, principal, page).await?;
        let effects = listed.items.into_iter().filter_map(unknown_effect).collect();
        Ok(ListEffectsResponse { effects, total_count: count(listed.total) })
    }

    pub(super) async fn effect_resolve(
        &self,
        request: ResolveEffectRequest,
        principal: Principal,
    ) -> Result<ResolveEffectResponse, Failure> {
        let effect = effect_id("effect_id", &request.effect_id)?;
        let resolution = match request.resolution() {
            EffectResolution::Happened => Resolution::Happened,
            EffectResolution::DidNotHappen => Resolution::DidNotHappen,
            EffectResolution::GiveUp => Resolution::GiveUp,
            EffectResolution::Unspecified => {
                let expected = "say what became of it: HAPPENED, DID_NOT_HAPPEN or GIVE_UP";
                return Err(invalid("resolution", expected));
            }
        };
        let result = bounded("result", request.result)?;
        if result.is_some() && resolution != Resolution::Happened {
            return Err(invalid("result", "only an effect that happened has a result"));
        }
        let said = Said { resolution, result, by: principal.as_str().into() };
        self.runtime.sessions().resolve_effect(effect, said, principal).await?;
        Ok(ResolveEffectResponse {})
    }

    pub(super) async fn approval_list(
        &self,
        request: &ListApprovalsRequest,
        principal: Principal,
    ) -> Result<ListApprovalsResponse, Failure> {
        let page = page(request.offset, request.limit)?;
        let listed = self.runtime.sessions().waiting(WaitingFor::Approval, principal, page).await?;
        let approvals = listed.items.into_iter().filter_map(pending_approval).collect();
        Ok(ListApprovalsResponse { approvals, total_count: count(listed.total) })
    }

    pub(super) async fn approval_answer(
        &self,
        request: AnswerApprovalRequest,
        principal: Principal,
    ) -> Result<AnswerApprovalResponse, Failure> {
        let effect = effect_id("approval_id", &request.approval_id)?;
        let digest = given(request.arguments_digest).map(|text| {
            text.parse::<Digest>()
                .map_err(|()| invalid("arguments_digest", "arguments_digest must be 64 hexadecimal digits"))
        });
        let decision = Decision {
            approved: request.approve,
            reason: bounded("reason", request.reason)?.map(Into::into),
            arguments: digest.transpose()?,
            by: principal.as_str().into(),
        };
        self.runtime.sessions().decide_approval(effect, decision, principal).await?;
        Ok(AnswerApprovalResponse {})
    }

    pub(super) async fn question_answer(
        &self,
        request: AnswerClarificationRequest,
        principal: Principal,
    ) -> Result<AnswerClarificationResponse, Failure> {
        let session = session_id(&request.session_id)?;
        let question = effect_id("question_id", &request.question_id)?;
        let answer = bounded("answer", request.answer)?
            .ok_or_else(|| invalid("answer", "answer is empty; say something"))?;
        let sessions = self.runtime.sessions();
        if let Some(agent) = given(request.agent_id) {
            let record = sessions.get(&session, principal).await?;
            if record.agent.as_str() != agent {
                let expected = format!("the session belongs to agent {}", record.agent);
                return Err(invalid("agent_id", expected));
            }
        }
        sessions.answer_question(&session, question, answer, principal).await?;
        Ok(AnswerClarificationResponse { success: true, error: String::new(), accepted: true })
    }
}

fn unknown_effect(waiting: WaitingCall) -> Option<UnknownEffect> {
    let Waiting::Resolution { effect, since } = waiting.waiting else { return None };
    Some(UnknownEffect {
        effect_id: EffectId { turn: waiting.turn, number: effect }.to_string(),
        turn_id: waiting.turn.to_string(),
        session_id: waiting.session.to_string(),
        agent_id: waiting.agent.to_string(),
        tool_name: waiting.call.tool,
        args_json: waiting.call.arguments.to_string(),
        unknown_since: since.as_seconds(),
        turn_waits: !waiting.turn_ended,
    })
}

fn pending_approval(waiting: WaitingCall) -> Option<PendingApproval> {
    let Waiting::Approval { effect, expires_at } = waiting.waiting else { return None };
    Some(PendingApproval {
        approval_id: EffectId { turn: waiting.turn, number: effect }.to_string(),
        turn_id: waiting.turn.to_string(),
        session_id: waiting.session.to_string(),
        agent_id: waiting.agent.to_string(),
        tool_name: waiting.call.tool,
        arguments_digest: Digest::of_json(&waiting.call.arguments).to_string(),
        args_json: waiting.call.arguments.to_string(),
        expires_at: expires_at.as_seconds(),
    })
}

fn effect_id(field: &str, text: &str) -> Result<EffectId, Failure> {
    text.parse().map_err(|error: loom_base::IdError| invalid(field, error.to_string()))
}

fn bounded(field: &str, text: String) -> Result<Option<String>, Failure> {
    if text.len() > MAX_TEXT_BYTES {
        let message = format!("{field} has {} bytes; at most {MAX_TEXT_BYTES} are accepted", text.len());
        return Err(invalid(field, message));
    }
    Ok(given(text))
}
