//! Every RPC, over gRPC and over HTTP, right and wrong.

use serde_json::{Value, json};

use crate::doors::{Door, assert_routes_are_all, timeless};
use crate::home::{Home, TESTER};
use crate::serving::Serving;
use crate::shop::make_database;

const SCRIPT: &str = "
rules:
  - { when: { contains: tables }, reply: { tool_calls: [{ name: list_tables }] } }
  - { when: { contains: tables, after_tool: '*' }, reply: { text: counted } }
default: { text: '{{user}}' }
";

async fn serving() -> Serving {
    let home = Home::playing(SCRIPT);
    make_database(&home.path("shop.db")).await;
    home.write("backends/shop.yaml", "type: sqlite\nconnection: { path: ../shop.db }\n");
    home.write(
        "agents/tester.yaml",
        "apiVersion: loom/v1\nkind: Agent\nmetadata: { name: tester }\nspec: { backends: [shop], config: { patterns: { enabled: false } } }\n",
    );
    Serving::start(home).await
}

fn texts<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|item| item[key].as_str().unwrap()).collect()
}

#[tokio::test]
async fn reflection_and_routes_tell_of_the_same_rpcs() {
    let server = serving().await;
    assert_routes_are_all(server.reflected().await.rpcs());
    let openapi = server.http.get("/openapi.json").await.ok();
    assert_eq!(openapi["openapi"], "3.1.0");
    assert!(openapi["paths"]["/v1/weave:stream"]["post"].is_object());
}

#[tokio::test]
async fn what_the_server_says_of_itself_is_the_same_at_both_doors() {
    let server = serving().await;
    let [grpc, http] = Door::both(&server).await;
    for (rpc, request) in [
        ("GetHealth", json!({})),
        ("GetServerConfig", json!({})),
        ("GetStorageStatus", json!({})),
        ("ListTools", json!({ "backend": "shop" })),
        ("ListAgents", json!({})),
        ("GetAgent", json!({ "agentId": "tester" })),
        ("ListPatterns", json!({ "search": "top customers", "domain": "sql-core" })),
        ("GetPattern", json!({ "name": "top_by_total" })),
        ("ReloadPatterns", json!({})),
        ("ListSessions", json!({ "limit": 5 })),
    ] {
        let [one, other] = [grpc.ok(rpc, request.clone()).await, http.ok(rpc, request).await].map(timeless);
        assert_eq!(one, other, "{rpc}");
    }
    let health = grpc.ok("GetHealth", json!({})).await;
    assert_eq!(
        (&health["status"], &health["components"]["storage"]["status"]),
        (&json!("healthy"), &json!("healthy"))
    );
    let storage = grpc.ok("GetStorageStatus", json!({})).await["status"].clone();
    assert_eq!(
        (&storage["healthy"], &storage["backend"]),
        (&json!(true), &json!("STORAGE_BACKEND_TYPE_SQLITE"))
    );
    assert!(storage["latencyMs"].as_str().unwrap().parse::<i64>().unwrap() > 0, "{storage}");
    assert!(storage["migrationVersion"].as_i64().unwrap() > 0 && storage["poolStats"].is_object());
    let config = grpc.ok("GetServerConfig", json!({})).await;
    assert_eq!(config["network"]["grpcAddress"], server.grpc.to_string());
    assert_eq!(config["behavior"]["maxConcurrentRequests"], 100);
    let tools = grpc.ok("ListTools", json!({ "backend": "shop" })).await;
    assert!(texts(&tools["tools"], "name").contains(&"run_pattern"), "{tools}");
    for tool in tools["tools"].as_array().unwrap() {
        assert!(!tool["description"].as_str().unwrap().is_empty());
        let schema: Value = serde_json::from_str(tool["inputSchemaJson"].as_str().unwrap()).unwrap();
        assert_eq!((&schema["type"], &tool["backends"]), (&json!("object"), &json!(["shop"])));
    }
    assert_eq!(grpc.refused("ListTools", json!({ "backend": "no" })).await, "LOOM_BACKEND_NOT_FOUND");
    let found = http.ok("ListPatterns", json!({ "search": "top customers by total" })).await;
    assert_eq!(found["patterns"][0]["name"], "top_by_total");
    for (path, text) in [("/livez", "ok\n"), ("/readyz", "ready\n")] {
        assert_eq!(server.http.get(path).await.text, text);
    }
}

