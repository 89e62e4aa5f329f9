//! Budgets: what a model call may use is held back before it is made, and what it used is settled after it.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use loom_access::Principal;
use loom_embed::base::{EffectId, ErrorCode, NanoUsd};
use loom_embed::llm::{
    Capabilities, Chunk, ChunkStream, CompletionRequest, FinishReason, LlmError, LlmProvider, Usage,
};
use loom_embed::mock::{MockProvider, Script};
use loom_embed::runtime::{
    AgentBudgets, Amounts, Budget, Decision, Measure, OnExceeded, Period, Running, RuntimeLimits, TurnRequest,
};
use loom_embed::{AskError, Loom, SystemClock};
use loom_store::{BudgetKey, BudgetUsage, Page, Waiting, WaitingFor};
use loom_testkit::alter;
use tokio::sync::Semaphore;

use crate::setup::{PATIENCE, agent, folder, kill, until};

const ME: Principal = Principal::Local;

/// A model that answers when it is let, and notes what it was asked.
#[derive(Clone)]
struct Model {
    asked: Arc<Mutex<Vec<CompletionRequest>>>,
    lets: Arc<Semaphore>,
    capabilities: Capabilities,
}

impl Model {
    fn silent() -> Self {
        Self {
            asked: Arc::default(),
            lets: Arc::new(Semaphore::new(0)),
            capabilities: Capabilities::default(),
        }
    }

    fn ready() -> Self {
        let model = Self::silent();
        model.lets.add_permits(Semaphore::MAX_PERMITS);
        model
    }

    fn asked(&self) -> Vec<CompletionRequest> {
        self.asked.lock().unwrap().clone()
    }

    async fn is_asked(&self, times: usize) {
        until("the model is asked", async || (self.asked().len() == times).then_some(())).await;
    }
}

/// What it says it used for an answer of so many tokens at most.
fn used_for(most: u32) -> Usage {
    Usage { input: 20, output: u64::from(most) / 2, ..Usage::default() }
}

/// Tokens that a whole answer uses.
const WHOLE: u64 = 20 + 1_000 / 2;

#[async_trait]
impl LlmProvider for Model {
    // Its prices are known: a dollar for a million tokens in, two for a million out.
    fn name(&self) -> &'static str {
        "mock"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn stream(&self, request: CompletionRequest) -> Result<ChunkStream, LlmError> {
        self.asked.lock().unwrap().push(request.clone());
        if let Ok(let_go) = self.lets.acquire().await {
            let_go.forget();
        }
        let chunks = [
            Chunk::Start { model: request.model },
            Chunk::Text { index: 0, delta: "fine".into() },
            Chunk::Usage(used_for(request.max_output_tokens)),
            Chunk::Finish(FinishReason::Stop),
        ];
        Ok(futures::stream::iter(chunks.map(Ok)).boxed())
    }
}

async fn loom(folder: &Path, model: &Model, budgets: AgentBudgets, server: Budget) -> Loom {
    let mut definition = agent();
    definition.llm.max_tokens = Some(1_000);
    definition.budgets = budgets;
    Loom::builder()
        .data_dir(folder)
        .provider("scripted", "script-1", Arc::new(model.clone()))
        .limits(RuntimeLimits { budget: server, ..RuntimeLimits::default() })
        .agent(definition)
        .build()
        .await
        .unwrap()
}

fn tokens(tokens: u64, on_exceeded: OnExceeded) -> Budget {
    Budget { tokens: Some(tokens), on_exceeded, ..Budget::default() }
}

fn code(asked: Result<Arc<loom_embed::runtime::TurnResult>, AskError>) -> ErrorCode {
    match asked.map(|result| result.text.clone()).unwrap_err() {
        AskError::Failed(failure) => failure.error.code,
        AskError::Refused(error) => error.code,
    }
}

/// What all turns have used, as the store counts it.
async fn used(loom: &Loom) -> BudgetUsage {
    let key = BudgetKey { agent: None, window: Period::Total.window(loom_embed::base::Timestamp::default()) };
    loom.runtime().budget_usage(&key).await.unwrap()
}

/// The tokens that a call of these tests holds back.
async fn worst_case() -> u64 {
    let (folder, model) = (folder(), Model::silent());
    let loom = loom(folder.path(), &model, AgentBudgets::default(), Budget::default()).await;
    let running = loom.start(TurnRequest::new("hello")).await.unwrap();
    model.is_asked(1).await;
    let held = used(&loom).await.reserved.of(Measure::Tokens);
    running.cancel();
    assert_eq!(running.end().await.unwrap_err().error.code, ErrorCode::Cancelled);
    assert_eq!(used(&loom).await.reserved, Amounts::default());
    loom.close(PATIENCE).await;
    assert!(held > 1_000);
    held
}

