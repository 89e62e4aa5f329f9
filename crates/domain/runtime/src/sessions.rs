//! The sessions there are: finds or starts the one actor of each, and hands it messages.
//!
//! Turns of one session run strictly one after the other; sessions do not know of each other.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use loom_access::Principal;
use loom_base::{AgentId, ErrorCode, SessionId, TurnId};
use loom_store::{
    AgentTotals, Listed, MessageRecord, NewSession, Page, SessionFilter, SessionRecord, ToolCallRecord,
};

use crate::accept::time_over;
use crate::actor::{Actor, Asked, Retry};
use crate::command::{Command, Inbox};
use crate::core::Core;
use crate::queue::{Queue, queue_full};
use crate::sync::{Mutex, MutexGuard};
use crate::{Error, Running, TurnRequest, WhenBusy};

/// What may be asked of one session at a time, beside messages.
const MOST_COMMANDS: usize = 64;

/// The sessions of one Loom.
pub struct Sessions {
    pub(crate) core: Arc<Core>,
    actors: Arc<Actors>,
    pub(crate) closing: CancellationToken,
    stopping: CancellationToken,
}

/// A page of a session's history: its messages, and the tool calls they hold.
#[derive(Clone, Debug)]
pub struct History {
    /// The messages, oldest first.
    pub messages: Listed<MessageRecord>,
    /// The calls of these messages, in the order they were asked.
    pub calls: Vec<ToolCallRecord>,
}

/// A session to create.
#[derive(Clone, Debug, Default)]
pub struct SessionDraft {
    /// A name to show.
    pub name: String,
    /// The backend it is for; must be one of the agent's when given.
    pub backend: String,
    /// The agent, by id or name; the default one when `None`.
    pub agent: Option<String>,
    /// The client's own notes.
    pub metadata: BTreeMap<String, String>,
    /// What becomes of a message that finds it at work; `None` for what its agent says.
    pub when_busy: Option<WhenBusy>,
}

/// The way to a session in memory.
#[derive(Clone)]
pub(crate) struct Mailbox {
    mail: mpsc::Sender<Asked>,
    commands: mpsc::Sender<Command>,
    /// The turn that runs.
    running: Arc<RunningTurn>,
    /// Cancels what the session does, and what waits; closes the box once that is over.
    stop: CancellationToken,
}

/// The turn that a session is at work on, for those who would rather not wait for it.
#[derive(Default)]
pub(crate) struct RunningTurn(Mutex<Option<AtWork>>);

/// A turn that runs, and what becomes of messages meanwhile that do not say so.
#[derive(Clone)]
pub(crate) struct AtWork {
    pub(crate) turn: TurnId,
    pub(crate) cancel: CancellationToken,
    pub(crate) when_busy: WhenBusy,
}

impl RunningTurn {
    pub(crate) fn set(&self, turn: Option<AtWork>) {
        *self.lock() = turn;
    }

    fn lock(&self) -> MutexGuard<'_, Option<AtWork>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mailboxes of the sessions in memory.
#[derive(Default)]
pub(crate) struct Actors(Mutex<HashMap<SessionId, Mailbox>>);

impl Actors {
    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Mailbox>> {
        // Nothing panics while it is held; were it poisoned, the map would still be whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            actors: Arc::default(),
            closing: CancellationToken::new(),
            stopping: CancellationToken::new(),
        }
    }

    /// Hands a message to its session and returns once the turn is accepted, durably: it runs, or waits until those before it
    /// are over. One that is cancelled, or whose time is over, before its session comes to it never runs.
    pub async fn start(&self, request: TurnRequest) -> Result<Running, Error> {
        request.check()?;
        if let Some(agent) = &request.agent {
            self.core.agent(agent).await?;
        }
        let Some(key) = request.key.clone() else { return self.start_new(request).await };
        let principal = request.principal;
        if let Some(running) = self.of_key(&key, principal).await? {
            return Ok(running);
        }
        match self.start_new(request).await {
            // The same request was sent twice at once, and the other was first.
            Err(error) if error.code == ErrorCode::StoreConflict => {
                self.of_key(&key, principal).await?.ok_or(error)
            }
            other => other,
        }
    }

