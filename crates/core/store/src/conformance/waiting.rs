//! Calls that wait for someone.

use loom_agent::{CallOutcome, Resolution};
use loom_base::{CallId, EffectId};
use loom_tools::EffectClass;
use serde_json::{Map, json};

use super::Outcome;
use super::fixture::{at, finished, follow, message_id, open_session, refused, same, start, text, turn_id};
use crate::{
    Advance, ApprovalAnswer, CallChange, CallResolution, CallStart, CutOff, Error, Page, SessionRecord,
    Stores, Waiting, WaitingFor,
};

const CALL: &str = "c";

fn call() -> (loom_base::MessageId, CallId) {
    (message_id(1001), CallId::new(CALL))
}

/// A session whose turn 1 has one call.
async fn asked(stores: &Stores) -> Result<SessionRecord, String> {
    let session = open_session(stores, "s").await?;
    start(stores, &session, 1, "hello").await?;
    let (message, call) = call();
    let mut step = follow(&session, 1, 1);
    step.messages = vec![super::fixture::message(1001, 1, "let me see")];
    step.calls = vec![CallChange::Asked {
        message,
        call,
        tool: "pay".to_owned(),
        arguments: json!({ "amount": 5 }),
        class: EffectClass::Unsafe,
    }];
    stores.turns.advance(step).await.map_err(text)?;
    Ok(session)
}

async fn change(stores: &Stores, session: &SessionRecord, seq: u32, calls: Vec<CallChange>) -> Outcome {
    stores.turns.advance(Advance { calls, ..follow(session, 1, seq) }).await.map_err(text)
}

async fn waiting(stores: &Stores, what: WaitingFor) -> Result<Vec<(Waiting, bool)>, String> {
    let listed = stores.turns.waiting(what, Some("local"), Page::new(0, 0)).await.map_err(text)?;
    let others = stores.turns.waiting(what, Some("other"), Page::new(0, 0)).await.map_err(text)?;
    same("another's", &(others.items, others.total), &(Vec::new(), 0))?;
    same("in all", &listed.total, &(listed.items.len() as u64))?;
    for found in &listed.items {
        same("its turn", &found.turn, &turn_id(1))?;
        same("its tool", &found.call.tool.as_str(), &"pay")?;
        same("its owner", &found.principal.as_str(), &"local")?;
    }
    Ok(listed.items.iter().map(|found| (found.waiting, found.turn_ended)).collect())
}

fn approval(effect: u32) -> CallChange {
    let (message, call) = call();
    CallChange::ApprovalAsked { message, call, effect, expires_at: at(60) }
}

fn started(effect: u32) -> CallChange {
    let (message, call) = call();
    CallChange::Started { message, call, start: CallStart { effect, at: at(3) } }
}

fn unknown(seconds: u64) -> CallChange {
    let (message, call) = call();
    CallChange::Unknown { message, call, at: at(seconds) }
}

fn said(resolution: Resolution) -> CallResolution {
    CallResolution { resolution, by: "ops\0".to_owned(), result: Some("paid".to_owned()), at: at(8) }
}

pub(super) async fn approvals_wait_until_answered(stores: Stores) -> Outcome {
    let session = asked(&stores).await?;
    same("before", &waiting(&stores, WaitingFor::Approval).await?, &Vec::new())?;
    change(&stores, &session, 2, vec![approval(3)]).await?;
    let asks = (Waiting::Approval { effect: 3, expires_at: at(60) }, false);
    same("asked", &waiting(&stores, WaitingFor::Approval).await?, &vec![asks])?;
    let (message, call) = call();
    let answer = ApprovalAnswer { approved: true, by: Some("ops".to_owned()), at: at(5) };
    let answered = CallChange::ApprovalAnswered { message, call, answer };
    change(&stores, &session, 3, vec![answered, started(4)]).await?;
    same("answered", &waiting(&stores, WaitingFor::Approval).await?, &Vec::new())?;
    // Asked for anew, in the same way.
    change(&stores, &session, 4, vec![approval(5)]).await?;
    same("again", &waiting(&stores, WaitingFor::Approval).await?.len(), &1)
}

