//! What the model does: some tens of jobs that a seed makes up, each chosen by a word of the message.

use serde_json::{Value, json};

use super::dice::Dice;

/// Jobs of a script.
const JOBS: u64 = 40;
/// The share of model calls that fail once and are tried again.
const ERROR_RATE: f64 = 0.03;
/// Calls of one answer at most.
const MOST_CALLS: u64 = 4;

const PURE: &str = "record_pure";
const IDEMPOTENT: &str = "record_idempotent";
const UNSAFE: &str = "record_unsafe";

/// The word that chooses a job at random.
pub(super) fn any_job(dice: &mut Dice) -> String {
    word(dice.within(0..JOBS))
}

fn word(job: u64) -> String {
    format!("job-{job:02};")
}

/// The script of `seed`, which is JSON and so YAML.
pub(super) fn script(seed: u64) -> Value {
    let mut rules = Vec::new();
    for job in 0..JOBS {
        rules.extend(rules_of(job, &mut Dice::of(seed, &word(job))));
    }
    json!({ "seed": seed, "chunk_size": 12, "chunk_delay_ms": 2, "error_rate": ERROR_RATE, "rules": rules })
}

/// At most two answers with calls, then an end. Calls that must not happen twice are in the last of them, so that their
/// results tell the answers apart.
fn rules_of(job: u64, dice: &mut Dice) -> Vec<Value> {
    let word = word(job);
    let end = end(dice);
    let rule = |after: Option<&str>, reply: &Value| match after {
        Some(tool) => json!({ "when": { "contains": word, "after_tool": tool }, "reply": reply }),
        None => json!({ "when": { "contains": word }, "reply": reply }),
    };
    let mut calls = Calls { job, number: 0 };
    match dice.within(0..100) {
        0..15 => vec![rule(None, &end)],
        15..40 => vec![rule(None, &calls.answer(&[PURE, IDEMPOTENT], dice)), rule(Some("*"), &end)],
        40..70 => {
            vec![rule(None, &calls.answer(&[UNSAFE, IDEMPOTENT, UNSAFE], dice)), rule(Some("*"), &end)]
        }
        _ => {
            let (first, last) =
                (calls.answer(&[IDEMPOTENT, PURE], dice), calls.answer(&[UNSAFE, PURE, IDEMPOTENT], dice));
            vec![
                rule(Some(UNSAFE), &end),
                rule(Some(IDEMPOTENT), &last),
                rule(Some(PURE), &last),
                rule(None, &first),
            ]
        }
    }
}

fn end(dice: &mut Dice) -> Value {
    let latency = dice.within(0..60);
    if dice.percent(8) {
        return json!({ "error": { "class": "invalid", "message": "the script says: no" }, "latency_ms": latency });
    }
    json!({ "text": "I have done {{user}}", "latency_ms": latency })
}

/// Counts the calls of a job: each has a key of its own.
struct Calls {
    job: u64,
    number: u64,
}

impl Calls {
    /// An answer with calls of these tools; the first of them for certain.
    fn answer(&mut self, tools: &[&str], dice: &mut Dice) -> Value {
        let mut calls = vec![self.call(tools[0], dice)];
        for _ in 1..dice.within(1..MOST_CALLS + 1) {
            let which = usize::try_from(dice.next()).unwrap_or(0) % tools.len();
            calls.push(self.call(tools[which], dice));
        }
        json!({ "tool_calls": calls, "latency_ms": dice.within(0..60) })
    }

    fn call(&mut self, tool: &str, dice: &mut Dice) -> Value {
        self.number += 1;
        let fate = match dice.within(0..100) {
            0..7 => "failed",
            7..11 => "unavailable",
            11..15 => "interrupted",
            _ => "fine",
        };
        let mut wait = || match dice.within(0..100) {
            0..40 => 0,
            40..90 => dice.within(0..50),
            _ => dice.within(100..400),
        };
        let (before, after) = (wait(), wait());
        let key = format!("j{}c{}", self.job, self.number);
        json!({ "name": tool, "arguments": { "key": key, "before_ms": before, "after_ms": after, "fate": fate } })
    }
}
