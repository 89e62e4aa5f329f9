//! What a command reads from and writes to, passed in by the binary.

use std::io::{BufRead, Write};
use std::sync::Arc;

use loom_base::{Clock, IdSource};

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
    /// A person at a terminal that no line editor can work with.
    Person(Box<dyn BufRead + Send>),
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
    /// Tells how long turns take, and times the waits for a server that is lost.
    pub clock: Arc<dyn Clock>,
    /// Names questions, so that one can be sent again.
    pub ids: &'a dyn IdSource,
    /// Ctrl-C.
    pub interrupts: Interrupts,
}
