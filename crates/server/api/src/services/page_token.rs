//! Where a list goes on: a token that belongs to one query and is refused by every other.

use std::fmt;

use loom_base::Digest;

use super::convert::invalid;
use crate::Failure;

/// How many hexadecimal digits of a query's digest a token has.
const DIGITS: usize = 16;

/// What was last on the page before, of a certain query.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PageToken {
    query: String,
    /// The score of the last item, in a ranked list.
    pub(super) score: f64,
    /// The name of the last item.
    pub(super) name: String,
}

/// What makes two queries one: the RPC, and all that says which items there are and in which order.
pub(super) struct Query(String);

impl Query {
    pub(super) fn new(rpc: &str, parts: &[&str]) -> Self {
        let digest = Digest::of(format!("{rpc} {parts:?}")).to_string();
        let digits = digest.chars().filter(char::is_ascii_hexdigit);
        Self(digits.take(DIGITS).collect())
    }

    /// The token of a page that ends with the item of that score and name.
    pub(super) fn after(&self, score: f64, name: &str) -> PageToken {
        PageToken { query: self.0.clone(), score, name: name.to_owned() }
    }

    /// Reads a token that this query gave; `None` for the first page.
    pub(super) fn read(&self, token: &str) -> Result<Option<PageToken>, Failure> {
        if token.is_empty() {
            return Ok(None);
        }
        let read = || {
            let mut parts = token.splitn(3, '.');
            let (query, score, name) = (parts.next()?, parts.next()?, parts.next()?);
            let score = f64::from_bits(u64::from_str_radix(score, 16).ok()?);
            Some(PageToken { query: query.to_owned(), score, name: name.to_owned() })
        };
        let Some(read) = read() else {
            return Err(invalid("page_token", "page_token is not the next_page_token of a page before"));
        };
        if read.query != self.0 {
            let message =
                "page_token belongs to another query: send it with the fields of the page it came with";
            return Err(invalid("page_token", message));
        }
        Ok(Some(read))
    }
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:016x}.{}", self.query, self.score.to_bits(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_by_its_query_and_refused_by_others() {
        let query = Query::new("ListPatterns", &["sql", ""]);
        let token = query.after(0.1 + 0.2, "a.b.c");
        let read = query.read(&token.to_string()).unwrap();
        assert_eq!(read, Some(token.clone()));
        assert_eq!(query.read("").unwrap(), None);
        let others = [Query::new("ListPatterns", &["", "sql"]), Query::new("ListTools", &["sql", ""])];
        for other in others {
            let refused = other.read(&token.to_string()).unwrap_err();
            assert!(refused.message.contains("another query"), "{refused:?}");
        }
        for made_up in ["x", "..", "0123456789abcdef.zz.a", "after:x"] {
            assert_eq!(query.read(made_up).unwrap_err().metadata["field"], "page_token", "{made_up}");
        }
    }
}