pub(super) async fn unknown_calls_wait_until_resolved(stores: Stores) -> Outcome {
    let session = asked(&stores).await?;
    change(&stores, &session, 2, vec![started(2)]).await?;
    same("running", &waiting(&stores, WaitingFor::Resolution).await?, &Vec::new())?;
    change(&stores, &session, 3, vec![unknown(4)]).await?;
    let waits = |effect, seconds| vec![(Waiting::Resolution { effect, since: at(seconds) }, false)];
    same("cut off", &waiting(&stores, WaitingFor::Resolution).await?, &waits(2, 4))?;
    let effect = EffectId { turn: turn_id(1), number: 2 };
    let while_it_runs = stores.turns.resolve(effect, said(Resolution::Happened)).await;
    refused!(while_it_runs, Error::Missing { .. })?;
    // It did not happen, runs again, and is cut off again.
    let (message, call) = call();
    let resolution = said(Resolution::DidNotHappen);
    let resolved = CallChange::Resolved { message, call, resolution };
    change(&stores, &session, 4, vec![resolved, started(3)]).await?;
    same("resolved", &waiting(&stores, WaitingFor::Resolution).await?, &Vec::new())?;
    change(&stores, &session, 5, vec![unknown(6)]).await?;
    same("cut off again", &waiting(&stores, WaitingFor::Resolution).await?, &waits(3, 6))
}

pub(super) async fn an_ended_turns_unknown_call_is_resolved_once(stores: Stores) -> Outcome {
    let session = asked(&stores).await?;
    change(&stores, &session, 2, vec![started(2)]).await?;
    let (message, call) = call();
    let settled = CallChange::Settled {
        message,
        call,
        outcome: CallOutcome::Unknown,
        result: "outcome unknown".to_owned(),
        facts: Map::new(),
        at: at(7),
    };
    let end = Some(finished(message));
    let last = Advance { calls: vec![settled], end, ..follow(&session, 1, 3) };
    stores.turns.advance(last).await.map_err(text)?;
    let waits = vec![(Waiting::Resolution { effect: 2, since: at(7) }, true)];
    same("at the end", &waiting(&stores, WaitingFor::Resolution).await?, &waits)?;
    let other = EffectId { turn: turn_id(1), number: 9 };
    refused!(stores.turns.resolve(other, said(Resolution::GiveUp)).await, Error::Missing { .. })?;
    let effect = EffectId { turn: turn_id(1), number: 2 };
    stores.turns.resolve(effect, said(Resolution::Happened)).await.map_err(text)?;
    let told = super::fixture::journal(&stores, 1).await?.calls;
    let told = told.first().and_then(|call| call.resolution.clone());
    same("as the journal tells it", &told, &Some(said(Resolution::Happened)))?;
    same("resolved", &waiting(&stores, WaitingFor::Resolution).await?, &Vec::new())?;
    refused!(stores.turns.resolve(effect, said(Resolution::GiveUp)).await, Error::Conflict { .. })
}

pub(super) async fn a_turn_that_waits_is_not_stalled_by_that(stores: Stores) -> Outcome {
    let session = asked(&stores).await?;
    let stalled = async || {
        let turn = stores
            .turns
            .recover(&session.id, session.epoch, turn_id(1), CutOff::MadeAgain)
            .await
            .map_err(text)?;
        Ok::<_, String>(turn.stalled)
    };
    change(&stores, &session, 2, vec![approval(3)]).await?;
    same("to be approved", &(stalled().await?, stalled().await?), &(0, 0))?;
    let (message, call) = call();
    let answer = ApprovalAnswer { approved: true, by: Some("ops".to_owned()), at: at(5) };
    let answered = CallChange::ApprovalAnswered { message, call, answer };
    change(&stores, &session, 3, vec![answered, started(4)]).await?;
    same("running", &(stalled().await?, stalled().await?), &(1, 2))?;
    change(&stores, &session, 4, vec![unknown(6)]).await?;
    same("unknown", &(stalled().await?, stalled().await?), &(0, 0))?;
    let other = CallId::new("other");
    let tool = "look".to_owned();
    let arguments = json!({});
    let asked = CallChange::Asked { message, call: other.clone(), tool, arguments, class: EffectClass::Pure };
    let start = CallStart { effect: 9, at: at(7) };
    let beside = CallChange::Started { message, call: other, start };
    change(&stores, &session, 5, vec![asked, beside]).await?;
    same("beside one that runs", &(stalled().await?, stalled().await?), &(1, 2))
}
