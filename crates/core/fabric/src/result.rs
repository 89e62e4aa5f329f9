//! Typed results: a number stays a number.

use std::num::FpCategory;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One value of a result, or one bound parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// SQL NULL.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A binary floating-point number.
    Float(f64),
    /// An exact decimal number in plain notation, as PostgreSQL's `numeric` prints it.
    Decimal(String),
    /// A text; dates and times too, in ISO 8601.
    Text(String),
    /// A structured value.
    Json(Value),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Cell {
    /// About how many bytes the value takes, for byte caps.
    pub fn size(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) => 1,
            Self::Integer(_) | Self::Float(_) => 8,
            Self::Decimal(text) | Self::Text(text) => text.len(),
            Self::Json(value) => value.to_string().len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// The value as JSON. Decimals become numbers when a double holds them exactly as printed, else stay texts; numbers
    /// that JSON lacks become `NaN`, `Infinity` or `-Infinity`; bytes become `\x` and hexadecimal digits.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Integer(value) => Value::from(*value),
            Self::Float(value) => match value.classify() {
                FpCategory::Nan => Value::from("NaN"),
                FpCategory::Infinite if value.is_sign_negative() => Value::from("-Infinity"),
                FpCategory::Infinite => Value::from("Infinity"),
                FpCategory::Zero | FpCategory::Subnormal | FpCategory::Normal => Value::from(*value),
            },
            Self::Decimal(text) => decimal_to_json(text),
            Self::Text(text) => Value::String(text.clone()),
            Self::Json(value) => value.clone(),
            Self::Bytes(bytes) => {
                let mut text = String::from("\\x");
                for byte in bytes {
                    text.extend(
                        [byte >> 4, byte & 0xf]
                            .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])),
                    );
                }
                Value::String(text)
            }
        }
    }
}

fn decimal_to_json(text: &str) -> Value {
    const EXACT_DIGITS: usize = 15;
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    match text.parse::<f64>() {
        Ok(number) if digits <= EXACT_DIGITS && number.is_finite() => Value::from(number),
        _ => Value::String(text.to_owned()),
    }
}

/// What a query brought back.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct QueryResult {
    /// Column names, in order.
    pub columns: Vec<String>,
    /// Rows; each has a cell for every column.
    pub rows: Vec<Vec<Cell>>,
    /// Whether more rows were there than the limits allow.
    pub truncated: bool,
    /// Time from sending the query to the last row.
    pub duration: Duration,
}

impl QueryResult {
    /// The result as the JSON object that tools return: `columns`, `rows` (arrays), `row_count`, `truncated`.
    pub fn to_json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(|row| row.iter().map(Cell::to_json).collect()).collect();
        serde_json::json!({
            "columns": self.columns,
            "rows": rows,
            "row_count": self.rows.len(),
            "truncated": self.truncated,
        })
    }
}

impl Serialize for Cell {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => match number.as_i64() {
                Some(integer) => Self::Integer(integer),
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Self::Text(text),
            structured => Self::Json(structured),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_numbers() {
        assert_eq!(Cell::Decimal("49.62".into()).to_json(), Value::from(49.62));
        let long = "12345678901234567.89";
        assert_eq!(Cell::Decimal(long.into()).to_json(), Value::from(long));
        assert_eq!(Cell::Bytes(vec![0, 255]).to_json(), Value::from("\\x00ff"));
    }
}
