//! The two forms of an agent file, and the names and notes of an agent in each.

use std::collections::BTreeMap;

use loom_base::ErrorCode;
use loom_yaml::Position;

use super::Places;
use super::body::{self, Body};
use super::fields::{Problems, Section};
use super::tree::{Node, Shape};
use super::value::Value;
use crate::AgentDefinition;

/// What `apiVersion` says.
const API_VERSION: &str = "loom/v1";
/// What `kind` says.
const KIND: &str = "Agent";
/// Notes that start with this are Loom's own.
const RESERVED_NOTES: &str = "loom.";

/// Who an agent is.
struct Identity {
    name: Option<String>,
    place: Position,
    description: String,
    notes: BTreeMap<String, String>,
}

/// The agent that `root` defines; `None` only with a problem reported.
pub(super) fn read(root: &Node, problems: &Problems) -> Option<(AgentDefinition, Places)> {
    if matches!(root.shape, Shape::Null) {
        let message =
            format!("the file is empty: an agent starts with `apiVersion: {API_VERSION}` and `kind: {KIND}`");
        problems.add(root.position, ErrorCode::InvalidYaml, &message);
        return None;
    }
    Value::file(root, problems).section(&[], file)?
}

fn file(top: &mut Section<'_>) -> Option<(AgentDefinition, Places)> {
    match top.value("agent") {
        Some(agent) => older_form(top, &agent),
        None => current_form(top),
    }
}

/// `apiVersion`, `kind`, `metadata`, `spec`.
fn current_form(top: &mut Section<'_>) -> Option<(AgentDefinition, Places)> {
    for (key, expected) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        let value = top.required(key);
        check_header(value.as_ref(), expected);
    }
    let mut places = Places { body: top.position, ..Places::default() };
    let identity = top.required("metadata").and_then(|value| value.section(&[], metadata));
    let body = top.required("spec").and_then(|spec| {
        places.body = spec.key_position;
        spec.section(body::UNBUILT, |section| body::read(section, &mut places))
    });
    definition(identity?, body?, places)
}

/// Everything under `agent`; the header may be there too.
fn older_form(top: &mut Section<'_>, agent: &Value<'_>) -> Option<(AgentDefinition, Places)> {
    for (key, expected) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        check_header(top.value(key).as_ref(), expected);
    }
    for key in ["metadata", "spec"] {
        if let Some(other) = top.value(key) {
            other.contradicts(agent);
        }
    }
    let mut places = Places { body: agent.key_position, ..Places::default() };
    let (identity, body) = agent.section(body::UNBUILT, |section| {
        let mut identity = name_and_description(section);
        if let Some(value) = section.value("metadata") {
            identity.notes = notes(&value);
        }
        (identity, body::read(section, &mut places))
    })?;
    definition(identity, body, places)
}

fn check_header(value: Option<&Value<'_>>, expected: &str) {
    if let Some(value) = value
        && let Some(text) = value.text()
        && text != expected
    {
        value.invalid(format_args!("must be `{expected}` in the agents folder"));
    }
}

fn metadata(section: &mut Section<'_>) -> Identity {
    let mut identity = name_and_description(section);
    for key in ["version", "role", "workflow"] {
        let note = section.value(key).and_then(|value| value.given_text());
        identity.notes.extend(note.map(|note| (key.to_owned(), note)));
    }
    let labels = section.value("labels").and_then(|value| value.free_map()).unwrap_or_default();
    identity.notes.extend(labels.into_iter().map(|(key, label)| (format!("labels.{key}"), label)));
    identity
}

fn name_and_description(section: &mut Section<'_>) -> Identity {
    let name = section.required("name");
    Identity {
        place: name.as_ref().map_or(section.position, |name| name.key_position),
        name: name.and_then(|value| value.name()),
        description: section.value("description").and_then(|value| value.text()).unwrap_or_default(),
        notes: BTreeMap::new(),
    }
}

fn notes(value: &Value<'_>) -> BTreeMap<String, String> {
    let notes = value.free_map().unwrap_or_default();
    if notes.keys().any(|key| key.starts_with(RESERVED_NOTES)) {
        value.invalid(format_args!("has a key that starts with `{RESERVED_NOTES}`, as only Loom's own do"));
    }
    notes
}

fn definition(identity: Identity, body: Body, places: Places) -> Option<(AgentDefinition, Places)> {
    let definition = AgentDefinition {
        name: identity.name?,
        description: identity.description,
        metadata: identity.notes,
        system_prompt: body.system_prompt,
        llm: body.llm,
        backends: body.backends,
        tools: body.tools,
        permissions: body.permissions,
        hooks: body.hooks,
        behavior: body.behavior,
        budgets: body.budgets,
        patterns: body.patterns,
        memory: body.memory,
    };
    Some((definition, Places { name: identity.place, ..places }))
}
