//! How often a turn waits for the disk: what is committed while a model or a tool works costs it nothing.

use std::sync::Arc;

use loom_embed::mock::{MockProvider, Script};
use loom_embed::runtime::TurnRequest;
use loom_embed::tools::EffectClass;
use loom_embed::{FunctionTool, Loom};
use loom_testkit::{CountingIds, ManualClock};
use serde_json::json;

use crate::setup::{PATIENCE, agent, folder};

const SCRIPT: &str = "
rules:
  - when: { contains: pay }
    reply: { tool_calls: [{ name: pay }] }
  - when: { contains: look }
    reply: { tool_calls: [{ name: look }] }
  - when: { after_tool: '*' }
    reply: { text: done }
default: { text: fine }
";

fn tool(name: &str, class: EffectClass) -> FunctionTool {
    FunctionTool::new(name, "Works.", json!({ "type": "object" }), |_| async { Ok(json!({})) }).effect(class)
}

/// The commits of a turn that asks `question` in a session that is there: all of them, and those it waited for.
async fn commits(question: &str) -> (u64, u64) {
    let folder = folder();
    // A clock that stands still: the index, which commits in quiet moments, has none.
    let clock = Arc::new(ManualClock::default());
    let provider = MockProvider::new(Script::parse(SCRIPT).unwrap(), Arc::clone(&clock) as _);
    let loom = Loom::builder()
        .data_dir(folder.path())
        .time(clock, Arc::new(CountingIds::default()))
        .provider("scripted", "script-1", Arc::new(provider))
        .tool(tool("pay", EffectClass::Idempotent))
        .tool(tool("look", EffectClass::Pure))
        .agent(agent())
        .build()
        .await
        .unwrap();
    let first = loom.start(TurnRequest::new("hello")).await.unwrap();
    first.end().await.unwrap();
    let counted = || (loom.metrics().store_commits.get([]), loom.metrics().commit_waits.get([]));
    let before = counted();
    let running = loom.start(TurnRequest::new(question).in_session(first.session.clone())).await.unwrap();
    running.end().await.unwrap();
    let after = counted();
    drop(running);
    loom.close(PATIENCE).await;
    (after.0 - before.0, after.1 - before.1)
}

#[tokio::test]
async fn a_turn_without_tools_waits_for_one_commit() {
    assert_eq!(commits("how are you?").await, (2, 1), "its acceptance is committed while the model is asked");
}

#[tokio::test]
async fn a_turn_with_one_side_effect_waits_for_two() {
    let (all, waited) = commits("pay").await;
    assert_eq!(waited, 2, "for the intent and for the end");
    assert!((3..=4).contains(&all), "{all}: the result may share the commit of the end");
}

#[tokio::test]
async fn a_turn_with_a_pure_tool_waits_for_one() {
    let (all, waited) = commits("look").await;
    assert_eq!(waited, 1, "nothing has to be on disk before it is looked at");
    assert!((2..=4).contains(&all), "{all}");
}
