//! Files and folders.

use std::path::PathBuf;

use crate::key::section;

section! {
    /// Files and folders. A relative path starts at the folder the server was started in; a leading `~/` is the home
    /// folder. A folder that does not exist is the same as an empty one, except `data_dir`, which is made.
    Paths at "" {
        /// Where Loom keeps what it writes: the store, and the folders below that are not set themselves.
        data_dir: PathBuf = PathBuf::from("~/.loom"), example "/srv/loom";
        /// The SQLite file of the store.
        db_path: PathBuf = data_dir.join("loom.db"),
            aliases ["storage.path", "storage.sqlite.path", "database.path"], example "/srv/loom/other.db";
        /// Patterns in this folder are added to the built-in ones and replace those of the same name.
        patterns_dir: PathBuf = PathBuf::from("./patterns"), example "/srv/loom/patterns";
        /// Agents are read from the YAML files of this folder.
        agents_dir: PathBuf = data_dir.join("agents"), example "/srv/loom/team";
        /// Data backends are read from the YAML files of this folder.
        backends_dir: PathBuf = data_dir.join("backends"), example "/srv/loom/data";
        /// Backups that are asked for by request are written into this folder, which is made; never elsewhere.
        backup_dir: PathBuf = data_dir.join("backups"), example "/srv/backups/loom";
    }
}
