//! The provider: one step of the way from question to answer at each call.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use loom_base::CallId;
use loom_llm::{
    Capabilities, Chunk, ChunkStream, CompletionRequest, FinishReason, LlmError, LlmProvider, ToolDefinition,
    Usage, estimate_message, estimate_text, estimate_tool,
};

use crate::answer;
use crate::binding::{self, Plan};
use crate::conversation::{Call, Conversation};
use crate::lookups;
use crate::matching::Matching;
use crate::missing;
use crate::pattern::Pattern;
use crate::question::Question;
use crate::reply;
use crate::schema::Schema;
use crate::tools::Tools;

const NAME: &str = "offline";

/// Runs tried for one question: the best plan, and twice the next best after an error.
const MAX_RUNS: usize = 3;
/// Less of a question than this is not understood.
const LEAST_COVERAGE: f64 = 0.5;

/// Answers questions about a database without a language model. Holds no state.
#[derive(Debug)]
pub struct OfflineProvider {
    capabilities: Capabilities,
}

impl OfflineProvider {
    /// The provider.
    pub fn new() -> Self {
        Self { capabilities: Capabilities { tools: true, ..Capabilities::default() } }
    }
}

impl Default for OfflineProvider {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl LlmProvider for OfflineProvider {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn stream(&self, request: CompletionRequest) -> Result<ChunkStream, LlmError> {
        let chunks = chunks(&request, step(&request));
        Ok(stream::iter(chunks.into_iter().map(Ok)).boxed())
    }
}

/// What is done next.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// These tools are called with these arguments.
    Call(Vec<(Arc<str>, Value)>),
    /// This is said, and it is the user's turn.
    Say(String),
}

/// What to do next in a conversation: a pure function of the request.
pub(crate) fn step(request: &CompletionRequest) -> Step {
    let Some(conversation) = Conversation::read(&request.messages) else {
        return Step::Say(reply::cannot("Ask me a question about the database."));
    };
    let Some(tools) = Tools::find(&request.tools) else {
        return Step::Say(reply::cannot(
            "I need a database: this agent has no tools that search patterns, and show the schema of a backend and run \
             a pattern on it. Attach a backend to it, or give it a provider with a language model.",
        ));
    };
    let calls = lookups::lookups(&conversation, &tools);
    if !calls.is_empty() {
        return Step::Call(calls);
    }
    match Findings::read(&conversation, &tools) {
        Ok(findings) => next_run(&conversation, &tools, &findings),
        Err(attempts) => Step::Say(reply::failed(&attempts)),
    }
}

/// What the searches brought.
struct Findings {
    question: Question,
    patterns: Vec<Pattern>,
    /// By the backend's place among the tools.
    schemas: Vec<(usize, Schema)>,
}

impl Findings {
    /// Reads the results; else what failed and why.
    fn read(conversation: &Conversation<'_>, tools: &Tools<'_>) -> Result<Self, Vec<(String, String)>> {
        let failure = |tool: &ToolDefinition| {
            let failed =
                conversation.since.iter().rev().find(|call| *call.tool == *tool.name).and_then(Call::failure);
            (format!("The tool `{}`", tool.name), failed.unwrap_or("its result cannot be read").to_owned())
        };
        let unreadable = |tool: &ToolDefinition, reason: String| {
            (format!("Reading the result of `{}`", tool.name), reason)
        };
        let searched = conversation.since.iter().rev().find(|call| *call.tool == *tools.search.name);
        let found = searched.and_then(|call| call.outcome).and_then(Result::ok);
        let found = found.ok_or_else(|| vec![failure(tools.search)])?;
        let patterns = Pattern::read_all(found).map_err(|reason| vec![unreadable(tools.search, reason)])?;
        let (mut schemas, mut failures) = (Vec::new(), Vec::new());
        for (backend, tool) in tools.backends.iter().map(|backend| backend.schema).enumerate() {
            match lookups::schema(conversation, tool) {
                Some(Ok(schema)) => schemas.push((backend, schema)),
                Some(Err(reason)) => failures.push(unreadable(tool, reason)),
                None => failures.push(failure(tool)),
            }
        }
        if schemas.is_empty() {
            return Err(failures);
        }
        Ok(Self { question: Question::read(&conversation.question), patterns, schemas })
    }
}

