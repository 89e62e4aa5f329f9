//! Holds what the server says in the end against what was seen from outside. Pure: facts in, violations out.

use std::collections::{BTreeMap, BTreeSet};

use loom_base::EffectId;

use super::budgets;
use super::facts::{Facts, Session, Spent, ToolSpan, Turn};
use super::recorder::Recorded;
use super::world::{Ending, Seen};

/// All that is known of a run.
pub(super) struct Run<'a> {
    pub(super) seen: &'a Seen,
    pub(super) facts: &'a Facts,
    pub(super) recorded: &'a [Recorded],
}

/// Everything that contradicts a promise.
pub(super) fn violations(run: &Run<'_>) -> Vec<String> {
    let mut found = run.seen.violations.clone();
    found.extend(run.facts.unfinished.iter().map(|turn| format!("{turn} never ended")));
    found.extend(acknowledged_turns(run));
    found.extend(keys(run));
    for (id, session) in &run.facts.sessions {
        found.extend(history(session).into_iter().map(|wrong| format!("session {id}: {wrong}")));
    }
    found.extend(run.facts.damage.iter().map(|wrong| format!("the store's own check: {wrong}")));
    found.extend(sums(run.facts));
    found.extend(budgets::violations(run));
    found.extend(effects(run));
    found.extend(hooks(run));
    found
}

/// What a client was told is there: each turn with the end it had, and the answer in the history.
fn acknowledged_turns(run: &Run<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for attempt in &run.seen.attempts {
        let Some(told) = &attempt.turn else { continue };
        let Some(turn) = run.facts.turns.get(told) else {
            found.push(format!("{told} was acknowledged and is lost"));
            continue;
        };
        let messages =
            run.facts.sessions.get(&turn.session).map(|session| &session.messages[..]).unwrap_or_default();
        let asked =
            messages.iter().position(|message| message.role == "user" && message.content == attempt.query);
        let Some(asked) = asked else {
            found.push(format!("the message of {told} is not in its session"));
            continue;
        };
        let of_turn = || messages[asked + 1..].iter().take_while(|message| message.role != "user");
        match run.seen.endings.get(told) {
            Some(Ending::Completed(_)) if turn.outcome != "finished" => {
                found.push(format!("{told} was completed and is {}", turn.outcome));
            }
            Some(Ending::Completed(text)) => {
                let last = of_turn().last();
                if last.is_none_or(|last| last.role != "assistant" || last.content != *text) {
                    found.push(format!("the answer of {told} is not in its session"));
                }
            }
            Some(Ending::Failed) if turn.outcome == "finished" => {
                found.push(format!("{told} failed and is finished"));
            }
            _ => {}
        }
    }
    found
}

/// A key, and a message, has one turn at most, however often it was sent.
fn keys(run: &Run<'_>) -> Vec<String> {
    let mut turns: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for attempt in &run.seen.attempts {
        let of_query = turns.entry(&attempt.query).or_default();
        of_query.extend(attempt.turn.as_deref());
        of_query.extend(run.facts.traces.get(&attempt.trace).into_iter().flatten().map(String::as_str));
    }
    let several = turns.into_iter().filter(|(_, turns)| turns.len() > 1);
    several.map(|(query, turns)| format!("{query:?} has several turns: {turns:?}")).collect()
}

/// Roles alternate as they must, and every tool call has exactly one result.
fn history(session: &Session) -> Vec<String> {
    let mut found = Vec::new();
    let mut before = "";
    let mut owes_results = false;
    for (place, message) in session.messages.iter().enumerate() {
        let role = message.role.as_str();
        let fits = match role {
            "user" | "assistant" if owes_results => false,
            "user" => true,
            "assistant" => matches!(before, "user" | "tool"),
            "tool" => owes_results,
            _ => false,
        };
        if !fits {
            found.push(format!("message {place}: {role} after {before}, results owed: {owes_results}"));
        }
        if message.results.iter().any(|results| *results != 1) {
            found.push(format!("message {place}: calls have {:?} results each", message.results));
        }
        owes_results = role == "assistant" && !message.results.is_empty();
        before = role;
    }
    if owes_results {
        found.push("it ends with calls that have no results".to_owned());
    }
    found
}

/// A session is the sum of its turns, and a turn the sum of its model calls.
fn sums(facts: &Facts) -> Vec<String> {
    let mut found = Vec::new();
    for (id, turn) in &facts.turns {
        let sum = turn.calls.iter().fold(Spent::default(), |sum, call| Spent {
            input: sum.input + call.input,
            output: sum.output + call.output,
            nanos: sum.nanos + call.nanos,
        });
        if sum != turn.spent {
            found.push(format!("{id} spent {:?}, and its model calls {sum:?}", turn.spent));
        }
    }
    for (id, session) in &facts.sessions {
        let own = || facts.turns.values().filter(|turn| turn.session == *id);
        let (turns, nanos) = (own().count() as u64, own().map(|turn| turn.spent.nanos).sum::<i64>());
        if u64::try_from(session.turns) != Ok(turns) {
            found.push(format!("session {id} counts {} turns, and has {turns}", session.turns));
        }
        if session.nanos != nanos {
            found.push(format!("session {id} cost {} nano-dollars, and its turns {nanos}", session.nanos));
        }
        let asked = session.messages.iter().filter(|message| message.role == "user").count() as u64;
        if asked != turns {
            found.push(format!("session {id} has {asked} messages of users and {turns} turns"));
        }
    }
    found
}

