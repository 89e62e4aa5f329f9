//! The SQLite store, on real files.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "the parts shared by tests fail a test as a test does"
)]

mod directory;
mod durability;
mod faults;
mod index;
mod support;
mod transfer;

use support::Home;

#[tokio::test]
async fn it_passes_the_conformance_suite() {
    let opened = tokio::sync::Mutex::new(Vec::new());
    let make = async || {
        let home = Home::new();
        let store = home.open().await;
        let stores = store.stores();
        opened.lock().await.push((home, store));
        stores
    };
    if let Err(wrong) = loom_store::conformance::run(make).await {
        panic!("{wrong}");
    }
}
