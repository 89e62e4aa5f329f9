//! The walls between a foreign query and a database.
//!
//! Two of the three are here: what the parser admits and which functions may be called. The third is how connections
//! are opened and is in each engine. A wall never relies on another.

mod census;
pub(crate) mod postgres_functions;
mod read_only;
mod sqlite_functions;
mod syntax;

use std::ops::Range;

use loom_fabric::Dialect;

pub(crate) use census::Census;

use crate::failure::Failure;

/// Which walls are up. Outside of tests it is always all of them.
#[derive(Clone, Copy, Debug)]
pub struct Walls {
    pub(crate) parser: bool,
    pub(crate) functions: bool,
    pub(crate) connection: bool,
}

impl Walls {
    /// All walls up.
    pub(crate) const ALL: Self = Self { parser: true, functions: true, connection: true };
}

/// A query as it is sent to an engine.
#[derive(Clone, Debug)]
pub struct AdmittedQuery {
    /// The text, its comments replaced by blanks so that the engine reads no comment that the parser read otherwise.
    pub(crate) sql: String,
    /// Whether it asks for a plan.
    pub(crate) explain: bool,
    /// Where parameters stand, in order of the text.
    pub(crate) placeholders: Vec<Placeholder>,
    /// What it names.
    pub(crate) census: Census,
}

/// A place in a query where a parameter goes.
#[derive(Clone, Debug)]
pub(crate) struct Placeholder {
    /// The parameter's number, from 1.
    pub(crate) number: usize,
    /// The bytes of the text it takes.
    pub(crate) range: Range<usize>,
}

impl AdmittedQuery {
    /// A text that no wall has seen.
    fn unseen(sql: &str) -> Self {
        let explain = sql.trim_start().get(..7).is_some_and(|word| word.eq_ignore_ascii_case("explain"));
        Self { sql: sql.to_owned(), explain, placeholders: Vec::new(), census: Census::default() }
    }
}

impl Walls {
    /// Lets `sql` through if it passes the parser and, for SQLite, the list of functions. PostgreSQL's functions are
    /// looked up later, on the connection.
    pub(crate) async fn admit(
        self,
        dialect: Dialect,
        sql: &str,
        given: usize,
    ) -> Result<AdmittedQuery, Failure> {
        if !self.parser && !self.functions {
            return Ok(AdmittedQuery::unseen(sql));
        }
        let query = syntax::read(dialect, sql, self.parser).await?;
        if self.functions && dialect == Dialect::Sqlite {
            sqlite_functions::check(&query.census)?;
        }
        let expected = query.placeholders.iter().map(|placeholder| placeholder.number).max().unwrap_or(0);
        if expected != given {
            return Err(Failure::failed(format!(
                "the query takes {expected} parameters and {given} were given"
            )));
        }
        Ok(query)
    }
}
