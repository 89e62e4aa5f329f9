//! Hints, by `NOTIFY`: outside of every transaction of a turn, because a commit with one waits for all others that have one.

use async_trait::async_trait;
use loom_store::{Error, Hint, HintStore, Hints};
use sqlx::postgres::PgListener;

use crate::connect::Pool;
use crate::error::unavailable;

/// Of the whole database: Looms in other schemas of it hear each other, which only makes them look.
const CHANNEL: &str = "loom";

/// Gives and hears hints.
pub(crate) struct Notices {
    /// One connection that listens and one that speaks.
    connections: Pool,
}

impl Notices {
    pub(crate) const fn new(connections: Pool) -> Self {
        Self { connections }
    }
}

const fn name(hint: Hint) -> &'static str {
    match hint {
        Hint::Agents => "agents",
        Hint::Owners => "owners",
        Hint::Anything => "anything",
    }
}

/// What a later version says and we do not know may be anything.
fn named(name: &str) -> Hint {
    match name {
        "agents" => Hint::Agents,
        "owners" => Hint::Owners,
        _ => Hint::Anything,
    }
}

#[async_trait]
impl HintStore for Notices {
    async fn listen(&self) -> Result<Option<Box<dyn Hints>>, Error> {
        let listening = async {
            let mut listener = PgListener::connect_with(self.connections.connections()).await?;
            listener.listen(CHANNEL).await?;
            Ok(listener)
        };
        let listener = self.connections.within(listening).await?;
        Ok(Some(Box::new(Listening { listener, has_begun: false })))
    }

    async fn give(&self, hint: Hint) -> Result<(), Error> {
        let told = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(name(hint));
        self.connections.within(told.execute(self.connections.connections())).await.map(drop)
    }
}

struct Listening {
    listener: PgListener,
    has_begun: bool,
}

#[async_trait]
impl Hints for Listening {
    async fn next(&mut self) -> Result<Hint, Error> {
        if !std::mem::replace(&mut self.has_begun, true) {
            return Ok(Hint::Anything);
        }
        match self.listener.try_recv().await {
            Ok(Some(notice)) => Ok(named(notice.payload())),
            // The connection was lost, and is there again: what was said meanwhile was not heard.
            Ok(None) => Ok(Hint::Anything),
            Err(error) => Err(unavailable(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_reads_back_and_an_unknown_one_may_be_anything() {
        for hint in [Hint::Agents, Hint::Owners, Hint::Anything] {
            assert_eq!(named(name(hint)), hint);
        }
        assert_eq!(named("of the future"), Hint::Anything);
    }
}
