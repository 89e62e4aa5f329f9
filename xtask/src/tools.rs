//! The programs of others that some checks need: where they are, and how one gets them.

use std::path::{Path, PathBuf};

/// Where `.ci/tools/install` puts what it installs, relative to the workspace.
const INSTALLED: &str = "target/tools";

/// A program of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    /// What it is called, on the PATH too.
    pub(crate) name: &'static str,
    /// Where below [`INSTALLED`] it is, if it is installed there.
    place: &'static str,
    /// What to type to get it.
    pub(crate) cure: &'static str,
}

/// Licences, bans and sources of dependencies.
pub(crate) const CARGO_DENY: Tool =
    Tool { name: "cargo-deny", place: "bin/cargo-deny", cure: "cargo install --locked cargo-deny" };

/// Style and compatibility of the API's protos.
pub(crate) const BUF: Tool = Tool { name: "buf", place: "node_modules/.bin/buf", cure: ".ci/tools/install" };

impl Tool {
    /// The program: the one that was installed for this workspace, else the one on the PATH.
    pub(crate) fn find(self, root: &Path) -> Option<PathBuf> {
        let installed = root.join(INSTALLED).join(self.place);
        if installed.is_file() {
            return Some(installed);
        }
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join(self.name)).find(|program| program.is_file())
    }

    /// Why a check could not run without it, and the cure.
    pub(crate) fn missing(self) -> String {
        format!("{} is not installed; `{}`", self.name, self.cure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_installed_for_the_workspace_comes_before_the_path() {
        let root = tempfile::tempdir().unwrap();
        let tool = Tool { name: "sh", place: "bin/sh", cure: "" };
        let on_path = tool.find(root.path()).unwrap();
        assert!(!on_path.starts_with(root.path()));
        let installed = root.path().join(INSTALLED).join(tool.place);
        std::fs::create_dir_all(installed.parent().unwrap()).unwrap();
        std::fs::write(&installed, "").unwrap();
        assert_eq!(tool.find(root.path()), Some(installed));
        let nowhere = Tool { name: "no-such-program-anywhere", ..tool };
        assert_eq!(nowhere.find(&root.path().join("elsewhere")), None);
    }
}
