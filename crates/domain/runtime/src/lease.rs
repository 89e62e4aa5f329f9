//! The hold of this Loom on its sessions, where several share a store.
//!
//! It is an instance among others for as long as it renews its hold in time. One that was silent for too long comes back as
//! another instance: what it did before it does not go on with, because others may have taken it up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use loom_base::{Clock, ErrorCode, IdSource, InstanceId, SessionId};
use loom_store::{Claim, LeaseStore, Renewal};

use crate::Error;

/// A hold is renewed so many times in its length, so that one renewal may fail.
const RENEWALS: u32 = 3;
/// One part in so many of a hold's length is not used: clocks run differently, and what is begun takes time to arrive.
const MARGIN: u32 = 5;
/// The end of a hold that has none.
const NEVER: u64 = u64::MAX;

/// The place of this Loom among those that share its store.
pub(crate) struct Membership {
    store: Arc<dyn LeaseStore>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    /// How long it may be silent.
    length: Duration,
    /// Whether others may come.
    is_shared: bool,
    member: Mutex<Member>,
}

struct Member {
    term: Arc<Term>,
    address: String,
}

/// The time between joining and being silent for too long.
struct Term {
    instance: InstanceId,
    /// When it ends unless it is renewed, in microseconds of the monotonic clock.
    ends: AtomicU64,
    over: CancellationToken,
}

impl Term {
    /// Lasts for `remaining` from `asked` on, when the store was asked; the margin aside.
    fn extend(&self, asked: Duration, remaining: Option<Duration>) {
        let ends = remaining.map_or(NEVER, |remaining| {
            let usable = remaining / MARGIN * (MARGIN - 1);
            u64::try_from(asked.saturating_add(usable).as_micros()).unwrap_or(NEVER)
        });
        self.ends.store(ends, Ordering::Release);
    }

    fn is_held(&self, clock: &dyn Clock) -> bool {
        let now = u64::try_from(clock.monotonic().as_micros()).unwrap_or(NEVER);
        !self.over.is_cancelled() && now < self.ends.load(Ordering::Acquire)
    }
}

/// The hold on one session.
#[derive(Clone)]
pub(crate) struct Lease {
    term: Arc<Term>,
    clock: Arc<dyn Clock>,
}

impl Lease {
    /// Whether the session is still ours, as far as can be told without asking.
    pub(crate) fn is_held(&self) -> bool {
        self.term.is_held(&*self.clock)
    }

    /// An error unless the session is still ours. To be asked right before something that cannot be taken back.
    pub(crate) fn ensure_held(&self) -> Result<(), Error> {
        if self.is_held() { Ok(()) } else { Err(lost()) }
    }

    /// Returns once the session may be another's.
    pub(crate) async fn lost(&self) -> Error {
        self.term.over.cancelled().await;
        lost()
    }
}

impl Membership {
    /// Joins those that share the store.
    pub(crate) async fn join(
        store: Arc<dyn LeaseStore>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        length: Duration,
    ) -> Result<Self, Error> {
        let address = String::new();
        let term = begin(&*store, &*clock, &*ids, &address, length).await?;
        let is_shared = term.ends.load(Ordering::Acquire) != NEVER;
        Ok(Self { store, clock, ids, length, is_shared, member: Mutex::new(Member { term, address }) })
    }

    /// Tells the others where this one listens.
    pub(crate) async fn announce(&self, address: String) -> Result<(), Error> {
        let mut member = self.member.lock().await;
        member.address = address;
        self.renew(&mut member).await
    }

    /// The hold on a session, and the epoch to write to it under; `None` when there is no such session.
    pub(crate) async fn claim(&self, session: &SessionId) -> Result<Option<(Lease, u64)>, Error> {
        let term = self.held().await?;
        match self.store.claim(session, term.instance).await? {
            None => Ok(None),
            Some(Claim::Owned { epoch }) => Ok(Some((Lease { term, clock: Arc::clone(&self.clock) }, epoch))),
            Some(Claim::Held { address, remaining }) => {
                Err(Error::session_elsewhere(session, &address, remaining))
            }
        }
    }

