//! A database that can be looked at: what is committed, a transaction beside it, and the ways in which both fail.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use loom_base::{SessionId, TurnId};
use loom_store::admission::{Heads, SessionHead, TurnHead};
use loom_store::{Advance, Error};
use loom_store_sql::{Engine, Failure, Patience, Setback};
use shuttle::rand::{Rng as _, thread_rng};
use shuttle::sync::{Mutex, MutexGuard};
use uuid::Uuid;

/// What is on disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    /// The epoch of each session.
    pub(crate) sessions: HashMap<SessionId, u64>,
    /// The appends of each turn's journal, one event each.
    pub(crate) journals: HashMap<TurnId, Vec<Uuid>>,
    /// What writes that are no steps have added.
    pub(crate) notes: Vec<u32>,
    /// Moves with each change by another program.
    pub(crate) version: i64,
}

/// The database.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    rows: Arc<Mutex<Rows>>,
    /// Whether a transaction holds it.
    held: Arc<Mutex<bool>>,
}

impl Disk {
    /// What is on disk now.
    pub(crate) fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().expect("nobody panics while holding it")
    }

    /// Changes it as another program does: between two transactions.
    pub(crate) async fn change_from_outside(&self, change: impl FnOnce(&mut Rows)) {
        while std::mem::replace(&mut *self.held.lock().expect("nobody panics while holding it"), true) {
            shuttle::future::yield_now().await;
        }
        {
            let mut rows = self.rows();
            change(&mut rows);
            rows.version += 1;
        }
        self.let_go();
    }

    fn let_go(&self) {
        *self.held.lock().expect("nobody panics while holding it") = false;
    }
}

/// Opens connections to a [`Disk`].
pub(crate) struct Model {
    pub(crate) disk: Disk,
    /// Whether connections and commits fail now and then.
    pub(crate) faults: bool,
}

/// A connection.
pub(crate) struct Connection {
    disk: Disk,
    faults: bool,
    transaction: Option<Rows>,
}

impl Connection {
    pub(crate) fn new(model: &Model) -> Self {
        Self { disk: model.disk.clone(), faults: model.faults, transaction: None }
    }

    /// The rows as the open transaction sees them.
    pub(crate) fn rows(&mut self) -> &mut Rows {
        self.transaction.as_mut().expect("a transaction is open")
    }

    fn end(&mut self) -> Option<Rows> {
        let rows = self.transaction.take();
        if rows.is_some() {
            self.disk.let_go();
        }
        rows
    }

    async fn commit(&mut self) -> Result<(), sqlx::Error> {
        shuttle::future::yield_now().await;
        let fate = if self.faults { thread_rng().gen_range(0..8) } else { 7 };
        if fate < 2 {
            drop(self.end());
            return Err(fault(if fate == 0 { "contended" } else { "lost before it was written" }));
        }
        let rows = self.transaction.clone().expect("a transaction is open");
        *self.disk.rows() = rows;
        self.end();
        // Between being durable and saying so.
        shuttle::future::yield_now().await;
        if fate == 2 { Err(fault("lost after it was written")) } else { Ok(()) }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // What is not committed is taken back.
        self.end();
    }
}

fn fault(what: &str) -> sqlx::Error {
    sqlx::Error::Protocol(what.to_owned())
}

#[async_trait]
impl Engine for Model {
    type Connection = Connection;

    async fn connect(&self) -> Result<Connection, Error> {
        shuttle::future::yield_now().await;
        if self.faults && thread_rng().gen_bool(0.2) {
            return Err(Error::Unavailable { reason: "nobody listens".to_owned() });
        }
        Ok(Connection::new(self))
    }

    fn transaction_limit(&self) -> Option<Duration> {
        None
    }

    fn setback(error: sqlx::Error) -> Setback {
        let reason = error.to_string();
        let error = Error::Unavailable { reason: reason.clone() };
        if reason.contains("contended") { Setback::Contended(error) } else { Setback::Lost(error) }
    }

    async fn begin(
        connection: &mut Connection,
        _patience: Patience,
        _sessions: &BTreeSet<SessionId>,
    ) -> Result<(), Failure> {
        assert!(connection.transaction.is_none(), "a transaction is open already");
        let disk = connection.disk.clone();
        while std::mem::replace(&mut *disk.held.lock().expect("nobody panics while holding it"), true) {
            shuttle::future::yield_now().await;
        }
        connection.transaction = Some(disk.rows().clone());
        Ok(())
    }

    async fn execute(connection: &mut Connection, statement: &'static str) -> Result<(), sqlx::Error> {
        match statement {
            "COMMIT" => connection.commit().await,
            "ROLLBACK" => {
                connection.end();
                Ok(())
            }
            other => panic!("nobody says {other:?}"),
        }
    }

    async fn heads(connection: &mut Connection, steps: &[&Advance]) -> Result<Heads, Failure> {
        shuttle::future::yield_now().await;
        let rows = connection.rows();
        let mut heads = Heads::default();
        heads.version = Some(rows.version);
        for step in steps {
            if let Some(epoch) = rows.sessions.get(&step.session) {
                heads.sessions.insert(step.session.clone(), SessionHead::stored(*epoch, 0, None));
            }
            let journal = rows.journals.get(&step.turn);
            let place = usize::try_from(step.expected_seq).unwrap_or(usize::MAX);
            heads.stored_appends.push(journal.and_then(|appends| appends.get(place)).copied());
            if let Some(journal) = journal {
                heads.turns.insert(step.turn, turn_head(step, journal.len()));
            }
        }
        Ok(heads)
    }

    async fn add(connection: &mut Connection, steps: &[&Advance], heads: &Heads) -> Result<(), Failure> {
        shuttle::future::yield_now().await;
        let rows = connection.rows();
        if heads.version != Some(rows.version) {
            return Err(Failure::Refused(Error::Conflict { what: "the version".to_owned() }));
        }
        for step in steps {
            let journal = rows.journals.entry(step.turn).or_default();
            // What a unique index sees. Nothing else stops a step that was let in and should not have been.
            if journal.len() != step.expected_seq as usize {
                return Err(Failure::Refused(Error::Conflict { what: "a row".to_owned() }));
            }
            journal.push(step.append_id);
        }
        Ok(())
    }

    async fn close(connection: Connection) -> Result<(), sqlx::Error> {
        assert!(connection.transaction.is_none(), "it closes within a transaction");
        Ok(())
    }

    async fn discard(connection: Connection) {
        drop(connection);
    }
}

fn turn_head(step: &Advance, events: usize) -> TurnHead {
    TurnHead {
        session: step.session.clone(),
        events: u32::try_from(events).unwrap_or(u32::MAX),
        spent: step.spent,
        reserved: None,
        ended: false,
        queued: false,
        ends: false,
        touched: false,
    }
}
