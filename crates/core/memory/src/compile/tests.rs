//! The window is never exceeded, turns stay whole, the prefix stays the same.

use loom_base::{Digest, TurnId};
use loom_llm::{Role, estimate_message};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::PastTurn;

fn kept(seq: u64, length: usize) -> Kept {
    let message = Message::text(Role::User, "m".repeat(length));
    Kept { seq, tokens: estimate_message(&message), message: Arc::new(message) }
}

fn turn(number: u64, lengths: &[usize]) -> PastTurn {
    let messages = lengths.iter().enumerate().map(|(at, length)| kept(number * 100 + at as u64, *length));
    PastTurn { turn: TurnId::from_uuid(Uuid::from_u128(u128::from(number))), messages: messages.collect() }
}

fn rom(length: usize) -> Rom {
    Rom::new(&"r".repeat(length), &[], Vec::new().into(), u64::MAX).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_window_is_never_exceeded_and_turns_stay_whole(
        rom_length in 0..3_000_usize,
        turns in prop::collection::vec(prop::collection::vec(0..2_000_usize, 1..5), 0..12),
        summaries in prop::collection::vec("[a-z]{0,300}", 0..4),
        current in prop::collection::vec(0..4_000_usize, 1..4),
        budget in 1..20_000_u64,
        window in 0..30_000_u64,
        reserve in 0..5_000_u64,
    ) {
        let rom = rom(rom_length);
        let mut recent = Recent::default();
        for (number, lengths) in turns.iter().enumerate() {
            let newest = turn(number as u64, lengths);
            let newest_tokens = newest.tokens();
            recent.push(newest, budget);
            prop_assert!(recent.tokens() <= budget.max(newest_tokens));
        }
        let summaries: Vec<_> = summaries
            .iter()
            .map(|text| Summary { text: text.as_str().into(), from: 0, to: 1 })
            .collect();
        let current = turn(99, &current).messages;
        let layers = Layers { rom: &rom, summaries: &summaries, recent: &recent, current: &current };
        let room = window.saturating_sub(reserve);
        match compile(layers, window, reserve) {
            Err(error) => prop_assert!(error.needed > room),
            Ok(compiled) => {
                prop_assert!(compiled.tokens <= room);
                let counted: u64 = compiled.messages.iter().map(|message| estimate_message(message)).sum();
                prop_assert!(counted + estimate_text(&compiled.system) <= room);
                let past = compiled.messages.len() - current.len();
                let mut whole = 0;
                let sizes: Vec<_> = recent.turns().rev().map(|turn| turn.messages.len()).collect();
                let is_whole = past == 0 || sizes.iter().any(|size| {
                    whole += size;
                    whole == past
                });
                prop_assert!(is_whole, "turns are left out whole");
            }
        }
    }
}

#[test]
fn the_prefix_is_the_same_bytes_from_turn_to_turn() {
    const BUDGET: u64 = 5_000;
    let rom = rom(300);
    let prefix = |recent: &Recent| {
        let current = [kept(9_999, 10)];
        let layers = Layers { rom: &rom, summaries: &[], recent, current: &current };
        let compiled = compile(layers, 100_000, 1_000).unwrap();
        let past = compiled.messages[..compiled.messages.len() - 1].to_vec();
        (compiled.system, past)
    };
    let mut recent = Recent::default();
    let (mut changes, mut before) = (0, prefix(&recent));
    for number in 0..200 {
        recent.push(turn(number, &[200, 200]), BUDGET);
        let after = prefix(&recent);
        let sent = |(system, past): &(Arc<str>, Vec<Arc<Message>>), upto: usize| {
            Digest::of(format!("{system}{:?}", &past[..upto.min(past.len())]))
        };
        changes += usize::from(sent(&before, before.1.len()) != sent(&after, before.1.len()));
        before = after;
    }
    // 142 tokens a turn: 35 fill the budget, 21 are left after an overflow, so one turn in 14 changes the prefix.
    assert!(changes <= 200 / 13, "{changes} changes");
}

#[test]
fn summaries_stand_between_rom_and_conversation() {
    let summaries = [Summary { text: "they said hello".into(), from: 3, to: 8 }];
    let rom = rom(9);
    let current = [kept(9, 5)];
    let recent = Recent::default();
    let layers = Layers { rom: &rom, summaries: &summaries, recent: &recent, current: &current };
    let compiled = compile(layers, 1_000, 10).unwrap();
    assert!(compiled.system.starts_with("rrrrrrrrr\n\nEarlier"));
    assert!(compiled.system.ends_with("[messages 3-8] they said hello"));
}
