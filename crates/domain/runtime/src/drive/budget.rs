//! The budgets that a turn is under: what it reserves of them before each model call, and settles after it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use loom_agent::{
    Amounts, Budget, BudgetScope, Ceiling, Effect, Event, EventKind, Measure, ModelCall, OnExceeded,
    Reserved, Spent, State,
};
use loom_base::{AgentId, EffectId, InstanceId, Timestamp};
use loom_llm::{CompletionRequest, LlmError};
use loom_store::{BudgetKey, CutOff};

use super::Drive;
use crate::Error;
use crate::accept::Prepared;
use crate::budgets::{Account, Held};
use crate::core::Core;

/// A model call that is about to be made.
pub(super) enum NextCall {
    /// Its worst case is held.
    Ready(Box<CompletionRequest>),
    /// It cannot be asked.
    Unaskable(LlmError),
    /// It does not fit a budget.
    Short(Short),
}

/// A budget that a model call does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Short {
    pub(crate) scope: BudgetScope,
    pub(crate) measure: Measure,
}

/// The budgets that a turn is under, and what it holds of them.
pub(crate) struct TurnBudgets {
    session: Budget,
    /// What the session had used before the turn.
    session_used: Amounts,
    /// Those that its turn shares with others.
    shared: Vec<Shared>,
    /// Those of them all that someone lets the turn go past.
    let_past: BTreeSet<BudgetScope>,
    instance: InstanceId,
    /// What the turn's row is to say.
    reserved: Reserved,
    /// The time that it may work.
    time: Vec<Held>,
    call: Option<CallHeld>,
    /// The call that is made again after a stop, with what is held for it.
    again: Option<Result<(ModelCall, Vec<Held>), Short>>,
    /// What becomes of the one that the stop cut off.
    cut_off: CutOff,
    is_taken_up: bool,
}

struct Shared {
    scope: BudgetScope,
    on_exceeded: OnExceeded,
    account: Arc<Account>,
    limits: Ceiling,
}

/// What is held for the model call in flight.
struct CallHeld {
    effect: u32,
    /// Tool calls that its answer may make.
    tool_calls: u32,
    /// Whether that is fewer than the turn's own limits let it make.
    is_cut: bool,
    held: Vec<Held>,
    /// The events in the journal once its row says what is held.
    row: Option<u32>,
}

impl TurnBudgets {
    /// The budgets of a new turn, in a session that has used `session_used`: it may work for as long as they leave time. An
    /// error means that they leave none, or that money is counted and its model has no price.
    pub(crate) async fn open(
        core: &Core,
        prepared: &mut Prepared,
        session_used: Amounts,
    ) -> Result<Self, Error> {
        let mut budgets = Self::of(core, prepared, session_used).await?;
        if let Some(time) = prepared.config.limits.time {
            prepared.config.limits.time = Some(budgets.hold_time(time).await?);
        }
        Ok(budgets)
    }

    /// The budgets of a turn that is taken up, which has used `spent`, in a session that had used `session_used` before it.
    /// `lost` is what it held for the model call that was cut off: as much is held once more, where it fits what the session
    /// and others leave. What its own budget leaves is known once its journal is told.
    pub(crate) async fn open_again(
        core: &Core,
        prepared: &Prepared,
        session_used: Amounts,
        spent: &Spent,
        lost: Option<Lost>,
        reserved: Option<Reserved>,
    ) -> Result<Self, Error> {
        let mut budgets = Self::of(core, prepared, session_used).await?;
        budgets.is_taken_up = true;
        budgets.reserved.time = reserved.unwrap_or_default().time;
        if let Some(lost) = lost {
            let Lost { times, reserved } = lost;
            let call = ModelCall {
                input: reserved.input,
                output: u32::try_from(reserved.output).unwrap_or(u32::MAX),
                tool_calls: reserved.tool_calls,
                prices: prepared.model.info.prices,
            };
            let used = (0..times).fold(Amounts::from(spent), |used, _| used.plus(lost.amounts()));
            let any = (Ceiling::default(), OnExceeded::Stop);
            let again = budgets.fit(any, used, call).await?;
            let limits = &prepared.config.limits;
            let own = Budget { cost: limits.cost, tokens: limits.tokens, ..Budget::default() }.limits();
            // Someone may have raised the turn's own: then it is settled first, which is never wrong.
            let is_whole = matches!(&again, Ok((fitting, _)) if *fitting == call)
                && own.after(used).exceeded_by(call.worst_case().call_amounts()).is_none();
            budgets.cut_off = if is_whole { CutOff::MadeAgain } else { CutOff::Settled };
            budgets.again = Some(again);
        }
        Ok(budgets)
    }

