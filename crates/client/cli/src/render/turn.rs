//! A turn as it runs: the pattern, each tool call with its query, the text as it comes, and what it cost.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use loom_proto::v1::{ContextState, CostInfo, ExecutionStage, HitlRequestInfo, WeaveProgress};
use serde_json::Value;

use super::amounts::{count, counted, dollars, share, span, whole_millis};
use super::text::{Tone, clean, clean_line, shorten};
use super::tool;
use crate::Style;

/// The widest message that is not an answer.
const MAX_MESSAGE: usize = 300;
/// What the server says each time it asks the model; the text that follows says it better.
const ASKING: &str = "asking the model";

/// Shows the events of one turn. Of a failed turn it shows what it cost; the failure itself is the caller's to tell.
pub(crate) struct TurnView {
    style: Style,
    place: Place,
    /// The text since the last line that was not text.
    text: String,
    /// Calls that run, with the query already shown.
    running: BTreeMap<String, String>,
    /// The call whose line is the last one shown.
    last_started: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nothing is shown yet.
    Start,
    /// After a line.
    Line,
    /// Inside a line of text that may go on.
    Text,
    /// After a line of text that may go on.
    TextLine,
}

impl TurnView {
    pub(crate) const fn new(style: Style) -> Self {
        Self { style, place: Place::Start, text: String::new(), running: BTreeMap::new(), last_started: None }
    }

    /// Shows one event.
    pub(crate) fn show(&mut self, event: &WeaveProgress, out: &mut dyn Write) -> io::Result<()> {
        if event.is_tool_started {
            return self.tool_started(event, out);
        }
        if event.is_tool_completed {
            return self.tool_completed(event, out);
        }
        if !event.delta.is_empty() {
            return self.delta(&event.delta, out);
        }
        match event.stage() {
            ExecutionStage::PatternSelection => {
                self.line(out, &format!("◆ {}", shorten(&event.message, MAX_MESSAGE)), Some(Tone::Strong))
            }
            ExecutionStage::HumanInTheLoop => self.question(event.hitl_request.as_ref(), out),
            ExecutionStage::Completed => self.rest(&event.partial_content, out),
            ExecutionStage::LlmGeneration if !event.message.starts_with(ASKING) => {
                self.note(&event.message, out)
            }
            _ => Ok(()),
        }
    }

    /// Shows a line of ours.
    pub(crate) fn note(&mut self, note: &str, out: &mut dyn Write) -> io::Result<()> {
        self.line(out, &format!("· {}", shorten(note, MAX_MESSAGE)), Some(Tone::Faint))
    }

    /// Says that the user follows the turn no more; `turn_id` is empty while it is not known to be accepted.
    pub(crate) fn left(&mut self, turn_id: &str, out: &mut dyn Write) -> io::Result<()> {
        if turn_id.is_empty() {
            return self.note("left; the question may still be answered", out);
        }
        let turn_id = shorten(turn_id, MAX_MESSAGE);
        self.note(&format!("left; `looms turn watch {turn_id}` shows how it goes on"), out)
    }

    /// Says that the user cancelled.
    pub(crate) fn cancelled(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.line(out, "cancelled", Some(Tone::Bad))
    }

    /// Shows what the turn cost, by its last event, and how long it took.
    pub(crate) fn end(
        &mut self,
        last: &WeaveProgress,
        took: Duration,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let parts = cost_parts(last.cost.as_ref(), last.context_state.as_ref(), Some(took));
        self.line(out, &format!("— {}", parts.join(" · ")), Some(Tone::Faint))
    }

    /// Shows what a turn that is told again cost, by its last event.
    pub(crate) fn retold(&mut self, last: &WeaveProgress, out: &mut dyn Write) -> io::Result<()> {
        let parts = cost_parts(last.cost.as_ref(), last.context_state.as_ref(), None);
        self.line(out, &format!("— {}", parts.join(" · ")), Some(Tone::Faint))
    }

    /// Leaves text that has no newline yet.
    pub(crate) fn leave(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.place == Place::Text {
            self.place = Place::Line;
            writeln!(out)?;
        }
        Ok(())
    }

    fn line(&mut self, out: &mut dyn Write, line: &str, tone: Option<Tone>) -> io::Result<()> {
        self.leave(out)?;
        self.place = Place::Line;
        self.text.clear();
        self.last_started = None;
        match tone {
            Some(tone) => writeln!(out, "{}", self.style.paint(tone, line)),
            None => writeln!(out, "{line}"),
        }
    }

    fn delta(&mut self, delta: &str, out: &mut dyn Write) -> io::Result<()> {
        if self.place == Place::Line {
            writeln!(out)?;
        }
        self.place = if delta.ends_with('\n') { Place::TextLine } else { Place::Text };
        self.last_started = None;
        self.text.push_str(delta);
        write!(out, "{}", clean(delta))
    }

