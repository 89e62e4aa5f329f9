//! A store that a scheduler can see into: what turns need of one, in memory, with the product's own rules of what may be written
//! ([`loom_store::admission`]). A real database has threads of its own, which no scheduler of ours decides about.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use loom_base::{AgentId, Digest, EffectId, InstanceId, MessageId, SessionId, Timestamp, TraceId, TurnId};
use loom_store::admission::{Heads, SessionHead, TurnHead};
use loom_store::{
    Advance, AgentRecord, AgentStore, AgentTotals, Borrow, BudgetKey, BudgetStore, BudgetUsage,
    CallResolution, Claim, Claimed, CutOff, Damage, Error, HealthStore, Hint, HintStore, Hints, Journal,
    LeaseStore, Lent, Listed, MessageHit, MessageRecord, MessageStore, Migrated, NewFork, NewSession, Page,
    Receipt, Removed, Renewal, RequestKey, SearchQuery, SessionFilter, SessionReader, SessionRecord,
    SessionState, SessionStore, SessionTotals, Shrunk, SpanRecord, SpanStore, StoreCounts, StoreStatus,
    Stores, TableReader, TableWriter, ToolCallRecord, TransferStore, TurnRecord, TurnStore, UnfinishedTurn,
    UpkeepStore, WaitingCall, WaitingFor,
};
use shuttle::sync::{Mutex, MutexGuard};

/// What is stored.
#[derive(Default)]
struct Rows {
    sessions: HashMap<SessionId, SessionRecord>,
    turns: HashMap<TurnId, TurnHead>,
    agents: BTreeMap<AgentId, AgentRecord>,
}

/// The store.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Rows>>);

impl Memory {
    /// It, as every store.
    pub(crate) fn stores(&self) -> Stores {
        let all = Arc::new(self.clone());
        Stores {
            sessions: all.clone(),
            turns: all.clone(),
            messages: all.clone(),
            agents: all.clone(),
            spans: all.clone(),
            leases: all.clone(),
            budgets: all.clone(),
            hints: all.clone(),
            health: all.clone(),
            transfer: all.clone(),
            upkeep: all,
        }
    }

    /// How many turns of a session have ended.
    pub(crate) fn ended_turns(&self, session: &str) -> usize {
        self.rows().turns.values().filter(|turn| turn.session.as_str() == session && turn.ended).count()
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().expect("nobody panics while holding it")
    }

    fn write(&self, step: &Advance) -> Result<(), Error> {
        let mut rows = self.rows();
        let mut heads = Heads::default();
        if let Some(session) = rows.sessions.get(&step.session) {
            let runs = |turn: &TurnHead| turn.session == step.session && !turn.ended && !turn.queued;
            let unfinished = rows.turns.iter().find(|(_, turn)| runs(turn)).map(|(id, _)| *id);
            let head = SessionHead::stored(session.epoch, session.next_message, unfinished);
            heads.sessions.insert(step.session.clone(), head);
        }
        if let Some(turn) = rows.turns.get(&step.turn) {
            heads.turns.insert(step.turn, turn.clone());
        }
        heads.admit(0, step)?;
        let runs = !heads.turns.get(&step.turn).is_some_and(|turn| turn.queued || turn.ended);
        let open = |turn: &TurnHead| turn.session == step.session && !turn.ended && !turn.queued;
        let others = rows.turns.iter().filter(|(id, turn)| **id != step.turn && open(turn)).count();
        assert!(!runs || others == 0, "two turns of one session run at once");
        if let (Some(session), Some(head)) =
            (rows.sessions.get_mut(&step.session), heads.sessions.get(&step.session))
        {
            session.next_message = head.next_message;
        }
        rows.turns.extend(heads.turns.into_iter().map(|(id, turn)| (id, turn.settled())));
        Ok(())
    }
}

/// Lets others go first, as a real store does.
async fn elsewhere() {
    shuttle::future::yield_now().await;
}

/// What no turn needs is not there.
fn absent<T>() -> Result<T, Error> {
    Err(Error::Unavailable { reason: "this store is only for turns".to_owned() })
}

#[async_trait]
impl SessionStore for Memory {
    async fn create(&self, new: NewSession) -> Result<SessionRecord, Error> {
        elsewhere().await;
        let mut rows = self.rows();
        if rows.sessions.contains_key(&new.id) {
            return Err(Error::Exists { what: format!("session {}", new.id) });
        }
        let record = SessionRecord {
            id: new.id.clone(),
            agent: new.agent,
            name: new.name,
            backend: new.backend,
            principal: new.principal,
            state: SessionState::Active,
            metadata: new.metadata,
            when_busy: new.when_busy,
            created_at: new.created_at,
            last_active: new.created_at,
            totals: SessionTotals::default(),
            context_start: 0,
            next_message: 0,
            epoch: 1,
        };
        rows.sessions.insert(new.id, record.clone());
        Ok(record)
    }

