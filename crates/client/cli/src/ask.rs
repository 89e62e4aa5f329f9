//! One question, its answer as it comes, and what the turn did.

use std::io::Write;

use futures::StreamExt as _;

use loom_base::ErrorCode;
use loom_grpc::Client;
use loom_proto::v1::{ExecutionStage, GetTraceRequest, Trace, WeaveProgress, WeaveRequest};

use crate::render::turn::TurnView;
use crate::{Error, Format, Io, json, render};

/// A question to an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The question.
    pub text: String,
    /// The session to continue; `None` starts one.
    pub session: Option<String>,
    /// The agent, by name or id; `None` is the session's, or the server's default one.
    pub agent: Option<String>,
    /// Whether the session's earlier messages are left out of the context.
    pub reset_context: bool,
}

/// How a turn ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer.
    Answered,
    /// By the user's interrupt.
    Cancelled,
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The session, to go on with.
    pub session_id: String,
    /// The turn.
    pub turn_id: String,
    /// Its trace; empty when the turn was cancelled.
    pub trace_id: String,
    /// The answer; empty when the turn was cancelled.
    pub answer: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// Asks `question`, shows the turn as it runs and then its trace as a tree. A turn that fails shows its trace too, and
/// is then the error. An interrupt cancels the turn.
pub async fn ask(client: &Client, question: &Question, io: &mut Io<'_>) -> Result<Asked, Error> {
    let turn = follow(client, question, Format::Text, io).await?;
    let cancelled = matches!(turn.end, TurnEnd::Cancelled);
    let mut trace_id = String::new();
    if !turn.turn_id.is_empty() && !cancelled {
        writeln!(io.out)?;
        trace_id = show_trace(client, &turn.turn_id, Format::Text, io).await?.id;
    }
    let (answer, outcome) = match turn.end {
        TurnEnd::Answered(answer) => (answer, Outcome::Answered),
        TurnEnd::Cancelled => (String::new(), Outcome::Cancelled),
        TurnEnd::Failed(error) => return Err(error.into()),
    };
    Ok(Asked { session_id: turn.session_id, turn_id: turn.turn_id, trace_id, answer, outcome })
}

/// Shows the trace with that id, of a trace or of a turn.
pub(crate) async fn show_trace(
    client: &Client,
    id: &str,
    format: Format,
    io: &mut Io<'_>,
) -> Result<Trace, Error> {
    let trace = client.get_trace(GetTraceRequest { trace_id: id.to_owned() }).await?;
    match format {
        Format::Json => json::print(io.out, &trace, "Trace")?,
        Format::Text => render::trace(&trace, io.style, io.out)?,
    }
    Ok(trace)
}

/// A turn that was followed to its end.
pub(crate) struct Turn {
    /// Its session, as soon as the server said it.
    pub(crate) session_id: String,
    /// Its id, as soon as the server said it.
    pub(crate) turn_id: String,
    pub(crate) end: TurnEnd,
}

pub(crate) enum TurnEnd {
    Answered(String),
    Cancelled,
    Failed(loom_grpc::Error),
}

/// Asks `question` and shows the turn as it runs; as JSON, only its last event. An interrupt cancels the turn: its
/// stream is dropped, and the server was told to take that as a cancel.
pub(crate) async fn follow(
    client: &Client,
    question: &Question,
    format: Format,
    io: &mut Io<'_>,
) -> Result<Turn, Error> {
    let started = io.clock.now();
    let mut view = TurnView::new(io.style);
    let mut last = WeaveProgress::default();
    let ended = {
        let raised = io.interrupts.raised();
        let events = events(client, question, format, &mut view, &mut last, io.out);
        tokio::select! {
            biased;
            () = raised => None,
            ended = events => Some(ended),
        }
    };
    match format {
        Format::Text if ended.is_none() => view.cancelled(io.out)?,
        Format::Text => {
            view.leave(io.out)?;
            if last.cost.is_some() {
                view.end(&last, io.clock.now().since(started), io.out)?;
            }
        }
        Format::Json if matches!(ended, Some(Ok(()))) => json::print_line(io.out, &last, "WeaveProgress")?,
        Format::Json => {}
    }
    io.out.flush()?;
    let end = match ended {
        None => TurnEnd::Cancelled,
        Some(Ok(())) => TurnEnd::Answered(last.partial_content),
        Some(Err(Error::Server(error))) => TurnEnd::Failed(error),
        Some(Err(other)) => return Err(other),
    };
    Ok(Turn { session_id: last.session_id, turn_id: last.turn_id, end })
}

/// Shows the events of a turn and keeps the last one.
async fn events(
    client: &Client,
    question: &Question,
    format: Format,
    view: &mut TurnView,
    last: &mut WeaveProgress,
    out: &mut (dyn Write + Send),
) -> Result<(), Error> {
    let mut stream = client.stream_weave(request(question)).await?;
    while let Some(event) = stream.next().await {
        *last = event?;
        if format == Format::Text {
            view.show(last, out)?;
            out.flush()?;
        }
    }
    if last.stage() == ExecutionStage::Failed {
        return Err(loom_grpc::Error::new(ErrorCode::Internal, last.message.clone()).into());
    }
    Ok(())
}

fn request(question: &Question) -> WeaveRequest {
    WeaveRequest {
        query: question.text.clone(),
        session_id: question.session.clone().unwrap_or_default(),
        agent_id: question.agent.clone().unwrap_or_default(),
        reset_context: question.reset_context,
        enable_trace: true,
        cancel_on_disconnect: true,
        ..WeaveRequest::default()
    }
}
