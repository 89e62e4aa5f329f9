//! A folder with a file, flags and an environment.

use std::path::PathBuf;

use loom_config::{Config, ConfigErrors, FileChoice, Flag, Inputs, Loaded};

/// Everything a load is given.
#[derive(Default)]
pub(crate) struct World {
    folder: Option<tempfile::TempDir>,
    flags: Vec<Flag>,
    env: Vec<(String, String)>,
}

impl World {
    /// A machine with a home folder and nothing else.
    pub(crate) fn new() -> Self {
        Self::default().env("HOME", "/home/me")
    }

    /// Nothing at all.
    pub(crate) fn bare() -> Self {
        Self::default()
    }

    pub(crate) fn file(mut self, text: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("looms.yaml"), text).unwrap();
        self.folder = Some(folder);
        self
    }

    pub(crate) fn flag(mut self, flag: &str, key: &str, value: &str) -> Self {
        self.flags.push(Flag::new(flag, key, value));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn path(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.path().join("looms.yaml"))
    }

    pub(crate) fn try_load(&self) -> Result<Loaded, ConfigErrors> {
        let file = self.path().map_or(FileChoice::Nothing, FileChoice::Named);
        let env = self.env.iter().cloned().collect();
        Config::load(Inputs { flags: self.flags.clone(), file, env, also_bound: Vec::new() })
    }

    pub(crate) fn load(&self) -> Loaded {
        self.try_load().unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// The messages of a load that fails, each with its code, the folder left out.
    pub(crate) fn errors(&self) -> String {
        let errors = self.try_load().expect_err("this configuration is wrong");
        let lines: Vec<String> = errors.iter().map(|error| format!("{error} [{}]\n", error.code())).collect();
        self.plain(&lines.concat())
    }

    /// `text` without the folder of the file.
    pub(crate) fn plain(&self, text: &str) -> String {
        match &self.folder {
            Some(folder) => text.replace(&format!("{}/", folder.path().display()), ""),
            None => text.to_owned(),
        }
    }
}
