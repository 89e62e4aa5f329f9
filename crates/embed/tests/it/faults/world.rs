//! What is outside Loom and sees everything: the tools' effects, the people who are asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use loom_access::Principal;
use loom_embed::base::{Clock, EffectId, ErrorCode};
use loom_embed::runtime::{Decision, Resolution, Runtime, Said};
use loom_embed::tools::{EffectClass, Tool, ToolContext, ToolError, ToolOutput, ToolSpec};
use loom_llm::ToolDefinition;
use loom_store::{Page, Waiting, WaitingFor};
use loom_testkit::ManualClock;
use serde_json::{Value, json};

use super::dice::Dice;
use super::hooks::Runs;

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What one seed has of the world.
pub(super) struct World {
    pub(super) clock: Arc<ManualClock>,
    pub(super) hooks: Arc<Runs>,
    dice: Dice,
    calls: Mutex<Vec<Started>>,
    /// The calls that someone said did not happen, by turn and key: they run once more.
    not_happened: Mutex<BTreeMap<(String, String), usize>>,
}

/// A call that reached its tool.
struct Started {
    class: EffectClass,
    effect: EffectId,
    key: String,
}

impl World {
    pub(super) fn new(seed: u64, clock: &Arc<ManualClock>) -> Arc<Self> {
        Arc::new(Self {
            clock: Arc::clone(clock),
            hooks: Runs::new(seed, clock),
            dice: Dice::of(seed, "world"),
            calls: Mutex::default(),
            not_happened: Mutex::default(),
        })
    }

    /// A tool of each class.
    pub(super) fn tools(self: &Arc<Self>) -> Vec<Arc<dyn Tool>> {
        let classes = [
            ("look", EffectClass::Pure),
            ("put", EffectClass::Idempotent),
            ("pay", EffectClass::Unsafe),
            ("buy", EffectClass::Unsafe),
        ];
        let tool = |(name, effect): (&str, EffectClass)| {
            let definition = ToolDefinition {
                name: name.into(),
                description: "Does it.".into(),
                input_schema: json!({ "type": "object", "properties": { "key": { "type": "string" } } }),
                role: None,
            };
            let spec = ToolSpec { definition, effect, timeout: TIMEOUT, backend: None };
            Arc::new(Does { spec, world: Arc::clone(self) }) as Arc<dyn Tool>
        };
        classes.map(tool).into()
    }

    /// Answers whatever waits for people, again and again.
    pub(super) async fn people(&self, runtime: &Runtime) {
        loop {
            self.clock.sleep(self.dice.millis(50..3_000)).await;
            // Whoever is told that it cannot be done now tries again later.
            for what in [WaitingFor::Approval, WaitingFor::Resolution] {
                let page = Page::new(0, 0);
                let Ok(listed) = runtime.sessions().waiting(what, Principal::Local, page).await else {
                    continue;
                };
                for call in listed.items {
                    let key = call.call.arguments["key"].as_str().unwrap_or_default().to_owned();
                    match call.waiting {
                        Waiting::Approval { effect, .. } => {
                            let approved = !self.dice.percent(20);
                            let by = "boss".into();
                            let decision = Decision { approved, reason: None, arguments: None, by };
                            let effect = EffectId { turn: call.turn, number: effect };
                            let sessions = runtime.sessions();
                            drop(sessions.decide_approval(effect, decision, Principal::Local).await);
                        }
                        Waiting::Resolution { effect, .. } => {
                            let effect = EffectId { turn: call.turn, number: effect };
                            self.resolve(runtime, effect, key, call.turn_ended).await;
                        }
                    }
                }
            }
        }
    }

    async fn resolve(&self, runtime: &Runtime, effect: EffectId, key: String, turn_ended: bool) {
        let all = [Resolution::Happened, Resolution::DidNotHappen, Resolution::GiveUp];
        let resolution = *self.dice.one_of(&all);
        if resolution == Resolution::DidNotHappen && !turn_ended {
            // Before it is said, since who says it may not hear that it was heard.
            *self.not_happened.lock().unwrap().entry((effect.turn.to_string(), key)).or_default() += 1;
        }
        let said = Said { resolution, result: None, by: "operator".into() };
        drop(runtime.sessions().resolve_effect(effect, said, Principal::Local).await);
    }

    /// Everything that happened more often than it may.
    pub(super) fn violations(&self) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        let not_happened = self.not_happened.lock().unwrap();
        let mut found = self.hooks.violations();
        let mut by_key: BTreeMap<_, Vec<&Started>> = BTreeMap::new();
        for call in calls.iter() {
            by_key.entry((call.effect.turn.to_string(), call.key.clone())).or_default().push(call);
        }
        for (key, calls) in by_key {
            let ids: BTreeSet<_> = calls.iter().map(|call| call.effect.number).collect();
            let more = not_happened.get(&key).copied().unwrap_or(0);
            match calls[0].class {
                EffectClass::Idempotent if ids.len() > 1 => {
                    found.push(format!("{key:?}: an idempotent call under the ids {ids:?}"));
                }
                EffectClass::Unsafe if ids.len() < calls.len() => {
                    found.push(format!("{key:?}: an unsafe call ran twice under one id, of {ids:?}"));
                }
                EffectClass::Unsafe if calls.len() > 1 + more => {
                    found.push(format!("{key:?}: an unsafe call ran {} times unasked", calls.len()));
                }
                _ => {}
            }
        }
        found
    }

    /// Calls of that class that reached their tool.
    pub(super) fn calls(&self, class: EffectClass) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| call.class == class).count()
    }
}

struct Does {
    spec: ToolSpec,
    world: Arc<World>,
}

#[async_trait]
impl Tool for Does {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, input: Value, context: ToolContext) -> Result<ToolOutput, ToolError> {
        let (world, dice) = (&self.world, &self.world.dice);
        let key = input["key"].as_str().unwrap_or_default().to_owned();
        let wait = if dice.percent(3) { TIMEOUT * 2 } else { dice.millis(0..400) };
        let fate = dice.within(0..100);
        if fate < 5 {
            return Err(ToolError::unavailable(ErrorCode::ToolFailed, "not now"));
        }
        world.calls.lock().unwrap().push(Started { class: self.spec.effect, effect: context.effect, key });
        tokio::select! {
            () = world.clock.sleep(wait) => {}
            () = context.cancel.cancelled() => {
                return Err(ToolError::interrupted(ErrorCode::Cancelled, "stopped"));
            }
        }
        match fate {
            5..12 => Err(ToolError::failed(ErrorCode::ToolFailed, "it does not work")),
            12..16 => Err(ToolError::interrupted(ErrorCode::ToolFailed, "the line went dead")),
            _ => Ok(ToolOutput::new(json!({ "done": true }))),
        }
    }
}