    async fn get(&self, id: &SessionId) -> Result<Option<SessionRecord>, Error> {
        elsewhere().await;
        Ok(self.rows().sessions.get(id).cloned())
    }

    async fn list(&self, _filter: &SessionFilter, _page: Page) -> Result<Listed<SessionRecord>, Error> {
        absent()
    }

    async fn totals_by_agent(&self) -> Result<BTreeMap<AgentId, AgentTotals>, Error> {
        absent()
    }

    async fn fork(&self, _fork: NewFork) -> Result<SessionRecord, Error> {
        absent()
    }

    async fn delete(&self, id: &SessionId) -> Result<bool, Error> {
        elsewhere().await;
        let mut rows = self.rows();
        rows.turns.retain(|_, turn| turn.session != *id);
        Ok(rows.sessions.remove(id).is_some())
    }
}

#[async_trait]
impl TurnStore for Memory {
    fn advance(&self, step: Advance) -> Receipt {
        let written = self.write(&step);
        Box::pin(async move {
            elsewhere().await;
            written
        })
    }

    async fn journal(&self, _turn: TurnId) -> Result<Option<Journal>, Error> {
        absent()
    }

    async fn of_trace(&self, _trace: TraceId, _most: u32) -> Result<Vec<TurnId>, Error> {
        absent()
    }

    async fn of_session(&self, _session: &SessionId, _page: Page) -> Result<Listed<TurnId>, Error> {
        absent()
    }

    async fn unfinished(&self, session: &SessionId) -> Result<Option<TurnId>, Error> {
        elsewhere().await;
        let rows = self.rows();
        let unfinished = rows.turns.iter().find(|(_, turn)| turn.session == *session && !turn.ended);
        assert!(unfinished.is_none(), "an actor reads a session while another runs a turn of it");
        Ok(None)
    }

    async fn queued(&self, session: &SessionId) -> Result<Vec<TurnRecord>, Error> {
        elsewhere().await;
        let rows = self.rows();
        let queued =
            rows.turns.iter().find(|(_, turn)| turn.session == *session && turn.queued && !turn.ended);
        assert!(queued.is_none(), "an actor reads a session while messages wait with another");
        Ok(Vec::new())
    }

    async fn all_unfinished(
        &self,
        _principal: Option<&str>,
        _page: Page,
    ) -> Result<Listed<UnfinishedTurn>, Error> {
        absent()
    }

    async fn recover(
        &self,
        _session: &SessionId,
        _epoch: u64,
        _turn: TurnId,
        _call: CutOff,
    ) -> Result<TurnRecord, Error> {
        absent()
    }

    async fn put_down(&self, _session: &SessionId, _epoch: u64, _turn: TurnId) -> Result<(), Error> {
        absent()
    }

    async fn waiting(
        &self,
        _what: WaitingFor,
        _principal: Option<&str>,
        _page: Page,
    ) -> Result<Listed<WaitingCall>, Error> {
        absent()
    }

    async fn resolve(&self, _effect: EffectId, _resolution: CallResolution) -> Result<(), Error> {
        absent()
    }

    async fn of_key(&self, _key: &RequestKey) -> Result<Option<(TurnId, Digest)>, Error> {
        absent()
    }

    async fn forget_keys(&self, _before: Timestamp) -> Result<u64, Error> {
        absent()
    }

    async fn calls_of(
        &self,
        _session: &SessionId,
        _messages: &[MessageId],
    ) -> Result<Vec<ToolCallRecord>, Error> {
        absent()
    }
}

#[async_trait]
impl MessageStore for Memory {
    async fn list(&self, _session: &SessionId, _page: Page) -> Result<Listed<MessageRecord>, Error> {
        absent()
    }

    async fn recent(
        &self,
        _session: &SessionId,
        _from: u64,
        _tokens: u64,
    ) -> Result<Vec<MessageRecord>, Error> {
        // What the model sees of earlier turns is not what this is about.
        elsewhere().await;
        Ok(Vec::new())
    }

    async fn of_turn(&self, _opening: MessageId, _most: u32) -> Result<Vec<MessageRecord>, Error> {
        absent()
    }

