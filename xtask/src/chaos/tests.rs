//! Each check, on a run that keeps its promise and on one that breaks it; and the schedule that a seed decides.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use loom_base::{EffectId, FailPoint};

use super::check::{Run, violations};
use super::facts::{Account, Estimated, Facts, Measure, Message, Session, Spent, ToolSpan, Turn};
use super::plan::{self, Kill};
use super::recorder::Recorded;
use super::script;
use super::world::{Attempt, Ending, Seen};

const TURN: &str = "turn_00000000000000000000000000000001";
const OTHER: &str = "turn_00000000000000000000000000000002";
const SPENT: Spent = Spent { input: 10, output: 2, nanos: 14 };

/// A run with one turn, in which an unsafe call was made and answered.
struct Known {
    seen: Seen,
    facts: Facts,
    recorded: Vec<Recorded>,
}

impl Known {
    fn good() -> Self {
        let attempt = Attempt {
            query: "job-01; c0m0".into(),
            key: Some("c0m0".into()),
            trace: "t1".into(),
            turn: Some(TURN.into()),
        };
        let seen = Seen {
            attempts: vec![attempt],
            endings: BTreeMap::from([(TURN.to_owned(), Ending::Completed("done".into()))]),
            costs: BTreeMap::from([(TURN.to_owned(), 28)]),
            ..Seen::default()
        };
        let facts = Facts {
            traces: BTreeMap::from([("t1".to_owned(), vec![TURN.to_owned()])]),
            turns: BTreeMap::from([(TURN.to_owned(), turn())]),
            sessions: BTreeMap::from([("s".to_owned(), session())]),
            accounts: ["", "a", "s"].map(account).to_vec(),
            ..Facts::default()
        };
        Self { seen, facts, recorded: vec![recorded(1, "hook-unsafe"), recorded(2, "unsafe")] }
    }

    fn turn(&mut self) -> &mut Turn {
        self.facts.turns.get_mut(TURN).unwrap()
    }

    fn session(&mut self) -> &mut Session {
        self.facts.sessions.get_mut("s").unwrap()
    }

    fn violations(&self) -> String {
        let Self { seen, facts, recorded } = self;
        violations(&Run { seen, facts, recorded }).join("\n")
    }
}

fn turn() -> Turn {
    Turn {
        session: "s".into(),
        agent: "a".into(),
        outcome: "finished".into(),
        spent: Spent { input: 20, output: 4, nanos: 28 },
        calls: vec![SPENT, SPENT],
        tools: BTreeMap::from([(span(2), tool("succeeded"))]),
        hooks: BTreeMap::from([(span(1), "continued".to_owned())]),
        estimated: Estimated { tokens: 12, nanos: 14 },
    }
}

fn account(owner: &str) -> Account {
    Account {
        owner: owner.into(),
        nanos: Measure { limit: Some(30), used: 28, reserved: 0 },
        tokens: Measure { limit: None, used: 24, reserved: 0 },
        estimated_nanos: 14,
        estimated_tokens: 12,
    }
}

fn session() -> Session {
    let message = |role: &str, content: &str, results: &[usize]| Message {
        role: role.into(),
        content: content.into(),
        results: results.to_vec(),
    };
    let messages = vec![
        message("user", "job-01; c0m0", &[]),
        message("assistant", "", &[1]),
        message("tool", "", &[]),
        message("assistant", "done", &[]),
    ];
    Session { nanos: 28, turns: 1, messages }
}

fn tool(outcome: &str) -> ToolSpan {
    ToolSpan { tool: "record_unsafe".into(), outcome: outcome.into(), resolution: String::new() }
}

fn effect(number: u32) -> EffectId {
    EffectId { turn: TURN.parse().unwrap(), number }
}

fn span(number: u32) -> String {
    effect(number).span_id()
}

fn recorded(number: u32, class: &str) -> Recorded {
    Recorded { effect: effect(number).to_string(), class: class.into(), key: "j1c1".into() }
}

#[test]
fn a_run_that_keeps_every_promise_has_no_violation() {
    assert_eq!(Known::good().violations(), "");
}

