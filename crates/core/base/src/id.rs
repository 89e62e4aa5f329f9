//! The one registry of id kinds. A session id cannot be passed where a turn id is wanted.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest id a client may choose, in bytes.
const MAX_TEXT_ID_BYTES: usize = 128;

/// A text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {kind}: {expected}")]
pub struct IdError {
    /// The kind of id that was wanted.
    pub kind: &'static str,
    /// What was given, cut to 128 characters.
    pub text: String,
    /// What would have been accepted.
    pub expected: &'static str,
}

/// Makes new ids. Random and time-ordered in production, counted in tests.
pub trait IdSource: Send + Sync {
    /// A new version 7 UUID (RFC 9562): later ones sort after earlier ones.
    fn uuid(&self) -> Uuid;
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id drawn from `source`.
            pub fn new(source: &dyn IdSource) -> Self {
                Self(source.uuid())
            }

            /// The id whose number is `uuid`.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The id's number.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix($prefix)
                    .filter(|hex| hex.len() == 32)
                    .and_then(|hex| Uuid::try_parse(hex).ok())
                    .map(Self)
                    .ok_or_else(|| IdError {
                        kind: stringify!($name),
                        text: text.chars().take(MAX_TEXT_ID_BYTES).collect(),
                        expected: concat!("expected \"", $prefix, "\" and 32 hexadecimal digits"),
                    })
            }
        }

        id_impls!($name);
    )*};
}

macro_rules! text_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                if is_text_id(text) {
                    return Ok(Self(text.into()));
                }
                Err(IdError {
                    kind: stringify!($name),
                    text: text.chars().take(MAX_TEXT_ID_BYTES).collect(),
                    expected: "expected 1 to 128 letters, digits or any of -_.:@",
                })
            }
        }

        id_impls!($name);
    )*};
}

macro_rules! id_impls {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

fn is_text_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@".contains(&byte);
    (1..=MAX_TEXT_ID_BYTES).contains(&text.len()) && text.bytes().all(allowed)
}

uuid_ids! {
    /// One turn: a user message and all that is done to answer it.
    TurnId "turn_";
    /// One stored message.
    MessageId "msg_";
    /// One Loom among those that share a store, for as long as it is without a break.
    InstanceId "inst_";
}

text_ids! {
    /// One conversation. Clients may choose it; ours are `sess_` and 128 random bits.
    SessionId;
    /// One agent, in all its versions.
    AgentId;
}

impl SessionId {
    /// A new id that no one can guess.
    pub fn new(source: &dyn IdSource) -> Self {
        Self(format!("sess_{}", source.uuid().simple()).into())
    }
}

impl AgentId {
    /// A new id drawn from `source`.
    pub fn new(source: &dyn IdSource) -> Self {
        Self(format!("agent_{}", source.uuid().simple()).into())
    }
}

/// A tool call, named by the model that made it. Unique within its turn only, and any text a provider likes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(Arc<str>);

impl CallId {
    /// The id a provider gave.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The id's text, as the provider sent it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One effect of a turn: the n-th that its machine asked for. Travels downstream as an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EffectId {
    /// The turn that asked.
    pub turn: TurnId,
    /// Its counter, from 1.
    pub number: u32,
}

impl EffectId {
    /// The effect's span id (W3C Trace Context, §3.2.2.4): 16 hexadecimal digits that anyone who knows the effect can
    /// work out again, so that the span a service is told of is the one that the journal tells of later. Number 0 is
    /// the turn itself.
    pub fn span_id(&self) -> String {
        let mut digits = crate::Digest::of(self.to_string()).to_string();
        digits.truncate(16);
        digits
    }
}

impl fmt::Display for EffectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.turn, self.number)
    }
}

impl FromStr for EffectId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let parts = text.split_once('.');
        let id = parts
            .and_then(|(turn, number)| Some(Self { turn: turn.parse().ok()?, number: number.parse().ok()? }));
        id.ok_or_else(|| IdError {
            kind: "EffectId",
            text: text.chars().take(MAX_TEXT_ID_BYTES).collect(),
            expected: "expected a turn's id, a dot and a number",
        })
    }
}

/// A W3C trace id: 32 lower-case hexadecimal digits, not all zero (Trace Context, §3.2.2.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(u128);

impl TraceId {
    /// The trace of a turn that nobody upstream is tracing.
    pub fn of_turn(turn: TurnId) -> Self {
        Self(turn.as_uuid().as_u128())
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for TraceId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        Some(text)
            .filter(|text| text.len() == 32 && text.bytes().all(lower_hex))
            .and_then(|text| u128::from_str_radix(text, 16).ok())
            .filter(|number| *number != 0)
            .map(Self)
            .ok_or_else(|| IdError {
                kind: "TraceId",
                text: text.chars().take(MAX_TEXT_ID_BYTES).collect(),
                expected: "expected 32 lower-case hexadecimal digits, not all zero",
            })
    }
}

id_impls!(TraceId);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_client_may_name_its_session_but_not_with_anything() {
        assert_eq!("my-session.1".parse::<SessionId>().unwrap().as_str(), "my-session.1");
        for bad in ["", "a b", "../x", "a\nb", "é", &"x".repeat(129)] {
            assert!(bad.parse::<SessionId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn kinds_do_not_mix() {
        let turn = TurnId::from_uuid(Uuid::from_u128(7));
        assert!(turn.to_string().parse::<MessageId>().is_err());
        assert_eq!(TraceId::of_turn(turn).to_string(), "00000000000000000000000000000007");
    }

    proptest! {
        #[test]
        fn ids_survive_text_and_json(number: u128) {
            let turn = TurnId::from_uuid(Uuid::from_u128(number));
            prop_assert_eq!(turn.to_string().parse::<TurnId>().unwrap(), turn);
            let json = serde_json::to_string(&turn).unwrap();
            prop_assert_eq!(serde_json::from_str::<TurnId>(&json).unwrap(), turn);
            let effect = EffectId { turn, number: 7 };
            prop_assert_eq!(effect.to_string().parse::<EffectId>().unwrap(), effect);
        }

        #[test]
        fn no_text_makes_parsing_panic(text in ".{0,200}") {
            let _ = text.parse::<TurnId>();
            let _ = text.parse::<SessionId>();
            let _ = text.parse::<TraceId>();
            let _ = text.parse::<EffectId>();
        }
    }
}
