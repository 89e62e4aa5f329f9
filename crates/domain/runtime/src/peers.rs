//! The Looms that share a store, and how they prove to each other that they do.
//!
//! An instance's id is known to those who read its row, and to nobody else. The credential that a request to it carries
//! follows from the id and does not show it. It is good for as long as the instance is.

use std::collections::HashMap;
use std::sync::PoisonError;

use loom_base::{Digest, InstanceId, Secret};

use crate::sync::{Mutex, MutexGuard};

/// Others that are remembered at most; when there are more, each is met again.
const MOST_KNOWN: usize = 256;

/// Those who share the store, as far as they were met.
pub struct Peers(Mutex<Known>);

struct Known {
    own: InstanceId,
    /// The others by where they listen.
    others: HashMap<String, InstanceId>,
}

impl Peers {
    pub(crate) fn new(own: InstanceId) -> Self {
        Self(Mutex::new(Known { own, others: HashMap::new() }))
    }

    /// Another one listens at `address`.
    pub(crate) fn met(&self, address: &str, instance: InstanceId) {
        let others = &mut self.lock().others;
        if others.len() >= MOST_KNOWN && !others.contains_key(address) {
            others.clear();
        }
        others.insert(address.to_owned(), instance);
    }

    /// This one has come back as `instance`.
    pub(crate) fn became(&self, instance: InstanceId) {
        self.lock().own = instance;
    }

    /// What proves to the instance at `address` that a request comes from one that shares its store; `None` when that one
    /// was not met.
    pub fn credential_for(&self, address: &str) -> Option<Secret> {
        self.lock().others.get(address).copied().map(credential)
    }

    /// Whether a request with this credential comes from one that shares the store, and is meant for this instance.
    pub fn accepts(&self, offered: &str) -> bool {
        let own = credential(self.lock().own);
        // How long digests take to compare says nothing about what they are of.
        Digest::of(offered) == Digest::of(own.expose())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The credential of requests to `instance`.
fn credential(instance: InstanceId) -> Secret {
    Secret::new(Digest::of(format!("loom: a request to {instance}")).to_string())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const fn instance(number: u128) -> InstanceId {
        InstanceId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn a_credential_is_good_for_the_instance_it_was_made_for_and_shows_nothing_of_its_id() {
        let (one, other) = (Peers::new(instance(1)), Peers::new(instance(2)));
        assert_eq!(one.credential_for("there:1"), None);
        one.met("there:1", instance(2));
        let credential = one.credential_for("there:1").unwrap();
        assert!(other.accepts(credential.expose()) && !one.accepts(credential.expose()));
        assert!(!credential.expose().contains(&instance(2).as_uuid().simple().to_string()));
        assert!(!other.accepts("") && !other.accepts(&instance(2).to_string()));
        other.became(instance(3));
        assert!(!other.accepts(credential.expose()), "it is another instance now");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let peers = Peers::new(instance(1));
        for number in 0..10_000_u128 {
            peers.met(&format!("there:{number}"), instance(number));
        }
        assert!(peers.lock().others.len() <= MOST_KNOWN);
    }
}
