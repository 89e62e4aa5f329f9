//! Runs the commands about turns, and about what turns wait for people for.

use loom_proto::v1::{
    AnswerApprovalRequest, CancelTurnRequest, EffectResolution, ListApprovalsRequest, ListEffectsRequest,
    ListTurnsRequest, ResolveEffectRequest, StreamTurnRequest,
};

use super::Call;
use crate::follow::{Following, OnInterrupt, TurnEnd};
use crate::render::{clean_line, people};
use crate::{ApprovalCommand, EffectCommand, Error, Io, PageArgs, TurnCommand};

impl Call {
    pub(super) async fn turn(&self, command: TurnCommand, io: &mut Io<'_>) -> Result<(), Error> {
        match command {
            TurnCommand::List(PageArgs { limit, offset }) => {
                let found = self.client.list_turns(ListTurnsRequest { limit, offset }).await?;
                self.show(&found, "ListTurnsResponse", io, |style, out| {
                    people::turns(&found.turns, offset, found.total_count, style, out)
                })
            }
            TurnCommand::Cancel { turn } => {
                let request = CancelTurnRequest { turn_id: turn.clone() };
                let over = self.client.cancel_turn(request).await?;
                self.show(&over, "CancelTurnResponse", io, |_, out| {
                    writeln!(out, "turn {} is over", clean_line(&turn))
                })
            }
            TurnCommand::Watch { turn, after } => {
                let after_event_id = after.unwrap_or_default();
                let request = StreamTurnRequest { turn_id: turn, after_event_id, ..Default::default() };
                let stream = self.client.stream_turn(request);
                let following = Following::new(&self.client, self.format, OnInterrupt::Leave);
                match following.follow(stream, None, io).await?.end {
                    TurnEnd::Answered(_) => Ok(()),
                    TurnEnd::Cancelled | TurnEnd::Left => Err(Error::Interrupted),
                    TurnEnd::Failed(error) => Err(error.into()),
                }
            }
        }
    }

    pub(super) async fn effect(&self, command: EffectCommand, io: &mut Io<'_>) -> Result<(), Error> {
        match command {
            EffectCommand::List(PageArgs { limit, offset }) => {
                let found = self.client.list_effects(ListEffectsRequest { limit, offset }).await?;
                self.show(&found, "ListEffectsResponse", io, |style, out| {
                    people::effects(&found.effects, offset, found.total_count, style, out)
                })
            }
            EffectCommand::Resolve { effect, outcome, result } => {
                let mut request = ResolveEffectRequest {
                    effect_id: effect.clone(),
                    result: result.unwrap_or_default(),
                    ..Default::default()
                };
                request.set_resolution(outcome.resolution());
                let resolved = self.client.resolve_effect(request).await?;
                let said = match outcome.resolution() {
                    EffectResolution::Happened => "it happened",
                    EffectResolution::DidNotHappen => "it did not happen",
                    EffectResolution::GiveUp | EffectResolution::Unspecified => "nobody knows",
                };
                self.show(&resolved, "ResolveEffectResponse", io, |_, out| {
                    writeln!(out, "effect {} is resolved: {said}", clean_line(&effect))
                })
            }
        }
    }

    pub(super) async fn approval(&self, command: ApprovalCommand, io: &mut Io<'_>) -> Result<(), Error> {
        match command {
            ApprovalCommand::List(PageArgs { limit, offset }) => {
                let found = self.client.list_approvals(ListApprovalsRequest { limit, offset }).await?;
                self.show(&found, "ListApprovalsResponse", io, |style, out| {
                    people::approvals(&found.approvals, offset, found.total_count, style, out)
                })
            }
            ApprovalCommand::Answer { approval, answer, reason, digest } => {
                let request = AnswerApprovalRequest {
                    approval_id: approval.clone(),
                    approve: answer.approve,
                    reason: reason.unwrap_or_default(),
                    arguments_digest: digest.unwrap_or_default(),
                };
                let answered = self.client.answer_approval(request).await?;
                let said = if answer.approve { "approved" } else { "denied" };
                self.show(&answered, "AnswerApprovalResponse", io, |_, out| {
                    writeln!(out, "approval {} is {said}", clean_line(&approval))
                })
            }
        }
    }
}
