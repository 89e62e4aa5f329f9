//! What budgets count, and the room of them that instances have borrowed.

use async_trait::async_trait;
use loom_agent::{Amounts, Measure};
use loom_base::{AgentId, InstanceId};
use loom_store::admission::Heads;
use loom_store::{Borrow, BudgetKey, BudgetStore, BudgetUsage, Error, Lent};
use loom_store_sql::{Row, records};
use sqlx::postgres::PgArguments;
use sqlx::{PgConnection, Postgres};

use crate::connect::Pool;
use crate::error::Failure;
use crate::writer::{Queue, Write};

/// An instance that needs room gets this part of what there is, where that is more: others may come.
const SLICE: u64 = 8;

/// What a turn holds back for its model call it may have used once for each time that it was taken up, too.
const USAGE: &str = "
SELECT coalesce(sum(cost), 0)::bigint AS cost, coalesce(sum(tokens), 0)::bigint AS tokens,
       coalesce(sum(tool_calls), 0)::bigint AS tool_calls, coalesce(sum(worked), 0)::bigint AS worked,
       coalesce(sum(estimated_tokens), 0)::bigint AS estimated_tokens,
       coalesce(sum(estimated_cost), 0)::bigint AS estimated_cost,
       coalesce(sum(reserved_cost), 0)::bigint AS reserved_cost,
       coalesce(sum(reserved_tokens), 0)::bigint AS reserved_tokens,
       coalesce(sum(reserved_calls), 0)::bigint AS reserved_calls,
       coalesce(sum(reserved_time), 0)::bigint AS reserved_time
FROM (
    SELECT cost, tokens, tool_calls, worked, estimated_tokens, estimated_cost, 0 AS reserved_cost,
           0 AS reserved_tokens, 0 AS reserved_calls, 0 AS reserved_time
    FROM spending
    WHERE day >= $2 AND day < $3 AND ($1::text IS NULL OR agent_id = $1)
    UNION ALL
    SELECT cost, input_tokens + output_tokens + cache_read_tokens + cache_write_tokens, tool_calls, worked,
           estimated_tokens, estimated_cost,
           coalesce((reserved ->> 'cost')::bigint, 0) * (1 + stalled),
           (coalesce((reserved ->> 'input')::bigint, 0) + coalesce((reserved ->> 'output')::bigint, 0)) * (1 + stalled),
           coalesce((reserved ->> 'tool_calls')::bigint, 0),
           greatest(coalesce((reserved ->> 'time')::bigint, 0) - worked, 0)
    FROM turns
    WHERE ended_at IS NULL AND accepted_at >= $4 AND accepted_at < $5 AND ($1::text IS NULL OR agent_id = $1)
) AS counted";

/// Adds what turns that end used to that of their agents, in a row that no other connection writes.
const COUNT: &str = "
INSERT INTO spending AS s (agent_id, day, writer, cost, tokens, tool_calls, worked, estimated_tokens, estimated_cost)
SELECT agent_id, accepted_at / 86400000000, pg_backend_pid(), sum(cost)::bigint,
       sum(input_tokens + output_tokens + cache_read_tokens + cache_write_tokens)::bigint, sum(tool_calls)::bigint,
       sum(worked)::bigint, sum(estimated_tokens)::bigint, sum(estimated_cost)::bigint
FROM turns
WHERE id = ANY ($1)
GROUP BY 1, 2
ON CONFLICT (agent_id, day, writer) DO UPDATE
SET cost = s.cost + excluded.cost, tokens = s.tokens + excluded.tokens, tool_calls = s.tool_calls + excluded.tool_calls,
    worked = s.worked + excluded.worked, estimated_tokens = s.estimated_tokens + excluded.estimated_tokens,
    estimated_cost = s.estimated_cost + excluded.estimated_cost";

const LOCK: &str = "SELECT FROM budgets WHERE agent_id = $1 AND from_day = $2 FOR UPDATE";

/// What others have borrowed. A loan goes with the row of its instance.
const LOANS: &str = "
SELECT coalesce(sum(cost), 0)::bigint AS cost, coalesce(sum(tokens), 0)::bigint AS tokens,
       coalesce(sum(tool_calls), 0)::bigint AS tool_calls, coalesce(sum(worked), 0)::bigint AS worked
FROM loans
WHERE agent_id = $1 AND from_day = $2 AND instance <> $3";

const BORROW: &str = "
INSERT INTO loans (agent_id, from_day, instance, cost, tokens, tool_calls, worked) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (agent_id, from_day, instance) DO UPDATE
SET cost = excluded.cost, tokens = excluded.tokens, tool_calls = excluded.tool_calls, worked = excluded.worked";

