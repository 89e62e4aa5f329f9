//! Databases that do not answer.

use std::time::Duration;

use loom_base::Secret;
use loom_fabric::{BackendError, BackendErrorKind, TlsMode};
use loom_fabric_sql::{PostgresBackend, SharedPools, SqlOptions, SqlSource};
use tokio::net::TcpListener;

use crate::support;

const PASSWORD: &str = "correct-horse";

async fn connect(dsn: &str) -> BackendError {
    let options = SqlOptions { connect_timeout: Duration::from_millis(300), ..SqlOptions::default() };
    let dsn = Secret::new(dsn);
    let connecting = PostgresBackend::connect("far", &dsn, options, support::clock());
    let error = tokio::time::timeout(Duration::from_secs(3), connecting).await.expect("in time").unwrap_err();
    assert_eq!(error.kind, BackendErrorKind::Unavailable, "{error}");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(PASSWORD), "{shown}");
    error
}

#[tokio::test]
async fn a_refused_connection_is_unavailable() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = connect(&format!("postgres://user:{PASSWORD}@127.0.0.1:{port}/db")).await;
    assert!(error.message.contains("refused"), "{error}");
}

#[tokio::test]
async fn a_listener_that_never_answers_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let error = connect(&format!("postgres://user:{PASSWORD}@127.0.0.1:{port}/db")).await;
    assert!(error.message.contains("no answer within"), "{error}");
}

#[tokio::test]
async fn a_connection_string_that_cannot_be_read_is_not_shown() {
    for dsn in [format!("postgres://user:{PASSWORD}@host:port/db"), format!("user:{PASSWORD}"), String::new()]
    {
        connect(&dsn).await;
    }
}

#[tokio::test]
async fn a_parameter_that_is_not_known_is_named_and_its_value_not_shown() {
    for (query, named) in [
        (format!("foo={PASSWORD}"), "`foo`"),
        (format!("sslmode=disable&channel_binding={PASSWORD}"), "`channel_binding`"),
        (format!("options=-c%20role%3D{PASSWORD}"), "`options`"),
        (format!("options[role]={PASSWORD}"), "`options[role]`"),
        (format!("op%74ions=-c%20role%3D{PASSWORD}"), "not known"),
        (format!("{PASSWORD}@127.0.0.1/db"), "percent"),
    ] {
        let error = connect(&format!("postgres://user:{PASSWORD}@127.0.0.1:1/db?{query}")).await;
        assert!(error.message.contains(named), "{query}: {error}");
    }
    let known = "sslmode=disable&application_name=x&options[search_path]=a,b&dbname=other";
    let error = connect(&format!("postgres://user:{PASSWORD}@127.0.0.1:1/db?{known}")).await;
    assert!(error.message.contains("refused"), "{error}");
}

#[tokio::test]
async fn a_url_where_a_file_is_expected_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    for (written, said) in [
        ("mysql://user:SEKRET@h/x", "`mysql://` URL"),
        ("sqlite:postgres://user:SEKRET@h/x", "`postgres://` URL"),
        ("user:SEKRET@h://x", "URL"),
        ("mysql:user:SEKRET@h/x", "cannot be opened"),
        ("host=h password=SEKRET", "cannot be opened"),
    ] {
        let SqlSource::Sqlite(path) = SqlSource::parse(written) else { panic!("{written}") };
        for source in [SqlSource::Sqlite(folder.path().join(&path)), SqlSource::Sqlite(path)] {
            let pools = SharedPools::new(support::clock());
            let Err(error) = pools.open("far", &source, SqlOptions::default()).await else {
                panic!("{written} was opened")
            };
            assert_eq!(error.kind, BackendErrorKind::Unavailable, "{error}");
            assert!(!format!("{error} {error:?}").contains("SEKRET"), "{error}");
            assert!(error.message.contains(said), "{error}");
        }
    }
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _closed =
                tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    connect(&format!("postgres://user:{PASSWORD}@127.0.0.1:{port}/db")).await;
    server.abort();
}

#[tokio::test]
async fn a_server_without_encryption_is_not_used_where_it_is_required() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // "N" answers the request for encryption: no.
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"N").await.unwrap();
        }
    });
    let dsn = Secret::new(format!("postgres://user:{PASSWORD}@127.0.0.1:{port}/db"));
    let options = |tls, root_certificate| SqlOptions {
        connect_timeout: Duration::from_millis(300),
        tls: Some(tls),
        root_certificate,
        ..SqlOptions::default()
    };
    let required = options(TlsMode::Require, None);
    let error = PostgresBackend::connect("far", &dsn, required, support::clock()).await.unwrap_err();
    assert!(error.message.contains("encrypted"), "{error}");
    let missing = options(TlsMode::VerifyFull, Some("/missing/root.pem".into()));
    let error = PostgresBackend::connect("far", &dsn, missing, support::clock()).await.unwrap_err();
    assert!(error.message.contains("/missing/root.pem"), "{error}");
    server.abort();
}
