//! The PostgreSQL store, on a real server.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "the parts shared by tests fail a test as a test does"
)]

mod budgets;
mod durability;
mod faults;
mod hints;
mod index;
mod leases;
mod many;
mod schema;
mod support;
mod transfer;

use support::at_home;

#[tokio::test]
async fn it_passes_the_conformance_suite() {
    at_home(|home| async move {
        let opened = tokio::sync::Mutex::new(None);
        let make = async || {
            // One after the other on the same schema, emptied: a server has only so many connections.
            let mut opened = opened.lock().await;
            if let Some(store) = opened.take() {
                let store: loom_store_postgres::PostgresStore = store;
                store.close().await;
                let mut stranger = home.stranger().await;
                let empty =
                    "TRUNCATE sessions, agents, spans, messages, turns, instances, spending, budgets CASCADE";
                sqlx::raw_sql(empty).execute(&mut stranger).await.expect("the tables are there");
            }
            let store = home.open().await;
            let stores = store.stores();
            *opened = Some(store);
            stores
        };
        if let Err(wrong) = loom_store::conformance::run(make).await {
            panic!("{wrong}");
        }
    })
    .await;
}
