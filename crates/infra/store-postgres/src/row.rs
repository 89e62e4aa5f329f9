//! Reads columns of a row. A value that is not what was written is [`Error::Corrupt`], with table and id.

use std::fmt::Display;
use std::str::FromStr;

use loom_base::{NanoUsd, Timestamp};
use loom_llm::Usage;
use loom_store::Error;
use serde::de::DeserializeOwned;
use serde::de::value::{Error as NameError, StrDeserializer};
use sqlx::postgres::{PgRow, Postgres};
use sqlx::{Decode, Row as _, Type};

use crate::text;

/// A row, and how to name it when it does not decode.
pub(crate) struct Row<'r> {
    row: &'r PgRow,
    table: &'static str,
    id: &'static str,
}

impl<'r> Row<'r> {
    /// A row of `table`, whose column `id` names it.
    pub(crate) const fn new(row: &'r PgRow, table: &'static str, id: &'static str) -> Self {
        Self { row, table, id }
    }

    /// The row does not decode, because of `reason`.
    pub(crate) fn corrupt(&self, reason: impl Display) -> Error {
        let id = match self.row.try_get_unchecked::<Option<String>, _>(self.id) {
            Ok(Some(id)) => id,
            _ => "?".to_owned(),
        };
        Error::Corrupt { what: format!("{} {id}", self.table), reason: reason.to_string() }
    }

    fn bad(&self, column: &str, reason: impl Display) -> Error {
        self.corrupt(format_args!("{column}: {reason}"))
    }

    /// The value as the driver decodes it.
    pub(crate) fn get<T: Decode<'r, Postgres> + Type<Postgres>>(&self, column: &str) -> Result<T, Error> {
        self.row.try_get(column).map_err(|error| self.bad(column, error))
    }

    /// A number that is never negative.
    pub(crate) fn number<T: TryFrom<i64>>(&self, column: &str) -> Result<T, Error> {
        let number: i64 = self.get(column)?;
        T::try_from(number).map_err(|_| self.bad(column, format_args!("{number} is out of range")))
    }

    /// A moment.
    pub(crate) fn time(&self, column: &str) -> Result<Timestamp, Error> {
        Ok(Timestamp::from_micros(self.get(column)?))
    }

    /// A moment, where there is one.
    pub(crate) fn time_if_any(&self, column: &str) -> Result<Option<Timestamp>, Error> {
        Ok(self.get::<Option<i64>>(column)?.map(Timestamp::from_micros))
    }

    /// An amount of money.
    pub(crate) fn money(&self, column: &str) -> Result<NanoUsd, Error> {
        Ok(NanoUsd::from_nanos(self.get(column)?))
    }

    /// The four token counts.
    pub(crate) fn usage(&self) -> Result<Usage, Error> {
        Ok(Usage {
            input: self.number("input_tokens")?,
            output: self.number("output_tokens")?,
            cache_read: self.number("cache_read_tokens")?,
            cache_write: self.number("cache_write_tokens")?,
        })
    }

    /// A value with a text form, such as an id.
    pub(crate) fn parse<T: FromStr<Err: Display>>(&self, column: &str) -> Result<T, Error> {
        self.get::<&str>(column)?.parse().map_err(|error| self.bad(column, error))
    }

    /// A value that serialises as one word, such as a role.
    pub(crate) fn name<T: DeserializeOwned>(&self, column: &str) -> Result<T, Error> {
        let name: &str = self.get(column)?;
        T::deserialize(StrDeserializer::<NameError>::new(name)).map_err(|error| self.bad(column, error))
    }

    /// A value that serialises as one word, where there is one.
    pub(crate) fn name_if_any<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, Error> {
        self.get::<Option<&str>>(column)?.map(|_| self.name(column)).transpose()
    }

    /// A text from outside, as it was given.
    pub(crate) fn text(&self, column: &str) -> Result<String, Error> {
        text::given(self.get(column)?).ok_or_else(|| self.bad(column, "an escape that nobody wrote"))
    }

    /// A text from outside, where there is one.
    pub(crate) fn text_if_any(&self, column: &str) -> Result<Option<String>, Error> {
        self.get::<Option<&str>>(column)?.map(|_| self.text(column)).transpose()
    }

    /// A value stored as JSON. However deep: the server's own limit held when it was written.
    pub(crate) fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, Error> {
        let json = self.json_text(column)?.ok_or_else(|| self.bad(column, "nothing is there"))?;
        self.parse_json(column, json)
    }

    /// A value stored as JSON, where there is one.
    pub(crate) fn json_if_any<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, Error> {
        self.json_text(column)?.map(|json| self.parse_json(column, json)).transpose()
    }

    /// JSON as it was written; the driver knows its column's type under another name than that of text.
    fn json_text(&self, column: &str) -> Result<Option<&'r str>, Error> {
        self.row.try_get_unchecked(column).map_err(|error| self.bad(column, error))
    }

    fn parse_json<T: DeserializeOwned>(&self, column: &str, json: &str) -> Result<T, Error> {
        let mut json = serde_json::Deserializer::from_str(json);
        json.disable_recursion_limit();
        let value = T::deserialize(&mut json);
        value.and_then(|value| json.end().map(|()| value)).map_err(|error| self.bad(column, error))
    }
}
