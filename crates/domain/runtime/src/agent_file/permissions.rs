//! The `permissions` section: what may go ahead, what someone must approve, what may not.

use std::collections::BTreeMap;
use std::time::Duration;

use loom_agent::Verdict;
use loom_tools::EffectClass;

use super::fields::Section;
use super::llm::COUNT;
use super::value::Value;
use crate::Permissions;

const VERDICTS: [(&str, Verdict); 3] =
    [("allow", Verdict::Allow), ("ask", Verdict::Ask), ("deny", Verdict::Deny)];

const CLASSES: [(&str, EffectClass); 3] =
    [("pure", EffectClass::Pure), ("idempotent", EffectClass::Idempotent), ("unsafe", EffectClass::Unsafe)];

pub(super) fn read(value: &Value<'_>) -> Option<Permissions> {
    value.section(&[], |section| Permissions {
        tools: tools(section),
        classes: section.value("classes").and_then(|value| value.section(&[], classes)).unwrap_or_default(),
        approval_time: section
            .value("approval_timeout_seconds")
            .and_then(|value| value.count(&COUNT))
            .map_or_else(
                || Permissions::default().approval_time,
                |seconds| Duration::from_secs(seconds.into()),
            ),
    })
}

/// `allow`, `ask` and `deny`, each a list of names. A tool in several has the strictest.
fn tools(section: &mut Section<'_>) -> BTreeMap<String, Verdict> {
    let mut tools = BTreeMap::new();
    // From the mildest to the strictest, so that the last stays.
    for (key, verdict) in VERDICTS {
        let names = section.value(key).and_then(|value| value.texts()).unwrap_or_default();
        tools.extend(names.into_iter().map(|name| (name, verdict)));
    }
    tools
}

fn classes(section: &mut Section<'_>) -> BTreeMap<EffectClass, Verdict> {
    let verdict = |(key, class): (&'static str, EffectClass)| {
        let value = section.value(key)?;
        let text = value.text()?;
        let found = VERDICTS.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            value.invalid("must be `allow`, `ask` or `deny`");
        }
        found.map(|(_, verdict)| (class, *verdict))
    };
    CLASSES.into_iter().filter_map(verdict).collect()
}
