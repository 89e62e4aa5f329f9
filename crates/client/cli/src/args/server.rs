//! Commands that ask a running server.

use clap::{Args, Subcommand};

use super::{ApprovalCommand, DbCommand, EffectCommand, PatternQuery, TurnCommand};

/// A command that needs a server.
#[derive(Clone, Debug)]
pub enum ServerCommand {
    /// `chat`
    Chat(ChatArgs),
    /// `agent …`
    Agent(AgentCommand),
    /// `session …`
    Session(SessionCommand),
    /// `turn …`
    Turn(TurnCommand),
    /// `effect …`
    Effect(EffectCommand),
    /// `approval …`
    Approval(ApprovalCommand),
    /// `budget …`
    Budget(BudgetCommand),
    /// `pattern …`, but for what needs no server
    Pattern(PatternQuery),
    /// `trace …`
    Trace(TraceCommand),
    /// `tool …`
    Tool(ToolCommand),
    /// `health`
    Health,
    /// `db …` through the server
    Db(DbCommand),
}

/// Options of `chat`.
#[derive(Clone, Debug, Default, Args)]
pub struct ChatArgs {
    /// Continue this session instead of starting one
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// The agent, by name or id [default: the session's, else the server's default one]
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
}

/// Commands about agents.
#[derive(Clone, Debug, Subcommand)]
pub enum AgentCommand {
    /// List agents, by name
    List,
    /// Show one agent
    Show {
        /// Its name or id
        agent: String,
    },
    /// Read an agent's file again; running turns keep what they started with
    Reload {
        /// Its name or id
        agent: String,
    },
    /// Delete an agent; its sessions stay stored
    Delete {
        /// Its name or id
        agent: String,
        /// Delete it although it has sessions or a running turn
        #[arg(long)]
        force: bool,
    },
}

/// Commands about sessions.
#[derive(Clone, Debug, Subcommand)]
pub enum SessionCommand {
    /// List sessions, the last used first
    List {
        /// Only those of this agent, by name or id
        #[arg(long, value_name = "NAME")]
        agent: Option<String>,
        /// The most to list, 1 to 500
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=500))]
        limit: i32,
        /// How many to leave out first
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..))]
        offset: i32,
    },
    /// Show a session and its messages
    Show {
        /// Its id
        session: String,
        /// The most messages to show, 1 to 500
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=500))]
        limit: i32,
        /// How many messages to leave out first
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..))]
        offset: i32,
    },
    /// Tell a session again from its journal, without asking any model: the same each time
    ///
    /// With `--json`, one event on each line
    Replay {
        /// Its id
        session: String,
    },
    /// Go on from an earlier turn of a session, in a new session; the old one stays as it is
    Fork {
        /// Its id
        session: String,
        /// The number of its turns that the new session begins with [default: all that have ended]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        at: Option<i32>,
        /// The last turn that the new session begins with, by its id
        #[arg(long, value_name = "ID", conflicts_with = "at")]
        turn: Option<String>,
        /// The model that answers in the new session [default: the one that answers in this]
        #[arg(long, value_name = "NAME")]
        model: Option<String>,
    },
    /// Delete a session with its messages and traces
    Delete {
        /// Its id
        session: String,
    },
}

/// Commands about budgets.
#[derive(Clone, Debug, Subcommand)]
pub enum BudgetCommand {
    /// List the server's budget and those of agents
    List {
        /// Only this agent's and the server's, by name or id
        #[arg(long, value_name = "NAME")]
        agent: Option<String>,
        /// That of this session as well
        #[arg(long, value_name = "ID")]
        session: Option<String>,
    },
}

/// Commands about traces.
#[derive(Clone, Debug, Subcommand)]
pub enum TraceCommand {
    /// Show a trace as a tree
    Show {
        /// The id of the trace or of its turn
        id: String,
    },
}

/// Commands about tools.
#[derive(Clone, Debug, Subcommand)]
pub enum ToolCommand {
    /// List tools, by name
    List {
        /// Only those that work on this backend
        #[arg(long, value_name = "NAME")]
        backend: Option<String>,
    },
}
