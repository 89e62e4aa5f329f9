//! Brings a stored session back into memory.

use std::sync::Arc;

use loom_agent::{Amounts, Event, EventKind, Spent};
use loom_llm::{ContentBlock, Message, Role};
use loom_memory::{Kept, PastTurn, Recent};
use loom_store::{Journal, MessageRecord, SessionRecord, SessionTotals, TurnRecord};

use crate::Error;
use crate::core::Core;
use crate::lease::Lease;
use crate::notes::{is_note, keep};

/// What a session in memory knows.
pub(crate) struct Loaded {
    pub(crate) lease: Lease,
    pub(crate) record: SessionRecord,
    /// What its turns have used.
    pub(crate) used: Amounts,
    pub(crate) recent: Recent,
    /// The turn that a stop cut off.
    pub(crate) unfinished: Option<Journal>,
    /// Those that wait, in order.
    pub(crate) waiting: Vec<TurnRecord>,
    /// Whether it was made for a turn that is not accepted yet.
    pub(crate) is_new: bool,
}

/// Reads as much of the conversation as the agent's L1 holds, the journal of a turn that a stop cut off, and what waits.
pub(crate) async fn load(core: &Core, record: SessionRecord, lease: Lease) -> Result<Loaded, Error> {
    let unfinished = match core.stores.turns.unfinished(&record.id).await? {
        Some(turn) => core.stores.turns.journal(turn).await?,
        None => None,
    };
    let waiting = core.stores.turns.queued(&record.id).await?;
    let budget = core
        .agents
        .known(&record.agent)
        .map_or_else(|| loom_memory::Budgets::default().l1, |agent| agent.definition.memory.l1);
    let mut messages = core.stores.messages.recent(&record.id, record.context_start, budget).await?;
    if let Some(journal) = &unfinished {
        messages.retain(|message| message.turn != journal.turn.id);
    }
    let mut recent = Recent::default();
    for turn in whole_turns(messages, record.context_start) {
        recent.push(turn, budget);
    }
    let used = used(&record.totals);
    Ok(Loaded { lease, record, used, recent, unfinished, waiting, is_new: false })
}

/// What the turns of a session have used.
pub(crate) fn used(totals: &SessionTotals) -> Amounts {
    let spent = Spent {
        usage: totals.usage,
        cost: totals.cost,
        tool_calls: u32::try_from(totals.tool_calls).unwrap_or(u32::MAX),
        worked: totals.worked,
        ..Spent::default()
    };
    Amounts::from(&spent)
}

/// The messages of a turn that its journal needs to be told.
pub(crate) async fn messages_of(core: &Core, journal: &Journal) -> Result<Vec<MessageRecord>, Error> {
    let Some(Event { kind: EventKind::UserMessage { message }, .. }) = journal.events.first() else {
        return Ok(Vec::new());
    };
    // An event adds its answer and the results of the answer before at most.
    let most = u32::try_from(journal.events.len() * 2).unwrap_or(u32::MAX);
    Ok(core.stores.messages.of_turn(*message, most).await?)
}

/// Groups messages into turns; one whose beginning is missing is left out.
fn whole_turns(messages: Vec<MessageRecord>, context_start: u64) -> Vec<PastTurn> {
    let mut turns: Vec<PastTurn> = Vec::new();
    for MessageRecord { turn, message, .. } in messages {
        let is_note = is_note(&message);
        let begins = message.role == Role::User && !is_results(&message.content) && !is_note;
        let content = message.content.into_iter().chain(message.beside).collect();
        let sent = Arc::new(Message { role: message.role, content });
        let kept = Kept { seq: message.seq, message: sent, tokens: message.tokens };
        match turns.last_mut() {
            Some(last) if last.turn == turn => keep(&mut last.messages, kept, is_note),
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
