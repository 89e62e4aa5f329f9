//! A turn as far as it has come: its machine, the content that its events point to, and what clients see of it.
//!
//! It is the same whether it is lived or read from its journal, so a turn that a stop cut off goes on where it was, and
//! clients are told again what they were told.

use std::sync::Arc;

use loom_agent::{CallOutcome, CallState, Effect, Event, EventKind, ProtocolError, Turn, TurnConfig};
use loom_base::{CallId, ErrorCode, MessageId, Timestamp, TurnId};
use loom_llm::{ContentBlock, Message};
use loom_memory::Kept;
use loom_store::{Journal, MessageRecord, NewTurn, TurnEnd};
use loom_tools::ToolSet;

use crate::answer::{Answer, Settlement};
use crate::ask_user::Question;
use crate::notes::{is_note, keep, note_in};
use crate::{Error, Feed, Progress};

/// A turn as far as it has come.
pub(crate) struct Story {
    pub(crate) turn: Turn,
    pub(crate) feed: Arc<Feed>,
    /// The latest answer with calls, until their results are a message.
    pub(crate) answer: Option<Answer>,
    /// The turn's messages as they are sent.
    pub(crate) current: Vec<Kept>,
    pub(crate) seen: Seen,
    /// What hooks noted for the model and no message holds yet.
    notes: Vec<ContentBlock>,
    /// The latest message, as the journal tells it.
    pub(crate) last_message: Option<MessageId>,
    /// Events applied.
    events: u32,
    /// Bytes of a tool result that the model is shown.
    most_result_bytes: usize,
}

/// What the end of the turn needs to know.
#[derive(Default)]
pub(crate) struct Seen {
    /// The text of the latest whole answer.
    pub(crate) text: String,
    /// The text of an answer that broke off after it.
    pub(crate) partial_text: Option<String>,
    pub(crate) model: Option<String>,
    /// The newest tabular result of a tool.
    pub(crate) table: Option<Arc<serde_json::Value>>,
}

impl Story {
    pub(crate) fn new(turn: TurnId, config: TurnConfig, feed: Arc<Feed>, most_result_bytes: usize) -> Self {
        Self {
            turn: Turn::new(turn, config),
            feed,
            answer: None,
            current: Vec::new(),
            seen: Seen::default(),
            notes: Vec::new(),
            last_message: None,
            events: 0,
            most_result_bytes,
        }
    }

    /// Lets the machine take in an event.
    pub(crate) fn apply(&mut self, event: &Event) -> Result<Vec<Effect>, ProtocolError> {
        let note = note_in(&self.turn, event);
        let effects = self.turn.apply(event)?;
        self.notes.extend(note);
        self.feed.at_event(self.events);
        self.events += 1;
        Ok(effects)
    }

    /// Lets the machine take in that model calls were cut off. What clients are shown until the next event belongs to the
    /// event before: this one is stored with the next.
    pub(crate) fn lose(&mut self, event: &Event) -> Result<(), ProtocolError> {
        self.turn.apply(event)?;
        self.events += 1;
        Ok(())
    }

    /// Lives the turn again as its journal tells it, with the content that is stored beside.
    pub(crate) fn replay(
        &mut self,
        journal: &Journal,
        messages: Vec<MessageRecord>,
        tools: &ToolSet,
    ) -> Result<(), Error> {
        let mut replay = Replay { journal, messages: messages.into_iter() };
        for event in &journal.events {
            replay.take_content(self, event, tools)?;
            let effects = self.apply(event).map_err(|error| replay.corrupt(&error.to_string()))?;
            if let (EventKind::UserMessage { .. }, Some(pattern)) =
                (&event.kind, &journal.turn.accepted.pattern)
            {
                self.feed.push(event.at, Progress::PatternSelected(pattern.clone()));
            }
            for effect in &effects {
                replay.take_effect(self, effect, event.at)?;
            }
            self.show(&event.kind, &effects, event.at);
        }
        self.feed.durable(self.events);
        Ok(())
    }

