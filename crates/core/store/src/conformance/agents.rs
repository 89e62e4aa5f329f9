//! Agent definitions and their versions.

use loom_base::Digest;
use serde_json::json;

use super::Outcome;
use super::fixture::{agent_id, at, ensure, refused, same, text};
use crate::{AgentRecord, AgentSource, Error, Stores};

fn record(id: &str, name: &str, version: u32) -> Result<AgentRecord, String> {
    let definition = json!({ "name": name, "version": version, "odd": "\0", "ratio": 0.1 });
    Ok(AgentRecord {
        id: agent_id(id)?,
        name: name.to_owned(),
        version,
        digest: Digest::of_json(&definition),
        definition,
        source: if version == 1 {
            AgentSource::Api
        } else {
            AgentSource::File { path: "a/b.yaml".to_owned() }
        },
        created_at: at(0),
        updated_at: at(u64::from(version)),
    })
}

pub(super) async fn versions_follow_each_other(stores: Stores) -> Outcome {
    let agents = &stores.agents;
    same("before", &agents.list().await.map_err(text)?, &Vec::new())?;
    refused!(agents.put(record("a", "Anna", 2)?).await, Error::Conflict { .. })?;
    agents.put(record("a", "Anna", 1)?).await.map_err(text)?;
    refused!(agents.put(record("a", "Anna", 1)?).await, Error::Conflict { .. })?;
    refused!(agents.put(record("a", "Anna", 3)?).await, Error::Conflict { .. })?;
    agents.put(record("a", "Anne", 2)?).await.map_err(text)?;
    agents.put(record("b", "Adam", 1)?).await.map_err(text)?;
    same(
        "by name",
        &agents.list().await.map_err(text)?,
        &vec![record("b", "Adam", 1)?, record("a", "Anne", 2)?],
    )?;
    let version = async |version| agents.version(&agent_id("a")?, version).await.map_err(text);
    same("the first", &version(1).await?, &Some(record("a", "Anna", 1)?))?;
    same("the second", &version(2).await?, &Some(record("a", "Anne", 2)?))?;
    same("a third", &version(3).await?, &None)?;
    same("of nobody", &agents.version(&agent_id("nobody")?, 1).await.map_err(text)?, &None)
}

pub(super) async fn a_name_belongs_to_one_agent(stores: Stores) -> Outcome {
    let agents = &stores.agents;
    agents.put(record("a", "Anna", 1)?).await.map_err(text)?;
    agents.put(record("b", "Bert", 1)?).await.map_err(text)?;
    refused!(agents.put(record("c", "Anna", 1)?).await, Error::Exists { .. })?;
    refused!(agents.put(record("b", "Anna", 2)?).await, Error::Exists { .. })?;
    agents.put(record("a", "Anne", 2)?).await.map_err(text)?;
    agents.put(record("b", "Anna", 2)?).await.map_err(text)?;
    same(
        "names",
        &agents.list().await.map_err(text)?.iter().map(|agent| agent.name.clone()).collect::<Vec<_>>(),
        &vec!["Anna".to_owned(), "Anne".to_owned()],
    )
}

pub(super) async fn deletion_keeps_versions_and_frees_the_name(stores: Stores) -> Outcome {
    let agents = &stores.agents;
    let id = agent_id("a")?;
    ensure(!agents.delete(&id).await.map_err(text)?, || "nobody was deleted".to_owned())?;
    agents.put(record("a", "Anna", 1)?).await.map_err(text)?;
    ensure(agents.delete(&id).await.map_err(text)?, || "nothing was deleted".to_owned())?;
    ensure(!agents.delete(&id).await.map_err(text)?, || "it was deleted twice".to_owned())?;
    same("the list", &agents.list().await.map_err(text)?, &Vec::new())?;
    same("its version", &agents.version(&id, 1).await.map_err(text)?, &Some(record("a", "Anna", 1)?))?;
    agents.put(record("b", "Anna", 1)?).await.map_err(text)?;
    // The versions that are kept are never overwritten.
    refused!(agents.put(record("a", "Ada", 1)?).await, Error::Conflict { .. })?;
    agents.put(record("a", "Ada", 2)?).await.map_err(text)?;
    same("the list", &agents.list().await.map_err(text)?.len(), &2)
}
