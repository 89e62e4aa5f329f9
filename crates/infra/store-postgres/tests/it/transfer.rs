//! Whole tables, read and filled.

use std::time::Duration;

use loom_base::InstanceId;
use loom_store::{Error, LEFT_BEHIND, TABLES};
use uuid::Uuid;

use crate::support::at_home;

#[tokio::test]
async fn every_table_moves_or_is_said_to_stay_behind() {
    at_home(|home| async move {
        home.open().await.close().await;
        let tables = "
            SELECT table_name::text FROM information_schema.tables
            WHERE table_schema = current_schema() AND table_name <> '_sqlx_migrations'";
        let mut stranger = home.stranger().await;
        let there: Vec<String> =
            sqlx::query_scalar(tables).fetch_all(&mut stranger).await.expect("it answers");
        let mut there: Vec<_> = there.iter().map(String::as_str).collect();
        let mut known: Vec<_> =
            TABLES.iter().map(|table| table.name).chain(LEFT_BEHIND.iter().copied()).collect();
        there.sort_unstable();
        known.sort_unstable();
        assert_eq!(there, known);
    })
    .await;
}

#[tokio::test]
async fn a_store_that_someone_uses_is_not_filled() {
    at_home(|home| async move {
        let store = home.open().await;
        let stores = store.stores();
        let instance = InstanceId::from_uuid(Uuid::from_u128(1));
        stores.leases.join(instance, "", Duration::from_hours(1)).await.expect("the store answers");
        let refused = stores.transfer.fill().await.err();
        assert!(matches!(refused, Some(Error::InUse { count: 1 })), "{refused:?}");
        stores.leases.release(instance).await.expect("the store answers");
        drop(stores.transfer.fill().await.expect("nobody uses it any more"));
        store.close().await;
    })
    .await;
}
