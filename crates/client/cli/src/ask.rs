//! One question, its answer as it comes, and what the turn did.

use loom_grpc::{Client, RequestKey, TurnStream};
use loom_proto::v1::{GetTraceRequest, Trace, WeaveRequest};

use crate::follow::{Following, OnInterrupt, TurnEnd};
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

impl Question {
    /// Asks it once the stream is read, and again when the server is lost before it has accepted it.
    pub(crate) fn stream(&self, client: &Client, io: &Io<'_>) -> TurnStream {
        let request = WeaveRequest {
            query: self.text.clone(),
            session_id: self.session.clone().unwrap_or_default(),
            agent_id: self.agent.clone().unwrap_or_default(),
            reset_context: self.reset_context,
            enable_trace: true,
            ..WeaveRequest::default()
        };
        client.stream_weave(request, Some(RequestKey::new(io.ids)))
    }
}

/// How a turn ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer.
    Answered,
    /// By the user's interrupt.
    Cancelled,
    /// It goes on, and the user has stopped following it.
    Left,
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The session, to go on with.
    pub session_id: String,
    /// The turn.
    pub turn_id: String,
    /// Its trace; empty when the turn was cancelled or left.
    pub trace_id: String,
    /// The answer; empty when the turn was cancelled or left.
    pub answer: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// Asks `question`, shows the turn as it runs and then its trace as a tree. A turn that fails shows its trace too, and
/// is then the error. An interrupt cancels the turn.
pub async fn ask(client: &Client, question: &Question, io: &mut Io<'_>) -> Result<Asked, Error> {
    let stream = question.stream(client, io);
    let turn = Following::new(client, Format::Text, OnInterrupt::Cancel).follow(stream, None, io).await?;
    let is_over = matches!(turn.end, TurnEnd::Answered(_) | TurnEnd::Failed(_));
    let mut trace_id = String::new();
    if !turn.turn_id.is_empty() && is_over {
        writeln!(io.out)?;
        trace_id = show_trace(client, &turn.turn_id, Format::Text, io).await?.id;
    }
    let (answer, outcome) = match turn.end {
        TurnEnd::Answered(answer) => (answer, Outcome::Answered),
        TurnEnd::Cancelled => (String::new(), Outcome::Cancelled),
        TurnEnd::Left => (String::new(), Outcome::Left),
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