#[tokio::test]
async fn a_call_that_might_use_more_than_is_left_is_not_made() {
    let worst = worst_case().await;
    let (folder, model) = (folder(), Model::ready());
    for (left, made) in [(worst - 1, 0), (worst, 1)] {
        let of_turn = AgentBudgets { turn: tokens(left, OnExceeded::Stop), ..AgentBudgets::default() };
        let loom = loom(folder.path(), &model, of_turn, Budget::default()).await;
        let answer = loom.ask("hello").await;
        assert_eq!(model.asked().len(), made);
        match made {
            0 => assert_eq!(code(answer), ErrorCode::BudgetExceeded),
            _ => assert_eq!(answer.unwrap().text, "fine"),
        }
        loom.close(PATIENCE).await;
    }
    let dear = Budget { cost: Some(NanoUsd::from_nanos(1_000)), ..Budget::default() };
    let of_turn = AgentBudgets { turn: dear, ..AgentBudgets::default() };
    let loom = loom(folder.path(), &model, of_turn, Budget::default()).await;
    assert_eq!(code(loom.ask("hello").await), ErrorCode::BudgetExceeded);
    assert_eq!(model.asked().len(), 1);
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn a_degraded_answer_is_as_long_as_still_fits() {
    let worst = worst_case().await;
    let (folder, model) = (folder(), Model::ready());
    let of_session = AgentBudgets { session: tokens(worst, OnExceeded::Degrade), ..AgentBudgets::default() };
    let loom = loom(folder.path(), &model, of_session, Budget::default()).await;
    let first = loom.start(TurnRequest::new("hello")).await.unwrap();
    assert_eq!(first.end().await.unwrap().text, "fine");
    let next = || TurnRequest::new("and again").in_session(first.session.clone());
    let mut lengths = vec![model.asked()[0].max_output_tokens];
    let ended = loop {
        match loom.start(next()).await.unwrap().end().await {
            Ok(_) => lengths.push(model.asked().last().unwrap().max_output_tokens),
            Err(failure) => break failure.error.code,
        }
    };
    assert_eq!((lengths[0], ended), (1_000, ErrorCode::BudgetExceeded));
    assert!(lengths.len() > 2 && lengths.is_sorted_by(|longer, shorter| longer > shorter), "{lengths:?}");
    assert!(*lengths.last().unwrap() >= 64, "{lengths:?}");
    // The session's budget is the session's.
    assert_eq!(loom.ask("hello").await.unwrap().text, "fine");
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn turns_at_once_never_begin_more_than_their_budget_covers() {
    let worst = worst_case().await;
    for for_agent in [true, false] {
        let (folder, model) = (folder(), Model::silent());
        let three = tokens(worst * 3 + worst / 2, OnExceeded::Stop);
        let (budgets, server) = if for_agent {
            (AgentBudgets { agent: three.clone(), ..AgentBudgets::default() }, Budget::default())
        } else {
            (AgentBudgets::default(), three.clone())
        };
        let loom = loom(folder.path(), &model, budgets.clone(), server.clone()).await;
        let starting = (0..12).map(|_| loom.start(TurnRequest::new("hello")));
        let started = futures::future::join_all(starting).await;
        let running: Vec<Running> = started.into_iter().map(Result::unwrap).collect();
        model.is_asked(3).await;
        assert_eq!(used(&loom).await.reserved.of(Measure::Tokens), worst * 3);
        model.lets.add_permits(3);
        let ends = futures::future::join_all(running.iter().map(Running::end)).await;
        let (done, refused): (Vec<_>, Vec<_>) = ends.into_iter().partition(Result::is_ok);
        assert_eq!((done.len(), refused.len(), model.asked().len()), (3, 9, 3));
        for failure in refused.into_iter().filter_map(Result::err) {
            assert_eq!(failure.error.code, ErrorCode::BudgetExceeded);
        }
        let after = used(&loom).await;
        assert_eq!((after.used.of(Measure::Tokens), after.reserved), (3 * WHOLE, Amounts::default()));
        assert_eq!(after.estimated_tokens, 0);
        loom.close(PATIENCE).await;

        // What is counted lasts: another process goes on with what is left.
        let model = Model::ready();
        let again = self::loom(folder.path(), &model, budgets, server).await;
        let mut more = 0;
        while again.ask("hello").await.is_ok() {
            more += 1;
        }
        let total = used(&again).await.used.of(Measure::Tokens);
        assert_eq!(total, (3 + more) * WHOLE);
        assert!(total <= three.tokens.unwrap() && total + worst > three.tokens.unwrap(), "{total}");
        again.close(PATIENCE).await;
    }
}

#[tokio::test]
async fn a_call_that_a_kill_cut_off_is_settled_at_what_was_held_and_made_again() {
    let (mut folder, model) = (folder(), Model::silent());
    let worst = worst_case().await;
    // Room for the calls that are lost and the last one, and for nothing more.
    let just = tokens(worst * 3, OnExceeded::Stop);
    let budgets = || AgentBudgets { agent: just.clone(), session: just.clone(), turn: just.clone() };
    let first = loom(folder.path(), &model, budgets(), just.clone()).await;
    let running = first.start(TurnRequest::new("hello")).await.unwrap();
    model.is_asked(1).await;
    folder = kill(first, &folder).await;
    let second = loom(folder.path(), &model, budgets(), just.clone()).await;
    model.is_asked(2).await;
    assert_eq!(used(&second).await.reserved.of(Measure::Tokens), worst * 2);
    folder = kill(second, &folder).await;

    let third = loom(folder.path(), &model, budgets(), just.clone()).await;
    model.is_asked(3).await;
    model.lets.add_permits(1);
    let again = third.runtime().sessions().attach(running.turn, None, ME).await.unwrap();
    let answer = again.end().await.unwrap();
    let spent = answer.report.spent;
    assert_eq!((answer.text.as_str(), spent.model_calls), ("fine", 1));
    assert_eq!(spent.estimated_tokens, worst * 2);
    assert_eq!(spent.usage.total(), worst * 2 + WHOLE);
    assert!(spent.estimated_cost > NanoUsd::ZERO && spent.cost > spent.estimated_cost);
    let session = third.runtime().sessions().get(&running.session, ME).await.unwrap();
    let totals = session.totals;
    assert_eq!(
        (totals.estimated_tokens, totals.estimated_cost),
        (spent.estimated_tokens, spent.estimated_cost)
    );
    assert_eq!((totals.usage, totals.cost), (spent.usage, spent.cost));
    let trace = third.runtime().traces().get(&running.turn.to_string()).await.unwrap();
    assert_eq!((trace.cost, trace.estimated_cost), (spent.cost, spent.estimated_cost));
    let lost: Vec<_> =
        trace.spans.iter().filter(|span| span.attributes.contains_key("loom.attempts_lost")).collect();
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].attributes["loom.attempts_lost"], "2");
    let counted = used(&third).await;
    assert_eq!(
        (counted.used.of(Measure::Tokens), counted.reserved),
        (spent.usage.total(), Amounts::default())
    );
    assert_eq!(counted.estimated_cost, spent.estimated_cost);
    verified(&third).await;
    // Nothing is left for another.
    assert_eq!(code(third.ask("hello").await), ErrorCode::BudgetExceeded);
    third.close(PATIENCE).await;
}

