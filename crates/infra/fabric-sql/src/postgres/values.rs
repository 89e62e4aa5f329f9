//! PostgreSQL's values, read from the text it prints.

use loom_fabric::Cell;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{Column as _, Row as _, TypeInfo as _, ValueRef as _};

/// The cells of a row.
pub(super) fn cells(row: &PgRow) -> Result<Vec<Cell>, sqlx::Error> {
    let mut cells = Vec::with_capacity(row.len());
    for (index, column) in row.columns().iter().enumerate() {
        let value = row.try_get_raw(index)?;
        cells.push(if value.is_null() {
            Cell::Null
        } else {
            let text = value
                .as_str()
                .map_err(|source| sqlx::Error::ColumnDecode { index: column.name().to_owned(), source })?;
            cell(column.type_info().name(), text)
        });
    }
    Ok(cells)
}

/// A value of the type `kind` (sqlx's names; `?` for one it does not know). What has no kind of cell stays text.
fn cell(kind: &str, text: &str) -> Cell {
    let as_text = || Cell::Text(text.to_owned());
    if let Some(element) = kind.strip_suffix("[]") {
        return array(element, text).map_or_else(as_text, Cell::Json);
    }
    match kind {
        "BOOL" => Cell::Bool(text == "t"),
        "INT2" | "INT4" | "INT8" | "OID" => text.parse().map_or_else(|_| as_text(), Cell::Integer),
        "FLOAT4" | "FLOAT8" => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Cell::Float(number),
            _ => as_text(),
        },
        "NUMERIC" if text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-')) => {
            Cell::Decimal(text.to_owned())
        }
        "JSON" | "JSONB" => serde_json::from_str(text).map_or_else(|_| as_text(), Cell::Json),
        "BYTEA" => bytes(text).map_or_else(as_text, Cell::Bytes),
        "TIMESTAMP" | "TIMESTAMPTZ" => Cell::Text(iso_8601(text)),
        _ => as_text(),
    }
}

/// `2024-02-29 12:34:56.7+00` becomes `2024-02-29T12:34:56.7Z`. Years before Christ and infinity have no such form and
/// stay.
fn iso_8601(text: &str) -> String {
    let moment = text.strip_suffix("+00");
    let (date, time) = match moment.unwrap_or(text).split_once(' ') {
        Some((date, time)) if !time.contains(' ') => (date, time),
        _ => return text.to_owned(),
    };
    format!("{date}T{time}{}", if moment.is_some() { "Z" } else { "" })
}

/// The bytes of PostgreSQL's `\x` form.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?;
    let pair = |index: usize| u8::from_str_radix(digits.get(index..index + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(pair).collect()
}

/// An array's text form (<https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO>) as JSON.
fn array(element: &str, text: &str) -> Option<Value> {
    let body = match text.split_once('=') {
        // Bounds stand before an array that does not begin at 1.
        Some((bounds, body)) if bounds.starts_with('[') => body,
        _ => text,
    };
    let mut rest = body;
    let value = nested(element, &mut rest)?;
    rest.is_empty().then_some(value)
}

fn nested(element: &str, rest: &mut &str) -> Option<Value> {
    *rest = rest.strip_prefix('{')?;
    let mut items = Vec::new();
    if let Some(after) = rest.strip_prefix('}') {
        *rest = after;
        return Some(Value::Array(items));
    }
    loop {
        items.push(item(element, rest)?);
        if let Some(after) = rest.strip_prefix('}') {
            *rest = after;
            return Some(Value::Array(items));
        }
        *rest = rest.strip_prefix(',')?;
    }
}

fn item(element: &str, rest: &mut &str) -> Option<Value> {
    if rest.starts_with('{') {
        return nested(element, rest);
    }
    if let Some(quoted) = rest.strip_prefix('"') {
        let mut text = String::new();
        let mut letters = quoted.char_indices();
        while let Some((index, letter)) = letters.next() {
            match letter {
                '"' => {
                    *rest = &quoted[index + 1..];
                    return Some(cell(element, &text).to_json());
                }
                '\\' => text.push(letters.next()?.1),
                other => text.push(other),
            }
        }
        return None;
    }
    let end = rest.find([',', '}'])?;
    let (text, after) = rest.split_at(end);
    *rest = after;
    Some(if text.eq_ignore_ascii_case("null") { Value::Null } else { cell(element, text).to_json() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arrays_become_json() {
        let arrays = [
            ("INT4[]", "{1,2,NULL}", json!([1, 2, null])),
            (
                "TEXT[]",
                r#"{a,"b,c","say \"hi\"","NULL","",é}"#,
                json!(["a", "b,c", "say \"hi\"", "NULL", "", "é"]),
            ),
            ("INT8[]", "[0:1]={7,8}", json!([7, 8])),
            ("NUMERIC[]", "{{1.5,2},{3,4}}", json!([[1.5, 2.0], [3.0, 4.0]])),
            ("BOOL[]", "{t,f}", json!([true, false])),
            ("TEXT[]", "{}", json!([])),
        ];
        for (kind, text, value) in arrays {
            assert_eq!(cell(kind, text), Cell::Json(value), "{text}");
        }
        assert_eq!(cell("BOX[]", "{(1,1),(0,0);"), Cell::Text("{(1,1),(0,0);".into()));
    }

    #[test]
    fn moments_are_iso_8601() {
        assert_eq!(iso_8601("2024-02-29 12:34:56.7+00"), "2024-02-29T12:34:56.7Z");
        assert_eq!(iso_8601("2024-02-29 12:34:56"), "2024-02-29T12:34:56");
        assert_eq!(iso_8601("0044-03-15 00:00:00 BC"), "0044-03-15 00:00:00 BC");
        assert_eq!(iso_8601("infinity"), "infinity");
    }
}
