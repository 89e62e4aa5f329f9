//! The suite that every store passes.
//!
//! Test support: a case returns what is wrong instead of panicking, and [`run`] collects what all of them say. Cases
//! need a store of their own each, so that they may count what is in it.

mod agents;
mod calls;
mod fixture;
mod messages;
mod search;
mod sessions;
mod spans;
mod steps;
mod turns;

use futures::future::BoxFuture;

use crate::Stores;

/// What a case found wrong.
pub type Outcome = Result<(), String>;

/// One promise of the store traits.
#[derive(Clone, Copy)]
pub struct Case {
    /// The promise, as a function's name.
    pub name: &'static str,
    /// Tries it on an empty store.
    pub check: fn(Stores) -> BoxFuture<'static, Outcome>,
}

/// Names each case once.
macro_rules! cases {
    ($($module:ident: $($name:ident)*;)*) => {
        /// Every case.
        pub const CASES: &[Case] = &[
            $($(Case { name: stringify!($name), check: |stores| Box::pin($module::$name(stores)) },)*)*
        ];
    };
}

cases! {
    sessions: a_created_session_is_found_as_created an_id_is_taken_once sessions_are_listed_by_activity
        sessions_are_filtered_and_paged agents_have_totals deletion_removes_all_of_a_session;
    steps: the_same_append_succeeds_once a_stale_append_conflicts a_stale_epoch_is_fenced
        what_is_not_there_is_missing a_message_out_of_place_conflicts one_of_many_concurrent_appends_wins
        a_stale_append_fails_alone queued_steps_commit_in_order an_id_that_is_taken_fails_alone;
    turns: a_journal_is_what_was_written random_turns_replay_to_the_same_state totals_move_by_the_difference
        unfinished_turns_are_found the_turns_of_a_trace_are_found context_start_moves;
    calls: a_call_is_asked_started_and_settled calls_are_told_by_answer a_change_of_an_unknown_call_fails_alone;
    messages: messages_are_listed_in_order_and_paged recent_messages_fit_a_budget_and_show_what_does_not
        content_survives_whatever_it_is;
    search: all_words_are_found_in_any_order nothing_in_a_query_is_special found_before_and_after_indexing
        search_keeps_to_its_session_and_limit the_better_fit_comes_first;
    agents: versions_follow_each_other a_name_belongs_to_one_agent deletion_keeps_versions_and_frees_the_name;
    spans: spans_are_told_by_trace;
}

/// Runs every case, each on a store that `make` opens empty; an error lists all that is wrong.
pub async fn run(make: impl AsyncFn() -> Stores) -> Outcome {
    let mut wrong = Vec::new();
    for case in CASES {
        if let Err(what) = (case.check)(make().await).await {
            wrong.push(format!("{}: {what}", case.name));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}
