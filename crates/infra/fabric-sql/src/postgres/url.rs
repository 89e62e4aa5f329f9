//! Reads the URL of a PostgreSQL database. Nothing of it is shown but the names of parameters that are not known.

use loom_base::Secret;
use sqlx::postgres::PgConnectOptions;

use crate::failure::Failure;

/// Parameters that are honoured. The driver ignores all others, and logs them with their values.
const KNOWN: &[&str] = &[
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options[search_path]",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// The connection that `dsn` describes. A parameter that is not known, or that sets an option of the server other than
/// `search_path`, is refused by its name.
pub(super) fn read(dsn: &Secret) -> Result<PgConnectOptions, Failure> {
    let text = dsn.expose();
    let before_fragment = text.split_once('#').map_or(text, |(before, _)| before);
    let query = before_fragment.split_once('?').map_or("", |(_, query)| query);
    // Such a query is the rest of a password, of which no part may be taken for a name.
    if query.contains('@') {
        return Err(Failure::unavailable(
            "the connection string has an `@` after a `?`; write such characters of a password in percent-encoding",
        ));
    }
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let name = parameter.split_once('=').map_or(parameter, |(name, _)| name);
        if !KNOWN.contains(&name) {
            return Err(Failure::unavailable(format!(
                "the connection string's parameter `{name}` is not known; known are: {}",
                KNOWN.join(", ")
            )));
        }
    }
    text.parse().map_err(|_: sqlx::Error| {
        Failure::unavailable(
            "the connection string is not of the form postgres://user:password@host:port/database",
        )
    })
}
