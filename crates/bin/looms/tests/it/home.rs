//! A folder in which a server finds all it needs, and nothing else.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

/// The binary under test.
const LOOMS: &str = env!("CARGO_BIN_EXE_looms");

/// An agent that patterns do not disturb.
pub(crate) const TESTER: &str = "
apiVersion: loom/v1
kind: Agent
metadata: { name: tester }
spec:
  system_prompt: Test.
  config: { timeout_seconds: 60, patterns: { enabled: false } }
";

/// A folder of its own for one server; it goes away with the test.
pub(crate) struct Home {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// What a command said, and how it ended.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Home {
    /// A server with the agent `tester` on a mock that plays `script`.
    pub(crate) fn playing(script: &str) -> Self {
        let home = Self::bare();
        home.write("script.yaml", script);
        home.write("agents/tester.yaml", TESTER);
        home.configure(
            "llm: { provider: mock }\nproviders: { mock: { type: mock, script: ./script.yaml } }\n",
        );
        home
    }

    /// The same on the provider that listens at `base_url` and speaks OpenAI's protocol without a key.
    pub(crate) fn asking(base_url: &str) -> Self {
        let home = Self::bare();
        home.write("agents/tester.yaml", TESTER);
        home.configure(&format!(
            "llm: {{ provider: fake, model: fake-1 }}\nproviders: {{ fake: {{ type: openai, base_url: '{base_url}' }} }}\n"
        ));
        home
    }

    /// Folders, and no configuration yet.
    pub(crate) fn bare() -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap(), environment: Vec::new() };
        for folder in ["agents", "backends", "patterns", "data"] {
            std::fs::create_dir(home.path(folder)).unwrap();
        }
        home
    }

    /// Writes the configuration: the folders, and `more`.
    pub(crate) fn configure(&self, more: &str) {
        let folders = "data_dir: ./data\nagents_dir: ./agents\nbackends_dir: ./backends\npatterns_dir: ./patterns\n\
                       observability: { provider: embedded }\n";
        self.write("looms.yaml", &format!("{folders}{more}"));
    }

    /// Adds a line to the configuration.
    pub(crate) fn configure_also(&self, more: &str) {
        let before = std::fs::read_to_string(self.path("looms.yaml")).unwrap();
        self.write("looms.yaml", &format!("{before}{more}\n"));
    }

    /// Sets a variable of every process started here.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// Writes a file as editors do: whole, beside the old one, then in its place.
    pub(crate) fn write(&self, below: &str, text: &str) {
        let path = self.path(below);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
        let beside = path.with_extension("new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, &path).unwrap();
    }

    /// The binary, in this folder, with no environment but this one's.
    pub(crate) fn command<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = Command::new(LOOMS);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn run<const N: usize>(&self, arguments: [&str; N]) -> Said {
        let output = self.command(arguments).output().await.unwrap();
        Said::of(&output)
    }
}

impl Said {
    pub(crate) fn of(output: &std::process::Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The standard output of a command that must have worked.
    #[track_caller]
    pub(crate) fn worked(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// The standard error of a command that must have ended with `code`.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self.err
    }
}
