//! What every provider behind a wire protocol must do, tried against its fake. Run it with [`wire_suite!`].
//!
//! [`wire_suite!`]: crate::wire_suite!

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use loom_base::Clock as _;
use loom_llm::{
    Assembler, Chunk, Completion, CompletionRequest, ContentBlock, ErrorClass, FinishReason, LlmError,
    LlmProvider, Usage,
};
use serde_json::json;

use crate::{API_KEY, Dialect, ManualClock, ProviderFake, Reply, UNKNOWN_MODEL, completion_request as ask};

/// A provider under test.
pub trait WireProvider {
    /// The protocol it speaks.
    const DIALECT: Dialect;

    /// A provider that sends to `base_url`, takes its time from `clock`, and has the key `key`, or none.
    fn provider(
        base_url: &str,
        key: Option<&'static str>,
        clock: Arc<ManualClock>,
    ) -> anyhow::Result<Arc<dyn LlmProvider>>;
}

/// Makes one test of each promise of the suite for a [`WireProvider`](crate::wire_suite::WireProvider).
#[macro_export]
macro_rules! wire_suite {
    ($subject:ty) => {
        $crate::wire_suite!($subject:
            text_streams_and_completes_alike, parallel_tool_calls_keep_ids_and_arguments, cached_tokens_count_once,
            reasons_to_stop_are_told_apart, a_cut_answer_is_transient_after_its_deltas, no_cut_passes_for_an_answer,
            an_error_inside_an_answer_is_transient, a_rate_limit_carries_its_wait, what_is_not_the_protocol_is_malformed,
            a_stall_ends_at_the_deadline, silence_is_transient, dropping_an_answer_closes_the_connection,
            a_rejected_key_names_the_cure, a_missing_key_sends_nothing, an_unknown_model_is_named,
            a_long_context_is_told_apart, an_empty_answer_is_malformed, statuses_have_classes,
            no_error_shows_the_key_or_a_whole_body, a_dead_address_is_transient, the_trace_is_passed_on
        );
    };
    ($subject:ty: $($name:ident),+) => {$(
        #[tokio::test]
        async fn $name() -> anyhow::Result<()> {
            $crate::wire_suite::$name::<$subject>().await
        }
    )+};
}

struct Scene {
    fake: ProviderFake,
    provider: Arc<dyn LlmProvider>,
    clock: Arc<ManualClock>,
    request: CompletionRequest,
}

async fn scene<P: WireProvider>(replies: Vec<Reply>) -> anyhow::Result<Scene> {
    let fake = ProviderFake::start(P::DIALECT, replies).await?;
    let clock = Arc::new(ManualClock::default());
    let provider = P::provider(&fake.base_url(), Some(API_KEY), Arc::clone(&clock))?;
    Ok(Scene { fake, provider, clock, request: ask("model-1", "hello")? })
}

impl Scene {
    async fn complete(&self) -> Result<Completion, LlmError> {
        self.provider.complete(self.request.clone()).await
    }

    async fn failure(&self) -> anyhow::Result<LlmError> {
        self.complete().await.err().context("the call succeeded")
    }

    /// The streamed chunks up to the end or the first error.
    async fn stream(&self) -> Result<(Vec<Chunk>, Option<LlmError>), LlmError> {
        let mut stream = self.provider.stream(self.request.clone()).await?;
        let mut chunks = Vec::new();
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => chunks.push(chunk),
                Err(error) => return Ok((chunks, Some(error))),
            }
        }
        Ok((chunks, None))
    }
}

fn is_text(chunk: &Chunk) -> bool {
    matches!(chunk, Chunk::Text { delta, .. } if !delta.is_empty())
}

