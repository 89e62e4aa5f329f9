//! The script as data, read from YAML.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use loom_llm::{ErrorClass, FinishReason};

use crate::Template;
use crate::conversation::Conversation;

/// A YAML text that is not a script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {problem}")]
pub struct ScriptError {
    /// The line, from 1; 0 when the text as a whole is wrong.
    pub line: u64,
    /// The column, from 1; 0 when the text as a whole is wrong.
    pub column: u64,
    /// What is wrong there.
    pub problem: String,
}

/// What a [`MockProvider`](crate::MockProvider) answers, and how fast. The crate's documentation shows every key.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// What jitter and injected errors are derived from, together with the effect id.
    pub seed: u64,
    /// Time until the call is accepted.
    #[serde(rename = "latency_ms", deserialize_with = "millis")]
    pub latency: Duration,
    /// Up to this much more latency, evenly spread.
    #[serde(rename = "jitter_ms", deserialize_with = "millis")]
    pub jitter: Duration,
    /// Time from acceptance to the first token.
    #[serde(rename = "ttft_ms", deserialize_with = "millis")]
    pub ttft: Duration,
    /// Characters a chunk; 0 sends each text in one.
    pub chunk_size: usize,
    /// Time between chunks.
    #[serde(rename = "chunk_delay_ms", deserialize_with = "millis")]
    pub chunk_delay: Duration,
    /// Share of calls that fail as a lost connection would.
    pub error_rate: Probability,
    /// Replies by condition; the first rule that fits answers.
    pub rules: Vec<Rule>,
    /// The reply when no rule fits.
    pub default: Reply,
}

/// A number from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Probability(f64);

/// A reply and when to give it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// When it fits.
    pub when: Conditions,
    /// What is answered.
    pub reply: Reply,
}

/// What must hold for a rule to fit: all that is given, and at least one thing is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "ConditionKeys")]
pub struct Conditions {
    contains: Option<String>,
    equals: Option<String>,
    turn: Option<usize>,
    after_tool: Option<String>,
}

/// One scripted answer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "ReplyKeys")]
pub struct Reply {
    pub(crate) text: Option<Template>,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) usage: TokenCounts,
    pub(crate) finish: Option<FinishReason>,
    pub(crate) error: Option<Failure>,
    pub(crate) latency: Option<Duration>,
}

/// A tool call the mock makes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    /// The tool, declared in the request or not.
    pub name: String,
    /// Its arguments: an object, or anything else a model may send by mistake.
    #[serde(default = "no_arguments")]
    pub arguments: Value,
    /// How many calls alike are made.
    #[serde(default = "once")]
    pub repeat: usize,
}

/// The token counts a reply reports; `None` is estimated, or 0 for the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenCounts {
    /// Tokens read at full price.
    pub input: Option<u64>,
    /// Tokens generated.
    pub output: Option<u64>,
    /// Tokens read from the cache.
    pub cache_read: Option<u64>,
    /// Tokens written to the cache.
    pub cache_write: Option<u64>,
}

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// What kind of failure it is.
    #[serde(with = "ErrorClassName")]
    pub class: ErrorClass,
    /// What the provider says.
    #[serde(default = "scripted_failure")]
    pub message: String,
    /// How long the provider asks to wait.
    #[serde(default, rename = "retry_after_ms", deserialize_with = "some_millis")]
    pub retry_after: Option<Duration>,
    /// How many chunks arrive first; `None` refuses the call at once.
    #[serde(default)]
    pub after_chunks: Option<usize>,
}

impl Script {
    /// Reads a script. An empty text is the default script, which repeats what the user said.
    pub fn parse(yaml: &str) -> Result<Self, ScriptError> {
        if yaml.trim().is_empty() {
            return Ok(Self::default());
        }
        let options = serde_saphyr::options! { with_snippet: false };
        serde_saphyr::from_str_with_options(yaml, options).map_err(|error| {
            let (line, column) = error.location().map_or((0, 0), |place| (place.line(), place.column()));
            let problem = error.without_snippet().to_string();
            let problem = problem.replace(&format!(" at line {line}, column {column}"), "");
            ScriptError { line, column, problem }
        })
    }

