//! The hooks that an agent's author wants.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use loom_tools::{EffectClass, HookPoint, OnFailure};
use serde::{Deserialize, Serialize};

/// A hook as an agent's author wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookDefinition {
    /// Unique among the hooks of the agent.
    pub name: String,
    /// Where it runs.
    pub points: BTreeSet<HookPoint>,
    /// What it means when it fails.
    pub on_failure: OnFailure,
    /// How long one run may take.
    pub timeout: Duration,
    /// What it does.
    pub kind: HookKind,
}

/// What a hook does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HookKind {
    /// It tells an HTTP service, which may answer.
    Webhook {
        /// Where it is.
        url: String,
        /// The variable that holds the secret that requests are signed with, or names a file with it.
        secret_variable: String,
        /// Whether the service may be told twice of one run.
        effect: EffectClass,
    },
    /// It commits what changed in a folder.
    GitCommit {
        /// The folder, the root of a git repository.
        workspace: PathBuf,
        /// The name of the author of its commits.
        author_name: String,
        /// Their e-mail address.
        author_email: String,
    },
}
