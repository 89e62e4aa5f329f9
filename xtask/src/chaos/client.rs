//! One client: sends messages, follows their turns, comes back after each kill, and now and then behaves badly.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::dice::Dice;
use super::facts::nanos;
use super::http::{Answer, Ask, Events};
use super::script;
use super::server::AGENTS;
use super::world::{Attempt, Ending, Phase, World};

/// Sessions that several clients use at once.
const SHARED_SESSIONS: u64 = 4;
/// Turns after which a client takes up a new session of its own.
const TURNS_A_SESSION: u64 = 4;
/// Before a client that was refused or cut off tries again.
const PAUSE: Duration = Duration::from_millis(25);

/// One of many.
pub(super) struct Client {
    name: u64,
    dice: Dice,
    world: World,
    /// Messages so far.
    sent: u64,
    /// A message under a key that is sent again after the next kill.
    again: Option<Message>,
}

/// A message, the same however often it is sent.
#[derive(Clone, Debug)]
struct Message {
    query: String,
    body: Value,
    key: Option<String>,
    /// Events after which the client hangs up and does not come back.
    patience: Option<u64>,
    /// Events after which it asks for the turn to be stopped.
    cancel_after: Option<u64>,
}

/// What a client knows of the turn that answers it.
#[derive(Default)]
struct Followed {
    turn: Option<String>,
    last_event: String,
    /// The tool calls that it saw end.
    completed: BTreeSet<String>,
}

/// How a stream ended.
enum Stream {
    /// The turn is over.
    Over,
    /// The client went away.
    Left,
    /// The connection or the turn was cut off.
    Cut,
}

impl Client {
    pub(super) fn new(name: u64, seed: u64, world: World) -> Self {
        Self { name, dice: Dice::of(seed, &format!("client {name}")), world, sent: 0, again: None }
    }

    /// Sends message after message while there is load, then ends what it began.
    pub(super) async fn run(mut self) {
        let mut life = self.world.now().life;
        while self.world.now().phase == Phase::Load {
            if self.world.now().life != life {
                life = self.world.now().life;
                if let Some(message) = self.again.take() {
                    self.ask(&message).await;
                }
            }
            let message = self.message();
            self.ask(&message).await;
            if message.key.is_some() {
                self.again = Some(message);
            }
            sleep(self.dice.millis(0..40)).await;
        }
        if let Some(message) = self.again.take() {
            self.ask(&message).await;
        }
    }

    fn message(&mut self) -> Message {
        let dice = &mut self.dice;
        let name = self.name;
        let id = format!("c{name}m{}", self.sent);
        let query = format!("{} {id}", script::any_job(dice));
        let (session, agent) = match dice.within(0..100) {
            0..70 => (format!("own-{name}-{}", self.sent / TURNS_A_SESSION), name),
            70..90 => {
                let number = dice.within(0..SHARED_SESSIONS);
                (format!("shared-{number}"), number)
            }
            _ => (String::new(), dice.next()),
        };
        let agent = AGENTS[usize::try_from(agent % AGENTS.len() as u64).unwrap_or_default()];
        let when_busy = match dice.within(0..100) {
            0..5 => "WHEN_BUSY_INTERRUPT",
            5..10 => "WHEN_BUSY_REJECT",
            _ => "WHEN_BUSY_QUEUE",
        };
        self.sent += 1;
        Message {
            body: json!({ "query": query, "sessionId": session, "agentId": agent, "whenBusy": when_busy }),
            query,
            key: dice.percent(50).then_some(id),
            patience: dice.percent(8).then(|| dice.within(1..6)),
            cancel_after: dice.percent(4).then(|| dice.within(1..8)),
        }
    }

    /// Sends the message until its turn is over, or nobody can say whether there is one, or the client goes away.
    async fn ask(&mut self, message: &Message) {
        let mut followed = Followed::default();
        while let Some(port) = self.world.port().await {
            let opened = match &followed.turn {
                None => self.send(message, port).await,
                Some(turn) => {
                    self.world.seen().reattached += 1;
                    let ask = Ask::get(format!("/v1/turns/{turn}:stream"));
                    ask.header("last-event-id", followed.last_event.clone()).stream(port).await
                }
            };
            let ended = match opened {
                Ok(Ok(events)) => self.follow(message, events, port, &mut followed).await,
                Ok(Err(refused)) => self.refused(&refused, followed.turn.as_deref(), port).await,
                Err(_) => Stream::Cut,
            };
            match ended {
                Stream::Over | Stream::Left => return,
                // Without a key, sending it again could do it twice: an honest client does not.
                Stream::Cut if followed.turn.is_none() && message.key.is_none() => return,
                Stream::Cut => sleep(PAUSE).await,
            }
        }
    }

