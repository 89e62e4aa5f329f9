//! When things arrive, and which calls fail.

use std::time::Duration;

use loom_base::Timestamp;
use loom_llm::{ErrorClass, LlmProvider, Message, Role};

use crate::{ask, chunks, mock, request};

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[tokio::test]
async fn latency_comes_before_acceptance_and_ttft_after() {
    let (mock, clock) = mock(
        "{ latency_ms: 20, ttft_ms: 100, chunk_size: 1, chunk_delay_ms: 5,
           rules: [{ when: { contains: slow }, reply: { text: x, latency_ms: 900 } }], default: { text: abc } }",
    );
    let stream = mock.stream(ask("x")).await.unwrap();
    assert_eq!(clock.sleeps(), [millis(20)]);
    drop(stream);
    chunks(&mock, ask("x")).await;
    assert_eq!(clock.sleeps()[1..], [millis(20), millis(100), millis(5), millis(5)]);
    chunks(&mock, ask("slow")).await;
    assert_eq!(clock.sleeps()[5], millis(900));
}

#[tokio::test]
async fn jitter_follows_from_seed_and_effect_and_stays_in_bounds() {
    let run = async |seed: u64| {
        let (mock, clock) = mock(&format!("{{ seed: {seed}, latency_ms: 20, jitter_ms: 30 }}"));
        for number in 1..=50 {
            let message = Message::text(Role::User, "x");
            mock.complete(request(vec![message], number, None)).await.unwrap();
        }
        clock.sleeps()
    };
    let sleeps = run(1).await;
    assert!(sleeps.iter().all(|sleep| (millis(20)..=millis(50)).contains(sleep)));
    let (shortest, longest) = (sleeps.iter().min().unwrap(), sleeps.iter().max().unwrap());
    assert!(*shortest < millis(25) && *longest > millis(45), "{shortest:?} to {longest:?}");
    assert_eq!(sleeps, run(1).await);
    assert_ne!(sleeps, run(2).await);
}

#[tokio::test]
async fn errors_are_injected_at_their_rate_and_the_same_calls_fail_again() {
    let run = async || {
        let (mock, _) = mock("{ seed: 3, error_rate: 0.25 }");
        let mut failed = Vec::new();
        for number in 1..=1_000 {
            let message = Message::text(Role::User, "x");
            if let Err(error) = mock.complete(request(vec![message], number, None)).await {
                assert_eq!(error.class, ErrorClass::Transient);
                failed.push(number);
            }
        }
        assert_eq!(mock.calls().refused, failed.len() as u64);
        failed
    };
    let failed = run().await;
    assert!((200..300).contains(&failed.len()), "{}", failed.len());
    assert_eq!(failed, run().await);
}

#[tokio::test]
async fn a_deadline_ends_the_wait() {
    let (mock, clock) = mock("{ latency_ms: 40, ttft_ms: 40, default: { text: x } }");
    let by = |limit: u64| {
        let deadline = Timestamp::from_micros(0) + clock.sleeps().iter().sum() + millis(limit);
        request(vec![Message::text(Role::User, "x")], 1, Some(deadline))
    };
    let refused = mock.stream(by(10)).await.err().unwrap();
    assert_eq!(refused.class, ErrorClass::Deadline);
    assert_eq!(clock.sleeps(), [millis(10)]);
    let arrivals = chunks(&mock, by(60)).await;
    assert_eq!(arrivals.len(), 2);
    assert_eq!(arrivals[1].as_ref().unwrap_err().class, ErrorClass::Deadline);
}