    /// Shows the whole answer, unless it was streamed.
    fn rest(&mut self, answer: &str, out: &mut dyn Write) -> io::Result<()> {
        if self.text.trim().ends_with(answer.trim()) {
            return Ok(());
        }
        self.leave(out)?;
        if self.place == Place::TextLine {
            self.place = Place::Line;
        }
        self.delta(answer, out)
    }

    fn tool_started(&mut self, event: &WeaveProgress, out: &mut dyn Write) -> io::Result<()> {
        let input = event.tool_input.clone().unwrap_or_default();
        let arguments = tool::arguments(&input);
        let name = shorten(&event.tool_name, MAX_MESSAGE);
        self.line(out, format!("→ {name} {arguments}").trim_end(), None)?;
        let query = tool::query_of(&input).unwrap_or_default();
        self.query(query, out)?;
        self.running.insert(event.tool_call_id.clone(), query.to_owned());
        self.last_started = Some(event.tool_call_id.clone());
        Ok(())
    }

    fn tool_completed(&mut self, event: &WeaveProgress, out: &mut dyn Write) -> io::Result<()> {
        let shown = self.running.remove(&event.tool_call_id).unwrap_or_default();
        // Calls that run beside each other end in any order.
        let name = if self.last_started.as_deref() == Some(&event.tool_call_id) {
            String::new()
        } else {
            format!("{}: ", shorten(&event.tool_name, MAX_MESSAGE))
        };
        let took = whole_millis(event.tool_duration_ms);
        if !event.tool_success {
            let error = shorten(&event.tool_error, MAX_MESSAGE);
            return self.line(out, &format!("✗ {name}{error} after {took}"), Some(Tone::Bad));
        }
        let outcome = tool::outcome(event.tool_result.as_ref());
        self.line(out, &format!("✓ {name}{outcome} in {took}"), Some(Tone::Good))?;
        let sent = event.tool_result.as_ref().and_then(tool::sent_query).unwrap_or_default();
        if sent == shown { Ok(()) } else { self.query(sent, out) }
    }

    /// Shows a query, whole.
    fn query(&self, query: &str, out: &mut dyn Write) -> io::Result<()> {
        for line in clean(query).lines().filter(|line| !line.trim().is_empty()) {
            writeln!(out, "{}", self.style.paint(Tone::Faint, &format!("    {}", line.trim_end())))?;
        }
        Ok(())
    }

    fn question(&mut self, asked: Option<&HitlRequestInfo>, out: &mut dyn Write) -> io::Result<()> {
        let Some(asked) = asked else { return Ok(()) };
        self.line(out, &format!("? {}", shorten(&asked.question, MAX_MESSAGE)), Some(Tone::Strong))?;
        let context: Value = serde_json::from_str(&asked.context_json).unwrap_or_default();
        if let Some(arguments) = context.get("arguments") {
            // Whole: someone is to decide about them.
            writeln!(out, "    {}", clean_line(&arguments.to_string()))?;
        }
        let id = shorten(&asked.request_id, MAX_MESSAGE);
        match asked.request_type.as_str() {
            "approval" => writeln!(out, "    looms approval answer {id} --approve | --deny"),
            "unknown_effect" => {
                writeln!(out, "    looms effect resolve {id} --happened | --did-not-happen | --give-up")
            }
            _ => asked
                .options
                .iter()
                .try_for_each(|option| writeln!(out, "    {}", shorten(option, MAX_MESSAGE))),
        }
    }
}

fn cost_parts(
    cost: Option<&CostInfo>,
    context: Option<&ContextState>,
    took: Option<Duration>,
) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(cost) = cost {
        if let Some(llm) = &cost.llm_cost {
            let (input, output) = (llm.input_tokens.into(), llm.output_tokens.into());
            parts.push(format!("{} in, {} out", counted(input, "token"), count(output)));
        }
        parts.push(dollars(cost.total_cost_usd));
    }
    parts.extend(took.map(|took| span(i64::try_from(took.as_micros()).unwrap_or(i64::MAX))));
    if let Some(llm) = cost.and_then(|cost| cost.llm_cost.as_ref()) {
        let model = model(&llm.provider, &llm.model);
        parts.extend((!model.is_empty()).then_some(model));
    }
    if let Some(context) = context {
        parts.push(format!("context {}", share(context.context_tokens_used, context.context_tokens_max)));
        if context.messages_dropped > 0 {
            parts.push(format!("{} left out", counted(context.messages_dropped.into(), "earlier message")));
        }
    }
    parts
}

/// A model with its provider.
pub(crate) fn model(provider: &str, model: &str) -> String {
    let both = [provider, model].map(|name| shorten(name, MAX_MESSAGE));
    both.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests;
