//! Servers that share a database, restarted one after the other while clients ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::StreamExt as _;
use loom_embed::{SystemClock, SystemIds};
use loom_grpc::v1::{ExecutionStage, WeaveRequest};
use loom_grpc::{CONNECT_TIMEOUT, Client, RequestKey};
use loom_testkit::PostgresSchema;

use crate::home::Home;
use crate::serving::{Serving, until};
use crate::sharing::on_a_schema;

/// Takes longer than a stopping server waits, so that turns are cut off and taken up elsewhere.
const SLOW: &str = "
rules: [{ when: { contains: slow }, reply: { text: '{{user}}', latency_ms: 1500 } }]
default: { text: '{{user}}' }";
/// Clients, half of them at each server.
const CLIENTS: usize = 4;

async fn start(schema: &PostgresSchema) -> Serving {
    let mut home = Home::playing(SLOW);
    home.configure_also("storage: { backend: postgres, lease_seconds: 2 }");
    home.configure_also("server: { behavior: { shutdown_timeout_seconds: 0 } }");
    home.set("DATABASE_URL", &schema.url());
    Serving::start(home).await
}

/// Asks one question after the other in a session that all clients use in their turn, and in one of its own.
async fn ask_until(address: String, name: usize, over: Arc<AtomicBool>, answered: Arc<AtomicUsize>) {
    let client = Client::connect(&address, CONNECT_TIMEOUT, Arc::new(SystemClock)).await.unwrap();
    let mut number = 0;
    while !over.load(Ordering::SeqCst) {
        let session = if number % 3 == 0 { "shared".to_owned() } else { format!("own-{name}") };
        let query = format!("{} {name} {number}", if number % 2 == 0 { "slow" } else { "fast" });
        let asked = WeaveRequest { query: query.clone(), session_id: session, ..WeaveRequest::default() };
        let mut events = client.stream_weave(asked, Some(RequestKey::new(&SystemIds)));
        let mut last = None;
        while let Some(event) = events.next().await {
            last = Some(event.unwrap_or_else(|error| panic!("{query}: {} {error}", error.code)));
        }
        let last = last.unwrap();
        assert_eq!(
            (last.stage(), last.partial_content.as_str()),
            (ExecutionStage::Completed, query.as_str())
        );
        answered.fetch_add(1, Ordering::SeqCst);
        number += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_come_back_see_no_failure_in_a_rolling_restart() {
    on_a_schema(|schema| async move {
        let mut servers = [start(&schema).await, start(&schema).await];
        let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|name| {
                let address = servers[name % 2].grpc.to_string();
                tokio::spawn(ask_until(address, name, Arc::clone(&over), Arc::clone(&answered)))
            })
            .collect();
        let more = async |count: usize| {
            let wanted = answered.load(Ordering::SeqCst) + count;
            until("questions are answered", async || {
                let is_over = clients.iter().any(tokio::task::JoinHandle::is_finished);
                (is_over || answered.load(Ordering::SeqCst) >= wanted).then_some(())
            })
            .await;
        };
        more(CLIENTS).await;
        for round in 0..2 {
            for place in 0..2 {
                let [one, other] = servers;
                let (stopping, staying) = if place == 0 { (one, other) } else { (other, one) };
                let restarted = stopping.restart().await;
                servers = if place == 0 { [restarted, staying] } else { [staying, restarted] };
                more(CLIENTS * (round + 1)).await;
            }
        }
        over.store(true, Ordering::SeqCst);
        for client in clients {
            client.await.expect("no client saw a failure");
        }
    })
    .await;
}
