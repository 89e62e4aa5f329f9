//! Every name under which Loom reports something, in one table, because the conventions still move.
//!
//! `gen_ai.*` follows the OpenTelemetry semantic conventions for generative AI; what they lack is `loom.*`.

/// A name and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The name as it is reported.
    pub name: &'static str,
    /// What it stands for, in a sentence.
    pub help: &'static str,
}

macro_rules! names {
    ($(#[$doc:meta])* $module:ident { $($(#[doc = $help:literal])+ $constant:ident $name:literal;)* }) => {
        $(#[$doc])*
        pub mod $module {
            use super::Definition;

            $($(#[doc = $help])+ pub const $constant: &str = $name;)*

            /// All of them, in the order of this list.
            pub const ALL: &[Definition] =
                &[$(Definition { name: $name, help: concat!($($help),+).trim_ascii() }),*];
        }
    };
}

names! {
    /// The names of spans.
    span {
        /// One turn of an agent, from the accepted message to its answer.
        INVOKE_AGENT "invoke_agent";
        /// One call of a model.
        CHAT "chat";
        /// One call of a tool.
        EXECUTE_TOOL "execute_tool";
        /// The compilation of the context for a model call.
        COMPILE_CONTEXT "loom.compile_context";
        /// One request to the API.
        REQUEST "loom.request";
    }
}

names! {
    /// The names of span attributes.
    attribute {
        /// What is done: `invoke_agent`, `chat` or `execute_tool`.
        OPERATION "gen_ai.operation.name";
        /// The provider that was called.
        PROVIDER "gen_ai.provider.name";
        /// The model that was asked for.
        REQUEST_MODEL "gen_ai.request.model";
        /// The model that answered.
        RESPONSE_MODEL "gen_ai.response.model";
        /// Why the model stopped.
        FINISH_REASONS "gen_ai.response.finish_reasons";
        /// Tokens sent to the model, cached ones included.
        INPUT_TOKENS "gen_ai.usage.input_tokens";
        /// Tokens that the model wrote.
        OUTPUT_TOKENS "gen_ai.usage.output_tokens";
        /// Tokens of the input that were read from the provider's cache.
        CACHE_READ_TOKENS "gen_ai.usage.cache_read.input_tokens";
        /// Tokens of the input that were written to the provider's cache.
        CACHE_WRITE_TOKENS "gen_ai.usage.cache_creation.input_tokens";
        /// The agent's id.
        AGENT_ID "gen_ai.agent.id";
        /// The agent's name.
        AGENT_NAME "gen_ai.agent.name";
        /// The session's id.
        CONVERSATION_ID "gen_ai.conversation.id";
        /// The tool's name.
        TOOL_NAME "gen_ai.tool.name";
        /// The call's id, as the model gave it.
        TOOL_CALL_ID "gen_ai.tool.call.id";
        /// The error code, when something failed.
        ERROR_TYPE "error.type";
        /// The server that a trace belongs to; set on root spans, several may share a process.
        INSTANCE "loom.instance";
        /// The trace's id, 32 hexadecimal digits; set on root spans.
        TRACE_ID "loom.trace_id";
        /// The session's id.
        SESSION_ID "loom.session_id";
        /// The agent's id.
        LOOM_AGENT_ID "loom.agent_id";
        /// The turn's id.
        TURN_ID "loom.turn_id";
        /// The cost in US dollars.
        COST_USD "loom.cost_usd";
        /// The pattern that was recommended or run.
        PATTERN "loom.pattern";
        /// How well that pattern fits, from 0 to 1.
        PATTERN_CONFIDENCE "loom.pattern.confidence";
        /// The backend that was queried.
        BACKEND "loom.backend";
        /// The rows that a query returned.
        ROWS "loom.rows";
        /// The RPC that was called, as `package.Service/Method`.
        RPC "rpc.method";
    }
}

names! {
    /// The keys of log records.
    log {
        /// The provider that was called.
        PROVIDER "llm.provider";
        /// The model that was asked for.
        MODEL "llm.model";
        /// Tokens sent to the model.
        INPUT_TOKENS "llm.input_tokens";
        /// Tokens that the model wrote.
        OUTPUT_TOKENS "llm.output_tokens";
        /// The cost in US dollars.
        COST_USD "llm.cost_usd";
        /// The time from request to whole answer, in milliseconds.
        LATENCY_MS "llm.latency_ms";
        /// The trace's id.
        TRACE_ID "trace_id";
        /// The session's id.
        SESSION_ID "session_id";
        /// The agent's id.
        AGENT_ID "agent_id";
    }
}

names! {
    /// The names of metrics, without the suffixes that the text format adds.
    metric {
        /// Turns ended, by agent and outcome.
        TURNS "loom_turns";
        /// Seconds from an accepted message to its answer, by agent.
        TURN_SECONDS "loom_turn_duration_seconds";
        /// Attempts to call a model, by provider, model and outcome.
        LLM_CALLS "loom_llm_calls";
        /// Seconds from a model request to its whole answer, by provider and model.
        LLM_SECONDS "loom_llm_call_duration_seconds";
        /// Tokens, by provider, model and kind: input, output, cache read, cache write.
        LLM_TOKENS "loom_llm_tokens";
        /// What models cost in nano-dollars, by provider and model.
        LLM_COST "loom_llm_cost_nano_usd";
        /// Tool calls ended, by tool and outcome.
        TOOL_CALLS "loom_tool_calls";
        /// Seconds that a tool call took, by tool.
        TOOL_SECONDS "loom_tool_call_duration_seconds";
        /// Requests ended, by RPC and gRPC status.
        REQUESTS "loom_requests";
        /// Seconds from a request to the end of its answer, by RPC.
        REQUEST_SECONDS "loom_request_duration_seconds";
        /// Requests being worked on.
        REQUESTS_IN_FLIGHT "loom_requests_in_flight";
        /// Sessions held in memory.
        SESSIONS_ACTIVE "loom_sessions_active";
        /// Transactions committed to the store, each with whatever waited together.
        STORE_COMMITS "loom_store_commits";
        /// Commits that a turn waited for: what is committed while a model or a tool works is not counted.
        COMMIT_WAITS "loom_turn_commit_waits";
        /// Watched files read again, by kind of file and outcome.
        RELOADS "loom_reloads";
        /// Spans that were dropped because the tracer could not keep up.
        SPANS_DROPPED "loom_spans_dropped";
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_explained() {
        for table in [span::ALL, attribute::ALL, log::ALL, metric::ALL] {
            let names: BTreeSet<_> = table.iter().map(|definition| definition.name).collect();
            assert_eq!(names.len(), table.len());
            assert!(table.iter().all(|definition| definition.help.ends_with('.')));
        }
    }
}
