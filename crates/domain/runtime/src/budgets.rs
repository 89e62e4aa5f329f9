//! The room of budgets that this process has borrowed, and what its turns hold of it.
//!
//! Budgets of a turn and of a session need none of this: a session works on one turn at a time, and its actor knows what it
//! has used. Those of an agent and of the server are shared by many turns, and with PostgreSQL by several processes. Room
//! is borrowed from the store, and handed to turns from memory: a turn's commits never wait for a budget.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use loom_agent::{Amounts, Ceiling, Measure, ModelCall, OnExceeded};
use loom_base::{AgentId, InstanceId};
use loom_store::{Borrow, BudgetKey, BudgetStore};

use crate::Error;
use crate::sync::{Mutex, MutexGuard};

/// The shared budgets that are in use.
pub(crate) struct Budgets {
    store: Arc<dyn BudgetStore>,
    accounts: Mutex<HashMap<BudgetKey, Arc<Account>>>,
}

/// One shared budget.
pub(crate) struct Account {
    key: BudgetKey,
    store: Arc<dyn BudgetStore>,
    room: Mutex<Room>,
    /// Held while room is borrowed or given back.
    borrowing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Room {
    limit: Ceiling,
    /// For whom it was borrowed; of another term nothing is left.
    instance: Option<InstanceId>,
    left: Amounts,
    /// Held by turns whose rows do not say so yet: the store does not know of it.
    pending: Amounts,
    /// Counts how often it was borrowed anew. What was taken of an earlier loan does not come back to this one: the store may
    /// have lent it to another.
    loan: u64,
    /// Whether the store has no more than was borrowed.
    is_all: bool,
    /// Whether anything was taken since it was last looked at.
    in_use: bool,
}

impl Budgets {
    pub(crate) fn new(store: Arc<dyn BudgetStore>) -> Self {
        Self { store, accounts: Mutex::default() }
    }

    /// The account of a budget with these bounds. Other bounds than before hold from now on.
    pub(crate) fn account(&self, key: &BudgetKey, limit: Ceiling) -> Arc<Account> {
        let mut accounts = self.lock();
        if !accounts.contains_key(key) {
            // Those of days that are over go, once no turn of theirs runs.
            accounts.retain(|known, account| {
                known.window.until > key.window.from || Arc::strong_count(account) > 1
            });
        }
        let made = || {
            let (room, borrowing) = (Mutex::default(), tokio::sync::Mutex::default());
            Arc::new(Account { key: key.clone(), store: Arc::clone(&self.store), room, borrowing })
        };
        let account = Arc::clone(accounts.entry(key.clone()).or_insert_with(made));
        drop(accounts);
        let mut room = account.lock();
        if room.limit != limit {
            room.limit = limit;
            room.forget();
        }
        drop(room);
        account
    }

    /// A turn of `agent` has ended, and its end is stored. The accounts that it did not take from do not know what it used.
    pub(crate) fn ended(&self, agent: &AgentId, knowing: &[Arc<Account>]) {
        for account in self.lock().values() {
            let concerns = account.key.agent.as_ref().is_none_or(|of| of == agent);
            if concerns && !knowing.iter().any(|known| Arc::ptr_eq(known, account)) {
                account.lock().forget();
            }
        }
    }

