//! Goes on from an earlier turn of a session, in a session of its own.

use std::sync::Arc;

use loom_access::Principal;
use loom_base::{ErrorCode, SessionId};
use loom_store::{ForkPoint, NewFork, NewSession, RESERVED_METADATA, SessionRecord};

use crate::{Error, Sessions};

/// The longest name of a model, in characters.
const MOST_MODEL_CHARS: usize = 128;

impl Sessions {
    /// Makes a session of the first turns of another: the same agent, the same conversation so far, and nothing spent. With
    /// `model`, that model of the agent's provider answers in it. Its metadata names the origin.
    pub async fn fork(
        &self,
        from: &SessionId,
        at: ForkPoint,
        model: Option<String>,
        principal: Principal,
    ) -> Result<SessionRecord, Error> {
        let record = self.get(from, principal).await?;
        let model = model.map(|model| checked(&model)).transpose()?;
        let inherited = record.origin().and_then(|origin| origin.model);
        let notes = record.metadata.into_iter().filter(|(key, _)| !key.starts_with(RESERVED_METADATA));
        let session = NewSession {
            id: SessionId::new(&*self.core.ids),
            agent: record.agent,
            name: record.name,
            backend: record.backend,
            principal: record.principal,
            metadata: notes.collect(),
            when_busy: record.when_busy,
            created_at: self.core.clock.now(),
        };
        let (from, ids) = (from.clone(), Arc::clone(&self.core.ids));
        let fork = NewFork { from, at, session, model: model.or(inherited), ids };
        self.core.stores.sessions.fork(fork).await.map_err(|error| match error {
            loom_store::Error::Missing { .. } => Error::new(ErrorCode::TurnNotFound, error.to_string()),
            other => other.into(),
        })
    }
}

fn checked(model: &str) -> Result<String, Error> {
    let name = model.trim();
    let is_name = (1..=MOST_MODEL_CHARS).contains(&name.chars().count()) && !name.contains(char::is_control);
    if is_name {
        return Ok(name.to_owned());
    }
    let message = format!("a model's name has 1 to {MOST_MODEL_CHARS} characters and no control characters");
    Err(Error::new(ErrorCode::InvalidArgument, message))
}
