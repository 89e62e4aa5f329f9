//! Reads results that were too long and arrive without their end.

use serde::de::DeserializeOwned;

/// A result, and whether its end is missing.
pub(crate) struct Read<T> {
    pub(crate) value: T,
    pub(crate) is_cut: bool,
}

/// What says that the text was cut may itself look like an element, so earlier ends are tried too.
const ENDS_TRIED: usize = 3;

/// Reads an object of one long array; when the text breaks off, as much of the array as is whole.
pub(crate) fn read<T: DeserializeOwned>(json: &str) -> Result<Read<T>, String> {
    let error = match serde_json::from_str(json) {
        Ok(value) => return Ok(Read { value, is_cut: false }),
        Err(error) => error,
    };
    let ends = element_ends(json);
    let whole = ends.iter().rev().take(ENDS_TRIED).find_map(|end| {
        let closed = format!("{}]}}", json.get(..*end)?);
        serde_json::from_str(&closed).ok()
    });
    whole.map(|value| Read { value, is_cut: true }).ok_or_else(|| error.to_string())
}

/// Where the elements of the outer object's arrays end, those that are objects or arrays themselves.
fn element_ends(json: &str) -> Vec<usize> {
    const INSIDE_AN_ARRAY: usize = 2;
    let mut ends = Vec::new();
    let (mut depth, mut in_text, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in json.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == INSIDE_AN_ARRAY {
                    ends.push(at + 1);
                }
            }
            _ => {}
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Rows {
        columns: Vec<String>,
        rows: Vec<Vec<serde_json::Value>>,
    }

    const WHOLE: &str = r#"{"columns":["a","b"],"rows":[[1,"x]\"}"],[2,"é"],[3,null]]}"#;

    #[test]
    fn the_rows_before_the_cut_are_kept() {
        let at = WHOLE.find("[3").unwrap();
        for rest in ["", " [cut: 40 of 60 bytes shown]", "[3,", "[3,\"[1]"] {
            let read: Read<Rows> = read(&format!("{}{rest}", &WHOLE[..at])).unwrap();
            assert!(read.is_cut);
            assert_eq!(read.value.rows.len(), 2, "{rest}");
        }
        assert!(read::<Rows>("{\"columns\": [\"a\"").is_err());
        assert!(read::<Rows>("<html>").is_err());
        assert!(!read::<Rows>(WHOLE).unwrap().is_cut);
    }

    proptest! {
        #[test]
        fn what_is_kept_is_the_beginning(end in 0..WHOLE.len()) {
            let Some(start) = WHOLE.get(..end) else { return Ok(()) };
            if let Ok(read) = read::<Rows>(start) {
                let whole: Rows = serde_json::from_str(WHOLE).unwrap();
                prop_assert!(whole.rows.starts_with(&read.value.rows));
            }
        }
    }
}