#[tokio::test]
async fn sessions_from_their_creation_to_their_end() {
    let server = serving().await;
    for door in Door::both(&server).await {
        let draft =
            json!({ "name": "mine", "backend": "shop", "agentId": "tester", "metadata": { "k": "v" } });
        let session = door.ok("CreateSession", draft).await;
        assert_eq!((&session["name"], &session["state"]), (&json!("mine"), &json!("active")));
        assert_eq!((&session["agentName"], &session["metadata"]["k"]), (&json!("tester"), &json!("v")));
        let id = session["id"].as_str().unwrap();
        assert!(id.len() > 30, "{id} can be guessed");
        for query in ["how many tables", "bye"] {
            let answer = door.ok("Weave", json!({ "query": query, "sessionId": id })).await;
            assert_eq!((&answer["sessionId"], &answer["agentId"]), (&json!(id), &session["agentId"]));
        }
        let stored = door.ok("GetSession", json!({ "sessionId": id })).await;
        assert_eq!(stored["conversationCount"], 2);
        assert!(stored["totalCostUsd"].as_f64().unwrap() > 0.0);
        let history = door.ok("GetConversationHistory", json!({ "sessionId": id })).await;
        assert_eq!(
            texts(&history["messages"], "role"),
            ["user", "assistant", "tool", "assistant", "user", "assistant"]
        );
        let call = &history["messages"][1]["toolCalls"][0];
        assert_eq!((&call["name"], &call["success"]), (&json!("list_tables"), &json!(true)));
        assert!(call["resultJson"].as_str().unwrap().contains("taking"), "{call}");
        let page =
            door.ok("GetConversationHistory", json!({ "sessionId": id, "offset": 4, "limit": 1 })).await;
        assert_eq!((texts(&page["messages"], "content"), &page["totalCount"]), (vec!["bye"], &json!(6)));
        let listed = door
            .ok("ListSessions", json!({ "agentId": "tester", "state": "active", "backend": "shop" }))
            .await;
        assert_eq!(texts(&listed["sessions"], "id"), [id]);

        assert_eq!(door.ok("DeleteSession", json!({ "sessionId": id })).await["success"], true);
        for rpc in ["DeleteSession", "GetSession", "GetConversationHistory"] {
            assert_eq!(
                door.refused(rpc, json!({ "sessionId": id })).await,
                "LOOM_SESSION_NOT_FOUND",
                "{rpc}"
            );
        }
        for (request, code) in [
            (json!({ "agentId": "nobody" }), "LOOM_AGENT_NOT_FOUND"),
            (json!({ "backend": "nothing" }), "LOOM_BACKEND_NOT_FOUND"),
            (json!({ "config": { "a": "b" } }), "LOOM_UNSUPPORTED_FIELD"),
            (json!({ "metadata": { "loom.model": "m" } }), "LOOM_INVALID_ARGUMENT"),
        ] {
            assert_eq!(door.refused("CreateSession", request).await, code);
        }
        for (request, code) in [
            (json!({ "state": "asleep" }), "LOOM_INVALID_ARGUMENT"),
            (json!({ "projectId": "p" }), "LOOM_UNSUPPORTED_FIELD"),
            (json!({ "metadataStatus": "s" }), "LOOM_UNSUPPORTED_FIELD"),
            (json!({ "offset": -1 }), "LOOM_INVALID_ARGUMENT"),
            (json!({ "agentId": "nobody" }), "LOOM_AGENT_NOT_FOUND"),
        ] {
            assert_eq!(door.refused("ListSessions", request).await, code);
        }
    }
}

#[tokio::test]
async fn a_session_goes_on_from_an_earlier_turn_in_another() {
    let server = serving().await;
    for door in Door::both(&server).await {
        let session =
            door.ok("CreateSession", json!({ "agentId": "tester", "metadata": { "k": "v" } })).await;
        let id = session["id"].as_str().unwrap();
        for query in ["how many tables", "bye"] {
            door.ok("Weave", json!({ "query": query, "sessionId": id })).await;
        }
        let history = door.ok("GetConversationHistory", json!({ "sessionId": id })).await;
        let fork = door.ok("ForkSession", json!({ "sessionId": id, "at": 1, "model": "other" })).await;
        assert_eq!((&fork["agentName"], &fork["conversationCount"]), (&json!("tester"), &json!(0)));
        assert_eq!(
            (&fork["metadata"]["loom.forked_from"], &fork["metadata"]["k"]),
            (&json!(id), &json!("v"))
        );
        let copied = door.ok("GetConversationHistory", json!({ "sessionId": fork["id"] })).await;
        assert_eq!(texts(&copied["messages"], "role"), ["user", "assistant", "tool", "assistant"]);
        assert_eq!(copied["messages"][1]["toolCalls"], history["messages"][1]["toolCalls"]);
        let answer = door.ok("Weave", json!({ "query": "on", "sessionId": fork["id"] })).await;
        assert_eq!(answer["cost"]["llmCost"]["model"], "other");
        let turn = &answer["turnId"];
        let by_turn = door.ok("ForkSession", json!({ "sessionId": fork["id"], "turnId": turn })).await;
        assert_eq!(by_turn["metadata"]["loom.forked_at"], *turn);
        for (request, code) in [
            (json!({ "sessionId": id, "at": 3 }), "LOOM_TURN_NOT_FOUND"),
            (json!({ "sessionId": id, "at": -1 }), "LOOM_INVALID_ARGUMENT"),
            (json!({ "sessionId": id, "turnId": "7" }), "LOOM_INVALID_ARGUMENT"),
            (json!({ "sessionId": id, "turnId": turn }), "LOOM_TURN_NOT_FOUND"),
            (json!({ "sessionId": id, "at": 1, "turnId": turn }), "LOOM_INVALID_ARGUMENT"),
            (json!({ "sessionId": id, "model": "a\tb" }), "LOOM_INVALID_ARGUMENT"),
            (json!({ "sessionId": "nobody" }), "LOOM_SESSION_NOT_FOUND"),
        ] {
            assert_eq!(door.refused("ForkSession", request).await, code);
        }
    }
}

