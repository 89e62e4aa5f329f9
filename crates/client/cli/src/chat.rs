//! A conversation: lines in, turns out, in one session.

mod lines;

use loom_base::nearest;
use loom_grpc::Client;
use loom_proto::v1::GetSessionRequest;

use crate::ask::show_trace;
use crate::error::report;
use crate::follow::{Following, OnInterrupt, TurnEnd};
use crate::{ChatArgs, Error, Format, Input, Io, Question};
pub(crate) use lines::{Line, Lines};

/// Invites a person to type, where no line editor does.
const PROMPT: &str = "> ";

/// What may be said instead of a question.
const COMMANDS: [(&str, &str); 4] = [
    ("/help", "show this"),
    ("/reset", "leave the earlier messages out of the context from the next question on"),
    ("/trace", "show what the last turn did and cost"),
    ("/quit", "leave; Ctrl-D and Ctrl-C at the prompt do too"),
];

/// Talks to an agent until the input ends, `/quit`, or Ctrl-C at the prompt. Ctrl-C while a turn runs cancels the turn.
///
/// At a terminal a failed turn is told and the conversation goes on, and the person there is asked for the approvals that
/// a turn waits for; of plain lines, the first failure or cancel ends it, as in a script.
pub async fn chat(client: &Client, args: &ChatArgs, format: Format, io: &mut Io<'_>) -> Result<(), Error> {
    let input = std::mem::take(&mut io.input);
    let has_editor = matches!(input, Input::Terminal);
    let at_terminal = has_editor || matches!(input, Input::Person(_));
    if let Some(session_id) = args.session.clone() {
        // A question would start a session under an id that is not known; here one is to be continued.
        tokio::select! {
            found = client.get_session(GetSessionRequest { session_id }) => drop(found?),
            () = io.interrupts.raised() => return Err(Error::Interrupted),
        }
    }
    if at_terminal && format == Format::Text {
        writeln!(io.out, "{}; /help lists the commands", client.address())?;
    }
    let mut lines = Lines::read(input).map_err(Error::Input)?;
    let question =
        Question { session: args.session.clone(), agent: args.agent.clone(), ..Question::default() };
    let mut chat = Chat { client, format, question, last_turn: None };
    loop {
        if at_terminal && !has_editor {
            write!(io.out, "{PROMPT}")?;
            io.out.flush()?;
        }
        let line = tokio::select! {
            biased;
            // To the line editor Ctrl-C is a key like others, and it has to put the terminal back in order.
            () = io.interrupts.raised(), if !has_editor => return Ok(()),
            line = lines.next() => line.map_err(Error::Input)?,
        };
        let Line::Typed(line) = line else { return Ok(()) };
        let said = match line.trim() {
            "" => Ok(()),
            "/quit" => return Ok(()),
            command if command.starts_with('/') => chat.command(command, io).await,
            question => chat.turn(question, at_terminal.then_some(&mut lines), io).await,
        };
        match said {
            Err(error @ (Error::Server(_) | Error::Interrupted)) if at_terminal => {
                // A turn that was cancelled or left has said so itself.
                if !matches!(error, Error::Interrupted) {
                    report(&error, format, io.out)?;
                }
            }
            other => other?,
        }
        io.out.flush()?;
    }
}

struct Chat<'a> {
    client: &'a Client,
    format: Format,
    /// The next question, but for its text.
    question: Question,
    last_turn: Option<String>,
}

impl Chat<'_> {
    async fn turn(&mut self, text: &str, person: Option<&mut Lines>, io: &mut Io<'_>) -> Result<(), Error> {
        self.question.text = text.to_owned();
        let stream = self.question.stream(self.client, io);
        let following = Following::new(self.client, self.format, OnInterrupt::Cancel);
        let turn = following.follow(stream, person, io).await?;
        if !turn.turn_id.is_empty() {
            // The server has accepted the question, and with it the reset.
            self.question.reset_context = false;
            self.question.session = Some(turn.session_id);
            self.last_turn = Some(turn.turn_id);
        }
        match turn.end {
            TurnEnd::Answered(_) => Ok(()),
            TurnEnd::Cancelled | TurnEnd::Left => Err(Error::Interrupted),
            TurnEnd::Failed(error) => Err(error.into()),
        }
    }

    async fn command(&mut self, command: &str, io: &mut Io<'_>) -> Result<(), Error> {
        match command {
            "/help" => {
                for (name, what) in COMMANDS {
                    writeln!(io.out, "{name:8}{what}")?;
                }
            }
            "/reset" => {
                self.question.reset_context = true;
                writeln!(io.out, "the next question starts with an empty context")?;
            }
            "/trace" => match &self.last_turn {
                Some(turn) => {
                    show_trace(self.client, turn, self.format, io).await?;
                }
                None => writeln!(io.out, "there was no turn yet")?,
            },
            unknown => {
                let meant = nearest(unknown, COMMANDS.map(|(name, _)| name));
                let hint =
                    meant.map_or("/help lists the commands".to_owned(), |name| format!("{name} exists"));
                writeln!(io.out, "no such command; {hint}")?;
            }
        }
        Ok(())
    }
}
