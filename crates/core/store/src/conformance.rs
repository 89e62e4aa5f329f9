//! The suite that every store passes.
//!
//! Test support: a case returns what is wrong instead of panicking, and [`run`] collects what all of them say. Cases
//! need a store of their own each, so that they may count what is in it.

mod agents;
mod budgets;
mod calls;
mod fixture;
mod forks;
mod keys;
mod leases;
mod messages;
mod queue;
mod recovery;
mod search;
mod sessions;
mod spans;
mod steps;
mod transfer;
mod turns;
mod upkeep;
mod waiting;

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
    forks: a_fork_holds_the_first_turns_under_new_ids a_fork_has_no_part_of_a_running_turn a_fork_can_be_forked
        a_fork_that_cannot_be_made_leaves_nothing;
    steps: the_same_append_succeeds_once a_stale_append_conflicts a_stale_epoch_is_fenced
        what_is_not_there_is_missing a_message_out_of_place_conflicts one_of_many_concurrent_appends_wins
        a_stale_append_fails_alone queued_steps_commit_in_order an_id_that_is_taken_fails_alone;
    turns: a_journal_is_what_was_written random_turns_replay_to_the_same_state totals_move_by_the_difference
        unfinished_turns_are_found the_turns_of_a_session_are_listed_in_order the_turns_of_a_trace_are_found context_start_moves;
    calls: a_call_is_asked_started_and_settled calls_are_told_by_answer a_change_of_an_unknown_call_fails_alone;
    queue: turns_wait_in_order_and_begin_one_after_the_other a_turn_that_waits_is_given_up
        a_turn_is_queued_once one_turn_of_a_session_runs_at_a_time a_turn_is_queued_and_begun_in_one_batch;
    recovery: unfinished_turns_are_listed_in_order recovering_is_counted_until_the_turn_gets_further
        an_older_owner_recovers_nothing a_turn_that_is_put_down_is_not_stalled_by_that;
    waiting: approvals_wait_until_answered unknown_calls_wait_until_resolved
        an_ended_turns_unknown_call_is_resolved_once a_turn_that_waits_is_not_stalled_by_that;
    keys: a_key_stands_for_one_turn old_keys_are_forgotten;
    messages: messages_are_listed_in_order_and_paged recent_messages_fit_a_budget_and_show_what_does_not
        content_survives_whatever_it_is the_messages_of_a_turn_are_found;
    search: all_words_are_found_in_any_order nothing_in_a_query_is_special found_before_and_after_indexing
        search_keeps_to_its_session_and_limit the_better_fit_comes_first;
    agents: versions_follow_each_other a_name_belongs_to_one_agent deletion_keeps_versions_and_frees_the_name;
    spans: spans_are_told_by_trace;
    budgets: what_turns_use_is_counted_and_outlives_them room_is_lent_once;
    leases: a_session_is_claimed_with_its_epoch unfinished_sessions_are_claimed_once
        one_who_leaves_gives_its_sessions_back;
    transfer: a_dump_is_of_one_moment_and_in_order a_store_is_filled_when_it_is_empty_and_all_at_once
        the_schema_is_up_to_date;
    upkeep: what_is_stored_is_counted a_session_is_read_row_by_row_at_one_moment
        all_sessions_are_found_page_by_page only_idle_sessions_are_removed
        what_a_database_does_itself_is_refused_by_name;
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