    /// The call whose effect has this number.
    pub(crate) fn call_of(&self, effect: u32) -> Option<&loom_agent::Call> {
        self.turn.calls().iter().find(|call| call.state.effect() == Some(effect))
    }

    /// What became of a call, once it has its one result.
    pub(crate) fn outcome_of(&self, call: &CallId) -> Option<CallOutcome> {
        let found = self.turn.calls().iter().find(|known| known.request.id == *call);
        found.and_then(|call| match call.state {
            CallState::Done(outcome) => Some(outcome),
            _ => None,
        })
    }

    /// Notes that a call starts.
    pub(crate) fn start(&mut self, call: &CallId, at: Timestamp) {
        if let Some(answer) = &mut self.answer {
            answer.start(call, at);
        }
    }

    /// Keeps a call's one result and shows it.
    pub(crate) fn settled(
        &mut self,
        call: &CallId,
        outcome: CallOutcome,
        settled: &Settlement,
        at: Timestamp,
    ) {
        let Some(answer) = &mut self.answer else { return };
        let is_error = outcome != CallOutcome::Succeeded;
        answer.keep(call, &settled.stored, is_error, self.most_result_bytes);
        let tool = answer.work(call).map_or_else(|| "".into(), |work| Arc::clone(&work.name));
        if let Some(data) = settled.data.as_ref().filter(|data| data.get("columns").is_some()) {
            self.seen.table = Some(Arc::clone(data));
        }
        let completed = Progress::ToolCompleted {
            call: call.clone(),
            tool,
            outcome,
            result: settled.data.clone(),
            error: is_error.then(|| settled.stored.clone()),
            duration: settled.duration,
        };
        self.feed.push(at, completed);
    }

    /// The messages that must be there before `effect`: the results of the latest answer's calls, then what hooks noted for the
    /// model, each as what was said and what stands beside it.
    pub(crate) fn messages_before(&mut self, effect: &Effect) -> Vec<(Vec<ContentBlock>, Vec<ContentBlock>)> {
        let all_settled = self.turn.calls().iter().all(|call| matches!(call.state, CallState::Done(_)));
        if !matches!(effect, Effect::CallLlm { .. } | Effect::Finish(_)) || !all_settled {
            return Vec::new();
        }
        let results = self.answer.take().and_then(Answer::into_results).unwrap_or_default();
        let messages = [(results, Vec::new()), (Vec::new(), std::mem::take(&mut self.notes))];
        messages.into_iter().filter(|(said, beside)| !said.is_empty() || !beside.is_empty()).collect()
    }

    /// Shows what an event led to, the results of calls aside.
    pub(crate) fn show(&self, kind: &EventKind, effects: &[Effect], at: Timestamp) {
        if let (EventKind::LlmFailed { message, .. }, Some(Effect::StartTimer { delay, .. })) =
            (kind, effects.first())
            && self.turn.outcome().is_none()
        {
            self.feed.push(at, Progress::Retrying { reason: message.clone(), delay: *delay });
        }
        if let EventKind::ToolUnknown { effect } = kind {
            self.show_unknown(*effect, at);
        }
        for effect in effects {
            self.show_effect(effect, at);
        }
    }

    fn show_effect(&self, effect: &Effect, at: Timestamp) {
        let work = |call| self.answer.as_ref().and_then(|answer| answer.work(call));
        let progress = match effect {
            Effect::CallLlm { attempt, .. } => {
                Progress::ModelStarted { call: self.turn.spent().model_calls + 1, attempt: *attempt }
            }
            Effect::RunTool { call, .. } => {
                let Some(work) = work(call) else { return };
                let (tool, input) = (Arc::clone(&work.name), Arc::clone(&work.input));
                Progress::ToolStarted { call: call.clone(), tool, input }
            }
            Effect::AskUser { effect, call } => {
                let Some(work) = work(call) else { return };
                let Question { text, options } = Question::of(&work.input);
                let (effect, call) = (effect.number, call.clone());
                Progress::QuestionAsked { effect, call, question: text, options }
            }
            Effect::RequestApproval { effect, call, expires_at } => {
                let Some(work) = work(call) else { return };
                Progress::ApprovalAsked {
                    effect: effect.number,
                    call: call.clone(),
                    tool: Arc::clone(&work.name),
                    input: Arc::clone(&work.input),
                    expires_at: *expires_at,
                }
            }
            _ => return,
        };
        self.feed.push(at, progress);
    }

