//! What clients see of a running turn: an append-only list that any number of them read at their own pace.
//!
//! A slow reader never slows the turn, and a reader that comes late sees everything from the start. The list lives as
//! long as the turn runs or someone reads. What belongs to an event of the journal is shown once that event is durable.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt};
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use loom_agent::{CallOutcome, Spent};
use loom_base::{AgentId, CallId, Digest, NanoUsd, SessionId, Timestamp, TraceId, TurnId};
use loom_store::PatternUse;

use crate::Error;
use crate::sync::{Mutex, MutexGuard};

/// A place in a turn's feed. Its text form, such as `0.2.1`, is what clients resume by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// How often the turn had been taken up again after a stop.
    pub attempt: u32,
    /// The number of the journal's event that it belongs to.
    pub event: u32,
    /// Its place among the items of that event.
    pub item: u32,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.attempt, self.event, self.item)
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut numbers = text.split('.').map(|number| number.parse().map_err(drop));
        let mut next = || numbers.next().ok_or(())?;
        let cursor = Self { attempt: next()?, event: next()?, item: next()? };
        if numbers.next().is_some() { Err(()) } else { Ok(cursor) }
    }
}

/// Something a client may want to see.
#[derive(Clone, Debug)]
pub struct FeedItem {
    /// Its place in the feed.
    pub id: Cursor,
    /// When.
    pub at: Timestamp,
    /// What.
    pub progress: Progress,
}

/// What happened, as clients see it.
#[derive(Clone, Debug)]
pub enum Progress {
    /// A pattern was put beside the message.
    PatternSelected(PatternUse),
    /// The model is asked.
    ModelStarted {
        /// The answer asked for, from 1.
        call: u32,
        /// The attempt at it, from 1.
        attempt: u32,
    },
    /// The model call waits for a slot.
    Waiting,
    /// The model call failed and is tried again; text since the last `ModelStarted` is void.
    Retrying {
        /// What went wrong.
        reason: String,
        /// How long until the next attempt.
        delay: Duration,
    },
    /// More text.
    Delta(Arc<str>),
    /// A tool runs.
    ToolStarted {
        /// The call.
        call: CallId,
        /// The tool.
        tool: Arc<str>,
        /// Its arguments.
        input: Arc<Value>,
    },
    /// A tool call has its result.
    ToolCompleted {
        /// The call.
        call: CallId,
        /// The tool.
        tool: Arc<str>,
        /// What became of it.
        outcome: CallOutcome,
        /// The result, when it succeeded.
        result: Option<Arc<Value>>,
        /// The error, when it did not.
        error: Option<String>,
        /// How long it ran.
        duration: Duration,
    },
    /// A call waits for someone to approve it.
    ApprovalAsked {
        /// The number of the effect that asks.
        effect: u32,
        /// The call.
        call: CallId,
        /// The tool.
        tool: Arc<str>,
        /// Its arguments.
        input: Arc<Value>,
        /// When an approval comes too late.
        expires_at: Timestamp,
    },
    /// The model asks the user something, and the turn waits for the answer.
    QuestionAsked {
        /// The number of the effect that asks.
        effect: u32,
        /// The call.
        call: CallId,
        /// The question.
        question: String,
        /// The answers to choose from; empty means any text.
        options: Vec<String>,
    },
    /// A call was cut off and may have taken effect; it waits for someone to say what became of it.
    OutcomeUnknown {
        /// The number of its effect.
        effect: u32,
        /// The call.
        call: CallId,
        /// The tool.
        tool: Arc<str>,
    },
    /// Text since the last `ModelStarted` is void and comes anew: a stop cut the turn off and it was taken up again, or the
    /// turn is over and its journal has the text in one piece.
    Restarted,
    /// The turn has its answer; the last item.
    Completed(Arc<TurnResult>),
    /// The turn has none; the last item.
    Failed(Arc<TurnFailure>),
}

/// A turn's answer and what it took.
#[derive(Clone, Debug)]
pub struct TurnResult {
    /// The answer.
    pub text: String,
    /// Why the model stopped.
    pub finish: loom_llm::FinishReason,
    /// The newest tabular result of a tool: what `QueryResult` looks like as JSON.
    pub table: Option<Arc<Value>>,
    /// What it took.
    pub report: TurnReport,
}

/// A turn without an answer, why, and what it took all the same.
#[derive(Clone, Debug)]
pub struct TurnFailure {
    /// Why.
    pub error: Error,
    /// The text of the last answer, as far as it came.
    pub partial_text: String,
    /// What it took.
    pub report: TurnReport,
}

