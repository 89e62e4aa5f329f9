//! Readers that go on where they were.

use loom_agent::CallOutcome;

use super::*;

fn asked(call: u32) -> Progress {
    Progress::ModelStarted { call, attempt: 1 }
}

fn tool() -> Progress {
    Progress::ToolCompleted {
        call: CallId::new("c"),
        tool: "query".into(),
        outcome: CallOutcome::Succeeded,
        result: None,
        error: None,
        duration: Duration::ZERO,
    }
}

/// Two answers, each with text where the feed is lived, and a call between them.
fn feed(attempt: u32, retold: bool) -> Arc<Feed> {
    let feed = Feed::new(attempt, retold);
    let says = |text: &str| {
        if !retold {
            feed.push(Timestamp::default(), Progress::Delta(text.into()));
        }
    };
    feed.push(Timestamp::default(), asked(1));
    says("let me ");
    says("see");
    feed.at_event(1);
    feed.at_event(2);
    feed.push(Timestamp::default(), tool());
    feed.push(Timestamp::default(), asked(2));
    says("fi");
    says("ve");
    feed.at_event(3);
    let error = Error::new(loom_base::ErrorCode::Cancelled, "over");
    feed.push(Timestamp::default(), Progress::Failed(Arc::new(TurnFailure::of(error))));
    feed.durable(4);
    Arc::new(feed)
}

/// What a reader sees that goes on after `after`.
async fn seen(feed: &Arc<Feed>, after: &str) -> Vec<String> {
    let items = Arc::clone(feed).read(Some(after.parse().unwrap()));
    let shown = items.map(|item| match item.progress {
        Progress::Restarted => format!("{} restarted", item.id),
        Progress::Delta(text) => format!("{} {text}", item.id),
        _ => item.id.to_string(),
    });
    shown.collect().await
}

#[tokio::test]
async fn the_same_attempt_goes_on_exactly_after_any_item() {
    for attempt in [0, 1] {
        let feed = feed(attempt, false);
        let all: Vec<_> = Arc::clone(&feed).read(None).map(|item| item.id).collect().await;
        for (position, after) in all.iter().enumerate() {
            let rest: Vec<_> = Arc::clone(&feed).read(Some(*after)).map(|item| item.id).collect().await;
            assert_eq!(rest, all[position + 1..], "after {after}");
            assert_eq!(feed.until(*after).len(), position + 1);
        }
    }
}

#[tokio::test]
async fn another_attempts_text_is_void_and_only_that_answer_comes_anew() {
    let feed = feed(1, false);
    let rest = ["1.2.2 fi", "1.2.3 ve", "1.3.0"];
    assert_eq!(seen(&feed, "0.2.9").await, [&["1.2.1 restarted"][..], &rest].concat());
    // The first item is a place like others: a reader that breaks off right after it misses nothing.
    assert_eq!(seen(&feed, "1.2.1").await, rest);
    // Of the answer before, all was seen; what the journal tells of the event was not.
    assert_eq!(seen(&feed, "0.2.0").await, [&["1.2.0 restarted", "1.2.1"][..], &rest].concat());
}

#[tokio::test]
async fn a_turn_that_is_over_is_void_only_for_who_saw_text() {
    let feed = feed(0, true);
    assert_eq!(seen(&feed, "0.2.3").await, ["0.2.1 restarted", "0.3.0"]);
    assert_eq!(seen(&feed, "0.2.0").await, ["0.2.1", "0.3.0"]);
    assert_eq!(seen(&feed, "0.3.0").await, [""; 0], "who saw the end is told nothing");
}
