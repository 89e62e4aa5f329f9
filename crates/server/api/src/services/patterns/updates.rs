//! Tells a caller what changes among the patterns.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, stream};
use loom_base::Clock;
use loom_patterns::{Heard, Pattern, Update, UpdateKind, Updates};
use loom_proto::v1::{PatternUpdateEvent, PatternUpdateType, StreamPatternUpdatesRequest};
use loom_runtime::Runtime;
use tonic::Status;

use super::super::LoomApi;
use super::super::convert::long;
use super::file_error;
use crate::Failure;

/// The answer of `StreamPatternUpdates`.
pub(in crate::services) type UpdateStream =
    Pin<Box<dyn Stream<Item = Result<PatternUpdateEvent, Status>> + Send>>;

impl LoomApi {
    pub(in crate::services) fn pattern_updates(
        &self,
        request: StreamPatternUpdatesRequest,
    ) -> Result<UpdateStream, Failure> {
        // Before anything else: what changes once this has answered is told.
        let updates = self.patterns.updates();
        let agent_id = match request.agent_id.as_str() {
            "" => String::new(),
            agent => self.runtime.agents().get(agent)?.id.to_string(),
        };
        let listener = Listener {
            updates,
            runtime: Arc::clone(&self.runtime),
            clock: Arc::clone(&self.clock),
            agent_id,
            category: request.category,
        };
        Ok(Box::pin(stream::unfold(Some(listener), |listener| async {
            let mut listener = listener?;
            match listener.next().await {
                Ok(event) => event.map(|event| (Ok(event), Some(listener))),
                Err(failure) => Some((Err(failure.into()), None)),
            }
        })))
    }
}

struct Listener {
    updates: Updates,
    runtime: Arc<Runtime>,
    clock: Arc<dyn Clock>,
    agent_id: String,
    category: String,
}

impl Listener {
    async fn next(&mut self) -> Result<Option<PatternUpdateEvent>, Failure> {
        while let Some(heard) = self.updates.next().await {
            let event = match heard {
                Heard::Missed(missed) => {
                    let mut event =
                        PatternUpdateEvent { missed: long(missed), ..PatternUpdateEvent::default() };
                    event.set_type(PatternUpdateType::PatternUpdatesMissed);
                    event
                }
                Heard::Update(update) if self.is_wanted(update.pattern.as_deref())? => event(&update),
                Heard::Update(_) => continue,
            };
            let timestamp = self.clock.now().as_seconds();
            return Ok(Some(PatternUpdateEvent { agent_id: self.agent_id.clone(), timestamp, ..event }));
        }
        Ok(None)
    }

    /// Whether a change of `pattern` is told; it is none when its file never was one.
    fn is_wanted(&self, pattern: Option<&Pattern>) -> Result<bool, Failure> {
        let category = pattern.and_then(|pattern| pattern.category.as_deref());
        if !self.category.is_empty() && category != Some(&*self.category) {
            return Ok(false);
        }
        let Some(pattern) = pattern.filter(|_| !self.agent_id.is_empty()) else { return Ok(true) };
        let agents = self.runtime.agents();
        let agent = agents.get(&self.agent_id)?;
        // One that does not build at the moment, for lack of this pattern perhaps, is told of all.
        Ok(agents.built(&agent).map_or(true, |built| built.can_use(pattern)))
    }
}

fn event(update: &Update) -> PatternUpdateEvent {
    let category = update.pattern.as_ref().and_then(|pattern| pattern.category.clone());
    let mut event = PatternUpdateEvent {
        pattern_name: update.name.clone(),
        category: category.unwrap_or_default(),
        file_path: update.file.to_string(),
        error: update.problem.as_ref().map(ToString::to_string).unwrap_or_default(),
        problem: update.problem.as_ref().map(file_error),
        ..PatternUpdateEvent::default()
    };
    event.set_type(match update.kind {
        UpdateKind::Created => PatternUpdateType::PatternCreated,
        UpdateKind::Modified => PatternUpdateType::PatternModified,
        UpdateKind::Deleted => PatternUpdateType::PatternDeleted,
        UpdateKind::Refused => PatternUpdateType::PatternValidationFailed,
    });
    event
}
