//! Hooks that note that they ran.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use loom_embed::base::{Clock, EffectId, ErrorCode};
use loom_embed::tools::{
    EffectClass, Hook, HookAnswer, HookInput, HookPoint, HookSpec, OnFailure, ToolContext, ToolError,
};
use loom_testkit::ManualClock;

use super::dice::Dice;

/// How long a run may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What one seed's hooks did.
pub(super) struct Runs {
    clock: Arc<ManualClock>,
    dice: Dice,
    of_unsafe: Mutex<Vec<EffectId>>,
}

impl Runs {
    pub(super) fn new(seed: u64, clock: &Arc<ManualClock>) -> Arc<Self> {
        let (clock, dice) = (Arc::clone(clock), Dice::of(seed, "hooks"));
        Arc::new(Self { clock, dice, of_unsafe: Mutex::default() })
    }

    /// A hook that may be repeated and one that may not. What they do not do stops no turn.
    pub(super) fn hooks(self: &Arc<Self>) -> Vec<Arc<dyn Hook>> {
        let kinds = [
            ("again", EffectClass::Idempotent, [HookPoint::BeforeModel, HookPoint::AfterModel]),
            ("once", EffectClass::Unsafe, [HookPoint::SessionStart, HookPoint::AfterTools]),
        ];
        let hook = |(name, effect, points): (&str, EffectClass, [HookPoint; 2])| {
            let (points, on_failure) = (BTreeSet::from(points), OnFailure::Open);
            let spec = HookSpec { name: name.into(), points, effect, timeout: TIMEOUT, on_failure };
            Arc::new(Notes { spec, runs: Arc::clone(self) }) as Arc<dyn Hook>
        };
        kinds.map(hook).into()
    }

    /// Runs of the unsafe hook.
    pub(super) fn unsafe_runs(&self) -> usize {
        self.of_unsafe.lock().unwrap().len()
    }

    /// Every effect under which the unsafe hook ran twice.
    pub(super) fn violations(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let runs = self.of_unsafe.lock().unwrap();
        let twice = runs.iter().filter(|effect| !seen.insert(**effect));
        twice.map(|effect| format!("{effect}: an unsafe hook ran twice")).collect()
    }
}

struct Notes {
    spec: HookSpec,
    runs: Arc<Runs>,
}

#[async_trait]
impl Hook for Notes {
    fn spec(&self) -> &HookSpec {
        &self.spec
    }

    async fn run(&self, input: HookInput, context: ToolContext) -> Result<HookAnswer, ToolError> {
        let dice = &self.runs.dice;
        let wait = if dice.percent(3) { TIMEOUT * 2 } else { dice.millis(0..300) };
        if self.spec.effect == EffectClass::Unsafe {
            self.runs.of_unsafe.lock().unwrap().push(input.effect);
        }
        tokio::select! {
            () = self.runs.clock.sleep(wait) => {}
            () = context.cancel.cancelled() => {
                return Err(ToolError::interrupted(ErrorCode::Cancelled, "stopped"));
            }
        }
        match dice.within(0..100) {
            0..5 => Err(ToolError::failed(ErrorCode::ToolFailed, "it does not work")),
            5..10 => Err(ToolError::unavailable(ErrorCode::ToolFailed, "not now")),
            10..30 => Ok(HookAnswer::Annotate { text: "noted".to_owned() }),
            _ => Ok(HookAnswer::Continue {}),
        }
    }
}
