//! Turns that a stop cut off go on; what may have happened is asked, never done twice; what must be approved waits.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::StreamExt;
use loom_access::Principal;
use loom_embed::base::{Digest, EffectId, ErrorCode, SessionId};
use loom_embed::mock::{MockProvider, Script};
use loom_embed::runtime::{
    Decision, FeedItem, Permissions, Progress, Resolution, Running, Said, TurnRequest, Verdict,
};
use loom_embed::tools::{EffectClass, Tool, ToolContext, ToolError, ToolOutput};
use loom_embed::{FunctionTool, Loom, SystemClock};
use loom_store::{IdempotencyKey, Page, RequestKey, Waiting, WaitingCall, WaitingFor};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::setup::{PATIENCE, agent, folder, kill, until};

const ME: Principal = Principal::Local;
const PAYS: &str = "
rules:
  - when: { contains: slowly }
    reply: { text: never said, latency_ms: 600000 }
  - when: { contains: unsure, after_tool: ask_user }
    reply: { text: 'So it is {{tool_result}}' }
  - when: { contains: unsure }
    reply: { tool_calls: [{ name: ask_user, arguments: { question: 'Which?', options: [this, that] } }] }
  - when: { contains: pay }
    reply: { tool_calls: [{ name: pay, arguments: { amount: 5 } }] }
  - when: { after_tool: pay }
    reply: { text: 'The bank says {{tool_result}}' }
default: { text: 'you said {{user}}' }
";

/// A bank that counts what it is asked, and keeps its callers waiting until it is told to go on.
#[derive(Clone)]
struct Bank {
    paid: Arc<AtomicU32>,
    open: Arc<Semaphore>,
}

impl Bank {
    fn closed() -> Self {
        Self { paid: Arc::default(), open: Arc::new(Semaphore::new(0)) }
    }

    fn open() -> Self {
        let bank = Self::closed();
        bank.open.add_permits(Semaphore::MAX_PERMITS);
        bank
    }

    fn tool(&self, class: EffectClass) -> FunctionTool {
        let bank = self.clone();
        let schema = json!({ "type": "object", "properties": { "amount": { "type": "integer" } } });
        FunctionTool::new("pay", "Pays.", schema, move |_| {
            let bank = bank.clone();
            async move {
                let number = bank.paid.fetch_add(1, Ordering::SeqCst) + 1;
                bank.open.acquire().await.map_err(|error| error.to_string())?.forget();
                Ok(json!({ "payment": number }))
            }
        })
        .effect(class)
    }

    fn paid(&self) -> u32 {
        self.paid.load(Ordering::SeqCst)
    }

    async fn is_asked(&self, times: u32) {
        until("the bank is asked", async || (self.paid() == times).then_some(())).await;
    }
}

async fn loom(folder: &Path, bank: &Bank, class: EffectClass, permissions: Permissions) -> Loom {
    let provider = MockProvider::new(Script::parse(PAYS).unwrap(), Arc::new(SystemClock));
    let mut definition = agent();
    definition.permissions = permissions;
    definition.behavior.ask_user = true;
    Loom::builder()
        .data_dir(folder)
        .provider("scripted", "script-1", Arc::new(provider))
        .tool(bank.tool(class))
        .agent(definition)
        .build()
        .await
        .unwrap()
}

fn allowing() -> Permissions {
    let mut permissions = Permissions::default();
    permissions.classes.insert(EffectClass::Unsafe, Verdict::Allow);
    permissions
}

/// The one call that waits.
async fn waiting(loom: &Loom, what: WaitingFor) -> WaitingCall {
    let listed = until("a call waits", async || {
        let listed = loom.runtime().sessions().waiting(what, ME, Page::new(0, 0)).await.unwrap();
        (listed.total == 1).then_some(listed)
    });
    listed.await.items.remove(0)
}

fn effect_of(waiting: &WaitingCall) -> EffectId {
    let (Waiting::Approval { effect, .. } | Waiting::Resolution { effect, .. }) = waiting.waiting;
    EffectId { turn: waiting.turn, number: effect }
}