#[tokio::test]
async fn every_call_that_an_orderly_stop_cuts_off_is_settled() {
    let (folder, model) = (folder(), Model::silent());
    let worst = worst_case().await;
    let start = async || loom(folder.path(), &model, AgentBudgets::default(), Budget::default()).await;
    let first = start().await;
    let running = first.start(TurnRequest::new("hello")).await.unwrap();
    model.is_asked(1).await;
    first.close(Duration::ZERO).await;
    // More often than a turn is taken up without getting further: who stops it says nothing against it.
    for lost in 1..=4 {
        let loom = start().await;
        model.is_asked(1 + usize::try_from(lost).unwrap()).await;
        let now = used(&loom).await;
        assert_eq!((now.estimated_tokens, now.reserved.of(Measure::Tokens)), (worst * (lost - 1), worst * 2));
        loom.close(Duration::ZERO).await;
    }
    let last = start().await;
    model.is_asked(6).await;
    model.lets.add_permits(1);
    let again = last.runtime().sessions().attach(running.turn, None, ME).await.unwrap();
    let spent = again.end().await.unwrap().report.spent;
    assert_eq!((spent.estimated_tokens, spent.usage.total()), (worst * 5, worst * 5 + WHOLE));
    verified(&last).await;
    last.close(PATIENCE).await;
}

