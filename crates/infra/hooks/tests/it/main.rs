//! The two hooks against a real git and a real HTTP service.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "the parts shared by tests fail a test as a test does"
)]

mod git_commit;
mod service;
mod webhook;

use std::collections::BTreeSet;
use std::time::Duration;

use loom_base::{EffectId, TraceId, TurnId};
use loom_tools::{EffectClass, HookInput, HookPoint, HookSpec, OnFailure, ToolContext};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

fn spec(effect: EffectClass) -> HookSpec {
    HookSpec {
        name: "h".into(),
        points: BTreeSet::from([HookPoint::AfterTools]),
        effect,
        timeout: Duration::from_secs(5),
        on_failure: OnFailure::Closed,
    }
}

fn effect(number: u32) -> EffectId {
    EffectId { turn: TurnId::from_uuid(Uuid::from_u128(7)), number }
}

fn input(number: u32) -> HookInput {
    HookInput {
        point: HookPoint::AfterTools,
        hook: "h".into(),
        effect: effect(number),
        session: "s-1".parse().unwrap(),
        turn: effect(number).turn,
        agent: "a-1".parse().unwrap(),
        agent_name: "writer\nof books".to_owned(),
        messages: Vec::new(),
        calls: Vec::new(),
    }
}

fn context(number: u32) -> ToolContext {
    ToolContext {
        effect: effect(number),
        session: "s-1".parse().unwrap(),
        agent: "a-1".parse().unwrap(),
        trace: TraceId::of_turn(effect(number).turn),
        cancel: CancellationToken::new(),
    }
}
