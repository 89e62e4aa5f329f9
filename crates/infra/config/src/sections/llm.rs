//! Which model answers when an agent names none.

use crate::key::{optional, range, section};
use crate::{Endpoint, SecretRef};

/// More than any model writes in one reply today.
const MOST_TOKENS: u32 = 1_000_000;

section! {
    /// Which model answers when an agent names none, and the settings of the built-in providers.
    Llm at "llm." {
        /// The provider of agents that name none: `anthropic`, `openai`, `gemini`, `ollama`, `mock`, `offline` or a
        /// name under `providers`. Without one the server starts, and a turn of such an agent fails and says so.
        provider: Option<String> = None, aliases ["active_provider"], example "offline";
        /// The model to ask at `llm.provider`. Unset: the model of that provider.
        model: Option<String> = None, example "some-model";
        /// How freely the model chooses, from 0 to 2. Unset: what the provider does by itself.
        temperature: Option<f32> = None, check optional(range(0.0, 2.0)), example "0.5";
        /// The most tokens a reply may have, from 1 to 1000000.
        max_tokens: u32 = 4_096, check range(1, MOST_TOKENS), example "1000";
        /// The model of the provider `anthropic`.
        anthropic_model: String = "claude-sonnet-4-5-20250929".to_owned(), example "claude-haiku-4-5";
        /// Where the key of the provider `anthropic` is: `${NAME}` of a variable. The variable `NAME_FILE`, when set,
        /// names a file that holds the key instead.
        anthropic_api_key: SecretRef = SecretRef::known("ANTHROPIC_API_KEY"), example "${TEAM_KEY}";
        /// The model of the provider `openai`.
        openai_model: String = "gpt-4.1".to_owned(), example "gpt-4.1-mini";
        /// Where the key of the provider `openai` is, as for `llm.anthropic_api_key`.
        openai_api_key: SecretRef = SecretRef::known("OPENAI_API_KEY"), example "${TEAM_KEY}";
        /// The model of the provider `gemini`.
        gemini_model: String = "gemini-3-flash-preview".to_owned(), example "gemini-2.5-pro";
        /// Where the key of the provider `gemini` is, as for `llm.anthropic_api_key`.
        gemini_api_key: SecretRef = SecretRef::known("GEMINI_API_KEY"), example "${TEAM_KEY}";
        /// Where the provider `ollama` listens. It is spoken to by its OpenAI-compatible API, under `/v1`.
        ollama_endpoint: Endpoint = Endpoint::known("http://localhost:11434"), env ["OLLAMA_URL"],
            example "http://gpu.example:11434";
        /// The model of the provider `ollama`.
        ollama_model: String = "llama3.1:8b".to_owned(), example "qwen3:4b";
    }
}