/// A text comes in deltas, however the bytes are cut, and `complete` gives what the stream gives.
pub async fn text_streams_and_completes_alike<P: WireProvider>() -> anyhow::Result<()> {
    let text = "Zwölf Boxkämpfer jagen Viktor über den großen Sylter Deich 😀.";
    for piece in [1, 7, 10_000] {
        let reply = Reply::text(text).in_pieces_of(piece);
        let scene = scene::<P>(vec![reply.clone(), reply]).await?;
        let completion = scene.complete().await?;
        let (chunks, error) = scene.stream().await?;
        ensure!(error.is_none(), "{error:?}");
        ensure!(chunks.iter().filter(|chunk| is_text(chunk)).count() > 3, "not streamed: {chunks:?}");
        let mut assembler = Assembler::new("?".into());
        chunks.iter().try_for_each(|chunk| assembler.push(chunk))?;
        ensure!(assembler.finish()? == completion);
        ensure!(completion.content == [ContentBlock::text(text)]);
        ensure!(&*completion.model == "model-1");
        ensure!(completion.finish == FinishReason::Stop);
        ensure!(completion.usage == Usage { input: 10, output: 5, ..Usage::default() });
    }
    Ok(())
}

/// Several tool calls in one answer come out whole and in order, after the text before them.
pub async fn parallel_tool_calls_keep_ids_and_arguments<P: WireProvider>() -> anyhow::Result<()> {
    let reply = Reply::text("Looking.").and_tool_calls([
        ("call_1", "query", r#"{"sql": "SELECT \"a\" FROM t"}"#),
        ("call_2", "schema", "{}"),
        ("call_3", "query", r#"{"sql": "SELECT 2"}"#),
    ]);
    let scene = scene::<P>(vec![reply]).await?;
    let completion = scene.complete().await?;
    let call = |id: &str, name: &str, input| ContentBlock::ToolUse {
        id: loom_base::CallId::new(id),
        name: name.into(),
        input,
    };
    ensure!(
        completion.content
            == [
                ContentBlock::text("Looking."),
                call("call_1", "query", json!({"sql": "SELECT \"a\" FROM t"})),
                call("call_2", "schema", json!({})),
                call("call_3", "query", json!({"sql": "SELECT 2"})),
            ]
    );
    ensure!(completion.finish == FinishReason::ToolUse);
    Ok(())
}

/// `input` excludes what the cache served.
pub async fn cached_tokens_count_once<P: WireProvider>() -> anyhow::Result<()> {
    let usage = Usage { input: 21, output: 8, cache_read: 4_000, cache_write: 0 };
    let scene = scene::<P>(vec![Reply::text("hi").using(usage)]).await?;
    ensure!(scene.complete().await?.usage == usage);
    Ok(())
}

/// A limit and a refusal are not a stop.
pub async fn reasons_to_stop_are_told_apart<P: WireProvider>() -> anyhow::Result<()> {
    for finish in [FinishReason::Stop, FinishReason::MaxTokens, FinishReason::Refusal] {
        let scene = scene::<P>(vec![Reply::text("hi").finishing(finish)]).await?;
        ensure!(scene.complete().await?.finish == finish);
    }
    Ok(())
}

/// What arrived before a cut is seen; the cut itself is an error that may be retried; the next call works.
pub async fn a_cut_answer_is_transient_after_its_deltas<P: WireProvider>() -> anyhow::Result<()> {
    let cut = Reply::text("a text of several deltas").cut_after_events(5);
    let scene = scene::<P>(vec![cut.clone(), cut, Reply::text("whole")]).await?;
    let (chunks, error) = scene.stream().await?;
    ensure!(chunks.iter().any(is_text), "no delta before the cut: {chunks:?}");
    ensure!(error.context("no error after the cut")?.class == ErrorClass::Transient);
    ensure!(scene.failure().await?.class == ErrorClass::Transient);
    ensure!(scene.complete().await?.content == [ContentBlock::text("whole")]);
    Ok(())
}

/// An answer cut at any byte is an error of the connection, never an answer and never a defect of the protocol.
pub async fn no_cut_passes_for_an_answer<P: WireProvider>() -> anyhow::Result<()> {
    const STEP: usize = 13;
    let scene = scene::<P>(Vec::new()).await?;
    for bytes in (1..).step_by(STEP) {
        scene.fake.push(Reply::text("hi").and_tool_calls([("c", "t", "{}")]).cut_after_bytes(bytes));
        match scene.complete().await {
            Err(error) => ensure!(error.class == ErrorClass::Transient, "at byte {bytes}: {error:?}"),
            Ok(completion) => {
                ensure!(
                    completion.content.len() == 2 && bytes > 10 * STEP,
                    "at byte {bytes}: {completion:?}"
                );
                return Ok(());
            }
        }
    }
    Ok(())
}

/// A provider may fail after its 200; the deltas before are seen.
pub async fn an_error_inside_an_answer_is_transient<P: WireProvider>() -> anyhow::Result<()> {
    let kind = by_dialect::<P>("overloaded_error", "server_error", "UNAVAILABLE");
    let scene = scene::<P>(vec![Reply::text("half").broken_by(kind, "Overloaded")]).await?;
    let (chunks, error) = scene.stream().await?;
    let error = error.context("no error")?;
    ensure!(chunks.iter().any(is_text));
    ensure!(error.class == ErrorClass::Transient && error.message.contains("Overloaded"), "{error:?}");
    Ok(())
}

/// The wait of a 429 is understood in seconds and as a date.
pub async fn a_rate_limit_carries_its_wait<P: WireProvider>() -> anyhow::Result<()> {
    let kind = by_dialect::<P>("rate_limit_error", "rate_limit_exceeded", "RESOURCE_EXHAUSTED");
    let limit = |wait| Reply::failure(429, kind, "Too many requests").retry_after(wait);
    let scene = scene::<P>(vec![limit("7"), limit("Thu, 01 Jan 2026 00:01:30 GMT"), limit("soon")]).await?;
    for wait in [Some(Duration::from_secs(7)), Some(Duration::from_secs(90)), None] {
        let error = scene.failure().await?;
        ensure!(error.class == ErrorClass::RateLimited && error.retry_after == wait, "{error:?}");
    }
    Ok(())
}

/// Broken JSON and web pages are malformed, and no part of them is in the error.
pub async fn what_is_not_the_protocol_is_malformed<P: WireProvider>() -> anyhow::Result<()> {
    let replies = [
        Reply::raw_events("data: {\"private\n\n"),
        Reply::raw_events("data: {\"private\":1}\n\n"),
        Reply::web_page("<html>private</html>"),
    ];
    let scene = scene::<P>(replies.to_vec()).await?;
    for _ in &replies {
        let error = scene.failure().await?;
        ensure!(error.class == ErrorClass::Malformed && !error.message.contains("private"), "{error:?}");
    }
    Ok(())
}

/// A provider that stops sending is given up at the caller's deadline, after deltas and before the first byte.
pub async fn a_stall_ends_at_the_deadline<P: WireProvider>() -> anyhow::Result<()> {
    let half_a_minute = Duration::from_secs(30);
    let stalled = |events| Reply::text("a text of several deltas").stall_after_events(events);
    let mut scene = scene::<P>(vec![stalled(4), stalled(0)]).await?;
    scene.request.context.deadline = Some(scene.clock.now() + half_a_minute);
    let mut stream = scene.provider.stream(scene.request.clone()).await?;
    while !is_text(&stream.next().await.context("no delta")??) {}
    scene.clock.advance(Duration::from_secs(29));
    let rest = async {
        let mut rest = std::pin::pin!(stream.by_ref().filter_map(|chunk| std::future::ready(chunk.err())));
        rest.next().await
    };
    let (error, ()) = futures::join!(rest, async {
        scene.clock.until_sleeping(1).await;
        scene.clock.advance(Duration::from_secs(1));
    });
    let error = error.context("no error")?;
    ensure!(error.class == ErrorClass::Deadline, "{error:?}");
    drop(stream);
    scene.fake.until_closed(1).await;

    scene.request.context.deadline = Some(scene.clock.now() + half_a_minute);
    let (error, ()) = futures::join!(scene.failure(), async {
        scene.clock.until_sleeping(1).await;
        scene.clock.advance(half_a_minute);
    });
    let error = error?;
    ensure!(error.class == ErrorClass::Deadline, "{error:?}");
    Ok(())
}

/// Without a deadline, a connection that went dead does not hold the turn for ever.
pub async fn silence_is_transient<P: WireProvider>() -> anyhow::Result<()> {
    let scene = scene::<P>(vec![Reply::text("a text").stall_after_events(4)]).await?;
    let an_hour_and_another = async {
        loop {
            scene.clock.until_sleeping(1).await;
            scene.clock.advance(Duration::from_hours(1));
            tokio::task::yield_now().await;
        }
    };
    let error = tokio::select! {
        error = scene.failure() => error?,
        () = an_hour_and_another => anyhow::bail!("time ended"),
    };
    ensure!(error.class == ErrorClass::Transient && error.message.contains("sent nothing"), "{error:?}");
    Ok(())
}

/// A caller that goes away stops the provider's work.
pub async fn dropping_an_answer_closes_the_connection<P: WireProvider>() -> anyhow::Result<()> {
    let scene = scene::<P>(vec![Reply::text("a text").stall_after_events(4)]).await?;
    let mut stream = scene.provider.stream(scene.request.clone()).await?;
    stream.next().await.context("no chunk")??;
    drop(stream);
    scene.fake.until_closed(1).await;
    Ok(())
}

/// A rejected key is an error of the set-up; trying again does not help.
pub async fn a_rejected_key_names_the_cure<P: WireProvider>() -> anyhow::Result<()> {
    let scene = scene::<P>(Vec::new()).await?;
    let provider = P::provider(&scene.fake.base_url(), Some("a-wrong-key"), Arc::clone(&scene.clock))?;
    let error = provider.complete(scene.request.clone()).await.err().context("the key was accepted")?;
    ensure!(error.class == ErrorClass::Auth && error.message.contains("configure"), "{error:?}");
    ensure!(!error.to_string().contains("a-wrong-key"));
    Ok(())
}

/// A missing key fails the call and not the start, and nothing is sent.
pub async fn a_missing_key_sends_nothing<P: WireProvider>() -> anyhow::Result<()> {
    let scene = scene::<P>(vec![Reply::text("hi")]).await?;
    let provider = P::provider(&scene.fake.base_url(), None, Arc::clone(&scene.clock))?;
    let error = provider.complete(scene.request.clone()).await.err().context("no key was needed")?;
    ensure!(error.class == ErrorClass::Auth, "{error:?}");
    ensure!(scene.fake.requests().is_empty());
    Ok(())
}

/// An unknown model is told apart from a wrong request.
pub async fn an_unknown_model_is_named<P: WireProvider>() -> anyhow::Result<()> {
    let mut scene = scene::<P>(Vec::new()).await?;
    scene.request.model = UNKNOWN_MODEL.into();
    let error = scene.failure().await?;
    ensure!(error.class == ErrorClass::UnknownModel && error.message.contains(UNKNOWN_MODEL), "{error:?}");
    Ok(())
}

/// A context that does not fit is told apart from a wrong request: the caller can compact it.
pub async fn a_long_context_is_told_apart<P: WireProvider>() -> anyhow::Result<()> {
    let (kind, message) = match P::DIALECT {
        Dialect::Anthropic => ("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        Dialect::OpenAi | Dialect::Ollama => {
            ("context_length_exceeded", "This model's maximum context length is 1")
        }
        Dialect::Gemini => (
            "INVALID_ARGUMENT",
            "The input token count (9) exceeds the maximum number of tokens allowed (8).",
        ),
    };
    let scene = scene::<P>(vec![Reply::failure(400, kind, message)]).await?;
    ensure!(scene.failure().await?.class == ErrorClass::ContextTooLong);
    Ok(())
}

/// A model that says nothing gave no answer, though it stopped.
pub async fn an_empty_answer_is_malformed<P: WireProvider>() -> anyhow::Result<()> {
    let scene = scene::<P>(vec![Reply::empty(), Reply::empty()]).await?;
    ensure!(scene.failure().await?.class == ErrorClass::Malformed);
    let (chunks, error) = scene.stream().await?;
    ensure!(error.is_none() && chunks.contains(&Chunk::Finish(FinishReason::Stop)), "{chunks:?} {error:?}");
    Ok(())
}

/// Statuses decide where the provider says nothing more exact; a redirect is not followed.
pub async fn statuses_have_classes<P: WireProvider>() -> anyhow::Result<()> {
    let rows = [
        (500, ErrorClass::Transient),
        (503, ErrorClass::Transient),
        (529, ErrorClass::Transient),
        (402, ErrorClass::Quota),
        (403, ErrorClass::Auth),
        (413, ErrorClass::ContextTooLong),
        (418, ErrorClass::Invalid),
        (307, ErrorClass::Invalid),
    ];
    let replies = rows.map(|(status, _)| Reply::failure(status, "an_error_of_the_future", "no"));
    let scene = scene::<P>(replies.to_vec()).await?;
    for (status, class) in rows {
        let error = scene.failure().await?;
        ensure!(error.class == class, "{status}: {error:?}");
    }
    ensure!(scene.fake.requests().len() == rows.len());
    Ok(())
}

/// A provider that repeats the key, or a whole page, in its error is not quoted in full.
pub async fn no_error_shows_the_key_or_a_whole_body<P: WireProvider>() -> anyhow::Result<()> {
    let message = format!("got key {API_KEY}\nand {}", "x".repeat(20_000));
    let replies = vec![
        Reply::failure(400, "invalid_request_error", &message),
        Reply::failure(401, "authentication_error", &message),
        Reply::text("half").broken_by("api_error", &message),
    ];
    let count = replies.len();
    let scene = scene::<P>(replies).await?;
    for _ in 0..count {
        let error = scene.failure().await?;
        let shown = format!("{error} {error:?}");
        ensure!(!shown.contains(API_KEY) && !shown.contains('\n') && shown.len() < 1_500, "{shown}");
    }
    Ok(())
}

/// No one listening is a failure that may pass.
pub async fn a_dead_address_is_transient<P: WireProvider>() -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    drop(listener);
    let provider = P::provider(&format!("http://{address}"), Some(API_KEY), Arc::default())?;
    let error = provider.complete(ask("model-1", "hello")?).await.err().context("someone answered")?;
    ensure!(error.class == ErrorClass::Transient && error.message.contains("cannot connect"), "{error:?}");
    Ok(())
}

/// The provider can continue our trace; its credential travels, and the request says who asks.
pub async fn the_trace_is_passed_on<P: WireProvider>() -> anyhow::Result<()> {
    let scene = scene::<P>(vec![Reply::text("hi")]).await?;
    scene.complete().await?;
    let requests = scene.fake.requests();
    let headers = &requests.first().context("no request")?.headers;
    let parent = headers.get("traceparent").context("no traceparent")?;
    ensure!(parent.starts_with(&format!("00-{}-", scene.request.context.trace)), "{parent}");
    ensure!(headers.get("user-agent").is_some_and(|agent| agent.starts_with("loom/")));
    ensure!(headers.values().any(|value| value == "[redacted]"));
    Ok(())
}

const fn by_dialect<P: WireProvider>(
    anthropic: &'static str,
    openai: &'static str,
    gemini: &'static str,
) -> &'static str {
    match P::DIALECT {
        Dialect::Anthropic => anthropic,
        Dialect::OpenAi | Dialect::Ollama => openai,
        Dialect::Gemini => gemini,
    }
}
