//! A turn's feed as `WeaveProgress` events.

use std::time::Duration;

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use serde_json::json;

use loom_agent::CallOutcome;
use loom_base::{Digest, EffectId};
use loom_llm::estimate_text;
use loom_proto::v1::{
    ContextState, CostInfo, ExecutionMetadata, ExecutionResult, ExecutionStage, HitlRequestInfo,
    WeaveProgress,
};
use loom_runtime::{FeedItem, Progress, Running, TurnReport};

use super::convert::{cost, count, long, millis};

/// Progress shown while the model is asked for its n-th answer: 20, 30, and so on, but never done.
const MODEL_BASE: u32 = 20;
const MODEL_STEP: u32 = 10;
const MOST_BEFORE_END: u32 = 90;

/// Tells one subscriber of one turn.
pub(super) struct Teller {
    delta_only: bool,
    text: String,
    progress: u32,
    first: Option<(loom_base::Timestamp, Option<Duration>)>,
}

impl Teller {
    pub(super) const fn new(delta_only: bool) -> Self {
        Self { delta_only, text: String::new(), progress: 0, first: None }
    }

    /// The event for `item`.
    pub(super) fn tell(&mut self, item: &FeedItem, running: &Running) -> WeaveProgress {
        let (started, _) = *self.first.get_or_insert((item.at, None));
        let mut event = WeaveProgress {
            timestamp: item.at.as_seconds(),
            session_id: running.session.to_string(),
            turn_id: running.turn.to_string(),
            event_id: format!("{}.{}", running.turn, item.id),
            ..WeaveProgress::default()
        };
        match &item.progress {
            Progress::PatternSelected(used) => {
                event.set_stage(ExecutionStage::PatternSelection);
                event.message = format!("pattern {} (confidence {:.2})", used.name, used.confidence);
                self.reach(5);
            }
            Progress::ModelStarted { call, attempt } => {
                event.set_stage(ExecutionStage::LlmGeneration);
                let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
                event.message = format!("asking the model (answer {call}{again})");
                self.text.clear();
                self.reach(MODEL_BASE + MODEL_STEP * (call - 1));
            }
            Progress::Waiting => {
                event.set_stage(ExecutionStage::LlmGeneration);
                event.message = "waiting for a free slot at the model".to_owned();
            }
            Progress::Retrying { reason, delay } => {
                event.set_stage(ExecutionStage::LlmGeneration);
                event.message = format!("{reason}; trying again in {:.1} s", delay.as_secs_f64());
                self.text.clear();
            }
            Progress::Delta(delta) => self.tell_delta(&mut event, delta, item, started),
            Progress::ToolStarted { .. } | Progress::ToolCompleted { .. } => {
                tell_tool(&mut event, &item.progress);
                self.reach(self.progress + 5);
            }
            Progress::ApprovalAsked { .. }
            | Progress::QuestionAsked { .. }
            | Progress::OutcomeUnknown { .. } => {
                tell_person(&mut event, running, item);
            }
            Progress::Restarted => {
                event.set_stage(ExecutionStage::LlmGeneration);
                event.message = "the answer that was under way comes anew".to_owned();
                event.generation_restarted = true;
                self.text.clear();
            }
            Progress::Completed(result) => {
                event.set_stage(ExecutionStage::Completed);
                event.message = "completed".to_owned();
                event.partial_content = result.text.clone();
                event.partial_result = Some(text_result(&result.text));
                tell_end(&mut event, &result.report);
                self.progress = 100;
            }
            Progress::Failed(failure) => {
                event.set_stage(ExecutionStage::Failed);
                event.message = failure.error.to_string();
                event.partial_content = failure.partial_text.clone();
                tell_end(&mut event, &failure.report);
                self.progress = 100;
            }
        }
        event.progress = count(u64::from(self.progress));
        event
    }

    fn tell_delta(
        &mut self,
        event: &mut WeaveProgress,
        delta: &str,
        item: &FeedItem,
        started: loom_base::Timestamp,
    ) {
        event.set_stage(ExecutionStage::LlmGeneration);
        event.is_token_stream = true;
        event.delta = delta.to_owned();
        self.text.push_str(delta);
        event.token_count = count(estimate_text(&self.text));
        let (_, first) = self.first.get_or_insert((started, None));
        event.ttft_ms = millis(*first.get_or_insert(item.at.since(started)));
        if !self.delta_only {
            event.partial_content.clone_from(&self.text);
        }
    }

    fn reach(&mut self, progress: u32) {
        self.progress = self.progress.max(progress.min(MOST_BEFORE_END));
    }
}

