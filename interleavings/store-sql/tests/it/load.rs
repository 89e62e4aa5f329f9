//! Callers of the writer, each with a turn of its own, and what each of them holds the writer to.

use std::sync::Arc;

use async_trait::async_trait;
use loom_base::{SessionId, Timestamp};
use loom_store::{Advance, Error, SessionRecord, SessionState, SessionTotals};
use loom_store_sql::{Failure, Queue, Touched, Write, Writer};
use loom_telemetry::Metrics;
use loom_testkit::steps;
use shuttle::future::{JoinHandle, block_on, spawn};
use shuttle::sync::Mutex;
use uuid::Uuid;

use crate::disk::{Connection, Disk, Model};

/// Callers at a time.
const CALLERS: u128 = 3;
/// Steps of each of them.
const STEPS: u32 = 3;
/// How often one of them sends a step again before it gives up.
const TRIES: usize = 40;

/// What happens beside the steps that all callers write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Steps come that must be refused.
    Stale,
    /// Commits and connections fail.
    Faults,
    /// Another program changes what is stored.
    Stranger,
    /// The store is closed in the middle, and opened again.
    Closing,
}

/// All that happens beside them.
pub(crate) type Load = &'static [Beside];

/// The way to the writer of the moment.
type Door = Arc<Mutex<Queue<Connection>>>;

fn queue(door: &Door) -> Queue<Connection> {
    door.lock().expect("nobody panics while holding it").clone()
}

fn open(disk: &Disk, load: Load) -> (Queue<Connection>, JoinHandle<Model>) {
    let model = Model { disk: disk.clone(), faults: load.contains(&Beside::Faults) };
    let connection = Connection::new(&model);
    let (queue, writer) = Writer::new(model, connection, Arc::new(Metrics::default()));
    (queue, spawn(writer.run()))
}

/// Lives it once.
pub(crate) fn run(load: Load) {
    block_on(async move {
        let disk = Disk::default();
        for number in 0..CALLERS {
            disk.rows().sessions.insert(session(number).id, 1);
        }
        let (first, writer) = open(&disk, load);
        let door: Door = Arc::new(Mutex::new(first));
        let callers = (0..CALLERS).map(|number| spawn(calls(number, door.clone(), disk.clone(), load)));
        let callers: Vec<_> = callers.collect();
        let note = spawn(notes(door.clone(), disk.clone()));
        if load.contains(&Beside::Stranger) {
            disk.change_from_outside(|rows| {
                rows.sessions.insert(session(0).id, 2);
            })
            .await;
        }
        let writer =
            if load.contains(&Beside::Closing) { reopen(&door, &disk, load, writer).await } else { writer };
        for caller in callers {
            caller.await.expect("no caller panics");
        }
        note.await.expect("nobody panics");
        queue(&door).close();
        writer.await.expect("the writer ends");
    });
}

async fn reopen(door: &Door, disk: &Disk, load: Load, writer: JoinHandle<Model>) -> JoinHandle<Model> {
    queue(door).close();
    writer.await.expect("the writer ends");
    let (next, writer) = open(disk, load);
    *door.lock().expect("nobody panics while holding it") = next;
    writer
}

