//! Agent definitions and their versions.

use async_trait::async_trait;
use loom_base::AgentId;
use loom_store::{AgentRecord, AgentSource, AgentStore, Error};
use sqlx::PgConnection;

use crate::connect::Pool;
use crate::error::Failure;
use crate::writer::{Queue, Write};
use loom_store_sql::records;
use loom_store_sql::text::stored;

const SELECT: &str = "
SELECT a.id, v.name, v.version, v.definition, v.digest, v.source_path, a.created_at, v.created_at AS updated_at
FROM agents AS a JOIN agent_versions AS v ON v.agent_id = a.id";

/// The stored agents.
pub(crate) struct Agents {
    queue: Queue,
    reads: Pool,
}

impl Agents {
    pub(crate) const fn new(queue: Queue, reads: Pool) -> Self {
        Self { queue, reads }
    }
}

#[async_trait]
impl AgentStore for Agents {
    async fn put(&self, record: AgentRecord) -> Result<(), Error> {
        self.queue.write(Put(record)).await
    }

    async fn list(&self) -> Result<Vec<AgentRecord>, Error> {
        let query = format!("{SELECT} AND v.version = a.version WHERE a.listed ORDER BY a.name");
        let read = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(self.reads.connections());
        self.reads.within(read).await?.iter().map(records::agent).collect()
    }

    async fn version(&self, id: &AgentId, version: u32) -> Result<Option<AgentRecord>, Error> {
        let query = format!("{SELECT} WHERE a.id = $1 AND v.version = $2");
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(id.as_str()).bind(i64::from(version));
        let row = self.reads.within(query.fetch_optional(self.reads.connections())).await?;
        row.as_ref().map(records::agent).transpose()
    }

    async fn delete(&self, id: &AgentId) -> Result<bool, Error> {
        self.queue.write(Delete(id.clone())).await
    }
}

struct Put(AgentRecord);

#[async_trait]
impl Write<PgConnection> for Put {
    type Reply = ();

    async fn write(&self, connection: &mut PgConnection) -> Result<Result<(), Error>, Failure> {
        let new = &self.0;
        let named = "SELECT count(*) FROM agents WHERE name = $1 AND listed AND id <> $2";
        let taken: i64 = sqlx::query_scalar(named)
            .bind(stored(&new.name))
            .bind(new.id.as_str())
            .fetch_one(&mut *connection)
            .await?;
        if taken > 0 {
            return Ok(Err(Error::Exists { what: format!("an agent called {:?}", new.name) }));
        }
        let follow = if new.version == 1 {
            let insert = "
                INSERT INTO agents (id, name, version, listed, created_at) VALUES ($1, $2, $3, true, $4)
                ON CONFLICT (id) DO NOTHING";
            sqlx::query(insert)
                .bind(new.id.as_str())
                .bind(stored(&new.name))
                .bind(i64::from(new.version))
                .bind(new.created_at.as_micros())
        } else {
            let update = "
                UPDATE agents SET name = $2, version = $3, listed = true WHERE id = $1 AND version = $3 - 1";
            sqlx::query(update).bind(new.id.as_str()).bind(stored(&new.name)).bind(i64::from(new.version))
        };
        let followed = follow.execute(&mut *connection).await?;
        if followed.rows_affected() == 0 {
            return Ok(Err(Error::Conflict { what: format!("agent {}", new.id) }));
        }
        let path = match &new.source {
            AgentSource::File { path } => Some(stored(path)),
            AgentSource::Api => None,
        };
        let insert = "
            INSERT INTO agent_versions (agent_id, version, name, definition, digest, source_path, created_at)
            VALUES ($1, $2, $3, $4::json, $5, $6, $7)";
        sqlx::query(insert)
            .bind(new.id.as_str())
            .bind(i64::from(new.version))
            .bind(stored(&new.name))
            .bind(new.definition.to_string())
            .bind(new.digest.to_string())
            .bind(path)
            .bind(new.updated_at.as_micros())
            .execute(connection)
            .await?;
        Ok(Ok(()))
    }
}

struct Delete(AgentId);

#[async_trait]
impl Write<PgConnection> for Delete {
    type Reply = bool;

    async fn write(&self, connection: &mut PgConnection) -> Result<Result<bool, Error>, Failure> {
        let hide = "UPDATE agents SET listed = false WHERE id = $1 AND listed";
        let hidden = sqlx::query(hide).bind(self.0.as_str()).execute(connection).await?;
        Ok(Ok(hidden.rows_affected() > 0))
    }
}
