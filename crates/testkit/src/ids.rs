//! Ids that a test can predict.

use std::sync::atomic::{AtomicU64, Ordering};

use loom_base::IdSource;
use uuid::{Builder, Uuid};

/// Counts from 1. The ids have the shape of version 7 UUIDs and sort in the order they were made.
#[derive(Debug, Default)]
pub struct CountingIds {
    made: AtomicU64,
}

impl IdSource for CountingIds {
    fn uuid(&self) -> Uuid {
        let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        let mut tail = [0; 10];
        tail[2..].copy_from_slice(&number.to_be_bytes());
        Builder::from_unix_timestamp_millis(number, &tail).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_are_ordered_and_have_the_version() {
        let ids = CountingIds::default();
        let made: Vec<_> = (0..300).map(|_| ids.uuid()).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
        assert!(made.iter().all(|id| id.get_version_num() == 7));
        assert_eq!(CountingIds::default().uuid(), made[0]);
    }
}