/// Runs the best plan, the next one after an error, or says how it ended.
fn next_run(conversation: &Conversation<'_>, tools: &Tools<'_>, findings: &Findings) -> Step {
    let question = &findings.question;
    if question.is_too_long || question.words.is_empty() {
        return Step::Say(reply::cannot("Please ask one question, in one sentence, about the data."));
    }
    let matchings: Vec<(usize, Matching<'_>)> = findings
        .schemas
        .iter()
        .map(|(backend, schema)| (*backend, Matching::new(question, schema)))
        .collect();
    let mut plans: Vec<Plan<'_>> = matchings
        .iter()
        .flat_map(|(backend, matching)| binding::plans(matching, &findings.patterns, *backend))
        .collect();
    plans.sort_by(|a, b| b.verdict.score.total_cmp(&a.verdict.score));
    let call = |plan: &Plan<'_>| -> Option<(Arc<str>, Value)> {
        let run = tools.backends.get(plan.backend)?.run;
        Some((Arc::clone(&run.name), json!({"pattern": plan.pattern.name, "parameters": plan.parameters()})))
    };
    let is_run = |call: &&Call<'_>| tools.backends.iter().any(|backend| *backend.run.name == *call.tool);
    let runs: Vec<&Call<'_>> = conversation.since.iter().filter(is_run).collect();
    let plan_of = |made: &Call<'_>| {
        plans
            .iter()
            .find(|plan| call(plan).is_some_and(|(tool, input)| *tool == *made.tool && input == *made.input))
    };
    if let Some((last, Some(Ok(result)))) = runs.last().map(|run| (run, run.outcome)) {
        let plan_and_matching = plan_of(last).and_then(|plan| {
            let (_, matching) = matchings.iter().find(|(backend, _)| *backend == plan.backend)?;
            Some((plan, matching))
        });
        let Some((plan, matching)) = plan_and_matching else {
            return Step::Say(reply::cannot(
                "The patterns or the schema changed while I looked. Please ask again.",
            ));
        };
        return Step::Say(answer::answer(result, plan, matching).unwrap_or_else(|reason| {
            reply::failed(&[(format!("Reading the result of `{}`", last.tool), reason)])
        }));
    }
    if runs.is_empty()
        && let Some(question_back) = question_back(&plans, &matchings, &findings.patterns)
    {
        return Step::Say(question_back);
    }
    let untried = plans.iter().filter(|plan| is_acceptable(plan, &plans)).filter_map(call);
    let next =
        untried.filter(|(_, input)| runs.iter().all(|run| run.input != input)).take(1).collect::<Vec<_>>();
    if runs.len() < MAX_RUNS && !next.is_empty() {
        return Step::Call(next);
    }
    let attempt = |run: &&Call<'_>| {
        let what = plan_of(run).map_or_else(
            || format!("The tool `{}`", run.tool),
            |plan| format!("The pattern {}", plan.pattern.shown()),
        );
        (what, run.failure().unwrap_or_default().to_owned())
    };
    Step::Say(reply::failed(&runs.iter().map(attempt).collect::<Vec<_>>()))
}

/// Whether a plan answers the question about as well as the best one.
fn is_acceptable(plan: &Plan<'_>, plans: &[Plan<'_>]) -> bool {
    const WORSE: f64 = 0.1;
    let best = plans.first().map_or(0.0, |best| best.verdict.coverage);
    plan.verdict.coverage > best - WORSE && !plan.verdict.leaves_out && !plan.verdict.strays
}

/// The question back, when the best plan is not good enough to run.
fn question_back(
    plans: &[Plan<'_>],
    matchings: &[(usize, Matching<'_>)],
    patterns: &[Pattern],
) -> Option<String> {
    let (_, first) = matchings.first()?;
    let missing = || {
        let known = matchings.iter().filter(|(_, matching)| matching.finds_anything());
        let missing =
            known.filter_map(|(_, matching)| Some((missing::missing(matching, patterns)?, matching)));
        missing.max_by(|(a, _), (b, _)| a.coverage.total_cmp(&b.coverage))
    };
    let Some(best) = plans.first() else {
        return Some(match missing() {
            Some((missing, matching)) => reply::ask_for_missing(&missing, matching),
            None if matchings.iter().any(|(_, matching)| matching.finds_anything()) => {
                reply::cannot("No pattern that I could run fits this question.")
            }
            None => reply::nothing_matches(first),
        });
    };
    let matching = matchings
        .iter()
        .find(|(backend, _)| *backend == best.backend)
        .map_or(first, |(_, matching)| matching);
    if best.verdict.leaves_out || best.verdict.strays || best.verdict.coverage < LEAST_COVERAGE {
        return Some(match missing().filter(|(missing, _)| missing.coverage > best.verdict.coverage) {
            Some((missing, matching)) => reply::ask_for_missing(&missing, matching),
            None if !matching.finds_anything() => reply::nothing_matches(matching),
            None => reply::ask_without(best, matching),
        });
    }
    best.rival(plans).map(|rival| reply::ask_which(best, rival))
}

/// The step as a provider streams it.
fn chunks(request: &CompletionRequest, step: Step) -> Vec<Chunk> {
    let mut chunks = vec![Chunk::Start { model: Arc::clone(&request.model) }];
    let mut output = 0;
    let finish = match step {
        Step::Say(text) => {
            output += estimate_text(&text);
            chunks.extend(words(&text).into_iter().map(|word| Chunk::Text { index: 0, delta: word.into() }));
            FinishReason::Stop
        }
        Step::Call(calls) => {
            for (index, (name, input)) in calls.into_iter().enumerate() {
                let id = CallId::new(format!("offline_{}_{index}", request.context.effect.number));
                let delta: Arc<str> = input.to_string().into();
                output += estimate_text(&name) + estimate_text(&delta);
                chunks.extend([Chunk::ToolUse { index, id, name }, Chunk::ToolInput { index, delta }]);
            }
            FinishReason::ToolUse
        }
    };
    let messages: u64 = request.messages.iter().map(|message| estimate_message(message)).sum();
    let tools: u64 = request.tools.iter().map(estimate_tool).sum();
    let input = estimate_text(&request.system) + messages + tools;
    chunks.extend([Chunk::Usage(Usage { input, output, ..Usage::default() }), Chunk::Finish(finish)]);
    chunks
}

/// A text in words, each with the space that follows it.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut was_space = false;
    for (at, char) in text.char_indices() {
        if was_space && !char.is_whitespace() {
            words.extend(text.get(start..at));
            start = at;
        }
        was_space = char.is_whitespace();
    }
    words.extend(text.get(start..));
    words
}
