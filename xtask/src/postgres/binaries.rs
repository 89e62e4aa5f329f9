//! Finds the folder that holds PostgreSQL's programs.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What is needed to make, run and stop a cluster.
const PROGRAMS: [&str; 3] = ["initdb", "postgres", "pg_ctl"];

/// Folders with one subfolder for each version, `bin` inside it (Debian, Fedora, Homebrew on both processors).
const VERSIONED: [&str; 4] = ["/usr/lib/postgresql", "/usr", "/opt/homebrew/opt", "/usr/local/opt"];

/// The first folder of this machine that holds all the programs.
pub(crate) fn find() -> Option<PathBuf> {
    candidates().into_iter().find(|folder| is_complete(folder))
}

/// Whether all the programs are in `folder`.
pub(super) fn is_complete(folder: &Path) -> bool {
    PROGRAMS.iter().all(|program| folder.join(program).is_file())
}

fn candidates() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    // A link on the PATH may lead to a complete folder.
    let linked = found.iter().filter_map(|folder| folder.join("initdb").canonicalize().ok());
    let linked: Vec<PathBuf> = linked.filter_map(|program| program.parent().map(Path::to_path_buf)).collect();
    found.extend(linked);
    if let Ok(answer) = Command::new("pg_config").arg("--bindir").output() {
        found.push(PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim()));
    }
    found.extend(VERSIONED.iter().flat_map(|folder| versions(Path::new(folder))));
    found
}

/// The `bin` folders of all versions under `folder`, newest first.
pub(super) fn versions(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let number = name.trim_start_matches(|c: char| !c.is_ascii_digit());
            let is_ours = name == number || name.starts_with("postgresql") || name.starts_with("pgsql");
            let number = number.split('.').next().and_then(|number| number.parse().ok()).unwrap_or(0);
            is_ours.then(|| (number, entry.path().join("bin")))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, folder)| folder).collect()
}
