//! The step that is being put together: what happened since the last commit.

use std::sync::Arc;

use loom_agent::{Event, Reserved, Spent};
use loom_base::{IdSource, MessageId, NanoUsd, SessionId, Timestamp, TurnId};
use loom_llm::{ContentBlock, Message, Role, estimate_message};
use loom_memory::Kept;
use loom_store::{
    Advance, CallChange, IdempotencyKey, NewMessage, NewTurn, Queueing, Receipt, TurnEnd, TurnStore,
};

/// Collects what happens in a turn and commits it step by step.
pub(crate) struct Steps {
    store: Arc<dyn TurnStore>,
    session: SessionId,
    epoch: u64,
    turn: TurnId,
    seq: u32,
    next_message: u64,
    last_message: Option<MessageId>,
    draft: Draft,
    ended: Option<TurnEnd>,
}

#[derive(Default)]
struct Draft {
    events: Vec<Event>,
    accept: Option<NewTurn>,
    queueing: Queueing,
    key: Option<IdempotencyKey>,
    messages: Vec<NewMessage>,
    calls: Vec<CallChange>,
    end: Option<TurnEnd>,
    context_start: Option<u64>,
}

/// A message to add.
pub(crate) struct Draughted {
    pub(crate) role: Role,
    pub(crate) content: Vec<ContentBlock>,
    pub(crate) beside: Vec<ContentBlock>,
    pub(crate) cost: NanoUsd,
}

impl Steps {
    /// Steps of a turn whose journal has `seq` events, in a session whose next message is `next_message`.
    pub(crate) fn new(
        store: Arc<dyn TurnStore>,
        session: SessionId,
        epoch: u64,
        turn: TurnId,
        seq: u32,
        next_message: u64,
    ) -> Self {
        let draft = Draft::default();
        Self { store, session, epoch, turn, seq, next_message, last_message: None, draft, ended: None }
    }

    /// The place that the next message gets.
    pub(crate) const fn next_message(&self) -> u64 {
        self.next_message
    }

    /// The message that was added last.
    pub(crate) const fn last_message(&self) -> Option<MessageId> {
        self.last_message
    }

    pub(crate) fn accept(&mut self, turn: NewTurn, key: Option<IdempotencyKey>, context_start: Option<u64>) {
        self.draft.accept = Some(turn);
        self.draft.key = key;
        self.draft.context_start = context_start;
    }

    /// The turn that is accepted has waited.
    pub(crate) fn begins(&mut self) {
        self.draft.queueing = Queueing::Begins;
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.draft.events.push(event);
    }

    pub(crate) fn call(&mut self, change: CallChange) {
        self.draft.calls.push(change);
    }

    pub(crate) fn end(&mut self, end: TurnEnd) {
        self.ended = Some(end.clone());
        self.draft.end = Some(end);
    }

    /// How the turn ended, once a step says so.
    pub(crate) fn ended(&self) -> Option<TurnEnd> {
        self.ended.clone()
    }

    /// Whether anything has happened since the last step.
    pub(crate) const fn has_events(&self) -> bool {
        !self.draft.events.is_empty()
    }

    /// Events in the journal once all that was queued is durable.
    pub(crate) const fn events(&self) -> u32 {
        self.seq
    }

    /// Adds a message to the step and gives it back as it is sent.
    pub(crate) fn message(&mut self, id: MessageId, at: Timestamp, message: Draughted) -> Kept {
        let Draughted { role, content, beside, cost } = message;
        let sent = Message { role, content: content.iter().chain(&beside).cloned().collect() };
        let tokens = estimate_message(&sent);
        let seq = self.next_message;
        self.next_message += 1;
        self.last_message = Some(id);
        self.draft.messages.push(NewMessage { id, seq, role, content, beside, tokens, cost, created_at: at });
        Kept { seq, message: Arc::new(sent), tokens }
    }

    /// Queues the step. The receipt says when it is durable; steps commit in order.
    pub(crate) fn commit(
        &mut self,
        ids: &dyn IdSource,
        spent: Spent,
        reserved: Option<Reserved>,
        at: Timestamp,
    ) -> Receipt {
        let draft = std::mem::take(&mut self.draft);
        let expected_seq = self.seq;
        self.seq += u32::try_from(draft.events.len()).unwrap_or(u32::MAX);
        self.store.advance(Advance {
            session: self.session.clone(),
            epoch: self.epoch,
            turn: self.turn,
            expected_seq,
            append_id: ids.uuid(),
            events: draft.events,
            accept: draft.accept,
            queueing: draft.queueing,
            key: draft.key,
            messages: draft.messages,
            calls: draft.calls,
            spent,
            reserved,
            end: draft.end,
            context_start: draft.context_start,
            at,
        })
    }
}
