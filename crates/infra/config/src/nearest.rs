//! The name that was probably meant.

/// How alike two names must be (0 to 1) for one to be offered in place of the other.
const ALIKE: f64 = 0.6;

/// The name among `known` that is most like `name`, if any is much like it. A key of the same last part in another
/// section counts as nearly the same.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let score = |candidate: &str| {
        let whole = strsim::normalized_damerau_levenshtein(name, candidate);
        if last(name) == last(candidate) { whole.max(0.9) } else { whole }
    };
    known
        .into_iter()
        .map(|candidate| (score(candidate), candidate))
        .filter(|(score, _)| *score >= ALIKE)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| candidate)
}

/// `; did you mean X?`, or nothing.
pub(crate) fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |found| format!("; did you mean `{found}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_and_wrong_sections_find_their_key() {
        let known = ["server.grpc_port", "server.http_port", "logging.level"];
        assert_eq!(nearest("server.grpcport", known), Some("server.grpc_port"));
        assert_eq!(nearest("http_port", known), Some("server.http_port"));
        assert_eq!(nearest("loging.level", known), Some("logging.level"));
        assert_eq!(nearest("zebra", known), None);
    }
}
