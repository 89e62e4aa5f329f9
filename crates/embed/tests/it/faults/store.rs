//! A real store whose operations fail, are late, or succeed and do not say so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use loom_embed::base::{
    AgentId, Clock, Digest, EffectId, InstanceId, MessageId, SessionId, Timestamp, TraceId, TurnId,
};
use loom_store::{
    Advance, AgentTotals, CallResolution, Claim, Claimed, CutOff, Error, Journal, LeaseStore, Listed,
    MessageHit, MessageRecord, MessageStore, NewFork, NewSession, Page, Receipt, Renewal, RequestKey,
    SearchQuery, SessionFilter, SessionRecord, SessionStore, Stores, ToolCallRecord, TurnRecord, TurnStore,
    UnfinishedTurn, WaitingCall, WaitingFor,
};
use loom_testkit::ManualClock;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::dice::Dice;

/// What happens to one operation.
enum Fault {
    None,
    /// It is not done.
    Refused,
    /// It is done, and the one who asked is told that it failed.
    ReplyLost,
    /// It is done, and the one who asked is told later.
    Late(Duration),
}

/// Puts itself between a runtime and its store. What was asked goes on in the store when the asker is gone, as it would in
/// a server of its own.
pub(super) struct Faulty {
    stores: Stores,
    /// Where the store's work is done, which outlives the askers.
    tokio: Handle,
    clock: Arc<ManualClock>,
    dice: Dice,
    /// The share of operations that something happens to, in percent.
    share: u64,
    at_work: watch::Sender<usize>,
}

impl Faulty {
    pub(super) fn new(
        stores: &Stores,
        tokio: &Handle,
        clock: &Arc<ManualClock>,
        dice: Dice,
        share: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            stores: stores.clone(),
            tokio: tokio.clone(),
            clock: Arc::clone(clock),
            dice,
            share,
            at_work: watch::Sender::new(0),
        })
    }

    /// The stores as a runtime gets them.
    pub(super) fn stores(self: &Arc<Self>) -> Stores {
        Stores {
            sessions: Arc::clone(self) as _,
            turns: Arc::clone(self) as _,
            messages: Arc::clone(self) as _,
            leases: Arc::clone(self) as _,
            ..self.stores.clone()
        }
    }

    /// Returns once nothing is done any more.
    pub(super) async fn rests(&self) {
        self.at_work.subscribe().wait_for(|at_work| *at_work == 0).await.unwrap();
    }

    /// Whether nothing happens to any operation.
    pub(super) const fn is_sound(&self) -> bool {
        self.share == 0
    }

    /// Whether the store knows of nothing that goes on, or waits for people.
    pub(super) async fn owes_nothing(&self) -> bool {
        let turns = &self.stores.turns;
        let unfinished = turns.all_unfinished(None, Page::new(0, 0)).await.unwrap();
        let waiting = turns.waiting(WaitingFor::Resolution, None, Page::new(0, 0)).await.unwrap();
        unfinished.total == 0 && waiting.total == 0
    }

    fn fault(&self) -> Fault {
        if !self.dice.percent(self.share) {
            return Fault::None;
        }
        match self.dice.within(0..3) {
            0 => Fault::Refused,
            1 => Fault::ReplyLost,
            _ => Fault::Late(self.dice.millis(1..2_000)),
        }
    }

    fn ask<T: Send + 'static, W: Future<Output = Result<T, Error>> + Send + 'static>(
        &self,
        begin: impl FnOnce() -> W,
    ) -> BoxFuture<'static, Result<T, Error>> {
        let fault = self.fault();
        let failed = |reason: &str| Err(Error::Unavailable { reason: reason.to_owned() });
        if matches!(fault, Fault::Refused) {
            return Box::pin(async move { failed("the test refuses it") });
        }
        self.at_work.send_modify(|at_work| *at_work += 1);
        let (at_work, work) = (self.at_work.clone(), begin());
        let done = self.tokio.spawn(async move {
            let done = work.await;
            at_work.send_modify(|at_work| *at_work -= 1);
            done
        });
        let clock = Arc::clone(&self.clock);
        Box::pin(async move {
            let done = done.await.unwrap();
            match fault {
                Fault::ReplyLost => done.and_then(|_| failed("the test lost the reply")),
                Fault::Late(time) => {
                    clock.sleep(time).await;
                    done
                }
                Fault::None | Fault::Refused => done,
            }
        })
    }
}

/// Asks the store of that kind, with owned copies of what was borrowed.
macro_rules! ask {
    ($self:ident.$store:ident.$method:ident($($argument:ident),*)) => {{
        let store = Arc::clone(&$self.stores.$store);
        $self.ask(|| async move { store.$method($($argument),*).await }).await
    }};
    ($self:ident.$store:ident.$method:ident(&$first:ident $(, $argument:ident)*)) => {{
        let (store, first) = (Arc::clone(&$self.stores.$store), $first.to_owned());
        $self.ask(|| async move { store.$method(&first $(, $argument)*).await }).await
    }};
}

#[async_trait]
impl TurnStore for Faulty {
    fn advance(&self, step: Advance) -> Receipt {
        // Queued now, so that steps keep their order.
        self.ask(|| self.stores.turns.advance(step))
    }

    async fn journal(&self, turn: TurnId) -> Result<Option<Journal>, Error> {
        ask!(self.turns.journal(turn))
    }

