//! Agent definitions and their versions.

use async_trait::async_trait;
use loom_base::AgentId;
use loom_store::{AgentRecord, AgentSource, AgentStore, Error};
use sqlx::{SqliteConnection, SqlitePool};

use crate::error::{Failure, unavailable};
use crate::writer::{Queue, Write};
use loom_store_sql::records;

const SELECT: &str = "
SELECT a.id, v.name, v.version, v.definition, v.digest, v.source_path, a.created_at, v.created_at AS updated_at
FROM agents AS a JOIN agent_versions AS v ON v.agent_id = a.id";

/// The stored agents.
pub(crate) struct Agents {
    queue: Queue,
    reads: SqlitePool,
}

impl Agents {
    pub(crate) const fn new(queue: Queue, reads: SqlitePool) -> Self {
        Self { queue, reads }
    }
}

#[async_trait]
impl AgentStore for Agents {
    async fn put(&self, record: AgentRecord) -> Result<(), Error> {
        self.queue.write(Put(record)).await
    }

    async fn list(&self) -> Result<Vec<AgentRecord>, Error> {
        let query = format!("{SELECT} AND v.version = a.version WHERE a.listed = 1 ORDER BY a.name");
        let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&self.reads).await;
        rows.map_err(|error| unavailable(&error))?.iter().map(records::agent).collect()
    }

    async fn version(&self, id: &AgentId, version: u32) -> Result<Option<AgentRecord>, Error> {
        let query = format!("{SELECT} WHERE a.id = ? AND v.version = ?");
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(id.as_str()).bind(version);
        let row = query.fetch_optional(&self.reads).await.map_err(|error| unavailable(&error))?;
        row.as_ref().map(records::agent).transpose()
    }

    async fn delete(&self, id: &AgentId) -> Result<bool, Error> {
        self.queue.write(Delete(id.clone())).await
    }
}

struct Put(AgentRecord);

#[async_trait]
impl Write<SqliteConnection> for Put {
    type Reply = ();

    async fn write(&self, connection: &mut SqliteConnection) -> Result<Result<(), Error>, Failure> {
        let new = &self.0;
        let named = "SELECT count(*) FROM agents WHERE name = ? AND listed = 1 AND id <> ?";
        let taken: i64 = sqlx::query_scalar(named)
            .bind(&new.name)
            .bind(new.id.as_str())
            .fetch_one(&mut *connection)
            .await?;
        if taken > 0 {
            return Ok(Err(Error::Exists { what: format!("an agent called {:?}", new.name) }));
        }
        let follow = if new.version == 1 {
            "INSERT INTO agents (id, name, version, listed, created_at) VALUES (?1, ?2, ?3, 1, ?4)
             ON CONFLICT (id) DO NOTHING"
        } else {
            "UPDATE agents SET name = ?2, version = ?3, listed = 1 WHERE id = ?1 AND version = ?3 - 1"
        };
        let followed = sqlx::query(follow)
            .bind(new.id.as_str())
            .bind(&new.name)
            .bind(new.version)
            .bind(new.created_at.as_micros())
            .execute(&mut *connection)
            .await?;
        if followed.rows_affected() == 0 {
            return Ok(Err(Error::Conflict { what: format!("agent {}", new.id) }));
        }
        let path = match &new.source {
            AgentSource::File { path } => Some(path.as_str()),
            AgentSource::Api => None,
        };
        let insert = "
            INSERT INTO agent_versions (agent_id, version, name, definition, digest, source_path, created_at)
            VALUES (?, ?, ?, ?, ?, ?, ?)";
        sqlx::query(insert)
            .bind(new.id.as_str())
            .bind(new.version)
            .bind(&new.name)
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
impl Write<SqliteConnection> for Delete {
    type Reply = bool;

    async fn write(&self, connection: &mut SqliteConnection) -> Result<Result<bool, Error>, Failure> {
        let hide = "UPDATE agents SET listed = 0 WHERE id = ? AND listed = 1";
        let hidden = sqlx::query(hide).bind(self.0.as_str()).execute(connection).await?;
        Ok(Ok(hidden.rows_affected() > 0))
    }
}
