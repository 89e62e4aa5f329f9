//! What the other Looms on the same database do: taken in when they give a hint of it, and now and then without.

use std::time::Duration;

use loom_store::Hint;

use crate::Error;
use crate::core::Core;

/// How often agents are read again without a hint.
const LOOK: Duration = Duration::from_secs(30);

/// Follows the others for as long as it is polled; returns at once where nobody else can come.
pub(crate) async fn follow(core: &Core) {
    let Some(period) = core.membership.renewal_period() else { return };
    let listening = async {
        loop {
            if let Err(error) = listen(core).await {
                tracing::warn!(%error, "what others change is noticed later: hints of it are not heard");
            }
            core.clock.sleep(period).await;
        }
    };
    let looking = async {
        loop {
            core.clock.sleep(LOOK).await;
            take_in(core).await;
        }
    };
    tokio::join!(listening, looking);
}

/// Hears hints until that fails.
async fn listen(core: &Core) -> Result<(), Error> {
    let Some(mut hints) = core.stores.hints.listen().await? else { return Ok(()) };
    loop {
        match hints.next().await? {
            Hint::Agents => take_in(core).await,
            Hint::Owners => core.owners_changed.notify_one(),
            Hint::Anything => {
                take_in(core).await;
                core.owners_changed.notify_one();
            }
        }
    }
}

async fn take_in(core: &Core) {
    if let Err(error) = core.agents.refresh().await {
        tracing::warn!(%error, "what others made of the agents was not read");
    }
}