    async fn of_trace(&self, trace: TraceId, most: u32) -> Result<Vec<TurnId>, Error> {
        ask!(self.turns.of_trace(trace, most))
    }

    async fn of_session(&self, session: &SessionId, page: Page) -> Result<Listed<TurnId>, Error> {
        ask!(self.turns.of_session(&session, page))
    }

    async fn unfinished(&self, session: &SessionId) -> Result<Option<TurnId>, Error> {
        ask!(self.turns.unfinished(&session))
    }

    async fn queued(&self, session: &SessionId) -> Result<Vec<TurnRecord>, Error> {
        ask!(self.turns.queued(&session))
    }

    async fn all_unfinished(
        &self,
        principal: Option<&str>,
        page: Page,
    ) -> Result<Listed<UnfinishedTurn>, Error> {
        let (store, principal) = (Arc::clone(&self.stores.turns), principal.map(str::to_owned));
        self.ask(|| async move { store.all_unfinished(principal.as_deref(), page).await }).await
    }

    async fn recover(
        &self,
        session: &SessionId,
        epoch: u64,
        turn: TurnId,
        call: CutOff,
    ) -> Result<TurnRecord, Error> {
        ask!(self.turns.recover(&session, epoch, turn, call))
    }

    async fn put_down(&self, session: &SessionId, epoch: u64, turn: TurnId) -> Result<(), Error> {
        ask!(self.turns.put_down(&session, epoch, turn))
    }

    async fn waiting(
        &self,
        what: WaitingFor,
        principal: Option<&str>,
        page: Page,
    ) -> Result<Listed<WaitingCall>, Error> {
        let (store, principal) = (Arc::clone(&self.stores.turns), principal.map(str::to_owned));
        self.ask(|| async move { store.waiting(what, principal.as_deref(), page).await }).await
    }

    async fn resolve(&self, effect: EffectId, resolution: CallResolution) -> Result<(), Error> {
        ask!(self.turns.resolve(effect, resolution))
    }

    async fn of_key(&self, key: &RequestKey) -> Result<Option<(TurnId, Digest)>, Error> {
        ask!(self.turns.of_key(&key))
    }

    async fn forget_keys(&self, before: Timestamp) -> Result<u64, Error> {
        ask!(self.turns.forget_keys(before))
    }

    async fn calls_of(
        &self,
        session: &SessionId,
        messages: &[MessageId],
    ) -> Result<Vec<ToolCallRecord>, Error> {
        let (store, session, messages) =
            (Arc::clone(&self.stores.turns), session.clone(), messages.to_owned());
        self.ask(|| async move { store.calls_of(&session, &messages).await }).await
    }
}

#[async_trait]
impl SessionStore for Faulty {
    async fn create(&self, new: NewSession) -> Result<SessionRecord, Error> {
        ask!(self.sessions.create(new))
    }

    async fn get(&self, id: &SessionId) -> Result<Option<SessionRecord>, Error> {
        ask!(self.sessions.get(&id))
    }

    async fn list(&self, filter: &SessionFilter, page: Page) -> Result<Listed<SessionRecord>, Error> {
        ask!(self.sessions.list(&filter, page))
    }

    async fn totals_by_agent(&self) -> Result<BTreeMap<AgentId, AgentTotals>, Error> {
        ask!(self.sessions.totals_by_agent())
    }

    async fn fork(&self, fork: NewFork) -> Result<SessionRecord, Error> {
        ask!(self.sessions.fork(fork))
    }

    async fn delete(&self, id: &SessionId) -> Result<bool, Error> {
        ask!(self.sessions.delete(&id))
    }
}

#[async_trait]
impl MessageStore for Faulty {
    async fn list(&self, session: &SessionId, page: Page) -> Result<Listed<MessageRecord>, Error> {
        ask!(self.messages.list(&session, page))
    }

    async fn recent(&self, session: &SessionId, from: u64, tokens: u64) -> Result<Vec<MessageRecord>, Error> {
        ask!(self.messages.recent(&session, from, tokens))
    }

    async fn of_turn(&self, opening: MessageId, most: u32) -> Result<Vec<MessageRecord>, Error> {
        ask!(self.messages.of_turn(opening, most))
    }

    async fn search(&self, query: &SearchQuery) -> Result<Vec<MessageHit>, Error> {
        ask!(self.messages.search(&query))
    }

    async fn index_more(&self, limit: u32) -> Result<u32, Error> {
        ask!(self.messages.index_more(limit))
    }
}

#[async_trait]
impl LeaseStore for Faulty {
    async fn join(&self, instance: InstanceId, address: &str, ttl: Duration) -> Result<Renewal, Error> {
        self.stores.leases.join(instance, address, ttl).await
    }

    async fn renew(&self, instance: InstanceId, address: &str, ttl: Duration) -> Result<Renewal, Error> {
        self.stores.leases.renew(instance, address, ttl).await
    }

    async fn claim(&self, session: &SessionId, instance: InstanceId) -> Result<Option<Claim>, Error> {
        ask!(self.leases.claim(&session, instance))
    }

    async fn claim_unfinished(&self, instance: InstanceId, most: u32) -> Result<Vec<Claimed>, Error> {
        ask!(self.leases.claim_unfinished(instance, most))
    }

    async fn release(&self, instance: InstanceId) -> Result<(), Error> {
        ask!(self.leases.release(instance))
    }
}
