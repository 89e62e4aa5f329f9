//! The hooks that come with Loom: one tells an HTTP service, one commits a workspace to git.
//!
//! They run no shell and nothing that a repository or an answer names. What they are told and what they answer is the
//! contract in `loom-tools`.

mod git;
mod git_commit;
mod webhook;

pub use git_commit::{Author, GitCommit};
pub use webhook::{SecretSource, Webhook, WebhookError};
