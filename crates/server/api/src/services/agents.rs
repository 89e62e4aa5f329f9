//! The agent RPCs.

use std::collections::BTreeMap;

use loom_base::{AgentId, ErrorCode};
use loom_proto::v1::{
    AgentInfo, CreateAgentRequest, DeleteAgentRequest, DeleteAgentResponse, GetAgentRequest,
    ListAgentsRequest, ListAgentsResponse, ReloadAgentRequest,
};
use loom_runtime::Agent;
use loom_store::{AgentSource, AgentTotals};

use super::LoomApi;
use super::agent_config::{config, definition};
use super::bounds;
use super::convert::{count, invalid, long, page_size, unsupported};
use crate::Failure;

/// Every agent there is runs; there is no other status.
const RUNNING: &str = "running";
/// Agents on a page when nobody says how many.
const PAGE: usize = 50;
/// What a page token begins with; the name of the last agent of the page before follows.
const AFTER: &str = "after:";

impl LoomApi {
    pub(super) async fn agent_create(&self, request: CreateAgentRequest) -> Result<AgentInfo, Failure> {
        if !request.config_path.is_empty() {
            return Err(unsupported(
                "config_path",
                "put the file into the agents folder, or send its content as config",
            ));
        }
        let config = request.config.ok_or_else(|| invalid("config", "an agent needs a config"))?;
        let agent = self.runtime.agents().create(definition(config)?).await?;
        self.read_info(&agent).await
    }

    pub(super) async fn agent_list(
        &self,
        request: &ListAgentsRequest,
    ) -> Result<ListAgentsResponse, Failure> {
        if !matches!(request.status_filter.as_str(), "" | RUNNING) {
            let message = format!("status {:?} is unknown: every agent is {RUNNING}", request.status_filter);
            return Err(invalid("status_filter", message));
        }
        let size = page_size("page_size", request.page_size)?.map_or(PAGE, |size| size as usize);
        let agents = self.runtime.agents().list();
        // A page begins after the name it was given, so that agents that come and go shift nothing.
        let after = match request.page_token.as_str() {
            "" => "",
            token => token.strip_prefix(AFTER).ok_or_else(|| {
                invalid("page_token", "page_token is not the next_page_token of a page before")
            })?,
        };
        let rest: Vec<_> = agents.iter().filter(|agent| agent.definition.name.as_str() > after).collect();
        let totals = self.runtime.sessions().totals_by_agent().await?;
        let infos = bounds::fitting(rest.iter().take(size).map(|agent| self.agent_info(agent, &totals)));
        let last = infos.last().filter(|_| infos.len() < rest.len());
        let next_page_token = last.map_or_else(String::new, |agent| format!("{AFTER}{}", agent.name));
        Ok(ListAgentsResponse { agents: infos, next_page_token, total_count: count(agents.len() as u64) })
    }

    pub(super) async fn agent_get(&self, request: &GetAgentRequest) -> Result<AgentInfo, Failure> {
        let agent = self.runtime.agents().get(&request.agent_id)?;
        self.read_info(&agent).await
    }

    pub(super) async fn agent_reload(&self, request: ReloadAgentRequest) -> Result<AgentInfo, Failure> {
        let agents = self.runtime.agents();
        let agent = agents.get(&request.agent_id)?;
        let reloaded = match (request.config, &agent.source) {
            (Some(_), _) if request.reload_from_file => {
                return Err(invalid("reload_from_file", "give either config or reload_from_file, not both"));
            }
            (Some(_), AgentSource::File { path }) => return Err(defined_by_file(path)),
            (Some(config), AgentSource::Api) => agents.update(&agent.id, definition(config)?).await?,
            (None, AgentSource::File { path }) => {
                let definition = (self.reload_file)(path)?;
                agents.put_file(path, definition).await?
            }
            (None, AgentSource::Api) => {
                let message = "this agent was created by request; send its new config";
                return Err(Failure::new(ErrorCode::InvalidArgument, message).with("field", "config"));
            }
        };
        self.read_info(&reloaded).await
    }

    pub(super) async fn agent_delete(
        &self,
        request: &DeleteAgentRequest,
    ) -> Result<DeleteAgentResponse, Failure> {
        let agent = self.runtime.agents().get(&request.agent_id)?;
        if let AgentSource::File { path } = &agent.source {
            return Err(defined_by_file(path));
        }
        let totals = self.runtime.sessions().totals_by_agent().await?;
        let sessions = totals.get(&agent.id).map_or(0, |totals| totals.active_sessions);
        if sessions > 0 && !request.force {
            let message = format!(
                "agent {:?} has {sessions} active sessions; delete them, or set force",
                agent.definition.name
            );
            return Err(Failure::new(ErrorCode::AgentInUse, message).with("sessions", sessions.to_string()));
        }
        self.runtime.agents().delete(&agent.id).await?;
        Ok(DeleteAgentResponse { success: true, agent_id: agent.id.to_string() })
    }

    async fn read_info(&self, agent: &Agent) -> Result<AgentInfo, Failure> {
        let totals = self.runtime.sessions().totals_by_agent().await?;
        Ok(self.agent_info(agent, &totals))
    }

    fn agent_info(&self, agent: &Agent, totals: &BTreeMap<AgentId, AgentTotals>) -> AgentInfo {
        let totals = totals.get(&agent.id).copied().unwrap_or_default();
        let uptime = self.clock.now().since(agent.updated_at.max(self.started_at));
        let mut metadata = agent.definition.metadata.clone();
        metadata.insert("loom.version".to_owned(), agent.version.to_string());
        if let AgentSource::File { path } = &agent.source {
            metadata.insert("loom.file".to_owned(), path.clone());
        }
        AgentInfo {
            id: agent.id.to_string(),
            name: agent.definition.name.clone(),
            status: RUNNING.to_owned(),
            uptime_seconds: long(uptime.as_secs()),
            active_sessions: count(totals.active_sessions),
            total_messages: long(totals.messages),
            metadata,
            config: Some(config(&agent.definition)),
            error: self.runtime.agents().problem_of(agent).unwrap_or_default(),
            created_at: agent.created_at.as_seconds(),
            updated_at: agent.updated_at.as_seconds(),
        }
    }
}

fn defined_by_file(path: &str) -> Failure {
    let message =
        format!("this agent is defined by the file {path} in the agents folder; change or remove the file");
    Failure::new(ErrorCode::AgentInUse, message).with("file", path)
}
