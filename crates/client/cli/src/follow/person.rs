//! The approvals and answers that a person at a terminal is asked for.

use loom_proto::v1::{AnswerApprovalRequest, AnswerClarificationRequest, WeaveProgress};
use serde_json::Value;

use super::{Following, NextInterrupt};
use crate::chat::{Line, Lines};
use crate::render::turn::TurnView;
use crate::{Error, Format, Io};

/// The kind of request that is answered with an approval.
const APPROVAL: &str = "approval";
/// The kind of request that is answered in words.
const QUESTION: &str = "clarification";

/// What a turn waits for.
pub(super) enum Asked {
    Approval {
        id: String,
        /// The digest of the arguments that are shown.
        digest: String,
    },
    Question {
        id: String,
        options: Vec<String>,
    },
}

/// Whether the person said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// What was asked for.
    Something,
    /// Nothing: the turn still waits.
    Nothing,
}

/// What `event` asks for, if a person at a terminal can answer it.
pub(super) fn asked(event: &WeaveProgress) -> Option<Asked> {
    let request = event.hitl_request.as_ref()?;
    match request.request_type.as_str() {
        APPROVAL => {
            let context: Value = serde_json::from_str(&request.context_json).unwrap_or_default();
            let digest = context["arguments_digest"].as_str().unwrap_or_default().to_owned();
            Some(Asked::Approval { id: request.request_id.clone(), digest })
        }
        QUESTION => {
            Some(Asked::Question { id: request.question_id.clone(), options: request.options.clone() })
        }
        _ => None,
    }
}

impl Following<'_> {
    /// Asks until something fitting is said, and tells the server. An answer that it does not take is shown: the turn has
    /// gone on.
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
        let told = loop {
            self.note(&asked.hint(), view, io)?;
            let line = tokio::select! {
                biased;
                () = interrupt.raised() => Line::End,
                line = lines.next() => line.map_err(Error::Input)?,
            };
            let Line::Typed(line) = line else { return Ok(Said::Nothing) };
            if let Some(told) = self.tell(asked, line.trim()).await {
                break told;
            }
        };
        if let Err(error) = told {
            self.note(&error.message, view, io)?;
        }
        Ok(Said::Something)
    }

    /// Tells the server what was said; `None` when that answers nothing.
    async fn tell(&self, asked: &Asked, said: &str) -> Option<Result<(), loom_grpc::Error>> {
        match asked {
            Asked::Approval { id, digest } => {
                let answer = AnswerApprovalRequest {
                    approval_id: id.clone(),
                    approve: verdict(said)?,
                    arguments_digest: digest.clone(),
                    ..AnswerApprovalRequest::default()
                };
                Some(self.client.answer_approval(answer).await.map(drop))
            }
            Asked::Question { id, options } => {
                let answer = AnswerClarificationRequest {
                    session_id: self.last.session_id.clone(),
                    question_id: id.clone(),
                    answer: chosen(said, options)?,
                    ..AnswerClarificationRequest::default()
                };
                Some(self.client.answer_clarification_question(answer).await.map(drop))
            }
        }
    }
}

impl Asked {
    fn hint(&self) -> String {
        match self {
            Self::Approval { .. } => "y approves it, n denies it, Ctrl-C leaves it pending".to_owned(),
            Self::Question { options, .. } if options.is_empty() => {
                "type the answer; Ctrl-C leaves it open".to_owned()
            }
            Self::Question { .. } => "type one of these answers; Ctrl-C leaves it open".to_owned(),
        }
    }
}

/// The answer that was meant: any text, or one of the options.
fn chosen(said: &str, options: &[String]) -> Option<String> {
    if options.is_empty() {
        return Some(said.to_owned()).filter(|said| !said.is_empty());
    }
    options.iter().find(|option| option.eq_ignore_ascii_case(said)).cloned()
}

fn verdict(line: &str) -> Option<bool> {
    match line.trim().to_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "n" | "no" => Some(false),
        _ => None,
    }
}