/// What breaks a promise, and what is said of it.
type Broken = (fn(&mut Known), &'static str);

#[test]
fn each_broken_promise_is_seen() {
    let cases: [Broken; 28] = [
        (|known| known.seen.violations.push("told twice".into()), "told twice"),
        (|known| known.facts.unfinished.push(TURN.into()), "never ended"),
        (|known| known.facts.turns.clear(), "was acknowledged and is lost"),
        (|known| known.session().messages[0].content.clear(), "the message of"),
        (|known| known.turn().outcome = "cancelled".into(), "was completed and is cancelled"),
        (|known| known.session().messages[3].content = "other".into(), "the answer of"),
        (|known| drop(known.seen.endings.insert(TURN.into(), Ending::Failed)), "failed and is finished"),
        (
            |known| known.facts.traces.insert("t1".into(), vec![TURN.into(), OTHER.into()]).map_or((), drop),
            "has several turns",
        ),
        (
            |known| {
                let again = Attempt { turn: Some(OTHER.into()), ..known.seen.attempts[0].clone() };
                known.seen.attempts.push(again);
            },
            "has several turns",
        ),
        (|known| drop(known.session().messages.remove(2)), "assistant after assistant, results owed: true"),
        (|known| known.session().messages.truncate(2), "ends with calls that have no results"),
        (|known| known.session().messages[1].results[0] = 0, "calls have [0] results"),
        (|known| known.session().messages[1].results[0] = 2, "calls have [2] results"),
        (|known| known.turn().calls.truncate(1), "and its model calls"),
        (|known| known.session().turns = 2, "counts 2 turns"),
        (|known| known.session().nanos = 29, "cost 29 nano-dollars"),
        (|known| known.recorded.push(recorded(2, "unsafe")), "ran again under its id"),
        (|known| known.recorded.push(recorded(5, "unsafe")), "ran again unasked"),
        (|known| known.recorded.clear(), "succeeded and never happened"),
        (|known| known.recorded.clear(), "answered and was never told"),
        (|known| known.recorded.push(recorded(1, "hook-unsafe")), "an unsafe hook ran again"),
        (|known| known.turn().hooks.clear(), "a hook was told, and no journal says so"),
        (|known| known.facts.damage.push("a turn: wrong".into()), "the store's own check"),
        (
            |known| known.seen.costs.insert(TURN.into(), 29).map_or((), drop),
            "29 nano-dollars as a client was told",
        ),
        (|known| known.facts.accounts[0].nanos.used = 27, "the budget of the server counts"),
        (|known| known.facts.accounts[1].estimated_tokens = 0, "the budget of a counts"),
        (|known| known.facts.accounts[2].tokens.reserved = 5, "holds back 5 for no turn"),
        (|known| known.facts.accounts[1].nanos.limit = Some(27), "the budget of a: Measure"),
    ];
    for (break_it, said) in cases {
        let mut known = Known::good();
        break_it(&mut known);
        let found = known.violations();
        assert!(found.contains(said), "{said:?} is not in {found:?}");
    }
}

#[test]
fn an_unsafe_call_runs_again_only_on_someone_s_word_and_its_unknown_outcome_is_listed() {
    let mut known = Known::good();
    known.recorded.push(recorded(5, "unsafe"));
    known.turn().tools = BTreeMap::from([(span(5), tool("succeeded"))]);
    known.seen.not_happened.insert(effect(2).to_string(), (TURN.into(), "j1c1".into()));
    assert!(known.violations().contains("was never listed as unknown"));
    known.seen.unknown.insert(effect(2).to_string());
    assert_eq!(known.violations(), "");
    known.turn().tools.insert(span(5), tool("unknown"));
    assert!(known.violations().contains("was never listed as unknown"));
    let resolution = "happened".into();
    known.turn().tools.insert(span(5), ToolSpan { resolution, ..tool("unknown") });
    assert_eq!(known.violations(), "");
}

#[test]
fn an_idempotent_call_keeps_its_id() {
    let mut known = Known::good();
    known.recorded = [1, 2, 2]
        .into_iter()
        .zip(["hook-unsafe", "idempotent", "idempotent"])
        .map(|(n, class)| recorded(n, class))
        .collect();
    assert_eq!(known.violations(), "");
    known.recorded.push(recorded(3, "idempotent"));
    assert!(known.violations().contains("an idempotent call under several ids"));
}

#[test]
fn a_seed_decides_the_kills_and_the_script() {
    assert_eq!(plan::kills(7, 40, Duration::ZERO, true), plan::kills(7, 40, Duration::ZERO, true));
    assert_ne!(plan::kills(7, 40, Duration::ZERO, true), plan::kills(8, 40, Duration::ZERO, true));
    assert_eq!(script::script(7), script::script(7));
    assert_ne!(script::script(7), script::script(8));
    let plan = plan::kills(7, FailPoint::ALL.len() * 2, Duration::ZERO, false);
    let points: BTreeSet<_> = plan
        .iter()
        .filter_map(|kill| match kill {
            Kill::At(place) => Some(place.point),
            Kill::After(_) | Kill::Stop(_) | Kill::Freeze { .. } => None,
        })
        .collect();
    assert_eq!(points.len(), FailPoint::ALL.len(), "each has its turn");
    let frozen = |is_alone| {
        let plan = plan::kills(7, 200, Duration::ZERO, is_alone);
        plan.iter().filter(|kill| matches!(kill, Kill::Freeze { .. })).count()
    };
    assert!(frozen(false) > 0 && frozen(true) == 0, "nobody takes over from one that is alone");
}
