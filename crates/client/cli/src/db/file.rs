//! The file of an export while it is written: there whole, or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use loom_base::ErrorCode;
use serde_json::Value;

use crate::Error;

/// What an export holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Its file.
    pub path: PathBuf,
    /// The file's bytes.
    pub bytes: u64,
    /// The rows in it.
    pub rows: u64,
    /// The digest of all of it.
    pub digest: String,
}

/// An export that is being written. Until it is whole it stands beside its place, under another name, and is gone with
/// this.
pub struct ExportFile {
    path: PathBuf,
    partial: PathBuf,
    file: Option<BufWriter<File>>,
    bytes: u64,
    last: String,
}

impl ExportFile {
    /// Takes the name `path`, which nothing has yet.
    pub fn create(path: &Path) -> Result<Self, Error> {
        create_private(path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                let message = format!("the file {} exists already; choose another name", path.display());
                loom_grpc::Error::new(ErrorCode::BackupExists, message).into()
            }
            _ => Error::Output(error),
        })?;
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let mut export = Self {
            path: path.to_owned(),
            partial: partial.into(),
            file: None,
            bytes: 0,
            last: String::new(),
        };
        export.file = Some(BufWriter::new(create_private(&export.partial)?));
        Ok(export)
    }

    /// Adds whole lines.
    pub fn add(&mut self, lines: &str) -> Result<(), Error> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(lines.as_bytes())?;
        self.bytes += lines.len() as u64;
        if let Some(last) = lines.lines().next_back() {
            last.clone_into(&mut self.last);
        }
        Ok(())
    }

    /// Puts the file in its place, durably, when its last line says that it is whole.
    pub fn finish(mut self) -> Result<Exported, Error> {
        let last: Value = serde_json::from_str(&self.last).unwrap_or_default();
        let (true, Some(rows), Some(digest)) =
            (last["whole"] == true, last["rows"].as_u64(), last["digest"].as_str())
        else {
            return Err(io::Error::other("the export was cut off; nothing is kept of it").into());
        };
        if let Some(file) = self.file.take() {
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            std::fs::rename(&self.partial, &self.path)?;
        }
        let (path, digest) = (std::mem::take(&mut self.path), digest.to_owned());
        Ok(Exported { path, bytes: self.bytes, rows, digest })
    }
}

impl Drop for ExportFile {
    fn drop(&mut self) {
        if self.path.as_os_str().is_empty() {
            return;
        }
        self.file = None;
        // What cannot be removed stays, and is not taken for an export: its last line is missing.
        let _ = std::fs::remove_file(&self.partial);
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Makes a file that no one else may read.
fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: &str = "{\"whole\":true,\"rows\":2,\"digest\":\"ab\"}\n";

    #[test]
    fn a_whole_export_stands_in_its_place_and_one_that_was_cut_off_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.jsonl");
        let mut cut = ExportFile::create(&path).unwrap();
        cut.add("[1]\n").unwrap();
        assert!(cut.finish().is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

        let mut export = ExportFile::create(&path).unwrap();
        export.add("[1]\n[2]\n").unwrap();
        export.add(LAST).unwrap();
        let exported = export.finish().unwrap();
        assert_eq!((exported.rows, exported.digest.as_str()), (2, "ab"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("[1]\n[2]\n{LAST}"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

        let taken = ExportFile::create(&path).err().and_then(|error| error.code());
        assert_eq!(taken, Some(ErrorCode::BackupExists));
        assert!(path.exists(), "what is there stays");
    }
}
