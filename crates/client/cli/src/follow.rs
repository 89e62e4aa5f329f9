//! A turn, followed and shown until it ends, is cancelled, or is left.

mod person;

use std::pin::Pin;

use futures::StreamExt as _;
use tokio::sync::futures::Notified;

use loom_base::{ErrorCode, Timestamp};
use loom_grpc::{Client, TurnStream};
use loom_proto::v1::{CancelTurnRequest, ExecutionStage, WeaveProgress};

use crate::chat::Lines;
use crate::render::turn::TurnView;
use crate::{Error, Format, Interrupts, Io, json};

/// What an interrupt does to a turn that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnInterrupt {
    /// It cancels the turn; a second one only leaves it.
    Cancel,
    /// It leaves the turn as it is.
    Leave,
}

/// A turn that was followed.
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
    /// It goes on, or waits for someone.
    Left,
    Failed(loom_grpc::Error),
}

/// Follows one turn and shows it as it runs; as JSON, only its last event.
pub(crate) struct Following<'a> {
    client: &'a Client,
    format: Format,
    on_interrupt: OnInterrupt,
    last: WeaveProgress,
}

/// The next interrupt, however long it takes to look for it.
struct NextInterrupt<'a> {
    interrupts: &'a Interrupts,
    raised: Pin<Box<Notified<'a>>>,
}

impl<'a> NextInterrupt<'a> {
    fn of(interrupts: &'a Interrupts) -> Self {
        Self { interrupts, raised: Box::pin(interrupts.raised()) }
    }

    async fn raised(&mut self) {
        self.raised.as_mut().await;
        self.raised.set(self.interrupts.raised());
    }
}

impl<'a> Following<'a> {
    pub(crate) fn new(client: &'a Client, format: Format, on_interrupt: OnInterrupt) -> Self {
        Self { client, format, on_interrupt, last: WeaveProgress::default() }
    }

    /// Follows `stream`. A person, where there is one, is asked for the approvals that the turn waits for.
    pub(crate) async fn follow(
        mut self,
        stream: TurnStream,
        person: Option<&mut Lines>,
        io: &mut Io<'_>,
    ) -> Result<Turn, Error> {
        let started = io.clock.now();
        let mut view = TurnView::new(io.style);
        let end = self.run(stream, person, &mut view, io).await?;
        self.show_end(&end, started, &mut view, io)?;
        io.out.flush()?;
        Ok(Turn { session_id: self.last.session_id, turn_id: self.last.turn_id, end })
    }

    async fn run(
        &mut self,
        mut stream: TurnStream,
        mut person: Option<&mut Lines>,
        view: &mut TurnView,
        io: &mut Io<'_>,
    ) -> Result<TurnEnd, Error> {
        let interrupts = io.interrupts.clone();
        let mut interrupt = NextInterrupt::of(&interrupts);
        let mut is_to_be_cancelled = false;
        loop {
            let event = tokio::select! {
                biased;
                () = interrupt.raised() => None,
                event = stream.next() => Some(event),
            };
            match event {
                None if is_to_be_cancelled || self.on_interrupt == OnInterrupt::Leave => {
                    return Ok(TurnEnd::Left);
                }
                None => is_to_be_cancelled = true,
                Some(None) => return Ok(self.last_said()),
                Some(Some(Err(error))) => return Ok(TurnEnd::Failed(error)),
                Some(Some(Ok(event))) => self.last = event,
            }
            if is_to_be_cancelled {
                if !self.last.turn_id.is_empty() {
                    return Ok(self.cancel(&mut interrupt).await);
                }
                // It has no id to be cancelled by before it is accepted.
                self.note("it is cancelled as soon as it is accepted; Ctrl-C again leaves it", view, io)?;
                continue;
            }
            if self.format == Format::Text {
                view.show(&self.last, io.out)?;
                io.out.flush()?;
            }
            if let Some(lines) = &mut person
                && let Some(asked) = person::asked(&self.last)
                && self.ask(&asked, lines, &mut interrupt, view, io).await? == person::Said::Nothing
            {
                return Ok(TurnEnd::Left);
            }
        }
    }

    /// How a turn ended whose stream is over.
    fn last_said(&self) -> TurnEnd {
        if self.last.stage() == ExecutionStage::Failed {
            return TurnEnd::Failed(loom_grpc::Error::new(ErrorCode::Internal, self.last.message.clone()));
        }
        TurnEnd::Answered(self.last.partial_content.clone())
    }

    async fn cancel(&self, interrupt: &mut NextInterrupt<'_>) -> TurnEnd {
        let request = CancelTurnRequest { turn_id: self.last.turn_id.clone() };
        tokio::select! {
            biased;
            () = interrupt.raised() => TurnEnd::Left,
            cancelled = self.client.cancel_turn(request) => match cancelled {
                Ok(_) => TurnEnd::Cancelled,
                Err(error) => TurnEnd::Failed(error),
            },
        }
    }

    fn note(&self, note: &str, view: &mut TurnView, io: &mut Io<'_>) -> Result<(), Error> {
        if self.format == Format::Text {
            view.note(note, io.out)?;
            io.out.flush()?;
        }
        Ok(())
    }

    fn show_end(
        &self,
        end: &TurnEnd,
        started: Timestamp,
        view: &mut TurnView,
        io: &mut Io<'_>,
    ) -> Result<(), Error> {
        match (self.format, end) {
            (Format::Text, TurnEnd::Cancelled) => view.cancelled(io.out)?,
            (Format::Text, TurnEnd::Left) => view.left(&self.last.turn_id, io.out)?,
            (Format::Text, TurnEnd::Answered(_) | TurnEnd::Failed(_)) => {
                view.leave(io.out)?;
                if self.last.cost.is_some() {
                    view.end(&self.last, io.clock.now().since(started), io.out)?;
                }
            }
            (Format::Json, TurnEnd::Answered(_)) => json::print_line(io.out, &self.last, "WeaveProgress")?,
            (Format::Json, _) => {}
        }
        Ok(())
    }
}
