//! Reads columns of a row. A value that is not what was written is [`Error::Corrupt`], with table and id.

use std::fmt::Display;
use std::str::FromStr;

use loom_base::{NanoUsd, Timestamp};
use loom_llm::Usage;
use loom_store::Error;
use serde::de::DeserializeOwned;
use serde::de::value::{Error as NameError, StrDeserializer};
use sqlx::error::UnexpectedNullError;
use sqlx::{ColumnIndex, Database, Decode, Postgres, Sqlite, Type};

use crate::text;

/// How a database keeps texts from outside.
pub trait Texts: Database {
    /// The text that was stored; `None` when nothing is stored like this.
    fn given(stored: &str) -> Option<String>;
}

impl Texts for Sqlite {
    fn given(stored: &str) -> Option<String> {
        Some(stored.to_owned())
    }
}

impl Texts for Postgres {
    fn given(stored: &str) -> Option<String> {
        text::given(stored)
    }
}

/// The columns of a row of any database.
pub trait Columns: Send + Sync {
    /// A whole number.
    fn integer(&self, column: &str) -> Result<Option<i64>, sqlx::Error>;

    /// A number.
    fn real(&self, column: &str) -> Result<Option<f64>, sqlx::Error>;

    /// A text as it is stored.
    fn text<'r>(&'r self, column: &str) -> Result<Option<&'r str>, sqlx::Error>;

    /// JSON as it is stored. A driver may know its column's type under another name than that of text.
    fn json<'r>(&'r self, column: &str) -> Result<Option<&'r str>, sqlx::Error>;

    /// The text from outside that was stored like this, if any was.
    fn given(&self, stored: &str) -> Option<String>;
}

impl<R> Columns for R
where
    R: sqlx::Row<Database: Texts>,
    for<'c> &'c str: ColumnIndex<R>,
    for<'r> i64: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> f64: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> &'r str: Decode<'r, R::Database> + Type<R::Database>,
{
    fn integer(&self, column: &str) -> Result<Option<i64>, sqlx::Error> {
        self.try_get(column)
    }

    fn real(&self, column: &str) -> Result<Option<f64>, sqlx::Error> {
        self.try_get(column)
    }

    fn text<'r>(&'r self, column: &str) -> Result<Option<&'r str>, sqlx::Error> {
        self.try_get(column)
    }

    fn json<'r>(&'r self, column: &str) -> Result<Option<&'r str>, sqlx::Error> {
        self.try_get_unchecked(column)
    }

    fn given(&self, stored: &str) -> Option<String> {
        R::Database::given(stored)
    }
}

/// What a column can be read as.
pub trait Value<'r>: Sized {
    /// The value in `column`.
    fn read(row: &'r dyn Columns, column: &str) -> Result<Self, sqlx::Error>;
}

macro_rules! values {
    ($($type:ty: $read:ident,)*) => {$(
        impl<'r> Value<'r> for $type {
            fn read(row: &'r dyn Columns, column: &str) -> Result<Self, sqlx::Error> {
                row.$read(column)?.ok_or_else(|| sqlx::Error::Decode(Box::new(UnexpectedNullError)))
            }
        }

        impl<'r> Value<'r> for Option<$type> {
            fn read(row: &'r dyn Columns, column: &str) -> Result<Self, sqlx::Error> {
                row.$read(column)
            }
        }
    )*};
}

values! {
    i64: integer,
    f64: real,
    &'r str: text,
}

/// A row, and how to name it when it does not decode.
pub struct Row<'r> {
    row: &'r dyn Columns,
    table: &'static str,
    id: &'static str,
}

impl<'r> Row<'r> {
    /// A row of `table`, whose column `id` names it.
    pub const fn new(row: &'r dyn Columns, table: &'static str, id: &'static str) -> Self {
        Self { row, table, id }
    }

