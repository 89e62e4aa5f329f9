//! What a caller asks of a turn.

use std::collections::BTreeMap;
use std::time::Duration;

use loom_access::Principal;
use loom_base::{ErrorCode, SessionId, TraceId};
use loom_store::{IdempotencyKey, WhenBusy};
use tokio_util::sync::CancellationToken;

use crate::Error;

/// The longest query, in bytes. A longer text belongs into a document.
pub const MAX_QUERY_BYTES: usize = 1 << 20;

/// A message to answer, and by what bounds.
#[derive(Clone, Debug)]
pub struct TurnRequest {
    /// What the user says.
    pub query: String,
    /// The conversation to continue; one that does not exist is created under this id. `None` starts a new one.
    pub session: Option<SessionId>,
    /// The agent, by id or name. `None` means the session's, or else the default one.
    pub agent: Option<String>,
    /// Facts for this message only.
    pub context: BTreeMap<String, String>,
    /// The pattern to put beside the message, whatever the search says.
    pub force_pattern: Option<String>,
    /// Answers asked of the model at most, where that is fewer than the agent allows.
    pub max_rounds: Option<u32>,
    /// Time for the turn from now on, waiting for its session included, where that ends before the agent's own limit,
    /// which counts from the turn's start.
    pub timeout: Option<Duration>,
    /// Whether the model is to see nothing of what was said before. It stays stored.
    pub reset_context: bool,
    /// Whether the turn's inner spans are kept too.
    pub detailed_trace: bool,
    /// The caller's trace and span (16 hexadecimal digits), to continue it.
    pub trace: Option<(TraceId, String)>,
    /// What becomes of it when the session is at work on another; `None` for what the session says, or else its agent.
    pub when_busy: Option<WhenBusy>,
    /// The key that the request was sent under: sent again, it gets the same turn.
    pub key: Option<IdempotencyKey>,
    /// Cancels the turn, also while it waits for its session.
    pub cancel: CancellationToken,
    /// Who asks.
    pub principal: Principal,
}

impl TurnRequest {
    /// A plain question by someone on this machine.
    pub fn new(query: impl Into<String>) -> Self {
        Self {
            query: query.into(),
            session: None,
            agent: None,
            context: BTreeMap::new(),
            force_pattern: None,
            max_rounds: None,
            timeout: None,
            reset_context: false,
            detailed_trace: false,
            trace: None,
            when_busy: None,
            key: None,
            cancel: CancellationToken::new(),
            principal: Principal::Local,
        }
    }

    /// The same question in the conversation `session`.
    #[must_use]
    pub fn in_session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// The same question to the agent of that id or name.
    #[must_use]
    pub fn to_agent(mut self, agent: impl Into<String>) -> Self {
        self.agent = Some(agent.into());
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.query.trim().is_empty() {
            return Err(Error::new(ErrorCode::EmptyQuery, "the query is empty; say what you want to know"));
        }
        if self.query.len() > MAX_QUERY_BYTES {
            let message =
                format!("the query has {} bytes; at most {MAX_QUERY_BYTES} are accepted", self.query.len());
            return Err(Error::new(ErrorCode::TooLarge, message));
        }
        Ok(())
    }
}