    fn show_unknown(&self, effect: u32, at: Timestamp) {
        let Some(call) = self.call_of(effect) else { return };
        if matches!(call.state, CallState::AwaitingResolution(_)) {
            let (call, tool) = (call.request.id.clone(), Arc::clone(&call.request.tool));
            self.feed.push(at, Progress::OutcomeUnknown { effect, call, tool });
        }
    }

    /// Shows how the turn ended; the feed's last item.
    pub(crate) fn tell_end(&self, accepted: &NewTurn, end: &TurnEnd) {
        self.feed.push(end.ended_at, crate::ending::last_item(accepted, self, end));
    }
}

/// What is stored of a turn, as far as it has not been told yet.
struct Replay<'a> {
    journal: &'a Journal,
    messages: std::vec::IntoIter<MessageRecord>,
}

impl Replay<'_> {
    /// Takes the content that an event points to.
    fn take_content(&mut self, story: &mut Story, event: &Event, tools: &ToolSet) -> Result<(), Error> {
        match &event.kind {
            EventKind::UserMessage { .. } => drop(self.take_message(story)?),
            EventKind::LlmDone { message, calls, .. } => {
                let content = self.take_message(story)?;
                story.answer = Some(Answer::stored(*message, &content, calls, tools));
                story.seen.text = content.iter().filter_map(ContentBlock::as_text).collect();
                story.seen.partial_text = None;
                // It came in pieces that are not stored: whoever reads it now gets it in one.
                if !story.seen.text.is_empty() {
                    story.feed.push(event.at, Progress::Delta(story.seen.text.as_str().into()));
                }
            }
            EventKind::BudgetExceeded { raise: Some(raise), .. } => {
                let of_raise = |known: &&loom_store::ToolCallRecord| known.call == raise.call.id;
                let stored = self.journal.calls.iter().find(of_raise);
                let input =
                    stored.ok_or_else(|| self.corrupt("a request to raise its budget is not stored"))?;
                story.answer = Some(Answer::own(raise.message, &raise.call, input.arguments.clone()));
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes what is stored of an effect's consequences.
    fn take_effect(&mut self, story: &mut Story, effect: &Effect, at: Timestamp) -> Result<(), Error> {
        match effect {
            Effect::RunTool { call, .. } | Effect::AskUser { call, .. } => story.start(call, at),
            Effect::Settled { call } => {
                let Some(outcome) = story.outcome_of(call) else { return Ok(()) };
                let settled = story.answer.as_ref().and_then(|answer| {
                    let of_answer = |known: &&loom_store::ToolCallRecord| {
                        known.call == *call && known.message == answer.message
                    };
                    let stored = self.journal.calls.iter().find(of_answer)?.result.clone()?;
                    answer.settled(call, outcome, at, stored)
                });
                let settled = settled.ok_or_else(|| self.corrupt("the result of a call is not stored"))?;
                story.settled(call, outcome, &settled, at);
            }
            _ => {}
        }
        for _ in story.messages_before(effect) {
            self.take_message(story)?;
        }
        Ok(())
    }

    fn take_message(&mut self, story: &mut Story) -> Result<Vec<ContentBlock>, Error> {
        let MessageRecord { message, .. } =
            self.messages.next().ok_or_else(|| self.corrupt("a message of it is not stored"))?;
        let is_note = is_note(&message);
        let content = message.content.iter().chain(&message.beside).cloned().collect();
        let sent = Arc::new(Message { role: message.role, content });
        story.last_message = Some(message.id);
        let kept = Kept { seq: message.seq, message: sent, tokens: message.tokens };
        keep(&mut story.current, kept, is_note);
        Ok(message.content)
    }

    fn corrupt(&self, why: &str) -> Error {
        let message = format!("the journal of {} does not replay: {why}", self.journal.turn.id);
        Error::new(ErrorCode::StoreCorrupt, message)
    }
}
