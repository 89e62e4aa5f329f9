//! How connections are opened.

use std::io::ErrorKind;
use std::time::Duration;

use loom_store::Error;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, PgConnection, Postgres, Transaction};

use crate::error::{silent, unavailable};

use crate::store::Options;

/// Who we are, to whoever looks at the server's sessions; a URL may say otherwise.
const APPLICATION: &str = "loom";
/// How long a transaction may stand still before the server ends it, because whoever began it may be gone: less than others
/// usually wait for its locks.
const IDLE_LIMIT: Duration = Duration::from_secs(4);
/// How long opening waits for another process that changes the schema.
const MIGRATION_WAIT: Duration = Duration::from_mins(1);
/// Connections that write spans.
const SPAN_CONNECTIONS: u32 = 2;
/// Connections for hints: one listens, one speaks.
const HINT_CONNECTIONS: u32 = 2;

/// Begins a transaction that sees the database as it is at its first read, whatever is committed meanwhile.
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// The parameters of a URL that the driver knows. Others it would ignore, and log with their values.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// What a connection to the database needs. Holds the password, and so has no `Debug`.
#[derive(Clone)]
pub(crate) struct Settings {
    connect: PgConnectOptions,
    connect_timeout: Duration,
    statement_timeout: Duration,
    lock_wait: Duration,
}

impl Settings {
    /// Reads the URL; what is wrong with it is said without showing it.
    pub(crate) fn new(options: &Options) -> Result<Self, Error> {
        let url = options.url.expose();
        check_parameters(url)?;
        let malformed = || Error::Unavailable {
            reason: "the database's URL is not of the form postgres://user:password@host:port/database"
                .to_owned(),
        };
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(malformed());
        }
        let mut connect: PgConnectOptions = url.parse().map_err(|_| malformed())?;
        if connect.get_application_name().is_none() {
            connect = connect.application_name(APPLICATION);
        }
        Ok(Self {
            connect: connect.disable_statement_logging(),
            connect_timeout: options.connect_timeout,
            statement_timeout: options.statement_timeout,
            lock_wait: options.lock_wait,
        })
    }

    /// How long a transaction may take before the server is taken for lost. A server that can answer ends each statement
    /// earlier.
    pub(crate) fn transaction_limit(&self) -> Duration {
        self.statement_timeout * 2
    }

    /// Opens the connection that writes. A commit on it is on the server's disk when it returns, also where commits are
    /// not by default. A transaction whose client is gone ends, and frees its locks.
    pub(crate) async fn writer(&self) -> Result<PgConnection, sqlx::Error> {
        let options = self.limited().options([
            ("lock_timeout", milliseconds(self.lock_wait)),
            ("idle_in_transaction_session_timeout", milliseconds(IDLE_LIMIT)),
        ]);
        let mut connection = self.open(&options).await?;
        let durable = "SELECT set_config('synchronous_commit', 'on', false)
                       WHERE current_setting('synchronous_commit') = 'off'";
        sqlx::query(durable).execute(&mut connection).await?;
        Ok(connection)
    }

    /// Opens the connection that changes the schema, for as long as that takes.
    pub(crate) async fn migrator(&self) -> Result<PgConnection, sqlx::Error> {
        let options = self.connect.clone().options([
            ("statement_timeout", milliseconds(Duration::ZERO)),
            ("lock_timeout", milliseconds(MIGRATION_WAIT)),
        ]);
        self.open(&options).await
    }

    /// The connections that read; none of them can write. They are opened when they are needed.
    pub(crate) fn readers(&self, most: u32) -> Pool {
        let options = self.limited().options([("default_transaction_read_only", "on")]);
        self.pool(most.max(1), options)
    }

    /// The connections that write spans. A crash of the server may take the last commits with it.
    pub(crate) fn spans(&self) -> Pool {
        let options = self.limited().options([("synchronous_commit", "off")]);
        self.pool(SPAN_CONNECTIONS, options)
    }

    /// The connection by which an instance says that it is alive, whatever the others wait for.
    pub(crate) fn heartbeat(&self) -> Pool {
        self.pool(1, self.limited().options([("lock_timeout", milliseconds(self.lock_wait))]))
    }

    /// The connections by which Looms tell each other that something has changed.
    pub(crate) fn hints(&self) -> Pool {
        self.pool(HINT_CONNECTIONS, self.limited())
    }

    fn pool(&self, most: u32, options: PgConnectOptions) -> Pool {
        let pool = PgPoolOptions::new().max_connections(most).acquire_timeout(self.connect_timeout);
        let limit = self.connect_timeout + self.transaction_limit();
        Pool { connections: pool.connect_lazy_with(options), limit }
    }

    fn limited(&self) -> PgConnectOptions {
        self.connect.clone().options([("statement_timeout", milliseconds(self.statement_timeout))])
    }

    async fn open(&self, options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
        let opened = tokio::time::timeout(self.connect_timeout, options.connect()).await;
        opened.unwrap_or_else(|_| Err(sqlx::Error::Io(ErrorKind::TimedOut.into())))
    }
}

/// Connections that are shared, and how long a use of one may take.
#[derive(Clone)]
pub(crate) struct Pool {
    connections: PgPool,
    limit: Duration,
}

impl Pool {
    /// The connections.
    pub(crate) const fn connections(&self) -> &PgPool {
        &self.connections
    }

    /// A transaction that reads, and sees one state of the database.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        self.connections.begin_with(SNAPSHOT).await
    }

    /// What comes of `using` a connection. A server that falls silent is unavailable after a while.
    pub(crate) async fn within<T>(
        &self,
        using: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(self.limit, using).await {
            Ok(outcome) => outcome.map_err(|error| unavailable(&error)),
            Err(_) => Err(silent()),
        }
    }
}

/// A span of time as PostgreSQL's settings take it; 0 is none at all.
fn milliseconds(span: Duration) -> String {
    format!("{}ms", span.as_millis())
}

fn check_parameters(url: &str) -> Result<(), Error> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    for (name, _) in form_urlencoded::parse(query.as_bytes()) {
        let is_setting = name.starts_with("options[") && name.ends_with(']');
        if !is_setting && !PARAMETERS.contains(&&*name) {
            let reason = format!("the database's URL has a parameter {name:?}, which is not known");
            return Err(Error::Unavailable { reason });
        }
    }
    Ok(())
}
