//! What a definition may say, and how it is refused.

use super::*;
use crate::ResourceKind;
use proptest::prelude::*;

fn read(text: &str) -> Result<BackendDefinition, DefinitionError> {
    let lookup = |name: &str| match name {
        "PASSWORD" => Some("p:w # d".to_owned()),
        "EMPTY" => Some(String::new()),
        "MAX" => Some("7".to_owned()),
        _ => None,
    };
    BackendDefinition::from_yaml("b.yaml", text, "shop", &lookup)
}

fn failure(text: &str) -> (ErrorCode, String) {
    let error = read(text).unwrap_err();
    (error.code, error.to_string())
}

#[test]
fn the_backend_kind_is_read_whole() {
    let definition = read(
        "apiVersion: loom/v1\nkind: Backend\nname: sales\ndescription: Orders\ntype: postgres\ndatabase:\n  \
         dsn: postgres://loom:${PASSWORD}@db/sales\n  max_connections: ${MAX}\n  max_idle_connections: 2\n  \
         connection_timeout_seconds: 5\n  enable_ssl: true\n  ssl_cert_path: /etc/ca.pem\n\
         schema_discovery:\n  enabled: true\n  cache_ttl_seconds: 61\n  include_tables: [sales_*]\n  \
         exclude_tables: [sales_old]\ntool_generation:\n  tools: [query, schema, query]\n",
    )
    .unwrap();
    assert_eq!(
        definition,
        BackendDefinition {
            name: "sales".into(),
            description: Some("Orders".into()),
            connection: Connection::Postgres {
                dsn: Secret::new("postgres://loom:p:w # d@db/sales"),
                tls: Some(TlsMode::VerifyFull),
                root_certificate: Some("/etc/ca.pem".into()),
            },
            pool: PoolLimits {
                max_connections: NonZeroU32::new(7),
                max_idle_connections: Some(2),
                acquire_timeout: Some(Duration::from_secs(5)),
            },
            tables: TableFilter { include: vec!["sales_*".into()], exclude: vec!["sales_old".into()] },
            schema_ttl: Some(Duration::from_secs(61)),
            tools: Some(vec![ToolRole::Query, ToolRole::Schema]),
        }
    );
    assert!(!format!("{definition:?}").contains("p:w"));
}

#[test]
fn the_short_form_is_read_whole() {
    let sqlite = read("type: sqlite\nconnection:\n  path: ./dev.db\n  enable_wal: false\n").unwrap();
    assert_eq!(
        (sqlite.name.as_str(), sqlite.connection),
        ("shop", Connection::Sqlite { path: "./dev.db".into() })
    );
    let postgres = read(
        "type: postgres\nconnection:\n  dsn: postgresql://u@h/d\n  max_connections: 50\n  enable_ssl: true\n  \
         ssl_mode: verify-full\n",
    )
    .unwrap();
    let Connection::Postgres { tls, .. } = postgres.connection else { panic!("postgres") };
    assert_eq!(tls, Some(TlsMode::VerifyFull));
    for (written, expected) in [
        ("enable_ssl: true", Some(TlsMode::Require)),
        ("enable_ssl: false", Some(TlsMode::Disable)),
        ("ssl_mode: prefer", Some(TlsMode::Prefer)),
        ("max_connections: 1", None),
    ] {
        let read = read(&format!("type: postgres\nconnection: {{dsn: 'postgres://h/d', {written}}}"));
        let Connection::Postgres { tls, .. } = read.unwrap().connection else { panic!("postgres") };
        assert_eq!(tls, expected, "{written}");
    }
}

#[test]
fn a_sqlite_file_may_be_written_as_a_url() {
    for dsn in ["/d/x.db", "sqlite:/d/x.db", "sqlite:///d/x.db", "file:/d/x.db", "${MISSING:-/d/x.db}"] {
        let definition = read(&format!("type: sqlite\ndatabase: {{dsn: '{dsn}'}}")).unwrap();
        assert_eq!(definition.connection, Connection::Sqlite { path: "/d/x.db".into() }, "{dsn}");
    }
}

