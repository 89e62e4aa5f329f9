//! What a person reads when something is wrong.

use insta::assert_snapshot;

use crate::world::World;

#[test]
fn everything_wrong_is_said_at_once_with_its_place() {
    let world = World::new()
        .file(
            "\
server:
  grpcport: 1
  http_port: many
  grpc_port: 0
  tls:
    enabled: true
    mode: manual
  behavior:
    max_concurrent_requests: [1, 2]
  cors:
    allowed_origins: [https://a.example, '*']
sever: {host: x}
http_port: 5
llm:
  temperature: 3
  max_tokens:
  bedrock_region: us-east-1
storage:
  backend: mysql
  sqlite: {}
logging:
  level: loud
  file: /var/log/loom.log
observability:
  hawk_address: localhost:50051
  provider: hawk
agents:
  - name: a
    patterns: [x]
data_dir: {a: b}
",
        )
        .flag("--port", "server.grpc_port", "70000")
        .flag("--set", "server.hots", "x")
        .flag("--hawk-addr", "observability.hawk_address", "h:1")
        .env("LOOM_LOGGING_FORMAT", "xml")
        .env("LOOM_HAWK_ADDRESS", "h:1");
    assert_snapshot!(world.errors(), @r"
--hawk-addr: `observability.hawk_address` is not in this version: set `observability.provider` to `embedded` or `none` [LOOM_UNSUPPORTED_FIELD]
--port: `server.grpc_port`: expected a whole number up to 65535, found `70000` [LOOM_INVALID_CONFIG]
--set: unknown key `server.hots`; did you mean `server.host`? [LOOM_UNKNOWN_FIELD]
looms.yaml:2:3: unknown key `server.grpcport`; did you mean `server.grpc_port`? [LOOM_UNKNOWN_FIELD]
looms.yaml:3:14: `server.http_port`: expected a whole number up to 65535, found `many` [LOOM_INVALID_CONFIG]
looms.yaml:4:14: `server.grpc_port`: expected a number from 1 to 65535, found 0 [LOOM_INVALID_CONFIG]
looms.yaml:5:3: `server.tls` is not in this version: listen on 127.0.0.1 behind a proxy that has TLS [LOOM_UNSUPPORTED_FIELD]
looms.yaml:9:30: `server.behavior.max_concurrent_requests`: expected one value, found a list [LOOM_INVALID_CONFIG]
looms.yaml:11:42: `server.cors.allowed_origins`: `*` would let every web page drive the server: list the origins [LOOM_INVALID_CONFIG]
looms.yaml:12:1: unknown key `sever`; did you mean `server`? [LOOM_UNKNOWN_FIELD]
looms.yaml:13:1: unknown key `http_port`; did you mean `server.http_port`? [LOOM_UNKNOWN_FIELD]
looms.yaml:15:16: `llm.temperature`: expected a number from 0 to 2, found 3 [LOOM_INVALID_CONFIG]
looms.yaml:16:13: `llm.max_tokens`: expected a whole number, found nothing [LOOM_INVALID_CONFIG]
looms.yaml:17:3: `llm.bedrock_region` is not in this version: use `anthropic`, `openai`, `gemini` or `ollama` [LOOM_UNSUPPORTED_FIELD]
looms.yaml:19:12: `storage.backend`: expected `sqlite` or `postgres`, found `mysql` [LOOM_INVALID_CONFIG]
looms.yaml:22:10: `logging.level`: expected one of `error`, `warn`, `info`, `debug`, `trace`, found `loud` [LOOM_INVALID_CONFIG]
looms.yaml:23:3: `logging.file` is not in this version: logs go to stderr; redirect it [LOOM_UNSUPPORTED_FIELD]
looms.yaml:25:3: `observability.hawk_address` is not in this version: set `observability.provider` to `embedded` or `none` [LOOM_UNSUPPORTED_FIELD]
looms.yaml:26:13: `observability.provider`: `hawk` is not in this version; use `embedded` or `none` [LOOM_UNSUPPORTED_FIELD]
looms.yaml:27:1: `agents` is not in this version: give each agent a file in `agents_dir` [LOOM_UNSUPPORTED_FIELD]
looms.yaml:30:11: `data_dir`: expected one value, found a section [LOOM_INVALID_CONFIG]
LOOM_HAWK_ADDRESS: `LOOM_HAWK_ADDRESS` is not in this version: set `observability.provider` to `embedded` or `none` [LOOM_UNSUPPORTED_FIELD]
LOOM_LOGGING_FORMAT: `logging.format`: expected `text` or `json`, found `xml` [LOOM_INVALID_CONFIG]
");
}

#[test]
fn broken_yaml_points_at_itself() {
    assert_snapshot!(World::new().file("server:\n  host: [a\nllm: 1\n").errors(), @"looms.yaml:3:4: illegal placement of ':' indicator [LOOM_INVALID_YAML]");
    assert_snapshot!(World::new().file("a: 1\n---\nb: 1\n").errors(), @"looms.yaml:3:1: only single YAML document expected but multiple found [LOOM_INVALID_YAML]");
    assert_snapshot!(World::new().file("llm:\n  model: a\nllm:\n  model: b\n").errors(), @"looms.yaml:3:1: duplicate mapping key: llm not allowed here [LOOM_INVALID_YAML]");
    assert_snapshot!(World::new().file("- a\n").errors(), @"looms.yaml:1:1: the file: expected a section (`key: value` lines) [LOOM_INVALID_CONFIG]");
    assert_snapshot!(World::new().file([0xff, 0xfe, 0x00]).errors(), @"looms.yaml: the configuration file is not UTF-8 [LOOM_INVALID_YAML]");
}

#[test]
fn a_bind_that_others_can_reach_names_the_flag() {
    assert_snapshot!(World::new().file("server:\n  host: 0.0.0.0\n").errors(), @"looms.yaml:2:9: `server.host`: other machines can reach 0.0.0.0, and this version has neither TLS nor authentication; listen on 127.0.0.1, or accept it by `--insecure-bind` [LOOM_INSECURE_BIND]");
    assert_snapshot!(World::new().env("LOOM_SERVER_HOST", "db.example").errors(), @"LOOM_SERVER_HOST: `server.host`: other machines can reach db.example, and this version has neither TLS nor authentication; listen on 127.0.0.1, or accept it by `--insecure-bind` [LOOM_INSECURE_BIND]");
    for host in ["127.0.0.1", "127.8.8.8", "::1", "localhost"] {
        assert!(World::new().env("LOOM_SERVER_HOST", host).load().config.server.is_loopback());
    }
    let open = World::new().env("LOOM_SERVER_HOST", "0.0.0.0").flag(
        "--insecure-bind",
        "server.insecure_bind",
        "true",
    );
    assert!(!open.load().config.server.is_loopback());
}

#[test]
fn what_keys_mean_together_is_checked() {
    assert_snapshot!(World::new().file("server: {grpc_port: 7000}\n").env("LOOM_HTTP_PORT", "7000").errors(), @"looms.yaml:1:21: `server.grpc_port` and `server.http_port` are both 7000 [LOOM_INVALID_CONFIG]");
    assert_snapshot!(World::new().file("budgets: {server: {per: day, on_exceeded: ask}}\n").errors(), @r"
    looms.yaml:1:25: `budgets.server.per` is of a budget that bounds nothing: set `budgets.server.usd` or another bound [LOOM_INVALID_CONFIG]
    looms.yaml:1:43: `budgets.server.on_exceeded` is of model calls, which nothing bounds: set `budgets.server.usd`, `tokens` or `tool_calls` [LOOM_INVALID_CONFIG]
    ");
    assert_snapshot!(World::new().file("budgets: {server: {seconds: 5, on_exceeded: ask}}\n").errors(), @"looms.yaml:1:45: `budgets.server.on_exceeded` is of model calls, which nothing bounds: set `budgets.server.usd`, `tokens` or `tool_calls` [LOOM_INVALID_CONFIG]");
    assert_snapshot!(World::new().file("llm: {model: x}\n").errors(), @"looms.yaml:1:14: `llm.model` is the model of `llm.provider`, which is not set [LOOM_INVALID_CONFIG]");
    assert_snapshot!(World::new().file("llm: {provider: antropic}\n").errors(), @"looms.yaml:1:17: `llm.provider`: there is no provider `antropic`; there are `anthropic`, `gemini`, `mock`, `offline`, `ollama`, `openai`; did you mean `anthropic`? [LOOM_INVALID_CONFIG]");
    assert_snapshot!(World::new().file("llm: {provider: bedrock}\n").errors(), @"looms.yaml:1:17: `llm.provider`: bedrock is not in this version; use one of `anthropic`, `gemini`, `mock`, `offline`, `ollama`, `openai` [LOOM_UNSUPPORTED_FIELD]");
    assert_snapshot!(World::new().file("server: {port: 1, grpc_port: 2}\n").errors(), @"looms.yaml:1:19: `server.grpc_port` and `server.port` are the same key; keep `server.grpc_port` [LOOM_INVALID_CONFIG]");
    let file = "\
providers:
  lab: {}
  Lab: {type: openai, script: x}
  offline: {base_url: http://h, model: m}
  az: {type: bedrock}
";
    assert_snapshot!(World::new().file(file).errors(), @r"
looms.yaml:2:3: `providers.lab` needs a `type`: `anthropic`, `openai`, `gemini`, `mock` or `offline` [LOOM_INVALID_CONFIG]
looms.yaml:3:3: `providers.Lab`: a name has only small letters, digits, `-` and `_` [LOOM_INVALID_CONFIG]
looms.yaml:3:31: `providers.Lab.script` means nothing to a provider of type `openai` [LOOM_INVALID_CONFIG]
looms.yaml:4:23: `providers.offline.base_url` means nothing to a provider of type `offline` [LOOM_INVALID_CONFIG]
looms.yaml:4:40: `providers.offline.model` means nothing to a provider of type `offline` [LOOM_INVALID_CONFIG]
looms.yaml:5:14: `providers.az.type`: `bedrock` is not in this version; use one of `anthropic`, `openai`, `gemini`, `mock`, `offline` [LOOM_UNSUPPORTED_FIELD]
");
}

#[test]
fn variables_in_the_file() {
    let file = "server:\n  http_port: ${PORT:-8080}\n  host: ${BIND}\nllm:\n  provider: ${P-}\n";
    assert_snapshot!(World::new().file(file).errors(), @r"
looms.yaml:3:9: `server.host`: the variable BIND is not set; `${BIND:-...}` would give a default [LOOM_INVALID_CONFIG]
looms.yaml:5:13: `llm.provider`: `${...}` holds no name of a variable (letters, digits and `_`) [LOOM_INVALID_CONFIG]
");
    let loaded = World::new().file("server:\n  http_port: ${PORT:-8080}\n").load();
    assert_eq!(loaded.config.server.http_port, 8080);
    let loaded = World::new().file("server:\n  http_port: ${PORT:-8080}\n").env("PORT", "9").load();
    assert_eq!(loaded.config.server.http_port, 9);
    let loaded = World::new().env("LOOM_DB_PATH", "/x/${PORT}.db").load();
    assert_eq!(loaded.config.paths.db_path.to_str(), Some("/x/${PORT}.db"), "only a file expands");
}

#[test]
fn profiles_that_cannot_be_had_are_refused() {
    assert_snapshot!(World::new().env("LOOM_ENV", "prod").errors(), @"LOOM_ENV=prod: `observability.provider`: `hawk` is not in this version; use `embedded` or `none` [LOOM_UNSUPPORTED_FIELD]");
    assert_snapshot!(World::new().env("LOOM_ENV", "staging").errors(), @"LOOM_ENV=staging: `llm.provider`: bedrock is not in this version; use one of `anthropic`, `gemini`, `mock`, `offline`, `ollama`, `openai` [LOOM_UNSUPPORTED_FIELD]");
    assert_snapshot!(World::new().env("LOOM_ENV", "devel").errors(), @"LOOM_ENV: there is no profile `devel`: describe it under `profiles` in the file; did you mean `dev`? [LOOM_INVALID_CONFIG]");
    let file = "profiles:\n  qa:\n    server: {prot: 1}\n    profiles: {}\n  x: 3\n";
    assert_snapshot!(World::new().file(file).errors(), @r"
looms.yaml:3:14: unknown key `server.prot`; did you mean `server.grpc_port`? [LOOM_UNKNOWN_FIELD]
looms.yaml:4:5: unknown key `profiles` [LOOM_UNKNOWN_FIELD]
looms.yaml:5:6: `profiles.x`: expected a section (`key: value` lines) [LOOM_INVALID_CONFIG]
");
}

#[test]
fn a_home_folder_is_needed_only_where_it_is_used() {
    assert_snapshot!(World::bare().errors(), @"default: `data_dir`: `~/.loom` is in the home folder, and HOME is not set; set `data_dir`, or HOME [LOOM_INVALID_CONFIG]");
    let loaded = World::bare().env("LOOM_DATA_DIR", "/srv/loom").load();
    assert_eq!(loaded.config.paths.db_path.to_str(), Some("/srv/loom/loom.db"));
}

#[test]
fn saying_that_a_missing_feature_is_off_is_accepted() {
    let file = "\
server:
  tls: {enabled: false}
  auth:
    enabled: false
logging: {file: ''}
mcp:
tools: {}
observability: {hawk_endpoint: ''}
";
    let loaded = World::new().file(file).env("LOOM_SERVER_TLS_ENABLED", "false").load();
    assert_eq!(loaded.config, World::new().load().config);
}
