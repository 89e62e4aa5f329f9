//! Commands that need no server.

use crate::home::Home;
use crate::shop::make_database;

#[tokio::test]
async fn the_configuration_is_read_explained_and_checked() {
    let mut home = Home::playing("default: { text: fine }");
    home.set("LOOM_GRPC_PORT", "1234");
    home.set("LOOM_LLM_PROVIDER", "offline");
    home.set("LOOM_NO_SUCH", "1");
    let config = ["--config", "looms.yaml"];
    let get = home.run(["config", "get", "llm.provider", config[0], config[1]]).await.worked();
    assert_eq!(get, "mock\n", "the file comes before the environment");
    assert_eq!(
        home.run(["config", "get", "server.grpc_port", config[0], config[1]]).await.worked(),
        "1234\n"
    );
    let set = ["config", "get", "llm.provider", "--set", "llm.provider=offline", config[0], config[1]];
    assert_eq!(home.run(set).await.worked(), "offline\n");
    let explained = home.run(["config", "explain", "llm.provider", config[0], config[1]]).await.worked();
    assert!(explained.contains("looms.yaml:6:18") && explained.contains("LOOM_LLM_PROVIDER"), "{explained}");
    let explained = home.run(["config", "explain", "server.http_port", config[0], config[1]]).await.worked();
    assert!(explained.contains("5006") && explained.contains("default"), "{explained}");
    let valid = home.run(["config", "validate", config[0], config[1]]).await.worked();
    assert!(valid.contains("LOOM_NO_SUCH") && valid.contains("valid"), "{valid}");
    let unknown = home.run(["config", "get", "llm.providr"]).await.failed(5);
    assert!(unknown.contains("llm.provider") && unknown.contains("LOOM_UNKNOWN_FIELD"), "{unknown}");
}

#[tokio::test]
async fn everything_wrong_with_a_configuration_is_said_with_its_place() {
    let home = Home::bare();
    home.write("bad.yaml", "server: { prot: 5 }\nllm: { temperature: hot }\nlogging: { level: loud }\n");
    for arguments in
        [["config", "validate", "--config", "bad.yaml"], ["serve", "--config", "bad.yaml", "--no-color"]]
    {
        let arguments: Vec<_> = arguments.into_iter().filter(|argument| *argument != "--no-color").collect();
        let output = home.command::<0>([]).args(arguments).output().await.unwrap();
        let error = crate::home::Said::of(&output).failed(5);
        for place in ["bad.yaml:1:11: ", "bad.yaml:2:21: ", "bad.yaml:3:19: ", "LOOM_INVALID_CONFIG"] {
            assert!(error.contains(place), "{place} is not in {error}");
        }
    }
    home.write("secret.yaml", "llm: { anthropic_api_key: sk-ant-api03-do-not-show-this }\n");
    let error = home.run(["config", "validate", "--config", "secret.yaml"]).await.failed(5);
    assert!(error.contains("secret.yaml:1:27") && !error.contains("do-not-show"), "{error}");
    let error = home.run(["serve", "--config", "nowhere.yaml"]).await.failed(5);
    assert!(error.contains("nowhere.yaml"), "{error}");
    let error = home.run(["serve", "--no-such-flag"]).await.failed(2);
    assert!(error.contains("--no-such-flag"), "{error}");
}

#[tokio::test]
async fn an_address_that_others_reach_is_refused_unless_it_is_accepted() {
    let home = Home::bare();
    for host in ["0.0.0.0", "::", "192.0.2.1"] {
        let error = home.run(["serve", "--host", host]).await.failed(5);
        assert!(error.contains("LOOM_INSECURE_BIND") && error.contains("--insecure-bind"), "{error}");
    }
    let valid = home
        .run(["config", "validate", "--set", "server.host=0.0.0.0", "--set", "server.insecure_bind=true"])
        .await;
    valid.worked();
}

