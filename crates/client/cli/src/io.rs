//! What a command reads from and writes to, passed in by the binary.

use std::io::{BufRead, Write};

use loom_base::Clock;

use crate::Interrupts;

/// The form of answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Text for people.
    #[default]
    Text,
    /// One JSON document for each command (for each turn of a chat), in the JSON form of the API's messages.
    Json,
}

/// Whether text may be coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Text alone.
    #[default]
    Plain,
    /// Text with the colours of a terminal.
    Terminal,
}

/// Where the lines of a chat come from.
#[derive(Default)]
pub enum Input {
    /// Nowhere: there is nothing to read.
    #[default]
    Nothing,
    /// The terminal, with a line editor.
    Terminal,
    /// Plain lines; the first turn that fails ends the chat.
    Lines(Box<dyn BufRead + Send>),
}

/// The surroundings of a command.
pub struct Io<'a> {
    /// Where answers go.
    pub out: &'a mut (dyn Write + Send),
    /// Whether they may be coloured.
    pub style: Style,
    /// Where the lines of a chat come from; a chat takes it.
    pub input: Input,
    /// Tells how long turns take.
    pub clock: &'a dyn Clock,
    /// Ctrl-C.
    pub interrupts: Interrupts,
}
