//! Makes a SQLite database from a script: the only thing here that writes.

use std::path::Path;

use loom_fabric::{BackendError, BackendErrorKind};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

/// Makes the database at `path` from the SQL of `script`, in place of what is there. A script that fails leaves what was
/// there. For scripts that come with a program: they may do anything.
pub async fn create_sqlite(path: &Path, script: &str) -> Result<(), BackendError> {
    let failed = |reason: String| {
        let message = format!("cannot make {}: {reason}", path.display());
        BackendError::new("sqlite", BackendErrorKind::Failed, message)
    };
    // Another process may be making the same one.
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error.to_string())),
        _ => {}
    }
    let options =
        SqliteConnectOptions::new().filename(&draft).create_if_missing(true).disable_statement_logging();
    let mut connection = options.connect().await.map_err(|error| failed(error.to_string()))?;
    let script = AssertSqlSafe(script.to_owned());
    sqlx::raw_sql(script).execute(&mut connection).await.map_err(|error| failed(error.to_string()))?;
    connection.close().await.map_err(|error| failed(error.to_string()))?;
    std::fs::rename(&draft, path).map_err(|error| failed(error.to_string()))
}
