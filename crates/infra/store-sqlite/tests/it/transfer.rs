//! Whole tables, read and filled.

use loom_store::{LEFT_BEHIND, TABLES};

use crate::support::Home;

#[tokio::test]
async fn every_table_moves_or_is_said_to_stay_behind() {
    let home = Home::new();
    home.open().await.close().await;
    let tables = "
        SELECT name FROM sqlite_schema
        WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'messages_fts%' AND name <> '_sqlx_migrations'";
    let mut stranger = home.stranger().await;
    let there: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut stranger).await.expect("it answers");
    let mut there: Vec<_> = there.iter().map(String::as_str).collect();
    // Spans have a file of their own.
    let left = LEFT_BEHIND.iter().copied().filter(|table| *table != "spans");
    let mut known: Vec<_> = TABLES.iter().map(|table| table.name).chain(left).collect();
    there.sort_unstable();
    known.sort_unstable();
    assert_eq!(there, known);
}
