//! Commands that need no server. The binary runs them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{DbArgs, PatternFileCommand};

/// A command that needs no server.
#[derive(Clone, Debug)]
pub enum LocalCommand {
    /// `quickstart`
    Quickstart(QuickstartArgs),
    /// `serve`, also called `start`
    Serve(Box<ServeArgs>),
    /// `config …`
    Config(ConfigArgs),
    /// `pattern …`, what needs no server
    Pattern(PatternFileCommand),
    /// `backend …`
    Backend(BackendCommand),
    /// `db …` on a store that no server uses
    Db(DbArgs),
}

/// A value of the configuration that the command line gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// How the user wrote it, for messages: `--port`.
    pub flag: String,
    /// The key of the configuration.
    pub key: String,
    /// The value.
    pub value: String,
}

fn set(text: &str) -> Result<Setting, String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    if key.trim().is_empty() {
        return Err("the key is missing before the =".to_owned());
    }
    Ok(Setting { flag: "--set".to_owned(), key: key.trim().to_owned(), value: value.to_owned() })
}

/// Options of `quickstart`.
#[derive(Clone, Debug, Args)]
pub struct QuickstartArgs {
    /// The database to ask: a SQLite file or a postgres:// DSN [default: a small shop, made on the spot]
    #[arg(long, value_name = "PATH|DSN")]
    pub db: Option<String>,
    /// A question; may be given more than once [default: three built-in ones for the shop]
    #[arg(long, value_name = "TEXT")]
    pub ask: Vec<String>,
    /// The model provider [default: offline, which needs no key and is not a model]
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// The provider's model
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Where to keep what is written [default: a folder of its own]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Leave after the questions, also when there is a terminal
    #[arg(long)]
    pub no_chat: bool,
}

/// Options of `serve`. They come before the configuration file, the environment and the defaults.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where to keep what is written
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// The gRPC port
    #[arg(long)]
    pub port: Option<u16>,
    /// The HTTP port; 0 turns HTTP off
    #[arg(long, value_name = "PORT")]
    pub http_port: Option<u16>,
    /// The model provider
    #[arg(long, value_name = "NAME")]
    pub llm_provider: Option<String>,
    /// The SQLite file of the store
    #[arg(long, value_name = "FILE")]
    pub db: Option<String>,
    /// The least level that is logged
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// The form of log lines
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Accept that other machines can reach an unprotected server
    #[arg(long)]
    pub insecure_bind: bool,
    /// Set a key of the configuration; may be given more than once
    #[arg(long, value_name = "KEY=VALUE", value_parser = set)]
    pub set: Vec<Setting>,
}

impl ServeArgs {
    /// What the options say about the configuration, by its keys; `--config` aside.
    pub fn settings(&self) -> Vec<Setting> {
        let text = |value: &Option<String>| value.clone();
        let number = |value: Option<u16>| value.map(|value| value.to_string());
        let given = [
            ("--data-dir", "data_dir", text(&self.data_dir)),
            ("--host", "server.host", text(&self.host)),
            ("--port", "server.grpc_port", number(self.port)),
            ("--http-port", "server.http_port", number(self.http_port)),
            ("--llm-provider", "llm.provider", text(&self.llm_provider)),
            ("--db", "db_path", text(&self.db)),
            ("--log-level", "logging.level", text(&self.log_level)),
            ("--log-format", "logging.format", text(&self.log_format)),
            ("--insecure-bind", "server.insecure_bind", self.insecure_bind.then(|| "true".to_owned())),
        ];
        let named = given.into_iter().filter_map(|(flag, key, value)| {
            Some(Setting { flag: flag.to_owned(), key: key.to_owned(), value: value? })
        });
        named.chain(self.set.iter().cloned()).collect()
    }
}

/// Options of `config`.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set a key, as for `serve`; may be given more than once
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = set)]
    pub set: Vec<Setting>,
    /// What to do with it.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// Commands about the configuration.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the value of a key
    Get {
        /// The key, with dots
        key: String,
    },
    /// Say where the value of a key comes from
    Explain {
        /// The key, with dots [default: all keys]
        key: Option<String>,
    },
    /// Check the configuration and print everything that is wrong
    Validate,
}

/// Commands about data backends.
#[derive(Clone, Debug, Subcommand)]
pub enum BackendCommand {
    /// Say whether a backend answers
    Ping(BackendArgs),
    /// Show the tables of a backend with their columns and keys
    Schema {
        /// Which backend.
        #[command(flatten)]
        backend: BackendArgs,
        /// Only this table; may be given more than once
        #[arg(long, value_name = "NAME")]
        table: Vec<String>,
    },
}

/// Which backend is meant.
#[derive(Clone, Debug, Args)]
pub struct BackendArgs {
    /// A SQLite file, a postgres:// DSN, or the name of a configured backend
    #[arg(value_name = "BACKEND", required_unless_present = "file", conflicts_with = "file")]
    pub backend: Option<String>,
    /// A YAML file that defines the backend
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The configuration file that says where configured backends are
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub config: Option<PathBuf>,
}

/// What [`BackendArgs`] name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendChoice {
    /// The backend that this file defines.
    File(PathBuf),
    /// A database file, a DSN, or a configured name.
    Named(String),
}

impl BackendArgs {
    /// The backend that was named.
    pub fn choice(&self) -> BackendChoice {
        match (&self.file, &self.backend) {
            (Some(file), _) => BackendChoice::File(file.clone()),
            (None, backend) => BackendChoice::Named(backend.clone().unwrap_or_default()),
        }
    }
}
