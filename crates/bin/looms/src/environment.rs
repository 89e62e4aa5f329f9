//! The process's environment, read once.

use loom_embed::config::Environment;

/// The variables of this process.
#[derive(Clone)]
pub(crate) struct Process {
    variables: Environment,
}

impl Process {
    /// Reads the environment. Variables that are not UTF-8 are left out: no setting of ours can hold one.
    pub(crate) fn read() -> Self {
        let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { variables: std::env::vars_os().filter_map(utf8).collect() }
    }

    /// A variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name)
    }

    /// All of them, for the configuration.
    pub(crate) fn variables(&self) -> &Environment {
        &self.variables
    }
}
