//! Runs the `git` program: without a shell, without what the user or the machine configured, and without running anything
//! that the repository names.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use loom_base::ErrorCode;
use loom_tools::ToolError;
use tokio::process::Command;

/// Settings that keep git from starting other programs: hooks, monitors, signers, clean-ups, transports.
const SETTINGS: [&str; 10] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "core.attributesFile=/dev/null",
    "submodule.recurse=false",
    "log.showSignature=false",
    "status.submoduleSummary=false",
    "protocol.allow=never",
];
/// Bytes of what git says that an error repeats.
const MOST_SAID: usize = 500;

/// A repository.
pub(crate) struct Git {
    workspace: PathBuf,
    /// The search path, where `git` is found.
    path: Option<String>,
}

/// What git said, and whether it succeeded.
pub(crate) struct Said {
    pub(crate) succeeded: bool,
    pub(crate) output: String,
    errors: String,
}

impl Git {
    pub(crate) fn new(workspace: &Path, path: Option<&str>) -> Self {
        Self { workspace: workspace.to_owned(), path: path.map(str::to_owned) }
    }

    /// Runs git with `arguments`. Dropping the future does not end it: one that is killed leaves its locks behind.
    pub(crate) async fn run(
        &self,
        author: &[(&str, &str)],
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Said, ToolError> {
        let mut command = Command::new("git");
        command.env_clear();
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        // Only this folder is looked at for a repository, not those above it.
        let ceiling = self.workspace.parent().unwrap_or(&self.workspace);
        command
            .env("GIT_CEILING_DIRECTORIES", ceiling)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_EDITOR", ":")
            .env("LC_ALL", "C")
            .envs(author.iter().copied())
            .current_dir(&self.workspace)
            .stdin(Stdio::null());
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        let output = command.args(arguments).output().await.map_err(|error| {
            let workspace = self.workspace.display();
            failed(format!("git cannot be run in {workspace}: {error}"))
        })?;
        Ok(Said {
            succeeded: output.status.success(),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// The same of a command that must succeed; its output.
    pub(crate) async fn must(
        &self,
        author: &[(&str, &str)],
        arguments: &[&str],
    ) -> Result<String, ToolError> {
        let said = self.run(author, arguments).await?;
        if said.succeeded {
            return Ok(said.output);
        }
        let errors = said.errors.trim();
        let end =
            (0..=errors.len().min(MOST_SAID)).rev().find(|end| errors.is_char_boundary(*end)).unwrap_or(0);
        let command = arguments.first().copied().unwrap_or_default();
        Err(failed(format!("git {command} failed in {}: {}", self.workspace.display(), &errors[..end])))
    }
}

pub(crate) fn failed(message: String) -> ToolError {
    ToolError::failed(ErrorCode::ToolFailed, message)
}
