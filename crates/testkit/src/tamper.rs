//! Changes a SQLite database behind the back of those who use it.

use std::path::Path;

use anyhow::ensure;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

/// Changes the schema of the database.
pub async fn alter(database: &Path, statement: &str) -> anyhow::Result<()> {
    let mut connection = SqliteConnectOptions::new().filename(database).connect().await?;
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Runs statements on the database, each of which must change a row.
pub async fn tamper(database: &Path, statements: &[String]) -> anyhow::Result<()> {
    let mut connection = SqliteConnectOptions::new().filename(database).connect().await?;
    for statement in statements {
        let done = sqlx::query(AssertSqlSafe(statement.clone())).execute(&mut connection).await?;
        ensure!(done.rows_affected() > 0, "{statement} changes nothing");
    }
    Ok(connection.close().await?)
}
