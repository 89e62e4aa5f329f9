//! Files that change while turns run: the next turn sees the change, the running one does not.

use loom_testkit::{ProviderFake, Reply};
use serde_json::{Value, json};

use crate::home::Home;
use crate::serving::{Serving, until};
use crate::shop::{make_database, word_database};

const QUESTION: &str = "where is the gold";

fn pattern(description: &str) -> String {
    format!(
        "name: find_gold\ntitle: Where the gold is\ndescription: {description}\nintents: [where is the gold, find gold]\n"
    )
}

fn agent(prompt: &str) -> String {
    format!(
        "apiVersion: loom/v1\nkind: Agent\nmetadata: {{ name: digger }}\nspec: {{ system_prompt: {prompt} }}\n"
    )
}

/// A home whose only agent is `digger`, on `fake`.
fn digger(fake: &ProviderFake) -> Home {
    let home = Home::asking(&fake.base_url());
    std::fs::remove_file(home.path("agents/tester.yaml")).unwrap();
    home.write("agents/digger.yaml", &agent("old prompt"));
    home.write("patterns/mine/find_gold.yaml", &pattern("old map"));
    home
}

fn bodies(fake: &ProviderFake) -> Vec<String> {
    fake.requests().iter().map(|request| request.body.to_string()).collect()
}

