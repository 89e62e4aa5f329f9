//! Sessions: continuity, restarts, context resets, order.

use loom_embed::llm::Role;
use loom_embed::runtime::TurnRequest;
use loom_store::Page;

use crate::setup::{PATIENCE, agent, folder, loom, loom_with};

/// Says how many turns it can see.
const COUNTS: &str = "
rules:
  - { when: { turn: 1 }, reply: { text: 'one' } }
  - { when: { turn: 2 }, reply: { text: 'two' } }
  - { when: { turn: 3 }, reply: { text: 'three' } }
default: { text: 'many' }
";

#[tokio::test]
async fn a_conversation_goes_on_after_a_restart() {
    let folder = folder();
    let first = loom(folder.path(), COUNTS).await;
    let running = first.start(TurnRequest::new("a")).await.unwrap();
    assert_eq!(running.end().await.unwrap().text, "one");
    let session = running.session.clone();
    let next = first.start(TurnRequest::new("b").in_session(session.clone())).await.unwrap();
    assert_eq!(next.end().await.unwrap().text, "two");
    first.close(PATIENCE).await;

    let second = loom(folder.path(), COUNTS).await;
    let next = second.start(TurnRequest::new("c").in_session(session.clone())).await.unwrap();
    assert_eq!(next.end().await.unwrap().text, "three");
    let local = loom_access::Principal::Local;
    let history = second.runtime().sessions().history(&session, local, Page::new(0, 0)).await.unwrap();
    let roles: Vec<_> = history.messages.items.iter().map(|record| record.message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant].repeat(3));
    let record = second.runtime().sessions().get(&session, local).await.unwrap();
    assert_eq!((record.totals.turns, record.totals.messages), (3, 6));
    second.close(PATIENCE).await;
}

#[tokio::test]
async fn a_reset_hides_what_was_said_and_keeps_it() {
    let folder = folder();
    let loom = loom(folder.path(), COUNTS).await;
    let session = loom.start(TurnRequest::new("a")).await.unwrap().session;
    let reset = TurnRequest { reset_context: true, ..TurnRequest::new("b").in_session(session.clone()) };
    assert_eq!(loom.start(reset).await.unwrap().end().await.unwrap().text, "one");
    let local = loom_access::Principal::Local;
    let history = loom.runtime().sessions().history(&session, local, Page::new(0, 0)).await.unwrap();
    assert_eq!(history.messages.total, 4);
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn old_turns_leave_the_context_whole_stay_stored_and_are_counted() {
    let folder = folder();
    let mut small = agent();
    small.memory.l1 = 400;
    let loom = loom_with(folder.path(), "default: { text: 'ok' }", small).await;
    let mut session = None;
    let mut dropped = 0;
    for _ in 0..10 {
        let mut request = TurnRequest::new("x".repeat(150));
        request.session.clone_from(&session);
        let running = loom.start(request).await.unwrap();
        session = Some(running.session.clone());
        dropped = running.end().await.unwrap().report.context.messages_dropped;
    }
    assert!(dropped > 0 && dropped % 2 == 0, "{dropped} messages were dropped");
    let local = loom_access::Principal::Local;
    let session = session.unwrap();
    let history = loom.runtime().sessions().history(&session, local, Page::new(0, 0)).await.unwrap();
    assert_eq!(history.messages.total, 20);
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn messages_of_one_session_are_answered_in_their_order() {
    let folder = folder();
    let loom = loom(folder.path(), "default: { text: '{{user}}', latency_ms: 5 }").await;
    let session: loom_embed::base::SessionId = "mine".parse().unwrap();
    let asked = (0..8).map(|n| loom.start(TurnRequest::new(n.to_string()).in_session(session.clone())));
    for running in futures::future::join_all(asked).await {
        running.unwrap().end().await.unwrap();
    }
    let local = loom_access::Principal::Local;
    let history = loom.runtime().sessions().history(&session, local, Page::new(0, 0)).await.unwrap();
    let texts: Vec<_> = history
        .messages
        .items
        .iter()
        .map(|record| record.message.content[0].as_text().unwrap().to_owned())
        .collect();
    let expected: Vec<_> = (0..8).flat_map(|n| [n.to_string(), n.to_string()]).collect();
    assert_eq!(texts, expected);
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn a_second_loom_on_the_same_data_is_refused_and_told_who_holds_it() {
    let folder = folder();
    let first = loom(folder.path(), COUNTS).await;
    let second = loom_embed::Loom::builder().data_dir(folder.path()).build().await;
    let error = second.err().unwrap();
    assert_eq!(error.code, loom_embed::base::ErrorCode::DataDirLocked);
    assert!(error.message.contains(&std::process::id().to_string()), "{error}");
    first.close(PATIENCE).await;
    loom(folder.path(), COUNTS).await.close(PATIENCE).await;
}
