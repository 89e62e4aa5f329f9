//! Turns that wait for their session: their time runs, they can be cancelled, and they go with the session.

use std::time::Duration;

use loom_embed::Loom;
use loom_embed::base::{ErrorCode, SessionId};
use loom_embed::runtime::{Error, Running, TurnRequest, WhenBusy};
use loom_store::Page;
use tokio::time::timeout;

use crate::setup::{PATIENCE, folder, loom};

const SLOW: &str = "
rules: [{ when: { contains: slow }, reply: { text: never said, latency_ms: 600000 } }]
default: { text: fine }
";

/// A session whose turn does not end by itself.
async fn busy(loom: &Loom) -> Running {
    loom.start(TurnRequest::new("a slow one")).await.unwrap()
}

fn next_in(session: &SessionId) -> TurnRequest {
    TurnRequest::new("and now?").in_session(session.clone())
}

/// Why a message that waited was not answered.
async fn unanswered(started: Result<Running, Error>) -> ErrorCode {
    match started {
        Ok(running) => running.end().await.unwrap_err().error.code,
        Err(error) => error.code,
    }
}

async fn messages(loom: &Loom, session: &SessionId) -> u64 {
    let page = Page::new(0, 0);
    let local = loom_access::Principal::Local;
    loom.runtime().sessions().history(session, local, page).await.unwrap().messages.total
}

#[tokio::test]
async fn a_turn_whose_time_ends_while_it_waits_says_so_at_once_and_never_runs() {
    let folder = folder();
    let loom = loom(folder.path(), SLOW).await;
    let first = busy(&loom).await;
    let hurried = || TurnRequest { timeout: Some(Duration::from_millis(20)), ..next_in(&first.session) };
    let ask = async || unanswered(loom.start(hurried()).await).await;
    let waiting = timeout(PATIENCE, async { tokio::join!(ask(), ask()) }).await.unwrap();
    assert_eq!(waiting, (ErrorCode::DeadlineExceeded, ErrorCode::DeadlineExceeded));
    first.cancel();
    first.end().await.unwrap_err();
    let last = loom.start(next_in(&first.session)).await.unwrap();
    assert_eq!(last.end().await.unwrap().text, "fine");
    assert_eq!(messages(&loom, &first.session).await, 3, "the cancelled question, the last one, its answer");
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn a_turn_that_is_cancelled_while_it_waits_never_runs() {
    let folder = folder();
    let loom = loom(folder.path(), SLOW).await;
    let first = busy(&loom).await;
    let waiting = next_in(&first.session);
    let cancel = waiting.cancel.clone();
    let cancelling = async {
        cancel.cancel();
    };
    let (waiting, ()) =
        timeout(PATIENCE, async { tokio::join!(loom.start(waiting), cancelling) }).await.unwrap();
    assert_eq!(unanswered(waiting).await, ErrorCode::Cancelled);
    first.cancel();
    first.end().await.unwrap_err();
    let last = loom.start(next_in(&first.session)).await.unwrap();
    assert_eq!(last.end().await.unwrap().text, "fine");
    assert_eq!(messages(&loom, &first.session).await, 3, "the cancelled question, the last one, its answer");
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn a_deleted_session_ends_its_running_turn_and_those_that_wait() {
    let folder = folder();
    let loom = loom(folder.path(), SLOW).await;
    let running = busy(&loom).await;
    let sessions = loom.runtime().sessions();
    let local = loom_access::Principal::Local;
    let deleted = async {
        // The waiting one is in its session's box by now: it was polled first.
        sessions.delete(&running.session, local).await
    };
    let (waiting, deleted) =
        timeout(PATIENCE, async { tokio::join!(loom.start(next_in(&running.session)), deleted) })
            .await
            .unwrap();
    deleted.unwrap();
    assert_eq!(unanswered(waiting).await, ErrorCode::Cancelled);
    assert_eq!(running.end().await.unwrap_err().error.code, ErrorCode::Cancelled);
    let gone = sessions.get(&running.session, local).await.unwrap_err();
    assert_eq!(gone.code, ErrorCode::SessionNotFound);
    assert_eq!(loom.ask("hello?").await.unwrap().text, "fine");
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn a_message_that_is_not_to_wait_is_refused_or_comes_in_between() {
    let folder = folder();
    let loom = loom(folder.path(), SLOW).await;
    let first = busy(&loom).await;
    let with = |when_busy| TurnRequest { when_busy: Some(when_busy), ..next_in(&first.session) };
    let refused = loom.start(with(WhenBusy::Reject)).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::SessionBusy);
    assert!(refused.message.contains(&first.turn.to_string()), "{refused}");
    let next = loom.start(with(WhenBusy::Interrupt)).await.unwrap();
    assert_eq!(next.end().await.unwrap().text, "fine");
    assert_eq!(first.end().await.unwrap_err().error.code, ErrorCode::Cancelled);
    let free = loom.start(with(WhenBusy::Reject)).await.unwrap();
    assert_eq!(free.end().await.unwrap().text, "fine");
    loom.close(PATIENCE).await;
}