    /// The hold on a session that was just made with `epoch`, and the epoch to write to it under; `None` when it is gone
    /// already. Where nobody else can come, that needs no question.
    pub(crate) async fn claim_new(
        &self,
        session: &SessionId,
        epoch: u64,
    ) -> Result<Option<(Lease, u64)>, Error> {
        if self.is_shared {
            return self.claim(session).await;
        }
        let term = self.held().await?;
        Ok(Some((Lease { term, clock: Arc::clone(&self.clock) }, epoch)))
    }

    /// Sessions that have a turn without an end and nobody who goes on with it, now ours, in the order these turns were
    /// accepted.
    pub(crate) async fn claim_unfinished(&self, most: u32) -> Result<Vec<SessionId>, Error> {
        let term = self.held().await?;
        let claimed = self.store.claim_unfinished(term.instance, most).await?;
        Ok(claimed.into_iter().map(|claimed| claimed.session).collect())
    }

    /// How often the hold is renewed; `None` where it has no end, because nobody else can come.
    pub(crate) fn renewal_period(&self) -> Option<Duration> {
        self.is_shared.then(|| self.length / RENEWALS)
    }

    /// Renews the hold again and again; returns where it has no end.
    pub(crate) async fn keep(&self) {
        let Some(period) = self.renewal_period() else { return };
        loop {
            self.clock.sleep(period).await;
            let mut member = self.member.lock().await;
            if let Err(error) = self.renew(&mut member).await {
                tracing::warn!(%error, "the hold on sessions could not be renewed");
            }
        }
    }

    /// Gives everything back. To be called when nothing is written any more.
    pub(crate) async fn leave(&self) -> Result<(), Error> {
        let member = self.member.lock().await;
        member.term.over.cancel();
        Ok(self.store.release(member.term.instance).await?)
    }

    /// The current term; renewed, or begun anew, when its time is over.
    async fn held(&self) -> Result<Arc<Term>, Error> {
        let mut member = self.member.lock().await;
        if !member.term.is_held(&*self.clock) {
            self.renew(&mut member).await?;
        }
        Ok(Arc::clone(&member.term))
    }

    async fn renew(&self, member: &mut Member) -> Result<(), Error> {
        let asked = self.clock.monotonic();
        let renewal = tokio::select! {
            renewal = self.store.renew(member.term.instance, &member.address, self.length) => renewal?,
            () = self.clock.sleep(self.length) => return Err(silent()),
        };
        match renewal {
            Renewal::Held { remaining } => member.term.extend(asked, remaining),
            Renewal::Lost => {
                tracing::warn!(
                    "silent for too long: other instances may have taken the sessions of this one"
                );
                member.term.over.cancel();
                member.term =
                    begin(&*self.store, &*self.clock, &*self.ids, &member.address, self.length).await?;
            }
        }
        Ok(())
    }
}

async fn begin(
    store: &dyn LeaseStore,
    clock: &dyn Clock,
    ids: &dyn IdSource,
    address: &str,
    length: Duration,
) -> Result<Arc<Term>, Error> {
    let instance = InstanceId::new(ids);
    let term = Term { instance, ends: AtomicU64::new(0), over: CancellationToken::new() };
    let asked = clock.monotonic();
    match store.join(instance, address, length).await? {
        Renewal::Held { remaining } => term.extend(asked, remaining),
        Renewal::Lost => return Err(lost()),
    }
    Ok(Arc::new(term))
}

fn lost() -> Error {
    let message = "this instance was silent for too long and no longer holds the session; ask again, and the one that holds \
                   it now answers";
    Error::new(ErrorCode::SessionElsewhere, message)
}

fn silent() -> Error {
    Error::new(ErrorCode::StoreUnavailable, "the store does not answer in time")
}
