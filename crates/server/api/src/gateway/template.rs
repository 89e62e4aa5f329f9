//! Path templates of `google.api.http`: literals, `{field}` and a closing `:verb`.
//!
//! Wildcards (`*`, `**`, `{field=…}`) are not used by our API and are refused when the table is built.

use percent_encoding::percent_decode_str;

/// A parsed template. The order of two templates is the order in which they are tried: the more literal first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Template {
    segments: Vec<Segment>,
    verb: Verb,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    /// The path of a request field, such as `task.id`.
    Field(String),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verb {
    Is(String),
    None,
}

/// The fields that a path gives, with their values.
pub(super) type Captures = Vec<(String, String)>;

impl Template {
    /// Reads a template; `None` when it uses what we do not support.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let path = text.strip_prefix('/')?;
        let (path, verb) = match path.rsplit_once(':') {
            Some((path, verb)) if !verb.contains(['/', '}']) => (path, Verb::Is(verb.to_owned())),
            _ => (path, Verb::None),
        };
        let segments = path.split('/').map(segment).collect::<Option<_>>()?;
        Some(Self { segments, verb })
    }

    /// The fields that `path` gives, or `None` when it is another path.
    pub(super) fn captures(&self, path: &str) -> Option<Captures> {
        let path = path.strip_prefix('/')?;
        let path = match &self.verb {
            Verb::Is(verb) => path.strip_suffix(verb.as_str())?.strip_suffix(':')?,
            Verb::None => path,
        };
        let mut given = path.split('/');
        let mut captures = Captures::new();
        for segment in &self.segments {
            let text = percent_decode_str(given.next()?).decode_utf8().ok()?;
            match segment {
                Segment::Literal(literal) if *literal == text => {}
                Segment::Field(field) if !text.is_empty() => {
                    captures.push((field.clone(), text.into_owned()));
                }
                Segment::Literal(_) | Segment::Field(_) => return None,
            }
        }
        given.next().is_none().then_some(captures)
    }

    /// The paths of the fields it captures.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Field(field) => Some(field.as_str()),
            Segment::Literal(_) => None,
        })
    }
}

fn segment(text: &str) -> Option<Segment> {
    let name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        Some(field) => (!field.is_empty() && name(field)).then(|| Segment::Field(field.to_owned())),
        None => (!text.is_empty() && name(text)).then(|| Segment::Literal(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures(template: &str, path: &str) -> Option<Captures> {
        Template::parse(template).unwrap().captures(path)
    }

    #[test]
    fn captures_fields_and_verbs() {
        let id = |value: &str| Some(vec![("id".to_owned(), value.to_owned())]);
        assert_eq!(captures("/v1/a/{id}", "/v1/a/x"), id("x"));
        assert_eq!(captures("/v1/a/{id}", "/v1/a/x%2Fy%20z"), id("x/y z"));
        assert_eq!(captures("/v1/a/{id}", "/v1/a/x:y"), id("x:y"));
        assert_eq!(captures("/v1/a/{id}:go", "/v1/a/x:y:go"), id("x:y"));
        assert_eq!(captures("/v1/a/{id}/b", "/v1/a/x/b"), id("x"));
        assert_eq!(captures("/v1/a:go", "/v1/a:go"), Some(vec![]));
        assert_eq!(captures("/v1/{a.b}", "/v1/x"), Some(vec![("a.b".into(), "x".into())]));
        for (template, path) in [
            ("/v1/a/{id}", "/v1/a"),
            ("/v1/a/{id}", "/v1/a/"),
            ("/v1/a/{id}", "/v1/a/x/y"),
            ("/v1/a/{id}", "/v1/a/%FF"),
            ("/v1/a/{id}:go", "/v1/a/x"),
            ("/v1/a:go", "/v1/a"),
            ("/v1/a", "/v1/a:go"),
        ] {
            assert_eq!(captures(template, path), None, "{template} {path}");
        }
    }

    #[test]
    fn refuses_wildcards_and_prefers_literals() {
        for bad in ["v1", "/v1/*", "/v1/{a=**}", "/v1/{}", "/v1//a"] {
            assert_eq!(Template::parse(bad), None, "{bad}");
        }
        let parse = |text| Template::parse(text).unwrap();
        assert!(parse("/v1/a/all") < parse("/v1/a/{id}"));
        assert!(parse("/v1/a/{id}:go") < parse("/v1/a/{id}"));
    }
}
