//! The `hooks` list: what runs at fixed points of the agent's turns.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use loom_base::is_variable_name;
use loom_tools::{EffectClass, HookPoint, OnFailure};

use super::fields::Section;
use super::value::Value;
use crate::{HookDefinition, HookKind};

/// Seconds for one run: at most what a turn may reasonably wait.
const SECONDS: RangeInclusive<u32> = 1..=3_600;
/// Time for a service to answer.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a commit: a large workspace takes a while to look through.
const GIT_TIMEOUT: Duration = Duration::from_secs(30);
/// The keys of all kinds.
const KEYS: [&str; 9] = [
    "name",
    "points",
    "on_failure",
    "timeout_seconds",
    "url",
    "secret_variable",
    "effect",
    "workspace",
    "author",
];

pub(super) fn read(value: &Value<'_>) -> Option<Vec<HookDefinition>> {
    let hooks = value.sections(hook)?.into_iter().flatten().collect::<Vec<HookDefinition>>();
    let mut names = BTreeSet::new();
    if let Some(twice) = hooks.iter().find(|hook| !names.insert(&hook.name)) {
        value.invalid(format_args!("has two hooks called `{}`; give one another `name`", twice.name));
    }
    Some(hooks)
}

/// One hook; `None` only with a problem reported.
fn hook(section: &mut Section<'_>) -> Option<HookDefinition> {
    let kind = section.required("type");
    let Some((kind, text)) = kind.and_then(|kind| kind.text().map(|text| (kind, text))) else {
        skip(section);
        return None;
    };
    let (points, timeout, kind) = match text.as_str() {
        "webhook" => (None, WEBHOOK_TIMEOUT, webhook(section)),
        "git_commit" => (Some(HookPoint::AfterTools), GIT_TIMEOUT, git_commit(section)),
        _ => {
            kind.invalid("must be `webhook` or `git_commit`");
            skip(section);
            return None;
        }
    };
    let on_failure =
        section.value("on_failure").map_or(Some(OnFailure::default()), |value| on_failure(&value));
    let name = section.value("name").map_or(Some(text), |value| value.name());
    let seconds = section.value("timeout_seconds").map(|value| value.count(&SECONDS));
    let points = match points {
        Some(default) => {
            section.value("points").map_or(Some(BTreeSet::from([default])), |value| points_of(&value))
        }
        None => section.required("points").and_then(|value| points_of(&value)),
    };
    let timeout = match seconds {
        Some(seconds) => Duration::from_secs(seconds?.into()),
        None => timeout,
    };
    Some(HookDefinition { name: name?, points: points?, on_failure: on_failure?, timeout, kind: kind? })
}

/// Asks for every key of a hook of no known type: whether they fit cannot be said.
fn skip(section: &mut Section<'_>) {
    for key in KEYS {
        section.value(key);
    }
}

fn webhook(section: &mut Section<'_>) -> Option<HookKind> {
    let url = section.required("url").and_then(|value| value.given_text());
    let secret = section.required("secret_variable").and_then(|value| {
        let name = value.text().filter(|name| is_variable_name(name));
        if name.is_none() {
            value.invalid("must be the name of a variable that holds the secret, not the secret");
        }
        name
    });
    let effect = section.value("effect").map_or(Some(EffectClass::Idempotent), |value| effect(&value));
    Some(HookKind::Webhook { url: url?, secret_variable: secret?, effect: effect? })
}

fn git_commit(section: &mut Section<'_>) -> Option<HookKind> {
    let workspace = section.required("workspace").and_then(|value| {
        let path = value.text().map(PathBuf::from).filter(|path| path.is_absolute());
        if path.is_none() {
            value.invalid("must be an absolute path");
        }
        path
    });
    let author = section.value("author").and_then(|value| value.section(&[], author)).unwrap_or_default();
    let author_name = author.0.unwrap_or_else(|| "Loom".to_owned());
    let author_email = author.1.unwrap_or_else(|| "loom@localhost".to_owned());
    Some(HookKind::GitCommit { workspace: workspace?, author_name, author_email })
}

fn author(section: &mut Section<'_>) -> (Option<String>, Option<String>) {
    let mut plain = |key| {
        let value = section.value(key)?;
        let text = value.name()?;
        if text.contains(['<', '>']) {
            value.invalid("must not contain `<` or `>`");
        }
        Some(text)
    };
    (plain("name"), plain("email"))
}

fn points_of(value: &Value<'_>) -> Option<BTreeSet<HookPoint>> {
    let mut points = BTreeSet::new();
    for name in value.names()? {
        let Some(point) = HookPoint::ALL.into_iter().find(|point| point.as_str() == name) else {
            let known = HookPoint::ALL.map(HookPoint::as_str).join("`, `");
            value.invalid(format_args!("has a point that is none of `{known}`"));
            return None;
        };
        points.insert(point);
    }
    if points.is_empty() {
        value.invalid("is empty: the hook would never run");
        return None;
    }
    Some(points)
}

fn on_failure(value: &Value<'_>) -> Option<OnFailure> {
    match value.text()?.as_str() {
        "open" => Some(OnFailure::Open),
        "closed" => Some(OnFailure::Closed),
        _ => {
            value.invalid("must be `closed` (the turn ends) or `open` (it goes on)");
            None
        }
    }
}

fn effect(value: &Value<'_>) -> Option<EffectClass> {
    match value.text()?.as_str() {
        "idempotent" => Some(EffectClass::Idempotent),
        "unsafe" => Some(EffectClass::Unsafe),
        _ => {
            value.invalid("must be `idempotent` (told again after a crash, under the same id) or `unsafe` (never twice)");
            None
        }
    }
}
