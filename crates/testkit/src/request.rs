//! A model request to start a test from.

use loom_base::{EffectId, TraceId, TurnId};
use loom_llm::{CallContext, CompletionRequest, Message, Role, Sampling};
use uuid::Uuid;

/// A request that says `text` to `model`: no system prompt, no tools, no deadline, and the ids of effect 1 of turn 1.
pub fn completion_request(model: &str, text: &str) -> anyhow::Result<CompletionRequest> {
    let turn = TurnId::from_uuid(Uuid::from_u128(1));
    Ok(CompletionRequest {
        model: model.into(),
        system: "".into(),
        messages: vec![Message::text(Role::User, text).into()],
        tools: [].into(),
        max_output_tokens: 1_024,
        sampling: Sampling::default(),
        context: CallContext {
            effect: EffectId { turn, number: 1 },
            session: "sess_test".parse()?,
            agent: "agent_test".parse()?,
            trace: TraceId::of_turn(turn),
            deadline: None,
        },
    })
}
