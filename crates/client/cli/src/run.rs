//! Runs the commands that need a server.

mod patterns;
mod people;
mod retelling;

use std::io::Write;
use std::sync::Arc;

use loom_grpc::{CONNECT_TIMEOUT, Client};
use loom_proto::v1::{
    DeleteAgentRequest, DeleteSessionRequest, ForkSessionRequest, GetAgentRequest,
    GetConversationHistoryRequest, GetHealthRequest, GetSessionRequest, ListAgentsRequest,
    ListAgentsResponse, ListBudgetsRequest, ListSessionsRequest, ListToolsRequest, ReloadAgentRequest,
};
use prost::Message;

use crate::ask::show_trace;
use crate::chat::chat;
use crate::render::{budgets, catalog, clean_line, health, sessions};
use crate::{
    AgentCommand, BudgetCommand, Error, Format, Io, ServerCommand, SessionCommand, Style, ToolCommand,
    TraceCommand, json, show_store,
};

/// The most agents on a page, as the API has it.
const PAGE: i32 = 500;

/// Whom to ask, and in which form to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The server's address.
    pub server: String,
    /// The form of answers.
    pub format: Format,
}

/// Runs `command` against the server of `target`. An interrupt ends it; in a chat, only the turn that runs.
pub async fn run(command: ServerCommand, target: &Target, io: &mut Io<'_>) -> Result<(), Error> {
    let interrupts = io.interrupts.clone();
    let raised = interrupts.raised();
    let client = tokio::select! {
        client = Client::connect(&target.server, CONNECT_TIMEOUT, Arc::clone(&io.clock)) => client?,
        () = raised => return Err(Error::Interrupted),
    };
    if let ServerCommand::Chat(args) = &command {
        return chat(&client, args, target.format, io).await;
    }
    let raised = interrupts.raised();
    let mut call = Call { client, format: target.format };
    let ended = tokio::select! {
        ended = call.run(command, io) => ended,
        () = raised => Err(Error::Interrupted),
    };
    io.out.flush()?;
    ended
}

struct Call {
    client: Client,
    format: Format,
}

impl Call {
    async fn run(&mut self, command: ServerCommand, io: &mut Io<'_>) -> Result<(), Error> {
        match command {
            // Its interrupts are its own, so it has been run already.
            ServerCommand::Chat(_) => Ok(()),
            ServerCommand::Agent(command) => self.agent(command, io).await,
            ServerCommand::Session(command) => self.session(command, io).await,
            ServerCommand::Turn(command) => self.turn(command, io).await,
            ServerCommand::Effect(command) => self.effect(command, io).await,
            ServerCommand::Approval(command) => self.approval(command, io).await,
            ServerCommand::Budget(BudgetCommand::List { agent, session }) => {
                let (agent_id, session_id) = (agent.unwrap_or_default(), session.unwrap_or_default());
                let found = self.client.list_budgets(ListBudgetsRequest { agent_id, session_id }).await?;
                self.show(&found, "ListBudgetsResponse", io, |style, out| {
                    budgets::budgets(&found.budgets, style, out)
                })
            }
            ServerCommand::Pattern(query) => self.pattern(query, io).await,
            ServerCommand::Trace(TraceCommand::Show { id }) => {
                show_trace(&self.client, &id, self.format, io).await.map(|_| ())
            }
            ServerCommand::Tool(ToolCommand::List { backend }) => {
                let request = ListToolsRequest { backend: backend.unwrap_or_default() };
                let found = self.client.list_tools(request).await?;
                self.show(&found, "ListToolsResponse", io, |style, out| {
                    catalog::tools(&found.tools, style, out)
                })
            }
            ServerCommand::Health => self.health(io).await,
            ServerCommand::Db(command) => {
                let answer = crate::db::ask(&self.client, command).await?;
                show_store(&answer, self.format, io)
            }
        }
    }

    /// Writes `message` as JSON, or lets `text` write it.
    fn show<T: Message>(
        &self,
        message: &T,
        name: &str,
        io: &mut Io<'_>,
        text: impl FnOnce(Style, &mut dyn Write) -> std::io::Result<()>,
    ) -> Result<(), Error> {
        match self.format {
            Format::Json => json::print(io.out, message, name)?,
            Format::Text => text(io.style, io.out)?,
        }
        Ok(())
    }

