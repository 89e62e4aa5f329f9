//! What is in a set of folders: which files, and in which version.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Which files are wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Extensions without their dot.
    pub(crate) extensions: &'static [&'static str],
}

impl Wanted {
    fn admits(&self, path: &Path) -> bool {
        path.extension().is_some_and(|extension| self.extensions.iter().any(|wanted| extension == *wanted))
    }
}

/// Differs between two versions of a file. Saving by rename changes the number, saving in place the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    bytes: u64,
    modified: Option<SystemTime>,
    number: u64,
    changed: (i64, i64),
}

impl Version {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
            number: metadata.ino(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    #[cfg(not(unix))]
    fn of(metadata: &Metadata) -> Self {
        Self { bytes: metadata.len(), modified: metadata.modified().ok(), number: 0, changed: (0, 0) }
    }
}

/// The wanted files with their versions, and the links that were left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Every wanted file, under the path by which it was found.
    pub(crate) files: BTreeMap<PathBuf, Version>,
    /// Links that lead out of their folder.
    pub(crate) refused: BTreeSet<PathBuf>,
}

impl Snapshot {
    /// Everything wanted under `folders`. What cannot be read is not there.
    pub(crate) fn take(folders: &[PathBuf], wanted: &Wanted) -> Self {
        let mut snapshot = Self::default();
        for folder in folders {
            // A folder that is not there, or is no folder, has no files.
            let Ok(real) = folder.canonicalize() else { continue };
            snapshot.add(folder, &real, wanted);
        }
        snapshot
    }

    /// Adds what lies under `folder`, whose own real path is `real`.
    fn add(&mut self, folder: &Path, real: &Path, wanted: &Wanted) {
        let mut open = vec![folder.to_path_buf()];
        while let Some(current) = open.pop() {
            for entry in std::fs::read_dir(&current).into_iter().flatten().flatten() {
                let path = entry.path();
                let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
                let Ok(kind) = entry.file_type() else { continue };
                match kind {
                    _ if hidden => {}
                    _ if kind.is_dir() => open.push(path),
                    _ if !wanted.admits(&path) => {}
                    _ if kind.is_symlink() && !stays_inside(&path, real) => {
                        self.refused.insert(path);
                    }
                    _ => self.add_file(path),
                }
            }
        }
    }

    fn add_file(&mut self, path: PathBuf) {
        if let Ok(metadata) = path.metadata()
            && metadata.is_file()
        {
            self.files.insert(path, Version::of(&metadata));
        }
    }
}

/// The files under `folder` with one of `extensions` (without the dot), as a [`Watch`](crate::Watch) would find them.
pub fn files(folder: &Path, extensions: &'static [&'static str]) -> Vec<PathBuf> {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    Snapshot::take(&[folder], &Wanted { extensions }).files.into_keys().collect()
}

/// Whether the link at `path` leads to something under `folder`; a link that leads nowhere does not.
fn stays_inside(path: &Path, folder: &Path) -> bool {
    path.canonicalize().is_ok_and(|target| target.starts_with(folder))
}
