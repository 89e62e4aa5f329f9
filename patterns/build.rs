//! Lists the YAML files beside the crate, so that a new pattern is embedded without being named anywhere.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> Result<(), io::Error> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let mut paths = Vec::new();
    for folder in fs::read_dir(&root)? {
        let folder = folder?.path();
        let is_library =
            folder.is_dir() && !["src", "tests", "target"].iter().any(|other| folder.ends_with(other));
        if is_library {
            paths.extend(yaml_files(&folder)?);
        }
    }
    // Cargo looks at everything below, so that a new library is noticed too.
    println!("cargo::rerun-if-changed={}", root.display());
    paths.sort();
    let mut list = String::from("&[\n");
    for path in paths {
        let name = path.strip_prefix(&root).map_err(io::Error::other)?;
        let name = name.to_string_lossy().replace('\\', "/");
        writeln!(list, "    ({name:?}, include_str!({:?})),", path.display().to_string())
            .map_err(io::Error::other)?;
    }
    list.push(']');
    fs::write(Path::new(&variable("OUT_DIR")?).join("files.rs"), list)
}

fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>, io::Error> {
    let entries: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    Ok(entries
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect())
}

fn variable(name: &str) -> Result<String, io::Error> {
    #[expect(clippy::disallowed_methods, reason = "a build script gets its folders from cargo's environment")]
    env::var(name).map_err(io::Error::other)
}
