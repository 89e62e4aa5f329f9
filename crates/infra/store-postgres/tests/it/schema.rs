//! What the store opens, and what it refuses to.

use loom_base::Secret;
use loom_store::Error;
use loom_store_postgres::{Options, PostgresStore};
use sqlx::{AssertSqlSafe, Connection as _};

use crate::support::{Home, at_home, open_session};

async fn refusal(options: Options) -> Error {
    match PostgresStore::open(options).await {
        Ok(_) => panic!("the store opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_database_of_a_newer_loom_is_refused() {
    at_home(|home| async move {
        // Opening can be spawned, whatever sqlx's futures borrow.
        let store = tokio::spawn(PostgresStore::open(home.options())).await.expect("no one panics");
        store.expect("it opens").close().await;
        let mut stranger = home.stranger().await;
        for (newer, undone) in [
            (
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'later', true, '', 0)",
                "DELETE FROM _sqlx_migrations WHERE version = 9999",
            ),
            (
                "UPDATE meta SET value = 9999 WHERE key = 'min_binary'",
                "UPDATE meta SET value = 1 WHERE key = 'min_binary'",
            ),
        ] {
            sqlx::raw_sql(newer).execute(&mut stranger).await.expect("the table is there");
            let error = refusal(home.options()).await;
            assert!(matches!(error, Error::TooNew { found: 9999, known: 1..9999 }), "{error}");
            sqlx::raw_sql(undone).execute(&mut stranger).await.expect("the table is there");
        }
        home.open().await.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_database_that_cannot_hold_every_character_is_refused() {
    at_home(|home| async move {
        let mut admin = home.stranger().await;
        let name = format!("{}_latin", home.schema());
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        let make = format!("CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
        for sql in [drop.clone(), make] {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.expect("the server lets us");
        }
        let url = format!("{}&dbname={name}", home.url_at(None));
        let error = refusal(Options { url: Secret::new(url), ..home.options() }).await;
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut admin).await.expect("the database goes");
        assert!(
            matches!(&error, Error::Unavailable { reason } if reason.contains("encoding is LATIN1")),
            "{error}"
        );
    })
    .await;
}

/// The same server, by another URL.
async fn refused_url(home: &Home, url: String) -> String {
    let error = refusal(Options { url: Secret::new(url), ..home.options() }).await;
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    format!("{error} {error:?}")
}

#[tokio::test]
async fn no_error_shows_the_password() {
    at_home(|home| async move {
        let address = home.address();
        for (url, said) in [
            (format!("postgres://loom:hunter2@{address}/no_such_database"), "no_such_database"),
            (format!("postgres://no_such_user:hunter2@{address}/postgres"), "no_such_user"),
            ("postgres://loom:hunter2@127.0.0.1:1/loom".to_owned(), "Connection refused"),
            ("postgres://loom:hunter2@[::1/loom".to_owned(), "not of the form"),
            ("mysql://loom:hunter2@localhost/loom".to_owned(), "not of the form"),
            (format!("postgres://loom@{address}/postgres?passwort=hunter2"), "\"passwort\""),
            (format!("postgres://loom@{address}/postgres?sslmode=hunter2"), "not of the form"),
        ] {
            let error = refused_url(&home, url.clone()).await;
            assert!(!error.contains("hunter2"), "{error}");
            // A server may trust whoever comes; then it is the name of the role or database that is refused.
            assert!(error.contains(said) || error.contains("role"), "{url}: {error}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_commit_is_on_the_servers_disk_also_where_it_is_not_by_default() {
    at_home(|home| async move {
        let url = format!("{}&options[synchronous_commit]=off", home.url_at(None));
        let options = Options { url: Secret::new(url), ..home.options() };
        let store = PostgresStore::open(options).await.expect("it opens");
        let mut stranger = home.stranger().await;
        let watch = "
            CREATE TABLE seen (setting text);
            CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
            CREATE TRIGGER watch AFTER INSERT ON sessions EXECUTE FUNCTION watch()";
        sqlx::raw_sql(watch).execute(&mut stranger).await.expect("we may");
        open_session(&store.stores(), "s").await;
        let seen: String = sqlx::query_scalar("SELECT setting FROM seen")
            .fetch_one(&mut stranger)
            .await
            .expect("it was called");
        assert_eq!(seen, "on");
        stranger.close().await.expect("it closes");
        store.close().await;
    })
    .await;
}
