//! What a key's name means.

use crate::key::{Key, KeyInfo};
use crate::layers::{Candidate, Layers};
use crate::sections::Config;
use crate::source::Source;
use crate::unbuilt::{UNBUILT, Unbuilt};
use crate::{Environment, nearest};
use loom_yaml::Node;

/// What a dotted name means.
pub(crate) enum Meaning {
    /// A key, by its full name with the user's own names in it.
    Key {
        /// The name that is not an alias.
        name: String,
    },
    /// A section: there are keys below it.
    Section,
    /// Known, but not in this version.
    Unbuilt(&'static Unbuilt),
    /// Nothing.
    Unknown,
}

/// All keys, in the order of the manual.
pub(crate) fn all() -> impl Iterator<Item = &'static Key> {
    Config::SECTIONS.iter().copied().flatten()
}

/// What `path` means.
pub(crate) fn meaning(path: &str) -> Meaning {
    for key in all() {
        if let Some(instance) = matches(key.name, path) {
            return Meaning::Key { name: key.name.replacen('*', instance, 1) };
        }
        if key.aliases.contains(&path) {
            return Meaning::Key { name: key.name.to_owned() };
        }
    }
    if let Some(unbuilt) = Unbuilt::for_key(path) {
        return Meaning::Unbuilt(unbuilt);
    }
    let unbuilt = UNBUILT.iter().map(|entry| entry.pattern);
    let mut names =
        all().flat_map(|key| std::iter::once(key.name).chain(key.aliases.iter().copied())).chain(unbuilt);
    if names.any(|name| is_above(path, name)) { Meaning::Section } else { Meaning::Unknown }
}

/// `Some` when `path` is the key `pattern`, with what stands for its `*` (nothing when it has none).
fn matches<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    match pattern.split_once('*') {
        None => (pattern == path).then_some(""),
        Some((before, after)) => path
            .strip_prefix(before)?
            .strip_suffix(after)
            .filter(|name| !name.is_empty() && !name.contains('.')),
    }
}

/// Whether `path` is a section that the key `name` is in.
fn is_above(path: &str, name: &str) -> bool {
    let mut parts = name.split('.');
    path.split('.').all(|part| parts.next().is_some_and(|of_name| of_name == part || of_name == "*"))
        && parts.next().is_some()
}

/// `; did you mean X?` for a name that means nothing, or nothing.
pub(crate) fn hint(path: &str) -> String {
    let mut known: Vec<String> = Vec::new();
    // A name under `providers` is the user's own: keep it, so that only the key's part is compared.
    let own = path.strip_prefix("providers.").and_then(|rest| rest.split('.').next()).unwrap_or("*");
    for key in all() {
        let name = key.name.replacen('*', own, 1);
        let mut end = 0;
        while let Some(dot) = name[end..].find('.') {
            known.push(name[..end + dot].to_owned());
            end += dot + 1;
        }
        known.push(name);
        known.extend(key.aliases.iter().map(|alias| (*alias).to_owned()));
    }
    known.sort_unstable();
    known.dedup();
    known.retain(|name| name != path);
    let found = nearest::nearest(path, known.iter().map(String::as_str));
    let canonical = found.map(|found| match meaning(found) {
        Meaning::Key { name } => name,
        Meaning::Section | Meaning::Unbuilt(_) | Meaning::Unknown => found.to_owned(),
    });
    canonical.map_or_else(String::new, |found| format!("; did you mean `{found}`?"))
}

/// Every key that this version takes, in the order of the manual.
pub fn keys() -> Vec<KeyInfo> {
    let env = std::iter::once(("HOME", "~")).collect::<Environment>();
    let mut plain = Layers::new(&env);
    plain.name_instance("*", Source::Default);
    Config::read(&mut plain);
    // Read again with the data folder set, so that what lies below it is shown below it.
    let mut below = Layers::new(&env);
    below.name_instance("*", Source::Default);
    let source = Source::Environment("LOOM_DATA_DIR".to_owned());
    below.add("data_dir", Candidate::new(source, "data_dir", Node::text("$LOOM_DATA_DIR")));
    Config::read(&mut below);
    let default = |name: &str| {
        let from = |layers: &Layers<'_>| {
            layers.explained(name).map(|found| (found.source.clone(), found.value.clone()))
        };
        match from(&below) {
            Some((Source::Default, value)) => value,
            _ => from(&plain).and_then(|(_, value)| value),
        }
    };
    all()
        .map(|key| KeyInfo {
            name: key.name,
            doc: key.doc.lines().map(str::trim).collect::<Vec<_>>().join(" "),
            shape: (key.shape)(),
            default: default(key.name),
            variables: key.variables(),
            aliases: key.aliases,
            example: key.example,
            secret: key.secret,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(path: &str) -> String {
        match meaning(path) {
            Meaning::Key { name } => name,
            Meaning::Section => "section".to_owned(),
            Meaning::Unbuilt(_) => "unbuilt".to_owned(),
            Meaning::Unknown => "unknown".to_owned(),
        }
    }

    #[test]
    fn names_mean_what_they_say() {
        for (path, means) in [
            ("server.grpc_port", "server.grpc_port"),
            ("server.port", "server.grpc_port"),
            ("database.path", "db_path"),
            ("providers.lab.type", "providers.lab.type"),
            ("providers.lab", "section"),
            ("storage.sqlite", "section"),
            ("server", "section"),
            ("server.tls.enabled", "unbuilt"),
            ("llm.bedrock_region", "unbuilt"),
            ("server.grpc_port.x", "unknown"),
            ("providers.lab.type.x", "unknown"),
            ("serve", "unknown"),
        ] {
            assert_eq!(name_of(path), means, "{path}");
        }
    }

    #[test]
    fn no_name_means_two_things() {
        let mut names: Vec<String> = all()
            .flat_map(|key| std::iter::once(key.name).chain(key.aliases.iter().copied()))
            .map(str::to_owned)
            .collect();
        names.extend(UNBUILT.iter().map(|entry| entry.pattern.to_owned()));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        let mut variables: Vec<String> = all().flat_map(Key::variables).collect();
        let count = variables.len();
        variables.sort_unstable();
        variables.dedup();
        assert_eq!(variables.len(), count);
    }

    #[test]
    fn hints_name_the_real_key() {
        assert_eq!(hint("server.prot"), "; did you mean `server.grpc_port`?");
        assert_eq!(hint("sever"), "; did you mean `server`?");
        assert_eq!(hint("grpc_port"), "; did you mean `server.grpc_port`?");
        assert_eq!(hint("providers.lab.base_uri"), "; did you mean `providers.lab.base_url`?");
        assert_eq!(hint("zzz"), "");
    }
}