/// Counts what the turns that the batch ends have used, once their rows say it.
pub(crate) async fn count(connection: &mut PgConnection, heads: &Heads) -> Result<(), Failure> {
    let ended: Vec<_> =
        heads.turns.iter().filter(|(_, head)| head.ends).map(|(id, _)| id.to_string()).collect();
    if !ended.is_empty() {
        sqlx::query(COUNT).bind(ended).execute(connection).await?;
    }
    Ok(())
}

fn usage(key: &BudgetKey) -> sqlx::query::Query<'_, Postgres, PgArguments> {
    let (from, until) = key.window.micros();
    sqlx::query(USAGE)
        .bind(key.agent.as_ref().map(AgentId::as_str))
        .bind(key.window.from)
        .bind(key.window.until)
        .bind(from)
        .bind(until)
}

/// The name of a budget's turns; those of all have none.
fn name(key: &BudgetKey) -> &str {
    key.agent.as_ref().map_or("", AgentId::as_str)
}

/// What is stored of budgets.
pub(crate) struct Budgets {
    queue: Queue,
    reads: Pool,
}

impl Budgets {
    pub(crate) const fn new(queue: Queue, reads: Pool) -> Self {
        Self { queue, reads }
    }
}

#[async_trait]
impl BudgetStore for Budgets {
    async fn usage(&self, key: &BudgetKey) -> Result<BudgetUsage, Error> {
        let row = self.reads.within(usage(key).fetch_one(self.reads.connections())).await?;
        records::budget_usage(&row)
    }

    async fn borrow(&self, borrow: Borrow) -> Result<Lent, Error> {
        self.queue.write(Lend(borrow)).await
    }

    async fn give_back(&self, key: &BudgetKey, instance: InstanceId) -> Result<(), Error> {
        self.queue.write(GiveBack { key: key.clone(), instance }).await
    }
}

struct Lend(Borrow);

#[async_trait]
impl Write<PgConnection> for Lend {
    type Reply = Lent;

    async fn write(&self, connection: &mut PgConnection) -> Result<Result<Lent, Error>, Failure> {
        let Borrow { key, instance, limit, least } = &self.0;
        let instance = instance.to_string();
        sqlx::query("INSERT INTO budgets (agent_id, from_day) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(name(key))
            .bind(key.window.from)
            .execute(&mut *connection)
            .await?;
        // Whoever has it waits for nobody; after it, what the last one borrowed is seen.
        sqlx::query(LOCK).bind(name(key)).bind(key.window.from).execute(&mut *connection).await?;
        let loans = sqlx::query(LOANS)
            .bind(name(key))
            .bind(key.window.from)
            .bind(&instance)
            .fetch_one(&mut *connection)
            .await?;
        let row = usage(key).fetch_one(&mut *connection).await?;
        let usage = records::budget_usage(&row).map_err(Failure::Refused)?;
        let lent = loaned(&Row::new(&loans, "loans", "agent_id")).map_err(Failure::Refused)?;
        let left = limit.after(usage.used.plus(usage.reserved).plus(lent));
        let mut room = Amounts::default();
        for measure in Measure::ALL {
            let left = left.of(measure).unwrap_or(0);
            room.set(measure, least.of(measure).max(left / SLICE).min(left));
        }
        let mut borrow = sqlx::query(BORROW).bind(name(key)).bind(key.window.from).bind(&instance);
        for measure in Measure::ALL {
            borrow = borrow.bind(i64::try_from(room.of(measure)).unwrap_or(i64::MAX));
        }
        borrow.execute(connection).await?;
        Ok(Ok(Lent { room, is_all: false }))
    }
}

fn loaned(row: &Row<'_>) -> Result<Amounts, Error> {
    Ok(Amounts([
        row.number("cost")?,
        row.number("tokens")?,
        row.number("tool_calls")?,
        row.number("worked")?,
    ]))
}

struct GiveBack {
    key: BudgetKey,
    instance: InstanceId,
}

#[async_trait]
impl Write<PgConnection> for GiveBack {
    type Reply = ();

    async fn write(&self, connection: &mut PgConnection) -> Result<Result<(), Error>, Failure> {
        sqlx::query("DELETE FROM loans WHERE agent_id = $1 AND from_day = $2 AND instance = $3")
            .bind(name(&self.key))
            .bind(self.key.window.from)
            .bind(self.instance.to_string())
            .execute(connection)
            .await?;
        Ok(Ok(()))
    }
}
