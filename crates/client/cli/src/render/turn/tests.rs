//! Turns as they look.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde_json::{Value as Json, json};

use loom_proto::v1::LlmCost;

use super::*;

fn value(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => Kind::ListValue(ListValue { values: items.iter().map(value).collect() }),
        Json::Object(_) => Kind::StructValue(object(json)),
    };
    Value { kind: Some(kind) }
}

fn object(json: &Json) -> Struct {
    let fields = json.as_object().into_iter().flatten();
    Struct { fields: fields.map(|(name, json)| (name.clone(), value(json))).collect() }
}

fn said(stage: ExecutionStage, message: &str) -> WeaveProgress {
    WeaveProgress { stage: stage.into(), message: message.to_owned(), ..WeaveProgress::default() }
}

fn delta(text: &str) -> WeaveProgress {
    WeaveProgress { is_token_stream: true, delta: text.to_owned(), ..said(ExecutionStage::LlmGeneration, "") }
}

fn started(call: &str, tool: &str, input: &Json) -> WeaveProgress {
    WeaveProgress {
        is_tool_started: true,
        tool_call_id: call.to_owned(),
        tool_name: tool.to_owned(),
        tool_input: Some(object(input)),
        ..said(ExecutionStage::ToolExecution, "running")
    }
}

fn succeeded(call: &str, tool: &str, result: &Json) -> WeaveProgress {
    WeaveProgress {
        is_tool_completed: true,
        tool_call_id: call.to_owned(),
        tool_name: tool.to_owned(),
        tool_success: true,
        tool_result: Some(value(result)),
        tool_duration_ms: 3,
        ..said(ExecutionStage::ToolExecution, "done")
    }
}

fn failed(call: &str, tool: &str, error: &str) -> WeaveProgress {
    WeaveProgress {
        tool_success: false,
        tool_result: None,
        tool_error: error.to_owned(),
        ..succeeded(call, tool, &Json::Null)
    }
}

fn completed(text: &str) -> WeaveProgress {
    let llm_cost = LlmCost {
        input_tokens: 1234,
        output_tokens: 56,
        model: "small".to_owned(),
        provider: "some".to_owned(),
        ..LlmCost::default()
    };
    let context = ContextState {
        context_tokens_used: 2_100,
        context_tokens_max: 10_000,
        messages_dropped: 3,
        ..ContextState::default()
    };
    WeaveProgress {
        partial_content: text.to_owned(),
        cost: Some(CostInfo { total_cost_usd: 0.0021, llm_cost: Some(llm_cost), ..CostInfo::default() }),
        context_state: Some(context),
        ..said(ExecutionStage::Completed, "completed")
    }
}

fn shown_in(style: Style, events: &[WeaveProgress]) -> String {
    let mut out = Vec::new();
    let mut view = TurnView::new(style);
    for event in events {
        view.show(event, &mut out).unwrap();
    }
    let last = events.last().unwrap();
    if matches!(last.stage(), ExecutionStage::Completed | ExecutionStage::Failed) {
        view.end(last, Duration::from_micros(42_345), &mut out).unwrap();
    } else {
        view.cancelled(&mut out).unwrap();
    }
    String::from_utf8(out).unwrap()
}

fn shown(events: &[WeaveProgress]) -> String {
    shown_in(Style::Plain, events)
}

fn question_with_a_pattern() -> Vec<WeaveProgress> {
    let found =
        json!({"patterns": [{"name": "top_n", "confidence": 0.913}, {"name": "sum"}, {"name": "avg"}]});
    let bound = json!({"pattern": "top_n", "parameters": {"measure": "Invoice.Total", "limit": 5}});
    let rows = json!({
        "columns": ["c"], "rows": [[1]], "row_count": 5, "truncated": false,
        "query": "SELECT c\nFROM t\nLIMIT ?",
    });
    vec![
        said(ExecutionStage::PatternSelection, "pattern top_n (confidence 0.87)"),
        said(ExecutionStage::LlmGeneration, "asking the model (answer 1)"),
        started("1", "search_patterns", &json!({"question": "who spends most?", "limit": 3})),
        succeeded("1", "search_patterns", &found),
        said(ExecutionStage::LlmGeneration, "asking the model (answer 2)"),
        started("2", "run_pattern", &bound),
        succeeded("2", "run_pattern", &rows),
        said(ExecutionStage::LlmGeneration, "asking the model (answer 3)"),
        delta("The best "),
        delta("customer is Ann."),
        completed("The best customer is Ann."),
    ]
}

#[test]
fn a_question_answered_with_a_pattern() {
    insta::assert_snapshot!(shown(&question_with_a_pattern()));
}

#[test]
fn the_same_in_a_terminal() {
    insta::assert_snapshot!(shown_in(Style::Terminal, &question_with_a_pattern()).replace('\u{1b}', "^["));
}

#[test]
fn calls_beside_each_other_are_told_apart() {
    let sql = json!({"sql": "SELECT 1"});
    insta::assert_snapshot!(shown(&[
        started("1", "query", &sql),
        started("2", "schema", &json!({})),
        succeeded("1", "query", &json!({"row_count": 1, "truncated": true, "query": "SELECT 1"})),
        failed("2", "schema", "the database\ndoes not answer"),
        completed(""),
    ]));
}

#[test]
fn an_answer_that_was_not_streamed_is_shown_whole() {
    insta::assert_snapshot!(shown(&[delta("Let me see."), completed("Five.")]));
}

#[test]
fn a_call_that_is_tried_again_is_told() {
    insta::assert_snapshot!(shown(&[
        delta("Fi"),
        said(ExecutionStage::LlmGeneration, "the stream broke; trying again in 1.0 s"),
        said(ExecutionStage::LlmGeneration, "asking the model (answer 1, attempt 2)"),
        delta("Five."),
        completed("Five."),
    ]));
}

#[test]
fn a_cancelled_turn() {
    insta::assert_snapshot!(shown(&[started("1", "query", &json!({"sql": "SELECT 1"})), delta("Half a")]));
}

#[test]
fn nothing_that_a_terminal_obeys_gets_through() {
    let evil = "a\u{1b}]0;title\u{7}\u{9b}2J\r\u{202e}b";
    let events = [
        said(ExecutionStage::PatternSelection, evil),
        said(ExecutionStage::LlmGeneration, evil),
        started(evil, evil, &json!({"sql": evil, (evil): evil, "o": {(evil): [evil]}})),
        succeeded(evil, evil, &json!({"patterns": [{"name": evil}], "query": evil})),
        started("2", evil, &json!({"table": evil})),
        failed("2", evil, evil),
        WeaveProgress {
            hitl_request: Some(HitlRequestInfo {
                question: evil.to_owned(),
                options: vec![evil.to_owned()],
                ..HitlRequestInfo::default()
            }),
            ..said(ExecutionStage::HumanInTheLoop, evil)
        },
        delta(evil),
        WeaveProgress {
            cost: Some(CostInfo {
                llm_cost: Some(LlmCost {
                    model: evil.to_owned(),
                    provider: evil.to_owned(),
                    ..LlmCost::default()
                }),
                ..CostInfo::default()
            }),
            ..completed(evil)
        },
    ];
    let shown = shown(&events);
    assert_eq!(super::super::text::clean(&shown), shown);
    assert!(shown.matches("title").count() >= 10, "{shown}");
}
