//! Checks that the folder is the layer: no crate depends on one above or beside it, dev-dependencies included.

mod graph;
mod rules;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::Result;

pub(crate) use graph::{Crate, Kind, read};

use crate::workspace;

/// Reads the workspace and fails on the first edges that climb, naming all of them.
pub(crate) fn check(root: &Path) -> Result<()> {
    let violations: Vec<String> = rules::violations(&read(root)?).iter().map(ToString::to_string).collect();
    workspace::report("layers", &violations)
}
