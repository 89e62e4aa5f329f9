//! Commands about turns, and about what turns wait for people for.

use clap::{Args, Subcommand};
use loom_proto::v1::EffectResolution;

/// Which part of a list is shown.
#[derive(Clone, Debug, Args)]
pub struct PageArgs {
    /// The most to list, 1 to 500
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=500))]
    pub limit: i32,
    /// How many to leave out first
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..))]
    pub offset: i32,
}

/// Commands about turns.
#[derive(Clone, Debug, Subcommand)]
pub enum TurnCommand {
    /// List the turns that have not ended, in the order they were accepted
    List(PageArgs),
    /// Stop a turn; one that is over stays as it is
    Cancel {
        /// Its id
        #[arg(value_name = "ID")]
        turn: String,
    },
    /// Follow a turn as `chat` does, while it runs or once it is over; Ctrl-C leaves it running
    Watch {
        /// Its id
        #[arg(value_name = "ID")]
        turn: String,
        /// Show only what came after this event
        #[arg(long, value_name = "EVENT_ID")]
        after: Option<String>,
    },
}

/// Commands about tool calls that were cut off and may have taken effect.
#[derive(Clone, Debug, Subcommand)]
pub enum EffectCommand {
    /// List the calls of which nobody has said what became of them, the oldest first
    List(PageArgs),
    /// Say what became of such a call; the turn that waits for it goes on
    Resolve {
        /// The effect's id
        #[arg(value_name = "ID")]
        effect: String,
        /// What became of it.
        #[command(flatten)]
        outcome: EffectOutcome,
        /// Its result, for the model to read
        #[arg(long, value_name = "TEXT", conflicts_with_all = ["did_not_happen", "give_up"])]
        result: Option<String>,
    },
}

/// What became of an effect: one of three.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct EffectOutcome {
    /// It happened
    #[arg(long)]
    pub happened: bool,
    /// It did not happen; it is run now, if its turn waits
    #[arg(long)]
    pub did_not_happen: bool,
    /// Nobody will know; the model is told so
    #[arg(long)]
    pub give_up: bool,
}

impl EffectOutcome {
    /// The one that was given.
    pub const fn resolution(&self) -> EffectResolution {
        match self {
            Self { happened: true, .. } => EffectResolution::Happened,
            Self { did_not_happen: true, .. } => EffectResolution::DidNotHappen,
            Self { .. } => EffectResolution::GiveUp,
        }
    }
}

/// Commands about tool calls that wait for an approval.
#[derive(Clone, Debug, Subcommand)]
pub enum ApprovalCommand {
    /// List the calls that wait, the one that expires first in front
    List(PageArgs),
    /// Approve or deny such a call; its turn goes on
    Answer {
        /// The approval's id
        #[arg(value_name = "ID")]
        approval: String,
        /// Whether it may go ahead.
        #[command(flatten)]
        answer: ApprovalAnswer,
        /// Why, for the model to read
        #[arg(long, value_name = "TEXT", conflicts_with = "approve")]
        reason: Option<String>,
        /// The digest of the arguments that were looked at; with those of another call it is refused
        #[arg(long, value_name = "HEX")]
        digest: Option<String>,
    },
}

/// Whether a call may go ahead: one of two.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ApprovalAnswer {
    /// It may
    #[arg(long)]
    pub approve: bool,
    /// It may not
    #[arg(long)]
    pub deny: bool,
}
