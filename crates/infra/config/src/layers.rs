//! The small merge: for every key the values that were given, by priority, and where each came from.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::environment::Environment;
use crate::error::{ConfigError, Fault};
use crate::explain::{Explanation, Shadowed};
use crate::source::Source;
use crate::value::{Given, Value};
use loom_yaml::{Node, Shape};

/// A value that was given for a key.
pub(crate) struct Candidate {
    pub(crate) source: Source,
    /// The key as it was written.
    pub(crate) written: String,
    node: Node,
    /// Whether it takes part in the choice; a profile that is not selected is only checked.
    active: bool,
}

impl Candidate {
    pub(crate) fn new(source: Source, written: impl Into<String>, node: Node) -> Self {
        Self { source, written: written.into(), node, active: true }
    }

    /// One that is checked and not used.
    pub(crate) fn inactive(self) -> Self {
        Self { active: false, ..self }
    }

    /// What a built-in profile says is not the user's word: it is looked at only when nothing else is said.
    fn is_built_in(&self) -> bool {
        matches!(self.source, Source::Profile { position: None, .. })
    }
}

/// Whether the value depends on the environment: then it can only be checked where it is used.
fn has_variable(node: &Node) -> bool {
    match &node.shape {
        Shape::Text(text) => text.contains("${"),
        Shape::List(items) => items.iter().any(has_variable),
        Shape::Null | Shape::Map(_) => false,
    }
}

/// All values that were given.
pub(crate) struct Layers<'a> {
    env: &'a Environment,
    given: BTreeMap<String, Vec<Candidate>>,
    /// The names under `providers`, and where each is first said.
    names: BTreeMap<String, Source>,
    pub(crate) explained: BTreeMap<String, Explanation>,
    pub(crate) errors: Vec<ConfigError>,
    /// Variables that `${VAR}` looked up.
    pub(crate) used: BTreeSet<String>,
}

impl<'a> Layers<'a> {
    pub(crate) fn new(env: &'a Environment) -> Self {
        Self {
            env,
            given: BTreeMap::new(),
            names: BTreeMap::new(),
            explained: BTreeMap::new(),
            errors: Vec::new(),
            used: BTreeSet::new(),
        }
    }

    /// Adds a value for the key of this full name.
    pub(crate) fn add(&mut self, key: &str, candidate: Candidate) {
        let own = key.strip_prefix("providers.").and_then(|rest| rest.split_once('.'));
        if let Some((name, _)) = own.filter(|_| candidate.active) {
            self.name_instance(name, candidate.source.clone());
        }
        self.given.entry(key.to_owned()).or_default().push(candidate);
    }

    /// The values given for a key.
    pub(crate) fn given(&self, key: &str) -> &[Candidate] {
        self.given.get(key).map_or(&[], Vec::as_slice)
    }

    /// Notes that there is an entry `name` under `providers`.
    pub(crate) fn name_instance(&mut self, name: &str, source: Source) {
        self.names.entry(name.to_owned()).or_insert(source);
    }

    /// The names under `providers`.
    pub(crate) fn instances(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    /// Where the entry `name` under `providers` is first said.
    pub(crate) fn instance_source(&self, name: &str) -> Source {
        self.names.get(name).cloned().unwrap_or(Source::Default)
    }

    /// What was found for a key, once it was read.
    pub(crate) fn explained(&self, key: &str) -> Option<&Explanation> {
        self.explained.get(key)
    }

    /// Where the value of a key came from, once it was read.
    pub(crate) fn source(&self, key: &str) -> Source {
        self.explained.get(key).map_or(Source::Default, |found| found.source.clone())
    }

    /// Reads every value given for the key, reports those that are wrong, keeps the one of highest priority and
    /// remembers the rest.
    pub(crate) fn value<T: Value>(
        &mut self,
        pattern: &str,
        instance: &str,
        default: T,
        check: impl Fn(&T) -> Result<(), String>,
    ) -> T {
        let key = pattern.replacen('*', instance, 1);
        let mut candidates = self.given.remove(&key).unwrap_or_default();
        // The sort is stable: of two from one kind of source, the first given wins.
        candidates.sort_by_key(|candidate| candidate.source.rank());
        let mut winner: Option<(T, Source)> = None;
        let mut shadowed = Vec::new();
        let mut said = false;
        for candidate in candidates {
            if candidate.is_built_in() && said || !candidate.active && has_variable(&candidate.node) {
                continue;
            }
            said |= candidate.active;
            let Some(value) = self.read(&candidate, &check) else { continue };
            match &winner {
                _ if !candidate.active => {}
                None => winner = Some((value, candidate.source)),
                Some(_) => shadowed.push(Shadowed { value: value.show(), source: candidate.source }),
            }
        }
        let (value, source) = match winner {
            Some(found) => found,
            None => (self.default(&key, default), Source::Default),
        };
        self.explained.insert(key.clone(), Explanation { key, value: value.show(), source, shadowed });
        value
    }

    fn read<T: Value>(
        &mut self,
        candidate: &Candidate,
        check: impl Fn(&T) -> Result<(), String>,
    ) -> Option<T> {
        let given = Given {
            node: &candidate.node,
            source: &candidate.source,
            env: self.env,
            used: RefCell::new(Vec::new()),
        };
        let value = T::read(&given)
            .and_then(|value| value.at_home(self.env.get("HOME")))
            .and_then(|value| check(&value).map(|()| value).map_err(Fault::invalid));
        self.used.extend(given.used.into_inner());
        match value {
            Ok(value) => Some(value),
            Err(fault) => {
                let source = match fault.at {
                    Some(place) => candidate.source.clone().moved(place),
                    None => candidate.source.clone(),
                };
                let message = format!("`{}`: {}", candidate.written, fault.message);
                self.errors.push(ConfigError::new(fault.code, source, message));
                None
            }
        }
    }

    fn default<T: Value>(&mut self, key: &str, default: T) -> T {
        match default.clone().at_home(self.env.get("HOME")) {
            Ok(value) => value,
            Err(fault) => {
                // One missing home folder is one error, however many folders are in it.
                if !self.errors.iter().any(|error| *error.place() == Source::Default) {
                    let message = format!("`{key}`: {}; set `{key}`, or HOME", fault.message);
                    self.errors.push(ConfigError::new(fault.code, Source::Default, message));
                }
                default
            }
        }
    }
}
