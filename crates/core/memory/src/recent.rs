//! L1: the recent conversation, in whole turns.
//!
//! Overflow takes out whole turns, oldest first, and takes out enough at once that the prefix then stays the same for
//! many turns. A tool call and its result are in one turn, so they never part.

use std::collections::VecDeque;
use std::sync::Arc;

use loom_base::TurnId;
use loom_llm::Message;

/// After an overflow at most this share of the budget is left: 60 %.
const LEFT_AFTER_OVERFLOW: (u64, u64) = (3, 5);

/// A message as it is sent, and its size.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Its place in the session.
    pub seq: u64,
    /// The message as sent.
    pub message: Arc<Message>,
    /// About how many tokens it is.
    pub tokens: u64,
}

/// A turn that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct PastTurn {
    /// The turn.
    pub turn: TurnId,
    /// Its messages, in order.
    pub messages: Vec<Kept>,
}

impl PastTurn {
    /// About how many tokens the turn is.
    pub fn tokens(&self) -> u64 {
        self.messages.iter().map(|kept| kept.tokens).sum()
    }
}

/// The turns that are still sent, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recent {
    turns: VecDeque<PastTurn>,
    tokens: u64,
}

impl Recent {
    /// Adds a turn that just ended. Over `budget`, the oldest turns leave until 60 % of it is used; the newest stays in
    /// any case, for a conversation that forgets its last exchange is none.
    pub fn push(&mut self, turn: PastTurn, budget: u64) {
        self.tokens += turn.tokens();
        self.turns.push_back(turn);
        if self.tokens > budget {
            self.shrink_to(budget / LEFT_AFTER_OVERFLOW.1 * LEFT_AFTER_OVERFLOW.0);
        }
    }

    /// Takes out the oldest turns until at most `tokens` are left, but never the newest.
    pub fn shrink_to(&mut self, tokens: u64) {
        while self.tokens > tokens && self.turns.len() > 1 {
            self.drop_oldest();
        }
    }

    /// Takes out the older half of the turns, at least one; `false` when there was none.
    pub fn halve(&mut self) -> bool {
        let leaving = self.turns.len().div_ceil(2);
        (0..leaving).for_each(|_| self.drop_oldest());
        leaving > 0
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// About how many tokens all turns are.
    pub const fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The turns, oldest first.
    pub fn turns(&self) -> impl DoubleEndedIterator<Item = &PastTurn> {
        self.turns.iter()
    }

    /// The place in the session of the oldest message that is still sent.
    pub fn first_seq(&self) -> Option<u64> {
        self.turns.front().and_then(|turn| turn.messages.first()).map(|kept| kept.seq)
    }

    fn drop_oldest(&mut self) {
        if let Some(turn) = self.turns.pop_front() {
            self.tokens -= turn.tokens();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom_llm::Role;
    use uuid::Uuid;

    fn turn(number: u64, tokens: u64) -> PastTurn {
        let message = Arc::new(Message::text(Role::User, "x"));
        let messages = vec![Kept { seq: number, message, tokens }];
        PastTurn { turn: TurnId::from_uuid(Uuid::from_u128(u128::from(number))), messages }
    }

    #[test]
    fn an_overflow_frees_forty_percent_at_once() {
        let mut recent = Recent::default();
        (0..10).for_each(|number| recent.push(turn(number, 100), 1_000));
        assert_eq!(recent.first_seq(), Some(0));
        recent.push(turn(10, 100), 1_000);
        assert_eq!((recent.tokens(), recent.first_seq()), (600, Some(5)));
    }

    #[test]
    fn the_newest_turn_stays_however_large() {
        let mut recent = Recent::default();
        recent.push(turn(0, 10), 100);
        recent.push(turn(1, 5_000), 100);
        assert_eq!((recent.tokens(), recent.first_seq()), (5_000, Some(1)));
        assert!(recent.halve());
        assert!(!recent.halve());
    }
}