    async fn agent(&self, command: AgentCommand, io: &mut Io<'_>) -> Result<(), Error> {
        match command {
            AgentCommand::List => {
                let found = self.all_agents().await?;
                self.show(&found, "ListAgentsResponse", io, |style, out| {
                    catalog::agents(&found.agents, style, out)
                })
            }
            AgentCommand::Show { agent } => {
                let found = self.client.get_agent(GetAgentRequest { agent_id: agent }).await?;
                self.show(&found, "AgentInfo", io, |style, out| catalog::agent(&found, style, out))
            }
            AgentCommand::Reload { agent } => {
                let request =
                    ReloadAgentRequest { agent_id: agent, reload_from_file: true, ..Default::default() };
                let found = self.client.reload_agent(request).await?;
                self.show(&found, "AgentInfo", io, |_, out| {
                    writeln!(out, "agent {} is reloaded", clean_line(&found.name))
                })
            }
            AgentCommand::Delete { agent, force } => {
                let deleted = self.client.delete_agent(DeleteAgentRequest { agent_id: agent, force }).await?;
                self.show(&deleted, "DeleteAgentResponse", io, |_, out| {
                    writeln!(out, "agent {} is deleted", clean_line(&deleted.agent_id))
                })
            }
        }
    }

    /// All agents, however many pages they fill.
    async fn all_agents(&self) -> Result<ListAgentsResponse, Error> {
        let mut all = ListAgentsResponse::default();
        loop {
            let page_token = std::mem::take(&mut all.next_page_token);
            let request = ListAgentsRequest { page_size: PAGE, page_token, ..Default::default() };
            let mut page = self.client.list_agents(request).await?;
            let is_last = page.next_page_token.is_empty() || page.agents.is_empty();
            all.agents.append(&mut page.agents);
            all.total_count = page.total_count;
            if is_last {
                return Ok(all);
            }
            all.next_page_token = page.next_page_token;
        }
    }

    async fn session(&self, command: SessionCommand, io: &mut Io<'_>) -> Result<(), Error> {
        match command {
            SessionCommand::List { agent, limit, offset } => {
                let agent_id = agent.unwrap_or_default();
                let request = ListSessionsRequest { agent_id, limit, offset, ..Default::default() };
                let found = self.client.list_sessions(request).await?;
                self.show(&found, "ListSessionsResponse", io, |style, out| {
                    sessions::sessions(&found.sessions, offset, found.total_count, style, out)
                })
            }
            SessionCommand::Show { session, limit, offset } => {
                let request = GetSessionRequest { session_id: session.clone() };
                let found = self.client.get_session(request).await?;
                let request = GetConversationHistoryRequest { session_id: session, limit, offset };
                let history = self.client.get_conversation_history(request).await?;
                match self.format {
                    Format::Json => {
                        let session = json::value(&found, "Session")?;
                        let history = json::value(&history, "ConversationHistory")?;
                        let both = serde_json::json!({"session": session, "history": history});
                        writeln!(io.out, "{both:#}")?;
                    }
                    Format::Text => sessions::session(&found, &history, offset, io.style, io.out)?,
                }
                Ok(())
            }
            SessionCommand::Replay { session } => self.replay(session, io).await,
            SessionCommand::Fork { session, at, turn, model } => {
                let request = ForkSessionRequest {
                    session_id: session.clone(),
                    at: at.unwrap_or_default(),
                    turn_id: turn.unwrap_or_default(),
                    model: model.unwrap_or_default(),
                };
                let forked = self.client.fork_session(request).await?;
                self.show(&forked, "Session", io, |_, out| {
                    let (new, old) = (clean_line(&forked.id), clean_line(&session));
                    writeln!(out, "session {new} goes on from session {old}: `looms chat --session {new}`")
                })
            }
            SessionCommand::Delete { session } => {
                let deleted =
                    self.client.delete_session(DeleteSessionRequest { session_id: session.clone() }).await?;
                self.show(&deleted, "DeleteSessionResponse", io, |_, out| {
                    writeln!(out, "session {} is deleted", clean_line(&session))
                })
            }
        }
    }

    /// A server that says it is unhealthy is a failure; a degraded one still works.
    async fn health(&self, io: &mut Io<'_>) -> Result<(), Error> {
        let found = self.client.get_health(GetHealthRequest {}).await?;
        self.show(&found, "HealthStatus", io, |style, out| health::health(&found, style, out))?;
        match found.status.as_str() {
            "healthy" | "degraded" => Ok(()),
            _ => Err(Error::Unhealthy { status: found.status }),
        }
    }
}
