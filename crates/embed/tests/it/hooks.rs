//! Hooks of real turns: what they are told, what their answers mean, and what a stop makes of them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use futures::future::BoxFuture;
use loom_access::Principal;
use loom_embed::base::ErrorCode;
use loom_embed::llm::{Message, Role};
use loom_embed::runtime::{Running, Runtime, TurnRequest};
use loom_embed::tools::HookPoint::{AfterModel, AfterTools, BeforeModel, SessionStart, TurnStart};
use loom_embed::tools::{
    EffectClass, Hook, HookAnswer, HookInput, HookPoint, HookSpec, OnFailure, ToolContext, ToolError,
};
use loom_embed::{AskError, Loom};
use loom_store::Page;

use crate::setup::{Overheard, PATIENCE, add_tool, agent, assert_sound, folder, until};

const ADDS: &str = "
rules:
  - when: { contains: sum }
    reply: { text: adding, tool_calls: [{ name: add, arguments: { a: 19, b: 23 } }] }
  - when: { after_tool: add }
    reply: { text: 'it is {{tool_result}}' }
default: { text: 'you said {{user}}' }
";

type Work = dyn Fn(HookInput, ToolContext) -> BoxFuture<'static, Result<HookAnswer, ToolError>> + Send + Sync;

/// A hook made of a function, which keeps what it was told.
struct Told {
    spec: HookSpec,
    told: Mutex<Vec<HookInput>>,
    work: Box<Work>,
}

impl Told {
    fn told(&self) -> Vec<HookInput> {
        self.told.lock().unwrap().clone()
    }

    fn points(&self) -> Vec<HookPoint> {
        self.told().iter().map(|input| input.point).collect()
    }
}

#[async_trait::async_trait]
impl Hook for Told {
    fn spec(&self) -> &HookSpec {
        &self.spec
    }

    async fn run(&self, input: HookInput, context: ToolContext) -> Result<HookAnswer, ToolError> {
        self.told.lock().unwrap().push(input.clone());
        (self.work)(input, context).await
    }
}

fn spec(points: &[HookPoint], effect: EffectClass) -> HookSpec {
    let (timeout, on_failure) = (Duration::from_secs(20), OnFailure::Closed);
    HookSpec { name: "h".into(), points: points.iter().copied().collect(), effect, timeout, on_failure }
}

