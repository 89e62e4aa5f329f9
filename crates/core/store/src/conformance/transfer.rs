//! Moving whole tables.

use super::Outcome;
use super::fixture::{accept, open_session, same, text};
use crate::{Cell, Cells, Error, Stores, TABLES, Table, TableReader, TableWriter};

fn table(name: &str) -> Result<&'static Table, String> {
    TABLES.iter().find(|table| table.name == name).ok_or_else(|| format!("{name} does not move"))
}

async fn all(reader: &mut dyn TableReader, table: &'static Table, limit: u32) -> Result<Vec<Cells>, String> {
    let mut found: Vec<Cells> = Vec::new();
    loop {
        let page = reader.rows(table, found.last(), limit).await.map_err(text)?;
        if page.is_empty() {
            return Ok(found);
        }
        found.extend(page);
    }
}

/// The cells of an agent, in the order of `columns`.
fn agent(columns: &[String], name: &str) -> Cells {
    let cell = |column: &String| match column.as_str() {
        "id" => Cell::Text("agent_1".to_owned()),
        "name" => Cell::Text(name.to_owned()),
        "listed" => Cell::Number(1),
        _ => Cell::Number(7),
    };
    columns.iter().map(cell).collect()
}

pub(super) async fn a_dump_is_of_one_moment_and_in_order(stores: Stores) -> Outcome {
    for name in ["b", "a", "c"] {
        let session = open_session(&stores, name).await?;
        stores
            .turns
            .advance(accept(&session, u128::from(name.as_bytes()[0]), "hello")?)
            .await
            .map_err(text)?;
    }
    let mut dump = stores.transfer.dump().await.map_err(text)?;
    let sessions = table("sessions")?;
    let columns = dump.columns(sessions).await.map_err(text)?;
    let place = |name: &str| columns.iter().position(|column| column == name);
    same("an owner", &place("owner"), &None)?;
    let mut sorted = columns.clone();
    sorted.sort();
    same("the order of columns", &columns, &sorted)?;
    let id = place("id").ok_or("a session has no id")?;
    let found = all(&mut *dump, sessions, 2).await?;
    open_session(&stores, "d").await?;
    let ids: Vec<_> = found.iter().map(|row| row[id].clone()).collect();
    same("sessions", &ids, &["a", "b", "c"].map(|name| Cell::Text(name.to_owned())).to_vec())?;
    same("later", &all(&mut *dump, sessions, 100).await?, &found)?;
    for table in TABLES {
        let columns = dump.columns(table).await.map_err(text)?;
        let missing = table.key.iter().find(|key| !columns.iter().any(|column| column == *key));
        same("a key that is no column", &missing, &None)?;
        all(&mut *dump, table, 1).await?;
    }
    Ok(())
}

/// Begins, also when one that was given up a moment ago is just being taken back.
async fn begin(stores: &Stores) -> Result<Box<dyn TableWriter>, String> {
    let mut tries = 0;
    loop {
        match stores.transfer.fill().await {
            Err(Error::Unavailable { .. }) if tries < 100 => tries += 1,
            begun => return begun.map_err(text),
        }
    }
}

pub(super) async fn a_store_is_filled_when_it_is_empty_and_all_at_once(stores: Stores) -> Outcome {
    let agents = table("agents")?;
    // What no text of PostgreSQL holds as it is.
    let name = "n\0\u{1a}0 🧶";
    for keep in [false, true] {
        let mut fill = begin(&stores).await?;
        let columns = fill.columns(agents).await.map_err(text)?;
        let row = agent(&columns, name);
        fill.put(agents, vec![row.clone()]).await.map_err(text)?;
        same("what was put", &all(&mut *fill, agents, 10).await?, &vec![row.clone()])?;
        if !keep {
            continue;
        }
        fill.commit().await.map_err(text)?;
        let mut dump = stores.transfer.dump().await.map_err(text)?;
        same("what is there", &all(&mut *dump, agents, 10).await?, &vec![row])?;
    }
    match stores.transfer.fill().await.err() {
        Some(Error::NotEmpty { table, rows: 1 }) if table == "agents" => Ok(()),
        other => Err(format!("a store with an agent is filled: {other:?}")),
    }
}

pub(super) async fn the_schema_is_up_to_date(stores: Stores) -> Outcome {
    let migrated = stores.transfer.migrate().await.map_err(text)?;
    let newest = stores.health.status().await.map_err(text)?.migration;
    same("the newest migration", &migrated.after, &newest)
}
