//! What can be done with turns by their ids: see them again, stop them, settle what they wait for.

use std::sync::Arc;
use std::time::Duration;

use loom_access::Principal;
use loom_agent::TurnConfig;
use loom_base::{EffectId, ErrorCode, SessionId, TurnId};
use loom_store::{IdempotencyKey, Journal, Listed, Page, UnfinishedTurn, WaitingCall, WaitingFor};
use loom_tools::ToolSet;
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use crate::command::{Command, Reply};
use crate::sessions::shutting_down;
use crate::story::Story;
use crate::{Cursor, Decision, Error, Feed, Running, Said, Sessions, restore};

/// Turns that are taken up at a time after a start. One that waits for people lets the next go on.
const TAKEN_UP_AT_ONCE: u32 = 64;
/// Turns that are claimed at a time, where nobody else may want them: finding them costs the same for one and for all.
const CLAIMED_AT_ONCE: u32 = 16_384;
/// How long a request can be sent again under its key.
const KEYS_ARE_KEPT: Duration = Duration::from_hours(24);
/// How often older keys are removed.
const KEYS_ARE_REMOVED: Duration = Duration::from_hours(1);

impl Sessions {
    /// Takes up every turn that a stop cut off and nobody goes on with, in the order they were accepted, some at a time.
    /// Where several share the store it looks again and again: another may stop. To be spawned once, after the agents are
    /// there.
    pub async fn take_up_unfinished(&self) -> Result<(), Error> {
        let membership = &self.core.membership;
        let places = Arc::new(Semaphore::new(TAKEN_UP_AT_ONCE as usize));
        loop {
            let period = membership.renewal_period();
            // Where others may come, they get their share.
            let most = if period.is_some() { TAKEN_UP_AT_ONCE } else { CLAIMED_AT_ONCE };
            match (membership.claim_unfinished(most).await, period) {
                (Ok(found), _) if !found.is_empty() => self.wake(found, &places).await,
                (Ok(_), None) => return Ok(()),
                (Err(error), None) => return Err(error),
                (Ok(_), Some(period)) => self.core.clock.sleep(period).await,
                (Err(error), Some(period)) => {
                    tracing::warn!(%error, "unfinished turns were not found");
                    self.core.clock.sleep(period).await;
                }
            }
        }
    }

    async fn wake(&self, sessions: Vec<SessionId>, places: &Arc<Semaphore>) {
        for session in sessions {
            let place = Arc::clone(places).acquire_owned().await;
            if let Err(error) = self.command(&session, Command::Wake { place: place.ok() }) {
                tracing::warn!(session.id = %session, %error, "a session with an unfinished turn was not woken");
            }
        }
    }

    /// Removes idempotency keys once they are too old, again and again. To be spawned once.
    pub async fn forget_old_keys(&self) {
        loop {
            let now = self.core.clock.now();
            let before = now.before(KEYS_ARE_KEPT);
            if let Err(error) = self.core.stores.turns.forget_keys(before).await {
                tracing::warn!(%error, "old idempotency keys were not removed");
            }
            tokio::select! {
                () = self.closing.cancelled() => return,
                () = self.core.clock.sleep(KEYS_ARE_REMOVED) => {}
            }
        }
    }

    /// The turn with that id as clients see it: while it runs its feed goes on; once it is over, its journal tells it. A
    /// cursor that is none of its places is an error.
    pub async fn attach(
        &self,
        turn: TurnId,
        after: Option<Cursor>,
        principal: Principal,
    ) -> Result<Running, Error> {
        loop {
            let journal = self.journal_of(turn, principal).await?;
            if after.is_some_and(|after| after.event as usize >= journal.events.len()) {
                let message =
                    format!("{turn} has no such place; resume from the id of an event that it sent");
                return Err(Error::new(ErrorCode::InvalidCursor, message));
            }
            if journal.turn.end.is_some() {
                return self.retell(journal).await;
            }
            let (session, attach) = (journal.turn.session.clone(), |reply| Command::Attach { turn, reply });
            // It may have ended between the two looks: then the journal tells it.
            if let Some(running) = self.ask(&session, attach).await? {
                return Ok(running);
            }
        }
    }

    /// The turns of a session in the order they were accepted.
    pub async fn turns_of(
        &self,
        session: &SessionId,
        principal: Principal,
        page: Page,
    ) -> Result<Listed<TurnId>, Error> {
        self.get(session, principal).await?;
        Ok(self.core.stores.turns.of_session(session, page).await?)
    }

    /// A turn as its journal tells it, without network: the same each time. One that is not over yet ends where its journal
    /// does.
    pub async fn replay(&self, turn: TurnId, principal: Principal) -> Result<Running, Error> {
        let journal = self.journal_of(turn, principal).await?;
        self.retell(journal).await
    }

