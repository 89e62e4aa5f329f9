//! Messages that wait in the queue of their session: stored before anybody is told, in order, and begun also after a kill.

use std::time::Duration;

use loom_access::Principal;
use loom_embed::Loom;
use loom_embed::base::{Digest, ErrorCode, SessionId, TurnId};
use loom_embed::runtime::{AgentBudgets, Budget, Running, SessionDraft, TurnRequest, WhenBusy};
use loom_store::{IdempotencyKey, Page, RequestKey};

use crate::setup::{PATIENCE, agent, assert_sound, folder, kill, loom, loom_with};

const ME: Principal = Principal::Local;
const SLOW: &str = "
rules: [{ when: { contains: slow }, reply: { text: never said, latency_ms: 600000 } }]
default: { text: fine }
";
const QUICK: &str = "default: { text: fine }";

fn said(session: &SessionId, text: &str) -> TurnRequest {
    TurnRequest::new(text).in_session(session.clone())
}

/// What users said in a session, in order.
async fn questions(loom: &Loom, session: &SessionId) -> Vec<String> {
    let history = loom.runtime().sessions().history(session, ME, Page::new(0, 0)).await.unwrap();
    let messages = history.messages.items.into_iter().map(|record| record.message);
    messages
        .filter(|message| message.role == loom_embed::llm::Role::User)
        .map(|message| format!("{:?}", message.content))
        .collect()
}

async fn queued(loom: &Loom) -> Vec<TurnId> {
    let listed = loom.runtime().sessions().unfinished(ME, Page::new(0, 0)).await.unwrap();
    listed.items.into_iter().filter(|turn| turn.is_queued).map(|turn| turn.turn).collect()
}

async fn attach(loom: &Loom, turn: TurnId) -> Running {
    loom.runtime().sessions().attach(turn, None, ME).await.unwrap()
}

#[tokio::test]
async fn what_waits_is_stored_in_order_and_answered_after_a_kill() {
    let folder = folder();
    let first = loom(folder.path(), SLOW).await;
    let running = first.start(TurnRequest::new("a slow one")).await.unwrap();
    let key = RequestKey { principal: "local".into(), method: "Weave".into(), key: "k".into() };
    let key = IdempotencyKey { key, digest: Digest::of("2") };
    let mut turns = Vec::new();
    for number in 1..=4 {
        let keyed = (number == 2).then(|| key.clone());
        let request = TurnRequest { key: keyed, ..said(&running.session, &format!("number {number}")) };
        turns.push(first.start(request).await.unwrap().turn);
    }
    assert_eq!(queued(&first).await, turns);
    // The same request is the same turn, while it waits too.
    let again = || TurnRequest { key: Some(key.clone()), ..said(&running.session, "number 2") };
    assert_eq!(first.start(again()).await.unwrap().turn, turns[1]);
    // The third is given up, and that is remembered.
    let third = attach(&first, turns[2]).await;
    first.runtime().sessions().cancel_turn(turns[2], ME).await.unwrap();
    assert_eq!(third.end().await.unwrap_err().error.code, ErrorCode::Cancelled);
    assert_sound(&first).await;

    let folder = kill(first, &folder).await;
    let second = loom(folder.path(), QUICK).await;
    for turn in [running.turn, turns[0], turns[1], turns[3]] {
        assert_eq!(attach(&second, turn).await.end().await.unwrap().text, "fine");
    }
    assert_eq!(second.start(again()).await.unwrap().turn, turns[1]);
    let given_up = attach(&second, turns[2]).await.end().await;
    assert_eq!(given_up.unwrap_err().error.code, ErrorCode::Cancelled);
    let asked = questions(&second, &running.session).await;
    let order: Vec<_> = ["slow", "number 1", "number 2", "number 4"].into_iter().collect();
    assert_eq!(asked.len(), order.len(), "{asked:?}");
    assert!(asked.iter().zip(order).all(|(asked, part)| asked.contains(part)), "{asked:?}");
    assert_eq!(queued(&second).await, []);
    assert_sound(&second).await;
    second.close(PATIENCE).await;
}