    async fn start_new(&self, request: TurnRequest) -> Result<Running, Error> {
        let opens_session = request.session.is_none();
        let session = request.session.clone().unwrap_or_else(|| SessionId::new(&*self.core.ids));
        let (reply, accepted) = oneshot::channel();
        let (cancel, timeout) = (request.cancel.clone(), request.timeout);
        let asked_at = self.core.clock.now();
        self.post(&session, Asked { request: Box::new(request), opens_session, asked_at, reply })?;
        let over = async {
            match timeout {
                Some(timeout) => {
                    self.core.clock.sleep(timeout).await;
                    timeout
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            accepted = accepted => accepted.unwrap_or_else(|_| Err(shutting_down())),
            () = cancel.cancelled() => Err(cancelled_before_start()),
            timeout = over => Err(time_over(timeout)),
        }
    }

    /// Asks something of a session, starting its actor when it has none.
    pub(crate) fn command(&self, session: &SessionId, command: Command) -> Result<(), Error> {
        if self.closing.is_cancelled() {
            return Err(shutting_down());
        }
        let mut actors = self.actors.lock();
        let mailbox = actors.entry(session.clone()).or_insert_with(|| self.spawn_actor(session));
        mailbox.commands.try_send(command).map_err(|_| {
            let message = format!("{MOST_COMMANDS} requests wait for session {session} already");
            Error { retry_after: Some(Duration::from_secs(1)), ..Error::new(ErrorCode::QueueFull, message) }
        })
    }

    /// Puts mail into the session's box, starting its actor when it has none.
    fn post(&self, session: &SessionId, asked: Asked) -> Result<(), Error> {
        if self.closing.is_cancelled() {
            return Err(shutting_down());
        }
        let mut actors = self.actors.lock();
        let mailbox = actors.entry(session.clone()).or_insert_with(|| self.spawn_actor(session));
        if let Some(AtWork { turn, cancel, when_busy }) = mailbox.running.lock().clone() {
            match asked.request.when_busy.unwrap_or(when_busy) {
                WhenBusy::Reject => {
                    let message =
                        format!("session {session} is at work on {turn}; wait for it, stop it, or queue");
                    let busy = Error::new(ErrorCode::SessionBusy, message);
                    return Err(Error { retry_after: Some(Duration::from_secs(1)), ..busy });
                }
                WhenBusy::Interrupt => cancel.cancel(),
                WhenBusy::Queue => {}
            }
        }
        // Sent under the lock: an idle actor leaves the map under the same lock, and only with an empty box.
        mailbox.mail.try_send(asked).map_err(|_| queue_full(&self.core, session))
    }

    fn spawn_actor(&self, session: &SessionId) -> Mailbox {
        let (sender, mail) = mpsc::channel(self.core.limits.queue.max(1));
        let (commands, asked) = mpsc::channel(MOST_COMMANDS);
        let stop = CancellationToken::new();
        let running = Arc::<RunningTurn>::default();
        let actor = Actor {
            core: Arc::clone(&self.core),
            actors: Arc::clone(&self.actors),
            id: session.clone(),
            mail,
            inbox: Inbox::new(asked),
            running: Arc::clone(&running),
            closing: self.closing.clone(),
            stop: stop.clone(),
            park: self.stopping.clone(),
            queue: Queue::default(),
            retry: Retry::default(),
            stuck: None,
        };
        self.core.spawn(actor.run());
        Mailbox { mail: sender, commands, running, stop }
    }

    /// Creates a session for an agent.
    pub async fn create(&self, draft: SessionDraft, principal: Principal) -> Result<SessionRecord, Error> {
        let agent = match &draft.agent {
            Some(agent) => self.core.agent(agent).await?,
            None => self.core.agents.default_agent()?,
        };
        if !draft.backend.is_empty() && !agent.definition.backends.contains(&draft.backend) {
            let message = format!(
                "agent {:?} has no backend {:?}; it has: {}",
                agent.definition.name,
                draft.backend,
                agent.definition.backends.join(", ")
            );
            return Err(Error::new(ErrorCode::BackendNotFound, message));
        }
        let session = NewSession {
            id: SessionId::new(&*self.core.ids),
            agent: agent.id.clone(),
            name: draft.name,
            backend: draft.backend,
            principal: principal.to_string(),
            metadata: draft.metadata,
            when_busy: draft.when_busy,
            created_at: self.core.clock.now(),
        };
        Ok(self.core.stores.sessions.create(session).await?)
    }

    /// The session; one that is not `principal`'s is not found.
    pub async fn get(&self, id: &SessionId, principal: Principal) -> Result<SessionRecord, Error> {
        let found = self.core.stores.sessions.get(id).await?;
        found
            .filter(|record| record.principal == principal.as_str())
            .ok_or_else(|| Error::session_not_found(id))
    }

    /// Sessions that match, the most recently active first.
    pub async fn list(&self, filter: &SessionFilter, page: Page) -> Result<Listed<SessionRecord>, Error> {
        Ok(self.core.stores.sessions.list(filter, page).await?)
    }

    /// What the sessions of each agent are together.
    pub async fn totals_by_agent(&self) -> Result<BTreeMap<AgentId, AgentTotals>, Error> {
        Ok(self.core.stores.sessions.totals_by_agent().await?)
    }

    /// A page of the session's history.
    pub async fn history(&self, id: &SessionId, principal: Principal, page: Page) -> Result<History, Error> {
        self.get(id, principal).await?;
        let messages = self.core.stores.messages.list(id, page).await?;
        let ids: Vec<_> = messages.items.iter().map(|record| record.message.id).collect();
        let calls = self.core.stores.turns.calls_of(id, &ids).await?;
        Ok(History { messages, calls })
    }

    /// Whether the session is in use, or was a moment ago.
    pub(crate) fn is_in_memory(&self, id: &SessionId) -> bool {
        self.actors.lock().contains_key(id)
    }

    /// Cancels what the session does and removes it with all it holds.
    pub async fn delete(&self, id: &SessionId, principal: Principal) -> Result<(), Error> {
        self.get(id, principal).await?;
        // One that another instance works with is not taken from under it.
        self.core.membership.claim(id).await?;
        let mailbox = self.actors.lock().get(id).cloned();
        if let Some(mailbox) = mailbox {
            mailbox.stop.cancel();
            mailbox.mail.closed().await;
        }
        if self.core.stores.sessions.delete(id).await? { Ok(()) } else { Err(Error::session_not_found(id)) }
    }

    /// Takes no more messages, lets running turns end within `patience`, then leaves them as they are: they are taken up
    /// again after the next start.
    pub async fn shut_down(&self, patience: Duration) {
        self.closing.cancel();
        let tasks = &self.core.tasks;
        tasks.close();
        tokio::select! {
            () = tasks.wait() => return,
            () = self.core.clock.sleep(patience) => {}
        }
        self.stopping.cancel();
        tasks.wait().await;
    }
}

pub(crate) fn cancelled_before_start() -> Error {
    Error::new(ErrorCode::Cancelled, "the turn was cancelled before it started")
}

pub(crate) fn shutting_down() -> Error {
    Error::new(ErrorCode::ShuttingDown, "the server is stopping; try again once it is back")
}