#[tokio::test]
async fn agents_from_their_creation_to_their_end() {
    let server = serving().await;
    for door in Door::both(&server).await {
        let config = |name: &str, prompt: &str| json!({ "name": name, "systemPrompt": prompt, "backends": ["shop"], "behavior": { "maxTurns": 3 } });
        let created = door.ok("CreateAgentFromConfig", json!({ "config": config("made", "one") })).await;
        assert_eq!(
            (&created["status"], &created["metadata"]["loom.version"]),
            (&json!("running"), &json!("1"))
        );
        assert_eq!(created["config"]["behavior"]["maxTurns"], 3);
        let id = created["id"].clone();
        door.ok("CreateAgent", json!({ "config": config("other", "x") })).await;
        for rpc in ["CreateAgent", "CreateAgentFromConfig"] {
            let again = json!({ "config": config("made", "two") });
            assert_eq!(door.refused(rpc, again).await, "LOOM_AGENT_EXISTS");
        }
        let reloaded =
            door.ok("ReloadAgent", json!({ "agentId": "made", "config": config("made", "two") })).await;
        assert_eq!((&reloaded["id"], &reloaded["metadata"]["loom.version"]), (&id, &json!("2")));
        assert_eq!(door.ok("GetAgent", json!({ "agentId": id })).await["config"]["systemPrompt"], "two");
        assert_eq!(door.refused("ReloadAgent", json!({ "agentId": "made" })).await, "LOOM_INVALID_ARGUMENT");

        let page = door.ok("ListAgents", json!({ "pageSize": 2 })).await;
        assert_eq!((texts(&page["agents"], "name"), &page["totalCount"]), (vec!["made", "other"], &json!(3)));
        let rest = door.ok("ListAgents", json!({ "pageSize": 2, "pageToken": page["nextPageToken"] })).await;
        assert_eq!((texts(&rest["agents"], "name"), &rest["nextPageToken"]), (vec!["tester"], &json!("")));
        assert_eq!(
            door.refused("ListAgents", json!({ "statusFilter": "asleep" })).await,
            "LOOM_INVALID_ARGUMENT"
        );
        assert_eq!(door.refused("ListAgents", json!({ "pageSize": -1 })).await, "LOOM_INVALID_ARGUMENT");

        let session =
            door.ok("Weave", json!({ "query": "hi", "agentId": "made" })).await["sessionId"].clone();
        assert_eq!(door.refused("DeleteAgent", json!({ "agentId": id })).await, "LOOM_AGENT_IN_USE");
        assert_eq!(door.ok("DeleteAgent", json!({ "agentId": id, "force": true })).await["success"], true);
        assert_eq!(door.refused("DeleteAgent", json!({ "agentId": id })).await, "LOOM_AGENT_NOT_FOUND");
        assert_eq!(door.refused("GetAgent", json!({ "agentId": "made" })).await, "LOOM_AGENT_NOT_FOUND");
        let orphan = json!({ "query": "hi", "sessionId": session });
        assert_eq!(door.refused("Weave", orphan).await, "LOOM_SESSION_AGENT_MISMATCH");
        assert_eq!(door.ok("GetConversationHistory", json!({ "sessionId": session })).await["totalCount"], 2);
        door.ok("DeleteAgent", json!({ "agentId": "other" })).await;
    }
}

