//! Sessions, feeds and the registry of agents under a scheduler that decides at every lock, send and await who goes on. What
//! fails prints its schedule, which shuttle can replay.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is a test module as a whole"
)]

mod memory;
mod world;

use std::sync::Arc;

use futures::StreamExt as _;
use loom_base::ErrorCode;
use loom_runtime::{AgentDefinition, Error, Progress, Running, Runtime, TurnRequest, WhenBusy};
use shuttle::future::{JoinHandle, spawn};

use world::{IDLE, World, in_every_order};

/// Who sends messages at a time.
const CLIENTS: usize = 3;

fn request(session: &str) -> TurnRequest {
    TurnRequest { session: Some(session.parse().expect("an id")), ..TurnRequest::new("hello") }
}

/// Sends a message, and reads all that is told of its turn.
async fn ask(runtime: Arc<Runtime>, request: TurnRequest) -> Result<(), Error> {
    let running = runtime.sessions().start(request).await?;
    read(&running).await;
    match running.end().await {
        Ok(_) => Ok(()),
        Err(failure) => Err(failure.error.clone()),
    }
}

/// Everything comes in order and once, and the end is the last of it.
async fn read(running: &Running) {
    let items: Vec<_> = Arc::clone(&running.feed).read(None).collect().await;
    assert!(items.is_sorted_by(|before, after| before.id < after.id), "{items:?}");
    let ends =
        items.iter().filter(|item| matches!(item.progress, Progress::Completed(_) | Progress::Failed(_)));
    let ends = ends.count();
    let is_cut = running.feed.cut_because().is_some();
    assert!(ends == usize::from(!is_cut), "{ends} ends, cut: {is_cut}");
}

fn clients(
    world: &World,
    each: impl Fn(usize, Arc<Runtime>) -> Vec<TurnRequest>,
) -> Vec<JoinHandle<Vec<Result<(), Error>>>> {
    let client = |number| {
        let runtime = Arc::clone(&world.runtime);
        let requests = each(number, Arc::clone(&runtime));
        spawn(async move {
            let mut ended = Vec::new();
            for request in requests {
                ended.push(ask(Arc::clone(&runtime), request).await);
            }
            ended
        })
    };
    (0..CLIENTS).map(client).collect()
}

#[test]
fn every_message_gets_its_turn_while_the_actors_of_idle_sessions_leave() {
    in_every_order(|| async {
        let world = World::new(IDLE).await;
        for client in clients(&world, |_, _| vec![request("s"), request("s")]) {
            for ended in client.await.expect("no client panics") {
                ended.expect("it is answered");
            }
        }
        assert_eq!(world.memory.ended_turns("s"), 2 * CLIENTS);
        world.close().await;
    });
}

#[test]
fn every_caller_is_answered_when_the_server_stops() {
    in_every_order(|| async {
        let world = World::new(IDLE).await;
        let clients = clients(&world, |number, _| vec![request(if number == 0 { "a" } else { "b" })]);
        world.close().await;
        for client in clients {
            for ended in client.await.expect("no client panics") {
                let refused = ended.err().map(|error| error.code);
                assert!(refused.is_none_or(|code| code == ErrorCode::ShuttingDown), "{refused:?}");
            }
        }
    });
}

#[test]
fn messages_that_interrupt_or_are_refused_leave_one_turn_at_a_time() {
    in_every_order(|| async {
        let world = World::new(IDLE).await;
        let busy = [WhenBusy::Queue, WhenBusy::Interrupt, WhenBusy::Reject];
        let clients =
            clients(&world, |number, _| vec![TurnRequest { when_busy: Some(busy[number]), ..request("s") }]);
        for client in clients {
            for ended in client.await.expect("no client panics") {
                let why = ended.err().map(|error| error.code);
                let known = [ErrorCode::SessionBusy, ErrorCode::Cancelled];
                assert!(why.is_none_or(|code| known.contains(&code)), "{why:?}");
            }
        }
        world.close().await;
    });
}

#[test]
fn agents_that_are_made_and_changed_at_once_are_all_there() {
    in_every_order(|| async {
        let world = World::new(IDLE).await;
        let makers: Vec<_> = ["one", "two", "two"]
            .into_iter()
            .map(|name| {
                let agents = Arc::clone(world.runtime.agents());
                spawn(async move { agents.create(AgentDefinition::named(name)).await })
            })
            .collect();
        let reader = spawn({
            let agents = Arc::clone(world.runtime.agents());
            async move {
                let mut before = 0;
                for _ in 0..4 {
                    let now = agents.list().len();
                    assert!(now >= before, "an agent is gone");
                    before = now;
                    shuttle::future::yield_now().await;
                }
            }
        });
        let mut made = 0;
        for maker in makers {
            match maker.await.expect("nobody panics") {
                Ok(agent) => {
                    made += 1;
                    let found = world.runtime.agents().get(&agent.definition.name).expect("it was made");
                    assert_eq!(found.id, agent.id);
                }
                Err(error) => assert_eq!(error.code, ErrorCode::AgentExists, "{error}"),
            }
        }
        reader.await.expect("the reader does not panic");
        assert_eq!((made, world.runtime.agents().list().len()), (2, 3));
        world.close().await;
    });
}
