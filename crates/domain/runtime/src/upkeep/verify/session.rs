//! One session: its turns, its messages, and its totals as their sums.

use std::collections::HashMap;
use std::time::Duration;

use loom_agent::Spent;
use loom_base::{MessageId, NanoUsd, TurnId};
use loom_llm::{ContentBlock, Role, Usage};
use loom_store::{MessageRecord, SessionReader, SessionRecord, StoredTurn};

use super::{Findings, PAGE, turn};
use crate::Error;
use crate::notes::is_note;

/// What the turns of a session say of it.
#[derive(Default)]
struct Sums {
    ended: u64,
    usage: Usage,
    cost: NanoUsd,
    tool_calls: u64,
    estimated_tokens: u64,
    estimated_cost: NanoUsd,
    worked: Duration,
    /// The messages that events point to, with their turns.
    named: HashMap<MessageId, TurnId>,
    /// Messages that came with a fork: no event of this session names them.
    copied: u64,
    /// Whether all of its turns could be read, so that the sums say something.
    whole: bool,
}

impl Sums {
    fn add(&mut self, spent: &Spent, has_ended: bool) {
        self.usage += spent.usage;
        self.cost += spent.cost;
        self.tool_calls += u64::from(spent.tool_calls);
        self.estimated_tokens += spent.estimated_tokens;
        self.estimated_cost += spent.estimated_cost;
        self.worked += spent.worked;
        self.ended += u64::from(has_ended);
    }
}

/// Looks at the session with the stored id `id`.
pub(super) async fn check(
    id: &str,
    reader: &mut dyn SessionReader,
    findings: &mut Findings<'_>,
) -> Result<(), Error> {
    let mut sums = check_turns(id, reader, findings).await?;
    let session = reader.session().await?;
    let origin = session.as_ref().ok().and_then(SessionRecord::origin);
    sums.copied = origin.map_or(0, |origin| origin.messages);
    let messages = check_messages(id, reader, &mut sums, findings).await?;
    match session {
        Ok(record) => compare(&record, &sums, messages, findings),
        Err(error) => findings.undecoded(format_args!("session {id}"), &error),
    }
    Ok(())
}

async fn check_turns(
    id: &str,
    reader: &mut dyn SessionReader,
    findings: &mut Findings<'_>,
) -> Result<Sums, Error> {
    let mut sums = Sums { whole: true, ..Sums::default() };
    let mut place = i64::MIN;
    loop {
        let turns = reader.turns(place, PAGE).await?;
        let Some(last) = turns.last() else { return Ok(sums) };
        place = last.place;
        for stored in turns {
            findings.verified.turns += 1;
            match stored.row {
                Ok(turn) => {
                    if let Some(stored) = reader.turn(turn).await? {
                        check_turn(turn, &stored, &mut sums, findings);
                    }
                }
                Err(error) => {
                    sums.whole = false;
                    findings.undecoded(format_args!("a turn of session {id}"), &error);
                }
            }
        }
    }
}

fn check_turn(id: TurnId, stored: &StoredTurn, sums: &mut Sums, findings: &mut Findings<'_>) {
    match &stored.turn {
        Ok(record) => sums.add(&record.spent, record.end.is_some()),
        Err(_) => sums.whole = false,
    }
    let named = turn::check(id, stored, findings);
    sums.named.extend(named.into_iter().map(|message| (message, id)));
}

/// Returns how many messages there are.
async fn check_messages(
    id: &str,
    reader: &mut dyn SessionReader,
    sums: &mut Sums,
    findings: &mut Findings<'_>,
) -> Result<u64, Error> {
    let mut place = i64::MIN;
    let mut expected = 0_i64;
    let mut count = 0;
    let mut all_decode = true;
    loop {
        let messages = reader.messages(place, PAGE).await?;
        let Some(last) = messages.last() else { break };
        place = last.place;
        for stored in messages {
            findings.verified.messages += 1;
            count += 1;
            if stored.place != expected {
                let problem = format_args!("has message {} where message {expected} belongs", stored.place);
                findings.say(format_args!("session {id}"), problem);
            }
            expected = stored.place.saturating_add(1);
            match stored.row {
                Ok(message) => check_message(&message, sums, findings),
                Err(error) => {
                    all_decode = false;
                    findings.undecoded(format_args!("message {} of session {id}", stored.place), &error);
                }
            }
        }
    }
    if all_decode {
        let mut missing: Vec<_> = sums.named.drain().collect();
        missing.sort_unstable();
        for (message, turn) in missing {
            findings.say(format_args!("turn {turn}"), format_args!("its message {message} is not stored"));
        }
    }
    Ok(count)
}

/// A message is what an event points to, or the results of an answer's calls.
fn check_message(record: &MessageRecord, sums: &mut Sums, findings: &mut Findings<'_>) {
    let message = &record.message;
    let what = format!("message {}", message.id);
    match sums.named.remove(&message.id) {
        Some(turn) if turn != record.turn => {
            findings.say(what, format_args!("is stored under turn {}, turn {turn} names it", record.turn));
        }
        Some(_) => {}
        None => {
            let is_result = |block: &ContentBlock| matches!(block, ContentBlock::ToolResult { .. });
            let is_results = message.role == Role::User && message.content.iter().any(is_result);
            let has_name = is_results || is_note(message) || message.seq < sums.copied;
            if sums.whole && !has_name {
                findings.say(what, format_args!("no event of turn {} names it", record.turn));
            }
        }
    }
}

fn compare(record: &SessionRecord, sums: &Sums, messages: u64, findings: &mut Findings<'_>) {
    let what = format!("session {}", record.id);
    if record.next_message != messages {
        let next = record.next_message;
        findings.say(&what, format_args!("its next message is number {next}, and it has {messages}"));
    }
    if record.context_start > record.next_message {
        let start = record.context_start;
        findings.say(&what, format_args!("its context starts at message {start}, behind its last"));
    }
    if !sums.whole {
        return;
    }
    let totals = &record.totals;
    let (stored, summed) = (totals.usage, sums.usage);
    for (name, stored, summed) in [
        ("turns", totals.turns, sums.ended),
        ("input tokens", stored.input, summed.input),
        ("output tokens", stored.output, summed.output),
        ("cache read tokens", stored.cache_read, summed.cache_read),
        ("cache write tokens", stored.cache_write, summed.cache_write),
        ("tool calls", totals.tool_calls, sums.tool_calls),
        ("estimated tokens", totals.estimated_tokens, sums.estimated_tokens),
    ] {
        if stored != summed {
            findings.say(&what, format_args!("{name} are stored as {stored}, its turns sum to {summed}"));
        }
    }
    for (name, stored, summed) in
        [("cost", totals.cost, sums.cost), ("estimated cost", totals.estimated_cost, sums.estimated_cost)]
    {
        if stored != summed {
            let (stored, summed) = (stored.as_nanos(), summed.as_nanos());
            findings
                .say(&what, format_args!("{name} is stored as {stored} n$, its turns sum to {summed} n$"));
        }
    }
    if totals.worked != sums.worked {
        let (stored, summed) = (totals.worked, sums.worked);
        findings.say(&what, format_args!("work is stored as {stored:?}, its turns sum to {summed:?}"));
    }
}