    /// The row does not decode, because of `reason`.
    pub fn corrupt(&self, reason: impl Display) -> Error {
        let id = match self.row.text(self.id) {
            Ok(Some(id)) => id,
            _ => "?",
        };
        Error::Corrupt { what: format!("{} {id}", self.table), reason: reason.to_string() }
    }

    fn bad(&self, column: &str, reason: impl Display) -> Error {
        self.corrupt(format_args!("{column}: {reason}"))
    }

    /// The value as it is stored.
    pub fn get<T: Value<'r>>(&self, column: &str) -> Result<T, Error> {
        T::read(self.row, column).map_err(|error| self.bad(column, error))
    }

    /// A number that is never negative.
    pub fn number<T: TryFrom<i64>>(&self, column: &str) -> Result<T, Error> {
        let number: i64 = self.get(column)?;
        T::try_from(number).map_err(|_| self.bad(column, format_args!("{number} is out of range")))
    }

    /// A moment.
    pub fn time(&self, column: &str) -> Result<Timestamp, Error> {
        Ok(Timestamp::from_micros(self.get(column)?))
    }

    /// A moment, where there is one.
    pub fn time_if_any(&self, column: &str) -> Result<Option<Timestamp>, Error> {
        Ok(self.get::<Option<i64>>(column)?.map(Timestamp::from_micros))
    }

    /// An amount of money.
    pub fn money(&self, column: &str) -> Result<NanoUsd, Error> {
        Ok(NanoUsd::from_nanos(self.get(column)?))
    }

    /// The four token counts.
    pub fn usage(&self) -> Result<Usage, Error> {
        Ok(Usage {
            input: self.number("input_tokens")?,
            output: self.number("output_tokens")?,
            cache_read: self.number("cache_read_tokens")?,
            cache_write: self.number("cache_write_tokens")?,
        })
    }

    /// A value with a text form, such as an id.
    pub fn parse<T: FromStr<Err: Display>>(&self, column: &str) -> Result<T, Error> {
        self.get::<&str>(column)?.parse().map_err(|error| self.bad(column, error))
    }

    /// A value that is stored as its text, where there is one.
    pub fn parse_if_any<T: FromStr<Err: Display>>(&self, column: &str) -> Result<Option<T>, Error> {
        self.get::<Option<&str>>(column)?.map(|_| self.parse(column)).transpose()
    }

    /// A value that serialises as one word, such as a role.
    pub fn name<T: DeserializeOwned>(&self, column: &str) -> Result<T, Error> {
        let name: &str = self.get(column)?;
        T::deserialize(StrDeserializer::<NameError>::new(name)).map_err(|error| self.bad(column, error))
    }

    /// A value that serialises as one word, where there is one.
    pub fn name_if_any<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, Error> {
        self.get::<Option<&str>>(column)?.map(|_| self.name(column)).transpose()
    }

    /// A text from outside, as it was given.
    pub fn text(&self, column: &str) -> Result<String, Error> {
        let stored = self.get(column)?;
        self.row.given(stored).ok_or_else(|| self.bad(column, "an escape that nobody wrote"))
    }

    /// A text from outside, where there is one.
    pub fn text_if_any(&self, column: &str) -> Result<Option<String>, Error> {
        self.get::<Option<&str>>(column)?.map(|_| self.text(column)).transpose()
    }

    /// A value stored as JSON. However deep: the database's own limit held when it was written.
    pub fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, Error> {
        self.json_if_any(column)?.ok_or_else(|| self.bad(column, "nothing is there"))
    }

    /// A value stored as JSON, where there is one.
    pub fn json_if_any<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, Error> {
        let stored = self.row.json(column).map_err(|error| self.bad(column, error))?;
        let Some(stored) = stored else { return Ok(None) };
        let mut json = serde_json::Deserializer::from_str(stored);
        json.disable_recursion_limit();
        let value = T::deserialize(&mut json);
        value.and_then(|value| json.end().map(|()| Some(value))).map_err(|error| self.bad(column, error))
    }
}
