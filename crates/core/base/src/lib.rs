//! Names the things every layer of Loom agrees on: ids, time, secrets, error codes, money and digests.
//!
//! It never performs I/O, never reads a clock and never draws a random number: whoever needs one is handed a
//! [`Clock`] or an [`IdSource`].

mod digest;
mod error;
mod fail_point;
mod id;
mod money;
mod nearest;
mod secret;
mod time;
mod variables;

pub use digest::{Digest, Digester, canonical_json};
pub use error::{Category, ErrorCode, Retry};
pub use fail_point::FailPoint;
#[cfg(feature = "failpoints")]
pub use fail_point::{Armed, FailPointError};
pub use id::{
    AgentId, CallId, EffectId, IdError, IdSource, InstanceId, MessageId, SessionId, TraceId, TurnId,
};
pub use money::NanoUsd;
pub use nearest::nearest;
pub use secret::Secret;
pub use time::{Clock, Deadline, Timestamp};
pub use variables::{VariableError, expand_variables, is_variable_name};
