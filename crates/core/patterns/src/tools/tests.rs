//! The tools as an agent calls them.

use super::*;
use crate::Registry;
use loom_base::{EffectId, TraceId, TurnId};
use loom_tools::ToolSet;
use tokio_util::sync::CancellationToken;

fn context() -> ToolContext {
    let turn: TurnId = "turn_00000000000000000000000000000007".parse().unwrap();
    ToolContext {
        effect: EffectId { turn, number: 1 },
        session: "s".parse().unwrap(),
        agent: "a".parse().unwrap(),
        trace: TraceId::of_turn(turn),
        cancel: CancellationToken::new(),
    }
}

fn tools() -> ToolSet {
    let top = "name: top\ntitle: Top\ndescription: The largest.\nintents: [who are the top customers]\n\
               parameters:\n- {name: n, type: number, description: how many, default: 10}\n\
               templates: {sql: 'SELECT {{n}}'}\n";
    let (registry, report) =
        Registry::with_built_in([("core/top.yaml", top), ("core/note.yaml", "name: note")]);
    assert_eq!(report.errors, []);
    let source: Arc<dyn Source> = Arc::new(registry);
    ToolSet::new(pattern_tools(source)).unwrap()
}

#[tokio::test]
async fn search_answers_in_the_agreed_shape() {
    let tools = tools();
    let input = json!({"question": "top customers"});
    tools.check_arguments("search_patterns", &input).unwrap();
    let output = tools.get("search_patterns").unwrap().call(input, context()).await.unwrap();
    let found = &output.data["patterns"][0];
    assert!(found["confidence"].as_f64().unwrap() > 0.0);
    assert_eq!(output.facts["pattern"], "top");
    let mut found = found.clone();
    found["confidence"] = Value::Null;
    assert_eq!(
        found,
        json!({
            "name": "top", "title": "Top", "description": "The largest.", "domain": "core",
            "confidence": null, "executable": true,
            "parameters": [
                {"name": "n", "type": "number", "required": false, "description": "how many", "default": 10}
            ],
        })
    );
    let nothing = tools.get("search_patterns").unwrap().call(json!({"question": "weather"}), context()).await;
    assert_eq!(nothing.unwrap().data, json!({"patterns": []}));
}

#[tokio::test]
async fn load_shows_the_whole_pattern_or_a_near_name() {
    let load = Arc::clone(tools().get("load_pattern").unwrap());
    let output = load.call(json!({"name": "top"}), context()).await.unwrap();
    assert_eq!(output.data["templates"]["sql"]["content"], "SELECT {{n}}");
    let error = load.call(json!({"name": "tpo"}), context()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::PatternNotFound);
    assert_eq!(error.message, "no pattern is called `tpo`; did you mean `top`?");
}

#[test]
fn arguments_outside_the_schema_are_refused() {
    let tools = tools();
    for bad in [
        json!({}),
        json!({"question": 1}),
        json!({"question": "x", "limit": 21}),
        json!({"question": "x", "q": 1}),
    ] {
        assert!(tools.check_arguments("search_patterns", &bad).is_err(), "{bad}");
    }
}
