//! Writes a pattern that a request brings: checked first, whole or not at all, and never over another by accident.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::sync::{Arc, PoisonError};

use loom_patterns::{
    Created, Existing, FilesError, Layer, NewPattern, Origin, Pattern, PatternError, Source as _,
    check_file_name, parse,
};

use super::{PatternLibrary, name_in, place};

/// The longest text of one pattern.
const MAX_TEXT: usize = 256 << 10;

/// Where a pattern goes.
struct Target {
    /// Below the patterns folder.
    file: String,
    existing: Existing,
}

impl PatternLibrary {
    pub(super) fn write(&self, new: &NewPattern) -> Result<Created, FilesError> {
        let Some(folder) = &self.folder else {
            return Err(FilesError::ReadOnly { problem: "this server has no patterns folder".to_owned() });
        };
        // One writer at a time: whoever comes second sees what the first has made.
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let name = named(new)?;
        check_file_name("pattern's name", &name)?;
        if !new.library.is_empty() {
            check_file_name("library's name", &new.library)?;
        }
        let target = target(new, &name, self.registry.origin(&name))?;
        check(&target.file, &name, &new.text)?;
        let root = std::path::absolute(folder).map_err(|error| unwritable(&error))?;
        let path = root.join(&target.file);
        put(&root, &path, &new.text, target.existing).map_err(|error| match error {
            Refused::Outside => place::outside(self.folder.as_deref(), &target.file),
            Refused::Taken => taken(&name, &target.file, "choose another name, or change that file"),
            Refused::Unwritable(error) => unwritable(&error),
        })?;
        self.take(std::slice::from_ref(&path), &[]);
        tracing::info!(pattern = name, file = target.file, "a pattern was written by request");
        let file = name_in(folder, &path);
        let served = self
            .registry
            .snapshot()
            .get(&name)
            .filter(|pattern| Some(&pattern.file) == file.as_ref())
            .cloned();
        let pattern = served.ok_or_else(|| {
            taken(&name, &target.file, "someone changed the patterns folder at the same moment; look at it")
        })?;
        Ok(Created { pattern, path: path.display().to_string() })
    }
}

/// The name of the new pattern: the one asked for, else the one in its text.
fn named(new: &NewPattern) -> Result<String, FilesError> {
    if new.text.len() > MAX_TEXT {
        let message = format!("the text has {} bytes, at most {MAX_TEXT} are taken", new.text.len());
        return Err(invalid("pattern.yaml", message));
    }
    if !new.name.is_empty() {
        return Ok(new.name.clone());
    }
    Ok(only_pattern("pattern.yaml", &new.text)?.name)
}

/// The file of the new pattern, when there may be one.
fn target(new: &NewPattern, name: &str, origin: Option<Origin>) -> Result<Target, FilesError> {
    let fresh = match new.library.as_str() {
        "" => format!("{name}.yaml"),
        library => format!("{library}/{name}.yaml"),
    };
    let Some(origin) = origin else { return Ok(Target { file: fresh, existing: Existing::Keep }) };
    if new.existing == Existing::Keep {
        let place = match origin.layer {
            Layer::BuiltIn => format!("the built-in library, as {}", origin.file),
            Layer::Folder => origin.file.to_string(),
        };
        return Err(taken(name, &place, "choose another name, or say `overwrite`"));
    }
    if origin.layer == Layer::BuiltIn {
        return Ok(Target { file: fresh, existing: Existing::Keep });
    }
    if origin.shared {
        return Err(taken(name, &origin.file, "that file holds other patterns too: change it there"));
    }
    let library = origin.file.rsplit_once('/').map_or("", |(library, _)| library);
    if !new.library.is_empty() && new.library != library {
        return Err(taken(name, &origin.file, "it stays in its library: name that one, or none"));
    }
    Ok(Target { file: origin.file.to_string(), existing: Existing::Replace })
}

fn check(file: &str, name: &str, text: &str) -> Result<(), FilesError> {
    let pattern = only_pattern(file, text)?;
    if pattern.name != name {
        let message = format!("the text calls the pattern `{}`, and the request `{name}`", pattern.name);
        return Err(invalid(file, message));
    }
    Ok(())
}

fn only_pattern(file: &str, text: &str) -> Result<Pattern, FilesError> {
    let mut patterns = parse(file, text)?;
    match patterns.pop() {
        Some(pattern) if patterns.is_empty() && pattern.library.is_none() => Ok(pattern),
        _ => {
            let message =
                "this is a library of patterns; a request makes one pattern, in the form of a single one";
            Err(invalid(file, message))
        }
    }
}

fn invalid(file: &str, message: impl Into<String>) -> FilesError {
    let file = Arc::from(file);
    PatternError { file, position: loom_patterns::Position::default(), message: message.into() }.into()
}

fn taken(name: &str, place: &str, cure: &'static str) -> FilesError {
    FilesError::Exists { name: name.to_owned(), place: place.to_owned(), cure }
}

fn unwritable(error: &std::io::Error) -> FilesError {
    FilesError::ReadOnly { problem: error.to_string() }
}

enum Refused {
    Outside,
    Taken,
    Unwritable(std::io::Error),
}

impl From<std::io::Error> for Refused {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == ErrorKind::AlreadyExists { Self::Taken } else { Self::Unwritable(error) }
    }
}

/// Writes `text` beside `path`, under a name that nobody reads, and then puts it there whole. A file that came to be there
/// meanwhile is kept unless it is to be replaced.
fn put(root: &Path, path: &Path, text: &str, existing: Existing) -> Result<(), Refused> {
    let parent = path.parent().unwrap_or(root);
    fs::create_dir_all(parent).map_err(Refused::Unwritable)?;
    if !parent.canonicalize()?.starts_with(root.canonicalize()?) {
        return Err(Refused::Outside);
    }
    let mut draft = draft(parent)?;
    draft.write_all(text.as_bytes())?;
    draft.as_file().sync_all()?;
    match existing {
        Existing::Keep => draft.persist_noclobber(path),
        Existing::Replace => draft.persist(path),
    }
    .map_err(|error| error.error)?;
    // The name itself is on disk only once its folder is.
    Ok(fs::File::open(parent)?.sync_all()?)
}

/// A file whose name is hidden, so that the watch leaves it out.
fn draft(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".pattern-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // As any other new file; the process's umask takes away from it.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

#[cfg(test)]
mod tests;
