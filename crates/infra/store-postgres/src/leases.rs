//! Who owns a session: instances with rows of their own, by the server's clock.
//!
//! An instance whose time is over is deleted by whoever finds it so, in the transaction that makes use of it: after that it
//! cannot renew, whatever the server's clock does.

use std::time::Duration;

use async_trait::async_trait;
use loom_base::{InstanceId, SessionId};
use loom_store::{Claim, Claimed, Error, LeaseStore, Renewal};
use loom_store_sql::Row;
use loom_store_sql::text::stored;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use crate::connect::Pool;
use crate::error::Failure;
use crate::writer::{Queue, Write};

/// Now, in microseconds, also within a transaction that has waited.
macro_rules! now {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    };
}

const JOIN: &str = concat!(
    "INSERT INTO instances (id, address, started_at, expires_at) VALUES ($1, $2, ",
    now!(),
    ", ",
    now!(),
    " + $3)"
);

const RENEW: &str = concat!(
    "UPDATE instances SET address = $2, expires_at = ",
    now!(),
    " + $3 WHERE id = $1 AND expires_at > ",
    now!()
);

const FORGET_EXPIRED: &str = concat!("DELETE FROM instances WHERE id = $1 AND expires_at <= ", now!());

const FORGET_ALL_EXPIRED: &str = concat!("DELETE FROM instances WHERE expires_at <= ", now!());

/// What is left of an instance's time.
const HOLDER: &str = concat!(
    "SELECT id, address, greatest(expires_at - ",
    now!(),
    ", 0) AS remaining FROM instances WHERE id = $1"
);

const UNFINISHED: &str = "
SELECT s.id
FROM sessions AS s
WHERE s.id IN (SELECT session_id FROM turns WHERE ended_at IS NULL)
  AND (s.owner IS NULL OR NOT EXISTS (SELECT FROM instances AS i WHERE i.id = s.owner))
ORDER BY (SELECT min(t.accepted_at) FROM turns AS t WHERE t.session_id = s.id AND t.ended_at IS NULL), s.id
LIMIT $1
FOR UPDATE OF s SKIP LOCKED";

/// Looks once more: another may have taken some before they were locked.
const TAKE: &str = "
UPDATE sessions AS s
SET owner = $1, epoch = CASE WHEN s.owner IS NULL THEN s.epoch ELSE s.epoch + 1 END
WHERE s.id = ANY ($2) AND (s.owner IS NULL OR NOT EXISTS (SELECT FROM instances AS i WHERE i.id = s.owner))
RETURNING s.id, s.epoch";

/// The stored owners.
pub(crate) struct Leases {
    queue: Queue,
    /// Of its own, so that a hold does not end while turns wait for each other.
    heartbeat: Pool,
}

impl Leases {
    pub(crate) const fn new(queue: Queue, heartbeat: Pool) -> Self {
        Self { queue, heartbeat }
    }

    /// What comes of `statement`, which changes the row of `instance` when it may.
    async fn hold(
        &self,
        statement: &'static str,
        instance: InstanceId,
        address: &str,
        ttl: Duration,
    ) -> Result<Renewal, Error> {
        let held = sqlx::query(statement)
            .bind(instance.to_string())
            .bind(stored(address))
            .bind(i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX))
            .execute(self.heartbeat.connections());
        let changed = self.heartbeat.within(held).await?.rows_affected() > 0;
        Ok(if changed { Renewal::Held { remaining: Some(ttl) } } else { Renewal::Lost })
    }
}

#[async_trait]
impl LeaseStore for Leases {
    async fn join(&self, instance: InstanceId, address: &str, ttl: Duration) -> Result<Renewal, Error> {
        self.hold(JOIN, instance, address, ttl).await
    }

    async fn renew(&self, instance: InstanceId, address: &str, ttl: Duration) -> Result<Renewal, Error> {
        self.hold(RENEW, instance, address, ttl).await
    }

    async fn claim(&self, session: &SessionId, instance: InstanceId) -> Result<Option<Claim>, Error> {
        self.queue.write(ClaimOne { session: session.clone(), instance }).await
    }

