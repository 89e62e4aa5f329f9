//! Where the server listens and how much it takes on.

use std::net::IpAddr;
use std::time::Duration;

use crate::Origin;
use crate::key::{range, section};

/// The longest time that can be asked for: a day.
const DAY_SECONDS: u64 = 86_400;
/// 16 MiB: room for a long document, and little enough to hold many of.
const DEFAULT_BODY: u64 = 16 * 1024 * 1024;
/// The smallest and largest limit for a body that makes sense: 1 KiB and 1 GiB.
const BODY_RANGE: (u64, u64) = (1024, 1024 * 1024 * 1024);

section! {
    /// Where the server listens.
    Server at "server." {
        /// The address to listen on, for gRPC and HTTP. One that other machines can reach needs
        /// `server.insecure_bind`, because this version has neither TLS nor authentication.
        host: String = "127.0.0.1".to_owned(), check plain_host, example "127.0.0.2";
        /// The port of the gRPC API, from 1.
        grpc_port: u16 = 60_051, check range(1, u16::MAX), env ["LOOM_GRPC_PORT"], aliases ["server.port"],
            example "50052";
        /// The port of the HTTP gateway; 0 turns it off.
        http_port: u16 = 5_006, env ["LOOM_HTTP_PORT"], example "8080";
        /// The largest request body or message that is read, in bytes, from 1024 to 1073741824.
        max_body_bytes: u64 = DEFAULT_BODY, check range(BODY_RANGE.0, BODY_RANGE.1), example "1048576";
        /// Whether gRPC reflection lists the services.
        reflection: bool = true, aliases ["server.enable_reflection"], example "false";
        /// Accepts that other machines can reach an unprotected server. The flag is `--insecure-bind`.
        insecure_bind: bool = false, example "true";
    }
    with {
        /// How much the server takes on, and how it stops.
        behavior: Behavior,
        /// Which web pages may call the HTTP gateway.
        cors: Cors,
    }
}

section! {
    /// How much the server takes on, and how it stops.
    Behavior at "server.behavior." {
        /// Requests that are worked on at the same time; more are refused as overloaded. From 1 to 100000.
        max_concurrent_requests: u32 = 100, check range(1, 100_000), aliases ["server.max_concurrent_requests"],
            example "7";
        /// The longest a request may take, in seconds, from 1 to 86400.
        request_timeout_seconds: u64 = 300, check range(1, DAY_SECONDS), aliases ["server.request_timeout_seconds"],
            example "60";
        /// Whether a stopping server lets requests finish; `false` is the same as a `shutdown_timeout_seconds` of 0.
        graceful_shutdown: bool = true, example "false";
        /// How long a stopping server waits for requests to finish, in seconds, up to 86400.
        shutdown_timeout_seconds: u64 = 30, check range(0, DAY_SECONDS), aliases ["server.shutdown_timeout_seconds"],
            example "5";
    }
}

section! {
    /// Which web pages may call the HTTP gateway.
    Cors at "server.cors." {
        /// The origins whose pages may call the gateway, each in full; `*` is refused.
        allowed_origins: Vec<Origin> = Vec::new(), aliases ["server.cors_allowed_origins"],
            example "https://app.example.com,http://localhost:3000";
    }
}

impl Server {
    /// Whether only this machine can reach the server. A host name other than `localhost` may be any machine.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

impl Behavior {
    /// The longest a request may take.
    pub const fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_seconds)
    }

    /// How long a stopping server waits for requests to finish; zero when it does not.
    pub const fn shutdown_timeout(&self) -> Duration {
        if self.graceful_shutdown {
            Duration::from_secs(self.shutdown_timeout_seconds)
        } else {
            Duration::ZERO
        }
    }
}

/// An address or a host name, with nothing before or after it.
fn plain_host(host: &String) -> Result<(), String> {
    let is_name =
        |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    if host.parse::<IpAddr>().is_ok() || is_name(host) {
        Ok(())
    } else {
        Err(format!("expected an address or a host name without a port, found `{host}`"))
    }
}
