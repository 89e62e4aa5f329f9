//! Writes steps of turns. A batch costs two statements, however many steps it has: the rows travel as JSON arrays.

mod heads;
mod rows;

use futures::TryStreamExt as _;
use loom_store::admission::Heads;
use loom_store::{Advance, Error};
use sqlx::SqliteConnection;

use crate::error::Failure;
pub(super) use heads::read;
use rows::Rows;

/// Writes `steps` and what they make of the `heads` within the open transaction.
pub(super) async fn add(
    connection: &mut SqliteConnection,
    steps: &[&Advance],
    heads: &Heads,
) -> Result<(), Failure> {
    let mut rows = Rows::default();
    for step in steps {
        rows.add(step);
    }
    rows.add_heads(heads);
    let found: Vec<_> = rows.query()?.fetch(&mut *connection).try_collect().await?;
    if found.len() != rows.changed_calls() {
        return Err(Failure::Refused(Error::Missing { what: "a tool call that changes".to_owned() }));
    }
    crate::budgets::count(connection, heads).await
}
