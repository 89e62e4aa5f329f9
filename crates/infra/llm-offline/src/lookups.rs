//! What has to be looked up before a question can be answered, and what the lookups have brought.

use std::sync::Arc;

use loom_llm::ToolDefinition;
use serde_json::{Value, json};

use crate::conversation::{Call, Conversation};
use crate::listing::Listing;
use crate::matching::Matching;
use crate::question::Question;
use crate::schema::Schema;
use crate::tools::Tools;

/// Patterns looked at for one question.
const SEARCH_LIMIT: usize = 20;
/// How often the columns of further tables are asked for: those that the question names, and from there along foreign
/// keys.
const MAX_DETAILS: usize = 4;
/// Tables asked for at once; the tool itself shows only as many as fit.
const MAX_TABLES: usize = 40;

/// The lookups that have not been made: the patterns for each question, a schema once in a conversation, and the
/// columns of tables of which the schema shows only the name.
pub(crate) fn lookups(conversation: &Conversation<'_>, tools: &Tools<'_>) -> Vec<(Arc<str>, Value)> {
    let was_called = |tool: &ToolDefinition| conversation.since.iter().any(|call| *call.tool == *tool.name);
    let mut calls = Vec::new();
    if !was_called(tools.search) {
        let question: String = conversation.question.chars().take(2_000).collect();
        let input = json!({"question": question, "limit": SEARCH_LIMIT});
        calls.push((Arc::clone(&tools.search.name), input));
    }
    for tool in tools.backends.iter().map(|backend| backend.schema) {
        let input = match schema(conversation, tool) {
            Some(Ok(schema)) => details(conversation, tool, &schema),
            Some(Err(_)) => None,
            None => (!was_called(tool)).then(|| json!({})),
        };
        calls.extend(input.map(|input| (Arc::clone(&tool.name), input)));
    }
    calls
}

/// What a schema tool has shown in the whole conversation: its newest overview and the tables asked for since. `None`
/// before it has shown anything.
pub(crate) fn schema(
    conversation: &Conversation<'_>,
    tool: &ToolDefinition,
) -> Option<Result<Schema, String>> {
    let mut shown: Vec<&str> = Vec::new();
    for call in conversation.earlier.iter().chain(&conversation.since).filter(|call| *call.tool == *tool.name)
    {
        let Some(Ok(answer)) = call.outcome else { continue };
        match asks_for_tables(call) {
            false => shown = vec![answer],
            true if shown.is_empty() => {}
            true => shown.push(answer),
        }
    }
    let (overview, details) = shown.split_first()?;
    Some(Listing::read(overview, details.iter().copied()).map(Schema::new))
}

fn asks_for_tables(call: &Call<'_>) -> bool {
    call.input["tables"].as_array().is_some_and(|tables| !tables.is_empty())
}

/// The tables that the question names and those they refer to, as far as their columns are not known.
fn details(conversation: &Conversation<'_>, tool: &ToolDefinition, schema: &Schema) -> Option<Value> {
    if schema.tables.iter().all(|table| table.is_described) {
        return None;
    }
    let question = Question::read(&conversation.question);
    let mut needed = Matching::new(&question, schema).named_tables();
    let mut at = 0;
    while let Some(table) = needed.get(at).and_then(|table| schema.tables.get(*table)) {
        for reference in &table.references {
            if !needed.contains(&reference.to) {
                needed.push(reference.to);
            }
        }
        at += 1;
    }
    let unknown =
        needed.iter().filter_map(|table| schema.tables.get(*table)).filter(|table| !table.is_described);
    let names: Vec<&str> = unknown.map(|table| table.name.as_str()).take(MAX_TABLES).collect();
    let input = json!({"tables": names});
    let asked: Vec<&Call<'_>> =
        conversation.since.iter().filter(|call| *call.tool == *tool.name && asks_for_tables(call)).collect();
    let is_new = asked.iter().all(|call| *call.input != input);
    (!names.is_empty() && is_new && asked.len() < MAX_DETAILS).then_some(input)
}
