//! Patterns by request: read again, written, listed in pages, followed.

use loom_testkit::Reflected;
use serde_json::{Value, json};

use crate::doors::Door;
use crate::home::Home;
use crate::http::Sse;
use crate::serving::{Serving, until};

fn pattern(name: &str, title: &str) -> String {
    format!("name: {name}\ntitle: {title}\ncategory: treasure\nintents: [where is the {name}]\n")
}

async fn serving() -> Serving {
    let home = Home::playing("default: { text: fine }");
    home.write("patterns/sql/gold.yaml", &pattern("gold", "Where the gold is"));
    home.write("patterns/sql/deep/silver.yaml", &pattern("silver", "Where the silver is"));
    home.write("patterns/other/tin.yaml", &pattern("tin", "Where the tin is"));
    Serving::start(home).await
}

#[tokio::test]
async fn a_folder_is_read_again_and_no_other_place_is() {
    let server = serving().await;
    std::fs::create_dir(server.home.path("secret")).unwrap();
    server.home.write("secret/lead.yaml", &pattern("lead", "Lead"));
    let absolute = server.home.path("patterns/sql").display().to_string();
    for door in Door::both(&server).await {
        let loaded = door.ok("LoadPatterns", json!({ "directory": "./patterns/sql" })).await;
        assert_eq!(
            (&loaded["patternsLoaded"], &loaded["patternNames"]),
            (&json!(2), &json!(["gold", "silver"]))
        );
        for same in ["sql", absolute.as_str()] {
            assert_eq!(
                door.ok("LoadPatterns", json!({ "source": same })).await["patternsLoaded"],
                2,
                "{same}"
            );
        }
        let one = door.ok("LoadPatterns", json!({ "source": "sql/gold.yaml", "forceReload": true })).await;
        assert_eq!(one["patternNames"], json!(["gold"]));
        let all = door.ok("LoadPatterns", json!({})).await["patternsLoaded"].as_i64().unwrap();
        assert!(all > 30, "{all}");
        let sql =
            door.ok("LoadPatterns", json!({ "domains": ["sql"] })).await["patternsLoaded"].as_i64().unwrap();
        assert!(sql > 20 && sql < all, "sql-core and its kin, and the folder sql: {sql}");
        for out in ["..", "secret", "../secret", "sql/../../secret", "/etc", "/"] {
            let refused = door.call("LoadPatterns", json!({ "source": out })).await.unwrap_err();
            assert_eq!(
                refused.0,
                if out == "secret" { "LOOM_INVALID_ARGUMENT" } else { "LOOM_PATH_REFUSED" },
                "{out}"
            );
        }
        for wrong in [json!({ "source": "sql", "directory": "other" }), json!({ "source": "sql/none.yaml" })]
        {
            assert_eq!(door.refused("LoadPatterns", wrong).await, "LOOM_INVALID_ARGUMENT");
        }
        let agent = json!({ "source": "sql", "agentId": "tester" });
        assert_eq!(door.ok("LoadPatterns", agent).await["patternsLoaded"], 2);
        let nobody = json!({ "source": "sql", "agentId": "nobody" });
        assert_eq!(door.refused("LoadPatterns", nobody).await, "LOOM_AGENT_NOT_FOUND");
    }
    // The route of the architecture's document, with its body.
    let answer = server.http.post("/v1/patterns/load", json!({ "directory": "./patterns/sql" })).await.ok();
    assert_eq!(answer["patternsLoaded"], 2);

    server.home.write("patterns/sql/gold.yaml", "name: gold\ntitel: typo\n");
    let answer = server.http.post("/v1/patterns/load", json!({ "directory": "./patterns/sql" })).await.ok();
    assert_eq!(answer["patternNames"], json!(["gold", "silver"]), "the version before it stays");
    let failed = &answer["failed"][0];
    assert_eq!((&failed["file"], &failed["line"]), (&json!("sql/gold.yaml"), &json!(2)), "{answer}");
    assert!(answer["errors"][0].as_str().unwrap().starts_with("sql/gold.yaml:2:"), "{answer}");
    let elsewhere = server.http.post("/v1/patterns/load", json!({ "directory": "other" })).await.ok();
    assert_eq!(elsewhere["errors"], json!([]));

    let said = server.run(["pattern", "load", "--dir", "./patterns/sql"]).await;
    assert!(said.out.contains("not used: sql/gold.yaml:2:1") && said.code != 0, "{}{}", said.out, said.err);
    server.home.write("patterns/sql/gold.yaml", &pattern("gold", "Where the gold went"));
    let out = server.run(["pattern", "load", "--dir", "./patterns/sql"]).await.worked();
    assert!(out.contains("2 patterns are served from ./patterns/sql: gold, silver"), "{out}");
    let out = server.run(["pattern", "list", "--domain", "sql"]).await.worked();
    assert!(out.contains("gold") && out.contains("top_by_total") && !out.contains("tin "), "{out}");
}

