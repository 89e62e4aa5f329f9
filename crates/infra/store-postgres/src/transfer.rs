//! Reads and fills whole tables.

use std::collections::HashMap;

use async_trait::async_trait;
use loom_store::{Cell, Cells, Error, Migrated, TABLES, Table, TableReader, TableWriter, TransferStore};
use loom_store_sql::text::{given, stored};
use loom_store_sql::transfer::{Column, Kind, key_places, moving, names, select};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Postgres, Row as _, Transaction};

use crate::connect::{Pool, Settings};
use crate::error::{setback, unavailable};
use crate::schema;

/// Servers whose time is not over.
const SERVERS: &str = "
SELECT count(*) FROM instances WHERE expires_at > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// Columns whose values the database counts by itself.
const COUNTED: &str = "
SELECT column_name::text FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = $1 AND is_identity = 'YES'";

/// Moves all that the database holds.
pub(crate) struct Transfer {
    reads: Pool,
    settings: Settings,
    /// The newest migration that was there when the store was opened.
    found: i64,
}

impl Transfer {
    pub(crate) const fn new(reads: Pool, settings: Settings, found: i64) -> Self {
        Self { reads, settings, found }
    }
}

#[async_trait]
impl TransferStore for Transfer {
    async fn dump(&self) -> Result<Box<dyn TableReader>, Error> {
        let snapshot = self.reads.within(self.reads.snapshot()).await?;
        Ok(Box::new(Dump { snapshot, columns: HashMap::new() }))
    }

    async fn fill(&self) -> Result<Box<dyn TableWriter>, Error> {
        let mut connection = self.settings.migrator().await.map_err(|error| unavailable(&error))?;
        begin(&mut connection).await?;
        Ok(Box::new(Fill { connection, columns: HashMap::new() }))
    }

    async fn migrate(&self) -> Result<Migrated, Error> {
        schema::prepare(&self.settings).await?;
        let mut connection = self.settings.migrator().await.map_err(|error| unavailable(&error))?;
        let after = schema::newest(&mut connection).await?;
        connection.close().await.map_err(|error| unavailable(&error))?;
        Ok(Migrated { before: self.found, after })
    }
}

/// Begins a transaction that nobody else writes beside, on a store that is empty and not in use.
async fn begin(connection: &mut PgConnection) -> Result<(), Error> {
    let failed = |error: sqlx::Error| unavailable(&error);
    sqlx::raw_sql("BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE")
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    // Whoever joins waits, and finds the store filled.
    let tables: Vec<_> = TABLES.iter().map(|table| table.name).chain(["instances"]).collect();
    let lock = format!("LOCK TABLE {} IN EXCLUSIVE MODE", tables.join(", "));
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *connection).await.map_err(failed)?;
    let servers: i64 = sqlx::query_scalar(SERVERS).fetch_one(&mut *connection).await.map_err(failed)?;
    if servers > 0 {
        return Err(Error::InUse { count: servers.unsigned_abs() });
    }
    for table in TABLES {
        let count = AssertSqlSafe(format!("SELECT count(*) FROM {}", table.name));
        let rows: i64 = sqlx::query_scalar(count).fetch_one(&mut *connection).await.map_err(failed)?;
        if rows > 0 {
            let rows = rows.unsigned_abs();
            return Err(Error::NotEmpty { table: table.name.to_owned(), rows });
        }
    }
    Ok(())
}

type Columns = HashMap<&'static str, Vec<Column>>;

/// A snapshot of the database.
struct Dump {
    snapshot: Transaction<'static, Postgres>,
    columns: Columns,
}

/// A transaction of a connection of its own, which is taken back when that is dropped.
struct Fill {
    connection: PgConnection,
    columns: Columns,
}

async fn columns<'c>(
    connection: &mut PgConnection,
    known: &'c mut Columns,
    table: &'static Table,
) -> Result<&'c [Column], Error> {
    if !known.contains_key(table.name) {
        let query = "
            SELECT column_name::text, data_type::text FROM information_schema.columns
            WHERE table_schema = current_schema() AND table_name = $1";
        let found: Vec<(String, String)> = sqlx::query_as(query)
            .bind(table.name)
            .fetch_all(connection)
            .await
            .map_err(|error| unavailable(&error))?;
        let mut all = Vec::with_capacity(found.len());
        for (name, kind) in found.into_iter().filter(|(name, _)| !table.left_out.contains(&name.as_str())) {
            let kind = match kind.as_str() {
                "bigint" | "integer" | "smallint" => Kind::Number,
                "boolean" => Kind::Truth,
                "text" => Kind::Text,
                "json" => Kind::Json,
                other => {
                    let reason = format!("no {other} can be moved");
                    return Err(Error::Corrupt { what: format!("{}.{name}", table.name), reason });
                }
            };
            all.push(Column { name, kind });
        }
        known.insert(table.name, moving(table, all));
    }
    Ok(known.get(table.name).map(Vec::as_slice).unwrap_or_default())
}

fn read(column: &Column) -> String {
    match column.kind {
        Kind::Number => format!("{}::bigint", column.name),
        Kind::Truth => format!("{}::int::bigint", column.name),
        Kind::Text => column.name.clone(),
        Kind::Json => format!("{}::text", column.name),
    }
}

