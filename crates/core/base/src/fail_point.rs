//! Places where a process can be made to die, to prove that it can die there.
//!
//! Without the feature `failpoints` passing one is nothing at all, and nothing can be armed: shipped builds have none.

use std::fmt;

macro_rules! fail_points {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A place where a process can be made to die.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FailPoint {
            $($(#[$doc])* $name,)*
        }

        impl FailPoint {
            /// All of them, in the order in which a turn passes them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

fail_points! {
    /// A turn is about to be accepted; nothing of it is stored.
    AcceptBeforeCommit = "accept.before_commit",
    /// A turn is accepted, and its caller does not know yet.
    AcceptAfterCommit = "accept.after_commit",
    /// A model has answered, and nobody knows yet.
    LlmAfterAnswer = "llm.after_answer",
    /// The intent of a call is stored, and the call has not begun.
    IntentAfterCommit = "intent.after_commit",
    /// A tool is about to do what it does.
    ToolBeforeCall = "tool.before_call",
    /// A tool has done it, and nobody knows yet.
    ToolAfterCall = "tool.after_call",
    /// What someone said about a call is stored, and whoever said it does not know yet.
    AskedAfterCommit = "asked.after_commit",
    /// A turn is over, and nothing of its end is stored.
    FinishBeforeCommit = "finish.before_commit",
    /// A turn is over, durably, and its caller does not know yet.
    FinishAfterCommit = "finish.after_commit",
    /// A transaction is written and not committed.
    WriterBeforeCommit = "writer.before_commit",
    /// A transaction is committed, and nobody knows yet.
    WriterAfterCommit = "writer.after_commit",
    /// A turn that a stop cut off is claimed, and not taken up yet.
    RecoverAfterClaim = "recover.after_claim",
}

impl fmt::Display for FailPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(not(feature = "failpoints"))]
impl FailPoint {
    /// Does nothing.
    #[inline]
    pub const fn pass(self) {}
}

#[cfg(feature = "failpoints")]
pub use armed::{Armed, FailPointError};

#[cfg(feature = "failpoints")]
mod armed {
    use std::str::FromStr;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::FailPoint;

    /// The one that this process dies at. A process dies once, so this is one of the few things that are its own.
    static ARMED: OnceLock<Armed> = OnceLock::new();

    impl FailPoint {
        /// Ends this process at once when this is the passage that it was armed for.
        pub fn pass(self) {
            if let Some(armed) = ARMED.get().filter(|armed| armed.point == self)
                && armed.left.fetch_sub(1, Ordering::AcqRel) == 1
            {
                // Whatever does not wait for this place, and should, goes on meanwhile.
                std::thread::sleep(armed.hold);
                std::process::abort();
            }
        }
    }

    /// A fail point, which passage of it is the last, and for how many milliseconds that is held up before the process dies;
    /// written `name:n` or `name:n:milliseconds`.
    #[derive(Debug)]
    pub struct Armed {
        point: FailPoint,
        left: AtomicU64,
        hold: Duration,
    }

    /// A text that names no passage of a fail point.
    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    #[error("{0:?} is no fail point with a number from 1, such as `accept.before_commit:1`")]
    pub struct FailPointError(String);

    impl FromStr for Armed {
        type Err = FailPointError;

        fn from_str(text: &str) -> Result<Self, FailPointError> {
            parse(text).ok_or_else(|| FailPointError(text.to_owned()))
        }
    }

    fn parse(text: &str) -> Option<Armed> {
        let mut parts = text.split(':');
        let (name, passage, hold) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
        let point = *FailPoint::ALL.iter().find(|point| point.as_str() == name)?;
        let passage: u64 = passage.parse().ok().filter(|passage| *passage > 0)?;
        let hold = Duration::from_millis(hold.parse().ok()?);
        parts.next().is_none().then(|| Armed { point, left: AtomicU64::new(passage), hold })
    }

    impl Armed {
        /// Lets this process die there. Only the first call does something.
        pub fn arm(self) {
            // Whoever comes second finds the process armed already.
            let _ = ARMED.set(self);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let names: std::collections::BTreeSet<_> =
            FailPoint::ALL.iter().map(|point| point.as_str()).collect();
        assert_eq!(names.len(), FailPoint::ALL.len());
    }

    #[cfg(feature = "failpoints")]
    #[test]
    fn a_passage_is_a_name_and_a_number_from_one() {
        for text in ["accept.before_commit:3", "accept.before_commit:3:20"] {
            assert!(text.parse::<Armed>().is_ok(), "{text}");
        }
        let name = FailPoint::AcceptBeforeCommit;
        for wrong in ["", ":0", ":x", ":1:", ":1:x", ":1:2:3"] {
            assert!(format!("{name}{wrong}").parse::<Armed>().is_err(), "{wrong}");
        }
        assert!("accept:1".parse::<Armed>().is_err());
    }
}