/// What a turn took.
#[derive(Clone, Debug)]
pub struct TurnReport {
    /// What was used.
    pub spent: Spent,
    /// Whether the model's prices are known; where not, the cost says nothing.
    pub priced: bool,
    /// The provider.
    pub provider: String,
    /// The model that answered.
    pub model: String,
    /// The pattern beside the message.
    pub pattern: Option<PatternUse>,
    /// From acceptance to the end.
    pub duration: Duration,
    /// From acceptance to the first text.
    pub first_text: Option<Duration>,
    /// The context of the last model call.
    pub context: ContextUse,
    /// The digest of the agent's fixed context.
    pub rom: Digest,
    /// The names of the tools the model could call.
    pub tools: Arc<[Arc<str>]>,
}

impl TurnReport {
    /// The cost, or zero where prices are not known.
    pub const fn cost(&self) -> NanoUsd {
        self.spent.cost
    }
}

/// How full a context is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextUse {
    /// Tokens in it, about.
    pub used: u64,
    /// Tokens it could hold.
    pub room: u64,
    /// Messages of the session that are stored but no longer in it.
    pub messages_dropped: u64,
}

#[derive(Debug, Default)]
struct Inner {
    items: Vec<FeedItem>,
    over: bool,
    cut: Option<Error>,
    /// The event of the journal that items belong to now, and how many it has.
    event: u32,
    items_of_event: u32,
    /// Events that are durable: what belongs to later ones is not shown yet.
    durable: u32,
}

/// The feed of one turn.
#[derive(Debug)]
pub struct Feed {
    attempt: u32,
    /// Whether all of it was read from a journal, so that the text of its attempt is not in the pieces it came in.
    retold: bool,
    inner: Mutex<Inner>,
    grown: Notify,
}

impl Feed {
    /// The feed of a turn that was taken up again `attempt` times; `retold` when nothing of it is lived.
    pub(crate) fn new(attempt: u32, retold: bool) -> Self {
        Self { attempt, retold, inner: Mutex::default(), grown: Notify::new() }
    }

    /// Says that the following items belong to the event with that number in the journal.
    pub(crate) fn at_event(&self, event: u32) {
        let mut inner = self.lock();
        (inner.event, inner.items_of_event) = (event, 0);
    }

    /// Says that the first `events` events are durable: their items may be seen.
    pub(crate) fn durable(&self, events: u32) {
        self.lock().durable = events;
        self.grown.notify_waiters();
    }

    pub(crate) fn push(&self, at: Timestamp, progress: Progress) {
        let mut inner = self.lock();
        let id = Cursor { attempt: self.attempt, event: inner.event, item: inner.items_of_event };
        inner.items_of_event += 1;
        inner.over |= matches!(progress, Progress::Completed(_) | Progress::Failed(_));
        inner.items.push(FeedItem { id, at, progress });
        drop(inner);
        self.grown.notify_waiters();
    }

    /// When the first text came.
    pub(crate) fn first_text_at(&self) -> Option<Timestamp> {
        let inner = self.lock();
        inner.items.iter().find(|item| matches!(item.progress, Progress::Delta(_))).map(|item| item.at)
    }

    /// Ends the feed before the turn's end: what is not durable is not shown, and readers are told why.
    pub(crate) fn cut(&self, why: Error) {
        let mut inner = self.lock();
        inner.over = true;
        let durable = inner.durable;
        inner.items.retain(|item| item.id.event < durable);
        inner.cut = Some(why);
        drop(inner);
        self.grown.notify_waiters();
    }

    /// Ends the feed where the journal of an unfinished turn ends.
    pub(crate) fn close(&self) {
        self.lock().over = true;
        self.grown.notify_waiters();
    }

    /// Why the feed ended before its turn did, if so. The turn goes on: its id finds it again.
    pub fn cut_because(&self) -> Option<Error> {
        self.lock().cut.clone()
    }