    async fn send(&mut self, message: &Message, port: u16) -> Result<std::result::Result<Events, Answer>> {
        let trace = format!("{:016x}{:016x}", self.dice.next(), self.dice.next());
        let attempt = Attempt {
            query: message.query.clone(),
            key: message.key.clone(),
            trace: trace.clone(),
            turn: None,
        };
        self.world.seen().attempts.push(attempt);
        let ask = Ask::post("/v1/chat:stream", message.body.clone())
            .header("traceparent", format!("00-{trace}-00000000000000a1-01"));
        let ask = match &message.key {
            Some(key) => ask.header("x-loom-idempotency-key", key.clone()),
            None => ask,
        };
        ask.stream(port).await
    }

    async fn follow(
        &mut self,
        message: &Message,
        mut events: Events,
        port: u16,
        followed: &mut Followed,
    ) -> Stream {
        let mut read = 0;
        while let Ok(Some(event)) = events.next().await {
            read += 1;
            let Some(id) = event["turnId"].as_str() else {
                return self.problem(&event, followed.turn.as_deref(), port).await;
            };
            self.told(message, id, followed);
            self.take(&event, id, followed);
            if let Some(ending) = ending_of(&event) {
                let mut seen = self.world.seen();
                seen.ended(id, ending);
                if let Some(cost) = cost_of(&event) {
                    seen.cost(id, cost);
                }
                return Stream::Over;
            }
            if message.patience == Some(read) {
                return Stream::Left;
            }
            if message.cancel_after == Some(read) {
                cancel(id, port).await;
            }
        }
        Stream::Cut
    }

    /// The client is told which turn answers it: the same each time.
    fn told(&self, message: &Message, id: &str, followed: &mut Followed) {
        match &followed.turn {
            Some(before) if before != id => {
                let violation = format!("{:?} was answered by {before} and by {id}", message.query);
                self.world.seen().violations.push(violation);
            }
            Some(_) => {}
            None => {
                let mut seen = self.world.seen();
                let own = seen.attempts.iter_mut().rev().find(|attempt| attempt.query == message.query);
                if let Some(attempt) = own {
                    attempt.turn = Some(id.to_owned());
                }
                followed.turn = Some(id.to_owned());
            }
        }
    }

    /// Each call ends once before a client's eyes, whatever was killed in between.
    fn take(&self, event: &Value, id: &str, followed: &mut Followed) {
        event["eventId"].as_str().unwrap_or_default().clone_into(&mut followed.last_event);
        if event["isToolCompleted"] == true {
            let call = event["toolCallId"].as_str().unwrap_or_default();
            if !followed.completed.insert(call.to_owned()) {
                self.world.seen().violations.push(format!("{id}: a client saw call {call} end twice"));
            }
        }
    }

    /// A problem in place of an event: the turn was cut off, and goes on or waits for someone.
    async fn problem(&self, problem: &Value, turn: Option<&str>, port: u16) -> Stream {
        self.refused(&Answer { status: 200, body: problem.clone() }, turn, port).await
    }

    async fn refused(&self, refused: &Answer, turn: Option<&str>, port: u16) -> Stream {
        match (refused.code(), turn) {
            ("LOOM_TURN_QUARANTINED", Some(turn)) => {
                self.world.seen().quarantined.insert(turn.to_owned());
                cancel(turn, port).await;
                Stream::Cut
            }
            ("LOOM_TURN_NOT_FOUND", Some(turn)) => {
                self.world.seen().violations.push(format!("{turn} was accepted and is not found"));
                Stream::Left
            }
            ("LOOM_INVALID_CURSOR", Some(turn)) => {
                let violation = format!("{turn} forgot an event that it had sent: {}", refused.body);
                self.world.seen().violations.push(violation);
                Stream::Left
            }
            // A server that was killed may count as alive for a while.
            (_, Some(_)) | ("LOOM_SESSION_ELSEWHERE", None) => Stream::Cut,
            // A full queue, or another turn of the session that cannot go on.
            (_, None) => Stream::Left,
        }
    }
}

/// How the turn ended, if this is its last event.
fn ending_of(event: &Value) -> Option<Ending> {
    match event["stage"].as_str()? {
        "EXECUTION_STAGE_COMPLETED" => {
            Some(Ending::Completed(event["partialContent"].as_str().unwrap_or_default().to_owned()))
        }
        "EXECUTION_STAGE_FAILED" => Some(Ending::Failed),
        _ => None,
    }
}

/// What the turn cost as its last event says, in nano-dollars.
fn cost_of(event: &Value) -> Option<i64> {
    Some(nanos(event["cost"]["totalCostUsd"].as_f64()?))
}

async fn cancel(turn: &str, port: u16) {
    // Whether it came through or not, the turn ends in some way, and that is checked.
    drop(Ask::post(format!("/v1/turns/{turn}:cancel"), json!({})).send(port).await);
}
