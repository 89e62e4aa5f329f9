//! The webhook: what a service is told, how it can know that it is us, and what its answers mean.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loom_base::{ErrorCode, Secret};
use loom_hooks::{SecretSource, Webhook, WebhookError};
use loom_http_client::{Client, Limits};
use loom_testkit::ManualClock;
use loom_tools::{EffectClass, Hook as _, HookAnswer, ToolError, ToolErrorKind};
use sha2::{Digest as _, Sha256};

use crate::service::{Does, Service, answer};
use crate::{context, input, spec};

/// Where the manual clock stands.
const NOW: &str = "1767225600";

fn webhook(url: &str, class: EffectClass, secret: Option<&'static str>) -> Result<Webhook, WebhookError> {
    let clock = Arc::new(ManualClock::default());
    let client = Client::new(Limits::default(), Arc::<ManualClock>::clone(&clock)).unwrap();
    let source: SecretSource =
        Arc::new(move || secret.map(Secret::new).ok_or_else(|| "no key: set SECRET".to_owned()));
    Webhook::new(spec(class), url, source, client, clock)
}

async fn asked(service: &Service, class: EffectClass) -> Result<HookAnswer, ToolError> {
    let url = format!("{}/hooks/secret-path", service.address);
    webhook(&url, class, Some("hunter2")).unwrap().run(input(3), context(3)).await
}

/// HMAC-SHA256 as RFC 2104 writes it.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

#[tokio::test]
async fn a_request_is_signed_over_its_id_its_time_and_all_of_its_body() {
    for (secret, key) in [("hunter2", b"hunter2".to_vec()), ("whsec_AAECAwQFBgcICQ==", (0..10).collect())] {
        let mut service = Service::start(answer("204 No Content", "")).await;
        let hook = webhook(&format!("{}/hooks/loom", service.address), EffectClass::Idempotent, Some(secret));
        assert_eq!(hook.unwrap().run(input(3), context(3)).await.unwrap(), HookAnswer::Continue {});

        let told = service.told.recv().await.unwrap();
        assert_eq!(told.line, "POST /hooks/loom HTTP/1.1");
        let id = format!("{}_3", crate::effect(3).turn);
        assert_eq!((&told.headers["webhook-id"], &told.headers["idempotency-key"]), (&id, &id));
        assert_eq!(told.headers["webhook-timestamp"], NOW);
        assert_eq!(told.headers["content-type"], "application/json");
        assert!(told.headers["traceparent"].starts_with("00-"));
        let signed = [format!("{id}.{NOW}.").into_bytes(), told.body.clone()].concat();
        let expected = format!("v1,{}", STANDARD.encode(hmac(&key, &signed)));
        assert_eq!(told.headers["webhook-signature"], expected);

        let body: serde_json::Value = serde_json::from_slice(&told.body).unwrap();
        assert_eq!(
            (&body["type"], &body["data"]["session"]),
            (&"loom.hook.after_tools".into(), &"s-1".into())
        );
        assert_eq!(body["timestamp"], "2026-01-01T00:00:00.000000Z");
        assert_eq!(body["data"]["effect"], crate::effect(3).to_string());
    }
}

#[tokio::test]
async fn an_answer_is_taken_at_its_word() {
    let annotated = HookAnswer::Annotate { text: "careful".into() };
    let denied = HookAnswer::Deny { reason: "not today".into() };
    for (status, body, expected) in [
        ("200 OK", r#"{"answer":"continue"}"#, HookAnswer::Continue {}),
        ("202 Accepted", " ", HookAnswer::Continue {}),
        ("200 OK", r#"{"answer":"annotate","text":"careful"}"#, annotated),
        ("200 OK", r#"{"answer":"deny","reason":"not today"}"#, denied),
    ] {
        let service = Service::start(answer(status, body)).await;
        assert_eq!(asked(&service, EffectClass::Idempotent).await.unwrap(), expected, "{body}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_a_failure_that_shows_neither_secret_nor_path() {
    let large = format!("\"{}\"", "x".repeat(70_000));
    let (safe, once) = (EffectClass::Idempotent, EffectClass::Unsafe);
    for (does, class, kind) in [
        (answer("200 OK", r#"{"answer":"maybe"}"#), safe, ToolErrorKind::Failed),
        (answer("200 OK", "<html>"), safe, ToolErrorKind::Failed),
        (answer("200 OK", &large), safe, ToolErrorKind::Failed),
        (answer("302 Found", ""), safe, ToolErrorKind::Failed),
        (answer("404 Not Found", ""), safe, ToolErrorKind::Failed),
        (answer("500 Internal Server Error", ""), once, ToolErrorKind::Failed),
        (answer("503 Service Unavailable", ""), once, ToolErrorKind::Unavailable),
        (answer("504 Gateway Timeout", ""), safe, ToolErrorKind::Unavailable),
        (answer("504 Gateway Timeout", ""), once, ToolErrorKind::Interrupted),
        (Does::Breaks, safe, ToolErrorKind::Unavailable),
        (Does::Breaks, once, ToolErrorKind::Interrupted),
    ] {
        let mut service = Service::start(does).await;
        let error = asked(&service, class).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(!error.message.contains("hunter2") && !error.message.contains("secret-path"), "{error}");
        service.told.recv().await.unwrap();
        assert!(service.told.try_recv().is_err(), "a redirect is not followed, and nothing is sent twice");
    }
}

#[tokio::test]
async fn nobody_there_is_a_failure_before_anything_was_done() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let hook = webhook(&url, EffectClass::Unsafe, Some("hunter2")).unwrap();
    assert_eq!(hook.run(input(1), context(1)).await.unwrap_err().kind, ToolErrorKind::Unavailable);
}

#[tokio::test]
async fn without_a_usable_secret_nothing_is_sent() {
    for secret in [None, Some("whsec_not base64")] {
        let mut service = Service::start(Does::Waits).await;
        let hook = webhook(&service.address, EffectClass::Idempotent, secret).unwrap();
        let error = hook.run(input(1), context(1)).await.unwrap_err();
        assert_eq!((error.code, error.kind), (ErrorCode::Credential, ToolErrorKind::Failed));
        assert!(!error.message.contains("not base64\""), "{error}");
        assert!(service.told.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_request_that_is_stopped_is_interrupted_and_the_next_one_is_sent() {
    let mut service = Service::start(Does::Waits).await;
    let hook = Arc::new(webhook(&service.address, EffectClass::Idempotent, Some("hunter2")).unwrap());
    let stopped = context(1);
    let cancel = stopped.cancel.clone();
    let first = Arc::clone(&hook);
    let running = tokio::spawn(async move { first.run(input(1), stopped).await });
    service.told.recv().await.unwrap();
    cancel.cancel();
    assert_eq!(running.await.unwrap().unwrap_err().kind, ToolErrorKind::Interrupted);
    service.changes(answer("200 OK", ""));
    assert_eq!(hook.run(input(1), context(1)).await.unwrap(), HookAnswer::Continue {});
}

#[test]
fn an_address_that_is_none_is_refused() {
    for url in ["nowhere", "file:///etc/passwd", "http://me:pw@h", "http://h/?key=1"] {
        let refused = webhook(url, EffectClass::Idempotent, Some("s")).err().unwrap();
        assert!(!refused.to_string().contains("pw"), "{refused}");
    }
}
