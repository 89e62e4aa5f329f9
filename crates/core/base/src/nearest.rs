//! Finds the name someone probably meant, for error messages.

/// The candidate closest to `name` by edit distance, when it is close enough to be what was meant: at most a third of
/// the name's characters differ, case aside. The first of equally close ones.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = cut(name);
    let tolerance = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(&name, candidate), candidate))
        .filter(|(distance, _)| *distance <= tolerance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Bounds the work on names that a stranger sends; no name of ours is longer.
const MAX_COMPARED_CHARS: usize = 128;

/// The least number of inserted, deleted, replaced or swapped neighbouring characters.
fn edit_distance(from: &str, to: &str) -> usize {
    strsim::osa_distance(from, &cut(to))
}

fn cut(name: &str) -> String {
    name.to_lowercase().chars().take(MAX_COMPARED_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_what_was_meant_and_nothing_far_off() {
        let keys = ["name", "title", "templates", "parameters"];
        assert_eq!(nearest("templats", keys), Some("templates"));
        assert_eq!(nearest("Nmae", keys), Some("name"));
        assert_eq!(nearest("color", keys), None);
        assert_eq!(nearest("x", []), None);
    }

    proptest! {
        #[test]
        fn a_name_is_nearest_to_itself(name in "[a-zé_]{1,40}", other in "[A-Z]{50,60}") {
            prop_assert_eq!(nearest(&name, [other.as_str(), name.as_str()]), Some(name.as_str()));
        }
    }
}
