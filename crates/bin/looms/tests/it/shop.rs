//! Databases for backends: small ones, that no agent has seen before.

use std::path::Path;

use loom_embed::sql::create_sqlite;

/// Regions, shops and their takings: not the tables of any example of ours.
const TAKINGS: &str = "
CREATE TABLE region (region_id INTEGER PRIMARY KEY, title TEXT NOT NULL);
CREATE TABLE store (store_id INTEGER PRIMARY KEY, title TEXT NOT NULL, region_id INTEGER NOT NULL REFERENCES region (region_id));
CREATE TABLE taking (taking_id INTEGER PRIMARY KEY, store_id INTEGER NOT NULL REFERENCES store (store_id), taken_on TEXT NOT NULL, revenue REAL NOT NULL);
INSERT INTO region VALUES (1, 'North'), (2, 'South');
INSERT INTO store VALUES (1, 'Harbour', 1), (2, 'Market', 1), (3, 'Station', 2);
INSERT INTO taking VALUES (1, 1, '2026-01-05', 10.5), (2, 1, '2026-02-05', 20.25), (3, 2, '2026-01-09', 5), (4, 3, '2026-02-11', 99.75);
";

/// A database of three tables with foreign keys.
pub(crate) async fn make_database(path: &Path) {
    create_sqlite(path, TAKINGS).await.unwrap();
}

/// A database whose only word is `word`.
pub(crate) async fn word_database(path: &Path, word: &str) {
    let sql = format!("CREATE TABLE words (word TEXT NOT NULL); INSERT INTO words VALUES ('{word}');");
    create_sqlite(path, &sql).await.unwrap();
}
