//! Brings a stored session back into memory.

use std::sync::Arc;

use loom_agent::{CallState, Effect, Event, EventKind, Turn};
use loom_base::MessageId;
use loom_llm::{ContentBlock, Message, Role};
use loom_memory::{Kept, PastTurn, Recent};
use loom_store::{CallChange, Journal, MessageRecord, SessionRecord, TurnEnd};

use crate::Error;
use crate::actor::Loaded;
use crate::core::Core;
use crate::drive::outcome_name;
use crate::step::{Draughted, Steps};

/// Reads as much of the conversation as the agent's L1 holds. A turn that a crash cut off is closed first: its journal
/// says what was done, and every call gets its one result.
pub(crate) async fn load(core: &Core, record: SessionRecord) -> Result<Loaded, Error> {
    let record = match core.stores.turns.unfinished(&record.id).await? {
        Some(turn) => {
            let journal = core.stores.turns.journal(turn).await?;
            if let Some(journal) = journal {
                close(core, &record, journal).await?;
            }
            let found = core.stores.sessions.get(&record.id).await?;
            found.ok_or_else(|| Error::session_not_found(&record.id))?
        }
        None => record,
    };
    let budget = core
        .agents
        .known(&record.agent)
        .map_or_else(|| loom_memory::Budgets::default().l1, |agent| agent.definition.memory.l1);
    let messages = core.stores.messages.recent(&record.id, record.context_start, budget).await?;
    let mut recent = Recent::default();
    for turn in whole_turns(messages, record.context_start) {
        recent.push(turn, budget);
    }
    Ok(Loaded { record, recent })
}

/// Groups messages into turns; one whose beginning is missing is left out.
fn whole_turns(messages: Vec<MessageRecord>, context_start: u64) -> Vec<PastTurn> {
    let mut turns: Vec<PastTurn> = Vec::new();
    for MessageRecord { turn, message, .. } in messages {
        let begins = message.role == Role::User && !is_results(&message.content);
        let content = message.content.into_iter().chain(message.beside).collect();
        let sent = Arc::new(Message { role: message.role, content });
        let kept = Kept { seq: message.seq, message: sent, tokens: message.tokens };
        match turns.last_mut() {
            Some(last) if last.turn == turn => last.messages.push(kept),
            _ if begins || message.seq == context_start => {
                turns.push(PastTurn { turn, messages: vec![kept] });
            }
            _ => {}
        }
    }
    turns
}

fn is_results(content: &[ContentBlock]) -> bool {
    content.iter().any(|block| matches!(block, ContentBlock::ToolResult { .. }))
}

/// Ends a turn that a crash cut off: cancelled, with a result for every call that has none.
async fn close(core: &Core, record: &SessionRecord, journal: Journal) -> Result<(), Error> {
    let id = journal.turn.id;
    let refused = |error| {
        let message = format!("the journal of {id} does not replay: {error}");
        Error::new(loom_base::ErrorCode::StoreCorrupt, message)
    };
    let config = journal.turn.accepted.config.clone();
    let mut turn = Turn::replay(id, config, &journal.events).map_err(refused)?;
    let at = core.clock.now();
    let cancel = Event::new(at, EventKind::CancelRequested);
    let effects = turn.apply(&cancel).map_err(refused)?;
    let seq = u32::try_from(journal.events.len()).unwrap_or(u32::MAX);
    let turns = Arc::clone(&core.stores.turns);
    let mut steps = Steps::new(turns, record.id.clone(), record.epoch, id, seq, record.next_message);
    steps.event(cancel);
    let mut results = Vec::new();
    for effect in effects {
        match effect {
            Effect::Settled { call } => {
                let state =
                    turn.calls().iter().find(|known| known.request.id == call).map(|known| known.state);
                let stored = journal.calls.iter().rev().find(|known| known.call == call);
                let (Some(CallState::Done(outcome)), Some(stored)) = (state, stored) else { continue };
                let text = format!("{}: the server stopped while this call ran", outcome_name(outcome));
                results.push((call.clone(), text.clone(), true));
                let facts = serde_json::Map::new();
                let message = stored.message;
                steps.call(CallChange::Settled { message, call, outcome, result: text, facts, at });
            }
            Effect::Finish(outcome) => steps.end(TurnEnd { outcome, ended_at: at }),
            _ => {}
        }
    }
    add_results(core, &mut steps, &turn, &journal, &results);
    steps.commit(&*core.ids, *turn.spent(), at).await?;
    tracing::warn!(turn.id = %id, session.id = %record.id, "a turn that was cut off by a stop was closed");
    Ok(())
}

/// Adds the results message of the last answer, unless it was stored before the stop.
fn add_results(
    core: &Core,
    steps: &mut Steps,
    turn: &Turn,
    journal: &Journal,
    closed: &[(loom_base::CallId, String, bool)],
) {
    if closed.is_empty() {
        return;
    }
    let result = |call: &loom_agent::Call| {
        let id = call.request.id.clone();
        let now =
            closed.iter().find(|(known, ..)| *known == id).map(|(_, text, error)| (text.clone(), *error));
        let before = || {
            let stored = journal.calls.iter().rev().find(|known| known.call == id)?;
            let failed = stored.outcome != Some(loom_agent::CallOutcome::Succeeded);
            Some((stored.result.clone()?, failed))
        };
        let (text, is_error) = now.or_else(before)?;
        Some(ContentBlock::ToolResult { id, content: text.into(), is_error })
    };
    let content: Vec<_> = turn.calls().iter().filter_map(result).collect();
    let message = MessageId::new(&*core.ids);
    let cost = loom_base::NanoUsd::ZERO;
    steps.message(
        message,
        core.clock.now(),
        Draughted { role: Role::User, content, beside: Vec::new(), cost },
    );
}