#[tokio::test]
async fn an_orderly_stop_leaves_what_waits_for_the_next_start() {
    let folder = folder();
    let first = loom(folder.path(), SLOW).await;
    let running = first.start(TurnRequest::new("a slow one")).await.unwrap();
    let waiting = first.start(said(&running.session, "and then?")).await.unwrap();
    first.close(Duration::ZERO).await;
    assert_eq!(waiting.end().await.unwrap_err().error.code, ErrorCode::ShuttingDown);

    // It stops the turn before it, and is not stopped with it.
    let second = loom(folder.path(), SLOW).await;
    second.runtime().sessions().cancel_turn(running.turn, ME).await.unwrap();
    assert_eq!(attach(&second, waiting.turn).await.end().await.unwrap().text, "fine");
    assert_sound(&second).await;
    second.close(PATIENCE).await;
}

#[tokio::test]
async fn the_queue_is_bounded() {
    let folder = folder();
    let loom = loom(folder.path(), SLOW).await;
    let running = loom.start(TurnRequest::new("a slow one")).await.unwrap();
    for _ in 0..16 {
        loom.start(said(&running.session, "more")).await.unwrap();
    }
    let refused = loom.start(said(&running.session, "too much")).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::QueueFull);
    assert_eq!(queued(&loom).await.len(), 16);
    loom.close(Duration::ZERO).await;
}

#[tokio::test]
async fn a_turn_that_cannot_begin_says_why_now_and_later() {
    let folder = folder();
    let mut definition = agent();
    let hurried = Budget { time: Some(Duration::from_millis(300)), ..Budget::default() };
    definition.budgets = AgentBudgets { session: hurried, ..AgentBudgets::default() };
    let first = loom_with(folder.path(), SLOW, definition.clone()).await;
    let running = first.start(TurnRequest::new("a slow one")).await.unwrap();
    let waiting = first.start(said(&running.session, "and then?")).await.unwrap();
    assert_eq!(running.end().await.unwrap_err().error.code, ErrorCode::DeadlineExceeded);
    let refused = waiting.end().await.unwrap_err();
    assert_eq!(refused.error.code, ErrorCode::BudgetExceeded, "{}", refused.error);
    assert_sound(&first).await;
    first.close(PATIENCE).await;
    let second = loom_with(folder.path(), SLOW, definition).await;
    let again = attach(&second, waiting.turn).await.end().await.unwrap_err();
    assert_eq!((again.error.code, &again.error.message), (refused.error.code, &refused.error.message));
    second.close(PATIENCE).await;
}

#[tokio::test]
async fn a_message_says_what_becomes_of_it_or_its_session_or_its_agent() {
    let folder = folder();
    let mut definition = agent();
    definition.behavior.when_busy = WhenBusy::Reject;
    let loom = loom_with(folder.path(), SLOW, definition).await;
    let session = async |when_busy| {
        let draft = SessionDraft { when_busy, ..SessionDraft::default() };
        let id = loom.runtime().sessions().create(draft, ME).await.unwrap().id;
        let running = loom.start(said(&id, "a slow one")).await.unwrap();
        (id, running)
    };
    let (id, _running) = session(None).await;
    assert_eq!(loom.start(said(&id, "more")).await.unwrap_err().code, ErrorCode::SessionBusy);
    let waits = TurnRequest { when_busy: Some(WhenBusy::Queue), ..said(&id, "more") };
    loom.start(waits).await.unwrap();

    let (id, running) = session(Some(WhenBusy::Interrupt)).await;
    assert_eq!(loom.start(said(&id, "more")).await.unwrap().end().await.unwrap().text, "fine");
    assert_eq!(running.end().await.unwrap_err().error.code, ErrorCode::Cancelled);
    let stored = loom.runtime().sessions().get(&id, ME).await.unwrap();
    assert_eq!(stored.when_busy, Some(WhenBusy::Interrupt));
    loom.close(Duration::ZERO).await;
}
