//! One session: its mailbox, its recent conversation, its turns one after the other.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use loom_agent::{Failure, Limit, Outcome};
use loom_base::{ErrorCode, SessionId, Timestamp, TurnId};
use loom_memory::{PastTurn, Recent};
use loom_store::{NewSession, SessionRecord};

use crate::accept::{Prepared, time_over};
use crate::core::Core;
use crate::drive::{Drive, Driven, Start, turn_outcome_name};
use crate::restore;
use crate::sessions::{Actors, cancelled_before_start, shutting_down};
use crate::step::Steps;
use crate::{Agent, Error, Feed, Progress, Running, TurnFailure, TurnReport, TurnRequest, TurnResult};

/// A message to answer.
pub(crate) struct Asked {
    pub(crate) request: Box<TurnRequest>,
    /// When the caller's time began to run.
    pub(crate) asked_at: Timestamp,
    /// Where it is told that its turn runs, or why not.
    pub(crate) reply: oneshot::Sender<Result<Running, Error>>,
}

/// The actor of one session.
pub(crate) struct Actor {
    pub(crate) core: Arc<Core>,
    pub(crate) actors: Arc<Actors>,
    pub(crate) id: SessionId,
    pub(crate) mail: mpsc::Receiver<Asked>,
    /// Fires when no more turns are to begin.
    pub(crate) closing: CancellationToken,
    /// Fires when the session is removed or the server stops waiting: the running turn is to be cancelled.
    pub(crate) stop: CancellationToken,
}

/// What a session in memory knows.
pub(crate) struct Loaded {
    pub(crate) record: SessionRecord,
    pub(crate) recent: Recent,
}

impl Actor {
    /// Works until the session has been idle for long, is removed, or the server stops.
    pub(crate) async fn run(mut self) {
        self.core.metrics.sessions_active.increment();
        self.work().await;
        self.core.metrics.sessions_active.decrement();
    }

    async fn work(&mut self) {
        let mut loaded = None;
        loop {
            let asked = tokio::select! {
                biased;
                () = self.closing.cancelled() => return self.leave(&shutting_down()),
                () = self.stop.cancelled() => {
                    let message = format!("session {} was deleted before the turn started", self.id);
                    return self.leave(&Error::new(ErrorCode::Cancelled, message));
                }
                asked = self.mail.recv() => asked,
                () = self.core.clock.sleep(self.core.limits.idle) => {
                    if self.leave_if_empty() { return }
                    continue;
                }
            };
            match asked {
                Some(asked) => self.answer(&mut loaded, asked).await,
                None => return self.leave(&shutting_down()),
            }
        }
    }

    /// Leaves the map; whoever waits is told `error`.
    fn leave(&mut self, error: &Error) {
        self.actors.lock().remove(&self.id);
        self.mail.close();
        while let Ok(asked) = self.mail.try_recv() {
            // Whoever no longer waits for the reply does not need it.
            drop(asked.reply.send(Err(error.clone())));
        }
    }

    fn leave_if_empty(&mut self) -> bool {
        let mut actors = self.actors.lock();
        let empty = self.mail.is_empty();
        if empty {
            actors.remove(&self.id);
        }
        empty
    }

    /// Runs one turn. After an error the session is read again before the next.
    async fn answer(&mut self, loaded: &mut Option<Loaded>, asked: Asked) {
        let Asked { request, asked_at, reply } = asked;
        if request.cancel.is_cancelled() {
            return drop(reply.send(Err(cancelled_before_start())));
        }
        let stored = match loaded.take() {
            Some(state) => Some(state),
            None => match self.stored().await {
                Ok(state) => state,
                Err(error) => return drop(reply.send(Err(error))),
            },
        };
        let turn = TurnId::new(&*self.core.ids);
        let prepared = match self.prepare(stored.as_ref(), turn, &request, asked_at) {
            Ok(prepared) => prepared,
            Err(error) => {
                *loaded = stored;
                return drop(reply.send(Err(error)));
            }
        };
        // Only now: a turn that cannot run leaves no empty session behind.
        let mut state = match stored {
            Some(state) => state,
            None => match self.create(&prepared.agent, &request).await {
                Ok(state) => state,
                Err(error) => return drop(reply.send(Err(error))),
            },
        };
        // Spans that name no instance are nobody's to keep: the journal alone then tells the trace.
        let instance = request.detailed_trace.then_some(self.core.instance.as_str());
        let span = tracing::info_span!(
            "invoke_agent",
            loom.instance = instance,
            loom.trace_id = %prepared.trace,
            loom.session_id = %self.id,
            loom.agent_id = %prepared.agent.id,
            loom.turn_id = %turn,
            gen_ai.operation.name = "invoke_agent",
            gen_ai.agent.name = %prepared.agent.definition.name,
        );
        let whole = self.run_turn(&mut state, turn, *request, prepared, reply).instrument(span).await;
        if whole {
            *loaded = Some(state);
        }
    }

