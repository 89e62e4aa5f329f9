//! The sizes of what requests bring and the store keeps, so that lists of it stay small.

use std::collections::BTreeMap;

use loom_proto::v1::AgentConfig;
use prost::Message;

use super::convert::invalid;
use crate::Failure;

/// The longest name, in bytes.
const NAME_BYTES: usize = 256;
/// The largest map of texts: entries, and bytes of a key, of a value, and of all together.
const ENTRIES: usize = 64;
const KEY_BYTES: usize = 128;
const VALUE_BYTES: usize = 4 << 10;
const MAP_BYTES: usize = 16 << 10;
/// The longest system prompt.
const PROMPT_BYTES: usize = 256 << 10;
/// The most items of a list of names.
const ITEMS: usize = 64;
/// The most bytes of a list in one answer: less than the 4 MiB that gRPC clients take unless told otherwise.
const LIST_BYTES: usize = 3 << 20;

/// Refuses a text of more than `limit` bytes.
fn text(field: &str, text: &str, limit: usize) -> Result<(), Failure> {
    if text.len() <= limit {
        return Ok(());
    }
    let message = format!("{field} has {} bytes, at most {limit} are kept", text.len());
    Err(invalid(field, message).with("limit_bytes", limit.to_string()))
}

/// Refuses a name that is too long.
pub(super) fn name(field: &str, name: &str) -> Result<(), Failure> {
    text(field, name, NAME_BYTES)
}

/// Refuses a map that is too large, as a whole or in one of its entries.
pub(super) fn map(field: &str, map: &BTreeMap<String, String>) -> Result<(), Failure> {
    if map.len() > ENTRIES {
        let message = format!("{field} has {} entries, at most {ENTRIES} are kept", map.len());
        return Err(invalid(field, message).with("limit_entries", ENTRIES.to_string()));
    }
    let mut bytes = 0;
    for (key, value) in map {
        text(&format!("{field} key"), key, KEY_BYTES).map_err(|failure| failure.with("field", field))?;
        text(&format!("{field}.{key}"), value, VALUE_BYTES)?;
        bytes += key.len() + value.len();
    }
    if bytes > MAP_BYTES {
        let message = format!("{field} has {bytes} bytes, at most {MAP_BYTES} are kept");
        return Err(invalid(field, message).with("limit_bytes", MAP_BYTES.to_string()));
    }
    Ok(())
}

/// Refuses a list that is too long, or one of its names.
fn names(field: &str, items: &[String]) -> Result<(), Failure> {
    if items.len() > ITEMS {
        let message = format!("{field} has {} items, at most {ITEMS} are kept", items.len());
        return Err(invalid(field, message).with("limit_entries", ITEMS.to_string()));
    }
    items.iter().enumerate().try_for_each(|(at, item)| name(&format!("{field}[{at}]"), item))
}

/// Refuses an agent's configuration if any part of it is too large.
pub(super) fn agent(config: &AgentConfig) -> Result<(), Failure> {
    text("config.description", &config.description, VALUE_BYTES)?;
    text("config.system_prompt", &config.system_prompt, PROMPT_BYTES)?;
    map("config.metadata", &config.metadata)?;
    names("config.backends", &config.backends)?;
    name("config.active_provider", &config.active_provider)?;
    if let Some(llm) = &config.llm {
        name("config.llm.provider", &llm.provider)?;
        name("config.llm.model", &llm.model)?;
        names("config.llm.stop_sequences", &llm.stop_sequences)?;
    }
    match &config.tools {
        Some(tools) => names("config.tools.builtin", &tools.builtin),
        None => Ok(()),
    }
}

/// The first of `items` that fit into one answer, and at least one.
pub(super) fn fitting<M: Message>(items: impl Iterator<Item = M>) -> Vec<M> {
    let mut bytes = 0;
    let mut fitting = Vec::new();
    for item in items {
        bytes += item.encoded_len();
        if bytes > LIST_BYTES && !fitting.is_empty() {
            break;
        }
        fitting.push(item);
    }
    fitting
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom_base::ErrorCode;

    fn of(entries: usize, key: usize, value: usize) -> Result<(), Failure> {
        let entries = (0..entries).map(|at| (format!("{at:0key$}"), "v".repeat(value)));
        map("metadata", &entries.collect())
    }

    #[test]
    fn what_is_within_the_bounds_is_taken_and_one_more_is_not() {
        let largest = [
            of(ENTRIES, 1, 1),
            of(1, KEY_BYTES, 1),
            of(1, 1, VALUE_BYTES),
            of(4, 96, 4000),
            name("name", &"é".repeat(128)),
        ];
        assert_eq!(largest, [const { Ok(()) }; 5]);
        for refused in [
            of(ENTRIES + 1, 1, 1),
            of(1, KEY_BYTES + 1, 1),
            of(1, 1, VALUE_BYTES + 1),
            of(4, 96, 4001),
            name("metadata", &"é".repeat(129)),
        ] {
            let failure = refused.unwrap_err();
            assert_eq!(failure.code, ErrorCode::InvalidArgument);
            assert!(failure.metadata["field"].starts_with("metadata"), "{failure:?}");
            assert!(failure.message.len() < 400, "{failure:?}");
        }
    }

    #[test]
    fn each_part_of_an_agent_is_bounded() {
        let long = "x".repeat(PROMPT_BYTES + 1);
        let tools = loom_proto::v1::ToolsConfig { builtin: vec![long.clone()], ..Default::default() };
        let llm = loom_proto::v1::LlmConfig {
            stop_sequences: vec![String::new(); ITEMS + 1],
            ..Default::default()
        };
        for (field, config) in [
            ("config.description", AgentConfig { description: long.clone(), ..Default::default() }),
            ("config.system_prompt", AgentConfig { system_prompt: long.clone(), ..Default::default() }),
            ("config.backends[0]", AgentConfig { backends: vec![long.clone()], ..Default::default() }),
            ("config.active_provider", AgentConfig { active_provider: long, ..Default::default() }),
            ("config.llm.stop_sequences", AgentConfig { llm: Some(llm), ..Default::default() }),
            ("config.tools.builtin[0]", AgentConfig { tools: Some(tools), ..Default::default() }),
        ] {
            assert_eq!(agent(&config).unwrap_err().metadata["field"], field);
        }
        assert_eq!(
            agent(&AgentConfig { system_prompt: "x".repeat(PROMPT_BYTES), ..Default::default() }),
            Ok(())
        );
    }

    #[test]
    fn a_list_ends_where_the_answer_would_grow_too_large_but_is_never_empty() {
        let of = |bytes: usize| {
            std::iter::repeat_n("x".repeat(bytes), 5).map(|name| AgentConfig { name, ..Default::default() })
        };
        assert_eq!([of(10), of(1 << 20), of(8 << 20)].map(|items| fitting(items).len()), [5, 2, 1]);
    }
}
