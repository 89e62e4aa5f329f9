//! Drives one turn: performs what the machine asks for, tells it what happened, commits each step.
//!
//! Nothing a client can see leaves before the turn's acceptance is durable, no call with an effect starts before its
//! intent is, and the answer is shown only after its last step is.

mod perform;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio_util::sync::CancellationToken;

use loom_agent::{CallOutcome, CallState, Effect, Event, EventKind, Outcome, Turn};
use loom_base::{CallId, ErrorCode, MessageId, NanoUsd, SessionId, Timestamp, TurnId};
use loom_llm::{Completion, ContentBlock, Message, Role, Usage, estimate_message};
use loom_memory::{Kept, Recent};
use loom_store::{CallChange, CallStart, Receipt, TurnEnd};

use crate::accept::Prepared;
use crate::answer::Answer;
use crate::core::Core;
use crate::model_call::FailedCall;
use crate::step::{Draughted, Steps};
use crate::tool_call::Ended;
use crate::{ContextUse, Error, Feed, Progress};

/// Bytes of a tool result that the model is shown: a quarter of its room, within these bounds.
const RESULT_BYTES: std::ops::RangeInclusive<u64> = 4_096..=65_536;

/// What came back for an effect.
enum Reply {
    Model { effect: u32, result: Result<Completion, FailedCall>, took: std::time::Duration },
    Tool { effect: u32, call: CallId, ended: Ended },
    Timer { effect: u32 },
    Compacted { effect: u32, freed: bool },
}

/// A running turn.
pub(crate) struct Drive<'a> {
    core: &'a Core,
    session: SessionId,
    recent: &'a mut Recent,
    context_start: u64,
    prepared: Prepared,
    feed: Arc<Feed>,
    cancel: CancellationToken,
    stop: CancellationToken,
    turn: Turn,
    steps: Steps,
    current: Vec<Kept>,
    answer: Option<Answer>,
    replies: FuturesUnordered<BoxFuture<'static, Reply>>,
    stops: BTreeMap<u32, CancellationToken>,
    context: ContextUse,
    seen: Seen,
}

/// What the turn's report needs to know at its end.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) text: String,
    pub(crate) model: Option<String>,
    pub(crate) table: Option<Arc<serde_json::Value>>,
}

/// A turn that is over, durably.
pub(crate) struct Driven {
    pub(crate) turn: Turn,
    pub(crate) prepared: Prepared,
    pub(crate) current: Vec<Kept>,
    pub(crate) next_message: u64,
    pub(crate) context: ContextUse,
    pub(crate) seen: Seen,
    pub(crate) ended_at: Timestamp,
}

/// What a drive works on.
pub(crate) struct Start<'a> {
    pub(crate) core: &'a Core,
    pub(crate) session: SessionId,
    pub(crate) recent: &'a mut Recent,
    pub(crate) context_start: u64,
    pub(crate) steps: Steps,
    pub(crate) turn: TurnId,
    pub(crate) prepared: Prepared,
    pub(crate) feed: Arc<Feed>,
    /// Fires when the turn is to be cancelled.
    pub(crate) cancel: CancellationToken,
    /// Fires when the session is to do nothing more.
    pub(crate) stop: CancellationToken,
}

impl<'a> Drive<'a> {
    pub(crate) fn new(start: Start<'a>) -> Self {
        Self {
            core: start.core,
            session: start.session,
            recent: start.recent,
            context_start: start.context_start,
            turn: Turn::new(start.turn, start.prepared.config.clone()),
            prepared: start.prepared,
            feed: start.feed,
            cancel: start.cancel,
            stop: start.stop,
            steps: start.steps,
            current: Vec::new(),
            answer: None,
            replies: FuturesUnordered::new(),
            stops: BTreeMap::new(),
            context: ContextUse::default(),
            seen: Seen::default(),
        }
    }

