//! One request, ready to be sent.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use loom_base::{Deadline, EffectId, Secret, TraceId};
use reqwest::Url;
use serde::Serialize;

use crate::{BaseUrl, Error, traceparent};

/// A request with a body of JSON.
pub struct Request {
    pub(crate) url: Url,
    pub(crate) host: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) deadline: Option<Deadline>,
}

impl Request {
    /// A POST of `body` to `path` below `base`.
    pub fn post_json(base: &BaseUrl, path: &str, body: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_vec(body).map_err(|error| Error::Request { reason: error.to_string() })?;
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Ok(Self { url: base.join(path), host: base.host(), headers, body, deadline: None })
    }

    /// A POST of `body`, which is JSON, to the address itself.
    pub fn post_bytes(address: &BaseUrl, body: Vec<u8>) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Self { url: address.url(), host: address.host(), headers, body, deadline: None }
    }

    /// The same request with a parameter in its query. It is part of the address: nothing secret belongs there.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// The same request with a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The same request with a header that holds a secret after `prefix`, marked so that nothing prints it.
    pub fn secret(mut self, name: HeaderName, prefix: &str, secret: &Secret) -> Result<Self, Error> {
        let text = format!("{prefix}{}", secret.expose().trim());
        let mut value = HeaderValue::try_from(text).map_err(|_| Error::Request {
            reason: "the credential has characters that no header can carry".into(),
        })?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    /// The same request as a part of `trace`, made by `effect`.
    #[must_use]
    pub fn trace(mut self, trace: TraceId, effect: EffectId) -> Self {
        if let Ok(value) = HeaderValue::try_from(traceparent(trace, effect)) {
            self.headers.insert(HeaderName::from_static("traceparent"), value);
        }
        self
    }

    /// The same request, given up at `deadline`; reading its answer counts as well.
    #[must_use]
    pub fn deadline(mut self, deadline: Option<Deadline>) -> Self {
        self.deadline = deadline;
        self
    }
}