#[tokio::test]
async fn a_pattern_that_is_written_is_found_at_once_and_its_name_is_taken() {
    let server = serving().await;
    for door in Door::both(&server).await {
        let name = format!("pearl_{}", door.name());
        let yaml = pattern(&name, "Where the pearl is");
        let request = json!({ "name": name, "yamlContent": yaml, "domain": "sea" });
        let created = door.ok("CreatePattern", request.clone()).await;
        assert_eq!((&created["success"], &created["patternName"]), (&json!(true), &json!(name)));
        let path = server.home.path(&format!("patterns/sea/{name}.yaml"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), yaml);
        assert!(created["filePath"].as_str().unwrap().ends_with(&format!("patterns/sea/{name}.yaml")));
        let found = door.ok("ListPatterns", json!({ "search": name })).await;
        assert_eq!(
            (&found["patterns"][0]["name"], &found["patterns"][0]["domain"]),
            (&json!(name), &json!("sea"))
        );

        assert_eq!(door.refused("CreatePattern", request).await, "LOOM_PATTERN_EXISTS");
        let built_in = json!({ "yamlContent": "name: top_by_total" });
        assert_eq!(door.refused("CreatePattern", built_in).await, "LOOM_PATTERN_EXISTS");
        let again = json!({ "yamlContent": pattern(&name, "It rolled away"), "overwrite": true });
        door.ok("CreatePattern", again).await;
        assert!(std::fs::read_to_string(&path).unwrap().contains("rolled away"));

        for bad in ["../up", "a/b", "a\\b", "nul", ".hidden", "a\u{7}b", "two words"] {
            let request = json!({ "name": bad, "yamlContent": pattern("x", "x") });
            assert_eq!(door.refused("CreatePattern", request).await, "LOOM_INVALID_ARGUMENT", "{bad:?}");
            let request = json!({ "domain": bad, "yamlContent": pattern("x", "x") });
            assert_eq!(door.refused("CreatePattern", request).await, "LOOM_INVALID_ARGUMENT", "{bad:?}");
        }
        for bad in ["name: x\ntitel: y", "name: other", "", "- 1", "name: x\ntemplates: {a: 'system: {{b}}'}"]
        {
            let request = json!({ "name": "x", "yamlContent": bad });
            assert_eq!(door.refused("CreatePattern", request).await, "LOOM_INVALID_PATTERN", "{bad}");
        }
    }
    let answer =
        server.http.post("/v1/patterns", json!({ "name": "x", "yamlContent": "name: x\ntitel: y" })).await;
    let (status, problem) = answer.problem();
    assert_eq!((status, &problem["metadata"]["line"]), (400, &json!("2")), "{problem}");

    let racing = (0..8).map(|number| {
        let yaml = pattern("raced", &format!("by {number}"));
        let http = server.http.clone();
        async move { http.post("/v1/patterns", json!({ "yamlContent": yaml })).await.status }
    });
    let mut statuses = futures::future::join_all(racing).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409], "one wins, the others are told");

    server.home.write("new.yaml", &pattern("amber", "Where the amber is"));
    let out = server.run(["pattern", "create", "--file", "new.yaml", "--domain", "sea"]).await.worked();
    assert!(out.contains("pattern amber is served from"), "{out}");
    let error = server.run(["pattern", "create", "--file", "new.yaml"]).await.failed(5);
    assert!(error.contains("LOOM_PATTERN_EXISTS"), "{error}");
}

#[tokio::test]
async fn lists_come_in_pages_and_a_token_of_another_query_is_refused() {
    let server = serving().await;
    for door in Door::both(&server).await {
        for query in
            [json!({}), json!({ "domain": "sql" }), json!({ "search": "top customers by total spend" })]
        {
            let whole = door.ok("ListPatterns", query.clone()).await;
            assert_eq!(whole["nextPageToken"], "");
            let mut names = Vec::new();
            let mut token = json!("");
            loop {
                let mut request = query.clone();
                request["pageSize"] = json!(7);
                request["pageToken"] = token;
                let page = door.ok("ListPatterns", request).await;
                assert_eq!(page["totalCount"], whole["totalCount"]);
                names.extend(
                    page["patterns"].as_array().unwrap().iter().map(|pattern| pattern["name"].clone()),
                );
                token = page["nextPageToken"].clone();
                if token == "" {
                    break;
                }
                let other = json!({ "category": "ranking", "pageToken": token });
                assert_eq!(door.refused("ListPatterns", other).await, "LOOM_INVALID_ARGUMENT");
            }
            let all: Vec<_> =
                whole["patterns"].as_array().unwrap().iter().map(|p| p["name"].clone()).collect();
            assert_eq!(names, all, "{query}");
        }
        for wrong in [json!({ "pageToken": "x" }), json!({ "pageSize": 501 }), json!({ "pageSize": -1 })] {
            assert_eq!(door.refused("ListPatterns", wrong).await, "LOOM_INVALID_ARGUMENT");
        }
    }
}

