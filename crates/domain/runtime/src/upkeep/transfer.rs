//! A file that holds all of a store: lines of JSON, with counts and digests by which it is checked.
//!
//! The first line says what the file is. Of each table there is a line with its columns, one for each row, and one with the
//! number of rows and the digest of their lines. The last line has the digest of all before it. The same rows give the same
//! file, whatever database they are in.

use std::collections::VecDeque;
use std::io::{BufRead, Read as _};
use std::sync::Arc;

use loom_base::{Digest, Digester, ErrorCode};
use loom_store::{Cells, TABLES, Table, TableReader, TableWriter, TransferStore};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Error;

const FORMAT: &str = "loom export";
/// The version of the file's form.
const VERSION: u32 = 1;
/// Rows that are read or written at a time.
const BATCH: u32 = 256;
/// The longest line that is read, in bytes: far more than a row can have.
const MOST_LINE_BYTES: u64 = 512 << 20;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: String,
    version: u32,
    /// The number of the newest migration of the store: it decides which columns there are.
    migration: i64,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    table: String,
    columns: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    end: String,
    rows: u64,
    digest: Digest,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    whole: bool,
    rows: u64,
    digest: Digest,
}

/// How many rows a table has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableCount {
    /// The table.
    pub table: &'static str,
    /// Its rows.
    pub rows: u64,
}

/// What was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Each table's rows.
    pub tables: Vec<TableCount>,
    /// The digest of all of it.
    pub digest: Digest,
}

/// A file of a store as it was at one moment, made piece by piece.
pub struct Export {
    reader: Box<dyn TableReader>,
    tables: VecDeque<&'static Table>,
    migration: i64,
    current: Option<Current>,
    state: State,
    digester: Digester,
    moved: Vec<TableCount>,
    digest: Option<Digest>,
}

#[derive(PartialEq, Eq)]
enum State {
    Head,
    Tables,
    Over,
}

/// The table that is read.
struct Current {
    table: &'static Table,
    after: Option<Cells>,
    rows: u64,
    digester: Digester,
}

impl Export {
    pub(super) async fn begin(store: &dyn TransferStore, migration: i64) -> Result<Self, Error> {
        Ok(Self {
            reader: store.dump().await?,
            tables: TABLES.iter().collect(),
            migration,
            current: None,
            state: State::Head,
            digester: Digester::default(),
            moved: Vec::new(),
            digest: None,
        })
    }

    /// The next piece of the file: whole lines, each with its end; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<String>, Error> {
        let piece = match self.state {
            State::Head => {
                self.state = State::Tables;
                let format = FORMAT.to_owned();
                line(&Head { format, version: VERSION, migration: self.migration })?
            }
            State::Tables => match self.table().await? {
                Some(piece) => piece,
                None => return self.end().map(Some),
            },
            State::Over => return Ok(None),
        };
        self.digester.add(&piece);
        Ok(Some(piece))
    }

    /// What the file holds, once it is whole.
    pub fn moved(&self) -> Option<Moved> {
        self.digest.map(|digest| Moved { tables: self.moved.clone(), digest })
    }

    /// The next piece of a table; `None` after the last of all.
    async fn table(&mut self) -> Result<Option<String>, Error> {
        let Some(current) = &mut self.current else {
            let Some(table) = self.tables.pop_front() else { return Ok(None) };
            self.current = Some(Current { table, after: None, rows: 0, digester: Digester::default() });
            let columns = self.reader.columns(table).await?;
            return line(&Begin { table: table.name.to_owned(), columns }).map(Some);
        };
        let rows = self.reader.rows(current.table, current.after.as_ref(), BATCH).await?;
        let mut piece = String::new();
        for row in &rows {
            piece += &line(row)?;
        }
        current.digester.add(&piece);
        current.rows += rows.len() as u64;
        if rows.len() < BATCH as usize {
            let (name, digest) = (current.table.name, current.digester.digest());
            piece += &line(&End { end: name.to_owned(), rows: current.rows, digest })?;
            self.moved.push(TableCount { table: name, rows: current.rows });
            self.current = None;
        } else {
            current.after = rows.into_iter().next_back();
        }
        Ok(Some(piece))
    }

    fn end(&mut self) -> Result<String, Error> {
        self.state = State::Over;
        let digest = self.digester.digest();
        self.digest = Some(digest);
        line(&Whole { whole: true, rows: self.moved.iter().map(|table| table.rows).sum(), digest })
    }
}

fn line(value: &impl Serialize) -> Result<String, Error> {
    let written = serde_json::to_string(value);
    let mut line = written.map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))?;
    line.push('\n');
    Ok(line)
}

