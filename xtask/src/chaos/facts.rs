//! What the server says in the end of all that was ever asked of it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::http::Ask;
use super::world::Attempt;

/// Messages that are asked for at a time.
const PAGE: usize = 500;

/// What the server says.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// The turns under each trace.
    pub(super) traces: BTreeMap<String, Vec<String>>,
    pub(super) turns: BTreeMap<String, Turn>,
    pub(super) sessions: BTreeMap<String, Session>,
    /// Effects that nobody has settled.
    pub(super) unknown: Vec<String>,
    /// Turns that have not ended.
    pub(super) unfinished: Vec<String>,
    /// What budgets count.
    pub(super) accounts: Vec<Account>,
    /// What the store's own look at every journal finds wrong.
    pub(super) damage: Vec<String>,
}

/// What a budget counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    /// Whose: an agent's id, a session's, or empty for the server's.
    pub(super) owner: String,
    pub(super) nanos: Measure,
    pub(super) tokens: Measure,
    pub(super) estimated_nanos: i64,
    pub(super) estimated_tokens: i64,
}

/// One thing that it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Measure {
    pub(super) limit: Option<i64>,
    pub(super) used: i64,
    pub(super) reserved: i64,
}

/// A turn, by its trace.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn {
    pub(super) session: String,
    pub(super) agent: String,
    pub(super) outcome: String,
    pub(super) spent: Spent,
    /// What of it no provider counted.
    pub(super) estimated: Estimated,
    /// What its model calls spent, each.
    pub(super) calls: Vec<Spent>,
    /// Its tool calls, by the ids of their spans.
    pub(super) tools: BTreeMap<String, ToolSpan>,
    /// The outcomes of its hooks, by the ids of their spans.
    pub(super) hooks: BTreeMap<String, String>,
}

/// Tokens and nano-dollars that stand for calls which a stop cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Estimated {
    pub(super) tokens: i64,
    pub(super) nanos: i64,
}

/// Tokens and nano-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) input: i64,
    pub(super) output: i64,
    pub(super) nanos: i64,
}

/// A tool call.
#[derive(Clone, Debug, Default)]
pub(super) struct ToolSpan {
    pub(super) tool: String,
    pub(super) outcome: String,
    /// What was said later of an outcome that was unknown; empty when nothing was.
    pub(super) resolution: String,
}

/// A session.
#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    pub(super) nanos: i64,
    pub(super) turns: i64,
    pub(super) messages: Vec<Message>,
}

/// A message of a session.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    pub(super) role: String,
    pub(super) content: String,
    /// For each call that it asks for, how many results it has.
    pub(super) results: Vec<usize>,
}

impl Facts {
    /// Asks the server at `port` for all of `attempts`, and for the turns that clients were told of.
    pub(super) async fn gather(port: u16, attempts: &[Attempt]) -> Result<Self> {
        let mut facts = Self::default();
        for attempt in attempts {
            facts.add_trace(port, &attempt.trace).await?;
        }
        let sessions: BTreeSet<_> = facts.turns.values().map(|turn| turn.session.clone()).collect();
        let budgets = Ask::get("/v1/budgets").send(port).await?.ok()?;
        facts.accounts = accounts_of(&budgets);
        for session in sessions {
            let read = session_of(port, &session).await.with_context(|| session.clone())?;
            let budgets = Ask::get(format!("/v1/budgets?session_id={session}")).send(port).await?.ok()?;
            facts.accounts.extend(accounts_of(&budgets).into_iter().filter(|one| one.owner == session));
            facts.sessions.insert(session, read);
        }
        let unknown = Ask::get("/v1/effects?limit=500").send(port).await?.ok()?;
        facts.unknown = texts(&unknown["effects"], "effectId");
        let unfinished = Ask::get("/v1/turns?limit=500").send(port).await?.ok()?;
        facts.unfinished = texts(&unfinished["turns"], "turnId");
        let verified = Ask::post("/v1/store:verify", json!({})).send(port).await?.ok()?;
        let wrong = verified["violations"].as_array().into_iter().flatten();
        facts.damage = wrong.map(|one| format!("{}: {}", one["subject"], one["problem"])).collect();
        Ok(facts)
    }

    async fn add_trace(&mut self, port: u16, trace: &str) -> Result<()> {
        let answer = Ask::get(format!("/v1/traces/{trace}")).send(port).await?;
        if answer.status == 404 {
            return Ok(());
        }
        let body = answer.ok().with_context(|| trace.to_owned())?;
        let spans = body["spans"].as_array().context("a trace without spans")?;
        let mut turns = Vec::new();
        for root in spans.iter().filter(|span| span["name"] == "invoke_agent") {
            let id = attribute(root, "loom.turn.id");
            turns.push(id.clone());
            self.turns.insert(id, turn_of(root, spans));
        }
        self.traces.insert(trace.to_owned(), turns);
        Ok(())
    }
}