    async fn claim_unfinished(&self, instance: InstanceId, most: u32) -> Result<Vec<Claimed>, Error> {
        self.queue.write(ClaimUnfinished { instance, most }).await
    }

    async fn release(&self, instance: InstanceId) -> Result<(), Error> {
        self.queue.write(Release(instance)).await
    }
}

struct ClaimOne {
    session: SessionId,
    instance: InstanceId,
}

#[async_trait]
impl Write<PgConnection> for ClaimOne {
    type Reply = Option<Claim>;

    async fn write(&self, connection: &mut PgConnection) -> Result<Result<Option<Claim>, Error>, Failure> {
        let found = sqlx::query("SELECT id, owner, epoch FROM sessions WHERE id = $1")
            .bind(self.session.as_str())
            .fetch_optional(&mut *connection)
            .await?;
        let Some(found) = found else { return Ok(Ok(None)) };
        let row = Row::new(&found, "session", "id");
        let owner = row.get::<Option<&str>>("owner").map_err(Failure::Refused)?;
        if owner == Some(self.instance.to_string().as_str()) {
            return Ok(row.number("epoch").map(|epoch| Some(Claim::Owned { epoch })));
        }
        if let Some(owner) = owner {
            sqlx::query(FORGET_EXPIRED).bind(owner).execute(&mut *connection).await?;
            let holder = sqlx::query(HOLDER).bind(owner).fetch_optional(&mut *connection).await?;
            if let Some(holder) = holder {
                return Ok(held(&Row::new(&holder, "instance", "id")).map(Some));
            }
        }
        let taken = sqlx::query(TAKE)
            .bind(self.instance.to_string())
            .bind(vec![self.session.as_str()])
            .fetch_one(connection)
            .await?;
        let epoch = Row::new(&taken, "session", "id").number("epoch");
        Ok(epoch.map(|epoch| Some(Claim::Owned { epoch })))
    }

    fn session(&self) -> Option<&SessionId> {
        Some(&self.session)
    }
}

fn held(holder: &Row<'_>) -> Result<Claim, Error> {
    Ok(Claim::Held {
        instance: holder.parse("id")?,
        address: holder.text("address")?,
        remaining: Duration::from_micros(holder.number("remaining")?),
    })
}

struct ClaimUnfinished {
    instance: InstanceId,
    most: u32,
}

#[async_trait]
impl Write<PgConnection> for ClaimUnfinished {
    type Reply = Vec<Claimed>;

    async fn write(&self, connection: &mut PgConnection) -> Result<Result<Vec<Claimed>, Error>, Failure> {
        sqlx::query(FORGET_ALL_EXPIRED).execute(&mut *connection).await?;
        let free: Vec<String> =
            sqlx::query_scalar(UNFINISHED).bind(i64::from(self.most)).fetch_all(&mut *connection).await?;
        let taken =
            sqlx::query(TAKE).bind(self.instance.to_string()).bind(&free).fetch_all(connection).await?;
        let claimed: Result<Vec<_>, Error> = taken.iter().map(claimed).collect();
        Ok(claimed.map(|mut claimed| {
            claimed.sort_by_key(|claimed| free.iter().position(|id| id == claimed.session.as_str()));
            claimed
        }))
    }
}

fn claimed(row: &PgRow) -> Result<Claimed, Error> {
    let row = Row::new(row, "session", "id");
    Ok(Claimed { session: row.parse("id")?, epoch: row.number("epoch")? })
}

struct Release(InstanceId);

#[async_trait]
impl Write<PgConnection> for Release {
    type Reply = ();

    async fn write(&self, connection: &mut PgConnection) -> Result<Result<(), Error>, Failure> {
        let id = self.0.to_string();
        sqlx::query("UPDATE sessions SET owner = NULL WHERE owner = $1")
            .bind(&id)
            .execute(&mut *connection)
            .await?;
        sqlx::query("DELETE FROM instances WHERE id = $1").bind(&id).execute(connection).await?;
        Ok(Ok(()))
    }
}
