//! Looms that share a PostgreSQL database, and what one does whose hold has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use loom_embed::base::{Clock, ErrorCode, Secret};
use loom_embed::mock::{MockProvider, Script};
use loom_embed::runtime::TurnRequest;
use loom_embed::tools::EffectClass;
use loom_embed::{FunctionTool, Loom, SystemIds};
use loom_testkit::{ManualClock, PostgresSchema};
use serde_json::json;

use crate::setup::{PATIENCE, agent, until};

/// Asks for a tool: at once, or later than the hold of a silent instance lasts.
const PAYS: &str = "
rules:
  - when: { contains: pay now }
    reply: { tool_calls: [{ name: pay, arguments: {} }] }
  - when: { contains: pay later }
    reply: { tool_calls: [{ name: pay, arguments: {} }], latency_ms: 9000 }
default: { text: fine }
";

/// A Loom on `schema`, with a tool that has an effect and counts how often it runs.
async fn paying(schema: &PostgresSchema, clock: &Arc<ManualClock>) -> (Loom, Arc<AtomicU32>) {
    paying_after(schema, clock, Duration::ZERO).await
}

/// The same, whose tool takes its time.
async fn paying_after(
    schema: &PostgresSchema,
    clock: &Arc<ManualClock>,
    pause: Duration,
) -> (Loom, Arc<AtomicU32>) {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let provider = MockProvider::new(Script::parse(PAYS).unwrap(), Arc::clone(&clock));
    let paid = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&paid);
    let pay = FunctionTool::new("pay", "Pays.", json!({ "type": "object" }), move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            tokio::time::sleep(pause).await;
            Ok(json!({}))
        }
    })
    .effect(EffectClass::Idempotent);
    let loom = Loom::builder()
        .postgres(Secret::new(schema.url()))
        .provider("scripted", "script-1", Arc::new(provider))
        .tool(pay)
        .agent(agent())
        .time(clock, Arc::new(SystemIds))
        .build()
        .await
        .unwrap();
    (loom, paid)
}

/// Lets time pass until `work` is done.
async fn in_time<T>(clock: &ManualClock, work: impl Future<Output = T>) -> T {
    let passing = async {
        loop {
            clock.advance(Duration::from_millis(100));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        done = work => done,
        never = passing => never,
    }
}

#[tokio::test]
async fn a_call_with_an_effect_does_not_start_when_the_hold_could_not_be_renewed() {
    let test = |schema: PostgresSchema| async move {
        let clock = Arc::new(ManualClock::default());
        let (loom, paid) = paying(&schema, &clock).await;
        // Renewals wait, all other writes go on.
        let held = schema.hold("SELECT FROM instances FOR UPDATE").await.unwrap();
        let running = loom.start(TurnRequest::new("pay later")).await.unwrap();
        let session = running.session.clone();
        let failed = in_time(&clock, running.end()).await.unwrap_err();
        assert_eq!(failed.error.code, ErrorCode::SessionElsewhere, "{}", failed.error);
        assert_eq!(paid.load(Ordering::SeqCst), 0);

        // From here on time stands still, so that what is renewed lasts.
        drop(held);
        let running = loom.start(TurnRequest::new("hello").in_session(session)).await.unwrap();
        assert_eq!(running.end().await.unwrap().text, "fine");
        assert_eq!(paid.load(Ordering::SeqCst), 1, "the turn went on first, where it had been left");
        loom.close(PATIENCE).await;
    };
    PostgresSchema::lend("embed", test).await.unwrap();
}

#[tokio::test]
async fn a_message_is_not_accepted_behind_a_turn_that_a_stop_leaves_unfinished() {
    let test = |schema: PostgresSchema| async move {
        let clock = Arc::new(ManualClock::default());
        let (loom, paid) = paying_after(&schema, &clock, Duration::from_hours(1)).await;
        let held = schema.hold("SELECT FROM instances FOR UPDATE").await.unwrap();
        let running = loom.start(TurnRequest::new("pay later")).await.unwrap();
        let session = running.session.clone();
        in_time(&clock, running.end()).await.unwrap_err();
        drop(held);
        let waiting = loom.start(TurnRequest::new("hello").in_session(session.clone()));
        let stopping = async {
            until("the turn before it has gone on", async || {
                (paid.load(Ordering::SeqCst) == 1).then_some(())
            })
            .await;
            in_time(&clock, loom.runtime().sessions().shut_down(Duration::ZERO)).await;
        };
        let (refused, ()) = tokio::join!(waiting, stopping);
        assert_eq!(refused.unwrap_err().code, ErrorCode::ShuttingDown);
        loom.close(Duration::ZERO).await;
        let (other, _) = paying(&schema, &clock).await;
        let running = other.start(TurnRequest::new("hello").in_session(session)).await.unwrap();
        assert_eq!(running.end().await.unwrap().text, "fine");
        other.close(PATIENCE).await;
    };
    PostgresSchema::lend("embed", test).await.unwrap();
}

#[tokio::test]
async fn a_session_is_its_owners_until_that_leaves() {
    let test = |schema: PostgresSchema| async move {
        let clock = Arc::new(ManualClock::default());
        let (loom, paid) = paying(&schema, &clock).await;
        let running = loom.start(TurnRequest::new("pay now")).await.unwrap();
        let session = running.session.clone();
        assert_eq!(running.end().await.unwrap().text, "fine");
        assert_eq!(paid.load(Ordering::SeqCst), 1, "an owner may do what has an effect");
        let (other, _) = paying(&schema, &clock).await;
        let refused = other.start(TurnRequest::new("hello").in_session(session.clone())).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::SessionElsewhere, "{refused}");
        assert!(refused.retry_after.is_some());
        loom.close(PATIENCE).await;
        let running = other.start(TurnRequest::new("hello").in_session(session)).await.unwrap();
        assert_eq!(running.end().await.unwrap().text, "fine");
        other.close(PATIENCE).await;
    };
    PostgresSchema::lend("embed", test).await.unwrap();
}

#[tokio::test]
async fn looms_that_start_at_once_have_the_same_agents() {
    let test = |schema: PostgresSchema| async move {
        let folder = crate::setup::folder();
        for number in 0..4 {
            let text = format!(
                "apiVersion: loom/v1\nkind: Agent\nmetadata: {{ name: agent-{number} }}\nspec: {{ system_prompt: Test. }}\n"
            );
            std::fs::write(folder.path().join(format!("{number}.yaml")), text).unwrap();
        }
        let starting = (0..4).map(|_| {
            let builder = Loom::builder().postgres(Secret::new(schema.url())).agents_dir(folder.path());
            tokio::spawn(builder.agent(agent()).build())
        });
        let mut known = Vec::new();
        for started in futures::future::join_all(starting).await {
            let loom = started.unwrap().unwrap();
            let agents = loom.runtime().agents().list();
            known.push(agents.iter().map(|agent| (agent.id.clone(), agent.version)).collect::<Vec<_>>());
            loom.close(PATIENCE).await;
        }
        assert_eq!(known[0].len(), 5);
        assert!(known.iter().all(|agents| *agents == known[0]), "{known:?}");
    };
    PostgresSchema::lend("embed", test).await.unwrap();
}
