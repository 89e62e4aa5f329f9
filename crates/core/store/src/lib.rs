//! The contract between Loom and what it remembers: one trait for each aggregate, their records, and the unit of work
//! by which a turn commits.
//!
//! It knows no database and no driver; every implementation passes one conformance suite (feature `conformance`).

pub mod admission;
mod agent;
mod budget;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod fork;
mod health;
mod hint;
mod lease;
mod message;
mod page;
mod session;
mod span;
mod transfer;
mod turn;
mod upkeep;
pub mod words;

use std::sync::Arc;

pub use agent::{AgentRecord, AgentSource, AgentStore};
pub use budget::{Borrow, BudgetKey, BudgetStore, BudgetUsage, Lent};
pub use error::Error;
pub use fork::{Copied, ForkPlan, ForkPoint, Forkable, NewFork, Origin, RESERVED_METADATA};
pub use health::{HealthStore, PoolUse, StoreKind, StoreStatus};
pub use hint::{Hint, HintStore, Hints};
pub use lease::{Claim, Claimed, LeaseStore, Renewal};
pub use message::{MessageHit, MessageRecord, MessageStore, NewMessage, SearchQuery};
pub use page::{Listed, Page};
pub use session::{
    AgentTotals, NewSession, SessionFilter, SessionRecord, SessionState, SessionStore, SessionTotals,
    WhenBusy,
};
pub use span::{SpanRecord, SpanStore};
pub use transfer::{
    Cell, Cells, LEFT_BEHIND, Migrated, TABLES, Table, TableReader, TableWriter, TransferStore,
};
pub use turn::{
    Advance, ApprovalAnswer, CallChange, CallResolution, CallStart, CutOff, EndNotes, IdempotencyKey,
    Journal, NewTurn, PatternUse, Queueing, Receipt, RequestKey, ToolCallRecord, TurnEnd, TurnRecord,
    TurnStore, UnfinishedTurn, Waiting, WaitingCall, WaitingFor,
};
pub use upkeep::{Damage, Removed, SessionReader, Shrunk, StoreCounts, Stored, StoredTurn, UpkeepStore};

/// All stores of one Loom, behind one database.
#[derive(Clone)]
pub struct Stores {
    /// Conversations.
    pub sessions: Arc<dyn SessionStore>,
    /// Turns and their journals.
    pub turns: Arc<dyn TurnStore>,
    /// Messages and their full-text index.
    pub messages: Arc<dyn MessageStore>,
    /// Agent definitions and their versions.
    pub agents: Arc<dyn AgentStore>,
    /// Spans beyond those that the journal tells.
    pub spans: Arc<dyn SpanStore>,
    /// Which of those that share the database owns a session.
    pub leases: Arc<dyn LeaseStore>,
    /// What budgets count.
    pub budgets: Arc<dyn BudgetStore>,
    /// What others that share the database say of it.
    pub hints: Arc<dyn HintStore>,
    /// Whether all that works.
    pub health: Arc<dyn HealthStore>,
    /// What moves all of it to another store.
    pub transfer: Arc<dyn TransferStore>,
    /// What looks after all of it.
    pub upkeep: Arc<dyn UpkeepStore>,
}