fn turn_of(root: &Value, spans: &[Value]) -> Turn {
    let own = || spans.iter().filter(|span| span["parentId"] == root["id"]);
    let named = |name: &'static str| {
        own().filter(move |span| span["name"].as_str().is_some_and(|text| text.starts_with(name)))
    };
    let tools = named("execute_tool").map(|span| {
        let tool = attribute(span, "gen_ai.tool.name");
        let outcome = attribute(span, "loom.tool.outcome");
        let resolution = attribute(span, "loom.tool.resolution");
        (span["id"].as_str().unwrap_or_default().to_owned(), ToolSpan { tool, outcome, resolution })
    });
    let hooks = named("run_hook").map(|span| {
        (span["id"].as_str().unwrap_or_default().to_owned(), attribute(span, "loom.hook.outcome"))
    });
    Turn {
        session: attribute(root, "gen_ai.conversation.id"),
        agent: attribute(root, "gen_ai.agent.id"),
        estimated: Estimated {
            tokens: number(root, "loom.usage.estimated_tokens"),
            nanos: nanos(attribute(root, "loom.cost_estimated_usd").parse().unwrap_or(0.0)),
        },
        hooks: hooks.collect(),
        outcome: attribute(root, "loom.turn.outcome"),
        spent: spent(root),
        calls: named("chat").map(spent).collect(),
        tools: tools.collect(),
    }
}

fn attribute(span: &Value, name: &str) -> String {
    span["attributes"][name].as_str().unwrap_or_default().to_owned()
}

fn number(span: &Value, name: &str) -> i64 {
    attribute(span, name).parse().unwrap_or(0)
}

/// Every budget of an answer of `ListBudgets`.
pub(super) fn accounts_of(budgets: &Value) -> Vec<Account> {
    budgets["budgets"].as_array().into_iter().flatten().map(account_of).collect()
}

fn account_of(budget: &Value) -> Account {
    let text = |name: &str| budget[name].as_str().unwrap_or_default().to_owned();
    let owner = if budget["scope"] == "session" { text("sessionId") } else { text("agentId") };
    let measure = |name: &str, scale: f64| {
        let found = budget["measures"].as_array().into_iter().flatten().find(|one| one["name"] == name);
        let scaled = |field: &str| Some(whole(found?[field].as_f64()? * scale));
        let sum = |field| scaled(field).unwrap_or(0);
        Measure { limit: scaled("limit"), used: sum("used"), reserved: sum("reserved") }
    };
    Account {
        owner,
        nanos: measure("usd", 1e9),
        tokens: measure("tokens", 1.0),
        estimated_nanos: nanos(budget["estimatedUsd"].as_f64().unwrap_or(0.0)),
        estimated_tokens: text("estimatedTokens").parse().unwrap_or(0),
    }
}

fn spent(span: &Value) -> Spent {
    Spent {
        input: number(span, "gen_ai.usage.input_tokens"),
        output: number(span, "gen_ai.usage.output_tokens"),
        nanos: nanos(attribute(span, "loom.cost_usd").parse().unwrap_or(0.0)),
    }
}

pub(super) fn nanos(dollars: f64) -> i64 {
    whole(dollars * 1e9)
}

#[expect(clippy::cast_possible_truncation, reason = "a run costs far less than a double counts exactly")]
fn whole(number: f64) -> i64 {
    number.round() as i64
}

async fn session_of(port: u16, id: &str) -> Result<Session> {
    let session = Ask::get(format!("/v1/sessions/{id}")).send(port).await?.ok()?;
    let mut messages = Vec::new();
    loop {
        let path = format!("/v1/sessions/{id}/history?limit={PAGE}&offset={}", messages.len());
        let history = Ask::get(path).send(port).await?.ok()?;
        let page = history["messages"].as_array().cloned().unwrap_or_default();
        let total = history["totalCount"].as_u64().unwrap_or(0);
        if page.is_empty() {
            break;
        }
        messages.extend(page.iter().map(message_of));
        if messages.len() as u64 >= total {
            break;
        }
    }
    Ok(Session {
        nanos: nanos(session["totalCostUsd"].as_f64().unwrap_or(0.0)),
        turns: session["conversationCount"].as_i64().unwrap_or(0),
        messages,
    })
}

fn message_of(message: &Value) -> Message {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let calls = message["toolCalls"].as_array().cloned().unwrap_or_default();
    let results = calls.iter().map(|call| {
        usize::from(!text(&call["resultJson"]).is_empty()) + usize::from(!text(&call["error"]).is_empty())
    });
    Message { role: text(&message["role"]), content: text(&message["content"]), results: results.collect() }
}

fn texts(list: &Value, name: &str) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(|item| Some(item[name].as_str()?.to_owned())).collect()
}