/// Fills an empty store with what `file` holds; nothing of it when anything is wrong with it. What was stored is read
/// again and compared before it counts.
pub(super) async fn import(
    store: &Arc<dyn TransferStore>,
    migration: i64,
    file: &mut (dyn BufRead + Send),
) -> Result<Moved, Error> {
    let mut lines = Lines { file, number: 0, digester: Digester::default() };
    let head: Head = lines.expect("what it is")?;
    check_head(&head, migration, &lines)?;
    let mut writer = store.fill().await?;
    let mut found = Vec::new();
    for table in TABLES {
        found.push(import_table(&mut *writer, table, &mut lines).await?);
    }
    let before = lines.digester.digest();
    let whole: Whole = lines.expect("the end of the file")?;
    let rows = found.iter().map(|(rows, _)| rows).sum();
    if whole != (Whole { whole: true, rows, digest: before }) {
        return Err(
            lines.invalid("the file is not what was written: its digest or its number of rows differs")
        );
    }
    if lines.next()?.is_some() {
        return Err(lines.invalid("there is something after the end of the file"));
    }
    let mut tables = Vec::new();
    for (table, said) in TABLES.iter().zip(found) {
        let stored = count(&mut *writer, table).await?;
        if stored != said {
            let message =
                format!("what was stored of {} is not what the file says; nothing is imported", table.name);
            return Err(Error::new(ErrorCode::ExportInvalid, message));
        }
        tables.push(TableCount { table: table.name, rows: stored.0 });
    }
    writer.commit().await?;
    Ok(Moved { tables, digest: before })
}

fn check_head(head: &Head, migration: i64, lines: &Lines<'_>) -> Result<(), Error> {
    if head.format != FORMAT || head.version != VERSION {
        return Err(lines.invalid("it is no export, or one of another version of Loom"));
    }
    if head.migration != migration {
        let message = format!(
            "it is of a store at migration {}, and this one is at {migration}: export with this version of looms",
            head.migration
        );
        return Err(lines.invalid(&message));
    }
    Ok(())
}

/// Reads a table into the store; the number of its rows, and their digest.
async fn import_table(
    writer: &mut dyn TableWriter,
    table: &'static Table,
    lines: &mut Lines<'_>,
) -> Result<(u64, Digest), Error> {
    let columns = writer.columns(table).await?;
    let begin: Begin = lines.expect(table.name)?;
    if begin != (Begin { table: table.name.to_owned(), columns: columns.clone() }) {
        return Err(lines.invalid(&format!(
            "{} with the columns {} was expected",
            table.name,
            columns.join(", ")
        )));
    }
    let mut digester = Digester::default();
    let (mut rows, mut batch) = (0, Vec::new());
    loop {
        let text = lines.next()?.ok_or_else(|| lines.invalid("it ends before its end"))?;
        if text.starts_with('[') {
            let row: Cells = lines.parse(&text, "a row")?;
            if row.len() != columns.len() {
                return Err(lines.invalid("a row has another number of cells than there are columns"));
            }
            digester.add(&text);
            rows += 1;
            batch.push(row);
            if batch.len() >= BATCH as usize {
                put(writer, table, std::mem::take(&mut batch), lines.number).await?;
            }
            continue;
        }
        let end: End = lines.parse(&text, "a row or the end of a table")?;
        put(writer, table, batch, lines.number).await?;
        let digest = digester.digest();
        if end != (End { end: table.name.to_owned(), rows, digest }) {
            let message = format!("the rows of {} are not those that were written", table.name);
            return Err(lines.invalid(&message));
        }
        return Ok((rows, digest));
    }
}

async fn put(
    writer: &mut dyn TableWriter,
    table: &'static Table,
    rows: Vec<Cells>,
    line: u64,
) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    writer.put(table, rows).await.map_err(|error| match error {
        loom_store::Error::Exists { .. } | loom_store::Error::Missing { .. } => {
            invalid(line, &format!("the rows do not fit together: {error}"))
        }
        other => other.into(),
    })
}

/// The rows that are stored of a table, and the digest that they would have in a file.
async fn count(reader: &mut dyn TableWriter, table: &'static Table) -> Result<(u64, Digest), Error> {
    let (mut rows, mut digester, mut after) = (0, Digester::default(), None);
    loop {
        let page = reader.rows(table, after.as_ref(), BATCH).await?;
        for row in &page {
            digester.add(line(row)?);
        }
        rows += page.len() as u64;
        if page.len() < BATCH as usize {
            return Ok((rows, digester.digest()));
        }
        after = page.into_iter().next_back();
    }
}

/// The lines of a file, and where it is being read.
struct Lines<'a> {
    file: &'a mut (dyn BufRead + Send),
    number: u64,
    digester: Digester,
}

impl Lines<'_> {
    /// The next line with its end; `None` after the last.
    fn next(&mut self) -> Result<Option<String>, Error> {
        let mut text = String::new();
        let read = (&mut *self.file).take(MOST_LINE_BYTES).read_line(&mut text);
        self.number += 1;
        let read = read.map_err(|error| self.invalid(&format!("it cannot be read: {error}")))?;
        if read == 0 {
            return Ok(None);
        }
        if !text.ends_with('\n') {
            return Err(self.invalid("the line has no end: the file was cut off"));
        }
        self.digester.add(&text);
        Ok(Some(text))
    }

    fn expect<T: DeserializeOwned>(&mut self, what: &str) -> Result<T, Error> {
        let text = self.next()?.ok_or_else(|| self.invalid("it ends before its end"))?;
        self.parse(&text, what)
    }

    fn parse<T: DeserializeOwned>(&self, text: &str, what: &str) -> Result<T, Error> {
        serde_json::from_str(text).map_err(|_| self.invalid(&format!("{what} was expected")))
    }

    fn invalid(&self, why: &str) -> Error {
        invalid(self.number, why)
    }
}

fn invalid(line: u64, why: &str) -> Error {
    let message = format!("line {line} of the export: {why}; nothing is imported");
    Error::new(ErrorCode::ExportInvalid, message)
}
