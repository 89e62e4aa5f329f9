//! The tree of commands.

mod db;
mod local;
mod patterns;
mod people;
mod server;

use clap::{Args, Parser, Subcommand};

pub use db::{DbArgs, DbCommand, StoreArgs};
pub use local::{
    BackendArgs, BackendChoice, BackendCommand, ConfigArgs, ConfigCommand, LocalCommand, QuickstartArgs,
    ServeArgs, Setting,
};
pub use patterns::{FilesArgs, PatternCommand, PatternFileCommand, PatternQuery};
pub use people::{ApprovalAnswer, ApprovalCommand, EffectCommand, EffectOutcome, PageArgs, TurnCommand};
pub use server::{
    AgentCommand, BudgetCommand, ChatArgs, ServerCommand, SessionCommand, ToolCommand, TraceCommand,
};

use crate::Format;

/// The server that is asked when nobody names one.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:60051";

/// Runs LLM agents against your data.
#[derive(Clone, Debug, Parser)]
#[command(name = "looms", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    /// Which server is asked, and in which form it is told.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct ConnectionArgs {
    /// The server to ask.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help_heading = "Everywhere",
        help = "The server to ask [default: LOOM_SERVER, else http://127.0.0.1:60051]"
    )]
    pub server: Option<String>,
    /// Print one JSON document instead of text
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,
}

impl ConnectionArgs {
    /// The server's address: the flag, else `LOOM_SERVER` as the caller found it, else [`DEFAULT_SERVER`]. An empty
    /// variable counts as unset.
    pub fn server(&self, from_environment: Option<&str>) -> String {
        let variable = from_environment.filter(|address| !address.is_empty());
        self.server.as_deref().or(variable).unwrap_or(DEFAULT_SERVER).to_owned()
    }

    /// The form of answers.
    pub const fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Text }
    }
}

/// All commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Answer questions about a database at once, with nothing set up
    Quickstart(QuickstartArgs),
    /// Run the server
    #[command(visible_alias = "start")]
    Serve(Box<ServeArgs>),
    /// Talk to an agent
    Chat(ChatArgs),
    /// List, show, reload and delete agents
    #[command(subcommand)]
    Agent(AgentCommand),
    /// List, show, tell again, fork and delete sessions
    #[command(subcommand)]
    Session(SessionCommand),
    /// List, stop and follow turns
    #[command(subcommand)]
    Turn(TurnCommand),
    /// List the tool calls that may have taken effect, and say what became of them
    #[command(subcommand)]
    Effect(EffectCommand),
    /// List the tool calls that wait for an approval, and approve or deny them
    #[command(subcommand)]
    Approval(ApprovalCommand),
    /// List budgets, and what is left of them
    #[command(subcommand)]
    Budget(BudgetCommand),
    /// List, search and show patterns; read, write and check their files
    #[command(subcommand)]
    Pattern(PatternCommand),
    /// Try a data backend
    #[command(subcommand)]
    Backend(BackendCommand),
    /// Show what a turn did and cost
    #[command(subcommand)]
    Trace(TraceCommand),
    /// List the tools that agents can call
    #[command(subcommand)]
    Tool(ToolCommand),
    /// Say whether the server and its parts work
    Health,
    /// Read and explain the configuration
    Config(ConfigArgs),
    /// Look after the store: check, copy, shrink and clear it
    ///
    /// Opens the store itself, which no server may use meanwhile; with `--online` or `--server`, the running server does it
    Db(DbArgs),
}

/// A command, by who runs it.
#[derive(Clone, Debug)]
pub enum Task {
    /// The binary runs it; no server is needed.
    Local(LocalCommand),
    /// [`run`](crate::run) runs it against a server.
    Server(ServerCommand),
}

impl Cli {
    /// Says who runs the command.
    pub fn into_task(self) -> Task {
        match self.command {
            Command::Db(args) if self.connection.server.is_some() => {
                Task::Server(ServerCommand::Db(args.command))
            }
            command => command.into_task(),
        }
    }
}

impl Command {
    fn into_task(self) -> Task {
        match self {
            Self::Db(args) if args.online => Task::Server(ServerCommand::Db(args.command)),
            Self::Db(args) => Task::Local(LocalCommand::Db(args)),
            Self::Quickstart(args) => Task::Local(LocalCommand::Quickstart(args)),
            Self::Serve(args) => Task::Local(LocalCommand::Serve(args)),
            Self::Config(args) => Task::Local(LocalCommand::Config(args)),
            Self::Backend(command) => Task::Local(LocalCommand::Backend(command)),
            Self::Pattern(PatternCommand::Files(command)) => Task::Local(LocalCommand::Pattern(command)),
            Self::Pattern(PatternCommand::Query(query)) => Task::Server(ServerCommand::Pattern(query)),
            Self::Chat(args) => Task::Server(ServerCommand::Chat(args)),
            Self::Agent(command) => Task::Server(ServerCommand::Agent(command)),
            Self::Session(command) => Task::Server(ServerCommand::Session(command)),
            Self::Turn(command) => Task::Server(ServerCommand::Turn(command)),
            Self::Effect(command) => Task::Server(ServerCommand::Effect(command)),
            Self::Approval(command) => Task::Server(ServerCommand::Approval(command)),
            Self::Budget(command) => Task::Server(ServerCommand::Budget(command)),
            Self::Trace(command) => Task::Server(ServerCommand::Trace(command)),
            Self::Tool(command) => Task::Server(ServerCommand::Tool(command)),
            Self::Health => Task::Server(ServerCommand::Health),
        }
    }
}

#[cfg(test)]
mod tests;
