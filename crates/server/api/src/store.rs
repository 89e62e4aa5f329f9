//! What is answered about the store, for those who look after it with a server and without one.

use std::path::Path;

use loom_proto::v1::{
    BackUpStoreResponse, CleanUpStoreResponse, DescribeStoreResponse, MigrateStoreResponse,
    StorageBackendType, StoreViolation, VacuumStoreResponse, VerifyStoreResponse,
};
use loom_runtime::{Error, StoreFacts, Upkeep, Verified, Violation};
use loom_store::{Removed, StoreKind};

/// Things wrong that an answer lists; all of them are counted.
const MOST_LISTED: usize = 1_000;

/// What the store is and holds.
pub async fn describe(upkeep: &Upkeep<'_>) -> Result<DescribeStoreResponse, Error> {
    let StoreFacts { status, counts } = upkeep.facts().await?;
    let kind = match status.kind {
        StoreKind::Sqlite => StorageBackendType::Sqlite,
        StoreKind::Postgres => StorageBackendType::Postgres,
    };
    Ok(DescribeStoreResponse {
        kind: kind.into(),
        migration: status.migration,
        bytes: long(status.bytes.unwrap_or(0)),
        sessions: long(counts.sessions),
        turns: long(counts.turns),
        unfinished_turns: long(counts.unfinished),
        messages: long(counts.messages),
        unknown_effects: long(counts.unknown_effects),
        pending_approvals: long(counts.pending_approvals),
    })
}

/// Whether what is stored is sound.
pub async fn verify(upkeep: &Upkeep<'_>) -> Result<VerifyStoreResponse, Error> {
    let mut violations = Vec::new();
    let mut keep = |Violation { what, problem }| {
        if violations.len() < MOST_LISTED {
            violations.push(StoreViolation { subject: what, problem });
        }
    };
    let Verified { sessions, turns, events, messages, calls, violations: count } =
        upkeep.verify(&mut keep).await?;
    Ok(VerifyStoreResponse {
        sessions: long(sessions),
        turns: long(turns),
        events: long(events),
        messages: long(messages),
        tool_calls: long(calls),
        violation_count: long(count),
        violations,
    })
}

/// Writes a copy of the store to the new file `file`.
pub async fn back_up(upkeep: &Upkeep<'_>, file: &Path) -> Result<BackUpStoreResponse, Error> {
    let bytes = upkeep.back_up(file).await?;
    Ok(BackUpStoreResponse { path: file.display().to_string(), bytes: long(bytes) })
}

/// Brings the schema up to date.
pub async fn migrate(upkeep: &Upkeep<'_>) -> Result<MigrateStoreResponse, Error> {
    let migrated = upkeep.migrate().await?;
    Ok(MigrateStoreResponse { before: migrated.before, after: migrated.after })
}

/// Gives room back to the file system.
pub async fn vacuum(upkeep: &Upkeep<'_>) -> Result<VacuumStoreResponse, Error> {
    let shrunk = upkeep.vacuum().await?;
    Ok(VacuumStoreResponse { bytes_before: long(shrunk.before), bytes_after: long(shrunk.after) })
}

/// What a clean-up removed.
pub fn cleaned_up(removed: Removed) -> CleanUpStoreResponse {
    CleanUpStoreResponse {
        sessions: long(removed.sessions),
        turns: long(removed.turns),
        messages: long(removed.messages),
    }
}

fn long(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