    /// What becomes of the model call that a stop cut off.
    pub(crate) const fn cut_off(&self) -> CutOff {
        self.cut_off
    }

    async fn of(core: &Core, prepared: &Prepared, session_used: Amounts) -> Result<Self, Error> {
        let definition = &prepared.agent.definition.budgets;
        let of_all = [
            (BudgetScope::Agent, Some(prepared.agent.id.clone()), &definition.agent),
            (BudgetScope::Server, None, &core.limits.budget),
        ];
        let bounded =
            of_all.iter().map(|(_, _, budget)| *budget).chain([&definition.turn, &definition.session]);
        if prepared.model.info.prices.is_none() && bounded.into_iter().any(|budget| budget.cost.is_some()) {
            return Err(Error::unpriced(&prepared.model.provider_name, &prepared.model.name));
        }
        let mut shared = Vec::new();
        for (scope, agent, budget) in of_all.into_iter().filter(|(_, _, budget)| !budget.is_unbounded()) {
            let (limits, on_exceeded) = (budget.limits(), budget.on_exceeded);
            let key = BudgetKey { agent, window: budget.period.window(prepared.at) };
            let account = core.budgets.account(&key, limits);
            shared.push(Shared { scope, on_exceeded, account, limits });
        }
        Ok(Self {
            session: definition.session.clone(),
            session_used,
            shared,
            let_past: BTreeSet::new(),
            instance: core.membership.instance().await?,
            reserved: Reserved::default(),
            time: Vec::new(),
            call: None,
            again: None,
            cut_off: CutOff::MadeAgain,
            is_taken_up: false,
        })
    }

    /// Holds `time`, or what there is of it.
    async fn hold_time(&mut self, time: Duration) -> Result<Duration, Error> {
        let mut micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let session_left = self.session.limits().after(self.session_used).of(Measure::Time);
        let mut is_bounded = session_left.is_some();
        if session_left == Some(0) {
            return Err(Short { scope: BudgetScope::Session, measure: Measure::Time }.into());
        }
        micros = micros.min(session_left.unwrap_or(u64::MAX));
        for shared in self.shared.iter().filter(|shared| shared.limits.of(Measure::Time).is_some()) {
            is_bounded = true;
            match shared.account.take_time(self.instance, micros).await? {
                Ok((taken, held)) => {
                    micros = taken;
                    self.time.push(held);
                }
                Err(measure) => return Err(Short { scope: shared.scope, measure }.into()),
            }
        }
        for held in &mut self.time {
            held.shrink(Amounts([0, 0, 0, micros]));
        }
        self.reserved.time = if is_bounded { micros } else { 0 };
        Ok(Duration::from_micros(micros))
    }

    /// Holds the worst case of a call of a turn that has used `used` and has `own` left of its own budget, cut to what fits where a budget says so.
    async fn fit(
        &self,
        (own, on_exceeded): (Ceiling, OnExceeded),
        used: Amounts,
        mut call: ModelCall,
    ) -> Result<Result<(ModelCall, Vec<Held>), Short>, Error> {
        let session =
            if self.is_past(BudgetScope::Session) { Ceiling::default() } else { self.session.limits() };
        let of_session = session.after(self.session_used.plus(used));
        for (scope, left, policy) in [
            (BudgetScope::Turn, own, on_exceeded),
            (BudgetScope::Session, of_session, self.session.on_exceeded),
        ] {
            match call.within(&left, policy) {
                Ok(cut) => call = cut,
                Err(measure) => return Ok(Err(Short { scope, measure })),
            }
        }
        if self.shared.is_empty() {
            return Ok(Ok((call, Vec::new())));
        }
        // On the heap, so that turns without such budgets are small.
        Box::pin(self.fit_shared(call)).await
    }

    async fn fit_shared(&self, mut call: ModelCall) -> Result<Result<(ModelCall, Vec<Held>), Short>, Error> {
        let mut held: Vec<Held> = Vec::new();
        for shared in self.shared.iter().filter(|shared| !self.is_past(shared.scope)) {
            match shared.account.take_call(self.instance, call, shared.on_exceeded).await? {
                Ok((cut, taken)) => {
                    call = cut;
                    held.push(taken);
                }
                Err(measure) => {
                    give_back(held);
                    return Ok(Err(Short { scope: shared.scope, measure }));
                }
            }
        }
        for taken in &mut held {
            taken.shrink(call.worst_case().call_amounts());
        }
        Ok(Ok((call, held)))
    }

