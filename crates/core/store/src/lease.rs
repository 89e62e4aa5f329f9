//! Which of several Looms on one database owns a session.
//!
//! Each of them is an instance with a row of its own, which it renews; a session names its owner and the owner's epoch. So
//! one renewal keeps everything that an instance owns. Time is measured by the database's clock, and here nowhere else.

use std::time::Duration;

use async_trait::async_trait;
use loom_base::{InstanceId, SessionId};

use crate::Error;

/// What became of an instance's hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It holds on.
    Held {
        /// For how much longer; `None` for as long as the store is open, where nobody else can come.
        remaining: Option<Duration>,
    },
    /// Its time was over, or someone has found it so. What it owned may be another's now; it can only come again as a new
    /// instance.
    Lost,
}

/// Who owns a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The one who claimed it.
    Owned {
        /// The epoch to write under.
        epoch: u64,
    },
    /// Another instance.
    Held {
        /// Which. Only those who share the store know it: see [`LeaseStore::join`].
        instance: InstanceId,
        /// Where that listens; empty when it does not say.
        address: String,
        /// How long its hold lasts, unless it renews it.
        remaining: Duration,
    },
}

/// A session that was claimed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claimed {
    /// The session.
    pub session: SessionId,
    /// The epoch to write under.
    pub epoch: u64,
}

/// Stores who owns which session.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// Makes a new `instance` known for `ttl`, as one that listens at `address`; empty when it listens nowhere. Its id is
    /// new, cannot be guessed, and is told to nobody who does not share the store: by what follows from it, instances prove
    /// to each other that they do.
    async fn join(&self, instance: InstanceId, address: &str, ttl: Duration) -> Result<Renewal, Error>;

    /// Makes the hold of `instance`, which now listens at `address`, last `ttl` from now on. Never brings back one whose
    /// time was over.
    async fn renew(&self, instance: InstanceId, address: &str, ttl: Duration) -> Result<Renewal, Error>;

    /// Makes `instance` the owner of the session when it has none, when it is the owner already, or when the owner's time is
    /// over, which is then final. Taking the session from another raises its epoch. `None` when there is no such session.
    async fn claim(&self, session: &SessionId, instance: InstanceId) -> Result<Option<Claim>, Error>;

    /// Makes `instance` the owner of up to `most` sessions that have a turn without an end and no living owner, those it
    /// owns already aside, in the order these turns were accepted. Of several that ask at once each gets other ones.
    async fn claim_unfinished(&self, instance: InstanceId, most: u32) -> Result<Vec<Claimed>, Error>;

    /// Forgets `instance`; what it owned is free. To be called when it writes no more.
    async fn release(&self, instance: InstanceId) -> Result<(), Error>;
}