#[tokio::test]
async fn pattern_files_are_checked_all_at_once() {
    let home = Home::bare();
    home.write("patterns/good.yaml", "name: good\ndescription: fine\nintents: [do it]\n");
    let said = home.run(["pattern", "validate", "patterns/good.yaml"]).await.worked();
    assert_eq!(said, "1 pattern is valid\n");
    home.write("patterns/slip.yaml", "name: slip\ntemplates:\n  sql: SELECT {{nope}}\n");
    let said = home.run(["pattern", "validate", "patterns/slip.yaml"]).await.worked();
    assert!(
        said.contains("template `sql` of `slip` is only shown, not run") && said.contains("nope"),
        "{said}"
    );
    home.write("patterns/tab.yaml", "name: x\n\tdescription: y\n");
    let said = home.run(["pattern", "validate", "patterns"]).await;
    assert!(
        said.err.contains("1 file cannot be used") && !said.out.contains("valid"),
        "{}{}",
        said.out,
        said.err
    );
    home.write("patterns/key.yaml", "name: x\ndescripton: y\n");
    let said = home.run(["pattern", "validate", "patterns"]).await;
    assert_eq!(said.code, 5, "{}", said.err);
    let all = format!("{}{}", said.out, said.err);
    for place in ["patterns/tab.yaml:", "patterns/key.yaml:2:1: ", "LOOM_INVALID_PATTERN"] {
        assert!(all.contains(place), "{place} is not in {all}");
    }
    let error = home.run(["pattern", "validate", "nowhere.yaml"]).await.failed(5);
    assert!(error.contains("nowhere.yaml"), "{error}");
}

#[tokio::test]
async fn backends_are_tried_without_a_server() {
    let home = Home::bare();
    home.configure("");
    make_database(&home.path("takings.db")).await;
    home.write("backends/takings.yaml", "type: sqlite\nconnection: { path: ../takings.db }\n");
    for backend in ["takings.db", "./takings.db", "sqlite://takings.db"] {
        let said = home.run(["backend", "ping", backend]).await.worked();
        assert!(said.contains("answers in"), "{said}");
    }
    let schema = home.run(["backend", "schema", "takings", "--config", "looms.yaml"]).await.worked();
    for word in ["region", "store", "taking", "revenue", "region.region_id"] {
        assert!(schema.contains(word), "{word} is not in {schema}");
    }
    let one = ["backend", "schema", "--file", "backends/takings.yaml", "--table", "store"];
    let schema = home.run(one).await.worked();
    assert!(schema.contains("store") && !schema.contains("revenue"), "{schema}");
    let json = home.run(["backend", "schema", "takings.db", "--json"]).await.worked();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json["tables"].as_array().is_some_and(|tables| tables.len() == 3), "{json}");

    let error = home.run(["backend", "ping", "./nowhere.db"]).await.failed(1);
    assert!(error.contains("nowhere.db") && error.contains("LOOM_BACKEND_UNAVAILABLE"), "{error}");
    assert!(!home.path("nowhere.db").exists(), "nothing is made by asking");
    let error = home.run(["backend", "ping", "nobody", "--config", "looms.yaml"]).await.failed(4);
    assert!(error.contains("LOOM_BACKEND_NOT_FOUND"), "{error}");
    let error = home.run(["backend", "ping", "postgres://me:s3cr3t-word@127.0.0.1:1/x"]).await.failed(1);
    assert!(error.contains("LOOM_BACKEND_UNAVAILABLE") && !error.contains("s3cr3t-word"), "{error}");
    let error = home.run(["backend", "schema", "takings.db", "--table", "nothing"]).await.failed(4);
    assert!(error.contains("nothing"), "{error}");
    home.write("text.db", "This is a text and no database, however long it may be.");
    let error = home.run(["backend", "ping", "text.db"]).await.failed(1);
    assert!(error.contains("not a database"), "{error}");
}
