//! Lines as they are typed, read on a thread of their own: a read of the standard input cannot be given up, and must
//! hold up neither a turn nor the end of the program.

use std::io::{self, BufRead};

use reedline::{DefaultPrompt, DefaultPromptSegment, Reedline, Signal};
use tokio::sync::mpsc;

use crate::Input;

/// What came from the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line.
    Typed(String),
    /// Its end, or the wish to leave.
    End,
}

/// The lines of an input, read only when they are asked for, so that no prompt stands in the way of an answer.
pub(crate) struct Lines {
    wanted: std::sync::mpsc::Sender<()>,
    read: mpsc::Receiver<io::Result<Line>>,
    /// Whether a line was asked for that has not come.
    is_wanted: bool,
}

impl Lines {
    /// Starts to read `input`.
    pub(crate) fn read(input: Input) -> io::Result<Self> {
        let (wanted, wants) = std::sync::mpsc::channel();
        let (sender, read) = mpsc::channel(1);
        // It ends when nobody wants a line any more; while it waits for one, it dies with the process.
        std::thread::Builder::new().name("loom-chat-input".to_owned()).spawn(move || {
            let mut source = Source::of(input);
            while wants.recv().is_ok() {
                if sender.blocking_send(source.next()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { wanted, read, is_wanted: false })
    }

    /// The next line. When the wait is given up, the line comes at the next call.
    pub(crate) async fn next(&mut self) -> io::Result<Line> {
        if !self.is_wanted && self.wanted.send(()).is_err() {
            return Ok(Line::End);
        }
        self.is_wanted = true;
        let line = self.read.recv().await;
        self.is_wanted = false;
        line.unwrap_or(Ok(Line::End))
    }
}

enum Source {
    Nothing,
    Editor(Box<Reedline>, DefaultPrompt),
    Plain(Box<dyn BufRead + Send>),
}

impl Source {
    fn of(input: Input) -> Self {
        match input {
            Input::Nothing => Self::Nothing,
            Input::Lines(lines) | Input::Person(lines) => Self::Plain(lines),
            Input::Terminal => {
                let prompt = DefaultPrompt::new(DefaultPromptSegment::Empty, DefaultPromptSegment::Empty);
                Self::Editor(Box::new(Reedline::create()), prompt)
            }
        }
    }

    fn next(&mut self) -> io::Result<Line> {
        match self {
            Self::Nothing => Ok(Line::End),
            Self::Plain(lines) => {
                let mut line = String::new();
                let read = lines.read_line(&mut line)?;
                Ok(if read == 0 { Line::End } else { Line::Typed(line) })
            }
            Self::Editor(editor, prompt) => Ok(match editor.read_line(prompt)? {
                Signal::Success(line) => Line::Typed(line),
                _ => Line::End,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_one_by_one_and_end() {
        let mut lines = Lines::read(Input::Lines(Box::new(io::Cursor::new("one\n\ntwo")))).unwrap();
        for expected in ["one\n", "\n", "two"] {
            assert_eq!(lines.next().await.unwrap(), Line::Typed(expected.to_owned()));
        }
        assert_eq!(lines.next().await.unwrap(), Line::End);
    }

    #[tokio::test]
    async fn without_an_input_there_is_nothing_to_say() {
        assert_eq!(Lines::read(Input::Nothing).unwrap().next().await.unwrap(), Line::End);
    }

    #[tokio::test]
    async fn a_line_that_is_no_text_is_an_error() {
        let mut lines = Lines::read(Input::Lines(Box::new(io::Cursor::new(b"\xff\n")))).unwrap();
        assert_eq!(lines.next().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