#[test]
fn what_cannot_be_honoured_is_refused_with_its_place() {
    use ErrorCode::{InvalidConfig, InvalidYaml, UnknownField, UnsupportedField};
    let cases = [
        ("type: mysql\ndatabase: {dsn: x}", UnsupportedField, "b.yaml:1:7: type `mysql` is not supported"),
        ("type: postgress\ndatabase: {dsn: x}", UnknownField, "did you mean `postgres`?"),
        ("type: sqlite\nrest: {base_url: x}", UnsupportedField, "b.yaml:2:7: `rest` is not supported"),
        ("type: sqlite\nhealth_check:\n  enabled: true", UnsupportedField, "`health_check` is not supported"),
        (
            "type: sqlite\ndatabase:\n  dns: x",
            UnknownField,
            "b.yaml:3:3: unknown key `dns`; did you mean `dsn`?",
        ),
        ("type: sqlite\ncolour: x", UnknownField, "b.yaml:2:1: unknown key `colour`; known here: "),
        ("type: [", InvalidYaml, "b.yaml:1:"),
        (
            "type: sqlite\nconnection:\n  path: a\n  enable_wal: true",
            UnsupportedField,
            "b.yaml:4:15: `enable_wal` cannot",
        ),
        (
            "type: sqlite\nconnection: {path: a, ssl_mode: require}",
            InvalidConfig,
            "no meaning for a SQLite file",
        ),
        ("type: sqlite\nconnection: {path: ':memory:'}", InvalidConfig, "needs a file"),
        ("type: sqlite\ndatabase: {dsn: 'file:a?mode=rwc'}", InvalidConfig, "options after `?`"),
        (
            "type: sqlite\ndatabase: {dsn: 'postgres://u:hunter2@h/x'}",
            InvalidConfig,
            "b.yaml:2:17: a URL of another database",
        ),
        ("type: sqlite\nconnection: {path: 'sqlite:mysql://u:hunter2@h'}", InvalidConfig, "a URL of another"),
        ("type: sqlite\nconnection: {path: a, dsn: b}", InvalidConfig, "b.yaml:2:28: `path` and `dsn`"),
        ("type: sqlite\nconnection: {path: a}\ndatabase: {dsn: a}", InvalidConfig, "keep one"),
        ("type: sqlite", InvalidConfig, "missing block `database`"),
        ("connection: {path: a}", InvalidConfig, "missing key `type`"),
        ("type: postgres\nconnection: {path: a}", InvalidConfig, "`path` has no meaning for PostgreSQL"),
        ("type: postgres\ndatabase: {}", InvalidConfig, "b.yaml:2:11: missing key `dsn`"),
        (
            "type: postgres\ndatabase: {dsn: 'host=h password=hunter2'}",
            InvalidConfig,
            "must start with `postgres://`",
        ),
        ("type: postgres\ndatabase: {dsn: '${NOPE}'}", InvalidConfig, "the variable NOPE is not set"),
        ("type: postgres\ndatabase: {dsn: '${NOPE'}", InvalidConfig, "without a closing `}`"),
        (
            "type: postgres\nconnection: {dsn: 'postgres://h', ssl_mode: full}",
            InvalidConfig,
            "unknown ssl_mode `full`",
        ),
        (
            "type: postgres\nconnection: {dsn: 'postgres://h', enable_ssl: false, ssl_mode: require}",
            InvalidConfig,
            "contradicts `enable_ssl`",
        ),
        (
            "type: sqlite\nconnection: {path: a}\nname: a b",
            InvalidConfig,
            "b.yaml:3:7: backend name \"a b\" is not",
        ),
        ("kind: Agent\ntype: sqlite", InvalidConfig, "b.yaml:1:7: `kind` must be `Backend`"),
        (
            "type: sqlite\nconnection: {path: a}\nschema_discovery: {enabled: false}",
            UnsupportedField,
            "cannot be switched off",
        ),
        (
            "type: sqlite\nconnection: {path: a}\ntool_generation: {tools: [querry]}",
            UnknownField,
            "unknown tool `querry`; did you mean `query`?",
        ),
    ];
    for (text, code, message) in cases {
        let (found, shown) = failure(text);
        assert!(shown.contains(message), "{text}\n{shown}");
        assert_eq!(found, code, "{text}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_pool_cannot_be_without_bounds() {
    let sqlite = |keys: &str| failure(&format!("type: sqlite\ndatabase: {{dsn: a, {keys}}}"));
    for (keys, message) in [
        ("max_connections: 0", "b.yaml:2:37: `0` is not a whole number from 1"),
        ("max_connections: 4294967295", "`max_connections` is 4294967295; at most 1000 are possible"),
        ("max_idle_connections: -1", "`-1` is not a whole number from 0"),
        ("connection_timeout_seconds: 0", "`0` is not a whole number of seconds from 1"),
        ("connection_timeout_seconds: 18446744073709551615", "is not a whole number of seconds from 1"),
    ] {
        let (code, shown) = sqlite(keys);
        assert!(code == ErrorCode::InvalidConfig && shown.contains(message), "{keys}\n{shown}");
    }
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let path = |written: &str| read(&format!("type: sqlite\nconnection: {{path: '{written}'}}"));
    assert!(path("a${EMPTY}b").unwrap_err().message.contains("EMPTY is not set"));
    assert_eq!(path("a${EMPTY:-x}b").unwrap().connection, Connection::Sqlite { path: "axb".into() });
}

#[test]
fn a_filter_takes_names_with_wildcards() {
    let resource = |namespace: Option<&str>, name: &str| Resource {
        namespace: namespace.map(str::to_owned),
        name: name.into(),
        kind: ResourceKind::Table,
        row_estimate: None,
    };
    let filter =
        TableFilter { include: vec!["sales.*".into(), "Cust*er".into()], exclude: vec!["*_old".into()] };
    assert!(filter.admits(&resource(Some("sales"), "orders")));
    assert!(filter.admits(&resource(None, "customer")));
    assert!(!filter.admits(&resource(None, "orders")));
    assert!(!filter.admits(&resource(Some("sales"), "orders_old")));
    assert!(TableFilter::default().admits(&resource(None, "x")));
}

proptest! {
    #[test]
    fn no_definition_makes_reading_panic(text in "(type: |sqlite|connection: |\\{|\\}|path: |\\$\\{|:-|[ -~\n]){0,20}") {
        let _ = read(&text);
    }

    #[test]
    fn a_wildcard_pattern_matches_what_it_was_made_from(name in "[a-z.]{0,8}", cut in 0usize..8) {
        let cut = cut.min(name.len());
        let (head, tail) = (format!("{}*", &name[..cut]), format!("*{}", &name[cut..]));
        prop_assert!(wildcard_matches(&head, &name) && wildcard_matches(&tail, &name));
        prop_assert!(wildcard_matches("*", &name));
    }
}
