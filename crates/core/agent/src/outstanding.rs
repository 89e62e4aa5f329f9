//! What a turn still waits for, as it was asked: a driver that starts with a journal asks for it again.

use loom_base::{EffectId, Timestamp};

use crate::turn::Open;
use crate::{CallState, Effect, State, Turn};

impl Turn {
    /// The effects that are out, under the ids they were asked for by, with timers shortened to what is left of them at
    /// `at`. A call that waits for someone to resolve it is not among them: nothing is to be done for it.
    pub fn outstanding_effects(&self, at: Timestamp) -> Vec<Effect> {
        let again = |(number, open): (&u32, &Open)| {
            let effect = EffectId { turn: self.id(), number: *number };
            Some(match (*open, &self.state) {
                (Open::Llm, State::AwaitingLlm { attempt, .. }) => {
                    Effect::CallLlm { effect, attempt: *attempt }
                }
                (Open::Hook, State::RunningHook { .. }) => {
                    let (_, point, hook) = self.running_hook()?;
                    Effect::RunHook { effect, point, hook: hook.clone() }
                }
                (Open::Backoff(due) | Open::Deadline(due), _) => {
                    Effect::StartTimer { effect, delay: due.since(at) }
                }
                (Open::Compaction, _) => Effect::Compact { effect },
                (Open::Call(position), _) => return self.asked_of_call(position, effect),
                // A model call or a hook is out in its own state only.
                (Open::Llm | Open::Hook, _) => return None,
            })
        };
        self.open.iter().filter_map(again).collect()
    }

    fn asked_of_call(&self, position: usize, effect: EffectId) -> Option<Effect> {
        let asked = &self.calls[position];
        let call = asked.request.id.clone();
        match asked.state {
            CallState::Dispatched(_) => Some(Effect::RunTool { effect, call }),
            CallState::Delegated(_) => Some(Effect::Delegate { effect, call }),
            CallState::AwaitingAnswer(_) => Some(Effect::AskUser { effect, call }),
            CallState::AwaitingApproval(_) => {
                let expires_at = asked.approval_expires_at?;
                Some(Effect::RequestApproval { effect, call, expires_at })
            }
            CallState::AwaitingResolution(_) | CallState::Pending | CallState::Done(_) => None,
        }
    }
}