    async fn search(&self, _query: &SearchQuery) -> Result<Vec<MessageHit>, Error> {
        absent()
    }

    async fn index_more(&self, _limit: u32) -> Result<u32, Error> {
        absent()
    }
}

#[async_trait]
impl AgentStore for Memory {
    async fn put(&self, record: AgentRecord) -> Result<(), Error> {
        elsewhere().await;
        let mut rows = self.rows();
        if rows.agents.values().any(|other| other.name == record.name && other.id != record.id) {
            return Err(Error::Exists { what: format!("agent {:?}", record.name) });
        }
        rows.agents.insert(record.id.clone(), record);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<AgentRecord>, Error> {
        Ok(self.rows().agents.values().cloned().collect())
    }

    async fn version(&self, _id: &AgentId, _version: u32) -> Result<Option<AgentRecord>, Error> {
        absent()
    }

    async fn delete(&self, id: &AgentId) -> Result<bool, Error> {
        elsewhere().await;
        Ok(self.rows().agents.remove(id).is_some())
    }
}

#[async_trait]
impl LeaseStore for Memory {
    async fn join(&self, _instance: InstanceId, _address: &str, _ttl: Duration) -> Result<Renewal, Error> {
        Ok(Renewal::Held { remaining: None })
    }

    async fn renew(&self, _instance: InstanceId, _address: &str, _ttl: Duration) -> Result<Renewal, Error> {
        Ok(Renewal::Held { remaining: None })
    }

    async fn claim(&self, session: &SessionId, _instance: InstanceId) -> Result<Option<Claim>, Error> {
        elsewhere().await;
        Ok(self.rows().sessions.get(session).map(|session| Claim::Owned { epoch: session.epoch }))
    }

    async fn claim_unfinished(&self, _instance: InstanceId, _most: u32) -> Result<Vec<Claimed>, Error> {
        Ok(Vec::new())
    }

    async fn release(&self, _instance: InstanceId) -> Result<(), Error> {
        Ok(())
    }
}

#[async_trait]
impl BudgetStore for Memory {
    async fn usage(&self, _key: &BudgetKey) -> Result<BudgetUsage, Error> {
        Ok(BudgetUsage::default())
    }

    async fn borrow(&self, _borrow: Borrow) -> Result<Lent, Error> {
        absent()
    }

    async fn give_back(&self, _key: &BudgetKey, _instance: InstanceId) -> Result<(), Error> {
        Ok(())
    }
}

#[async_trait]
impl HintStore for Memory {
    async fn listen(&self) -> Result<Option<Box<dyn Hints>>, Error> {
        Ok(None)
    }

    async fn give(&self, _hint: Hint) -> Result<(), Error> {
        Ok(())
    }
}

#[async_trait]
impl SpanStore for Memory {
    async fn append(&self, _spans: Vec<SpanRecord>) -> Result<(), Error> {
        absent()
    }

    async fn of_trace(&self, _trace: TraceId) -> Result<Vec<SpanRecord>, Error> {
        absent()
    }
}

#[async_trait]
impl HealthStore for Memory {
    async fn status(&self) -> Result<StoreStatus, Error> {
        absent()
    }
}

#[async_trait]
impl TransferStore for Memory {
    async fn dump(&self) -> Result<Box<dyn TableReader>, Error> {
        absent()
    }

    async fn fill(&self) -> Result<Box<dyn TableWriter>, Error> {
        absent()
    }

    async fn migrate(&self) -> Result<Migrated, Error> {
        absent()
    }
}

#[async_trait]
impl UpkeepStore for Memory {
    async fn counts(&self) -> Result<StoreCounts, Error> {
        absent()
    }

    async fn damages(&self) -> Result<Vec<Damage>, Error> {
        absent()
    }

    async fn session_ids(&self, _after: Option<&str>, _limit: u32) -> Result<Vec<String>, Error> {
        absent()
    }

    async fn read(&self, _session: &str) -> Result<Option<Box<dyn SessionReader>>, Error> {
        absent()
    }

    async fn back_up(&self, _file: &Path) -> Result<u64, Error> {
        absent()
    }

    async fn vacuum(&self) -> Result<Shrunk, Error> {
        absent()
    }

    async fn idle(
        &self,
        _before: Timestamp,
        _after: Option<&SessionId>,
        _limit: u32,
    ) -> Result<Vec<SessionId>, Error> {
        absent()
    }

    async fn remove_idle(&self, _sessions: &[SessionId], _before: Timestamp) -> Result<Removed, Error> {
        absent()
    }
}
