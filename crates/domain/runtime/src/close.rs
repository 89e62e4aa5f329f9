//! Ends a turn that cannot be taken up: cancelled, with a result for every call that has none.

use std::sync::Arc;

use loom_agent::{Effect, Event, EventKind, Outcome};
use loom_base::{ErrorCode, MessageId, NanoUsd};
use loom_llm::Role;
use loom_store::{CallChange, EndNotes, Journal, SessionRecord, TurnEnd};
use loom_tools::ToolSet;

use crate::core::Core;
use crate::drive::Lost;
use crate::step::{Draughted, Steps};
use crate::story::Story;
use crate::{Error, Feed, restore};

/// Bytes of an earlier result that the closing message repeats.
const MOST_RESULT_BYTES: usize = 4_096;

/// Ends the turn of `journal`. It needs neither agent nor model.
pub(crate) async fn close(core: &Core, record: &SessionRecord, journal: &Journal) -> Result<(), Error> {
    let messages = restore::messages_of(core, journal).await?;
    let (id, config) = (journal.turn.id, journal.turn.accepted.config.clone());
    let feed = Arc::new(Feed::new(journal.turn.recoveries, true));
    let mut story = Story::new(id, config, feed, MOST_RESULT_BYTES);
    story.replay(journal, messages, &ToolSet::default())?;
    let at = core.clock.now();
    let asked = story.turn.outstanding_effects(at);
    let asked = asked.iter().find(|effect| matches!(effect, Effect::CallLlm { .. })).and_then(Effect::opens);
    let lost = asked.zip(Lost::of(journal.turn.reserved, journal.turn.stalled + 1));
    let lost = lost.map(|(effect, lost)| Event::new(at, lost.event(effect)));
    let cancel = Event::new(at, EventKind::CancelRequested);
    let refused =
        |error| Error::new(ErrorCode::StoreCorrupt, format!("the journal of {id} does not replay: {error}"));
    if let Some(lost) = &lost {
        story.lose(lost).map_err(refused)?;
    }
    let effects = story.apply(&cancel).map_err(refused)?;
    let events = u32::try_from(journal.events.len()).unwrap_or(u32::MAX);
    let turns = Arc::clone(&core.stores.turns);
    let mut steps = Steps::new(turns, record.id.clone(), record.epoch, id, events, record.next_message);
    if let Some(lost) = lost {
        steps.event(lost);
    }
    steps.event(cancel);
    for effect in &effects {
        if let Effect::Settled { call } = effect
            && let Some(outcome) = story.outcome_of(call)
            && let Some(answer) = &mut story.answer
            && let Some(settled) = answer.settle(call, outcome, at)
        {
            let message = answer.message;
            story.settled(call, outcome, &settled, at);
            let (call, result, facts) = (call.clone(), settled.stored, settled.facts);
            steps.call(CallChange::Settled { message, call, outcome, result, facts, at });
        }
        for (content, beside) in story.messages_before(effect) {
            let results = Draughted { role: Role::User, content, beside, cost: NanoUsd::ZERO };
            steps.message(MessageId::new(&*core.ids), at, results);
        }
    }
    steps.end(TurnEnd { outcome: Outcome::Cancelled, ended_at: at, notes: EndNotes::default() });
    steps.commit(&*core.ids, *story.turn.spent(), None, at).await?;
    core.budgets.ended(&journal.turn.accepted.agent, &[]);
    tracing::warn!(turn.id = %id, session.id = %record.id, "a turn that could not be taken up was cancelled");
    Ok(())
}
