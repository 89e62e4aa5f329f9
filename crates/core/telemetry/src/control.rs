//! Changing what is traced while the server runs.

/// Directives that do not parse; the level stays as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("trace level {directives:?} cannot be used: {reason}")]
pub struct TraceLevelError {
    /// What was asked for.
    pub directives: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Reads and sets what is traced, in the form `info,loom_runtime=debug`.
pub trait TraceControl: Send + Sync {
    /// The directives in force.
    fn level(&self) -> String;

    /// Puts other directives in force, for everything from now on.
    fn set_level(&self, directives: &str) -> Result<(), TraceLevelError>;
}