    fn is_past(&self, scope: BudgetScope) -> bool {
        self.let_past.contains(&scope)
    }

    /// What happens when a call does not fit `scope`, which is beyond the turn's own.
    pub(super) fn on_exceeded(&self, scope: BudgetScope) -> OnExceeded {
        let shared = self.shared.iter().find(|shared| shared.scope == scope);
        shared.map_or(self.session.on_exceeded, |shared| shared.on_exceeded)
    }

    /// The bounds of `scope`, which is beyond the turn's own.
    pub(super) fn limits(&self, scope: BudgetScope) -> Ceiling {
        let shared = self.shared.iter().find(|shared| shared.scope == scope);
        shared.map_or_else(|| self.session.limits(), |shared| shared.limits)
    }

    /// Holds the worst case of the call `effect`, which may be cut.
    async fn hold_call(
        &mut self,
        effect: EffectId,
        own: (Ceiling, OnExceeded),
        used: Amounts,
        wanted: ModelCall,
    ) -> Result<Result<ModelCall, Short>, Error> {
        let fitted = match self.again.take() {
            Some(Ok((call, held))) => match call.within(&own.0, own.1) {
                Ok(cut) => Ok((cut, held)),
                Err(measure) => {
                    give_back(held);
                    Err(Short { scope: BudgetScope::Turn, measure })
                }
            },
            Some(Err(short)) if !self.is_past(short.scope) => Err(short),
            Some(Err(_)) | None => self.fit(own, used, wanted).await?,
        };
        Ok(fitted.map(|(call, held)| {
            self.reserved = Reserved { time: self.reserved.time, ..call.worst_case() };
            let is_cut = call.tool_calls < wanted.tool_calls;
            let tool_calls = call.tool_calls;
            self.call = Some(CallHeld { effect: effect.number, tool_calls, is_cut, held, row: None });
            call
        }))
    }

    /// How many tool calls the answer to `effect` may make, where that is fewer than the turn's own limits allow.
    pub(super) fn granted(&self, effect: u32) -> Option<u32> {
        let call = self.call.as_ref().filter(|call| call.effect == effect && call.is_cut);
        call.map(|call| call.tool_calls)
    }

    /// Settles what was held for the model call that an event answers: `used` was used.
    pub(super) fn settle(&mut self, kind: &EventKind, used: Amounts, state: &State) {
        let asked = match kind {
            EventKind::LlmDone { effect, calls, .. } => Some((*effect, calls.len())),
            EventKind::LlmFailed { effect, .. } => Some((*effect, 0)),
            _ => None,
        };
        let Some((effect, asked)) = asked else { return };
        let Some(call) = self.call.take_if(|call| call.effect == effect) else { return };
        let mut used = used;
        self.reserved = self.reserved.without_call();
        // A hook looks at them first: then they are admitted later.
        if matches!(state, State::RunningHook { .. }) {
            let most = u32::try_from(asked).unwrap_or(u32::MAX).min(call.tool_calls);
            used.set(Measure::ToolCalls, u64::from(most));
            self.reserved.tool_calls = most;
        }
        call.held.into_iter().for_each(|held| held.settle(used));
    }

    /// Tool calls that waited for a hook are admitted, or never will be.
    pub(super) fn admitted(&mut self, state: &State) {
        if self.call.is_none() && !matches!(state, State::RunningHook { .. }) {
            self.reserved = self.reserved.without_call();
        }
    }

    /// What the turn's row is to say from now on.
    pub(super) fn reserved(&self) -> Option<Reserved> {
        Some(self.reserved).filter(|reserved| *reserved != Reserved::default())
    }

    /// A step is queued that says so, after which the journal has `events` events.
    pub(super) fn queued(&mut self, events: u32) {
        if let Some(call) = &mut self.call {
            call.row.get_or_insert(events);
        }
    }

    /// The first `events` events are stored.
    pub(super) fn stored(&mut self, events: u32) {
        self.time.iter_mut().for_each(Held::stored);
        if let Some(call) = self.call.as_mut().filter(|call| call.row.is_some_and(|row| row <= events)) {
            call.held.iter_mut().for_each(Held::stored);
        }
    }

    /// What the session has used, with the turn.
    pub(super) fn session_used(&self, spent: &Spent) -> Amounts {
        self.session_used.plus(Amounts::from(spent))
    }

