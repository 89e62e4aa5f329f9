//! The command line of `looms`: its commands, how they talk to a server, and how answers look in a terminal.
//!
//! One [`Cli`] describes the whole tree. Commands that need a server are run here, by [`run`]; those that do not are
//! [`LocalCommand`]s, which the binary runs. This crate never reads the environment, opens no standard stream but the
//! terminal editor of `chat`, and lets no control character of a server or a model reach the terminal.
//!
//! # Exit codes
//!
//! | code | meaning | [`Exit`] |
//! |---|---|---|
//! | 0 | done | [`Exit::Ok`] |
//! | 1 | failed | [`Exit::Failed`] |
//! | 2 | the command line is wrong | [`Exit::Usage`] |
//! | 3 | no server answers | [`Exit::Unreachable`] |
//! | 4 | the thing named does not exist | [`Exit::NotFound`] |
//! | 5 | refused: the request is wrong, not allowed, or the server is not set up for it | [`Exit::Refused`] |

mod args;
mod ask;
mod chat;
mod db;
mod error;
mod exit;
mod follow;
mod interrupts;
mod io;
mod json;
mod reference;
pub mod render;
mod run;

pub use args::{
    AgentCommand, ApprovalAnswer, ApprovalCommand, BackendArgs, BackendChoice, BackendCommand, BudgetCommand,
    ChatArgs, Cli, Command, ConfigArgs, ConfigCommand, ConnectionArgs, DEFAULT_SERVER, DbArgs, DbCommand,
    EffectCommand, EffectOutcome, FilesArgs, LocalCommand, PageArgs, PatternCommand, PatternFileCommand,
    PatternQuery, QuickstartArgs, ServeArgs, ServerCommand, SessionCommand, Setting, StoreArgs, Task,
    ToolCommand, TraceCommand, TurnCommand,
};
pub use ask::{Asked, Outcome, Question, ask};
pub use chat::chat;
pub use db::{ExportFile, Exported, Imported, StoreAnswer, show_store};
pub use error::{Error, report};
pub use exit::Exit;
pub use interrupts::Interrupts;
pub use io::{Format, Input, Io, Style};
pub use reference::reference_markdown;
pub use run::{Target, run};
