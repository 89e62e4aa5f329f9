//! The hooks of a turn: which run at which point, fixed when the turn is accepted, and the machine's rules for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use loom_tools::{EffectClass, HookPoint, OnFailure};

use crate::turn::Open;
use crate::{Effect, EventKind, Failure, Outcome, State, Turn};

/// A hook, as far as the machine and a recovery must know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookEntry {
    /// Its name, unique among the hooks of a turn.
    pub name: Arc<str>,
    /// What it does to the world.
    pub class: EffectClass,
    /// What it means when it fails.
    pub on_failure: OnFailure,
}

/// The hooks of a turn by point, in the order they run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Hooks(BTreeMap<HookPoint, Vec<HookEntry>>);

impl Hooks {
    /// Adds a hook after those that `point` has.
    pub fn add(&mut self, point: HookPoint, hook: HookEntry) {
        self.0.entry(point).or_default().push(hook);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that run at `point`, in order.
    pub fn at(&self, point: HookPoint) -> &[HookEntry] {
        self.0.get(&point).map_or(&[], Vec::as_slice)
    }

    /// Takes out those that run at `point`.
    pub fn remove(&mut self, point: HookPoint) {
        self.0.remove(&point);
    }
}

impl<'de> Deserialize<'de> for Hooks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            ByPoint(BTreeMap<HookPoint, Vec<HookEntry>>),
            /// How turns were stored before there were hooks: the list was always empty.
            Empty([(); 0]),
        }
        match Form::deserialize(deserializer)? {
            Form::ByPoint(hooks) => Ok(Self(hooks)),
            Form::Empty([]) => Ok(Self::default()),
        }
    }
}

/// What a hook said, where it did more than let the turn go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookSaid {
    /// What became of its run.
    pub outcome: HookOutcome,
    /// Its text for the model, its reason, or what went wrong.
    pub text: Arc<str>,
}

/// What became of a hook's run that did more than let the turn go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookOutcome {
    /// It has a text for the model.
    Annotated,
    /// It refused to go on.
    Denied,
    /// It failed.
    Failed,
    /// It was cut off and may have taken effect.
    Unknown,
}

impl HookOutcome {
    /// The outcome's name as it is stored and sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Annotated => "annotated",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

impl Turn {
    /// The hook that runs, with the number of its effect, and where.
    pub fn running_hook(&self) -> Option<(u32, HookPoint, &HookEntry)> {
        let State::RunningHook { effect, point, index } = &self.state else { return None };
        Some((*effect, *point, self.config.hooks.at(*point).get(*index)?))
    }

    /// Runs the hooks of `point`, one after the other, or goes straight on where there are none.
    pub(crate) fn pass_hooks(&mut self, point: HookPoint, effects: &mut Vec<Effect>) {
        self.run_hook(point, 0, effects);
    }

    fn run_hook(&mut self, point: HookPoint, index: usize, effects: &mut Vec<Effect>) {
        let Some(hook) = self.config.hooks.at(point).get(index).cloned() else {
            return self.after_hooks(point, effects);
        };
        let effect = self.open(Open::Hook);
        self.state = State::RunningHook { effect: effect.number, point, index };
        effects.push(Effect::RunHook { effect, point, hook });
    }

    /// Takes in what became of the hook that ran: the next one runs, or the turn ends.
    pub(crate) fn take_hook_answer(&mut self, answer: &EventKind, effects: &mut Vec<Effect>) {
        let hook = self.running_hook().map(|(_, _, hook)| Arc::clone(&hook.name));
        let (EventKind::HookDone { proceed, said, .. }, State::RunningHook { point, index, .. }) =
            (answer, &self.state)
        else {
            return;
        };
        let (point, index) = (*point, *index);
        if *proceed {
            return self.run_hook(point, index + 1, effects);
        }
        let reason = said.as_ref().map(|said| Arc::clone(&said.text));
        self.end(Outcome::Failed(Failure::Hook { point, hook, reason }), effects);
    }

    fn after_hooks(&mut self, point: HookPoint, effects: &mut Vec<Effect>) {
        match point {
            HookPoint::SessionStart => self.pass_hooks(HookPoint::TurnStart, effects),
            HookPoint::TurnStart | HookPoint::AfterTools => match self.limit_reached() {
                Some(limit) => self.end_at_limit(limit, effects),
                None => self.pass_hooks(HookPoint::BeforeModel, effects),
            },
            HookPoint::BeforeModel => self.call_model(1, effects),
            HookPoint::AfterModel => self.after_model(effects),
        }
    }
}
