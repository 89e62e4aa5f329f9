//! The address of a server, as users write it.

use loom_base::ErrorCode;
use tonic::transport::Endpoint;

use crate::Error;

/// Reads `http://host:port`, or `host:port` without the scheme.
pub(crate) fn parse(text: &str) -> Result<Endpoint, Error> {
    let invalid = |why: &str| {
        Error::new(ErrorCode::InvalidArgument, format!("{text:?} is not a server's address: {why}"))
            .with("server", text)
    };
    let whole = match text.split_once("://") {
        Some(("http", _)) => text.to_owned(),
        Some(("https", _)) => return Err(invalid("TLS is not in this version, use http://")),
        Some(_) => return Err(invalid("use http://host:port")),
        None => format!("http://{text}"),
    };
    let endpoint = Endpoint::from_shared(whole).map_err(|_| invalid("use http://host:port"))?;
    let uri = endpoint.uri();
    match (uri.host(), uri.port_u16(), uri.path()) {
        (None | Some(""), _, _) => Err(invalid("it has no host")),
        (_, None, _) => Err(invalid("it has no port")),
        (_, _, "" | "/") if uri.query().is_none() => Ok(endpoint),
        _ => Err(invalid("a path is not part of it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_http_with_host_and_port() {
        for good in ["http://127.0.0.1:60051", "localhost:1", "http://[::1]:60051/"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        let bad = [
            "",
            "localhost",
            "https://localhost:1",
            "ftp://localhost:1",
            "http://h:1/v1",
            "http://:1",
            "a b:1",
        ];
        for bad in bad {
            let error = parse(bad).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument, "{bad}");
            assert!(error.message.contains(bad), "{error}");
        }
    }
}
