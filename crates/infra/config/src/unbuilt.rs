//! Keys that other versions have and this one does not. They are refused, so that nobody believes them to be in force.

use crate::key::variable;
use loom_yaml::{Node, Shape};

/// A key, or all keys below it, with what to do instead. A `*` at the end stands for any rest of the last part.
pub(crate) struct Unbuilt {
    pub(crate) pattern: &'static str,
    cure: &'static str,
    /// Variables bound by name, beside those made from the pattern.
    variables: &'static [&'static str],
}

const fn later(pattern: &'static str, cure: &'static str) -> Unbuilt {
    Unbuilt { pattern, cure, variables: &[] }
}

/// What most of them need.
const REMOVE: &str = "remove it";
const CORS: &str = "list the origins in `server.cors.allowed_origins`; an empty list lets no other page in";
const TRACER: &str = "set `observability.provider` to `embedded` or `none`";
const ENTRY: &str = "use `anthropic`, `openai`, `gemini` or `ollama`";

pub(crate) const UNBUILT: &[Unbuilt] = &[
    later("server.tls", "listen on 127.0.0.1 behind a proxy that has TLS"),
    later("server.auth", "listen on 127.0.0.1 behind a proxy that authenticates"),
    later("server.clarification", REMOVE),
    later("server.insecure_admin", REMOVE),
    later("server.allow_time_override", REMOVE),
    later("server.rate_limit", "`server.behavior.max_concurrent_requests` limits how many run at once"),
    later("server.cors.enabled", CORS),
    later("server.cors.allowed_methods", CORS),
    later("server.cors.allowed_headers", CORS),
    later("server.cors.exposed_headers", CORS),
    later("server.cors.allow_credentials", CORS),
    later("server.cors.max_age", CORS),
    later("llm.bedrock_*", ENTRY),
    later("llm.azure_openai_*", ENTRY),
    later("llm.mistral_*", ENTRY),
    later("llm.huggingface_*", ENTRY),
    later("llm.litellm_*", ENTRY),
    later("llm.rate_limit", REMOVE),
    later("llm.concurrency_limit", REMOVE),
    later("llm.timeout_seconds", "`server.behavior.request_timeout_seconds` limits a whole request"),
    later("storage.postgres", "put host, user and the rest into the address that `storage.dsn` points to"),
    later("storage.migration", "the store is migrated when the server starts; remove it"),
    later("storage.sqlite.encrypt", "encrypt the file system that holds `db_path`"),
    Unbuilt {
        pattern: "storage.sqlite.encryption_key",
        cure: "encrypt the file system that holds `db_path`",
        variables: &["LOOM_DB_KEY"],
    },
    later("storage.sqlite.wal_mode", "the store always uses WAL; remove it"),
    Unbuilt {
        pattern: "observability.hawk_*",
        cure: TRACER,
        variables: &["LOOM_HAWK_ADDRESS", "LOOM_HAWK_ENDPOINT"],
    },
    later("observability.otlp_*", TRACER),
    later("observability.mode", TRACER),
    later("observability.storage_type", TRACER),
    later("observability.sqlite_path", "spans are kept in the store, `db_path`"),
    later("observability.flush_interval", REMOVE),
    later("logging.file", "logs go to stderr; redirect it"),
    later("agents", "give each agent a file in `agents_dir`"),
    later("workflows_dir", REMOVE),
    later("communication", REMOVE),
    later("tools", REMOVE),
    later("prompts", REMOVE),
    later("learning", REMOVE),
    later("judges", REMOVE),
    later("skills", REMOVE),
    later("docker", REMOVE),
    later("shared_memory", REMOVE),
    later("artifacts", REMOVE),
    later("scheduler", REMOVE),
    later("embedding", REMOVE),
    later("mcp", REMOVE),
    later("tui", REMOVE),
];

impl Unbuilt {
    /// The entry for `path`, a key of a file or a flag.
    pub(crate) fn for_key(path: &str) -> Option<&'static Self> {
        UNBUILT.iter().find(|entry| match entry.pattern.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => {
                path.strip_prefix(entry.pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            }
        })
    }

    /// The entry for an environment variable.
    pub(crate) fn for_variable(name: &str) -> Option<&'static Self> {
        UNBUILT.iter().find(|entry| {
            let derived = variable(entry.pattern.trim_end_matches('*'));
            entry.variables.contains(&name)
                || name.strip_prefix(&derived).is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with('_') || entry.pattern.ends_with('*')
                })
        })
    }

    /// What an error says of `written`.
    pub(crate) fn message(&self, written: &str) -> String {
        format!("`{written}` is not in this version: {}", self.cure)
    }
}

/// Whether a value says that the feature is off, which is how things are: nothing, `false`, `""`, an empty list or map,
/// or a map of only `enabled: false`.
pub(crate) fn says_off(node: &Node) -> bool {
    match &node.shape {
        Shape::Null => true,
        Shape::Text(text) => text_says_off(text),
        Shape::List(items) => items.is_empty(),
        Shape::Map(entries) => entries.iter().all(|entry| {
            entry.key == "enabled" && matches!(&entry.value.shape, Shape::Text(text) if text == "false")
        }),
    }
}

/// [`says_off`] for the text of a variable.
pub(crate) fn text_says_off(text: &str) -> bool {
    text.is_empty() || text == "false"
}
