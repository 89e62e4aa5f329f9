//! Keeps web pages from driving a server that asks nobody who they are.

use std::net::IpAddr;

use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::uri::Authority;
use http::{Request, StatusCode};
use http_body::Body;
use loom_base::ErrorCode;

use crate::Failure;

/// Who can reach the listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// This machine only: a request must also name it, so that no foreign name that resolves here gets through.
    Loopback,
    /// Other machines too, by the operator's decision: any host name will do.
    Open,
}

/// Refuses what a page of another site could make a browser send.
pub(super) fn check<B: Body>(
    exposure: Exposure,
    allowed_origins: &[String],
    request: &Request<B>,
) -> Result<(), (StatusCode, Failure)> {
    let forbidden = |failure| (StatusCode::FORBIDDEN, failure);
    let authority = authority(request).ok_or_else(|| {
        forbidden(Failure::new(ErrorCode::ForbiddenOrigin, "the request names no valid host"))
    })?;
    if exposure == Exposure::Loopback && !is_loopback(authority.host()) {
        let message = "this server answers to localhost and loopback addresses only";
        let failure = Failure::new(ErrorCode::ForbiddenOrigin, message).with("host", authority.as_str());
        return Err(forbidden(failure));
    }
    for origin in request.headers().get_all(ORIGIN) {
        let own = |scheme: &str| origin.as_bytes().strip_prefix(scheme.as_bytes());
        let host = own("http://").or_else(|| own("https://"));
        let is_own = host.is_some_and(|host| host.eq_ignore_ascii_case(authority.as_str().as_bytes()));
        let is_allowed = || allowed_origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes());
        if !is_own && !is_allowed() {
            let message = "pages of other origins may not call this server";
            let failure = Failure::new(ErrorCode::ForbiddenOrigin, message)
                .with("origin", String::from_utf8_lossy(origin.as_bytes()));
            return Err(forbidden(failure));
        }
    }
    if !request.body().is_end_stream() && !is_json(request) {
        let message = "a body must be application/json";
        let failure = Failure::new(ErrorCode::InvalidArgument, message).with("header", "content-type");
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, failure));
    }
    Ok(())
}

/// The host the request names: `:authority` in HTTP/2, else `Host`. Two of them, or one that is not an authority, are
/// none.
fn authority<B>(request: &Request<B>) -> Option<Authority> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.clone());
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next()?;
    if hosts.next().is_some() {
        return None;
    }
    Authority::try_from(host.as_bytes()).ok()
}

fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_json<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(host: &str) -> Option<StatusCode> {
        let request = Request::get("/").header(HOST, host).body(String::new()).unwrap();
        check(Exposure::Loopback, &[], &request).err().map(|(status, _)| status)
    }

    #[test]
    fn only_names_of_this_machine_pass() {
        for good in ["localhost", "LOCALHOST:5006", "127.0.0.1:5006", "127.1.2.3", "[::1]:5006"] {
            assert_eq!(host(good), None, "{good}");
        }
        for bad in
            ["evil.example", "localhost.evil.example", "10.0.0.1", "[::2]", "a b", "127.0.0.1.nip.io", ""]
        {
            assert_eq!(host(bad), Some(StatusCode::FORBIDDEN), "{bad}");
        }
    }

    #[test]
    fn only_the_servers_own_origin_passes() {
        let origin = |exposure, origin: &str| {
            let request = Request::get("/").header(HOST, "localhost:5006").header(ORIGIN, origin);
            check(exposure, &["http://app.example".to_owned()], &request.body(String::new()).unwrap()).is_ok()
        };
        for exposure in [Exposure::Loopback, Exposure::Open] {
            assert!(origin(exposure, "http://localhost:5006"));
            assert!(origin(exposure, "http://app.example"));
            for bad in ["null", "http://localhost:3000", "http://evil.example", "localhost:5006", ""] {
                assert!(!origin(exposure, bad), "{bad}");
            }
        }
    }
}
