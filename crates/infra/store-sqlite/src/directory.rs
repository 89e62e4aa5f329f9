//! The data directory: made for its owner only, and locked for as long as it is in use.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use loom_base::Timestamp;
use loom_store::Error;

/// The lock's file. It stays when the lock goes: removing it would let two processes lock two files of one name.
pub(crate) const LOCK_FILE: &str = "loom.lock";
/// Longer than any holder's line; whatever else is in the file is not shown.
const MAX_HOLDER_BYTES: u64 = 200;

/// A data directory that is ours until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    locks: Vec<File>,
}

impl Directory {
    /// Makes the directory where there is none, and locks it. Never waits: [`Error::Locked`] names the holder.
    pub(crate) fn lock(path: &Path, now: Timestamp) -> Result<Self, Error> {
        make_private(path).map_err(|error| failed("make", path, &error))?;
        let locks = vec![lock(&path.join(LOCK_FILE), path, now)?];
        Ok(Self { path: path.to_owned(), locks })
    }

    /// The path of the file `name` in it. The file is made when there is none: SQLite would let others read it.
    pub(crate) fn file(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        open_private(&path).map_err(|error| failed("open", &path, &error))?;
        Ok(path)
    }

    /// The path of a database that may be elsewhere, absolute or relative to this directory. Elsewhere it gets a lock of
    /// its own, beside it.
    pub(crate) fn database(&mut self, path: &Path, now: Timestamp) -> Result<PathBuf, Error> {
        let path = self.path.join(path);
        let parent = path.parent().unwrap_or(&self.path);
        make_private(parent).map_err(|error| failed("make", parent, &error))?;
        if !is_same(parent, &self.path) {
            let mut lock_path = path.clone().into_os_string();
            lock_path.push(".lock");
            self.locks.push(lock(Path::new(&lock_path), &path, now)?);
        }
        open_private(&path).map_err(|error| failed("open", &path, &error))?;
        Ok(path)
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// Locks the file at `path` for what users know as `shown`.
fn lock(path: &Path, shown: &Path, now: Timestamp) -> Result<File, Error> {
    let mut lock = open_private(path).map_err(|error| failed("open", path, &error))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Error::Locked { directory: shown.display().to_string(), holder: holder(lock) });
        }
        Err(TryLockError::Error(error)) => return Err(failed("lock", path, &error)),
    }
    let line = format!("process {}, running since {now}", std::process::id());
    lock.set_len(0)
        .and_then(|()| lock.write_all(line.as_bytes()))
        .map_err(|error| failed("write", path, &error))?;
    Ok(lock)
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::Unavailable { reason: format!("cannot {what} {}: {error}", path.display()) }
}

fn holder(lock: File) -> String {
    let mut line = String::new();
    match lock.take(MAX_HOLDER_BYTES).read_to_string(&mut line) {
        Ok(_) if !line.trim().is_empty() => line.trim().to_owned(),
        _ => "another process".to_owned(),
    }
}

fn make_private(path: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn open_private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