    /// The turn is over, and its end is stored.
    pub(super) fn end(&mut self, core: &Core, agent: &AgentId, spent: &Spent) {
        let worked = Amounts([0, 0, 0, Amounts::from(spent).of(Measure::Time)]);
        self.time.drain(..).for_each(|held| held.settle(worked));
        // An account that it went past took no part in what it used.
        let shared = self.shared.iter().filter(|shared| !self.let_past.contains(&shared.scope));
        let accounts: Vec<_> = shared.map(|shared| Arc::clone(&shared.account)).collect();
        if self.is_taken_up {
            // What it held before the stop is free now, and only the store knows how much that was.
            for account in &accounts {
                account.forget();
            }
        }
        core.budgets.ended(agent, &accounts);
    }
}

fn give_back(held: Vec<Held>) {
    for taken in held {
        taken.settle(Amounts::default());
    }
}

/// A model call that a stop cut off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost {
    /// How often it was made.
    pub(crate) times: u32,
    /// What was held for it each time.
    pub(crate) reserved: Reserved,
}

impl Lost {
    /// The model call that was in flight when a stop cut off a turn whose row says `reserved`, made so many times.
    pub(crate) fn of(reserved: Option<Reserved>, times: u32) -> Option<Self> {
        reserved.filter(Reserved::is_call).filter(|_| times > 0).map(|reserved| Self { times, reserved })
    }

    /// What it is taken to have used each time; it made no tool calls.
    fn amounts(&self) -> Amounts {
        let mut amounts = self.reserved.call_amounts();
        amounts.set(Measure::ToolCalls, 0);
        amounts
    }

    /// What the journal says of it.
    pub(crate) fn event(&self, effect: EffectId) -> EventKind {
        let (usage, cost) = (self.reserved.usage(), self.reserved.cost);
        EventKind::LlmLost { effect: effect.number, times: self.times, usage, cost }
    }
}

impl Drive<'_> {
    /// Holds the worst case of the model call that is among `effects`, before the step that asks for it is queued.
    pub(super) async fn ready_call(&mut self, effects: &[Effect]) -> Result<(), Error> {
        for effect in effects {
            if let Effect::CallLlm { effect, .. } = effect {
                self.next_call = Some(self.hold(*effect).await?);
            }
        }
        self.budgets.admitted(self.story.turn.state());
        Ok(())
    }

    async fn hold(&mut self, effect: EffectId) -> Result<NextCall, Error> {
        let mut request = match self.compile_request(effect) {
            Ok(request) => request,
            Err(error) => return Ok(NextCall::Unaskable(error)),
        };
        let (limits, spent) = (&self.accepted.config.limits, *self.story.turn.spent());
        let wanted = ModelCall {
            input: self.context.used,
            output: request.max_output_tokens,
            tool_calls: limits.calls_per_answer.min(limits.tool_calls.saturating_sub(spent.tool_calls)),
            prices: self.prepared.model.info.prices,
        };
        let used = Amounts::from(&spent);
        let own = (self.story.turn.budget_left(used), self.accepted.config.on_exceeded);
        self.budgets.let_past.clone_from(self.story.turn.let_past());
        let held = self.budgets.hold_call(effect, own, used, wanted).await?;
        Ok(match held {
            Ok(call) => {
                request.max_output_tokens = request.max_output_tokens.min(call.output);
                NextCall::Ready(Box::new(request))
            }
            Err(short) => NextCall::Short(short),
        })
    }

    /// Model calls that a stop cut off used what was reserved for them. That goes into the journal with the next step: a turn
    /// that gets no further must not look as if it did.
    pub(super) fn lose_calls(
        &mut self,
        outstanding: &[Effect],
        lost: Lost,
        at: Timestamp,
    ) -> Result<(), Error> {
        let asked = outstanding.iter().find(|effect| matches!(effect, Effect::CallLlm { .. }));
        if let Some(effect) = asked.and_then(Effect::opens) {
            let event = Event::new(at, lost.event(effect));
            let (model, cost) =
                (&self.prepared.model, u64::try_from(lost.reserved.cost.as_nanos()).unwrap_or(0));
            let of_model: [&str; 2] = [&model.provider_name, &model.name];
            self.core.metrics.llm_calls.add([of_model[0], of_model[1], "lost"], lost.times.into());
            self.core.metrics.llm_cost_nano_usd.add(of_model, cost.saturating_mul(lost.times.into()));
            self.story.lose(&event)?;
            self.steps.event(event);
        }
        Ok(())
    }

    /// The first `events` events are stored.
    pub(super) fn durable(&mut self, events: u32) {
        self.story.feed.durable(events);
        self.budgets.stored(events);
    }
}

impl From<Short> for Error {
    fn from(short: Short) -> Self {
        Self::of_failure(&loom_agent::Failure::Budget { scope: short.scope, measure: short.measure })
    }
}
