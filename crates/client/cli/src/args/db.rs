//! Commands about the store. Each can ask a server; all but `restore` and `import` do the same to a store that no server uses.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Setting;

/// Options of `db`.
#[derive(Clone, Debug, Args)]
pub struct DbArgs {
    /// Ask the running server, also implied by --server [default: open the store, which no server may use meanwhile]
    #[arg(long, global = true, conflicts_with_all = ["config", "data_dir", "db"])]
    pub online: bool,
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: DbCommand,
}

/// Where a store is. They come before the configuration file, the environment and the defaults.
#[derive(Clone, Debug, Default, Args)]
pub struct StoreArgs {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "server")]
    pub config: Option<PathBuf>,
    /// The data directory
    #[arg(long, global = true, value_name = "DIR", conflicts_with = "server")]
    pub data_dir: Option<String>,
    /// The SQLite file of the store
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "server")]
    pub db: Option<String>,
}

impl StoreArgs {
    /// What the options say about the configuration, by its keys; `--config` aside.
    pub fn settings(&self) -> Vec<Setting> {
        let given = [("--data-dir", "data_dir", &self.data_dir), ("--db", "db_path", &self.db)];
        let set = |flag: &str, key: &str, value: &String| Setting {
            flag: flag.to_owned(),
            key: key.to_owned(),
            value: value.clone(),
        };
        given.into_iter().filter_map(|(flag, key, value)| Some(set(flag, key, value.as_ref()?))).collect()
    }
}

/// Commands about the store.
#[derive(Clone, Debug, Subcommand)]
pub enum DbCommand {
    /// Say what the store is and how much it holds
    Status,
    /// Compare all that is stored with what its journals say; 1 when something is wrong
    Verify,
    /// Write a whole copy of the store to a new file
    Backup {
        /// The new file; with a server, its name in the server's folder for backups
        file: PathBuf,
    },
    /// Put a backup in the place of the store, and keep what was there beside it; not with a server
    Restore {
        /// The backup; it stays as it is
        file: PathBuf,
    },
    /// Bring the schema up to date, as starting a server does, and say from where
    Migrate,
    /// Write all that is stored to a new file, from which a store of any kind can be filled
    Export {
        /// The new file, here, also with a server
        file: PathBuf,
    },
    /// Fill a new, empty store with what a file of `export` holds, all of it or nothing; not with a server
    Import {
        /// The file; it stays as it is
        file: PathBuf,
    },
    /// Give the room of what was removed back to the file system; turns wait meanwhile
    Vacuum,
    /// Remove sessions that nobody has used for long; one with a turn that has not ended stays
    Cleanup {
        /// Days without any use after which a session goes
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        older_than: u32,
    },
}
