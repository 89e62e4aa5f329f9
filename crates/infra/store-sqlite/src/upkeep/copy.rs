//! Copies of the whole database.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;

use loom_store::Error;
use sqlx::Connection as _;

use super::beside;
use crate::connect::{self, Settings};
use crate::error::unavailable;

/// Writes a copy to the new file `path`. Until it is whole and on disk it stands beside it, under another name.
pub(crate) async fn back_up(settings: &Settings, path: &Path) -> Result<u64, Error> {
    let failed = |error: &std::io::Error| Error::Unavailable {
        reason: format!("cannot write {}: {error}", path.display()),
    };
    // Takes the name, so that no two backups write one file.
    create_private(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Error::Exists { what: format!("the file {}", path.display()) },
        _ => failed(&error),
    })?;
    let partial = beside(path, ".partial");
    let written = async {
        create_private(&partial).map_err(|error| failed(&error))?;
        copy(settings, &partial).await?;
        finish(&partial, path).map_err(|error| failed(&error))
    };
    let written = written.await;
    if written.is_err() {
        for file in [&partial, path] {
            if let Err(error) = std::fs::remove_file(file) {
                tracing::warn!(file = %file.display(), %error, "the rest of a failed backup stays");
            }
        }
    }
    written
}

/// SQLite writes into a file that is empty, and no one else may read it.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

async fn copy(settings: &Settings, to: &Path) -> Result<(), Error> {
    let to = to.to_str().ok_or_else(|| Error::Unavailable {
        reason: format!("the path {} is not UTF-8, which SQLite needs", to.display()),
    })?;
    let mut connection = connect::copier(settings).await.map_err(|error| unavailable(&error))?;
    let copied = sqlx::query("VACUUM INTO ?").bind(to).execute(&mut connection).await;
    // It has only read; what closing it says adds nothing.
    let _ = connection.close().await;
    copied.map(drop).map_err(|error| unavailable(&error))
}

/// Puts the whole copy in its place, durably.
fn finish(partial: &Path, path: &Path) -> std::io::Result<u64> {
    let file = File::open(partial)?;
    file.sync_all()?;
    std::fs::rename(partial, path)?;
    sync_folder(path)?;
    file.metadata().map(|copied| copied.len())
}

/// Makes the names in the folder of `path` durable.
pub(crate) fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Other systems do not let a folder be opened, and need no such step.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
