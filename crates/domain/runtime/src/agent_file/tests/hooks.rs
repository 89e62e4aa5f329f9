//! The keys of hooks: accepted ones change something, the others are refused in their place.

use std::collections::BTreeSet;
use std::path::PathBuf;

use loom_tools::{EffectClass, HookPoint, OnFailure};

use super::*;
use crate::{HookDefinition, HookKind};

const WEBHOOK: &str = "type: webhook, points: [after_model], url: http://h, secret_variable: S";
const GIT: &str = "type: git_commit, workspace: /w";

fn hooks(text: &str) -> Vec<HookDefinition> {
    definition(&format!("{{hooks: [{text}]}}")).hooks
}

fn refusal(text: &str) -> String {
    parse(&with_spec(&format!("{{hooks: [{text}]}}"))).unwrap_err().to_string()
}

#[test]
fn both_kinds_have_their_defaults() {
    let webhook = HookDefinition {
        name: "webhook".into(),
        points: BTreeSet::from([HookPoint::AfterModel]),
        on_failure: OnFailure::Closed,
        timeout: Duration::from_secs(10),
        kind: HookKind::Webhook {
            url: "http://h".into(),
            secret_variable: "S".into(),
            effect: EffectClass::Idempotent,
        },
    };
    let git = HookDefinition {
        name: "git_commit".into(),
        points: BTreeSet::from([HookPoint::AfterTools]),
        on_failure: OnFailure::Closed,
        timeout: Duration::from_secs(30),
        kind: HookKind::GitCommit {
            workspace: PathBuf::from("/w"),
            author_name: "Loom".into(),
            author_email: "loom@localhost".into(),
        },
    };
    assert_eq!(hooks(&format!("{{{WEBHOOK}}}, {{{GIT}}}")), [webhook, git]);
}

#[test]
fn every_key_of_a_hook_changes_it() {
    let common = ["name: x", "on_failure: open", "timeout_seconds: 7"];
    for (hook, own) in [
        (WEBHOOK, &["effect: unsafe"][..]),
        (GIT, &["points: [turn_start]", "author: {name: N, email: e@f}"][..]),
    ] {
        let before = hooks(&format!("{{{hook}}}"));
        for key in common.iter().chain(own) {
            assert_ne!(hooks(&format!("{{{hook}, {key}}}")), before, "{key}");
        }
    }
    assert_ne!(
        hooks(&format!("{{{}}}", WEBHOOK.replace("http://h", "http://i"))),
        hooks(&format!("{{{WEBHOOK}}}"))
    );
    assert_ne!(hooks(&format!("{{{}}}", WEBHOOK.replace(": S", ": T"))), hooks(&format!("{{{WEBHOOK}}}")));
    let half = hooks(&format!("{{{GIT}, author: {{name: N}}}}"));
    assert!(matches!(&half[0].kind, HookKind::GitCommit { author_name, author_email, .. }
        if author_name == "N" && author_email == "loom@localhost"));
}

#[test]
fn what_cannot_be_used_is_refused_at_its_key() {
    for (hook, problem) in [
        ("{points: [after_model]}".to_owned(), "a.yaml:4:16: `spec.hooks[0].type` is missing or empty"),
        ("{type: shell, url: x}".to_owned(), "`spec.hooks[0].type` must be `webhook` or `git_commit`"),
        (format!("{{{WEBHOOK}, workspace: /w}}"), "unknown key `spec.hooks[0].workspace`"),
        (format!("{{{WEBHOOK}}}, {{{GIT}, effect: unsafe}}"), "unknown key `spec.hooks[1].effect`"),
        (format!("{{{GIT}}}, {{{GIT}}}"), "`spec.hooks` has two hooks called `git_commit`"),
        ("{type: git_commit, workspace: w}".to_owned(), "`spec.hooks[0].workspace` must be an absolute path"),
        (format!("{{{GIT}, points: []}}"), "`spec.hooks[0].points` is empty: the hook would never run"),
        (
            format!("{{{GIT}, points: [before_tools]}}"),
            "`spec.hooks[0].points` has a point that is none of `session_start`",
        ),
        (format!("{{{GIT}, on_failure: maybe}}"), "`spec.hooks[0].on_failure` must be `closed`"),
        (format!("{{{GIT}, timeout_seconds: 0}}"), "`spec.hooks[0].timeout_seconds` is `0`"),
        (format!("{{{GIT}, author: {{name: 'a <b>'}}}}"), "`spec.hooks[0].author.name` must not contain `<`"),
        (format!("{{{WEBHOOK}, effect: pure}}"), "`spec.hooks[0].effect` must be `idempotent`"),
        (
            "{type: webhook, url: http://h, secret_variable: S}".to_owned(),
            "`spec.hooks[0].points` is missing or empty",
        ),
        ("git_commit".to_owned(), "`spec.hooks[0]`: expected a section"),
    ] {
        let told = refusal(&hook);
        assert!(told.contains(problem), "{hook}: {told}");
        assert_eq!(told.lines().count(), 1, "{hook}: {told}");
    }
    assert!(
        parse(&with_spec("{hooks: {type: webhook}}")).unwrap_err().to_string().contains("expected a list")
    );
}

#[test]
fn a_secret_in_place_of_its_variables_name_is_not_shown() {
    let told = refusal("{type: webhook, points: [after_model], url: http://h, secret_variable: '${SECRET}'}");
    assert!(told.contains("must be the name of a variable") && !told.contains("sk-123"), "{told}");
}