    /// Gives back what `instance` has borrowed and nobody has asked for since the last time.
    pub(crate) async fn give_back_idle(&self, instance: InstanceId) {
        let accounts: Vec<_> = self.lock().values().cloned().collect();
        for account in accounts {
            if let Err(error) = account.give_back_idle(instance).await {
                tracing::warn!(%error, "room of a budget was not given back");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BudgetKey, Arc<Account>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// Asks the store again before anything more is taken.
    fn forget(&mut self) {
        self.left = Amounts::default();
        self.loan += 1;
        self.is_all = false;
    }

    fn left(&self) -> Ceiling {
        let measures = Measure::ALL.map(|measure| self.limit.of(measure).map(|_| self.left.of(measure)));
        Ceiling(measures)
    }

    /// Takes `amounts`; returns the loan that it is of.
    fn take(&mut self, amounts: Amounts) -> u64 {
        self.left = self.left.minus(amounts);
        self.pending = self.pending.plus(amounts);
        self.in_use = true;
        self.loan
    }

    /// Takes `amounts` when all of it is there.
    fn take_all(&mut self, instance: InstanceId, amounts: Amounts) -> Option<u64> {
        let is_there = self.instance == Some(instance) && self.left().exceeded_by(amounts).is_none();
        is_there.then(|| self.take(amounts))
    }
}

impl Account {
    /// Holds the worst case of `call`, cut to what there is as far as `policy` allows; or the measure that it does not fit.
    pub(crate) async fn take_call(
        self: &Arc<Self>,
        instance: InstanceId,
        call: ModelCall,
        policy: OnExceeded,
    ) -> Result<Result<(ModelCall, Held), Measure>, Error> {
        let whole = call.worst_case().call_amounts();
        let taken = self.take(instance, whole, |left| {
            let cut = call.within(left, policy)?;
            Ok((cut, cut.worst_case().call_amounts()))
        });
        Ok(taken.await?.map(|(cut, held)| (cut.unwrap_or(call), held)))
    }

    /// Holds `wanted` microseconds of work, or what there is; the error is that there is nothing.
    pub(crate) async fn take_time(
        self: &Arc<Self>,
        instance: InstanceId,
        wanted: u64,
    ) -> Result<Result<(u64, Held), Measure>, Error> {
        let amounts = |time| Amounts([0, 0, 0, time]);
        let taken = self.take(instance, amounts(wanted), |left| {
            let time = left.of(Measure::Time).map_or(wanted, |left| left.min(wanted));
            if time == 0 { Err(Measure::Time) } else { Ok((time, amounts(time))) }
        });
        Ok(taken.await?.map(|(cut, held)| (cut.unwrap_or(wanted), held)))
    }

    /// Takes all that is wanted, or asks the store for more and then takes what `cut` makes of what there is.
    async fn take<T>(
        self: &Arc<Self>,
        instance: InstanceId,
        wanted: Amounts,
        cut: impl Fn(&Ceiling) -> Result<(T, Amounts), Measure> + Send,
    ) -> Result<Result<(Option<T>, Held), Measure>, Error> {
        let taken = self.lock().take_all(instance, wanted);
        if let Some(loan) = taken {
            return Ok(Ok((None, self.held(wanted, loan))));
        }
        let _one_at_a_time = self.borrowing.lock().await;
        let ask = {
            let mut room = self.lock();
            if let Some(loan) = room.take_all(instance, wanted) {
                return Ok(Ok((None, self.held(wanted, loan))));
            }
            let ask = !room.is_all || room.instance != Some(instance);
            if ask {
                // What is left goes back with the loan; nobody takes of it meanwhile.
                room.forget();
            }
            ask.then_some((room.limit, room.pending))
        };
        if let Some((limit, pending)) = ask {
            let (key, least) = (self.key.clone(), wanted.plus(pending));
            let lent = self.store.borrow(Borrow { key, instance, limit, least }).await?;
            let mut room = self.lock();
            room.instance = Some(instance);
            // Its bounds may have changed meanwhile: then it is asked again.
            if room.limit == limit {
                room.left = lent.room.minus(pending);
                room.is_all = lent.is_all;
            }
        }
        let mut room = self.lock();
        let cut = cut(&room.left());
        Ok(cut.map(|(value, amounts)| (Some(value), self.held(amounts, room.take(amounts)))))
    }

    async fn give_back_idle(&self, instance: InstanceId) -> Result<(), Error> {
        let _one_at_a_time = self.borrowing.lock().await;
        {
            let mut room = self.lock();
            let is_idle = !std::mem::take(&mut room.in_use);
            if !is_idle || room.is_all || room.left == Amounts::default() {
                return Ok(());
            }
            room.forget();
        }
        Ok(self.store.give_back(&self.key, instance).await?)
    }

    /// Asks the store again before anything more is taken.
    pub(crate) fn forget(&self) {
        self.lock().forget();
    }

    /// Never locks: it is called by who has the lock.
    fn held(self: &Arc<Self>, amounts: Amounts, loan: u64) -> Held {
        Held { account: Arc::clone(self), amounts, loan, is_pending: true }
    }

    fn lock(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of no loan.
const SETTLED: u64 = u64::MAX;

/// Room that a turn holds. What is dropped without being settled comes back when the store is asked again.
pub(crate) struct Held {
    account: Arc<Account>,
    amounts: Amounts,
    /// The loan it was taken of; none once it is settled.
    loan: u64,
    is_pending: bool,
}

impl Held {
    /// Keeps `amounts` of it and leaves the rest to others. Nothing of it may be stored yet.
    pub(crate) fn shrink(&mut self, amounts: Amounts) {
        let rest = self.amounts.minus(amounts);
        let mut room = self.account.lock();
        room.pending = room.pending.minus(rest);
        if room.loan == self.loan {
            room.left = room.left.plus(rest);
        } else {
            room.is_all = false;
        }
        drop(room);
        self.amounts = self.amounts.minus(rest);
    }

    /// The turn's row says that it is held.
    pub(crate) fn stored(&mut self) {
        if std::mem::take(&mut self.is_pending) {
            let mut room = self.account.lock();
            room.pending = room.pending.minus(self.amounts);
        }
    }

    /// Of what was held, `used` was used.
    pub(crate) fn settle(mut self, used: Amounts) {
        self.stored();
        let mut room = self.account.lock();
        if room.loan == self.loan {
            room.left = room.left.plus(self.amounts).minus(used);
            drop(room);
            self.loan = SETTLED;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stored();
        if self.loan != SETTLED {
            self.account.lock().is_all = false;
        }
    }
}
