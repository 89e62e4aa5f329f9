//! Brings the schema up to date, or says why it cannot be used.

use loom_migrations::POSTGRES;
use loom_store::Error;
use sqlx::migrate::MigrateError;
use sqlx::{Connection as _, PgConnection};

use crate::connect::Settings;
use crate::error::unavailable;

/// Applies what is missing, under an advisory lock that others who open the database wait for. The number of the newest
/// migration that was applied before; 0 when none was.
pub(crate) async fn prepare(settings: &Settings) -> Result<i64, Error> {
    let mut connection = settings.migrator().await.map_err(|error| unavailable(&error))?;
    refuse_encoding(&mut connection).await?;
    refuse_newer(&mut connection).await?;
    let found = newest(&mut connection).await?;
    // `run` takes `Acquire`, which makes this future one that cannot be spawned.
    POSTGRES.run_direct(None, &mut connection, false).await.map_err(failed)?;
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "the connection of the migrations did not close cleanly");
    }
    Ok(found)
}

/// The number of the newest migration that is applied; 0 when none is.
pub(crate) async fn newest(connection: &mut PgConnection) -> Result<i64, Error> {
    let is_there: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| unavailable(&error))?;
    if !is_there {
        return Ok(0);
    }
    let newest = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations";
    sqlx::query_scalar(newest).fetch_one(connection).await.map_err(|error| unavailable(&error))
}

/// Messages may hold any character, which only one encoding can.
async fn refuse_encoding(connection: &mut PgConnection) -> Result<(), Error> {
    let found: String = sqlx::query_scalar("SELECT current_setting('server_encoding')")
        .fetch_one(connection)
        .await
        .map_err(|error| unavailable(&error))?;
    if found == "UTF8" {
        return Ok(());
    }
    let reason =
        format!("the database's encoding is {found}; make one WITH (ENCODING 'UTF8', TEMPLATE template0)");
    Err(Error::Unavailable { reason })
}

/// A newer schema is refused, and so is one that says it needs a newer binary.
async fn refuse_newer(connection: &mut PgConnection) -> Result<(), Error> {
    let known = loom_migrations::newest(&POSTGRES);
    let is_there = "SELECT to_regclass('meta') IS NOT NULL AND to_regclass('_sqlx_migrations') IS NOT NULL";
    let is_there: bool = sqlx::query_scalar(is_there)
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| unavailable(&error))?;
    if !is_there {
        return Ok(());
    }
    let found = "SELECT greatest((SELECT max(version) FROM _sqlx_migrations),
                                 (SELECT value FROM meta WHERE key = 'min_binary'), 0)";
    let found = sqlx::query_scalar(found).fetch_one(connection).await.map_err(|error| unavailable(&error))?;
    if found > known { Err(Error::TooNew { found, known }) } else { Ok(()) }
}

fn failed(error: MigrateError) -> Error {
    match error {
        MigrateError::VersionMissing(found) => {
            Error::TooNew { found, known: loom_migrations::newest(&POSTGRES) }
        }
        MigrateError::VersionMismatch(_) | MigrateError::Dirty(_) => {
            Error::Corrupt { what: "the schema".to_owned(), reason: error.to_string() }
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => unavailable(&error),
        other => Error::Unavailable { reason: other.to_string() },
    }
}