async fn told(stream: &mut Sse) -> (String, String) {
    let event = stream.next().await.unwrap().data;
    let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
    (text("type"), text("patternName"))
}

#[tokio::test]
async fn who_follows_is_told_of_each_change_and_of_the_end() {
    let server = serving().await;
    let mut all = server.http.stream_after("/v1/patterns:stream", None).await;
    let mut ranking = server.http.stream_after("/v1/patterns:stream?category=ranking", None).await;
    let grpc = server.reflected().await;
    let mut of_agent =
        grpc.stream("StreamPatternUpdates", json!({ "agentId": "tester" }), &[]).await.unwrap();
    let home = &server.home;
    home.write("patterns/sql/jade.yaml", &pattern("jade", "Where the jade is"));
    assert_eq!(told(&mut all).await, ("PATTERN_CREATED".into(), "jade".into()));
    home.write("patterns/sql/jade.yaml", &pattern("jade", "Where the jade went"));
    assert_eq!(told(&mut all).await, ("PATTERN_MODIFIED".into(), "jade".into()));
    home.write("patterns/sql/jade.yaml", "name: jade\ntitel: typo\n");
    let broken = all.next().await.unwrap().data;
    assert_eq!(
        (&broken["type"], &broken["patternName"]),
        (&json!("PATTERN_VALIDATION_FAILED"), &json!("jade"))
    );
    assert_eq!((&broken["problem"]["line"], &broken["filePath"]), (&json!(2), &json!("sql/jade.yaml")));
    assert!(broken["error"].as_str().unwrap().contains("did you mean `title`"), "{broken}");
    std::fs::remove_file(home.path("patterns/sql/jade.yaml")).unwrap();
    assert_eq!(told(&mut all).await, ("PATTERN_DELETED".into(), "jade".into()));
    let agent = server.http.get("/v1/agents/tester").await.ok()["id"].clone();
    for wanted in ["PATTERN_CREATED", "PATTERN_MODIFIED", "PATTERN_VALIDATION_FAILED", "PATTERN_DELETED"] {
        let event = of_agent.next().await.unwrap().unwrap();
        assert_eq!((&event["type"], &event["agentId"]), (&json!(wanted), &agent));
        assert!(event["timestamp"].as_str().unwrap().parse::<i64>().unwrap() > 1_700_000_000, "{event}");
    }
    let yaml = "name: onyx\ncategory: ranking\n";
    server.http.post("/v1/patterns", json!({ "yamlContent": yaml })).await.ok();
    assert_eq!(
        told(&mut ranking).await,
        ("PATTERN_CREATED".into(), "onyx".into()),
        "nothing else was told here"
    );
    let refused = grpc.stream("StreamPatternUpdates", json!({ "agentId": "nobody" }), &[]).await.err();
    assert_eq!(refused.unwrap().reason, "LOOM_AGENT_NOT_FOUND");

    let (_, said) = server.stop().await;
    assert_eq!(said.code, 0, "{}", said.err);
    let last = all.rest().await.pop().unwrap();
    assert_eq!((last.event.as_str(), &last.data["code"]), ("error", &json!("LOOM_SHUTTING_DOWN")));
}

#[tokio::test]
async fn a_reader_that_lags_is_told_so_and_holds_nobody_up() {
    let server = serving().await;
    let client = server.reflected().await;
    let mut slow = client.stream("StreamPatternUpdates", json!({}), &[]).await.unwrap();
    // More than the connection and the backlog hold: long texts, none of them taken.
    let long = "x".repeat(4_000);
    let files: Vec<_> = (0..100).map(|number| format!("patterns/many/p{number}.yaml")).collect();
    std::fs::create_dir_all(server.home.path("patterns/many")).unwrap();
    for round in 0..30 {
        for (number, file) in files.iter().enumerate() {
            let twice = format!("{{name: '{long}{round}'}}");
            let bad = format!("name: p{number}\nparameters: [{twice}, {twice}]\n");
            std::fs::write(server.home.path(file), bad).unwrap();
        }
        let loaded = server.http.post("/v1/patterns:load", json!({ "source": "many" })).await.ok();
        assert_eq!(loaded["failed"].as_array().unwrap().len(), files.len(), "nobody is held up");
    }
    let missed = loop {
        let event = slow.next().await.unwrap().unwrap();
        if event["type"] == "PATTERN_UPDATES_MISSED" {
            break event;
        }
    };
    assert!(missed["missed"].as_str().unwrap().parse::<i64>().unwrap() > 0, "{missed}");
    assert_eq!(slow.next().await.unwrap().unwrap()["type"], "PATTERN_VALIDATION_FAILED", "and it goes on");
}

