//! Keeps a full-text index near the messages.

use std::sync::Arc;
use std::time::Duration;

use loom_base::Clock;

use crate::{Queue, Write};

/// Messages indexed in one transaction: few, because turns wait behind it.
const CHUNK: u32 = 128;
/// The index waits until no messages have come for this long, so that it does not take turns with a busy writer.
const QUIET: Duration = Duration::from_millis(250);
/// It waits so often at most: then there is no quiet, and what is not indexed makes searches slow.
const MOST_WAITS: u32 = 20;

/// Indexes new messages until the writer ends. `index_more` indexes so many at most, and replies with how many it has.
pub async fn follow_messages<C, W>(queue: Queue<C>, clock: Arc<dyn Clock>, index_more: impl Fn(u32) -> W)
where
    C: Send + 'static,
    W: Write<C, Reply = u32>,
{
    let mut messages = queue.messages();
    loop {
        messages.borrow_and_update();
        loop {
            match queue.write(index_more(CHUNK)).await {
                Ok(indexed) if indexed < CHUNK => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the full-text index falls behind");
                    break;
                }
            }
        }
        if messages.changed().await.is_err() {
            return;
        }
        for _ in 0..MOST_WAITS {
            clock.sleep(QUIET).await;
            if !messages.has_changed().unwrap_or(false) {
                break;
            }
            messages.borrow_and_update();
        }
    }
}
