//! What a fake provider answers, said once for all wire protocols.

use loom_llm::{FinishReason, Usage};

/// The answer to one request. Made by one of the constructors, bent by the methods.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(crate) body: Body,
    pub(crate) piece: usize,
    pub(crate) end: End,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Answer(Answer),
    Failure(Failure),
    Raw { content_type: &'static str, text: String },
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) parts: Vec<Part>,
    pub(crate) usage: Usage,
    pub(crate) finish: FinishReason,
    /// Ends the stream with an error event in place of the closing ones.
    pub(crate) error: Option<(String, String)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) retry_after: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) enum Part {
    Text(String),
    Thinking { text: String, signature: String },
    ToolCall { id: String, name: String, arguments: String },
}

/// How the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Complete,
    CutAfterBytes(usize),
    CutAfterEvents(usize),
    StallAfterEvents(usize),
    HoldAfterEvents(usize),
}

impl Reply {
    fn new(body: Body) -> Self {
        Self { body, piece: usize::MAX, end: End::Complete }
    }

    fn answer(parts: Vec<Part>, finish: FinishReason) -> Self {
        let usage = Usage { input: 10, output: 5, ..Usage::default() };
        Self::new(Body::Answer(Answer { parts, usage, finish, error: None }))
    }

    /// The model says nothing and stops.
    pub fn empty() -> Self {
        Self::answer(Vec::new(), FinishReason::Stop)
    }

    /// The model says `text` and stops.
    pub fn text(text: impl Into<String>) -> Self {
        Self::answer(vec![Part::Text(text.into())], FinishReason::Stop)
    }

    /// The model calls tools: (id, name, arguments as JSON text), all in one answer.
    pub fn tool_calls<const N: usize>(calls: [(&str, &str, &str); N]) -> Self {
        Self::answer(Vec::new(), FinishReason::ToolUse).and_tool_calls(calls)
    }

    /// The provider refuses with `status`; a redirect leads to another path of the fake. `kind` is Anthropic's
    /// `error.type`, OpenAI's `error.code` or Google's `error.status`.
    pub fn failure(status: u16, kind: impl Into<String>, message: impl Into<String>) -> Self {
        let (kind, message) = (kind.into(), message.into());
        Self::new(Body::Failure(Failure { status, kind, message, retry_after: None }))
    }

    /// A 200 with this text as its event stream, sent as it is.
    pub fn raw_events(text: impl Into<String>) -> Self {
        Self::new(Body::Raw { content_type: "text/event-stream", text: text.into() })
    }

    /// A 200 with this web page, as a proxy in between would answer.
    pub fn web_page(text: impl Into<String>) -> Self {
        Self::new(Body::Raw { content_type: "text/html", text: text.into() })
    }

    /// The same answer with thinking before all else. Anthropic signs it, and Google the part after it.
    #[must_use]
    pub fn after_thinking(mut self, text: &str, signature: &str) -> Self {
        if let Body::Answer(answer) = &mut self.body {
            answer.parts.insert(0, Part::Thinking { text: text.into(), signature: signature.into() });
        }
        self
    }

    /// The same answer, and then tool calls.
    #[must_use]
    pub fn and_tool_calls<const N: usize>(mut self, calls: [(&str, &str, &str); N]) -> Self {
        if let Body::Answer(answer) = &mut self.body {
            answer.finish = FinishReason::ToolUse;
            answer.parts.extend(calls.map(|(id, name, arguments)| Part::ToolCall {
                id: id.into(),
                name: name.into(),
                arguments: arguments.into(),
            }));
        }
        self
    }

    /// The same answer with these token counts.
    #[must_use]
    pub fn using(mut self, usage: Usage) -> Self {
        if let Body::Answer(answer) = &mut self.body {
            answer.usage = usage;
        }
        self
    }

    /// The same answer with another reason to stop.
    #[must_use]
    pub fn finishing(mut self, finish: FinishReason) -> Self {
        if let Body::Answer(answer) = &mut self.body {
            answer.finish = finish;
        }
        self
    }

    /// The same answer, but an error event takes the place of its end.
    #[must_use]
    pub fn broken_by(mut self, kind: &str, message: &str) -> Self {
        if let Body::Answer(answer) = &mut self.body {
            answer.error = Some((kind.into(), message.into()));
        }
        self
    }

    /// The same failure with a `retry-after` header.
    #[must_use]
    pub fn retry_after(mut self, value: &str) -> Self {
        if let Body::Failure(failure) = &mut self.body {
            failure.retry_after = Some(value.into());
        }
        self
    }

    /// The same body in writes of `bytes`, however that cuts lines and characters.
    #[must_use]
    pub const fn in_pieces_of(mut self, bytes: usize) -> Self {
        self.piece = if bytes == 0 { 1 } else { bytes };
        self
    }

    /// The connection is cut after so many bytes of the body; a shorter body is complete.
    #[must_use]
    pub const fn cut_after_bytes(mut self, bytes: usize) -> Self {
        self.end = End::CutAfterBytes(bytes);
        self
    }

    /// The connection is cut after so many events.
    #[must_use]
    pub const fn cut_after_events(mut self, events: usize) -> Self {
        self.end = End::CutAfterEvents(events);
        self
    }

    /// Nothing more is sent after so many events, and the connection stays open.
    #[must_use]
    pub const fn stall_after_events(mut self, events: usize) -> Self {
        self.end = End::StallAfterEvents(events);
        self
    }

    /// The rest comes once [`ProviderFake::release`](crate::ProviderFake::release) is called.
    #[must_use]
    pub const fn held_after_events(mut self, events: usize) -> Self {
        self.end = End::HoldAfterEvents(events);
        self
    }
}