#[tokio::test]
async fn a_turn_that_was_lost_once_too_often_for_its_budget_ends_visibly() {
    let (folder, model) = (folder(), Model::silent());
    let once = tokens(worst_case().await + 100, OnExceeded::Stop);
    let budgets = || AgentBudgets { agent: once.clone(), ..AgentBudgets::default() };
    let first = loom(folder.path(), &model, budgets(), Budget::default()).await;
    let running = first.start(TurnRequest::new("hello")).await.unwrap();
    model.is_asked(1).await;
    first.close(Duration::ZERO).await;
    let second = loom(folder.path(), &model, budgets(), Budget::default()).await;
    let again = second.runtime().sessions().attach(running.turn, None, ME).await.unwrap();
    let failure = again.end().await.unwrap_err();
    assert_eq!(failure.error.code, ErrorCode::BudgetExceeded);
    assert!(failure.report.spent.estimated_tokens > 0);
    assert_eq!(model.asked().len(), 1);
    second.close(PATIENCE).await;
}

/// Stops that come after a turn was taken up and before its journal says so are like a journal that takes nothing.
#[tokio::test]
async fn a_call_that_was_not_made_again_is_not_counted_again_however_often_its_turn_is_taken_up() {
    let (mut folder, model) = (folder(), Model::silent());
    let (worst, room) = (worst_case().await, 100);
    let once = tokens(worst + room, OnExceeded::Stop);
    let of_agent = AgentBudgets { agent: once.clone(), ..AgentBudgets::default() };
    let of_turn = AgentBudgets { turn: once.clone(), ..AgentBudgets::default() };
    for (place, budgets) in [of_agent, of_turn].into_iter().enumerate() {
        let model = Model { asked: Arc::default(), ..model.clone() };
        let first = loom(folder.path(), &model, budgets.clone(), Budget::default()).await;
        let running = first.start(TurnRequest::new("hello")).await.unwrap();
        model.is_asked(1).await;
        folder = kill(first, &folder).await;
        let database = folder.path().join("loom.db");
        let refuse =
            "CREATE TRIGGER refuse BEFORE INSERT ON turn_events BEGIN SELECT RAISE (ABORT, 'no'); END";
        alter(&database, refuse).await.unwrap();
        let second = loom(folder.path(), &model, budgets.clone(), Budget::default()).await;
        let request = TurnRequest { session: Some(running.session.clone()), ..TurnRequest::new("and") };
        for _ in 0..2 {
            second.start(request.clone()).await.unwrap_err();
        }
        folder = kill(second, &folder).await;
        let database = folder.path().join("loom.db");
        alter(&database, "DROP TRIGGER refuse").await.unwrap();

        let third = loom(folder.path(), &model, budgets, Budget::default()).await;
        let again = third.runtime().sessions().attach(running.turn, None, ME).await.unwrap();
        let failure = again.end().await.unwrap_err();
        assert_eq!(failure.error.code, ErrorCode::BudgetExceeded);
        assert_eq!(failure.report.spent.estimated_tokens, worst, "it was made once");
        assert_eq!(model.asked().len(), 1);
        let sum = u64::try_from(place + 1).unwrap() * worst;
        assert_eq!(used(&third).await.used.of(Measure::Tokens), sum);
        verified(&third).await;
        folder = kill(third, &folder).await;
    }
}

#[tokio::test]
async fn a_cancelled_turn_that_nobody_takes_up_still_counts_what_was_lost() {
    let (mut folder, model) = (folder(), Model::silent());
    let start = async |folder: &Path| loom(folder, &model, AgentBudgets::default(), Budget::default()).await;
    let first = start(folder.path()).await;
    let running = first.start(TurnRequest::new("hello")).await.unwrap();
    model.is_asked(1).await;
    let held = used(&first).await.reserved.of(Measure::Tokens);
    folder = kill(first, &folder).await;
    for times in 2..=4 {
        let loom = start(folder.path()).await;
        model.is_asked(times).await;
        folder = kill(loom, &folder).await;
    }
    let last = start(folder.path()).await;
    let page = last.runtime().sessions().unfinished(ME, Page::new(0, 0)).await.unwrap();
    assert_eq!(page.items[0].stalled, loom_embed::runtime::MOST_STALLED);
    last.runtime().sessions().cancel_turn(running.turn, ME).await.unwrap();
    let counted = used(&last).await;
    assert_eq!((counted.estimated_tokens, counted.reserved), (held * 4, Amounts::default()));
    verified(&last).await;
    last.close(PATIENCE).await;
}

