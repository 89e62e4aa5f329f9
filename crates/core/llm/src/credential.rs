//! Where a provider's key comes from.

use std::sync::Arc;

use loom_base::Secret;

use crate::LlmError;

/// Reads a provider's credential at the moment of a call, so that a missing one fails the turn and not the start.
///
/// It must not block: whoever reads a file or a keyring keeps what it read. Its error is of class
/// [`Auth`](crate::ErrorClass::Auth) and says what to configure.
pub type CredentialSource = Arc<dyn Fn() -> Result<Secret, LlmError> + Send + Sync>;
