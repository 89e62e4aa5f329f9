//! The address of a service, as its operator wrote it.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

/// The part of a service's address that all its paths begin with, such as `https://api.openai.com/v1`.
///
/// It never carries a credential: those are secrets and travel in headers.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// A text that is not the address of a service. It does not repeat the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is not a URL.
    #[error("not a URL: {0}")]
    NotAUrl(String),
    /// Its scheme is something else.
    #[error("scheme {0:?} is not http or https")]
    Scheme(String),
    /// It names a user or a password.
    #[error("a user or password does not belong in an address; configure a credential")]
    Credential,
    /// It goes on after the path.
    #[error("an address has no query and no fragment")]
    Query,
}

impl BaseUrl {
    /// The address of `path` at this service.
    pub(crate) fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/{path}", self.0.path().trim_end_matches('/')));
        url
    }

    /// The address itself.
    pub(crate) fn url(&self) -> Url {
        self.0.clone()
    }

    /// The host and, when it is not the scheme's own, the port.
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

impl FromStr for BaseUrl {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let url = Url::parse(text.trim()).map_err(|error| AddressError::NotAUrl(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(AddressError::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressError::Credential);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(AddressError::Query);
        }
        Ok(Self(url))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_added_below_the_base() {
        for base in ["https://api.openai.com/v1", "https://api.openai.com/v1/"] {
            let base: BaseUrl = base.parse().unwrap();
            assert_eq!(base.join("chat/completions").as_str(), "https://api.openai.com/v1/chat/completions");
        }
        let bare: BaseUrl = "http://localhost:8080".parse().unwrap();
        assert_eq!(bare.join("v1/messages").as_str(), "http://localhost:8080/v1/messages");
        assert_eq!(bare.host(), "localhost:8080");
    }

    #[test]
    fn what_is_not_a_plain_address_is_refused_without_repeating_it() {
        let parse = |text: &str| text.parse::<BaseUrl>().unwrap_err();
        assert_eq!(parse("file:///etc/passwd"), AddressError::Scheme("file".into()));
        assert_eq!(parse("https://me:hunter2@example.com"), AddressError::Credential);
        assert_eq!(parse("https://example.com/?key=hunter2"), AddressError::Query);
        assert!(matches!(parse("localhost"), AddressError::NotAUrl(_)));
        assert!(!parse("https://me:hunter2@:").to_string().contains("hunter2"));
    }
}