#[tokio::test]
async fn a_pattern_or_agent_edited_while_a_turn_streams_changes_the_next_turn_only() {
    let first = Reply::text("digging").and_tool_calls([("c1", "load_pattern", r#"{"name": "find_gold"}"#)]);
    let script = vec![first.held_after_events(3), Reply::text("found"), Reply::text("again")];
    let fake = ProviderFake::ollama(script).await.unwrap();
    let server = Serving::start(digger(&fake)).await;
    let mut stream = server.http.stream("/v1/chat:stream", json!({ "query": QUESTION })).await;
    let session = loop {
        let event = stream.next().await.unwrap().data;
        if event["isTokenStream"] == true {
            break event["sessionId"].clone();
        }
    };
    server.home.write("patterns/mine/find_gold.yaml", &pattern("new map"));
    server.home.write("agents/digger.yaml", &agent("new prompt"));
    until("the new pattern is served", async || {
        let pattern = server.http.get("/v1/patterns/find_gold").await.ok();
        (pattern["description"] == "new map").then_some(())
    })
    .await;
    until("the new agent is served", async || {
        let agent = server.http.get("/v1/agents/digger").await.ok();
        (agent["config"]["systemPrompt"] == "new prompt").then_some(())
    })
    .await;
    fake.release();
    let last = stream.rest().await.pop().unwrap().data;
    assert_eq!(
        (&last["partialContent"], &last["contextState"]["activePattern"]),
        (&json!("found"), &json!("find_gold"))
    );
    let running = bodies(&fake);
    assert_eq!(running.len(), 2);
    for body in &running {
        assert!(body.contains("old map") && !body.contains("new map"), "{body}");
        assert!(body.contains("old prompt") && !body.contains("new prompt"), "{body}");
    }
    let next = server.http.post("/v1/weave", json!({ "query": QUESTION, "sessionId": session })).await.ok();
    assert_eq!(next["text"], "again");
    let requests = fake.requests();
    let messages = requests[2].body["messages"].as_array().unwrap();
    let newest = messages.last().unwrap().to_string();
    assert!(newest.contains("new map") && !newest.contains("old map"), "{newest}");
    assert!(messages[0].to_string().contains("new prompt"), "{}", messages[0]);
}

#[tokio::test]
async fn a_broken_file_keeps_the_version_before_it_and_says_where_it_is_broken() {
    let server = Serving::start(Home::playing("default: { text: fine }")).await;
    let home = &server.home;
    home.write("patterns/mine/find_gold.yaml", &pattern("old map"));
    until("the pattern is served", async || {
        (server.http.get("/v1/patterns/find_gold").await.status == 200).then_some(())
    })
    .await;
    home.write("patterns/mine/find_gold.yaml", "name: find_gold\ndescripton: typo\n");
    let reloaded = server.http.post("/v1/patterns:reload", json!({})).await.ok();
    let error = &reloaded["errors"][0];
    assert_eq!((&error["file"], &error["line"]), (&json!("mine/find_gold.yaml"), &json!(2)), "{reloaded}");
    assert!(error["message"].as_str().unwrap().contains("descripton"), "{error}");
    assert_eq!(server.http.get("/v1/patterns/find_gold").await.ok()["description"], "old map");

    let agents = async || server.http.get("/v1/agents").await.ok()["agents"].clone();
    home.write("agents/tester.yaml", "apiVersion: loom/v1\nkind: Agent\nmetadata: { name: tester }\nspec: { task_board: { enabled: true } }\n");
    let error = until("the error is shown", async || {
        agents().await[0]["error"].as_str().filter(|error| !error.is_empty()).map(str::to_owned)
    })
    .await;
    assert!(error.contains("tester.yaml:4:9") && error.contains("task_board"), "{error}");
    let health = server.http.get("/v1/health").await.ok();
    assert_eq!(health["components"]["agents"]["status"], "degraded");
    assert_eq!(server.ask("still there?").await["text"], "fine");

    home.write("agents/tester.yaml", crate::home::TESTER);
    until("the error is gone", async || (agents().await[0]["error"] == "").then_some(())).await;
    assert_eq!(agents().await[0]["metadata"]["loom.version"], "1", "what did not change is no new version");
    std::fs::remove_file(home.path("agents/tester.yaml")).unwrap();
    until("the agent is gone", async || agents().await.as_array().unwrap().is_empty().then_some(())).await;
    let (status, problem) = server.http.post("/v1/weave", json!({ "query": "anyone?" })).await.problem();
    assert_eq!((status, &problem["code"]), (404, &json!("LOOM_AGENT_NOT_FOUND")));
}

#[tokio::test]
async fn a_backend_is_swapped_without_failing_a_request() {
    const ASKS: &str = "
rules:
  - { when: { contains: who }, reply: { tool_calls: [{ name: query, arguments: { sql: SELECT word FROM words } }] } }
  - { when: { contains: who, after_tool: query }, reply: { text: '{{tool_result}}' } }
";
    let home = Home::playing(ASKS);
    for word in ["left", "right"] {
        word_database(&home.path(&format!("{word}.db")), word).await;
    }
    let point_to = |home: &Home, word: &str| {
        home.write("backends/words.yaml", &format!("type: sqlite\nconnection: {{ path: ../{word}.db }}\n"));
    };
    point_to(&home, "left");
    home.write(
        "agents/tester.yaml",
        "apiVersion: loom/v1\nkind: Agent\nmetadata: { name: tester }\nspec: { backends: [words] }\n",
    );
    let server = Serving::start(home).await;
    let answers = |word: &'static str| {
        let server = &server;
        async move {
            until(word, async || {
                let said = server.ask("who?").await["text"].as_str().unwrap().to_owned();
                assert!(said.contains("left") || said.contains("right"), "{said}");
                said.contains(word).then_some(())
            })
            .await;
        }
    };
    answers("left").await;
    for word in ["right", "left", "right"] {
        point_to(&server.home, word);
        futures::future::join_all([(); 4].map(|()| answers(word))).await;
    }
    // What cannot be used changes nothing.
    server.home.write("backends/words.yaml", "type: sqlite\nconnection: { paht: ./x }\n");
    let refused = |line: &str| line.contains("a file is not used") && line.contains("words.yaml:2:15");
    let mut server = server;
    server.logged(refused).await;
    assert!(server.ask("who?").await["text"].as_str().unwrap().contains("right"));
}

#[tokio::test]
async fn an_agent_whose_backend_comes_later_is_there_once_the_backend_is() {
    let home = Home::playing("default: { text: fine }");
    home.write(
        "agents/tester.yaml",
        "apiVersion: loom/v1\nkind: Agent\nmetadata: { name: tester }\nspec: { backends: [shop] }\n",
    );
    make_database(&home.path("shop.db")).await;
    let mut server = Serving::start(home).await;
    server.logged(|line| line.contains("a file is not used") && line.contains("tester.yaml")).await;
    server.home.write("backends/shop.yaml", "type: sqlite\nconnection: { path: ../shop.db }\n");
    until("the agent answers", async || {
        (server.http.post("/v1/weave", json!({ "query": "hi" })).await.status == 200).then_some(())
    })
    .await;
    let tools = server.http.get("/v1/tools?backend=shop").await.ok();
    assert!(tools["tools"].as_array().is_some_and(|tools| tools.iter().any(|tool| tool["name"] == "query")));
    assert_eq!(tools["totalCount"], Value::from(tools["tools"].as_array().unwrap().len()));

    std::fs::remove_file(server.home.path("backends/shop.yaml")).unwrap();
    let error = until("the agent says what it lacks", async || {
        let agent = server.http.get("/v1/agents/tester").await.ok();
        agent["error"].as_str().filter(|error| !error.is_empty()).map(str::to_owned)
    })
    .await;
    assert!(error.contains("shop"), "{error}");
    let (status, problem) = server.http.post("/v1/weave", json!({ "query": "hi" })).await.problem();
    assert_eq!((status, &problem["code"]), (404, &json!("LOOM_BACKEND_NOT_FOUND")));
}

#[tokio::test]
async fn a_start_that_misses_an_agents_file_warns_and_the_file_brings_its_sessions_back() {
    let server = Serving::start(Home::playing("default: { text: fine }")).await;
    let session = server.ask("hi").await["sessionId"].clone();
    let (home, _) = server.stop().await;
    std::fs::rename(home.path("agents/tester.yaml"), home.path("elsewhere.yaml")).unwrap();
    let mut server = Serving::start(home).await;
    server.logged(|line| line.contains("WARN") && line.contains("tester.yaml")).await;
    let http = server.http.clone();
    let ask = async || http.post("/v1/weave", json!({ "query": "hi", "sessionId": session })).await;
    let (status, problem) = ask().await.problem();
    assert_eq!((status, &problem["code"]), (404, &json!("LOOM_AGENT_NOT_FOUND")));
    assert!(problem["detail"].as_str().unwrap().contains("tester.yaml"), "{problem}");

    std::fs::rename(server.home.path("elsewhere.yaml"), server.home.path("agents/other.yaml")).unwrap();
    until("the agent is back", async || (ask().await.status == 200).then_some(())).await;
}