#[tokio::test]
async fn time_that_is_left_bounds_a_turn_and_none_refuses_it() {
    let (folder, model) = (folder(), Model::ready());
    let none = Budget { time: Some(Duration::ZERO), ..Budget::default() };
    let budgets = AgentBudgets { session: none.clone(), ..AgentBudgets::default() };
    let loom = loom(folder.path(), &model, budgets, Budget::default()).await;
    assert_eq!(code(loom.ask("hello").await), ErrorCode::BudgetExceeded);
    loom.close(PATIENCE).await;
    let (folder, slow) = (crate::setup::folder(), Model::silent());
    let hurried = Budget { time: Some(Duration::from_millis(50)), ..Budget::default() };
    let loom = self::loom(folder.path(), &slow, AgentBudgets::default(), hurried).await;
    assert_eq!(code(loom.ask("hello").await), ErrorCode::DeadlineExceeded);
    assert_eq!(code(loom.ask("hello").await), ErrorCode::BudgetExceeded);
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn tool_calls_beyond_the_budget_are_refused_one_by_one() {
    const CALLS: &str = "
rules:
  - { when: { contains: sums }, reply: { tool_calls: [{ name: add, arguments: { a: 1, b: 2 }, repeat: 5 }] } }
  - { when: { contains: sums, after_tool: '*' }, reply: { text: 'told: {{tool_result}}' } }
";
    for (on_exceeded, answered) in [(OnExceeded::Degrade, true), (OnExceeded::Stop, false)] {
        let folder = folder();
        let provider = MockProvider::new(Script::parse(CALLS).unwrap(), Arc::new(SystemClock));
        let mut definition = agent();
        let few = Budget { tool_calls: Some(3), on_exceeded, ..Budget::default() };
        definition.budgets = AgentBudgets { agent: few, ..AgentBudgets::default() };
        let builder =
            Loom::builder().data_dir(folder.path()).agent(definition).tool(crate::setup::add_tool());
        let loom = builder.provider("scripted", "script-1", Arc::new(provider)).build().await.unwrap();
        let answer = loom.ask("sums").await;
        assert_eq!(used(&loom).await.used.of(Measure::ToolCalls), 3);
        if answered {
            let answer = answer.unwrap();
            assert!(answer.text.starts_with("told: "), "{}", answer.text);
            assert_eq!(answer.report.spent.tool_calls, 3);
        } else {
            assert_eq!(code(answer), ErrorCode::BudgetExceeded);
        }
        loom.close(PATIENCE).await;
    }
}

#[tokio::test]
async fn money_is_not_counted_where_no_price_is_known() {
    let (folder, model) = (folder(), Model::ready());
    let mut definition = agent();
    definition.budgets.turn = Budget { cost: Some(NanoUsd::MAX), ..Budget::default() };
    let builder = Loom::builder().data_dir(folder.path()).agent(definition);
    let builder = builder.catalog(loom_embed::llm::Catalog::default());
    let loom = builder.provider("scripted", "script-1", Arc::new(model.clone())).build().await.unwrap();
    assert_eq!(code(loom.ask("hello").await), ErrorCode::BudgetUnpriced);
    assert_eq!(model.asked().len(), 0);
    loom.close(PATIENCE).await;
}

async fn verified(loom: &Loom) {
    let mut violations = Vec::new();
    loom.runtime().upkeep().verify(&mut |violation| violations.push(violation)).await.unwrap();
    assert_eq!(violations, []);
}

#[tokio::test]
async fn someone_raises_a_budget_or_lets_a_turn_past_it_or_refuses_also_after_a_restart() {
    let worst = worst_case().await;
    let answers = [(Some(true), 1), (Some(false), 0), (None, 0)];
    let scopes = ["turn", "session", "agent", "server"];
    for (scope, (answer, asked)) in scopes.into_iter().flat_map(|scope| answers.map(|answer| (scope, answer)))
    {
        let (folder, model) = (folder(), Model::ready());
        let small = |of: &str| {
            let little = tokens(worst / 2 + 1, OnExceeded::Ask);
            if of == scope { little } else { Budget::default() }
        };
        let budgets =
            || AgentBudgets { turn: small("turn"), session: small("session"), agent: small("agent") };
        let first = loom(folder.path(), &model, budgets(), small("server")).await;
        let running = first.start(TurnRequest::new("hello")).await.unwrap();
        let waiting = async |loom: &Loom| {
            let listed = loom.runtime().sessions().waiting(WaitingFor::Approval, ME, Page::new(0, 0)).await;
            listed.unwrap().items.pop()
        };
        until("a raise is asked for", async || waiting(&first).await).await;
        first.close(Duration::from_hours(1)).await;

        let second = loom(folder.path(), &model, budgets(), small("server")).await;
        let again = second.runtime().sessions().attach(running.turn, None, ME).await.unwrap();
        let pending = waiting(&second).await.unwrap();
        assert_eq!((pending.turn, pending.call.tool.as_str()), (running.turn, "raise_budget"));
        assert_eq!(pending.call.arguments["budget"], scope);
        let Waiting::Approval { effect, .. } = pending.waiting else { panic!("{pending:?}") };
        let effect = EffectId { turn: running.turn, number: effect };
        match answer {
            Some(approved) => {
                let decision = Decision { approved, reason: None, arguments: None, by: "boss".into() };
                second.runtime().sessions().decide_approval(effect, decision, ME).await.unwrap();
            }
            None => second.runtime().sessions().cancel_turn(running.turn, ME).await.unwrap(),
        }
        let ended = again.end().await;
        match answer {
            Some(true) => {
                let result = ended.unwrap();
                assert_eq!((result.text.as_str(), result.report.spent.tool_calls), ("fine", 0));
            }
            Some(false) => assert_eq!(ended.unwrap_err().error.code, ErrorCode::BudgetExceeded),
            None => assert_eq!(ended.unwrap_err().error.code, ErrorCode::Cancelled),
        }
        assert_eq!(model.asked().len(), asked);
        // The model is told nothing of it.
        assert!(model.asked().iter().all(|request| request.messages.len() == 1));
        assert_eq!(waiting(&second).await, None);
        let retold = second.runtime().sessions().replay(running.turn, ME).await.unwrap();
        assert_eq!(retold.end().await.is_ok(), answer == Some(true));
        // It is counted wherever it was let past, and holds nothing any more.
        let after = used(&second).await;
        let whole = if answer == Some(true) { WHOLE } else { 0 };
        assert_eq!((after.used.of(Measure::Tokens), after.reserved), (whole, Amounts::default()));
        verified(&second).await;
        second.close(PATIENCE).await;
    }
}

#[tokio::test]
async fn a_turn_that_was_let_past_a_budget_is_not_asked_about_again_after_a_kill() {
    let (mut folder, model) = (folder(), Model::silent());
    let worst = worst_case().await;
    let budgets = || AgentBudgets { session: tokens(worst / 2, OnExceeded::Ask), ..AgentBudgets::default() };
    let little = tokens(worst / 2, OnExceeded::Ask);
    let first = loom(folder.path(), &model, budgets(), little.clone()).await;
    let running = first.start(TurnRequest::new("hello")).await.unwrap();
    // The session's is asked for first, then the server's.
    for times in 1..=2 {
        let pending = until("someone is asked", async || {
            let listed = first.runtime().sessions().waiting(WaitingFor::Approval, ME, Page::new(0, 0)).await;
            listed.unwrap().items.pop()
        });
        let Waiting::Approval { effect, .. } = pending.await.waiting else { panic!("no approval {times}") };
        let effect = EffectId { turn: running.turn, number: effect };
        let decision = Decision { approved: true, reason: None, arguments: None, by: "boss".into() };
        first.runtime().sessions().decide_approval(effect, decision, ME).await.unwrap();
    }
    model.is_asked(1).await;
    folder = kill(first, &folder).await;

    let second = loom(folder.path(), &model, budgets(), little).await;
    model.is_asked(2).await;
    model.lets.add_permits(1);
    let again = second.runtime().sessions().attach(running.turn, None, ME).await.unwrap();
    assert_eq!(again.end().await.unwrap().report.spent.usage.total(), worst + WHOLE);
    assert_eq!(used(&second).await.used.of(Measure::Tokens), worst + WHOLE);
    // The next turn asks again.
    let next = second.start(TurnRequest::new("hello")).await.unwrap();
    until("someone is asked again", async || {
        let listed = second.runtime().sessions().waiting(WaitingFor::Approval, ME, Page::new(0, 0)).await;
        listed.unwrap().items.pop().filter(|pending| pending.turn == next.turn)
    })
    .await;
    verified(&second).await;
    second.close(PATIENCE).await;
}
