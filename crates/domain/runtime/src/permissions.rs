//! Which tool calls may go ahead, which someone must approve first, and which may not.

use std::collections::BTreeMap;
use std::time::Duration;

use loom_agent::{ApprovalTime, Verdict};
use loom_tools::EffectClass;
use serde::{Deserialize, Serialize};

/// Policies over tools and effect classes. Where several apply, deny wins over ask, and ask over allow; a policy that
/// names the tool decides before one for its class, but never against a deny.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Permissions {
    /// By the tool's name; one that ends in `*` holds for every name that begins so.
    pub tools: BTreeMap<String, Verdict>,
    /// By what a tool does to the world. A class that is not named is allowed; `unsafe` is asked for.
    pub classes: BTreeMap<EffectClass, Verdict>,
    /// How long an approval may be given, and then used.
    pub approval_time: Duration,
}

impl Default for Permissions {
    fn default() -> Self {
        Self { tools: BTreeMap::new(), classes: BTreeMap::new(), approval_time: ApprovalTime::default().0 }
    }
}

impl Permissions {
    /// What policy says of a call of `tool`.
    pub fn verdict(&self, tool: &str, class: EffectClass) -> Verdict {
        let of_class = self.classes.get(&class).copied().unwrap_or(match class {
            EffectClass::Unsafe => Verdict::Ask,
            EffectClass::Pure | EffectClass::Idempotent | EffectClass::Transactional => Verdict::Allow,
        });
        let named = self.tools.iter().filter(|(name, _)| names(name, tool)).map(|(_, verdict)| *verdict);
        match named.max_by_key(|verdict| strictness(*verdict)) {
            Some(verdict) if of_class != Verdict::Deny => verdict,
            _ => of_class,
        }
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a policy's name holds for `tool`.
pub(crate) fn names(policy: &str, tool: &str) -> bool {
    policy.strip_suffix('*').map_or(policy == tool, |beginning| tool.starts_with(beginning))
}

const fn strictness(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Allow => 0,
        Verdict::Ask => 1,
        Verdict::Deny => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permissions(tools: &[(&str, Verdict)], classes: &[(EffectClass, Verdict)]) -> Permissions {
        let tools = tools.iter().map(|(name, verdict)| ((*name).to_owned(), *verdict)).collect();
        Permissions { tools, classes: classes.iter().copied().collect(), ..Permissions::default() }
    }

    #[test]
    fn what_changes_the_world_is_asked_for_unless_policy_allows_it() {
        let default = Permissions::default();
        assert_eq!(default.verdict("pay", EffectClass::Unsafe), Verdict::Ask);
        assert_eq!(default.verdict("read", EffectClass::Pure), Verdict::Allow);
        let allowed = permissions(&[("pay", Verdict::Allow)], &[]);
        assert_eq!(allowed.verdict("pay", EffectClass::Unsafe), Verdict::Allow);
        assert_eq!(allowed.verdict("payout", EffectClass::Unsafe), Verdict::Ask);
    }

    #[test]
    fn deny_wins() {
        let several = permissions(&[("pay*", Verdict::Deny), ("pay", Verdict::Allow)], &[]);
        assert_eq!(several.verdict("pay", EffectClass::Pure), Verdict::Deny);
        let of_class = permissions(&[("pay", Verdict::Allow)], &[(EffectClass::Unsafe, Verdict::Deny)]);
        assert_eq!(of_class.verdict("pay", EffectClass::Unsafe), Verdict::Deny);
        assert_eq!(of_class.verdict("pay", EffectClass::Idempotent), Verdict::Allow);
    }
}