fn said(resolution: Resolution) -> Said {
    let result =
        (resolution == Resolution::Happened).then(|| "{\"payment\":\"seen on the account\"}".to_owned());
    Said { resolution, result, by: "operator".into() }
}

async fn items(running: &Running) -> Vec<FeedItem> {
    Arc::clone(&running.feed).read(None).collect().await
}

async fn attach(loom: &Loom, running: &Running) -> Running {
    loom.runtime().sessions().attach(running.turn, None, ME).await.unwrap()
}

/// What of a feed is the same whenever it is told.
fn told(items: &[FeedItem]) -> Vec<String> {
    let lasting = items.iter().filter(|item| !matches!(item.progress, Progress::Delta(_)));
    lasting.map(|item| format!("{} {:?} {:?}", item.id, item.at, item.progress)).collect()
}

#[tokio::test]
async fn a_repeatable_call_that_a_stop_cut_off_is_made_again_and_the_turn_ends() {
    for class in [EffectClass::Pure, EffectClass::Idempotent] {
        let (folder, bank) = (folder(), Bank::closed());
        let first = loom(folder.path(), &bank, class, Permissions::default()).await;
        let running = first.start(TurnRequest::new("pay")).await.unwrap();
        bank.is_asked(1).await;
        first.close(Duration::ZERO).await;
        assert_eq!(running.end().await.unwrap_err().error.code, ErrorCode::ShuttingDown);

        let second = loom(folder.path(), &bank, class, Permissions::default()).await;
        bank.is_asked(2).await;
        bank.open.add_permits(1);
        let again = attach(&second, &running).await;
        assert_eq!(again.end().await.unwrap().text, "The bank says {\"payment\":2}");
        second.close(PATIENCE).await;
    }
}

#[tokio::test]
async fn an_unsafe_call_that_a_stop_cut_off_is_asked_about_and_never_made_again() {
    let seen = "The bank says {\"payment\":\"seen on the account\"}";
    for (resolution, expected, paid, said_again) in [
        (Resolution::Happened, seen, 1, ErrorCode::EffectResolved),
        // It runs as another effect.
        (Resolution::DidNotHappen, "The bank says {\"payment\":2}", 2, ErrorCode::EffectNotFound),
    ] {
        let (folder, bank) = (folder(), Bank::closed());
        let first = loom(folder.path(), &bank, EffectClass::Unsafe, allowing()).await;
        let running = first.start(TurnRequest::new("pay")).await.unwrap();
        bank.is_asked(1).await;
        first.close(Duration::ZERO).await;

        bank.open.add_permits(1);
        let second = loom(folder.path(), &bank, EffectClass::Unsafe, allowing()).await;
        let unknown = waiting(&second, WaitingFor::Resolution).await;
        assert_eq!((unknown.turn, unknown.turn_ended, bank.paid()), (running.turn, false, 1));
        let sessions = second.runtime().sessions();
        let again = attach(&second, &running).await;
        sessions.resolve_effect(effect_of(&unknown), said(resolution), ME).await.unwrap();
        assert_eq!(again.end().await.unwrap().text, expected);
        assert_eq!(bank.paid(), paid);
        let twice = sessions.resolve_effect(effect_of(&unknown), said(resolution), ME).await;
        assert_eq!(twice.unwrap_err().code, said_again);
        second.close(PATIENCE).await;
    }
}

#[tokio::test]
async fn of_a_cancelled_turn_the_record_still_waits() {
    let (folder, bank) = (folder(), Bank::closed());
    let loom = loom(folder.path(), &bank, EffectClass::Unsafe, allowing()).await;
    let running = loom.start(TurnRequest::new("pay")).await.unwrap();
    bank.is_asked(1).await;
    running.cancel();
    assert_eq!(running.end().await.unwrap_err().error.code, ErrorCode::Cancelled);
    let unknown = waiting(&loom, WaitingFor::Resolution).await;
    assert!(unknown.turn_ended);
    let sessions = loom.runtime().sessions();
    // Even while the session is at work on another.
    let next = loom.start(TurnRequest::new("slowly").in_session(running.session.clone())).await.unwrap();
    sessions.resolve_effect(effect_of(&unknown), said(Resolution::Happened), ME).await.unwrap();
    let again = sessions.resolve_effect(effect_of(&unknown), said(Resolution::Happened), ME).await;
    assert_eq!(again.unwrap_err().code, ErrorCode::EffectResolved);
    next.cancel();
    assert_eq!(next.end().await.unwrap_err().error.code, ErrorCode::Cancelled);
    loom.close(PATIENCE).await;
}

