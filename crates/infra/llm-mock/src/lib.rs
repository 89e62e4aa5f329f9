//! A provider that answers from a script: for demonstrations, tests and load runs that need no key.
//!
//! It never thinks, never reaches the network and never draws a random number of its own: jitter and injected errors
//! follow from the script's `seed` and the effect id of the call, so the same call always meets the same fate. It reads
//! the messages, the system prompt and the tools of a request (the last two for token estimates only), and ignores
//! sampling and the output limit.
//!
//! # The script
//!
//! ```yaml
//! seed: 7             # what jitter and injected errors are derived from; default 0
//! latency_ms: 20      # time until the call is accepted; default 0
//! jitter_ms: 30       # up to this much more, evenly spread; default 0
//! ttft_ms: 100        # time from acceptance to the first token; default 0
//! chunk_size: 10      # characters a chunk; default 0: each text in one chunk
//! chunk_delay_ms: 5   # time between chunks; default 0
//! error_rate: 0.05    # share of calls that fail as a lost connection would, 0 to 1; default 0
//! rules:              # the first that fits answers
//!   - when: { contains: revenue }             # the newest user text contains this; case does not matter
//!     reply:
//!       tool_calls:
//!         - name: query
//!           arguments: { sql: SELECT 1 }
//!           repeat: 2                         # as many calls alike; default 1
//!   - when: { contains: revenue, after_tool: query }  # a result of this tool is what came last; `*` is any tool
//!     reply:
//!       text: "The database says {{tool_result}}."
//!       usage: { input: 120, output: 30 }     # what is not given is estimated, the cache counts are 0
//!   - when: { equals: long, turn: 2 }         # the whole text; the second user text of the conversation
//!     reply: { text: "And so on", finish: max_tokens, latency_ms: 500 }
//!   - when: { contains: limit }
//!     reply:
//!       error: { class: rate_limited, message: slow down, retry_after_ms: 1500 }
//!   - when: { contains: cut }
//!     reply:
//!       text: This breaks off in the middle
//!       error: { class: transient, after_chunks: 2 }  # so many chunks arrive, then the stream fails
//! default:            # answers when no rule fits
//!   text: "mock reply to: {{user}}"
//! ```
//!
//! - All conditions of a `when` must hold; one without `after_tool` fits only while the user has spoken last.
//! - `{{user}}` is the newest user text, `{{tool_result}}` the newest tool result; any other placeholder is refused.
//! - `finish` is `stop`, `tool_use`, `max_tokens`, `stop_sequence` or `refusal`; by default `tool_use` with tool calls
//!   and else `stop`.
//! - `error.class` is `transient`, `rate_limited`, `quota`, `auth`, `invalid`, `unknown_model`, `context_too_long`,
//!   `malformed`, `deadline` or `cancelled`.
//! - A reply with neither text nor calls is what a model that says nothing sends.
//! - An unknown key, and a value that can do nothing, is refused with line and column.

mod chance;
mod conversation;
mod provider;
mod reply;
mod script;
mod template;

pub use provider::{Calls, MockProvider};
pub use script::{Conditions, Failure, Probability, Reply, Rule, Script, ScriptError, TokenCounts, ToolCall};
pub use template::Template;
