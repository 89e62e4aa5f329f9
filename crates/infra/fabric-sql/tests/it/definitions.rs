//! A backend does all that its definition says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use loom_fabric::{
    BackendDefinition, BackendError, BackendErrorKind, ExecutionBackend, QueryContext, QueryLimits,
    backend_tools,
};
use loom_fabric_sql::SharedPools;
use loom_patterns::Registry;

use crate::support::{self, SqliteFile};

const TABLES: &str = "CREATE TABLE orders (a); CREATE TABLE lines (a); CREATE TABLE lines_old (a);";

async fn open(folder: &Path, yaml: &str) -> Result<Arc<dyn ExecutionBackend>, BackendError> {
    let definition = BackendDefinition::from_yaml("shop.yaml", yaml, "shop", &|_| None).unwrap();
    SharedPools::new(support::clock()).open_defined(&definition, folder, &[]).await
}

fn tools(backend: Arc<dyn ExecutionBackend>) -> Vec<(String, String)> {
    let patterns = Arc::new(Registry::with_built_in([]).0);
    backend_tools(backend, None, patterns, QueryLimits::default())
        .iter()
        .map(|tool| {
            let definition = &tool.spec().definition;
            (definition.name.to_string(), definition.description.to_string())
        })
        .collect()
}

#[tokio::test]
async fn name_description_and_tools_reach_the_agent() {
    let file = SqliteFile::new(TABLES).await;
    let yaml = "name: web\ndescription: Orders of the web shop\ntype: sqlite\nconnection: {path: data.sqlite}\n\
                tool_generation: {tools: [query, list_tables]}";
    let told = tools(open(file.folder(), yaml).await.unwrap());
    let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["list_tables", "query"]);
    assert!(
        told.iter().all(|(_, text)| text.ends_with("backend \"web\": Orders of the web shop")),
        "{told:?}"
    );

    let all = "type: sqlite\nconnection: {path: data.sqlite}\ntool_generation: {enable_all: true}";
    assert_eq!(tools(open(file.folder(), all).await.unwrap()).len(), 5);
    let none = "type: sqlite\nconnection: {path: data.sqlite}\ntool_generation: {enable_all: false}";
    assert!(tools(open(file.folder(), none).await.unwrap()).is_empty());
}

#[tokio::test]
async fn tables_are_filtered_and_looked_at_again_in_time() {
    let file = SqliteFile::new(TABLES).await;
    let yaml = "type: sqlite\ndatabase: {dsn: data.sqlite}\nschema_discovery: {include_tables: ['lines*', more], \
                exclude_tables: ['*_old'], cache_ttl_seconds: TTL}";
    let fresh = open(file.folder(), &yaml.replace("TTL", "0")).await.unwrap();
    let kept = open(file.folder(), &yaml.replace("TTL", "3600")).await.unwrap();
    for backend in [&fresh, &kept] {
        let names = backend.list_resources().await.unwrap().into_iter().map(|table| table.name);
        assert_eq!(names.collect::<Vec<_>>(), ["lines"]);
    }
    let mut writer = file.writer().await;
    sqlx::raw_sql("CREATE TABLE more (a)").execute(&mut writer).await.unwrap();
    assert_eq!(fresh.list_resources().await.unwrap().len(), 2);
    assert_eq!(kept.list_resources().await.unwrap().len(), 1);
}

/// Holds a connection until it is told to stop.
async fn occupy(backend: &Arc<dyn ExecutionBackend>, context: QueryContext) -> Result<(), BackendError> {
    const ENDLESS: &str =
        "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    backend.execute_query(ENDLESS, &[], &context).await.map(drop)
}

#[tokio::test]
async fn as_many_connections_as_it_says_and_a_wait_as_long_as_it_says() {
    /// Between the second that it says and the five that it would be otherwise.
    const BETWEEN: Duration = Duration::from_secs(4);
    let file = SqliteFile::new(TABLES).await;
    let yaml =
        "type: sqlite\ndatabase: {dsn: data.sqlite, max_connections: 2, connection_timeout_seconds: 1}";
    let backend = open(file.folder(), yaml).await.unwrap();
    let context = QueryContext::default();
    let (first, second, third) =
        tokio::join!(occupy(&backend, context.clone()), occupy(&backend, context.clone()), async {
            let plain = QueryContext::default();
            let refused = loop {
                let asked = backend.execute_query("SELECT 1", &[], &plain);
                if let Err(error) = tokio::time::timeout(BETWEEN, asked).await.expect("no wait of a second") {
                    break error;
                }
            };
            context.cancel.cancel();
            refused
        });
    assert_eq!(third.kind, BackendErrorKind::Unavailable, "{third}");
    for held in [first, second] {
        assert_eq!(held.unwrap_err().kind, BackendErrorKind::Cancelled);
    }
}

#[tokio::test]
async fn encryption_and_certificates_are_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // "N" answers the request for encryption: no.
            let _gone = tokio::io::AsyncWriteExt::write_all(&mut stream, b"N").await;
        }
    });
    let yaml = |keys: &str| {
        format!(
            "type: postgres\ndatabase: {{dsn: 'postgres://u@127.0.0.1:{port}/d', connection_timeout_seconds: 1, {keys}}}"
        )
    };
    let error = open(folder.path(), &yaml("enable_ssl: true")).await.err().unwrap();
    assert!(error.message.contains("encrypted"), "{error}");
    let error = open(folder.path(), &yaml("ssl_cert_path: ca.pem")).await.err().unwrap();
    let certificate = folder.path().join("ca.pem").display().to_string();
    assert!(error.message.contains(&certificate), "it is looked for beside the definition: {error}");
    server.abort();
}

#[tokio::test]
async fn a_forbidden_file_stays_closed() {
    let file = SqliteFile::new(TABLES).await;
    let yaml = "type: sqlite\nconnection: {path: ./data.sqlite}";
    let definition = BackendDefinition::from_yaml("shop.yaml", yaml, "shop", &|_| None).unwrap();
    let pools = SharedPools::new(support::clock());
    let error = pools.open_defined(&definition, file.folder(), &[file.path()]).await.err().unwrap();
    assert_eq!(error.kind, BackendErrorKind::Refused);
}