/// Writes a turn, step after step.
async fn calls(number: u128, door: Door, disk: Disk, load: Load) {
    let mut session = session(number);
    for seq in 0..STEPS {
        let mut step = step(&session, number, seq);
        let stale = load
            .contains(&Beside::Stale)
            .then(|| Advance { append_id: Uuid::from_u128(9_000 + number), ..step.clone() });
        let mut tries = 0;
        // Sent together, so that they may stand in one batch.
        let mut late = None;
        loop {
            tries += 1;
            assert!(tries < TRIES, "it is never written");
            let receipt = queue(&door).advance(step.clone());
            if let (Some(stale), 1) = (&stale, tries) {
                late = Some(queue(&door).advance(stale.clone()));
            }
            match receipt.await {
                Ok(()) => break,
                Err(Error::Unavailable { .. }) => shuttle::future::yield_now().await,
                // Another program took the session: the next owner goes on.
                Err(Error::Fenced { .. })
                    if load.contains(&Beside::Stranger) && number == 0 && session.epoch == 1 =>
                {
                    assert_eq!(disk.rows().sessions[&session.id], 2, "nobody has taken it");
                    session.epoch = 2;
                    step.epoch = 2;
                }
                other => panic!("{number}.{seq}: {other:?}"),
            }
        }
        assert_eq!(
            journal(&disk, number).get(seq as usize),
            Some(&step.append_id),
            "it is told, and not on disk"
        );
        if let Some(late) = late {
            refused(&late.await, &disk, number);
        }
    }
    assert_eq!(journal(&disk, number).len(), STEPS as usize, "a step was written twice");
}

/// A step that comes too late is refused, and leaves nothing.
fn refused(outcome: &Result<(), Error>, disk: &Disk, number: u128) {
    let is_refusal =
        matches!(outcome, Err(Error::Conflict { .. } | Error::Fenced { .. } | Error::Unavailable { .. }));
    // The step before it may have been lost: then it was the first in its place, and the other is sent again behind it.
    assert!(is_refusal, "{outcome:?}");
    let late = Uuid::from_u128(9_000 + number);
    assert!(!journal(disk, number).contains(&late), "what was refused is on disk");
}

fn journal(disk: &Disk, number: u128) -> Vec<Uuid> {
    disk.rows().journals.get(&steps::turn_id(number + 1)).cloned().unwrap_or_default()
}

fn step(session: &SessionRecord, number: u128, seq: u32) -> Advance {
    let turn = number + 1;
    let step =
        if seq == 0 { steps::accept(session, turn, "hello") } else { steps::follow(session, turn, seq) };
    // Messages are not what this is about.
    Advance { messages: Vec::new(), ..step }
}

/// Writes what is no step, within transactions and between them.
async fn notes(door: Door, disk: Disk) {
    for number in 0..2 {
        let written = if number == 0 {
            queue(&door).write(Note(number)).await
        } else {
            queue(&door).write_apart(Between).await.map(|()| number)
        };
        match written {
            Ok(told) if number == 0 => {
                assert!(disk.rows().notes.contains(&told), "it is told, and not on disk");
            }
            Ok(_) | Err(Error::Unavailable { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    let notes = disk.rows().notes.clone();
    assert!(notes.len() <= 1, "a note was written twice: {notes:?}");
}

struct Note(u32);

#[async_trait]
impl Write<Connection> for Note {
    type Reply = u32;

    async fn write(&self, connection: &mut Connection) -> Result<Result<u32, Error>, Failure> {
        shuttle::future::yield_now().await;
        connection.rows().notes.push(self.0);
        Ok(Ok(self.0))
    }

    fn touched(&self, _reply: &u32) -> Touched {
        Touched::Nothing
    }
}

/// What is done outside of transactions.
struct Between;

#[async_trait]
impl Write<Connection> for Between {
    type Reply = ();

    async fn write(&self, _connection: &mut Connection) -> Result<Result<(), Error>, Failure> {
        shuttle::future::yield_now().await;
        Ok(Ok(()))
    }
}

fn session(number: u128) -> SessionRecord {
    let id: SessionId = format!("s{number}").parse().expect("an id");
    SessionRecord {
        id,
        agent: "agent".parse().expect("an id"),
        name: String::new(),
        backend: String::new(),
        principal: "local".to_owned(),
        state: SessionState::Active,
        metadata: std::collections::BTreeMap::new(),
        when_busy: None,
        created_at: Timestamp::default(),
        last_active: Timestamp::default(),
        totals: SessionTotals::default(),
        context_start: 0,
        next_message: 0,
        epoch: 1,
    }
}
