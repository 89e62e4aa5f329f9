//! One who asks, follows the turn through cuts and kills, and remembers what it was shown.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use loom_access::Principal;
use loom_embed::base::{Clock, Digest, ErrorCode, SessionId, TurnId};
use loom_embed::runtime::{Cursor, FeedItem, Progress, Running, Runtime, TurnRequest, WhenBusy};
use loom_store::{IdempotencyKey, RequestKey};
use loom_testkit::ManualClock;

use super::dice::Dice;

const ME: Principal = Principal::Local;
/// Before it tries again.
const PAUSE: Duration = Duration::from_millis(300);

/// One message and whoever sent it.
pub(super) struct Client {
    clock: Arc<ManualClock>,
    name: String,
    query: String,
    session: SessionId,
    keyed: bool,
    when_busy: WhenBusy,
    begins: Duration,
    /// Items after which it asks for the turn to be stopped.
    cancel_after: Option<u64>,
    /// Items after which it is cut off, the first time it reads.
    leaves_after: Option<u64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sent: bool,
    over: bool,
    turn: Option<TurnId>,
    cursor: Option<Cursor>,
    shown: Vec<String>,
    /// Whether it saw the last item.
    ended: bool,
    /// What it was told last that it could not help.
    trouble: Option<String>,
    violations: Vec<String>,
}

impl Client {
    pub(super) fn new(
        name: String,
        jobs: &[&str],
        sessions: &[SessionId],
        dice: &Dice,
        clock: &Arc<ManualClock>,
    ) -> Self {
        Self {
            clock: Arc::clone(clock),
            query: format!("{} {name}", dice.one_of(jobs)),
            name,
            session: dice.one_of(sessions).clone(),
            keyed: dice.percent(60),
            when_busy: *dice.one_of(&[
                WhenBusy::Queue,
                WhenBusy::Queue,
                WhenBusy::Interrupt,
                WhenBusy::Reject,
            ]),
            begins: dice.millis(0..2_000),
            cancel_after: dice.percent(10).then(|| dice.within(1..5)),
            leaves_after: dice.percent(30).then(|| dice.within(1..5)),
            state: Mutex::default(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.state.lock().unwrap().over
    }

    /// What it waits for, and what it was told last.
    pub(super) fn waits(&self) -> Option<String> {
        let state = self.state.lock().unwrap();
        (!state.over).then(|| format!("{} for {:?}, told {:?}", self.name, state.turn, state.trouble))
    }

    pub(super) fn turn(&self) -> Option<TurnId> {
        self.state.lock().unwrap().turn
    }

    fn request(&self) -> TurnRequest {
        let key = IdempotencyKey {
            key: RequestKey { principal: ME.to_string(), method: "Weave".into(), key: self.name.clone() },
            digest: Digest::of(&self.query),
        };
        TurnRequest {
            when_busy: Some(self.when_busy),
            key: self.keyed.then_some(key),
            ..TurnRequest::new(&*self.query).in_session(self.session.clone())
        }
    }

    /// Goes on from wherever the life before left it, until its turn is over or it gives up.
    pub(super) async fn run(&self, runtime: &Runtime) {
        if self.is_over() {
            return;
        }
        let sent = self.state.lock().unwrap().sent;
        if !sent {
            self.clock.sleep(self.begins).await;
        }
        loop {
            let (turn, cursor, sent) = {
                let mut state = self.state.lock().unwrap();
                let sent = std::mem::replace(&mut state.sent, true);
                (state.turn, state.cursor, sent)
            };
            let opened = match turn {
                Some(turn) => runtime.sessions().attach(turn, cursor, ME).await,
                // Without a key, sending it again could do it twice: an honest client does not.
                None if sent && !self.keyed => return self.give_up(),
                None => runtime.sessions().start(self.request()).await,
            };
            match opened {
                Ok(running) => {
                    if self.follow(runtime, &running, cursor).await {
                        return self.give_up();
                    }
                    self.state.lock().unwrap().trouble =
                        running.feed.cut_because().map(|error| error.to_string());
                }
                Err(error) => match (error.code, turn) {
                    (ErrorCode::TurnNotFound | ErrorCode::InvalidCursor, Some(turn)) => {
                        self.violation(format!("{turn} was accepted, and then: {error}"));
                        return self.give_up();
                    }
                    (ErrorCode::TurnQuarantined, Some(turn)) => {
                        drop(runtime.sessions().cancel_turn(turn, ME).await);
                    }
                    (ErrorCode::SessionBusy | ErrorCode::QueueFull, None) => return self.give_up(),
                    _ => self.state.lock().unwrap().trouble = Some(error.to_string()),
                },
            }
            self.clock.sleep(PAUSE).await;
        }
    }

    /// Whether the turn is over.
    async fn follow(&self, runtime: &Runtime, running: &Running, cursor: Option<Cursor>) -> bool {
        let turn = running.turn;
        let other = self.state.lock().unwrap().turn.replace(turn).filter(|other| *other != turn);
        if let Some(other) = other {
            self.violation(format!("{:?} was answered by {other} and by {turn}", self.query));
        }
        let mut items = Box::pin(Arc::clone(&running.feed).read(cursor));
        let mut read = 0;
        while let Some(item) = items.next().await {
            read += 1;
            if self.take(&item) {
                return true;
            }
            if self.cancel_after == Some(read) {
                drop(runtime.sessions().cancel_turn(turn, ME).await);
            }
            if self.leaves_after == Some(read) && cursor.is_none() {
                return false;
            }
        }
        false
    }

    /// Remembers an item; whether it is the last.
    fn take(&self, item: &FeedItem) -> bool {
        let mut state = self.state.lock().unwrap();
        state.cursor = Some(item.id);
        state.shown.extend(lasting(item));
        state.ended = matches!(item.progress, Progress::Completed(_) | Progress::Failed(_));
        state.ended
    }

    fn give_up(&self) {
        self.state.lock().unwrap().over = true;
    }

    fn violation(&self, what: String) {
        self.state.lock().unwrap().violations.push(what);
    }

    /// What it was shown that is not what the journal tells.
    pub(super) async fn violations(&self, runtime: &Runtime) -> Vec<String> {
        let (turn, shown, ended, mut found) = {
            let state = self.state.lock().unwrap();
            (state.turn, state.shown.clone(), state.ended, state.violations.clone())
        };
        let Some(turn) = turn else { return found };
        let told: Vec<_> = match runtime.sessions().replay(turn, ME).await {
            Ok(running) => running.feed.read(None).filter_map(async |item| lasting(&item)).collect().await,
            Err(error) => {
                found.push(format!("{turn} does not replay: {error}"));
                return found;
            }
        };
        if ended && shown != told || !told.starts_with(&shown) {
            found.push(format!(
                "{turn}: {} was shown\n{shown:#?}\nand the journal tells\n{told:#?}",
                self.name
            ));
        }
        found
    }
}

/// What of an item the journal tells again.
fn lasting(item: &FeedItem) -> Option<String> {
    let passing = matches!(item.progress, Progress::Delta(_) | Progress::Waiting | Progress::Restarted);
    (!passing).then(|| format!("{} {} {:?}", item.id.event, item.at, item.progress))
}
