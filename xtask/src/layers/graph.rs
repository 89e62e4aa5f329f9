//! The workspace's crates and what each declares to depend on.

use std::path::Path;

use anyhow::{Context as _, Result};
use cargo_metadata::{DependencyKind, MetadataCommand};

/// How a dependency is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// In the crate itself, or in its build script.
    Normal,
    /// In its tests, examples and benches only.
    Dev,
}

/// One declared dependency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Dependency {
    /// The package's name, whatever it is renamed to.
    pub(crate) name: String,
    /// How it is used.
    pub(crate) kind: Kind,
}

/// One crate of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Crate {
    /// The package's name.
    pub(crate) name: String,
    /// Its folder, relative to the workspace, with `/` between the parts.
    pub(crate) folder: String,
    /// All it declares, of the workspace and from elsewhere.
    pub(crate) dependencies: Vec<Dependency>,
}

/// The crates of the workspace at `root`, by folder.
pub(crate) fn read(root: &Path) -> Result<Vec<Crate>> {
    let metadata =
        MetadataCommand::new().current_dir(root).no_deps().exec().context("cannot read the workspace")?;
    let mut crates = Vec::new();
    for package in metadata.workspace_packages() {
        let manifest = package.manifest_path.strip_prefix(&metadata.workspace_root)?;
        let folder = manifest.parent().map(ToString::to_string).unwrap_or_default();
        let mut dependencies: Vec<Dependency> = package
            .dependencies
            .iter()
            .map(|dependency| Dependency {
                name: dependency.name.clone(),
                kind: if dependency.kind == DependencyKind::Development { Kind::Dev } else { Kind::Normal },
            })
            .collect();
        dependencies.sort();
        crates.push(Crate { name: package.name.to_string(), folder, dependencies });
    }
    crates.sort_by(|a, b| a.folder.cmp(&b.folder));
    Ok(crates)
}
