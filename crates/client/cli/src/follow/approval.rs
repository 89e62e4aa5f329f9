//! The approvals that a person at a terminal is asked for.

use loom_proto::v1::{AnswerApprovalRequest, WeaveProgress};
use serde_json::Value;

use super::{Following, NextInterrupt};
use crate::chat::{Line, Lines};
use crate::render::turn::TurnView;
use crate::{Error, Format, Io};

/// The kind of request that is answered with an approval.
const APPROVAL: &str = "approval";

/// An approval that a turn waits for.
pub(super) struct Asked {
    id: String,
    /// The digest of the arguments that are shown.
    digest: String,
}

/// Whether the person said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Yes or no.
    Something,
    /// Nothing: the approval stays pending.
    Nothing,
}

/// The approval that `event` asks for, if it does.
pub(super) fn asked(event: &WeaveProgress) -> Option<Asked> {
    let request = event.hitl_request.as_ref().filter(|request| request.request_type == APPROVAL)?;
    let context: Value = serde_json::from_str(&request.context_json).unwrap_or_default();
    let digest = context["arguments_digest"].as_str().unwrap_or_default().to_owned();
    Some(Asked { id: request.request_id.clone(), digest })
}

impl Following<'_> {
    /// Asks until yes or no is said, and tells the server. An answer that it does not take is shown: the turn has gone on.
    pub(super) async fn ask(
        &self,
        asked: &Asked,
        lines: &mut Lines,
        interrupt: &mut NextInterrupt<'_>,
        view: &mut TurnView,
        io: &mut Io<'_>,
    ) -> Result<Said, Error> {
        if self.format == Format::Json {
            return Ok(Said::Something);
        }
        let approve = loop {
            self.note("y approves it, n denies it, Ctrl-C leaves it pending", view, io)?;
            let line = tokio::select! {
                biased;
                () = interrupt.raised() => Line::End,
                line = lines.next() => line.map_err(Error::Input)?,
            };
            match line {
                Line::End => return Ok(Said::Nothing),
                Line::Typed(line) => {
                    if let Some(approve) = verdict(&line) {
                        break approve;
                    }
                }
            }
        };
        let answer = AnswerApprovalRequest {
            approval_id: asked.id.clone(),
            approve,
            arguments_digest: asked.digest.clone(),
            ..AnswerApprovalRequest::default()
        };
        if let Err(error) = self.client.answer_approval(answer).await {
            self.note(&error.message, view, io)?;
        }
        Ok(Said::Something)
    }
}

fn verdict(line: &str) -> Option<bool> {
    match line.trim().to_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "n" | "no" => Some(false),
        _ => None,
    }
}
