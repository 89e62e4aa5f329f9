//! One request and its answer.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use loom_base::Clock as _;
use loom_http_client::{BaseUrl, Client, Error, HeaderName, Limits, Request, Response};
use loom_testkit::{API_KEY, ManualClock, ProviderFake, Reply};
use serde_json::json;

const SMALL: Limits =
    Limits { connect: Duration::from_secs(5), silence: Duration::from_mins(1), body: 4_000, event: 900 };

struct Scene {
    fake: ProviderFake,
    clock: Arc<ManualClock>,
    client: Client,
}

async fn scene(reply: Reply) -> anyhow::Result<Scene> {
    let fake = ProviderFake::anthropic(vec![reply]).await?;
    let clock = Arc::new(ManualClock::default());
    let client = Client::new(SMALL, Arc::<ManualClock>::clone(&clock))?;
    Ok(Scene { fake, clock, client })
}

impl Scene {
    fn request(&self) -> anyhow::Result<Request> {
        let body = json!({
            "model": "m", "max_tokens": 1, "stream": true, "messages": [{"role": "user", "content": []}],
        });
        let request = Request::post_json(&self.fake.base_url().parse()?, "v1/messages", &body)?;
        let request = request.header(HeaderName::from_static("anthropic-version"), "1".parse()?);
        Ok(request.secret(HeaderName::from_static("x-api-key"), "", &loom_base::Secret::new(API_KEY))?)
    }

    async fn answer(&self) -> anyhow::Result<Response> {
        Ok(self.client.send(self.request()?).await?)
    }
}

#[tokio::test]
async fn events_arrive_as_they_were_sent() -> anyhow::Result<()> {
    let scene = scene(Reply::raw_events("event: a\ndata: 1\n\ndata: 2\n\n").in_pieces_of(3)).await?;
    let answer = scene.answer().await?;
    assert!(answer.status().is_success() && answer.is_of_type("text/event-stream"));
    let events: Vec<_> =
        answer.events().map(|event| event.map(|event| (event.kind, event.data))).collect().await;
    assert_eq!(events, [Ok(("a".into(), "1".into())), Ok(("message".into(), "2".into()))]);
    Ok(())
}

#[tokio::test]
async fn an_answer_above_its_cap_is_refused() -> anyhow::Result<()> {
    let page = scene(Reply::web_page("x".repeat(2_000))).await?;
    let refused = page.answer().await?.bytes(1_999).await;
    assert!(matches!(refused, Err(Error::TooLarge { cap: 1_999, .. })), "{refused:?}");

    let event = scene(Reply::raw_events(format!("data: {}\n\n", "x".repeat(900)))).await?;
    let events: Vec<_> = event.answer().await?.events().collect().await;
    assert!(matches!(events[..], [Err(Error::TooLarge { cap: 900, .. })]), "{events:?}");

    let stream = scene(Reply::raw_events("data: x\n\n".repeat(500))).await?;
    let events: Vec<_> = stream.answer().await?.events().collect().await;
    assert!(matches!(events.last(), Some(Err(Error::TooLarge { cap: 4_000, .. }))));
    Ok(())
}

#[tokio::test]
async fn a_redirect_is_an_answer() -> anyhow::Result<()> {
    let scene = scene(Reply::failure(307, "moved", "elsewhere").retry_after("3")).await?;
    let answer = scene.answer().await?;
    assert_eq!(answer.status(), 307);
    assert_eq!(answer.retry_after(), Some(Duration::from_secs(3)));
    assert_eq!(scene.fake.requests().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_deadline_that_has_passed_ends_the_wait_and_an_error_names_only_the_host() -> anyhow::Result<()> {
    let scene = scene(Reply::text("hi").stall_after_events(0)).await?;
    let request = scene.request()?.deadline(Some(scene.clock.now()));
    let error = scene.client.send(request).await.err().map(|error| error.to_string());
    let host = scene.fake.base_url().replace("http://", "");
    assert_eq!(error, Some(format!("the deadline passed while waiting for {host}")));
    Ok(())
}

#[tokio::test]
async fn tls_needs_no_process_wide_provider_and_a_failed_handshake_is_no_connection() -> anyhow::Result<()> {
    let scene = scene(Reply::text("hi")).await?;
    let base: BaseUrl = scene.fake.base_url().replace("http://", "https://").parse()?;
    let error = scene.client.send(Request::post_json(&base, "secret/path", &json!({}))?).await.err();
    let Some(Error::Connect { host, reason }) = error else { anyhow::bail!("{error:?}") };
    assert_eq!(host, base.host());
    assert!(!reason.contains("secret"), "{reason}");
    Ok(())
}

#[tokio::test]
async fn a_secret_that_no_header_can_carry_is_refused_without_being_shown() -> anyhow::Result<()> {
    let base: BaseUrl = "http://localhost".parse()?;
    let request = Request::post_json(&base, "", &json!({}))?;
    let secret = loom_base::Secret::new("pass\nword");
    let error = request.secret(HeaderName::from_static("x-key"), "", &secret).err();
    assert!(matches!(error, Some(Error::Request { reason }) if !reason.contains("word")));
    Ok(())
}
