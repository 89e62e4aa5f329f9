//! Reads and fills whole tables.

use std::collections::HashMap;

use async_trait::async_trait;
use loom_store::{Cell, Cells, Error, Migrated, TABLES, Table, TableReader, TableWriter, TransferStore};
use loom_store_sql::transfer::{Column, Kind, key_places, moving, names, select};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Connection as _, Row as _, Sqlite, SqliteConnection, SqlitePool, Transaction};

use crate::connect::{self, Settings};
use crate::error::{setback, unavailable};
use crate::store;

/// Moves all that the database holds.
pub(crate) struct Transfer {
    reads: SqlitePool,
    settings: Settings,
    /// The newest migration that was there when the store was opened.
    found: i64,
}

impl Transfer {
    pub(crate) const fn new(reads: SqlitePool, settings: Settings, found: i64) -> Self {
        Self { reads, settings, found }
    }
}

#[async_trait]
impl TransferStore for Transfer {
    async fn dump(&self) -> Result<Box<dyn TableReader>, Error> {
        let snapshot = self.reads.begin().await.map_err(|error| unavailable(&error))?;
        Ok(Box::new(Dump { snapshot, columns: HashMap::new() }))
    }

    async fn fill(&self) -> Result<Box<dyn TableWriter>, Error> {
        let mut connection = connect::writer(&self.settings).await.map_err(|error| unavailable(&error))?;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.map_err(|error| unavailable(&error))?;
        for table in TABLES {
            let count = AssertSqlSafe(format!("SELECT count(*) FROM {}", table.name));
            let rows: i64 = sqlx::query_scalar(count)
                .fetch_one(&mut connection)
                .await
                .map_err(|error| unavailable(&error))?;
            if rows > 0 {
                let rows = rows.unsigned_abs();
                return Err(Error::NotEmpty { table: table.name.to_owned(), rows });
            }
        }
        Ok(Box::new(Fill { connection, columns: HashMap::new() }))
    }

    async fn migrate(&self) -> Result<Migrated, Error> {
        let mut connection = connect::writer(&self.settings).await.map_err(|error| unavailable(&error))?;
        store::migrate(&mut connection, &loom_migrations::SQLITE, &self.settings.path).await?;
        let after = store::newest(&mut connection).await?;
        connection.close().await.map_err(|error| unavailable(&error))?;
        Ok(Migrated { before: self.found, after })
    }
}

type Columns = HashMap<&'static str, Vec<Column>>;

/// A snapshot of the database.
struct Dump {
    snapshot: Transaction<'static, Sqlite>,
    columns: Columns,
}

/// A transaction of a connection of its own, which is taken back when that is dropped.
struct Fill {
    connection: SqliteConnection,
    columns: Columns,
}

async fn columns<'c>(
    connection: &mut SqliteConnection,
    known: &'c mut Columns,
    table: &'static Table,
) -> Result<&'c [Column], Error> {
    if !known.contains_key(table.name) {
        let query = "SELECT name, type FROM pragma_table_info(?)";
        let found: Vec<(String, String)> = sqlx::query_as(query)
            .bind(table.name)
            .fetch_all(connection)
            .await
            .map_err(|error| unavailable(&error))?;
        let column = |(name, kind): (String, String)| Column {
            name,
            kind: if kind == "INTEGER" { Kind::Number } else { Kind::Text },
        };
        known.insert(table.name, moving(table, found.into_iter().map(column).collect()));
    }
    Ok(known.get(table.name).map(Vec::as_slice).unwrap_or_default())
}

async fn rows(
    connection: &mut SqliteConnection,
    columns: &[Column],
    table: &'static Table,
    after: Option<&Cells>,
    limit: u32,
) -> Result<Vec<Cells>, Error> {
    let statement =
        select(table, columns, after.is_some(), |column| column.name.clone(), |place| format!("?{place}"));
    let mut query = sqlx::query(AssertSqlSafe(statement));
    if let Some(after) = after {
        for cell in key_places(table, columns).into_iter().filter_map(|place| after.get(place)) {
            query = bind(query, cell);
        }
    }
    let rows = query.bind(limit).fetch_all(connection).await.map_err(|error| unavailable(&error))?;
    rows.iter().map(|row| cells(row, columns, table)).collect()
}

fn bind<'q>(query: Query<'q, Sqlite, SqliteArguments>, cell: &Cell) -> Query<'q, Sqlite, SqliteArguments> {
    match cell {
        Cell::Nothing => query.bind(None::<i64>),
        Cell::Number(number) => query.bind(*number),
        Cell::Text(text) => query.bind(text.clone()),
    }
}

fn cells(row: &SqliteRow, columns: &[Column], table: &Table) -> Result<Cells, Error> {
    let cell = |(place, column): (usize, &Column)| {
        let read = match column.kind {
            Kind::Number | Kind::Truth => {
                row.try_get::<Option<i64>, _>(place).map(|cell| cell.map(Cell::Number))
            }
            Kind::Text | Kind::Json => {
                row.try_get::<Option<String>, _>(place).map(|cell| cell.map(Cell::Text))
            }
        };
        read.map(|cell| cell.unwrap_or(Cell::Nothing)).map_err(|error| Error::Corrupt {
            what: format!("a row of {}", table.name),
            reason: format!("{}: {error}", column.name),
        })
    };
    columns.iter().enumerate().map(cell).collect()
}

macro_rules! reader {
    ($name:ident: $connection:ident) => {
        #[async_trait]
        impl TableReader for $name {
            async fn columns(&mut self, table: &'static Table) -> Result<Vec<String>, Error> {
                let columns = columns(&mut self.$connection, &mut self.columns, table).await?;
                Ok(columns.iter().map(|column| column.name.clone()).collect())
            }

            async fn rows(
                &mut self,
                table: &'static Table,
                after: Option<&Cells>,
                limit: u32,
            ) -> Result<Vec<Cells>, Error> {
                let columns = columns(&mut self.$connection, &mut self.columns, table).await?;
                rows(&mut self.$connection, columns, table, after, limit).await
            }
        }
    };
}

reader!(Dump: snapshot);
reader!(Fill: connection);

#[async_trait]
impl TableWriter for Fill {
    async fn put(&mut self, table: &'static Table, rows: Vec<Cells>) -> Result<(), Error> {
        let columns = columns(&mut self.connection, &mut self.columns, table).await?;
        let places = vec!["?"; columns.len()].join(", ");
        let insert = format!("INSERT INTO {} ({}) VALUES ({places})", table.name, names(columns));
        for row in &rows {
            let query = sqlx::query(AssertSqlSafe(insert.clone()));
            let query = row.iter().fold(query, bind);
            query.execute(&mut self.connection).await.map_err(|error| setback(&error).into_error())?;
        }
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<(), Error> {
        sqlx::query("COMMIT").execute(&mut self.connection).await.map_err(|error| unavailable(&error))?;
        // What is committed is on disk; closing only folds the log into the database.
        let _ = self.connection.close().await;
        Ok(())
    }
}