async fn rows(
    connection: &mut PgConnection,
    columns: &[Column],
    table: &'static Table,
    after: Option<&Cells>,
    limit: u32,
) -> Result<Vec<Cells>, Error> {
    let statement = select(table, columns, after.is_some(), read, |place| format!("${place}"));
    let mut query = sqlx::query(AssertSqlSafe(statement));
    if let Some(after) = after {
        for cell in key_places(table, columns).into_iter().filter_map(|place| after.get(place)) {
            query = bind(query, cell);
        }
    }
    let rows =
        query.bind(i64::from(limit)).fetch_all(connection).await.map_err(|error| unavailable(&error))?;
    rows.iter().map(|row| cells(row, columns, table)).collect()
}

fn bind<'q>(query: Query<'q, Postgres, PgArguments>, cell: &Cell) -> Query<'q, Postgres, PgArguments> {
    match cell {
        Cell::Nothing => query.bind(None::<i64>),
        Cell::Number(number) => query.bind(*number),
        Cell::Text(text) => query.bind(stored(text).into_owned()),
    }
}

fn cells(row: &PgRow, columns: &[Column], table: &Table) -> Result<Cells, Error> {
    let corrupt = |column: &Column, reason: String| Error::Corrupt {
        what: format!("a row of {}", table.name),
        reason: format!("{}: {reason}", column.name),
    };
    let cell = |(place, column): (usize, &Column)| {
        let failed = |error: sqlx::Error| corrupt(column, error.to_string());
        Ok(match column.kind {
            Kind::Number | Kind::Truth => {
                row.try_get::<Option<i64>, _>(place).map_err(failed)?.map_or(Cell::Nothing, Cell::Number)
            }
            Kind::Json => {
                row.try_get::<Option<String>, _>(place).map_err(failed)?.map_or(Cell::Nothing, Cell::Text)
            }
            Kind::Text => match row.try_get::<Option<&str>, _>(place).map_err(failed)? {
                None => Cell::Nothing,
                Some(text) => {
                    let text = given(text);
                    Cell::Text(text.ok_or_else(|| corrupt(column, "an escape that nobody wrote".to_owned()))?)
                }
            },
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

/// One statement for many rows: an array of each column.
fn insert(table: &Table, columns: &[Column]) -> String {
    let arrays = columns.iter().enumerate().map(|(place, column)| match column.kind {
        Kind::Number | Kind::Truth => format!("${}::bigint[]", place + 1),
        Kind::Text | Kind::Json => format!("${}::text[]", place + 1),
    });
    let values = columns.iter().enumerate().map(|(place, column)| match column.kind {
        Kind::Number | Kind::Text => format!("u.c{place}"),
        Kind::Truth => format!("u.c{place} <> 0"),
        Kind::Json => format!("u.c{place}::json"),
    });
    let aliases = (0..columns.len()).map(|place| format!("c{place}"));
    let list = |parts: &mut dyn Iterator<Item = String>| parts.collect::<Vec<_>>().join(", ");
    format!(
        "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM unnest({}) AS u({})",
        table.name,
        names(columns),
        list(&mut values.into_iter()),
        list(&mut arrays.into_iter()),
        list(&mut aliases.into_iter()),
    )
}

#[async_trait]
impl TableWriter for Fill {
    async fn put(&mut self, table: &'static Table, rows: Vec<Cells>) -> Result<(), Error> {
        let columns = columns(&mut self.connection, &mut self.columns, table).await?;
        let mut query = sqlx::query(AssertSqlSafe(insert(table, columns)));
        for (place, column) in columns.iter().enumerate() {
            query = match column.kind {
                Kind::Number | Kind::Truth => query.bind(numbers(&rows, place)),
                Kind::Text => query.bind(texts(&rows, place, |text| stored(text).into_owned())),
                Kind::Json => query.bind(texts(&rows, place, str::to_owned)),
            };
        }
        query.execute(&mut self.connection).await.map_err(|error| setback(&error).into_error())?;
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<(), Error> {
        let failed = |error: sqlx::Error| unavailable(&error);
        for table in TABLES {
            let counted: Vec<String> = sqlx::query_scalar(COUNTED)
                .bind(table.name)
                .fetch_all(&mut self.connection)
                .await
                .map_err(failed)?;
            for column in counted {
                // What is counted goes on after what came.
                let (name, from) = (table.name, format!("FROM {} HAVING count(*) > 0", table.name));
                let set = format!(
                    "SELECT setval(pg_get_serial_sequence('{name}', '{column}'), max({column})) {from}"
                );
                sqlx::query(AssertSqlSafe(set)).execute(&mut self.connection).await.map_err(failed)?;
            }
        }
        sqlx::raw_sql("COMMIT").execute(&mut self.connection).await.map_err(failed)?;
        if let Err(error) = self.connection.close().await {
            tracing::debug!(%error, "the connection of an import did not close cleanly");
        }
        Ok(())
    }
}

fn numbers(rows: &[Cells], place: usize) -> Vec<Option<i64>> {
    let number = |row: &Cells| match row.get(place) {
        Some(Cell::Number(number)) => Some(*number),
        _ => None,
    };
    rows.iter().map(number).collect()
}

fn texts(rows: &[Cells], place: usize, write: impl Fn(&str) -> String) -> Vec<Option<String>> {
    let text = |row: &Cells| match row.get(place) {
        Some(Cell::Text(text)) => Some(write(text)),
        _ => None,
    };
    rows.iter().map(text).collect()
}
