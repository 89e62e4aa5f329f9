//! Writes steps of turns. A batch costs one trip to the database's thread, however many steps it has: the rows travel as
//! JSON arrays.

mod heads;
mod rows;
mod script;

use loom_store::admission::Heads;
use loom_store::{Advance, Error};
use sqlx::{Row as _, SqliteConnection};

use crate::error::Failure;
pub(super) use heads::read;
use rows::Rows;
pub(super) use script::Extent;

/// Writes `steps` and what they make of the `heads`, if the database still has their version.
pub(super) async fn add(
    connection: &mut SqliteConnection,
    steps: &[&Advance],
    heads: &Heads,
    extent: Extent,
) -> Result<(), Failure> {
    let mut rows = Rows::default();
    for step in steps {
        rows.add(step);
    }
    rows.add_heads(heads);
    let query = rows.query(heads.version, extent)?;
    if extent == Extent::Whole || rows.changed_calls() == 0 {
        query.execute(connection).await?;
        return Ok(());
    }
    let answers = query.fetch_all(connection).await?;
    let all_there = answers.last().map(|row| row.try_get::<bool, _>(0)).transpose()?;
    if all_there != Some(true) {
        return Err(Failure::Refused(Error::Missing { what: "a tool call that changes".to_owned() }));
    }
    Ok(())
}
