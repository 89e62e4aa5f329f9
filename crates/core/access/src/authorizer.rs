//! The decision, and who makes it.

use crate::{Action, Principal, Resource};

/// The answer to "may they?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Allow,
    /// No.
    Deny {
        /// Why, in words that may be shown to the one who asked.
        reason: &'static str,
    },
}

/// Decides. Called once for each request, before anything else is looked at.
pub trait Authorizer: Send + Sync {
    /// Whether `principal` may do `action` to `resource`.
    fn decide(&self, principal: Principal, action: Action, resource: &Resource) -> Decision;
}

/// Allows everything to whoever is on this machine, and nothing to others.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowLocal;

impl Authorizer for AllowLocal {
    fn decide(&self, principal: Principal, _: Action, _: &Resource) -> Decision {
        match principal {
            Principal::Local => Decision::Allow,
            Principal::Anonymous => Decision::Deny { reason: "this server serves its own machine only" },
        }
    }
}

/// Allows everything to everybody. Only for a server whose operator opened it with `--insecure-bind`.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAnyone;

impl Authorizer for AllowAnyone {
    fn decide(&self, _: Principal, _: Action, _: &Resource) -> Decision {
        Decision::Allow
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    #[test]
    fn a_local_caller_may_do_all_of_the_api_and_a_stranger_none_of_it() {
        for entry in table() {
            let resource = Resource::one(entry.kind, "it");
            assert_eq!(AllowLocal.decide(Principal::Local, entry.action, &resource), Decision::Allow);
            let stranger = AllowLocal.decide(Principal::Anonymous, entry.action, &resource);
            assert!(matches!(stranger, Decision::Deny { .. }), "{}", entry.rpc);
            assert_eq!(AllowAnyone.decide(Principal::Anonymous, entry.action, &resource), Decision::Allow);
        }
    }
}