    /// Accepts the turn: starts its first model call while its acceptance commits, and calls `accepted` once that is
    /// durable. Then runs it to its end.
    pub(crate) async fn run(mut self, query: &str, accepted: impl FnOnce()) -> Result<Driven, Error> {
        let mut receipt = self.begin(query)?;
        let mut early = None;
        loop {
            tokio::select! {
                biased;
                durable = &mut receipt => break durable?,
                Some(reply) = self.replies.next(), if early.is_none() => early = Some(reply),
            }
        }
        accepted();
        if let Some(reply) = early {
            self.take(reply).await?;
        }
        while self.turn.outcome().is_none() {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => self.apply(EventKind::CancelRequested).await?,
                () = self.stop.cancelled() => self.apply(EventKind::CancelRequested).await?,
                Some(reply) = self.replies.next() => self.take(reply).await?,
            }
        }
        Ok(Driven {
            ended_at: self.core.clock.now(),
            next_message: self.steps.next_message(),
            turn: self.turn,
            prepared: self.prepared,
            current: self.current,
            context: self.context,
            seen: self.seen,
        })
    }

    fn begin(&mut self, query: &str) -> Result<Receipt, Error> {
        let at = self.prepared.at;
        let message = MessageId::new(&*self.core.ids);
        let content = vec![ContentBlock::text(query)];
        let beside = self.prepared.beside.clone();
        let user = Draughted { role: Role::User, content, beside, cost: NanoUsd::ZERO };
        self.current.push(self.steps.message(message, at, user));
        if let Some(pattern) = &self.prepared.pattern {
            self.feed.push(at, Progress::PatternSelected(pattern.clone()));
        }
        let event = Event::new(at, EventKind::UserMessage { message });
        let effects = self.apply_to_machine(event)?;
        let receipt = self.steps.commit(&*self.core.ids, *self.turn.spent(), at);
        for effect in effects {
            self.perform(effect, at);
        }
        Ok(receipt)
    }

    /// Turns what came back into an event, keeping its content for the step.
    async fn take(&mut self, reply: Reply) -> Result<(), Error> {
        let event = match reply {
            Reply::Model { effect, result: Ok(completion), took } => {
                self.take_completion(effect, completion, took)
            }
            Reply::Model { effect, result: Err(failed), took } => self.take_failure(effect, failed, took),
            Reply::Tool { effect, call, ended } => {
                let (event, output) = match ended {
                    Ended::Known(output) => {
                        (EventKind::ToolDone { effect, succeeded: output.is_ok() }, output)
                    }
                    Ended::Unknown(error) => (EventKind::ToolUnknown { effect }, Err(error)),
                };
                if let Some(answer) = &mut self.answer {
                    answer.set_output(&call, output);
                }
                event
            }
            Reply::Timer { effect } => EventKind::TimerFired { effect },
            Reply::Compacted { effect, freed } => EventKind::CompactDone { effect, freed },
        };
        self.apply(event).await
    }

    fn take_completion(
        &mut self,
        effect: u32,
        mut completion: Completion,
        took: std::time::Duration,
    ) -> EventKind {
        let estimated = completion.usage == Usage::default();
        if estimated {
            completion.usage = self.estimated_usage(&completion.content);
        }
        let model = &self.prepared.model;
        let cost = model.info.prices.map_or(NanoUsd::ZERO, |prices| prices.cost(&completion.usage));
        self.core.count_model_call(&model.provider_name, &model.name, "ok", completion.usage, cost, took);
        let message = MessageId::new(&*self.core.ids);
        let (answer, calls) = Answer::new(message, &mut completion, &self.prepared.built.tools);
        for (request, call) in calls.iter().zip(answer.calls()) {
            let arguments = answer.work(call).map_or(serde_json::Value::Null, |work| (*work.input).clone());
            let (call, tool) = (call.clone(), request.tool.to_string());
            self.steps.call(CallChange::Asked { message, call, tool, arguments, class: request.class });
        }
        self.answer = Some(answer);
        self.seen.text = completion.content.iter().filter_map(ContentBlock::as_text).collect();
        self.seen.model = Some(completion.model.to_string());
        let said = Draughted { role: Role::Assistant, content: completion.content, beside: Vec::new(), cost };
        let at = self.core.clock.now();
        self.current.push(self.steps.message(message, at, said));
        EventKind::LlmDone {
            effect,
            message,
            finish: completion.finish,
            usage: completion.usage,
            estimated,
            cost,
            calls,
        }
    }

    /// About what a provider that does not say so used for the latest request and its answer.
    fn estimated_usage(&self, answer: &[ContentBlock]) -> Usage {
        let answer = Message { role: Role::Assistant, content: answer.to_vec() };
        Usage { input: self.context.used, output: estimate_message(&answer), ..Usage::default() }
    }

    fn take_failure(&mut self, effect: u32, failed: FailedCall, took: std::time::Duration) -> EventKind {
        let FailedCall { error, usage, partial_text } = failed;
        let model = &self.prepared.model;
        let cost = model.info.prices.map_or(NanoUsd::ZERO, |prices| prices.cost(&usage));
        let code = error.class.code();
        self.core.count_model_call(&model.provider_name, &model.name, code.as_str(), usage, cost, took);
        self.seen.text = partial_text;
        EventKind::LlmFailed {
            effect,
            code: code.as_str().to_owned(),
            message: error.to_string(),
            retryable: error.class.is_retryable(),
            too_long: error.class == loom_llm::ErrorClass::ContextTooLong,
            retry_after: error.retry_after,
            usage,
            cost,
        }
    }

    /// Applies an event, commits the step, performs what it asks for. Calls that need a durable intent start only once
    /// the step is durable.
    async fn apply(&mut self, kind: EventKind) -> Result<(), Error> {
        let at = self.core.clock.now();
        let retry = match &kind {
            EventKind::LlmFailed { message, .. } => Some(message.clone()),
            _ => None,
        };
        let effects = self.apply_to_machine(Event::new(at, kind))?;
        for effect in &effects {
            self.record(effect, at);
        }
        let over = self.turn.outcome().is_some();
        if over {
            self.settle_cancelled_model_call()?;
        }
        if let (Some(reason), Some(Effect::StartTimer { delay, .. })) = (retry, effects.first()) {
            self.feed.push(at, Progress::Retrying { reason, delay: *delay });
        }
        let needs_intent = effects.iter().any(|effect| self.needs_intent(effect));
        let receipt = self.steps.commit(&*self.core.ids, *self.turn.spent(), at);
        // A step that is not waited for is still ordered before the later ones, and fails them when it fails.
        if needs_intent || over {
            receipt.await?;
        }
        for effect in effects {
            self.perform(effect, at);
        }
        Ok(())
    }

    fn apply_to_machine(&mut self, event: Event) -> Result<Vec<Effect>, Error> {
        let effects = self.turn.apply(&event).map_err(|error| {
            Error::new(ErrorCode::Internal, format!("the turn machine refused an event: {error}"))
        })?;
        self.steps.event(event);
        Ok(effects)
    }

    fn needs_intent(&self, effect: &Effect) -> bool {
        let Effect::RunTool { call, .. } = effect else { return false };
        self.answer
            .as_ref()
            .and_then(|answer| answer.work(call))
            .is_some_and(|work| work.class.needs_intent())
    }

    /// Puts what an effect means for the stored calls and messages into the step.
    fn record(&mut self, effect: &Effect, at: Timestamp) {
        match effect {
            Effect::RunTool { effect, call } => {
                if let Some(answer) = &mut self.answer {
                    answer.start(call, at);
                    let start = CallStart { effect: effect.number, at };
                    self.steps.call(CallChange::Started {
                        message: answer.message,
                        call: call.clone(),
                        start,
                    });
                }
            }
            Effect::Settled { call } => self.settle(call, at),
            Effect::Finish(outcome) => {
                self.steps.end(TurnEnd { outcome: outcome.clone(), ended_at: at });
            }
            _ => {}
        }
        let all_settled = self.turn.calls().iter().all(|call| matches!(call.state, CallState::Done(_)));
        if matches!(effect, Effect::CallLlm { .. } | Effect::Finish(_)) && all_settled {
            self.add_results(at);
        }
    }

    fn settle(&mut self, call: &CallId, at: Timestamp) {
        let most_bytes = self.most_result_bytes();
        let state = self.turn.calls().iter().find(|known| known.request.id == *call).map(|known| known.state);
        let (Some(CallState::Done(outcome)), Some(answer)) = (state, &mut self.answer) else { return };
        let Some(settled) = answer.settle(call, outcome, at, most_bytes) else { return };
        let message = answer.message;
        let tool = answer.work(call).map_or_else(|| "".into(), |work| Arc::clone(&work.name));
        self.core.metrics.tool_calls.add([&tool, outcome_name(outcome)], 1);
        self.core.metrics.tool_seconds.observe([&tool], settled.duration);
        if let Some(data) = settled.data.as_ref().filter(|data| data.get("columns").is_some()) {
            self.seen.table = Some(Arc::clone(data));
        }
        let error = settled.is_error.then(|| settled.text.clone());
        self.feed.push(
            at,
            Progress::ToolCompleted {
                call: call.clone(),
                tool,
                outcome,
                result: settled.data,
                error,
                duration: settled.duration,
            },
        );
        answer.keep(call, &settled.text, settled.is_error);
        let (result, facts) = (settled.text, settled.facts);
        self.steps.call(CallChange::Settled { message, call: call.clone(), outcome, result, facts, at });
    }

    /// Adds the message with the results of the latest answer's calls, once all have one.
    fn add_results(&mut self, at: Timestamp) {
        let Some(content) = self.answer.take().and_then(Answer::into_results) else { return };
        let message = MessageId::new(&*self.core.ids);
        let results = Draughted { role: Role::User, content, beside: Vec::new(), cost: NanoUsd::ZERO };
        self.current.push(self.steps.message(message, at, results));
    }

    fn most_result_bytes(&self) -> usize {
        let model = &self.prepared.model;
        let quarter = model.window.saturating_sub(model.output_reserve) / 4;
        let bytes = quarter.saturating_mul(3).clamp(*RESULT_BYTES.start(), *RESULT_BYTES.end());
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// A model call that the end of the turn cut off stops at once and says what it used: that goes into the ledger
    /// with the last step.
    fn settle_cancelled_model_call(&mut self) -> Result<(), Error> {
        self.stops.values().for_each(CancellationToken::cancel);
        // Polled once: whoever listens to its stop is ready, and the rest is not waited for.
        while let Some(Some(reply)) = self.replies.next().now_or_never() {
            if let Reply::Model { effect, result: Err(failed), took } = reply {
                let event = self.take_failure(effect, failed, took);
                let at = self.core.clock.now();
                self.apply_to_machine(Event::new(at, event))?;
            }
        }
        Ok(())
    }
}

pub(crate) const fn outcome_name(outcome: CallOutcome) -> &'static str {
    match outcome {
        CallOutcome::Succeeded => "succeeded",
        CallOutcome::Failed => "failed",
        CallOutcome::Denied => "denied",
        CallOutcome::OverLimit => "over_limit",
        CallOutcome::Cancelled => "cancelled",
        CallOutcome::Unknown => "unknown",
    }
}

/// The name of a turn's outcome, for metrics and traces.
pub(crate) fn turn_outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Finished { .. } => "finished",
        Outcome::Failed(_) => "failed",
        Outcome::Cancelled => "cancelled",
    }
}
