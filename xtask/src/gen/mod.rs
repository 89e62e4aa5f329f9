//! Regenerates the files that are made from others and checked in, or says which are stale.

mod crate_map;
mod error_pages;
mod proto;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::workspace;

/// A file that is made from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GeneratedFile {
    /// Where it stands, relative to the workspace.
    pub(crate) path: PathBuf,
    /// What it must hold.
    pub(crate) content: Vec<u8>,
}

/// Every generated file of the workspace, as it should be.
fn generate(root: &Path) -> Result<Vec<GeneratedFile>> {
    let mut files = vec![crate_map::generate(root)?];
    files.extend(error_pages::generate(root));
    files.extend(proto::generate(root)?.into_iter().map(|(path, content)| GeneratedFile { path, content }));
    Ok(files)
}

/// Writes the files that are stale and names them.
pub(crate) fn write(root: &Path) -> Result<()> {
    for file in stale(root, generate(root)?) {
        let path = root.join(&file.path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, &file.content).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", file.path.display());
    }
    Ok(())
}

/// Fails when a generated file is stale.
pub(crate) fn check(root: &Path) -> Result<()> {
    let stale = stale(root, generate(root)?);
    let violations: Vec<String> =
        stale.iter().map(|file| format!("{}: stale; run `cargo xtask gen`", file.path.display())).collect();
    workspace::report("generated files", &violations)
}

fn stale(root: &Path, files: Vec<GeneratedFile>) -> Vec<GeneratedFile> {
    let differs =
        |file: &GeneratedFile| std::fs::read(root.join(&file.path)).ok() != Some(file.content.clone());
    files.into_iter().filter(differs).collect()
}