/// A question that keeps one turn busy with tools.
const SCRIPT: &str = "
rules:
  - { when: { contains: gold }, reply: { tool_calls: [{ name: search_patterns, arguments: { question: where is the gold } }] } }
  - { when: { contains: gold, after_tool: '*' }, reply: { text: found } }
";

#[tokio::test]
async fn patterns_change_a_thousand_times_under_load_and_no_request_fails() {
    const EDITS: usize = 1_000;
    let home = Home::playing(SCRIPT);
    home.write("patterns/sql/gold.yaml", &pattern("gold", "version 0"));
    let server = Serving::start(home).await;
    let done = std::sync::atomic::AtomicBool::new(false);
    let is_done = || done.load(std::sync::atomic::Ordering::Relaxed);
    let grpc: Reflected = server.reflected().await;
    let turns = async {
        let mut asked = 0;
        while !is_done() || asked < 20 {
            assert_eq!(server.ask("where is the gold").await["text"], "found");
            asked += 1;
        }
        asked
    };
    let searches = async {
        let mut asked = 0;
        while !is_done() || asked < 20 {
            let found =
                grpc.call("ListPatterns", json!({ "search": "where is the gold" }), &[]).await.unwrap();
            assert_eq!(found["patterns"][0]["name"], "gold");
            let whole = server.http.get("/v1/patterns?domain=sql-core").await.ok();
            assert_eq!(whole["totalCount"], whole["patterns"].as_array().unwrap().len());
            asked += 1;
        }
        asked
    };
    let edits = async {
        for number in 1..=EDITS {
            server.home.write("patterns/sql/gold.yaml", &pattern("gold", &format!("version {number}")));
            match number % 4 {
                0 => {
                    server.http.post("/v1/patterns:load", json!({ "source": "sql" })).await.ok();
                }
                1 => server.home.write("patterns/more/silver.yaml", &pattern("silver", "here")),
                2 => server.home.write("patterns/more/broken.yaml", "name: broken\ntitel: typo\n"),
                _ => {
                    // The watcher may have been faster than the edit before this one.
                    drop(std::fs::remove_file(server.home.path("patterns/more/silver.yaml")));
                    let yaml = pattern("tin", &format!("version {number}"));
                    let request = json!({ "yamlContent": yaml, "domain": "more", "overwrite": true });
                    server.http.post("/v1/patterns", request).await.ok();
                }
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (turns, searches, ()) = tokio::join!(turns, searches, edits);
    println!("{EDITS} edits, {turns} turns, {searches} searches");
    until("the last edit of each file is served", async || {
        let patterns = server.http.post("/v1/patterns:load", json!({ "source": "more" })).await.ok();
        (patterns["patternNames"] == json!(["tin"])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_new_file_is_valid_and_advice_tells_what_to_change() {
    let home = Home::bare();
    let out = home.run(["pattern", "new", "late_orders", "--dir", "patterns/shop"]).await.worked();
    assert!(out.contains("patterns/shop/late_orders.yaml"), "{out}");
    let out = home.run(["pattern", "validate", "--file", "./patterns/shop/late_orders.yaml"]).await.worked();
    assert!(out.contains("1 pattern is valid"), "{out}");
    let out = home.run(["pattern", "lint", "--strict", "patterns/shop"]).await.worked();
    assert!(out.contains("nothing to say about 1 pattern"), "{out}");
    let error = home.run(["pattern", "new", "late_orders", "--dir", "patterns/shop"]).await.failed(5);
    assert!(error.contains("is there already"), "{error}");
    for bad in ["../up", "a/b", "con", "two words"] {
        home.run(["pattern", "new", bad]).await.failed(5);
    }
    home.write("patterns/custom.yaml", "name: custom\ntitle: Short\nintents: [why]\n");
    let error = home.run(["pattern", "lint", "--strict", "patterns"]).await.failed(5);
    assert!(error.contains("LOOM_INVALID_PATTERN"), "{error}");
    let out = home.run(["pattern", "lint", "--file", "patterns/custom.yaml", "--json"]).await.worked();
    let found: Value = serde_json::from_str(&out).unwrap();
    let few =
        found["advice"].as_array().unwrap().iter().find(|advice| advice["rule"] == "few-intents").unwrap();
    assert_eq!((&few["line"], &few["pattern"]), (&json!(3), &json!("custom")));
}
