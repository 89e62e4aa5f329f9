//! Whether what is stored equals what the journals say.

mod call;
mod session;
mod turn;

use std::fmt::Display;

use loom_store::{Error as StoreError, UpkeepStore};

use crate::Error;

/// Sessions, turns or messages read at a time.
const PAGE: u32 = 200;

/// Something that is stored and should not be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The thing, by kind and id.
    pub what: String,
    /// What is wrong with it.
    pub problem: String,
}

/// How much was looked at, and how much of it is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Sessions.
    pub sessions: u64,
    /// Turns.
    pub turns: u64,
    /// Events of turns.
    pub events: u64,
    /// Messages.
    pub messages: u64,
    /// Tool calls.
    pub calls: u64,
    /// Things that are wrong.
    pub violations: u64,
}

/// Counts what is looked at and passes on what is wrong.
struct Findings<'a> {
    verified: Verified,
    found: &'a mut (dyn FnMut(Violation) + Send),
}

impl Findings<'_> {
    fn say(&mut self, what: impl Display, problem: impl Display) {
        self.verified.violations += 1;
        (self.found)(Violation { what: what.to_string(), problem: problem.to_string() });
    }

    /// Tells of a row that does not decode.
    fn undecoded(&mut self, what: impl Display, error: &StoreError) {
        match error {
            StoreError::Corrupt { reason, .. } => self.say(what, format_args!("does not decode: {reason}")),
            other => self.say(what, other),
        }
    }

    /// Tells when what is stored is not what the journal makes of it.
    fn compare<T: PartialEq + Display>(&mut self, what: impl Display, name: &str, stored: &T, replayed: &T) {
        if stored != replayed {
            self.say(what, format_args!("{name} is stored as {stored}, its journal makes it {replayed}"));
        }
    }
}

/// Looks at the database and then at each session.
pub(super) async fn verify(
    store: &dyn UpkeepStore,
    found: &mut (dyn FnMut(Violation) + Send),
) -> Result<Verified, Error> {
    let mut findings = Findings { verified: Verified::default(), found };
    for damage in store.damages().await? {
        findings.say(damage.what, damage.problem);
    }
    let mut after: Option<String> = None;
    loop {
        let ids = store.session_ids(after.as_deref(), PAGE).await?;
        for id in &ids {
            // One that was removed meanwhile is not wrong.
            if let Some(mut reader) = store.read(id).await? {
                findings.verified.sessions += 1;
                session::check(id, &mut *reader, &mut findings).await?;
            }
        }
        match ids.into_iter().next_back() {
            Some(last) => after = Some(last),
            None => return Ok(findings.verified),
        }
    }
}