/// What a person is asked.
fn tell_person(event: &mut WeaveProgress, running: &Running, item: &FeedItem) {
    event.set_stage(ExecutionStage::HumanInTheLoop);
    let id = |number| EffectId { turn: running.turn, number }.to_string();
    let request = match &item.progress {
        Progress::ApprovalAsked { effect, call, tool, input, expires_at } => {
            event.tool_name = tool.to_string();
            event.tool_call_id = call.to_string();
            event.tool_input = Some(to_struct(input));
            let digest = Digest::of_json(input);
            let left = expires_at.since(item.at).as_secs();
            HitlRequestInfo {
                request_id: id(*effect),
                question: format!("May {tool} run with these arguments?"),
                request_type: "approval".to_owned(),
                timeout_seconds: count(left),
                context_json: json!({ "arguments": input, "arguments_digest": digest }).to_string(),
                options: ["approve", "deny"].map(str::to_owned).to_vec(),
                ..HitlRequestInfo::default()
            }
        }
        Progress::QuestionAsked { effect, call, question, options } => {
            event.tool_call_id = call.to_string();
            HitlRequestInfo {
                request_id: id(*effect),
                question_id: id(*effect),
                question: question.clone(),
                request_type: "clarification".to_owned(),
                options: options.clone(),
                ..HitlRequestInfo::default()
            }
        }
        Progress::OutcomeUnknown { effect, call, tool } => {
            event.tool_name = tool.to_string();
            event.tool_call_id = call.to_string();
            HitlRequestInfo {
                request_id: id(*effect),
                question: format!("{tool} was cut off and may have taken effect. Did it?"),
                request_type: "unknown_effect".to_owned(),
                options: ["happened", "did_not_happen", "give_up"].map(str::to_owned).to_vec(),
                ..HitlRequestInfo::default()
            }
        }
        _ => return,
    };
    event.message.clone_from(&request.question);
    event.hitl_request = Some(request);
}

fn tell_tool(event: &mut WeaveProgress, progress: &Progress) {
    event.set_stage(ExecutionStage::ToolExecution);
    match progress {
        Progress::ToolStarted { call, tool, input } => {
            event.message = format!("running {tool}");
            event.tool_name = tool.to_string();
            event.tool_call_id = call.to_string();
            event.is_tool_started = true;
            event.tool_input = Some(to_struct(input));
        }
        Progress::ToolCompleted { call, tool, outcome, result, error, duration } => {
            event.message =
                format!("{tool} {}", if *outcome == CallOutcome::Succeeded { "done" } else { "failed" });
            event.tool_name = tool.to_string();
            event.tool_call_id = call.to_string();
            event.is_tool_completed = true;
            event.tool_success = *outcome == CallOutcome::Succeeded;
            event.tool_result = result.as_deref().map(to_value);
            event.tool_error = error.clone().unwrap_or_default();
            event.tool_duration_ms = millis(*duration);
        }
        _ => {}
    }
}

fn tell_end(event: &mut WeaveProgress, report: &TurnReport) {
    event.cost = Some(report_cost(report));
    event.context_state = Some(context_state(report));
    event.token_count = count(report.spent.usage.output);
    event.ttft_ms = report.first_text.map_or(0, millis);
}

/// What a turn cost.
pub(super) fn report_cost(report: &TurnReport) -> CostInfo {
    let cost = cost(report.spent.usage, report.cost(), &report.provider, &report.model);
    CostInfo { estimated_cost_usd: report.spent.estimated_cost.as_dollars(), ..cost }
}

/// What a turn did.
pub(super) fn metadata(report: &TurnReport, stop_reason: &str) -> ExecutionMetadata {
    ExecutionMetadata {
        pattern_name: report.pattern.as_ref().map(|used| used.name.clone()).unwrap_or_default(),
        llm_calls: count(u64::from(report.spent.model_calls)),
        tool_executions: count(u64::from(report.spent.tool_calls)),
        correction_attempts: 0,
        total_duration_ms: millis(report.duration),
        guardrails_checked: Vec::new(),
        pattern_confidence: report.pattern.as_ref().map_or(0.0, |used| used.confidence),
        stop_reason: stop_reason.to_owned(),
    }
}

/// What was in a turn's context.
pub(super) fn context_state(report: &TurnReport) -> ContextState {
    ContextState {
        active_pattern: report.pattern.as_ref().map(|used| used.name.clone()).unwrap_or_default(),
        context_tokens_used: long(report.context.used),
        context_tokens_max: long(report.context.room),
        rom: report.rom.to_string(),
        tools_loaded: report.tools.iter().map(ToString::to_string).collect(),
        messages_dropped: count(report.context.messages_dropped),
    }
}

fn text_result(text: &str) -> ExecutionResult {
    ExecutionResult { r#type: "text".to_owned(), data_json: text.to_owned(), ..ExecutionResult::default() }
}

/// A tool's table: its columns, and its rows as JSON.
pub(super) fn table_result(table: &serde_json::Value) -> ExecutionResult {
    let columns = table["columns"].as_array().map(Vec::as_slice).unwrap_or_default();
    ExecutionResult {
        r#type: "table".to_owned(),
        data_json: table["rows"].to_string(),
        row_count: count(table["row_count"].as_u64().unwrap_or(0)),
        columns: columns.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        ..ExecutionResult::default()
    }
}

fn to_struct(json: &serde_json::Value) -> Struct {
    match to_value(json).kind {
        Some(Kind::StructValue(fields)) => fields,
        // A model may send anything; what is no object is shown under this name.
        other => Struct { fields: [("input".to_owned(), Value { kind: other })].into() },
    }
}

fn to_value(json: &serde_json::Value) -> Value {
    let kind = match json {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(value) => Kind::BoolValue(*value),
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(text) => Kind::StringValue(text.clone()),
        serde_json::Value::Array(items) => {
            Kind::ListValue(ListValue { values: items.iter().map(to_value).collect() })
        }
        serde_json::Value::Object(map) => {
            let fields = map.iter().map(|(name, value)| (name.clone(), to_value(value))).collect();
            Kind::StructValue(Struct { fields })
        }
    };
    Value { kind: Some(kind) }
}