    async fn stored(&self) -> Result<Option<Loaded>, Error> {
        match self.core.stores.sessions.get(&self.id).await? {
            Some(record) => restore::load(&self.core, record).await.map(Some),
            None => Ok(None),
        }
    }

    async fn create(&self, agent: &Agent, request: &TurnRequest) -> Result<Loaded, Error> {
        let session = NewSession {
            id: self.id.clone(),
            agent: agent.id.clone(),
            name: String::new(),
            backend: String::new(),
            principal: request.principal.to_string(),
            metadata: std::collections::BTreeMap::new(),
            created_at: self.core.clock.now(),
        };
        let record = self.core.stores.sessions.create(session).await?;
        Ok(Loaded { record, recent: Recent::default() })
    }

    fn prepare(
        &self,
        stored: Option<&Loaded>,
        turn: TurnId,
        request: &TurnRequest,
        asked_at: Timestamp,
    ) -> Result<Prepared, Error> {
        let agent = match (stored, &request.agent) {
            (Some(state), _) if state.record.principal != request.principal.as_str() => {
                return Err(Error::session_not_found(&self.id));
            }
            (Some(state), _) => self.agent_of(&state.record, request)?,
            (None, Some(named)) => self.core.agents.get(named)?,
            (None, None) => self.core.agents.default_agent()?,
        };
        Prepared::new(&self.core, agent, turn, request, asked_at)
    }

    /// The session's agent; another one named in the request is an error.
    fn agent_of(&self, record: &SessionRecord, request: &TurnRequest) -> Result<Arc<Agent>, Error> {
        let mismatch = |message| Error::new(ErrorCode::SessionAgentMismatch, message);
        let own = self.core.agents.known(&record.agent).ok_or_else(|| {
            mismatch(format!("session {} belongs to agent {}, which no longer exists", self.id, record.agent))
        })?;
        let own = own.usable()?;
        if let Some(named) = &request.agent {
            let named = self.core.agents.get(named)?;
            if named.id != own.id {
                return Err(mismatch(format!(
                    "session {} belongs to agent {:?}, not to {:?}; start a new session for that agent",
                    self.id, own.definition.name, named.definition.name
                )));
            }
        }
        Ok(own)
    }

    /// Runs a prepared turn to its end; `false` when the state in memory may no longer be what is stored.
    async fn run_turn(
        &self,
        state: &mut Loaded,
        turn: TurnId,
        request: TurnRequest,
        prepared: Prepared,
        reply: oneshot::Sender<Result<Running, Error>>,
    ) -> bool {
        let feed = Arc::new(Feed::new());
        let cancel = request.cancel.child_token();
        let running = Running {
            session: self.id.clone(),
            turn,
            trace: prepared.trace,
            agent: prepared.agent.id.clone(),
            agent_name: prepared.agent.definition.name.clone(),
            feed: Arc::clone(&feed),
            cancel: cancel.clone(),
        };
        let mut reply = Some(reply);
        let accepted_at = prepared.at;
        let l1 = prepared.agent.definition.memory.l1;
        let driving = self.drive(state, turn, &request, prepared, Arc::clone(&feed), cancel);
        let driven = driving
            .run(&request.query, || {
                if let Some(reply) = reply.take() {
                    // A caller that went away does not stop its turn.
                    drop(reply.send(Ok(running)));
                }
            })
            .await;
        match driven {
            Ok(driven) => {
                publish(&self.core, &feed, &driven, accepted_at);
                state.record.next_message = driven.next_message;
                state.recent.push(PastTurn { turn, messages: driven.current }, l1);
                true
            }
            Err(error) => {
                tracing::error!(turn.id = %turn, error.code = %error.code, %error, "a turn could not be driven");
                match reply.take() {
                    Some(reply) => drop(reply.send(Err(error))),
                    None => {
                        feed.push(self.core.clock.now(), Progress::Failed(Arc::new(TurnFailure::of(error))));
                    }
                }
                feed.close();
                false
            }
        }
    }

