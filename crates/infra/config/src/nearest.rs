//! The name that was probably meant.

/// The name among `known` that is spelt most like `name`, else one that it begins with, or a key of the same last part in
/// another section.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let is_related = |other: &&str| name.starts_with(other) || last(other) == last(name);
    loom_base::nearest(name, known.clone()).or_else(|| known.into_iter().find(is_related))
}

/// `; did you mean X?`, or nothing.
pub(crate) fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
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
        assert_eq!(nearest("devel", ["prod", "dev"]), Some("dev"));
        assert_eq!(nearest("zebra", known), None);
    }
}