#[tokio::test]
async fn agents_that_cannot_be_are_refused_by_field() {
    let server = serving().await;
    for door in Door::both(&server).await {
        for (config, code) in [
            (json!({}), "LOOM_INVALID_ARGUMENT"),
            (json!({ "name": "a", "skills": { "enabled": true } }), "LOOM_UNSUPPORTED_FIELD"),
            (json!({ "name": "a", "judgeLlm": {} }), "LOOM_UNSUPPORTED_FIELD"),
            (json!({ "name": "a", "memory": { "type": "postgres" } }), "LOOM_UNSUPPORTED_FIELD"),
            (json!({ "name": "a", "backends": ["nothing"] }), "LOOM_BACKEND_NOT_FOUND"),
            (json!({ "name": "a", "llm": { "maxTokens": -1 } }), "LOOM_INVALID_ARGUMENT"),
            (json!({ "name": "a", "llm": { "provider": "7up" } }), "LOOM_NO_PROVIDER"),
            (json!({ "name": "a", "llm": { "temperature": 7 } }), "LOOM_INVALID_ARGUMENT"),
            (json!({ "name": "a", "tools": { "builtin": ["no_such_tool"] } }), "LOOM_INVALID_ARGUMENT"),
            (json!({ "name": "a", "systemPrompt": "x ".repeat(40_000) }), "LOOM_INVALID_ARGUMENT"),
        ] {
            assert_eq!(door.refused("CreateAgent", json!({ "config": config })).await, code, "{config}");
        }
        let by_path = json!({ "configPath": "/etc/passwd" });
        assert_eq!(door.refused("CreateAgent", by_path).await, "LOOM_UNSUPPORTED_FIELD");
        assert_eq!(door.refused("CreateAgent", json!({})).await, "LOOM_INVALID_ARGUMENT");
        assert_eq!(door.ok("ListAgents", json!({})).await["totalCount"], 1);
    }
}

#[tokio::test]
async fn an_agent_of_a_file_is_changed_by_its_file() {
    let server = serving().await;
    for (n, door) in Door::both(&server).await.into_iter().enumerate() {
        let before = door.ok("GetAgent", json!({ "agentId": "tester" })).await;
        assert_eq!(before["metadata"]["loom.file"], "tester.yaml");
        let prompt = format!("prompt of {}", door.name());
        server.home.write("agents/tester.yaml", &TESTER.replace("Test.", &prompt));
        let reloaded = door.ok("ReloadAgent", json!({ "agentId": "tester", "reloadFromFile": true })).await;
        assert_eq!(reloaded["config"]["systemPrompt"], prompt);
        assert_eq!(reloaded["metadata"]["loom.version"], (n + 2).to_string());
        let config = json!({ "agentId": "tester", "config": { "name": "tester" } });
        assert_eq!(door.refused("ReloadAgent", config).await, "LOOM_AGENT_IN_USE");
        assert_eq!(
            door.refused("DeleteAgent", json!({ "agentId": "tester", "force": true })).await,
            "LOOM_AGENT_IN_USE"
        );
        assert_eq!(door.refused("ReloadAgent", json!({ "agentId": "nobody" })).await, "LOOM_AGENT_NOT_FOUND");
    }
}

#[tokio::test]
async fn patterns_and_traces_that_are_not_there() {
    let server = serving().await;
    let turn = server.ask("how many tables").await;
    for door in Door::both(&server).await {
        assert_eq!(
            door.refused("GetPattern", json!({ "name": "top_by_totl" })).await,
            "LOOM_PATTERN_NOT_FOUND"
        );
        for id in ["nothing", "0af7651916cd43dd8448eb211c80319c", "turn_01a1fba717fa724a974c1eedf173df54"] {
            assert_eq!(
                door.refused("GetTrace", json!({ "traceId": id })).await,
                "LOOM_TRACE_NOT_FOUND",
                "{id}"
            );
        }
        let trace = door.ok("GetTrace", json!({ "traceId": turn["traceId"] })).await;
        assert_eq!(trace, door.ok("GetTrace", json!({ "traceId": turn["turnId"] })).await);
        let spans = trace["spans"].as_array().unwrap();
        assert_eq!(spans.len(), 4);
        assert_eq!(trace["rootSpan"], spans[0]);
        assert_eq!(trace["totalCost"]["totalCostUsd"], turn["cost"]["totalCostUsd"]);
        assert!(spans.iter().all(|span| span["status"] == "ok"));
        assert_eq!(server.http.get("/v1/traces/x?a=b").await.problem().1["code"], "LOOM_UNKNOWN_FIELD");
    }
    let (status, problem) = server.http.get("/v1/nowhere").await.problem();
    assert_eq!((status, &problem["code"]), (404, &json!("LOOM_ROUTE_NOT_FOUND")));
    let wrong = server.http.delete("/v1/weave").await;
    assert_eq!((wrong.headers["allow"].to_str().unwrap(), wrong.status), ("POST", 405));
}
