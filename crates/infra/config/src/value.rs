//! How a value of a key is read and shown, whichever source it comes from.

use std::cell::RefCell;

use loom_base::{ErrorCode, expand_variables};

use crate::Source;
use crate::environment::Environment;
use crate::error::Fault;
use loom_yaml::{Node, Shape};

/// A value as it was given, with what is needed to read it.
pub(crate) struct Given<'a> {
    pub(crate) node: &'a Node,
    pub(crate) source: &'a Source,
    pub(crate) env: &'a Environment,
    /// Variables that were looked up by `${VAR}`.
    pub(crate) used: RefCell<Vec<String>>,
}

impl Given<'_> {
    /// The text, with variables expanded when it stands in a file; `None` when there is nothing.
    fn text(&self, node: &Node) -> Result<Option<String>, Fault> {
        match &node.shape {
            Shape::Null => Ok(None),
            Shape::Text(text) if self.source.expands() => {
                let mut used = self.used.borrow_mut();
                let mut lookup = |name: &str| {
                    used.push(name.to_owned());
                    self.env.get(name).map(str::to_owned)
                };
                let expanded = expand_variables(text, &mut lookup);
                expanded.map(Some).map_err(|error| Fault::invalid(error.to_string()))
            }
            Shape::Text(text) => Ok(Some(text.clone())),
            Shape::List(_) => Err(Fault::invalid("expected one value, found a list")),
            Shape::Map(_) => Err(Fault::invalid("expected one value, found a section")),
        }
    }
}

/// The type of a key.
pub(crate) trait Value: Clone {
    /// Whether it stands for a secret, so that a flag must not carry it.
    const SECRET: bool = false;
    /// What the manual says of the type.
    fn shape() -> String;
    /// Reads what was given.
    fn read(given: &Given<'_>) -> Result<Self, Fault>;
    /// How it is printed; `None` when it is unset.
    fn show(&self) -> Option<String>;
    /// Replaces a leading `~/` by the home folder, where the type is a path.
    fn at_home(self, _home: Option<&str>) -> Result<Self, Fault> {
        Ok(self)
    }
}

/// A value that is written as one text.
pub(crate) trait Word: Clone {
    /// What the manual says of the type.
    fn shape() -> String;
    /// Reads `text`. A message may show it.
    fn parse(text: &str) -> Result<Self, Fault>;
    /// The text that reads back as this value.
    fn print(&self) -> String;
    /// See [`Value::at_home`].
    fn at_home(self, _home: Option<&str>) -> Result<Self, Fault> {
        Ok(self)
    }
}

impl<T: Word> Value for T {
    fn shape() -> String {
        T::shape()
    }

    fn read(given: &Given<'_>) -> Result<Self, Fault> {
        match given.text(given.node)? {
            Some(text) => T::parse(&text),
            None => Err(Fault::invalid(format!("expected {}, found nothing", T::shape()))),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.print())
    }

    fn at_home(self, home: Option<&str>) -> Result<Self, Fault> {
        Word::at_home(self, home)
    }
}

impl<T: Word> Value for Option<T> {
    fn shape() -> String {
        T::shape()
    }

    fn read(given: &Given<'_>) -> Result<Self, Fault> {
        given.text(given.node)?.filter(|text| !text.is_empty()).map(|text| T::parse(&text)).transpose()
    }

    fn show(&self) -> Option<String> {
        self.as_ref().map(Word::print)
    }

    fn at_home(self, home: Option<&str>) -> Result<Self, Fault> {
        self.map(|value| value.at_home(home)).transpose()
    }
}

/// A list: in a file a YAML list, elsewhere separated by commas.
impl<T: Word> Value for Vec<T> {
    fn shape() -> String {
        format!("list: {}", T::shape())
    }

    fn read(given: &Given<'_>) -> Result<Self, Fault> {
        let at = |node: &Node| Some(node.position);
        match &given.node.shape {
            Shape::List(items) => items
                .iter()
                .map(|item| match given.text(item) {
                    Ok(Some(text)) => T::parse(&text).map_err(|fault| Fault { at: at(item), ..fault }),
                    Ok(None) => Err(Fault { at: at(item), ..Fault::invalid("an item of the list is empty") }),
                    Err(fault) => Err(Fault { at: at(item), ..fault }),
                })
                .collect(),
            Shape::Text(text) if !given.source.expands() => {
                text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(T::parse).collect()
            }
            Shape::Null => Ok(Self::new()),
            Shape::Text(_) | Shape::Map(_) => Err(Fault {
                code: ErrorCode::InvalidConfig,
                message: "expected a list (`- item`)".to_owned(),
                at: None,
            }),
        }
    }

    fn show(&self) -> Option<String> {
        (!self.is_empty()).then(|| self.iter().map(Word::print).collect::<Vec<_>>().join(","))
    }
}
