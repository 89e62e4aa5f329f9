//! The people: they say what became of unknown effects and answer approvals, some at once and some later.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::budgets;
use super::dice::Dice;
use super::facts;
use super::http::Ask;
use super::recorder::{Recorded, Recorder};
use super::world::World;

/// Between two looks at what waits.
const LOOK: Duration = Duration::from_millis(40);

/// Looks after what waits until everything is over.
pub(super) async fn look_after(mut world: World, recorder: &Recorder, seed: u64) {
    let mut dice = Dice::of(seed, "people");
    while let Some(port) = world.port().await {
        // A server that died meanwhile lists it again.
        drop(settle_effects(&world, recorder, &mut dice, port).await);
        drop(answer_approvals(&world, &mut dice, port).await);
        drop(end_quarantined(&world, port).await);
        drop(look_at_budgets(&world, port).await);
        sleep(LOOK).await;
    }
}

async fn settle_effects(world: &World, recorder: &Recorder, dice: &mut Dice, port: u16) -> Result<()> {
    let effects = list("/v1/effects?limit=500", "effects", port).await?;
    let ids = effects.iter().filter_map(|effect| Some(effect["effectId"].as_str()?.to_owned()));
    world.seen().unknown.extend(ids);
    if effects.is_empty() {
        return Ok(());
    }
    let recorded = recorder.recorded()?;
    for effect in effects {
        if dice.percent(60) {
            settle(world, &recorded, dice, &effect, port).await?;
        }
    }
    Ok(())
}

/// Says of an effect what is true, as far as the recorder knows it, or that nobody will know.
async fn settle(
    world: &World,
    recorded: &[Recorded],
    dice: &mut Dice,
    effect: &Value,
    port: u16,
) -> Result<()> {
    let text = |name: &str| effect[name].as_str().unwrap_or_default().to_owned();
    let id = text("effectId");
    let mut is_first = false;
    let happened = recorded.iter().any(|call| call.effect == id);
    let resolution = if dice.percent(15) {
        world.seen().given_up.insert(id.clone());
        "EFFECT_RESOLUTION_GIVE_UP"
    } else if happened {
        world.seen().happened.insert(id.clone());
        "EFFECT_RESOLUTION_HAPPENED"
    } else {
        let arguments: Value = serde_json::from_str(&text("argsJson")).unwrap_or_default();
        let key = arguments["key"].as_str().unwrap_or_default().to_owned();
        // Before it is said: the word may come through and its answer be lost.
        is_first = world.seen().not_happened.insert(id.clone(), (text("turnId"), key)).is_none();
        "EFFECT_RESOLUTION_DID_NOT_HAPPEN"
    };
    let said = Ask::post(format!("/v1/effects/{id}:resolve"), json!({ "resolution": resolution }));
    let answer = said.send(port).await?;
    // Whoever had the call before may still be at it, so the word was not taken.
    if is_first && answer.code() == "LOOM_EFFECT_MAY_RUN" {
        world.seen().not_happened.remove(&id);
    }
    Ok(())
}

async fn answer_approvals(world: &World, dice: &mut Dice, port: u16) -> Result<()> {
    for approval in list("/v1/approvals?limit=500", "approvals", port).await? {
        if !dice.percent(70) {
            continue;
        }
        let approve = dice.percent(80);
        let id = approval["approvalId"].as_str().unwrap_or_default();
        let body = json!({ "approve": approve, "argumentsDigest": approval["argumentsDigest"] });
        let answer = Ask::post(format!("/v1/approvals/{id}:answer"), body).send(port).await?;
        let mut seen = world.seen();
        match (answer.status, approve) {
            (200, true) => seen.approved += 1,
            (200, false) => seen.refused += 1,
            // Someone else's kill was faster.
            _ => {}
        }
    }
    Ok(())
}

/// What is used and held back is never more than there may be.
async fn look_at_budgets(world: &World, port: u16) -> Result<()> {
    let budgets = Ask::get("/v1/budgets").send(port).await?.ok()?;
    let overspent = budgets::overspent(&facts::accounts_of(&budgets));
    if !overspent.is_empty() {
        let mut seen = world.seen();
        let news: Vec<_> = overspent.into_iter().filter(|one| !seen.violations.contains(one)).collect();
        seen.violations.extend(news);
    }
    Ok(())
}

/// Ends what got no further in several lives.
async fn end_quarantined(world: &World, port: u16) -> Result<()> {
    for turn in list("/v1/turns?limit=500", "turns", port).await? {
        if turn["quarantined"] == true {
            let id = turn["turnId"].as_str().unwrap_or_default();
            world.seen().quarantined.insert(id.to_owned());
            Ask::post(format!("/v1/turns/{id}:cancel"), json!({})).send(port).await?;
        }
    }
    Ok(())
}

async fn list(path: &str, what: &str, port: u16) -> Result<Vec<Value>> {
    let listed = Ask::get(path).send(port).await?.ok()?;
    Ok(listed[what].as_array().cloned().unwrap_or_default())
}
