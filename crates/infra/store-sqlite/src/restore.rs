//! Puts a backup in the place of the database.

use std::fs::File;
use std::path::{Path, PathBuf};

use loom_base::Timestamp;
use loom_store::Error;
use sqlx::Connection as _;

use crate::connect::{self, Settings};
use crate::directory::Directory;
use crate::error::unavailable;
use crate::mark;
use crate::store::{DATABASE, Options, refuse_newer};
use crate::upkeep::{beside, sync_folder};

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The database that is there now.
    pub database: PathBuf,
    /// The one that was there before, under another name; `None` when there was none.
    pub replaced: Option<PathBuf>,
    /// Bytes of the database.
    pub bytes: u64,
}

/// Replaces the database of `options` by a copy of the backup `file`, which stays as it is. The database that was there
/// is kept beside it. Spans have a file of their own, which is not touched.
///
/// [`Error::Locked`] while something has the store open. A file that is no whole database of Loom's, or one of a newer
/// Loom, is refused, and nothing is changed.
pub async fn restore(options: &Options, file: &Path) -> Result<Restored, Error> {
    let now = options.clock.now();
    let mut directory = Directory::lock(&options.directory, now)?;
    let database = directory.database(options.database.as_deref().unwrap_or(Path::new(DATABASE)), now)?;
    mark::check(file)?;
    refuse_live(file)?;
    let incoming = beside(&database, ".restoring");
    let placed = async {
        bring(file, &incoming).await?;
        check(&incoming, file, options).await?;
        let replaced = keep(&database, now, options).await?;
        replace(&incoming, &database).map_err(|error| failed("replace", &database, &error))?;
        Ok(replaced)
    };
    let placed = placed.await;
    for suffix in ["", "-wal", "-shm"] {
        // What is left of a copy that was refused; after a success there is nothing.
        let _ = std::fs::remove_file(beside(&incoming, suffix));
    }
    let replaced = placed?;
    let bytes = std::fs::metadata(&database).map_or(0, |file| file.len());
    Ok(Restored { database, replaced, bytes })
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::Unavailable { reason: format!("cannot {what} {}: {error}", path.display()) }
}

/// A database with a log beside it is in use, or was left by a crash: the file alone is not all of it.
fn refuse_live(file: &Path) -> Result<(), Error> {
    let log = beside(file, "-wal");
    if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        let reason = format!(
            "{} is beside it, so it is a live database and no backup; make one with `looms db backup`",
            log.display()
        );
        return Err(Error::Corrupt { what: file.display().to_string(), reason });
    }
    Ok(())
}

/// Copies the backup into our folder, where only its owner can read it.
async fn bring(file: &Path, incoming: &Path) -> Result<(), Error> {
    let (from, to) = (file.to_owned(), incoming.to_owned());
    let copied = tokio::task::spawn_blocking(move || {
        let mut from = File::open(from)?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut to = options.open(to)?;
        std::io::copy(&mut from, &mut to)?;
        to.sync_all()
    });
    match copied.await {
        Ok(Err(error)) => Err(failed("copy", file, &error)),
        Ok(Ok(())) => Ok(()),
        Err(error) => Err(Error::Unavailable { reason: error.to_string() }),
    }
}

/// Refuses a copy that this binary could not use.
async fn check(incoming: &Path, file: &Path, options: &Options) -> Result<(), Error> {
    let settings = Settings { path: incoming.to_owned(), lock_wait: options.lock_wait };
    let mut connection = connect::copier(&settings).await.map_err(|error| unavailable(&error))?;
    refuse_newer(&mut connection).await?;
    let lines: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_all(&mut connection)
        .await
        .map_err(|error| unavailable(&error))?;
    if let Some(reason) = lines.into_iter().find(|line| line != "ok") {
        return Err(Error::Corrupt { what: file.display().to_string(), reason });
    }
    // The last to leave folds the log into the file.
    connection.close().await.map_err(|error| unavailable(&error))
}

/// Gives the database that is there a second, dated name. It keeps the first until the new one takes it.
async fn keep(database: &Path, now: Timestamp, options: &Options) -> Result<Option<PathBuf>, Error> {
    if std::fs::metadata(database).is_ok_and(|file| file.len() == 0) {
        return Ok(None);
    }
    let settings = Settings { path: database.to_owned(), lock_wait: options.lock_wait };
    if mark::check(database).is_ok()
        && let Ok(connection) = connect::copier(&settings).await
        && let Err(error) = connection.close().await
    {
        tracing::warn!(%error, "the log of the replaced database is kept beside it");
    }
    let date: String = now.to_string().chars().map(|sign| if sign == ':' { '-' } else { sign }).collect();
    let kept = beside(database, &format!(".replaced-{date}"));
    link_or_copy(database, &kept).map_err(|error| failed("keep", database, &error))?;
    for suffix in ["-wal", "-shm"] {
        let (log, name) = (beside(database, suffix), beside(&kept, suffix));
        // A database that closed cleanly has none. A log that stayed would be applied to the new one.
        if log.exists() {
            std::fs::rename(&log, name).map_err(|error| failed("keep", &log, &error))?;
        }
    }
    Ok(Some(kept))
}

fn link_or_copy(from: &Path, to: &Path) -> std::io::Result<()> {
    match std::fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(error),
        // Not every file system has links.
        Err(_) => {
            std::fs::copy(from, to)?;
            File::open(to)?.sync_all()
        }
    }
}

fn replace(incoming: &Path, database: &Path) -> std::io::Result<()> {
    File::open(incoming)?.sync_all()?;
    std::fs::rename(incoming, database)?;
    sync_folder(database)
}