/// A tool that does not stop when it is told to, and says what it did.
struct Stubborn(loom_embed::tools::ToolSpec, Bank);

#[async_trait::async_trait]
impl Tool for Stubborn {
    fn spec(&self) -> &loom_embed::tools::ToolSpec {
        &self.0
    }

    async fn call(&self, _: serde_json::Value, context: ToolContext) -> Result<ToolOutput, ToolError> {
        self.1.paid.fetch_add(1, Ordering::SeqCst);
        context.cancel.cancelled().await;
        Ok(ToolOutput::new(json!({ "payment": "made after all" })))
    }
}

#[tokio::test]
async fn a_result_that_comes_after_the_end_is_recorded_and_changes_no_conversation() {
    let (folder, bank) = (folder(), Bank::closed());
    let provider = MockProvider::new(Script::parse(PAYS).unwrap(), Arc::new(SystemClock));
    let spec = loom_embed::tools::Tool::spec(&bank.tool(EffectClass::Unsafe)).clone();
    let mut definition = agent();
    definition.permissions = allowing();
    let builder = Loom::builder().data_dir(folder.path()).agent(definition);
    let builder = builder.provider("scripted", "script-1", Arc::new(provider));
    let tool: Arc<dyn Tool> = Arc::new(Stubborn(spec, bank.clone()));
    let loom = builder.tool(tool).build().await.unwrap();
    let running = loom.start(TurnRequest::new("pay")).await.unwrap();
    bank.is_asked(1).await;
    running.cancel();
    assert_eq!(running.end().await.unwrap_err().error.code, ErrorCode::Cancelled);
    let sessions = loom.runtime().sessions();
    until("the late result is recorded", async || {
        let listed = sessions.waiting(WaitingFor::Resolution, ME, Page::new(0, 0)).await.unwrap();
        (listed.total == 0).then_some(())
    })
    .await;
    let history = sessions.history(&running.session, ME, Page::new(0, 0)).await.unwrap();
    assert_eq!(history.calls[0].outcome, Some(loom_embed::runtime::CallOutcome::Unknown));
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn an_approval_waits_through_any_number_of_restarts_and_is_used_once() {
    let (folder, bank) = (folder(), Bank::open());
    let first = loom(folder.path(), &bank, EffectClass::Unsafe, Permissions::default()).await;
    let running = first.start(TurnRequest::new("pay")).await.unwrap();
    let asked = waiting(&first, WaitingFor::Approval).await;
    // Who waits for people does not hold up the stop.
    tokio::time::timeout(PATIENCE, first.close(Duration::from_hours(1))).await.unwrap();
    assert_eq!(running.end().await.unwrap_err().error.code, ErrorCode::ShuttingDown, "it waits no longer");
    // More often than a turn may be taken up without getting further.
    for _ in 0..4 {
        let again = loom(folder.path(), &bank, EffectClass::Unsafe, Permissions::default()).await;
        assert_eq!(attach(&again, &running).await.turn, running.turn);
        again.close(Duration::ZERO).await;
    }

    let second = loom(folder.path(), &bank, EffectClass::Unsafe, Permissions::default()).await;
    let again = attach(&second, &running).await;
    let sessions = second.runtime().sessions();
    let decide = |approved, arguments| Decision { approved, reason: None, arguments, by: "boss".into() };
    let effect = effect_of(&asked);
    let other = sessions.decide_approval(effect, decide(true, Some(Digest::of("other"))), ME).await;
    assert_eq!(other.unwrap_err().code, ErrorCode::ApprovalMismatch);
    assert_eq!(bank.paid(), 0);
    let right = Digest::of_json(&asked.call.arguments);
    sessions.decide_approval(effect, decide(true, Some(right)), ME).await.unwrap();
    assert_eq!(again.end().await.unwrap().text, "The bank says {\"payment\":1}");
    let replayed = sessions.decide_approval(effect, decide(true, None), ME).await;
    assert_eq!(replayed.unwrap_err().code, ErrorCode::ApprovalNotFound);
    assert_eq!(bank.paid(), 1);
    second.close(PATIENCE).await;
}

#[tokio::test]
async fn a_call_that_is_refused_or_that_nobody_approves_never_runs() {
    let (folder, bank) = (folder(), Bank::open());
    let hurried = Permissions { approval_time: Duration::from_millis(20), ..Permissions::default() };
    let loom = loom(folder.path(), &bank, EffectClass::Unsafe, hurried).await;
    let late = loom.ask("pay").await.unwrap();
    assert_eq!(late.text, "The bank says nobody approved this call in time");
    loom.close(PATIENCE).await;

    let loom = self::loom(folder.path(), &bank, EffectClass::Unsafe, Permissions::default()).await;
    let running = loom.start(TurnRequest::new("pay")).await.unwrap();
    let asked = waiting(&loom, WaitingFor::Approval).await;
    let reason = Some("too much".into());
    let no = Decision { approved: false, reason, arguments: None, by: "boss".into() };
    loom.runtime().sessions().decide_approval(effect_of(&asked), no, ME).await.unwrap();
    assert_eq!(running.end().await.unwrap().text, "The bank says boss refused this call: too much");
    assert_eq!(bank.paid(), 0);
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn a_question_waits_for_its_answer_through_a_restart() {
    let (folder, bank) = (folder(), Bank::open());
    let start = async || loom(folder.path(), &bank, EffectClass::Pure, Permissions::default()).await;
    let question = async |running: &Running| {
        let asked = Arc::clone(&running.feed).read(None).filter_map(async |item| match item.progress {
            Progress::QuestionAsked { effect, question, options, .. } => Some((effect, question, options)),
            _ => None,
        });
        std::pin::pin!(asked).next().await.unwrap()
    };
    let first = start().await;
    let running = first.start(TurnRequest::new("unsure")).await.unwrap();
    let asked = question(&running).await;
    assert_eq!((asked.1.as_str(), asked.2.join("|").as_str()), ("Which?", "this|that"));
    first.close(PATIENCE).await;

    let second = start().await;
    let again = attach(&second, &running).await;
    assert_eq!(question(&again).await, asked);
    let sessions = second.runtime().sessions();
    let id = EffectId { turn: running.turn, number: asked.0 };
    let answer = async |session: &SessionId, id, text: &str| {
        sessions.answer_question(session, id, text.to_owned(), ME).await.map_err(|error| error.code)
    };
    let elsewhere = SessionId::new(&loom_embed::SystemIds);
    assert_eq!(answer(&elsewhere, id, "that").await, Err(ErrorCode::QuestionNotFound));
    assert_eq!(answer(&running.session, id, "neither").await, Err(ErrorCode::InvalidArgument));
    assert_eq!(answer(&running.session, id, "that").await, Ok(()));
    assert_eq!(again.end().await.unwrap().text, "So it is {\"answer\":\"that\"}");
    assert_eq!(answer(&running.session, id, "this").await, Err(ErrorCode::QuestionNotFound));
    let live = told(&items(&again).await);
    assert_eq!(told(&items(&attach(&second, &running).await).await), live);
    let stores = second.runtime().upkeep();
    let mut wrong = Vec::new();
    stores.verify(&mut |found| wrong.push(found)).await.unwrap();
    assert!(wrong.is_empty(), "{wrong:?}");
    second.close(PATIENCE).await;
}

#[tokio::test]
async fn a_turn_is_told_again_as_it_was_told_first() {
    let (folder, bank) = (folder(), Bank::open());
    let first = loom(folder.path(), &bank, EffectClass::Pure, Permissions::default()).await;
    let running = first.start(TurnRequest::new("pay")).await.unwrap();
    let live = items(&running).await;
    assert!(matches!(live.last().unwrap().progress, Progress::Completed(_)));
    assert_eq!(told(&items(&attach(&first, &running).await).await), told(&live));
    first.close(PATIENCE).await;
    let second = loom(folder.path(), &bank, EffectClass::Pure, Permissions::default()).await;
    let retold = attach(&second, &running).await;
    assert_eq!(told(&items(&retold).await), told(&live));
    // From the middle on: what comes after, once. Whoever saw text is first told that it is void.
    for is_text in [false, true] {
        let seen = live.iter().rfind(|item| {
            matches!(item.progress, Progress::Delta(_)) == is_text && item.id < live[live.len() - 1].id
        });
        let after = seen.unwrap().id;
        let mut rest: Vec<_> = Arc::clone(&retold.feed).read(Some(after)).collect().await;
        if is_text {
            assert!(matches!(rest.remove(0).progress, Progress::Restarted));
        }
        let expected: Vec<_> = live.iter().filter(|item| item.id > after).cloned().collect();
        assert_eq!(told(&rest), told(&expected));
    }
    second.close(PATIENCE).await;
}

#[tokio::test]
async fn a_request_sent_again_under_its_key_gets_the_same_turn() {
    let (folder, bank) = (folder(), Bank::open());
    let key = |digest: &str| IdempotencyKey {
        key: RequestKey { principal: ME.to_string(), method: "Weave".into(), key: "k".into() },
        digest: Digest::of(digest),
    };
    let keyed = |digest| TurnRequest { key: Some(key(digest)), ..TurnRequest::new("hello") };
    let first = loom(folder.path(), &bank, EffectClass::Pure, Permissions::default()).await;
    let both = futures::future::join(first.start(keyed("a")), first.start(keyed("a"))).await;
    let (one, two) = (both.0.unwrap(), both.1.unwrap());
    assert_eq!((one.turn, &one.session), (two.turn, &two.session));
    assert_eq!(two.end().await.unwrap().text, "you said hello");
    let all = loom_store::SessionFilter::default();
    let sessions = first.runtime().sessions().list(&all, Page::new(0, 0)).await.unwrap();
    assert_eq!(sessions.total, 1, "the second left no session behind");
    first.close(PATIENCE).await;
    let second = loom(folder.path(), &bank, EffectClass::Pure, Permissions::default()).await;
    let again = second.start(keyed("a")).await.unwrap();
    assert_eq!(again.turn, one.turn);
    assert_eq!(again.end().await.unwrap().text, "you said hello");
    assert_eq!(second.start(keyed("b")).await.unwrap_err().code, ErrorCode::IdempotencyConflict);
    second.close(PATIENCE).await;
}

#[tokio::test]
async fn a_turn_that_gets_no_further_is_quarantined_and_can_be_cancelled() {
    let (mut folder, bank) = (folder(), Bank::open());
    let start = async |folder: &Path| loom(folder, &bank, EffectClass::Pure, Permissions::default()).await;
    let first = start(folder.path()).await;
    let running = first.start(TurnRequest::new("slowly")).await.unwrap();
    folder = kill(first, &folder).await;
    for attempt in 1..=3 {
        let loom = start(folder.path()).await;
        assert_eq!(attach(&loom, &running).await.turn, running.turn);
        let page = loom.runtime().sessions().unfinished(ME, Page::new(0, 0)).await.unwrap();
        assert_eq!((page.items[0].recoveries, page.items[0].stalled), (attempt, attempt));
        folder = kill(loom, &folder).await;
    }
    let last = start(folder.path()).await;
    let refused = last.start(TurnRequest::new("hello").in_session(running.session.clone())).await;
    assert_eq!(refused.unwrap_err().code, ErrorCode::TurnQuarantined);
    assert_eq!(last.ask("elsewhere").await.unwrap().text, "you said elsewhere");
    last.runtime().sessions().cancel_turn(running.turn, ME).await.unwrap();
    let next = last.start(TurnRequest::new("hello").in_session(running.session.clone())).await.unwrap();
    assert_eq!(next.end().await.unwrap().text, "you said hello");
    last.close(PATIENCE).await;
}