fn hook<Working>(spec: HookSpec, work: fn(HookInput, ToolContext) -> Working) -> Arc<Told>
where
    Working: Future<Output = Result<HookAnswer, ToolError>> + Send + 'static,
{
    let work = Box::new(move |input, context| Box::pin(work(input, context)) as BoxFuture<'static, _>);
    Arc::new(Told { spec, told: Mutex::default(), work })
}

/// A hook that gives the same answer each time.
fn answering(points: &[HookPoint], answer: HookAnswer) -> Arc<Told> {
    let work = Box::new(move |_, _| {
        let answer = Ok(answer.clone());
        Box::pin(std::future::ready(answer)) as BoxFuture<'static, _>
    });
    Arc::new(Told { spec: spec(points, EffectClass::Pure), told: Mutex::default(), work })
}

async fn loom(folder: &Path, model: &Arc<Overheard>, hooks: &[Arc<Told>]) -> Loom {
    let mut builder = Loom::builder().data_dir(folder).tool(add_tool()).agent(agent());
    for hook in hooks {
        builder = builder.hook(Arc::<Told>::clone(hook));
    }
    builder.provider("scripted", "script-1", Arc::<Overheard>::clone(model)).build().await.unwrap()
}

fn texts(message: &Message) -> Vec<String> {
    message.content.iter().filter_map(|block| block.as_text().map(str::to_owned)).collect()
}

async fn attach(loom: &Loom, running: &Running) -> Running {
    loom.runtime().sessions().attach(running.turn, None, Principal::Local).await.unwrap()
}

async fn outcomes(loom: &Loom, running: &Running) -> Vec<String> {
    let trace = loom.runtime().traces().get(&running.turn.to_string()).await.unwrap();
    let hooks = trace.spans.iter().filter(|span| span.name == "run_hook h");
    hooks.map(|span| span.attributes["loom.hook.outcome"].clone()).collect()
}

#[tokio::test]
async fn hooks_run_at_their_points_and_are_told_what_it_is_about_without_secrets() {
    let (folder, model) = (folder(), Overheard::playing(ADDS));
    let hook = answering(&HookPoint::ALL, HookAnswer::Continue {});
    let loom = loom(folder.path(), &model, &[Arc::clone(&hook)]).await;
    let asked = "what is the sum? password=hunter2";
    let running = loom.start(TurnRequest::new(asked)).await.unwrap();
    assert_eq!(running.end().await.unwrap().text, "it is {\"sum\":42}");
    let first = [SessionStart, TurnStart, BeforeModel, AfterModel, AfterTools, BeforeModel, AfterModel];
    assert_eq!(hook.points(), first);
    let told = hook.told();
    assert!(told.iter().all(|input| input.turn == running.turn && input.session == running.session));
    let effects: BTreeSet<_> = told.iter().map(|input| input.effect).collect();
    assert_eq!(effects.len(), told.len(), "each run has an id of its own");
    assert!(told[0].messages[0].text.starts_with("what is the sum?") && told[0].messages.len() == 1);
    assert!(!format!("{told:?}").contains("hunter2"));
    assert_eq!((told[3].messages[0].role, told[3].messages[0].text.as_str()), ("assistant", "adding"));
    assert_eq!((&*told[3].calls[0].tool, told[3].calls[0].outcome), ("add", None));
    assert_eq!(told[4].calls[0].arguments["a"], 19);
    let result = (told[4].calls[0].outcome, told[4].calls[0].result.as_deref());
    assert_eq!(result, (Some("succeeded"), Some("{\"sum\":42}")));

    let again = TurnRequest::new("hello").in_session(running.session.clone());
    loom.start(again).await.unwrap().end().await.unwrap();
    assert_eq!(hook.points()[first.len()..], [TurnStart, BeforeModel, AfterModel], "a session starts once");
    assert_sound(&loom).await;
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn a_note_is_read_with_the_next_request_and_stays_the_same_after_a_restart() {
    for point in HookPoint::ALL {
        let (folder, model) = (folder(), Overheard::playing(ADDS));
        let annotate = HookAnswer::Annotate { text: "mind the step".into() };
        let hook = answering(&[point], annotate);
        let live = loom(folder.path(), &model, &[Arc::clone(&hook)]).await;
        let running = live.start(TurnRequest::new("what is the sum?")).await.unwrap();
        running.end().await.unwrap();
        let follow_up = || TurnRequest::new("and then?").in_session(running.session.clone());
        live.start(follow_up()).await.unwrap().end().await.unwrap();
        let asked = model.asked();
        let notes = |message: &&Message| {
            texts(message).iter().any(|text| text == "[note of the hook h] mind the step")
        };
        assert!(asked[1].messages.iter().any(|message| notes(&&**message)), "{point:?}: {asked:?}");
        for request in &asked {
            // Two sides that take turns, each call answered at once, the question still what was said.
            let roles: Vec<_> = request.messages.iter().map(|message| message.role).collect();
            let ends_a_turn = |pair: &[Role]| pair[0] != pair[1] || point == HookPoint::AfterModel;
            assert!(roles.windows(2).all(ends_a_turn), "{point:?}: {roles:?}");
        }
        assert_eq!(asked[0].messages[0].said(), Some("what is the sum?"));
        assert_sound(&live).await;
        let history = live.runtime().sessions().history(&running.session, Principal::Local, Page::new(0, 0));
        let stored = history.await.unwrap().messages.items;
        let noted = stored
            .iter()
            .filter(|record| record.message.content.is_empty() && !record.message.beside.is_empty());
        assert!(noted.count() > 0, "{point:?}");
        live.close(PATIENCE).await;

        // Without the hook, so that only what is stored is there.
        let again = loom(folder.path(), &model, &[]).await;
        again.start(follow_up()).await.unwrap().end().await.unwrap();
        let (before, after) = (asked.last().unwrap(), model.asked().pop().unwrap());
        assert_eq!(after.messages[..before.messages.len()], before.messages[..], "{point:?}");
        again.close(PATIENCE).await;
    }
}

#[tokio::test]
async fn a_denial_ends_the_turn_in_the_open_and_the_session_goes_on() {
    for point in HookPoint::ALL {
        let (folder, model) = (folder(), Overheard::playing(ADDS));
        let hook = answering(&[point], HookAnswer::Deny { reason: "not on Sundays".into() });
        let first = loom(folder.path(), &model, &[hook]).await;
        let running = first.start(TurnRequest::new("what is the sum?")).await.unwrap();
        let failure = running.end().await.unwrap_err();
        let expected = format!("the hook \"h\" ended the turn at {}: not on Sundays", point.as_str());
        assert_eq!((failure.error.code, &failure.error.message), (ErrorCode::HookDenied, &expected));
        let asked = usize::from(matches!(point, HookPoint::AfterModel | HookPoint::AfterTools));
        assert_eq!(model.asked().len(), asked, "{point:?}");
        assert_eq!(outcomes(&first, &running).await, ["denied"]);
        assert_sound(&first).await;
        first.close(PATIENCE).await;
        let second = loom(folder.path(), &model, &[]).await;
        assert_eq!(attach(&second, &running).await.end().await.unwrap_err().error.message, expected);
        let next = TurnRequest::new("hello").in_session(running.session.clone());
        assert_eq!(second.start(next).await.unwrap().end().await.unwrap().text, "you said hello");
        second.close(PATIENCE).await;
    }
}

async fn fails(_: HookInput, _: ToolContext) -> Result<HookAnswer, ToolError> {
    Err(ToolError::failed(ErrorCode::ToolFailed, "no service, token=hunter2"))
}

#[expect(clippy::panic, reason = "the panic is what is tried")]
async fn panics(_: HookInput, _: ToolContext) -> Result<HookAnswer, ToolError> {
    panic!("a defect of the hook")
}

async fn waits(_: HookInput, context: ToolContext) -> Result<HookAnswer, ToolError> {
    context.cancel.cancelled().await;
    Err(ToolError::interrupted(ErrorCode::DeadlineExceeded, "stopped"))
}

#[tokio::test]
async fn a_hook_that_fails_panics_or_takes_too_long_fails_open_or_closed() {
    let points = [HookPoint::BeforeModel];
    for on_failure in [OnFailure::Open, OnFailure::Closed] {
        let in_time = spec(&points, EffectClass::Idempotent);
        let failing = HookSpec { on_failure, ..in_time };
        let hurried = HookSpec { timeout: Duration::from_millis(20), ..failing.clone() };
        let once = HookSpec { effect: EffectClass::Unsafe, ..hurried.clone() };
        for (hook, outcome) in [
            (hook(failing.clone(), fails), "failed"),
            (hook(failing, panics), "failed"),
            (hook(hurried, waits), "failed"),
            (hook(once, waits), "unknown"),
        ] {
            let (folder, model) = (folder(), Overheard::playing(ADDS));
            let loom = loom(folder.path(), &model, &[hook]).await;
            let running = loom.start(TurnRequest::new("hello")).await.unwrap();
            match (on_failure, running.end().await) {
                (OnFailure::Open, Ok(result)) => assert_eq!(result.text, "you said hello"),
                (OnFailure::Closed, Err(failure)) => {
                    assert_eq!(failure.error.code, ErrorCode::HookDenied);
                    assert!(!failure.error.message.contains("hunter2"), "{}", failure.error);
                }
                other => panic!("{on_failure:?}: {other:?}"),
            }
            assert_eq!(outcomes(&loom, &running).await, [outcome]);
            loom.close(PATIENCE).await;
        }
    }
}

/// A hook that never answers.
async fn hangs(_: HookInput, _: ToolContext) -> Result<HookAnswer, ToolError> {
    std::future::pending().await
}

async fn goes_on(_: HookInput, _: ToolContext) -> Result<HookAnswer, ToolError> {
    Ok(HookAnswer::Continue {})
}

#[tokio::test]
async fn a_hook_that_a_stop_cut_off_runs_again_under_its_id_or_never() {
    for point in [HookPoint::SessionStart, HookPoint::AfterTools] {
        for (class, on_failure, again) in [
            (EffectClass::Pure, OnFailure::Closed, true),
            (EffectClass::Idempotent, OnFailure::Closed, true),
            (EffectClass::Unsafe, OnFailure::Open, false),
            (EffectClass::Unsafe, OnFailure::Closed, false),
        ] {
            let (folder, model) = (folder(), Overheard::playing(ADDS));
            let declared = HookSpec { on_failure, ..spec(&[point], class) };
            let cut_off = hook(declared.clone(), hangs);
            let first = loom(folder.path(), &model, &[Arc::clone(&cut_off)]).await;
            let running = first.start(TurnRequest::new("what is the sum?")).await.unwrap();
            until("the hook runs", async || (cut_off.told().len() == 1).then_some(())).await;
            first.close(Duration::ZERO).await;
            assert_eq!(running.end().await.unwrap_err().error.code, ErrorCode::ShuttingDown);

            let second_hook = hook(declared, goes_on);
            let second = loom(folder.path(), &model, &[Arc::clone(&second_hook)]).await;
            let end = attach(&second, &running).await.end().await;
            match (on_failure, again) {
                (OnFailure::Closed, false) => assert_eq!(end.unwrap_err().error.code, ErrorCode::HookDenied),
                _ => assert_eq!(end.unwrap().text, "it is {\"sum\":42}"),
            }
            let effects: Vec<_> = second_hook.told().iter().map(|input| input.effect).collect();
            let expected = if again { vec![cut_off.told()[0].effect] } else { Vec::new() };
            assert_eq!(effects, expected, "{point:?} {class:?}");
            assert_eq!(outcomes(&second, &running).await, [if again { "continued" } else { "unknown" }]);
            assert_sound(&second).await;
            second.close(PATIENCE).await;
        }
    }
}

#[tokio::test]
async fn a_hook_that_is_gone_after_a_restart_ends_the_turn_that_waits_for_it() {
    let (folder, model) = (folder(), Overheard::playing(ADDS));
    let cut_off = hook(spec(&[HookPoint::TurnStart], EffectClass::Pure), hangs);
    let first = loom(folder.path(), &model, &[Arc::clone(&cut_off)]).await;
    let running = first.start(TurnRequest::new("hello")).await.unwrap();
    until("the hook runs", async || (cut_off.told().len() == 1).then_some(())).await;
    first.close(Duration::ZERO).await;
    let second = loom(folder.path(), &model, &[]).await;
    let error = attach(&second, &running).await.end().await.unwrap_err();
    assert_eq!(error.error.code, ErrorCode::HookDenied);
    assert!(error.error.message.contains("no longer there"), "{}", error.error);
    second.close(PATIENCE).await;
}

/// A hook that looks into the store for its own turn.
struct Looks {
    spec: HookSpec,
    runtime: Arc<OnceLock<Weak<Runtime>>>,
    found: Mutex<Vec<bool>>,
}

#[async_trait::async_trait]
impl Hook for Looks {
    fn spec(&self) -> &HookSpec {
        &self.spec
    }

    async fn run(&self, input: HookInput, _: ToolContext) -> Result<HookAnswer, ToolError> {
        let runtime = self.runtime.get().and_then(Weak::upgrade).unwrap();
        let told = runtime.sessions().replay(input.turn, Principal::Local).await;
        self.found.lock().unwrap().push(told.is_ok());
        Ok(HookAnswer::Continue {})
    }
}

#[tokio::test]
async fn a_hook_with_an_effect_starts_after_its_turn_is_stored() {
    for class in [EffectClass::Idempotent, EffectClass::Unsafe] {
        let (folder, model) = (folder(), Overheard::playing(ADDS));
        let runtime = Arc::new(OnceLock::new());
        let spec = spec(&[HookPoint::SessionStart, HookPoint::TurnStart], class);
        let hook = Arc::new(Looks { spec, runtime: Arc::clone(&runtime), found: Mutex::default() });
        let provider = Arc::<Overheard>::clone(&model);
        let builder =
            Loom::builder().data_dir(folder.path()).agent(agent()).provider("scripted", "m", provider);
        let loom = builder.hook(Arc::<Looks>::clone(&hook)).build().await.unwrap();
        runtime.set(Arc::downgrade(loom.runtime())).unwrap();
        loom.ask("hello").await.unwrap();
        assert_eq!(*hook.found.lock().unwrap(), [true, true]);
        loom.close(PATIENCE).await;
    }
}

#[tokio::test]
async fn hooks_that_make_no_set_are_refused() {
    let point = [HookPoint::TurnStart];
    let twice =
        [hook(spec(&point, EffectClass::Pure), goes_on), hook(spec(&point, EffectClass::Pure), goes_on)];
    let nowhere = [hook(spec(&[], EffectClass::Pure), goes_on)];
    let transactional = [hook(spec(&point, EffectClass::Transactional), goes_on)];
    for (hooks, problem) in [
        (&twice[..], "two hooks are called \"h\""),
        (&nowhere[..], "the hook \"h\" runs at no point"),
        (&transactional[..], "says it is transactional"),
    ] {
        let (folder, model) = (folder(), Overheard::playing(ADDS));
        let mut builder = Loom::builder().data_dir(folder.path()).agent(agent());
        for hook in hooks {
            builder = builder.hook(Arc::<Told>::clone(hook));
        }
        let error = builder.provider("scripted", "m", model).build().await.err().unwrap();
        assert!(error.message.contains(problem), "{error}");
    }
}

#[tokio::test]
async fn a_file_gives_its_agent_hooks_of_both_kinds() {
    let (data, agents, work) = (folder(), folder(), folder());
    let workspace = work.path().canonicalize().unwrap();
    let git = |arguments: &[&str]| {
        let output =
            std::process::Command::new("git").current_dir(&workspace).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    git(&["init", "--quiet"]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let file = format!(
        "apiVersion: loom/v1\nkind: Agent\nmetadata: {{ name: tester }}\nspec:\n  config: {{ patterns: {{ enabled: false }} }}\n  \
         hooks:\n    - {{ type: git_commit, workspace: '{}', author: {{ name: Ann, email: ann@example.com }} }}\n    - {{ type: \
         webhook, points: [after_model], url: 'http://{address}/x', secret_variable: HOOK_SECRET, on_failure: open }}\n",
        workspace.display()
    );
    std::fs::write(agents.path().join("a.yaml"), file).unwrap();
    let path = std::env::var_os("PATH").unwrap().into_string().unwrap();
    let variables = move |name: &str| match name {
        "PATH" => Some(path.clone()),
        "HOOK_SECRET" => Some("hunter2".to_owned()),
        _ => None,
    };
    let builder = Loom::builder().data_dir(data.path()).agents_dir(agents.path()).variables(variables);
    let loom =
        builder.tool(add_tool()).provider("scripted", "m", Overheard::playing(ADDS)).build().await.unwrap();
    std::fs::write(workspace.join("note.txt"), "one").unwrap();
    let running = loom.start(TurnRequest::new("what is the sum?")).await.unwrap();
    running.end().await.unwrap();
    let log = git(&["log", "--format=%an|%s|%(trailers:key=Loom-Turn,valueonly,separator=)"]);
    assert_eq!(log.trim(), format!("Ann|tester: add|{}", running.turn));
    let trace = loom.runtime().traces().get(&running.turn.to_string()).await.unwrap();
    let of = |name: &str| {
        let spans = trace.spans.iter().filter(|span| span.name == name);
        spans.map(|span| span.attributes["loom.hook.outcome"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        (of("run_hook git_commit"), of("run_hook webhook")),
        (vec!["continued".into()], vec!["failed".into(); 2])
    );
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn a_denial_of_a_question_without_a_turn_is_told_to_who_asked() {
    let (folder, model) = (folder(), Overheard::playing(ADDS));
    let hook = answering(&[HookPoint::SessionStart], HookAnswer::Deny { reason: String::new() });
    let loom = loom(folder.path(), &model, &[hook]).await;
    match loom.ask("hello").await {
        Err(AskError::Failed(failure)) => assert_eq!(failure.error.code, ErrorCode::HookDenied),
        other => panic!("{other:?}"),
    }
    loom.close(PATIENCE).await;
}
