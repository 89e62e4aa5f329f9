//! Writes steps of turns. A batch costs two statements, however many steps it has: the rows travel as one array for each
//! column.

mod heads;
mod rows;
mod statement;

use loom_store::admission::Heads;
use loom_store::{Advance, Error};
use sqlx::PgConnection;

use crate::error::Failure;
pub(super) use heads::read;
use rows::Rows;

/// Writes `steps` and what they make of the `heads` within the open transaction, which has their sessions locked.
pub(super) async fn add(
    connection: &mut PgConnection,
    steps: &[&Advance],
    heads: &Heads,
) -> Result<(), Failure> {
    let mut rows = Rows::default();
    for step in steps {
        rows.add(step)?;
    }
    rows.add_heads(heads)?;
    for query in rows.begin() {
        query.execute(&mut *connection).await?;
    }
    let found: i64 = rows.query().fetch_one(&mut *connection).await?;
    if usize::try_from(found).ok() != Some(rows.changed_calls()) {
        return Err(Failure::Refused(Error::Missing { what: "a tool call that changes".to_owned() }));
    }
    crate::budgets::count(connection, heads).await
}