    pub(crate) fn reply(&self, conversation: &Conversation<'_>) -> &Reply {
        let fitting = self.rules.iter().find(|rule| rule.when.hold(conversation));
        fitting.map_or(&self.default, |rule| &rule.reply)
    }
}

impl Default for Script {
    fn default() -> Self {
        let echo = Template::try_from("mock reply to: {{user}}".to_owned()).ok();
        Self {
            seed: 0,
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            ttft: Duration::ZERO,
            chunk_size: 0,
            chunk_delay: Duration::ZERO,
            error_rate: Probability::default(),
            rules: Vec::new(),
            default: Reply { text: echo, ..Reply::default() },
        }
    }
}

impl std::str::FromStr for Script {
    type Err = ScriptError;

    fn from_str(yaml: &str) -> Result<Self, ScriptError> {
        Self::parse(yaml)
    }
}

impl Conditions {
    fn hold(&self, conversation: &Conversation<'_>) -> bool {
        let after = match &self.after_tool {
            Some(tool) => conversation.is_after(tool),
            None => !conversation.is_after_tools(),
        };
        let contains = |part: &String| conversation.user_text().to_lowercase().contains(part);
        after
            && self.turn.is_none_or(|turn| conversation.turn() == turn)
            && self.equals.as_ref().is_none_or(|text| conversation.user_text() == text)
            && self.contains.as_ref().is_none_or(contains)
    }
}

impl Probability {
    /// The number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Probability {
    type Error = String;

    fn try_from(number: f64) -> Result<Self, String> {
        let fits = (0.0..=1.0).contains(&number);
        if fits { Ok(Self(number)) } else { Err(format!("{number} is not between 0 and 1")) }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionKeys {
    contains: Option<String>,
    equals: Option<String>,
    turn: Option<usize>,
    after_tool: Option<String>,
}

impl TryFrom<ConditionKeys> for Conditions {
    type Error = &'static str;

    fn try_from(keys: ConditionKeys) -> Result<Self, Self::Error> {
        let ConditionKeys { contains, equals, turn, after_tool } = keys;
        if contains.is_none() && equals.is_none() && turn.is_none() && after_tool.is_none() {
            return Err("a rule without a condition hides all that follow it: use `default`");
        }
        if turn == Some(0) {
            return Err("`turn` counts from 1");
        }
        Ok(Self { contains: contains.map(|text| text.to_lowercase()), equals, turn, after_tool })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyKeys {
    text: Option<Template>,
    #[serde(default)]
    tool_calls: Vec<ToolCall>,
    usage: Option<TokenCounts>,
    finish: Option<FinishReason>,
    error: Option<Failure>,
    #[serde(default, deserialize_with = "some_millis")]
    latency_ms: Option<Duration>,
}

impl TryFrom<ReplyKeys> for Reply {
    type Error = &'static str;

    fn try_from(keys: ReplyKeys) -> Result<Self, Self::Error> {
        let ReplyKeys { text, tool_calls, usage, finish, error, latency_ms: latency } = keys;
        if error.is_some() && finish.is_some() {
            return Err("a reply that ends in an error has no `finish`");
        }
        let refused = error.as_ref().is_some_and(|error| error.after_chunks.is_none());
        if refused && (text.is_some() || !tool_calls.is_empty() || usage.is_some()) {
            return Err("an error without `after_chunks` sends nothing else");
        }
        Ok(Self { text, tool_calls, usage: usage.unwrap_or_default(), finish, error, latency })
    }
}

#[derive(Deserialize)]
#[serde(remote = "ErrorClass", rename_all = "snake_case")]
enum ErrorClassName {
    Transient,
    RateLimited,
    Quota,
    Auth,
    Invalid,
    UnknownModel,
    ContextTooLong,
    Malformed,
    Deadline,
    Cancelled,
}

fn millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

fn some_millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    millis(deserializer).map(Some)
}

fn no_arguments() -> Value {
    Value::Object(serde_json::Map::new())
}

const fn once() -> usize {
    1
}

fn scripted_failure() -> String {
    "scripted failure".to_owned()
}
