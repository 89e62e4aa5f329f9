//! The types of values that are one text each.

use std::fmt;
use std::path::PathBuf;

use crate::error::Fault;
use crate::value::Word;

/// What was expected and what was found.
fn mismatch<T: Word>(text: &str) -> Fault {
    Fault::invalid(format!("expected {}, found `{text}`", T::shape()))
}

macro_rules! numbers {
    ($($type:ident $shape:literal;)+) => {
        $(impl Word for $type {
            fn shape() -> String {
                $shape.to_owned()
            }

            fn parse(text: &str) -> Result<Self, Fault> {
                text.parse().map_err(|_| mismatch::<Self>(text))
            }

            fn print(&self) -> String {
                self.to_string()
            }
        })+
    };
}

numbers! {
    bool "true or false";
    u16 "a whole number up to 65535";
    u32 "a whole number";
    u64 "a whole number";
    f32 "a number";
    f64 "a number";
}

impl Word for String {
    fn shape() -> String {
        "text".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        if text.trim().is_empty() {
            Err(Fault::invalid("expected text, found nothing"))
        } else {
            Ok(text.to_owned())
        }
    }

    fn print(&self) -> String {
        self.clone()
    }
}

impl Word for PathBuf {
    fn shape() -> String {
        "path".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        if text.trim().is_empty() {
            Err(Fault::invalid("expected a path, found nothing"))
        } else {
            Ok(text.into())
        }
    }

    fn print(&self) -> String {
        self.display().to_string()
    }

    fn at_home(self, home: Option<&str>) -> Result<Self, Fault> {
        match (self.strip_prefix("~"), home) {
            (Err(_), _) => Ok(self),
            (Ok(below), Some(home)) => Ok(PathBuf::from(home).join(below)),
            (Ok(_), None) => Err(Fault::invalid(format!(
                "`{}` is in the home folder, and HOME is not set",
                self.display()
            ))),
        }
    }
}

/// The base URL of a service: `http` or `https`, a host, perhaps a port and a path. It never holds a user, a password, a
/// query or a fragment, and never ends in a slash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint(String);

impl Endpoint {
    /// An address known to be good.
    pub(crate) fn known(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// The address, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address with `/segment` after it.
    pub(crate) fn join(&self, segment: &str) -> Self {
        Self(format!("{}/{segment}", self.0))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The scheme and what follows it, when the scheme is one that HTTP uses.
fn http_parts(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();

    let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    let usable =
        matches!(scheme, "http" | "https") && plain && !authority.is_empty() && !authority.starts_with(':');
    usable.then_some((authority, &rest[authority.len()..]))
}

impl Word for Endpoint {
    fn shape() -> String {
        "http or https URL".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        // The text is not shown: a URL may carry a password.
        let Some((authority, tail)) = http_parts(text) else {
            return Err(Fault::invalid("expected an http or https URL such as `https://host:port/path`"));
        };
        if authority.contains('@') {
            return Err(Fault::invalid(
                "a URL here holds no user and no password: give the key by `api_key`",
            ));
        }
        if tail.contains(['?', '#']) {
            return Err(Fault::invalid("a base URL holds no query and no fragment"));
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    fn print(&self) -> String {
        self.0.clone()
    }
}

/// A web origin: scheme, host and perhaps a port, nothing after it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin(String);

impl Origin {
    /// The origin as a browser sends it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Word for Origin {
    fn shape() -> String {
        "web origin".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        if text == "*" {
            return Err(Fault::invalid("`*` would let every web page drive the server: list the origins"));
        }
        match http_parts(text) {
            Some((authority, "")) if !authority.contains('@') => Ok(Self(text.to_ascii_lowercase())),
            _ => Err(Fault::invalid(format!(
                "expected a web origin such as `https://app.example.com`, found `{text}`"
            ))),
        }
    }

    fn print(&self) -> String {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_hold_no_secret_and_no_tail() {
        assert_eq!(
            Endpoint::parse("https://api.example.com/v1/").unwrap().as_str(),
            "https://api.example.com/v1"
        );
        assert_eq!(Endpoint::parse("http://[::1]:11434").unwrap().as_str(), "http://[::1]:11434");
        for bad in
            ["api.example.com", "ftp://host", "http://", "http://:80", "https://a b", "https://h/?k=hunter2"]
        {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
        let fault = Endpoint::parse("https://me:hunter2@host").unwrap_err();
        assert!(!fault.message.contains("hunter2"));
    }

    #[test]
    fn origins_are_exact() {
        assert_eq!(
            Origin::parse("https://App.example.com:8443").unwrap().as_str(),
            "https://app.example.com:8443"
        );
        for bad in ["*", "https://a.example/", "https://a.example/x", "app.example.com", "null"] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_tilde_is_the_home_folder() {
        let path = |text: &str, home| Word::at_home(PathBuf::from(text), home);
        assert_eq!(path("~/.loom", Some("/home/me")).unwrap(), PathBuf::from("/home/me/.loom"));
        assert_eq!(path("./~x", None).unwrap(), PathBuf::from("./~x"));
        assert!(path("~/.loom", None).unwrap_err().message.contains("HOME"));
    }
}
