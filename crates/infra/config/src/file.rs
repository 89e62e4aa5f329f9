//! The configuration file: every key of it is found in the manual, or refused with its place.

use std::sync::Arc;

use loom_base::ErrorCode;

use crate::error::ConfigError;
use crate::layers::{Candidate, Layers};
use crate::schema::{self, Meaning};
use crate::source::{Position, Source};
use crate::unbuilt;
use loom_yaml::{Entry, Node, Shape};

/// The key under which a file describes profiles.
const PROFILES: &str = "profiles";

/// Adds the values of a file to `layers`, those of the selected profile at a profile's priority, and reports every key
/// that is not in the manual. Returns the names of the profiles that the file describes.
pub(crate) fn add(
    root: Node,
    file: &Arc<str>,
    selected: Option<&str>,
    layers: &mut Layers<'_>,
) -> Vec<String> {
    let mut walk = Walk { file, profile: None, active: true, layers };
    let mut profiles = Vec::new();
    let Some(entries) = walk.section(root, "the file") else { return profiles };
    for entry in entries {
        if entry.key != PROFILES {
            walk.entry(entry, "");
            continue;
        }
        for profile in walk.section(entry.value, "`profiles`").unwrap_or_default() {
            let active = selected == Some(profile.key.as_str());
            let title = format!("`{PROFILES}.{}`", profile.key);
            let mut inner =
                Walk { file, profile: Some(profile.key.clone()), active, layers: &mut *walk.layers };
            for entry in inner.section(profile.value, &title).unwrap_or_default() {
                inner.entry(entry, "");
            }
            profiles.push(profile.key);
        }
    }
    profiles
}

struct Walk<'w, 'l> {
    file: &'w Arc<str>,
    /// The profile being read, if any.
    profile: Option<String>,
    active: bool,
    layers: &'w mut Layers<'l>,
}

impl Walk<'_, '_> {
    fn source(&self, place: loom_yaml::Position) -> Source {
        let position = Position::at(self.file, place);
        match &self.profile {
            None => Source::File(position),
            Some(name) => Source::Profile { name: name.clone(), position: Some(position) },
        }
    }

    fn refuse(&mut self, code: ErrorCode, place: loom_yaml::Position, message: String) {
        // An error points at the file, whether or not a profile is being read.
        let position = Position::at(self.file, place);
        self.layers.errors.push(ConfigError::new(code, Source::File(position), message));
    }

    /// The entries of a map; nothing at all is an empty one.
    fn section(&mut self, node: Node, title: &str) -> Option<Vec<Entry>> {
        match node.shape {
            Shape::Map(entries) => Some(entries),
            Shape::Null => Some(Vec::new()),
            Shape::Text(_) | Shape::List(_) => {
                let message = format!("{title}: expected a section (`key: value` lines)");
                self.refuse(ErrorCode::InvalidConfig, node.position, message);
                None
            }
        }
    }

    fn entry(&mut self, entry: Entry, above: &str) {
        let at = entry.position;
        let path = if above.is_empty() { entry.key.clone() } else { format!("{above}.{}", entry.key) };
        if entry.key.is_empty() || entry.key.contains('.') {
            let message = format!("unknown key `{path}`: a key of a section stands below it, indented");
            return self.refuse(ErrorCode::UnknownField, at, message);
        }
        match schema::meaning(&path) {
            Meaning::Key { name } => self.value(&name, path, entry),
            Meaning::Section => {
                if above == "providers" && self.active {
                    let source = self.source(entry.position);
                    self.layers.name_instance(&entry.key, source);
                }
                for inner in self.section(entry.value, &format!("`{path}`")).unwrap_or_default() {
                    self.entry(inner, &path);
                }
            }
            Meaning::Unbuilt(_) if unbuilt::says_off(&entry.value) => {}
            Meaning::Unbuilt(key) => self.refuse(ErrorCode::UnsupportedField, at, key.message(&path)),
            Meaning::Unknown => {
                let message = format!("unknown key `{path}`{}", schema::hint(&path));
                self.refuse(ErrorCode::UnknownField, at, message);
            }
        }
    }

    fn value(&mut self, name: &str, written: String, entry: Entry) {
        let source = self.source(entry.value.position);
        let same_layer = |other: &Candidate| match (&other.source, &self.profile) {
            (Source::File(_), None) => true,
            (Source::Profile { name, position: Some(_) }, Some(profile)) => name == profile,
            _ => false,
        };
        if let Some(other) = self.layers.given(name).iter().find(|other| same_layer(other)) {
            let message = format!("`{written}` and `{}` are the same key; keep `{name}`", other.written);
            return self.refuse(ErrorCode::InvalidConfig, entry.position, message);
        }
        let candidate = Candidate::new(source, written, entry.value);
        self.layers.add(name, if self.active { candidate } else { candidate.inactive() });
    }
}
