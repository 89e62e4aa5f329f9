//! Where values come from, and what is said about the environment.

use insta::assert_snapshot;
use loom_config::{Config, FileChoice, Inputs, Source, Tracer};

use crate::world::World;

#[test]
fn each_source_is_named_and_what_it_hides_is_listed() {
    let file = "server:\n  grpc_port: 2\nprofiles:\n  qa:\n    server: {port: 4}\n";
    let full = World::new()
        .file(file)
        .flag("--port", "server.grpc_port", "1")
        .env("LOOM_SERVER_PORT", "5")
        .env("LOOM_GRPC_PORT", "3")
        .env("LOOM_ENV", "qa");
    assert_snapshot!(full.plain(&full.load().explain("server.port").unwrap().to_string()), @r"
server.grpc_port = 1
  from flag --port
  over 2 from file looms.yaml:2:14
  over 3 from environment LOOM_GRPC_PORT
  over 5 from environment LOOM_SERVER_PORT
  over 4 from profile qa (looms.yaml:5:20)
");
    let flagless = World::new().file(file).env("LOOM_GRPC_PORT", "3");
    assert_snapshot!(flagless.plain(&flagless.load().explain("server.grpc_port").unwrap().to_string()), @r"
server.grpc_port = 2
  from file looms.yaml:2:14
  over 3 from environment LOOM_GRPC_PORT
");
    let fileless = World::new().env("LOOM_GRPC_PORT", "3").load();
    assert_snapshot!(fileless.explain("server.grpc_port").unwrap(), @r"
server.grpc_port = 3
  from environment LOOM_GRPC_PORT
");
    let profile = World::new().file(file).env("LOOM_ENV", "qa");
    assert_snapshot!(profile.plain(&profile.load().explain("server.grpc_port").unwrap().to_string()), @r"
server.grpc_port = 2
  from file looms.yaml:2:14
  over 4 from profile qa (looms.yaml:5:20)
");
    let built_in = World::new().env("LOOM_ENV", "dev").load();
    assert_snapshot!(built_in.explain("llm.provider").unwrap(), @r"
llm.provider = ollama
  from profile dev
");
    let nothing = World::new().load();
    assert_snapshot!(nothing.explain("server.grpc_port").unwrap(), @r"
server.grpc_port = 60051
  from default
");
    assert_snapshot!(nothing.explain("llm.provider").unwrap(), @r"
llm.provider = (unset)
  from default
");
}

#[test]
fn get_prints_values_and_knows_no_other_keys() {
    let loaded = World::new().env("OLLAMA_URL", "http://gpu:1/").load();
    assert_eq!(loaded.get("llm.ollama_endpoint").unwrap(), Some("http://gpu:1"));
    assert_eq!(loaded.get("db_path").unwrap(), Some("/home/me/.loom/loom.db"));
    assert_eq!(loaded.get("llm.provider").unwrap(), None);
    assert_snapshot!(loaded.get("llm.provder").unwrap_err(), @"unknown key `llm.provder`; did you mean `llm.provider`?");
    assert_snapshot!(loaded.get("server").unwrap_err(), @"unknown key `server`; it is a section");
    assert_snapshot!(loaded.get("server.tls.mode").unwrap_err(), @"unknown key `server.tls.mode`; it is not in this version");
    assert_snapshot!(loaded.get("providers.lab.type").unwrap_err(), @"unknown key `providers.lab.type`; the file has no such provider");
    assert!(loaded.explain_all().count() > 25);
}

#[test]
fn variables_that_change_nothing_are_named_once() {
    let world = World::new()
        .file("server:\n  http_port: 7\nllm:\n  ollama_model: ${LOOM_MINE}\n")
        .flag("--port", "server.grpc_port", "9")
        .env("LOOM_HTTP_PORT", "8")
        .env("LOOM_GRPC_PORT", "8")
        .env("LOOM_HTPP_PORT", "8")
        .env("LOOM_ZEBRA", "x")
        .env("LOOM_MINE", "m")
        .env("LOOM_SERVER_REFLECTION", "")
        .env("BEDROCK_REGION", "us-east-1");
    let notices = world.load().notices;
    let text = notices.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert_snapshot!(world.plain(&text), @r"
LOOM_HTTP_PORT has no effect: `server.http_port` is set by file looms.yaml:2:14
LOOM_HTPP_PORT sets nothing; did you mean LOOM_HTTP_PORT?
LOOM_ZEBRA sets nothing
BEDROCK_REGION has no effect: the provider bedrock is not in this version
");
}

#[test]
fn the_profile_dev_is_ollama_and_no_tracer() {
    let loaded = World::new().env("LOOM_ENV", "dev").env("OLLAMA_URL", "http://gpu:11434").load();
    assert_eq!(loaded.profile.as_deref(), Some("dev"));
    assert_eq!(loaded.config.observability.tracer(), Tracer::None);
    let ollama = loaded.config.provider(loaded.config.llm.provider.as_deref().unwrap()).unwrap();
    assert_eq!(ollama.base_url.unwrap().as_str(), "http://gpu:11434/v1");
    assert_eq!(ollama.api_key, None);
}

#[test]
fn a_profile_that_names_missing_things_works_when_other_sources_set_them() {
    let file = "observability: {provider: embedded}\n";
    let loaded = World::new().file(file).env("LOOM_ENV", "prod").load();
    assert_eq!(loaded.config.llm.provider.as_deref(), Some("anthropic"));
    let own = "profiles:\n  prod:\n    llm: {provider: openai}\n";
    let loaded = World::new().file(own).env("LOOM_ENV", "prod").load();
    assert_eq!(loaded.config.llm.provider.as_deref(), Some("openai"));
    assert_eq!(loaded.explain("observability.provider").unwrap().source, Source::Default);
}

#[test]
fn a_profile_that_is_not_selected_needs_none_of_its_variables() {
    let file =
        "profiles:\n  qa:\n    server: {http_port: '${QA_PORT}', cors: {allowed_origins: ['${QA_WEB}']}}\n";
    assert_eq!(World::new().file(file).load().config, World::new().load().config);
    assert!(World::new().file(file).env("LOOM_ENV", "qa").errors().contains("QA_PORT is not set"));
}

#[test]
fn the_file_is_searched_for_in_the_data_folder_unless_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, port: u16| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("server: {{http_port: {port}}}\n")).unwrap();
        path
    };
    write("looms.yaml", 1);
    let other = write("other.yaml", 2);
    let named = write("named.yaml", 3);
    let data_dir = folder.path().display().to_string();
    let load = |file: FileChoice, config: Option<String>| {
        let mut env = vec![("LOOM_DATA_DIR".to_owned(), data_dir.clone())];
        env.extend(config.map(|path| ("LOOM_CONFIG".to_owned(), path)));
        Config::load(Inputs { file, env: env.into_iter().collect(), ..Inputs::default() })
    };
    let config = || Some(other.display().to_string());
    assert_eq!(load(FileChoice::Search, None).unwrap().config.server.http_port, 1);
    assert_eq!(load(FileChoice::Search, config()).unwrap().config.server.http_port, 2);
    let loaded = load(FileChoice::Named(named.clone()), config()).unwrap();
    assert_eq!((loaded.config.server.http_port, loaded.file), (3, Some(named)));
    assert_eq!(load(FileChoice::Nothing, config()).unwrap().config.server.http_port, 5006);
    let missing = load(FileChoice::Search, Some("/no/such/looms.yaml".to_owned())).unwrap_err();
    assert_snapshot!(missing, @"/no/such/looms.yaml: the configuration file cannot be read: No such file or directory (os error 2)");
}
