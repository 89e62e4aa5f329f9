//! Each invariant of the machine, over at least ten thousand random lives.

use loom_agent::{CallOutcome, CallState, EventKind, Outcome, Turn};
use loom_base::Timestamp;
use loom_tools::EffectClass;
use proptest::prelude::*;

use crate::world::{World, configs};

fn choices() -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(any::<u16>(), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// Effects are closed exactly once, late answers change nothing but the ledger, every call has one result before
    /// the next model call, limits hold, a turn that is not over waits for something: checked after every step.
    #[test]
    fn every_step_keeps_the_invariants(config in configs(), choices in choices()) {
        World::new(config, choices).live();
    }

    #[test]
    fn cancel_ends_any_turn_in_one_step(config in configs(), choices in choices()) {
        let mut world = World::new(config, choices);
        world.live();
        let was_over = world.turn.outcome().is_some();
        let dispatched_unsafe: Vec<_> = world.turn.calls().iter()
            .filter(|call| matches!(call.state, CallState::Dispatched(_)) && call.request.class == EffectClass::Unsafe)
            .map(|call| call.request.id.clone())
            .collect();
        world.tell(EventKind::CancelRequested);
        if !was_over {
            prop_assert_eq!(world.turn.outcome(), Some(&Outcome::Cancelled));
        }
        for call in world.turn.calls() {
            if dispatched_unsafe.contains(&call.request.id) {
                prop_assert_eq!(call.state, CallState::Done(CallOutcome::Unknown));
            }
        }
    }

    #[test]
    fn a_turn_survives_serialisation_at_any_point(config in configs(), choices in choices()) {
        let mut world = World::new(config, choices);
        world.live();
        let text = serde_json::to_string(&world.turn).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Turn>(&text).unwrap(), &world.turn);
    }

    #[test]
    fn replaying_the_journal_gives_the_same_turn(config in configs(), choices in choices()) {
        let mut world = World::new(config, choices);
        world.live();
        let text = serde_json::to_string(&world.journal).unwrap();
        let journal: Vec<loom_agent::Event> = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&journal, &world.journal);
        prop_assert_eq!(&Turn::replay(world.turn.id(), world.config, &journal).unwrap(), &world.turn);
    }

    /// What was spent is the sum of what arrived, each answer counted once, one call in flight beyond the limit aside.
    #[test]
    fn the_ledger_counts_every_answer_once(config in configs(), choices in choices()) {
        let mut world = World::new(config, choices);
        world.live();
        world.tell(EventKind::CancelRequested);
        let after_end = world.turn.spent().usage.total();
        let journal = world.journal.clone();
        for event in journal.iter().filter(|event| event.kind.effect().is_some()) {
            world.tell(event.kind.clone());
        }
        let once = world.turn.spent().usage.total();
        for event in journal.iter().filter(|event| event.kind.effect().is_some()) {
            world.tell(event.kind.clone());
        }
        prop_assert!(once >= after_end);
        prop_assert_eq!(world.turn.spent().usage.total(), once);
    }

    /// A driver that starts from the journal asks again for exactly what is out, but for what only a person can settle.
    #[test]
    fn what_is_outstanding_can_be_asked_for_again(config in configs(), choices in choices()) {
        let mut world = World::new(config, choices);
        world.live();
        let waiting = world.turn.calls().iter().filter_map(|call| match call.state {
            CallState::AwaitingResolution(number) => Some(number),
            _ => None,
        });
        let again = world.turn.outstanding_effects(Timestamp::default());
        let mut numbers: Vec<_> = again.iter().filter_map(|effect| Some(effect.opens()?.number)).chain(waiting).collect();
        numbers.sort_unstable();
        prop_assert_eq!(numbers, world.turn.outstanding().collect::<Vec<_>>());
        for effect in &again {
            let asked = effect.opens().map(|id| world.open[&id.number]);
            prop_assert_eq!(asked, Some(crate::world::asked_by(effect).unwrap()));
        }
    }
}
