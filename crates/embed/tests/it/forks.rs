//! Sessions that go on from an earlier turn of another.

use std::sync::Arc;

use loom_access::Principal;
use loom_embed::Loom;
use loom_embed::base::{ErrorCode, NanoUsd, SessionId};
use loom_embed::runtime::{ForkPoint, TurnRequest};

use crate::setup::{Overheard, PATIENCE, add_tool, agent, assert_sound, folder};

const ME: Principal = Principal::Local;
const ADDS: &str = "
rules:
  - when: { contains: slowly }
    reply: { text: never said, latency_ms: 600000 }
  - when: { contains: sum }
    reply: { tool_calls: [{ name: add, arguments: { a: 19, b: 23 } }], usage: { input: 100, output: 10 } }
  - when: { after_tool: add }
    reply: { text: 'it is {{tool_result}}' }
default: { text: 'you said {{user}}', usage: { input: 100, output: 10 } }
";

async fn ask(loom: &Loom, session: &SessionId, question: &str) -> String {
    let running = loom.start(TurnRequest::new(question).in_session(session.clone())).await.unwrap();
    running.end().await.unwrap().text.clone()
}

#[tokio::test]
async fn a_fork_goes_on_from_where_it_was_made_and_the_source_stays() {
    let (folder, model) = (folder(), Overheard::playing(ADDS));
    let builder = Loom::builder().data_dir(folder.path()).tool(add_tool()).agent(agent());
    let loom =
        builder.provider("scripted", "script-1", Arc::<Overheard>::clone(&model)).build().await.unwrap();
    let source: SessionId = "source".parse().unwrap();
    for question in ["what is the sum?", "second", "third"] {
        ask(&loom, &source, question).await;
    }
    let sessions = loom.runtime().sessions();
    let before = sessions.get(&source, ME).await.unwrap();
    let third = model.asked().pop().unwrap();

    let fork = sessions.fork(&source, ForkPoint::Turns(2), Some("script-2".into()), ME).await.unwrap();
    assert_eq!((fork.totals.cost, fork.totals.turns, &fork.agent), (NanoUsd::ZERO, 0, &before.agent));
    assert_eq!(fork.metadata["loom.forked_from"], "source");
    assert_eq!(ask(&loom, &fork.id, "another third").await, "you said another third");
    let asked = model.asked().pop().unwrap();
    assert_eq!(&*asked.model, "script-2");
    assert_eq!(asked.messages.len(), third.messages.len());
    let same = asked.messages.len() - 1;
    assert_eq!(asked.messages[..same], third.messages[..same], "the conversation up to there is the same");

    assert_eq!(sessions.get(&source, ME).await.unwrap(), before);
    let forked = sessions.get(&fork.id, ME).await.unwrap();
    assert_eq!((forked.totals.turns, forked.totals.messages), (1, fork.totals.messages + 2));
    assert_sound(&loom).await;

    // The model goes with a fork of the fork; another can be named.
    let second = sessions.fork(&fork.id, ForkPoint::Latest, None, ME).await.unwrap();
    ask(&loom, &second.id, "fourth").await;
    assert_eq!(&*model.asked().pop().unwrap().model, "script-2");
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn nothing_of_a_running_turn_is_copied_and_what_cannot_be_forked_is_refused() {
    let (folder, model) = (folder(), Overheard::playing(ADDS));
    let builder = Loom::builder().data_dir(folder.path()).agent(agent());
    let loom =
        builder.provider("scripted", "script-1", Arc::<Overheard>::clone(&model)).build().await.unwrap();
    let source: SessionId = "source".parse().unwrap();
    ask(&loom, &source, "first").await;
    let running = loom.start(TurnRequest::new("slowly").in_session(source.clone())).await.unwrap();
    let sessions = loom.runtime().sessions();
    let fork = sessions.fork(&source, ForkPoint::Latest, None, ME).await.unwrap();
    assert_eq!(fork.totals.messages, 2);
    assert_eq!(ask(&loom, &fork.id, "meanwhile").await, "you said meanwhile");
    let refused = async |at, model: Option<&str>| {
        sessions.fork(&source, at, model.map(str::to_owned), ME).await.unwrap_err().code
    };
    assert_eq!(refused(ForkPoint::Turns(2), None).await, ErrorCode::TurnNotFound);
    assert_eq!(refused(ForkPoint::Turn(running.turn), None).await, ErrorCode::TurnNotFound);
    assert_eq!(refused(ForkPoint::Turns(1), Some(" ")).await, ErrorCode::InvalidArgument);
    let nobody = sessions.fork(&"nobody".parse().unwrap(), ForkPoint::Latest, None, ME).await;
    assert_eq!(nobody.unwrap_err().code, ErrorCode::SessionNotFound);
    running.cancel();
    running.end().await.unwrap_err();
    loom.close(PATIENCE).await;
}
