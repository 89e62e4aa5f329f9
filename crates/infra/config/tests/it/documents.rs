//! The files that the 12-factor document and the reference system show.

use insta::assert_snapshot;
use loom_config::{StorageBackend, Tracer};

use crate::world::World;

#[test]
fn the_development_file_works_as_printed() {
    let file = "\
llm:
  provider: ollama
  ollama_endpoint: http://localhost:11434
  ollama_model: llama3.1:8b
observability:
  enabled: false
database:
  driver: sqlite
  path: ./dev.db
";
    let loaded = World::new().file(file).env("LOOM_ENV", "dev").load();
    assert_eq!(loaded.config.paths.db_path.to_str(), Some("./dev.db"));
    assert_eq!(loaded.config.observability.tracer(), Tracer::None);
    assert_eq!(loaded.config.provider("ollama").unwrap().model, "llama3.1:8b");
}

#[test]
fn the_production_file_is_refused_for_what_is_missing() {
    let file = "\
llm:
  provider: anthropic
  anthropic_model: claude-sonnet-4-5-20250514
observability:
  enabled: true
  provider: hawk
  hawk_endpoint: https://hawk.example.com:50051
database:
  driver: sqlite  # a comment
  path: /var/lib/loom/loom.db
";
    assert_snapshot!(World::new().file(file).env("LOOM_ENV", "prod").errors(), @r"
looms.yaml:6:13: `observability.provider`: `hawk` is not in this version; use `embedded` or `none` [LOOM_UNSUPPORTED_FIELD]
looms.yaml:7:3: `observability.hawk_endpoint` is not in this version: set `observability.provider` to `embedded` or `none` [LOOM_UNSUPPORTED_FIELD]
");
}

#[test]
fn a_database_of_several_servers_is_named_by_a_variable_and_never_written_down() {
    let file = "database: { driver: postgres, dsn: '${TEAM_DATABASE}' }\n";
    let loaded = World::new().file(file).env("TEAM_DATABASE", "postgres://me:hunter2@db/loom").load();
    let storage = &loaded.config.storage;
    assert_eq!(storage.backend, StorageBackend::Postgres);
    assert_eq!(loaded.secrets.get(&storage.dsn).unwrap().expose(), "postgres://me:hunter2@db/loom");
    assert!(!loaded.explain("storage.dsn").unwrap().to_string().contains("hunter2"));

    let written = World::new().file("storage: { dsn: 'postgres://me:hunter2@db/loom' }\n").errors();
    assert!(written.contains("a secret is not written into a file"), "{written}");
    assert!(!written.contains("hunter2"), "{written}");
}

#[test]
fn the_server_sections_work_as_printed() {
    let file = "\
server:
  grpc_port: 60051  # Primary gRPC API
  http_port: 5006   # Optional HTTP/REST gateway (0 = disabled)
  host: 0.0.0.0     # Bind address
  behavior:
    max_concurrent_requests: 100  # Global request limit
    request_timeout_seconds: 300
    graceful_shutdown: true
    shutdown_timeout_seconds: 30
logging:
  level: info        # debug, info, warn, error
  format: json       # json, text
  file: \"\"           # Optional log file (default: stdout/stderr)
";
    let world = World::new().file(file);
    assert_snapshot!(world.errors(), @"looms.yaml:4:9: `server.host`: other machines can reach 0.0.0.0, and this version has neither TLS nor authentication; listen on 127.0.0.1, or accept it by `--insecure-bind` [LOOM_INSECURE_BIND]");
    let config = world.flag("--insecure-bind", "server.insecure_bind", "true").load().config;
    assert_eq!(config.server.behavior.shutdown_timeout().as_secs(), 30);
    let world = World::new().file("server:\n  behavior: {graceful_shutdown: false}\n");
    assert_eq!(world.load().config.server.behavior.shutdown_timeout().as_secs(), 0);
}

#[test]
fn names_of_the_reference_system_work() {
    let file = "\
server: {port: 50051, enable_reflection: false}
storage:
  backend: sqlite
  sqlite: {path: /srv/x.db}
tracer: noop
active_provider: anthropic
";
    let config = World::new().file(file).load().config;
    assert_eq!((config.server.grpc_port, config.server.reflection), (50051, false));
    assert_eq!(config.paths.db_path.to_str(), Some("/srv/x.db"));
    assert_eq!(config.llm.provider.as_deref(), Some("anthropic"));
}
