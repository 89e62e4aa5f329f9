//! Commands about patterns.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Commands about patterns.
#[derive(Clone, Debug, Subcommand)]
pub enum PatternCommand {
    /// Those that ask a server.
    #[command(flatten)]
    Query(PatternQuery),
    /// Those that need none.
    #[command(flatten)]
    Files(PatternFileCommand),
}

/// Commands about the patterns that a server has.
#[derive(Clone, Debug, Subcommand)]
pub enum PatternQuery {
    /// List patterns, by name
    List {
        /// Only those of this library, or of a family of them: `sql` for sql-core, sql-analytics and so on
        #[arg(long)]
        domain: Option<String>,
        /// Only those of this category
        #[arg(long)]
        category: Option<String>,
    },
    /// Find patterns for a question, best first
    Search {
        /// The question, or words of it
        #[arg(required = true, value_name = "WORDS")]
        words: Vec<String>,
    },
    /// Show one pattern with its parameters, templates and examples
    Show {
        /// Its name
        name: String,
    },
    /// Have the server read pattern files again, and say what it serves from there
    ///
    /// Fails when a file cannot be used; the version before it stays in use
    Load {
        /// A folder or file of the server: absolute, or below its patterns folder [default: all of it]
        #[arg(long, value_name = "DIR")]
        dir: Option<String>,
        /// Report only patterns of this library, or of a family of them; may be given more than once
        #[arg(long)]
        domain: Vec<String>,
        /// Read files too whose text has not changed
        #[arg(long)]
        force: bool,
    },
    /// Give the server a new pattern; it keeps the file in its patterns folder
    Create {
        /// The file with the pattern
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// The library that it goes into [default: none]
        #[arg(long)]
        domain: Option<String>,
        /// Put it in the place of a pattern of the same name
        #[arg(long)]
        overwrite: bool,
    },
    /// Follow what changes among the patterns, until Ctrl-C
    ///
    /// With `--json`, one event on each line
    Watch {
        /// Only patterns of this category
        #[arg(long)]
        category: Option<String>,
        /// Only patterns that this agent can use, by name or id
        #[arg(long, value_name = "NAME")]
        agent: Option<String>,
    },
}

/// Commands about pattern files, without a server.
#[derive(Clone, Debug, Subcommand)]
pub enum PatternFileCommand {
    /// Check pattern files, without a server
    Validate(FilesArgs),
    /// Say what could be better about valid pattern files, without a server
    ///
    /// Compares them with the built-in patterns too. Advice is no failure unless `--strict` says so
    Lint {
        /// Which files.
        #[command(flatten)]
        files: FilesArgs,
        /// Fail when there is any advice
        #[arg(long)]
        strict: bool,
    },
    /// Write a new pattern file to begin with: valid, and with comments that say what goes where
    New {
        /// The pattern's name, and its file's
        name: String,
        /// The folder of the file; made when it is not there
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
    },
}

/// Pattern files.
#[derive(Clone, Debug, Args)]
pub struct FilesArgs {
    /// The files, or folders of them
    #[arg(required_unless_present = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A file or folder; the same as without the flag
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
}

impl FilesArgs {
    /// All that were named.
    pub fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.iter().chain(&self.file)
    }
}