    /// The items after `after` (`None` for all), as they come, until the last.
    ///
    /// A reader that saw another attempt, or text that is no longer there, is first told so ([`Progress::Restarted`]): what
    /// it saw of the answer that was then under way is void. It then sees what it has not seen of the journal, without gap
    /// or repeat, and that answer's text from its beginning. It can go on from there as from any other item.
    pub fn read(self: Arc<Self>, after: Option<Cursor>) -> impl Stream<Item = FeedItem> + Send {
        let place = after.map(|after| self.place_of(after));
        let is_void = place.is_some() && place != after && !self.ended_at(place);
        let restarted = place.filter(|_| is_void).map(|id| {
            let at = self.started_at();
            FeedItem { id, at, progress: Progress::Restarted }
        });
        let rest = futures::stream::unfold((self, 0), move |(feed, position)| async move {
            let mut position = position;
            loop {
                let item = feed.next(position).await?;
                position += 1;
                if place.is_none_or(|place| item.id > place) {
                    return Some((item, (feed, position)));
                }
            }
        });
        futures::stream::iter(restarted).chain(rest)
    }

    /// The items that a reader who goes on after `after` has seen and that still hold.
    pub fn until(&self, after: Cursor) -> Vec<FeedItem> {
        let place = self.place_of(after);
        self.lock().items.iter().filter(|item| item.id <= place).cloned().collect()
    }

    /// Where in this feed a reader goes on that saw everything up to `after`, maybe of another one: after what the journal
    /// tells of that event, but before its text, which was generated anew.
    fn place_of(&self, after: Cursor) -> Cursor {
        if !self.retold && after.attempt == self.attempt {
            return after;
        }
        let inner = self.lock();
        let of_event = inner.items.iter().filter(|item| item.id.event == after.event && item.is_journaled());
        let last = of_event.map(|item| item.id.item).max();
        let item = last.map_or(after.item, |last| last.min(after.item));
        Cursor { attempt: self.attempt, item, ..after }
    }

    /// Whether nothing comes after `place` any more.
    fn ended_at(&self, place: Option<Cursor>) -> bool {
        let inner = self.lock();
        inner.over && inner.items.last().is_some_and(|last| Some(last.id) <= place)
    }

    fn started_at(&self) -> Timestamp {
        self.lock().items.first().map(|item| item.at).unwrap_or_default()
    }

    async fn next(&self, position: usize) -> Option<FeedItem> {
        loop {
            let grown = self.grown.notified();
            tokio::pin!(grown);
            // Registered before looking, so that nothing pushed in between is missed.
            grown.as_mut().enable();
            {
                let inner = self.lock();
                match inner.items.get(position) {
                    Some(item) if item.id.event < inner.durable => return Some(item.clone()),
                    None if inner.over => return None,
                    Some(_) | None => {}
                }
            }
            grown.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is held; were it poisoned, the list would still be whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FeedItem {
    /// Whether the journal tells it again.
    const fn is_journaled(&self) -> bool {
        !matches!(self.progress, Progress::Delta(_) | Progress::Waiting | Progress::Restarted)
    }
}

/// A turn that was accepted: its ids are durable, and its feed can be read.
#[derive(Clone, Debug)]
pub struct Running {
    /// Its session.
    pub session: SessionId,
    /// The turn.
    pub turn: TurnId,
    /// Its trace.
    pub trace: TraceId,
    /// Its agent.
    pub agent: AgentId,
    /// The agent's name.
    pub agent_name: String,
    /// What clients see of it.
    pub feed: Arc<Feed>,
    pub(crate) cancel: CancellationToken,
}

impl Running {
    /// Asks the turn to stop. Its feed still ends with its last item.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Waits for the turn's end.
    pub async fn end(&self) -> Result<Arc<TurnResult>, Arc<TurnFailure>> {
        let mut position = 0;
        while let Some(item) = self.feed.next(position).await {
            position += 1;
            match item.progress {
                Progress::Completed(result) => return Ok(result),
                Progress::Failed(failure) => return Err(failure),
                _ => {}
            }
        }
        Err(Arc::new(self.feed.cut_because().map_or_else(TurnFailure::abandoned, TurnFailure::of)))
    }
}

impl TurnFailure {
    fn abandoned() -> Self {
        let message = "the turn's session stopped unexpectedly; its journal is kept";
        Self::of(Error::new(loom_base::ErrorCode::Internal, message))
    }

    /// A turn that could not be driven to its end.
    pub(crate) fn of(error: Error) -> Self {
        Self {
            error,
            partial_text: String::new(),
            report: TurnReport {
                spent: Spent::default(),
                priced: false,
                provider: String::new(),
                model: String::new(),
                pattern: None,
                duration: Duration::ZERO,
                first_text: None,
                context: ContextUse::default(),
                rom: Digest::of(""),
                tools: Vec::new().into(),
            },
        }
    }
}

#[cfg(test)]
mod tests;