    /// Stops a turn. One that is over stays as it is.
    pub async fn cancel_turn(&self, turn: TurnId, principal: Principal) -> Result<(), Error> {
        let journal = self.journal_of(turn, principal).await?;
        if journal.turn.end.is_some() {
            return Ok(());
        }
        match self.ask(&journal.turn.session, |reply| Command::Cancel { turn, reply }).await {
            // It ended meanwhile.
            Err(error) if error.code == ErrorCode::TurnNotFound => Ok(()),
            other => other,
        }
    }

    /// Says what became of a call that may have taken effect. The turn that waits for it goes on; of a turn that is over only
    /// the record changes.
    pub async fn resolve_effect(
        &self,
        effect: EffectId,
        said: Said,
        principal: Principal,
    ) -> Result<(), Error> {
        let journal = self.journal_of(effect.turn, principal).await?;
        self.ask(&journal.turn.session, |reply| Command::Resolve { effect, said, reply }).await
    }

    /// Approves a call that waits for it, or refuses it.
    pub async fn decide_approval(
        &self,
        effect: EffectId,
        decision: Decision,
        principal: Principal,
    ) -> Result<(), Error> {
        let journal = self.journal_of(effect.turn, principal).await?;
        self.ask(&journal.turn.session, |reply| Command::Decide { effect, decision, reply }).await
    }

    /// Answers a question that a turn of `session` put to the user.
    pub async fn answer_question(
        &self,
        session: &SessionId,
        question: EffectId,
        text: String,
        principal: Principal,
    ) -> Result<(), Error> {
        let journal = self.journal_of(question.turn, principal).await?;
        if journal.turn.session != *session || journal.turn.end.is_some() {
            return Err(Error::question_not_found(question));
        }
        self.ask(session, |reply| Command::Answer { question, text, reply }).await
    }

    /// The turns that have not ended, in the order they were accepted.
    pub async fn unfinished(
        &self,
        principal: Principal,
        page: Page,
    ) -> Result<Listed<UnfinishedTurn>, Error> {
        Ok(self.core.stores.turns.all_unfinished(Some(principal.as_str()), page).await?)
    }

    /// The calls that wait for someone.
    pub async fn waiting(
        &self,
        what: WaitingFor,
        principal: Principal,
        page: Page,
    ) -> Result<Listed<WaitingCall>, Error> {
        Ok(self.core.stores.turns.waiting(what, Some(principal.as_str()), page).await?)
    }

    /// The turn that a request under `key` got before; `None` for a key that is free. A key that stands for another request
    /// is an error.
    pub(crate) async fn of_key(
        &self,
        key: &IdempotencyKey,
        principal: Principal,
    ) -> Result<Option<Running>, Error> {
        match self.core.stores.turns.of_key(&key.key).await? {
            None => Ok(None),
            Some((turn, digest)) if digest == key.digest => {
                self.attach(turn, None, principal).await.map(Some)
            }
            Some((turn, _)) => {
                let message = format!(
                    "the key {:?} was used before, for another request, which {turn} answers; use a new one",
                    key.key.key
                );
                Err(Error::new(ErrorCode::IdempotencyConflict, message))
            }
        }
    }

    /// The journal of a turn; one that is not `principal`'s is not found.
    async fn journal_of(&self, turn: TurnId, principal: Principal) -> Result<Journal, Error> {
        let journal = self.core.stores.turns.journal(turn).await?;
        let journal = journal.ok_or_else(|| Error::turn_not_found(turn))?;
        let session = self.core.stores.sessions.get(&journal.turn.session).await?;
        if session.is_none_or(|session| session.principal != principal.as_str()) {
            return Err(Error::turn_not_found(turn));
        }
        Ok(journal)
    }

    /// A turn that is over, as its journal tells it.
    async fn retell(&self, journal: Journal) -> Result<Running, Error> {
        let messages = restore::messages_of(&self.core, &journal).await?;
        let accepted = &journal.turn.accepted;
        let feed = Arc::new(Feed::new(journal.turn.recoveries, true));
        let config = TurnConfig::clone(&accepted.config);
        let mut story = Story::new(journal.turn.id, config, Arc::clone(&feed), usize::MAX);
        story.replay(&journal, messages, &ToolSet::default())?;
        match &journal.turn.end {
            Some(end) => story.tell_end(accepted, end),
            None => feed.close(),
        }
        let agent = self.core.agents.known(&accepted.agent);
        Ok(Running {
            session: journal.turn.session.clone(),
            turn: journal.turn.id,
            trace: accepted.trace,
            agent: accepted.agent.clone(),
            agent_name: agent.map(|agent| agent.definition.name.clone()).unwrap_or_default(),
            feed,
            cancel: CancellationToken::new(),
        })
    }

    /// Asks something of a session and waits for the reply.
    async fn ask<T>(
        &self,
        session: &SessionId,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.command(session, command(reply))?;
        answer.await.unwrap_or_else(|_| Err(shutting_down()))
    }
}
