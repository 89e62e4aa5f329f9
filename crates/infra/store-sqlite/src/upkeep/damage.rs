//! What is wrong with the file, its references and its index.

use loom_store::{Damage, Error};
use sqlx::{Connection as _, Row as _, SqliteConnection};

use crate::connect::{self, Settings};
use crate::error::unavailable;

/// Problems of the file that are told at most; SQLite stops there.
const MOST: &str = "100";

/// Looks at the whole file. Needs a connection of its own: the index cannot be checked through one that only reads.
pub(crate) async fn find(settings: &Settings) -> Result<Vec<Damage>, Error> {
    let mut connection = connect::copier(settings).await.map_err(|error| unavailable(&error))?;
    let mut found = Vec::new();
    let looked = look(&mut connection, &mut found).await;
    // It has only read; what closing it says adds nothing.
    let _ = connection.close().await;
    match looked.map_err(|error| unavailable(&error)) {
        Err(Error::Corrupt { what, reason }) => found.push(Damage { what, problem: reason }),
        other => other?,
    }
    Ok(found)
}

async fn look(connection: &mut SqliteConnection, found: &mut Vec<Damage>) -> Result<(), sqlx::Error> {
    let check = sqlx::AssertSqlSafe(format!("PRAGMA integrity_check({MOST})"));
    for line in sqlx::query_scalar::<_, String>(check).fetch_all(&mut *connection).await? {
        if line != "ok" {
            found.push(Damage { what: "the database file".to_owned(), problem: line });
        }
    }
    for row in sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut *connection).await? {
        let (table, row_id, parent) =
            (row.get::<String, _>(0), row.get::<Option<i64>, _>(1), row.get::<String, _>(2));
        let row_id = row_id.map_or_else(String::new, |id| format!(" {id}"));
        found.push(Damage {
            what: format!("row{row_id} of {table}"),
            problem: format!("refers to a row of {parent} that is not there"),
        });
    }
    look_at_index(connection, found).await
}

/// The index holds the messages up to its cursor and no others.
async fn look_at_index(
    connection: &mut SqliteConnection,
    found: &mut Vec<Damage>,
) -> Result<(), sqlx::Error> {
    let mut snapshot = connection.begin().await?;
    let cursor: Option<i64> = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'fts_cursor'")
        .fetch_optional(&mut *snapshot)
        .await?;
    let mut say = |problem: String| found.push(Damage { what: "the full-text index".to_owned(), problem });
    let Some(cursor) = cursor else {
        say("its cursor is not there".to_owned());
        return Ok(());
    };
    // Numbers are never used again, so the newest one that was ever given bounds the cursor.
    let given = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'messages'), 0)";
    let given: i64 = sqlx::query_scalar(given).fetch_one(&mut *snapshot).await?;
    if !(0..=given).contains(&cursor) {
        say(format!("its cursor is at {cursor}, and messages go to {given}"));
    }
    let strays = "
        SELECT count(*)
        FROM messages_fts_docsize AS d LEFT JOIN messages AS m ON m.number = d.id
        WHERE m.number IS NULL OR d.id > ?";
    let strays: i64 = sqlx::query_scalar(strays).bind(cursor).fetch_one(&mut *snapshot).await?;
    if strays > 0 {
        say(format!("it has {strays} entries of messages that it should not have"));
    }
    let missing = "
        SELECT count(*)
        FROM messages AS m LEFT JOIN messages_fts_docsize AS d ON d.id = m.number
        WHERE m.number <= ? AND d.id IS NULL";
    let missing: i64 = sqlx::query_scalar(missing).bind(cursor).fetch_one(&mut *snapshot).await?;
    if missing > 0 {
        say(format!("it has no entry of {missing} messages that its cursor has passed"));
    }
    Ok(())
}
