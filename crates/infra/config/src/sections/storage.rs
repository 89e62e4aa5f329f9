//! Where sessions, turns and messages are kept.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::SecretRef;
use crate::choice::choice;
use crate::key::{optional, range, section};

choice! {
    /// A kind of store.
    StorageBackend {
        /// One file, `db_path`, for one server.
        Sqlite = "sqlite",
        /// One PostgreSQL database, for one server or several.
        Postgres = "postgres" also "postgresql",
    }
}

section! {
    /// Where sessions, turns and messages are kept.
    Storage at "storage." {
        /// The kind of store: `sqlite` is the file `db_path`, `postgres` the database at `storage.dsn`, which several
        /// servers may share.
        backend: StorageBackend = StorageBackend::Sqlite, aliases ["database.driver"], example "postgres";
        /// Where the address of the PostgreSQL database is, `postgres://user:password@host:port/database`: `${NAME}` of a
        /// variable. The variable `NAME_FILE`, when set, names a file that holds the address instead. Read only when
        /// `storage.backend` is `postgres`.
        dsn: SecretRef = SecretRef::known("DATABASE_URL"), aliases ["database.dsn"], example "${TEAM_DATABASE}";
        /// How long a server that shares a PostgreSQL database may be silent before the others take its sessions, in
        /// seconds, from 2 to 3600. It says three times as often that it is there. A SQLite store has one server, and no
        /// such time.
        lease_seconds: u64 = 10, check range(2, 3_600), example "30";
        /// Where the other servers that share a PostgreSQL database reach this one's gRPC: `host:port`, or `host` for the
        /// port it listens on. Unset, the address it listens on; one that listens on every address of its machine, such as
        /// `0.0.0.0`, must say it.
        advertise: Option<String> = None, check optional(reachable), example "loom-1.example:60051";
    }
}

/// An address that others can reach: not every address of this machine, and not the port 0.
fn reachable(address: &String) -> Result<(), String> {
    let is_name = |host: &str| {
        !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
    };
    let is_host =
        |host: &str| host.parse::<IpAddr>().map_or_else(|_| is_name(host), |ip| !ip.is_unspecified());
    let fits = match address.parse::<SocketAddr>() {
        Ok(socket) => !socket.ip().is_unspecified() && socket.port() != 0,
        Err(_) if is_host(address) => true,
        Err(_) => address
            .split_once(':')
            .is_some_and(|(host, port)| is_host(host) && port.parse::<u16>().is_ok_and(|port| port != 0)),
    };
    if fits {
        Ok(())
    } else {
        Err(format!("expected `host:port` or `host` that other machines can reach, found `{address}`"))
    }
}

impl Storage {
    /// How long an instance may be silent.
    pub const fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }
}
