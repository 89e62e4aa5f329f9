//! What budgets count. One process has the database for itself, so it borrows all there is.

use async_trait::async_trait;
use loom_agent::Amounts;
use loom_base::{AgentId, InstanceId};
use loom_store::{Borrow, BudgetKey, BudgetStore, BudgetUsage, Error, Lent};
use loom_store_sql::records;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Sqlite, SqliteConnection, SqlitePool};

use crate::error::{Failure, unavailable};
use crate::writer::{Queue, Write};

/// What a turn holds back for its model call it may have used once for each time that it was taken up, too.
const USAGE: &str = "
SELECT coalesce(sum(cost), 0) AS cost, coalesce(sum(tokens), 0) AS tokens, coalesce(sum(tool_calls), 0) AS tool_calls,
       coalesce(sum(worked), 0) AS worked, coalesce(sum(estimated_tokens), 0) AS estimated_tokens,
       coalesce(sum(estimated_cost), 0) AS estimated_cost, coalesce(sum(reserved_cost), 0) AS reserved_cost,
       coalesce(sum(reserved_tokens), 0) AS reserved_tokens, coalesce(sum(reserved_calls), 0) AS reserved_calls,
       coalesce(sum(reserved_time), 0) AS reserved_time
FROM (
    SELECT cost, tokens, tool_calls, worked, estimated_tokens, estimated_cost, 0 AS reserved_cost,
           0 AS reserved_tokens, 0 AS reserved_calls, 0 AS reserved_time
    FROM spending
    WHERE day >= ?2 AND day < ?3 AND (?1 IS NULL OR agent_id = ?1)
    UNION ALL
    SELECT cost, input_tokens + output_tokens + cache_read_tokens + cache_write_tokens, tool_calls, worked,
           estimated_tokens, estimated_cost,
           coalesce(reserved ->> '$.cost', 0) * (1 + stalled),
           (coalesce(reserved ->> '$.input', 0) + coalesce(reserved ->> '$.output', 0)) * (1 + stalled),
           coalesce(reserved ->> '$.tool_calls', 0),
           max(coalesce(reserved ->> '$.time', 0) - worked, 0)
    FROM turns
    WHERE ended_at IS NULL AND accepted_at >= ?4 AND accepted_at < ?5 AND (?1 IS NULL OR agent_id = ?1)
)";

/// Adds what turns that end used to that of their agents, once their rows say it.
pub(crate) const COUNT: &str = "
INSERT INTO spending (agent_id, day, writer, cost, tokens, tool_calls, worked, estimated_tokens, estimated_cost)
SELECT agent_id, accepted_at / 86400000000, 0, sum(cost),
       sum(input_tokens + output_tokens + cache_read_tokens + cache_write_tokens), sum(tool_calls), sum(worked),
       sum(estimated_tokens), sum(estimated_cost)
FROM turns
WHERE id IN (SELECT value FROM json_each(?))
GROUP BY 1, 2
ON CONFLICT (agent_id, day, writer) DO UPDATE
SET cost = cost + excluded.cost, tokens = tokens + excluded.tokens, tool_calls = tool_calls + excluded.tool_calls,
    worked = worked + excluded.worked, estimated_tokens = estimated_tokens + excluded.estimated_tokens,
    estimated_cost = estimated_cost + excluded.estimated_cost";

fn usage(key: &BudgetKey) -> sqlx::query::Query<'_, Sqlite, SqliteArguments> {
    let (from, until) = key.window.micros();
    sqlx::query(USAGE)
        .bind(key.agent.as_ref().map(AgentId::as_str))
        .bind(key.window.from)
        .bind(key.window.until)
        .bind(from)
        .bind(until)
}

/// What is stored of budgets.
pub(crate) struct Budgets {
    queue: Queue,
    reads: SqlitePool,
}

impl Budgets {
    pub(crate) const fn new(queue: Queue, reads: SqlitePool) -> Self {
        Self { queue, reads }
    }
}

#[async_trait]
impl BudgetStore for Budgets {
    async fn usage(&self, key: &BudgetKey) -> Result<BudgetUsage, Error> {
        let row: SqliteRow = usage(key).fetch_one(&self.reads).await.map_err(|error| unavailable(&error))?;
        records::budget_usage(&row)
    }

    async fn borrow(&self, borrow: Borrow) -> Result<Lent, Error> {
        self.queue.write(Lend(borrow)).await
    }

    /// Nobody else can use it.
    async fn give_back(&self, _key: &BudgetKey, _instance: InstanceId) -> Result<(), Error> {
        Ok(())
    }
}

struct Lend(Borrow);

#[async_trait]
impl Write<SqliteConnection> for Lend {
    type Reply = Lent;

    async fn write(&self, connection: &mut SqliteConnection) -> Result<Result<Lent, Error>, Failure> {
        let row = usage(&self.0.key).fetch_one(connection).await?;
        Ok(records::budget_usage(&row).map(|usage| {
            let left = self.0.limit.after(usage.used.plus(usage.reserved));
            Lent { room: Amounts(left.0.map(Option::unwrap_or_default)), is_all: true }
        }))
    }
}