/// What happened outside happened as often as it may, and what may have happened was not kept from anybody.
fn effects(run: &Run<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut by_call: BTreeMap<(&str, &str, &str), Vec<&str>> = BTreeMap::new();
    for call in run.recorded {
        by_call.entry((&call.class, call.turn(), &call.key)).or_default().push(&call.effect);
    }
    for ((class, turn, key), effects) in by_call {
        let distinct: BTreeSet<_> = effects.iter().collect();
        let resolved =
            run.seen.not_happened.values().filter(|call| **call == (turn.to_owned(), key.to_owned()));
        match class {
            "idempotent" | "hook-idempotent" if distinct.len() > 1 => {
                found.push(format!("{turn} {key}: an idempotent call under several ids: {distinct:?}"));
            }
            // Nobody can say of a hook that it did not happen.
            "hook-unsafe" if effects.len() > 1 => {
                found.push(format!("{turn} {key}: an unsafe hook ran again: {effects:?}"));
            }
            "unsafe" if distinct.len() < effects.len() => {
                found.push(format!("{turn} {key}: an unsafe call ran again under its id: {effects:?}"));
            }
            "unsafe" if effects.len() > 1 + resolved.count() => {
                found.push(format!("{turn} {key}: an unsafe call ran again unasked: {effects:?}"));
            }
            _ => {}
        }
    }
    found.extend(surfaced(run));
    found.extend(successes(run));
    found
}

/// Every unsafe effect has a result that is known, or was listed as unknown.
fn surfaced(run: &Run<'_>) -> Vec<String> {
    let hidden = run.recorded.iter().filter(|call| {
        let listed = run.seen.unknown.contains(&call.effect) || run.facts.unknown.contains(&call.effect);
        // A tool that was cut off may itself say a moment later what it did.
        let known = span_of(run.facts, &call.effect).is_some_and(|span| {
            matches!(span.outcome.as_str(), "succeeded" | "failed") || !span.resolution.is_empty()
        });
        call.class == "unsafe" && !listed && !known
    });
    hidden
        .map(|call| {
            let outcome = span_of(run.facts, &call.effect).map(|span| span.outcome.as_str());
            format!(
                "{}: an unsafe call with the outcome {outcome:?} was never listed as unknown",
                call.effect
            )
        })
        .collect()
}

fn span_of<'a>(facts: &'a Facts, effect: &str) -> Option<&'a ToolSpan> {
    let (turn, span) = turn_of(facts, effect)?;
    turn.tools.get(&span)
}

/// The turn of an effect, and the id of its span.
fn turn_of<'a>(facts: &'a Facts, effect: &str) -> Option<(&'a Turn, String)> {
    let id: EffectId = effect.parse().ok()?;
    Some((facts.turns.get(&id.turn.to_string())?, id.span_id()))
}

/// What a hook was told is in the journal, and what the journal says it was told it was.
fn hooks(run: &Run<'_>) -> Vec<String> {
    let is_hook = |call: &&Recorded| call.class.starts_with("hook-");
    let mut found = Vec::new();
    let mut told = BTreeSet::new();
    for call in run.recorded.iter().filter(is_hook) {
        match turn_of(run.facts, &call.effect) {
            Some((turn, span)) if turn.hooks.contains_key(&span) => drop(told.insert(span)),
            _ => found.push(format!("{}: a hook was told, and no journal says so", call.effect)),
        }
    }
    for (id, turn) in &run.facts.turns {
        let continued = turn.hooks.iter().filter(|(_, outcome)| *outcome == "continued");
        let untold = continued.filter(|(span, _)| !told.contains(*span));
        found.extend(untold.map(|(span, _)| format!("{id}: hook {span} answered and was never told")));
    }
    found
}

/// Every call that the server says succeeded did happen, unless it has that from people.
fn successes(run: &Run<'_>) -> Vec<String> {
    let span_of = |effect: &String| Some(effect.parse::<EffectId>().ok()?.span_id());
    let happened: BTreeSet<_> = run.recorded.iter().filter_map(|call| span_of(&call.effect)).collect();
    let said: BTreeSet<_> = run.seen.happened.iter().filter_map(span_of).collect();
    let mut found = Vec::new();
    for (turn, facts) in &run.facts.turns {
        for (span, tool) in facts.tools.iter().filter(|(_, tool)| tool.outcome == "succeeded") {
            if !happened.contains(span) && !said.contains(span) {
                found.push(format!("{turn}: a call of {} succeeded and never happened", tool.tool));
            }
        }
    }
    found
}