    fn drive<'a>(
        &'a self,
        state: &'a mut Loaded,
        turn: TurnId,
        request: &TurnRequest,
        prepared: Prepared,
        feed: Arc<Feed>,
        cancel: CancellationToken,
    ) -> Drive<'a> {
        let turns = Arc::clone(&self.core.stores.turns);
        let record = &mut state.record;
        let mut steps = Steps::new(turns, self.id.clone(), record.epoch, turn, 0, record.next_message);
        let reset = request.reset_context.then_some(record.next_message);
        if let Some(start) = reset {
            record.context_start = start;
            state.recent.clear();
        }
        steps.accept(prepared.record(request), reset);
        Drive::new(Start {
            core: &self.core,
            session: self.id.clone(),
            context_start: record.context_start,
            recent: &mut state.recent,
            steps,
            turn,
            prepared,
            feed,
            cancel,
            stop: self.stop.clone(),
        })
    }
}

/// Tells the feed how the turn ended.
fn publish(core: &Core, feed: &Feed, driven: &Driven, accepted_at: Timestamp) {
    let report = report(feed, driven, accepted_at);
    let outcome = driven.turn.outcome();
    let agent = &driven.prepared.agent.definition.name;
    core.metrics.turns.add([agent, outcome.map_or("unfinished", turn_outcome_name)], 1);
    core.metrics.turn_seconds.observe([agent], report.duration);
    log(driven, &report, outcome);
    let text = driven.seen.text.clone();
    let failed = |error| {
        Progress::Failed(Arc::new(TurnFailure { error, partial_text: text.clone(), report: report.clone() }))
    };
    let last = match outcome {
        Some(Outcome::Finished { finish, .. }) => {
            let table = driven.seen.table.clone();
            Progress::Completed(Arc::new(TurnResult { text, finish: *finish, table, report }))
        }
        Some(Outcome::Failed(Failure::Limit { limit: Limit::Deadline })) => {
            failed(time_over(driven.prepared.time))
        }
        Some(Outcome::Failed(failure)) => failed(Error::of_failure(failure)),
        Some(Outcome::Cancelled) | None => failed(Error::new(ErrorCode::Cancelled, "the turn was cancelled")),
    };
    feed.push(driven.ended_at, last);
}

fn log(driven: &Driven, report: &TurnReport, outcome: Option<&Outcome>) {
    let usage = report.spent.usage;
    tracing::info!(
        outcome = outcome.map_or("unfinished", turn_outcome_name),
        llm.provider = %report.provider,
        llm.model = %report.model,
        llm.input_tokens = usage.input + usage.cache_read + usage.cache_write,
        llm.output_tokens = usage.output,
        llm.cost_usd = report.cost().as_dollars(),
        llm.latency_ms = u64::try_from(report.duration.as_millis()).unwrap_or(u64::MAX),
        model_calls = report.spent.model_calls,
        tool_calls = report.spent.tool_calls,
        pattern = driven.prepared.pattern.as_ref().map(|used| used.name.as_str()),
        "turn ended"
    );
}

fn report(feed: &Feed, driven: &Driven, accepted_at: Timestamp) -> TurnReport {
    let Driven { prepared, seen, .. } = driven;
    TurnReport {
        spent: *driven.turn.spent(),
        priced: prepared.model.info.prices.is_some(),
        provider: prepared.model.provider_name.clone(),
        model: seen.model.clone().unwrap_or_else(|| prepared.model.name.to_string()),
        pattern: prepared.pattern.clone(),
        duration: driven.ended_at.since(accepted_at),
        first_text: feed.first_text_at().map(|at| at.since(accepted_at)),
        context: driven.context,
        rom: prepared.built.rom.digest,
        tools: Arc::clone(&prepared.built.definitions),
    }
}
