//! Tells a session again.

use std::pin::pin;

use futures::StreamExt as _;
use loom_proto::v1::{ExecutionStage, ReplaySessionRequest, WeaveProgress};

use super::Call;
use crate::render::clean_line;
use crate::render::text::Tone;
use crate::render::turn::TurnView;
use crate::{Error, Format, Io, json};

impl Call {
    /// Shows all turns of a session; as JSON, each event on a line.
    pub(super) async fn replay(&self, session_id: String, io: &mut Io<'_>) -> Result<(), Error> {
        let told = self.client.replay_session(ReplaySessionRequest { session_id }).await?;
        let mut events = pin!(told);
        let mut view = TurnView::new(io.style);
        let mut turn = String::new();
        while let Some(event) = events.next().await {
            let event = event?;
            if self.format == Format::Json {
                json::print_line(io.out, &event, "WeaveProgress")?;
                continue;
            }
            if event.turn_id != turn {
                begin(&event, turn.is_empty(), io)?;
                (view, turn) = (TurnView::new(io.style), event.turn_id.clone());
            }
            view.show(&event, io.out)?;
            if event.stage() == ExecutionStage::Failed {
                view.note(&event.message, io.out)?;
            }
            if event.cost.is_some() {
                view.retold(&event, io.out)?;
            }
        }
        if self.format == Format::Text {
            view.leave(io.out)?;
        }
        Ok(())
    }
}

fn begin(event: &WeaveProgress, is_first: bool, io: &mut Io<'_>) -> Result<(), Error> {
    if !is_first {
        writeln!(io.out)?;
    }
    writeln!(io.out, "{}", io.style.paint(Tone::Strong, &clean_line(&event.turn_id)))?;
    Ok(())
}
