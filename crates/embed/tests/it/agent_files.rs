//! Agent files that go, come back and move: an agent from a file is known by its name, and keeps its sessions.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use loom_embed::base::{AgentId, ErrorCode, SessionId};
use loom_embed::mock::{MockProvider, Script};
use loom_embed::runtime::{Agent, TurnRequest};
use loom_embed::{Loom, SystemClock};
use loom_store::AgentSource;

use crate::setup::{PATIENCE, agent, folder, until};

const TESTER: &str = "apiVersion: loom/v1\nkind: Agent\nmetadata: { name: tester }\n\
                      spec: { config: { patterns: { enabled: false } } }\n";

/// A Loom on `data` whose agents are the files in `agents`.
async fn loom(data: &Path, agents: &Path) -> Loom {
    let script = Script::parse("default: { text: fine }").unwrap();
    Loom::builder()
        .data_dir(data)
        .agents_dir(agents)
        .provider("scripted", "script-1", Arc::new(MockProvider::new(script, Arc::new(SystemClock))))
        .build()
        .await
        .unwrap()
}

fn tester(loom: &Loom) -> Option<Arc<Agent>> {
    loom.runtime().agents().get("tester").ok()
}

async fn ask_in(loom: &Loom, session: &SessionId) -> Result<AgentId, loom_embed::runtime::Error> {
    let running = loom.start(TurnRequest::new("hi").in_session(session.clone())).await?;
    assert_eq!(running.end().await.unwrap().text, "fine");
    Ok(running.agent)
}

/// Folders for data and agents, with one agent file, and a session with its agent.
struct Begun {
    data: tempfile::TempDir,
    agents: tempfile::TempDir,
    session: SessionId,
    agent: AgentId,
}

async fn begun() -> (Begun, Loom) {
    let (data, agents) = (folder(), folder());
    fs::write(agents.path().join("a.yaml"), TESTER).unwrap();
    let loom = loom(data.path(), agents.path()).await;
    let session: SessionId = "mine".parse().unwrap();
    let agent = ask_in(&loom, &session).await.unwrap();
    (Begun { data, agents, session, agent }, loom)
}

#[tokio::test]
async fn an_agent_whose_file_comes_back_has_its_sessions_and_meanwhile_says_what_is_missing() {
    let (begun, loom) = begun().await;
    let file = begun.agents.path().join("a.yaml");
    fs::remove_file(&file).unwrap();
    until("the agent is away", async || tester(&loom).is_none().then_some(())).await;
    assert!(loom.runtime().agents().list().is_empty());
    for request in [
        TurnRequest::new("hi").in_session(begun.session.clone()),
        TurnRequest::new("hi").to_agent("tester"),
        TurnRequest::new("hi").to_agent(begun.agent.to_string()),
    ] {
        let error = loom.start(request).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::AgentNotFound);
        assert!(error.message.contains("tester") && error.message.contains("a.yaml"), "{error}");
    }

    fs::write(&file, TESTER).unwrap();
    let back = until("the agent is back", async || tester(&loom)).await;
    assert_eq!((&back.id, back.version), (&begun.agent, 1), "what did not change is no new version");
    assert_eq!(ask_in(&loom, &begun.session).await.unwrap(), begun.agent);

    fs::rename(&file, begun.agents.path().join("z.yaml")).unwrap();
    let moved = AgentSource::File { path: "z.yaml".into() };
    let of_new_file = async || tester(&loom).filter(|agent| agent.source == moved && agent.error.is_none());
    assert_eq!(until("the file is moved", of_new_file).await.id, begun.agent);
    assert_eq!(ask_in(&loom, &begun.session).await.unwrap(), begun.agent);
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn a_start_from_the_wrong_folder_loses_nothing() {
    let (begun, loom_before) = begun().await;
    loom_before.close(PATIENCE).await;
    let wrong = loom(begun.data.path(), folder().path()).await;
    assert!(tester(&wrong).is_none() && wrong.runtime().agents().list().is_empty());
    assert_eq!(ask_in(&wrong, &begun.session).await.unwrap_err().code, ErrorCode::AgentNotFound);
    wrong.close(PATIENCE).await;

    let right = loom(begun.data.path(), begun.agents.path()).await;
    assert_eq!(ask_in(&right, &begun.session).await.unwrap(), begun.agent);
    right.close(PATIENCE).await;
}

#[tokio::test]
async fn a_file_that_comes_back_broken_leaves_the_version_before_it_in_use() {
    let (begun, loom) = begun().await;
    let file = begun.agents.path().join("a.yaml");
    fs::remove_file(&file).unwrap();
    until("the agent is away", async || tester(&loom).is_none().then_some(())).await;
    fs::write(&file, "kind: Agnet\n").unwrap();
    let back = until("the agent is back", async || tester(&loom)).await;
    assert!(back.error.is_some());
    assert_eq!(ask_in(&loom, &begun.session).await.unwrap(), begun.agent);
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn a_file_with_another_name_is_another_agent_and_the_first_waits() {
    let (begun, loom) = begun().await;
    let file = begun.agents.path().join("a.yaml");
    fs::write(&file, TESTER.replace("tester", "other")).unwrap();
    let other = until("the other is there", async || loom.runtime().agents().get("other").ok()).await;
    assert_ne!(other.id, begun.agent);
    until("the first is away", async || tester(&loom).is_none().then_some(())).await;
    fs::write(&file, TESTER).unwrap();
    until("the first is back", async || tester(&loom)).await;
    assert_eq!(ask_in(&loom, &begun.session).await.unwrap(), begun.agent);
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn an_agent_that_was_deleted_by_request_stays_deleted() {
    let (data, agents) = (folder(), folder());
    let loom = loom(data.path(), agents.path()).await;
    let first = loom.runtime().agents().create(agent()).await.unwrap();
    let session: SessionId = "mine".parse().unwrap();
    ask_in(&loom, &session).await.unwrap();
    loom.runtime().agents().delete(&first.id).await.unwrap();
    fs::write(agents.path().join("a.yaml"), TESTER).unwrap();
    let new = until("the new agent is there", async || tester(&loom)).await;
    assert_ne!(new.id, first.id);
    assert_eq!(ask_in(&loom, &session).await.unwrap_err().code, ErrorCode::SessionAgentMismatch);
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn an_agent_whose_file_is_gone_can_be_taken_over_by_request_and_then_be_deleted() {
    let (begun, loom) = begun().await;
    fs::remove_file(begun.agents.path().join("a.yaml")).unwrap();
    until("the agent is away", async || tester(&loom).is_none().then_some(())).await;
    let taken = loom.runtime().agents().create(agent()).await.unwrap();
    assert_eq!((&taken.id, &taken.source), (&begun.agent, &AgentSource::Api));
    assert_eq!(ask_in(&loom, &begun.session).await.unwrap(), begun.agent);
    loom.runtime().agents().delete(&taken.id).await.unwrap();
    assert_ne!(loom.runtime().agents().create(agent()).await.unwrap().id, begun.agent);
    loom.close(PATIENCE).await;
}
