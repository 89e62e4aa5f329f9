//! Tool calls as they are streamed: bit by bit, or whole, and by servers that number them differently.

use loom_base::{CallId, EffectId};
use loom_llm::Chunk;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A piece of a tool call. OpenAI sends `index` with each and `id` and `name` with the first; compatible servers leave
/// any of them out, or repeat them.
#[derive(Deserialize)]
pub(crate) struct CallDelta {
    index: Option<usize>,
    id: Option<String>,
    #[serde(default)]
    function: FunctionDelta,
}

#[derive(Default, Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    #[serde(default, deserialize_with = "json_text")]
    arguments: String,
}

/// The calls of one answer.
pub(crate) struct ToolCalls {
    effect: EffectId,
    calls: Vec<Call>,
}

struct Call {
    /// The server's number for it.
    index: Option<usize>,
    /// The server's name for it; empty when it gave none.
    id: String,
    /// The content block; the call is announced once it has one.
    block: Option<usize>,
    /// The arguments so far.
    arguments: String,
}

impl ToolCalls {
    /// No calls yet. `effect` makes the names of calls that the server does not name.
    pub(crate) const fn new(effect: EffectId) -> Self {
        Self { effect, calls: Vec::new() }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The chunks of a piece; `next_block` counts the content blocks of the answer.
    pub(crate) fn read(&mut self, delta: CallDelta, next_block: &mut usize) -> Vec<Chunk> {
        let CallDelta { index, id, function: FunctionDelta { name, arguments } } = delta;
        let id = id.unwrap_or_default();
        let name = name.unwrap_or_default();
        let position = self.continued(index, &id, &name).unwrap_or_else(|| {
            self.calls.push(Call { index, id: id.clone(), block: None, arguments: String::new() });
            self.calls.len() - 1
        });
        let made_up = format!("call_{}_{position}", self.effect.number);
        let call = &mut self.calls[position];
        call.arguments.push_str(&arguments);
        if let Some(block) = call.block {
            let more =
                (!arguments.is_empty()).then(|| Chunk::ToolInput { index: block, delta: arguments.into() });
            return more.into_iter().collect();
        }
        if call.id.is_empty() {
            call.id = id;
        }
        if name.is_empty() {
            return Vec::new();
        }
        let block = *next_block;
        *next_block += 1;
        call.block = Some(block);
        let id = CallId::new(if call.id.is_empty() { made_up } else { call.id.clone() });
        let mut chunks = vec![Chunk::ToolUse { index: block, id, name: name.into() }];
        if !call.arguments.is_empty() {
            chunks.push(Chunk::ToolInput { index: block, delta: call.arguments.as_str().into() });
        }
        chunks
    }

    /// The call that a piece continues, or `None` when it begins one.
    fn continued(&self, index: Option<usize>, id: &str, name: &str) -> Option<usize> {
        let last = self.calls.len().checked_sub(1);
        let position = match index {
            Some(_) => self.calls.iter().rposition(|call| call.index == index)?,
            None if id.is_empty() => last?,
            None => self.calls.iter().rposition(|call| call.id == id).or(last)?,
        };
        if name.is_empty() {
            return Some(position);
        }
        let call = &self.calls[position];
        let another = match (id, call.id.as_str()) {
            // Without ids, a name after complete arguments begins another call.
            ("", _) => call.block.is_some() && is_complete(&call.arguments),
            // The id of a call that has begun may still come.
            (_, "") => call.block.is_some(),
            (id, known) => id != known,
        };
        (!another).then_some(position)
    }
}

fn is_complete(arguments: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(arguments).is_ok()
}

/// Arguments are JSON in a text; some servers send the JSON itself.
fn json_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Option::<Value>::deserialize(deserializer)? {
        None => String::new(),
        Some(Value::String(text)) => text,
        Some(json) => json.to_string(),
    })
}
