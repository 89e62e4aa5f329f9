//! Checks the style rules that neither rustfmt nor clippy knows.

mod manifest;
mod pages;
mod source;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::workspace;

/// The text files that are looked at, by extension.
const TEXT: [&str; 11] = ["rs", "toml", "md", "proto", "sql", "yaml", "yml", "sh", "html", "css", "js"];

/// Folders whose files come from elsewhere and stay as they came.
const VENDORED: [&str; 1] = ["proto/google/"];

/// Fails on everything in the tree that breaks a rule, naming all of it.
pub(crate) fn check(root: &Path) -> Result<()> {
    workspace::report("tidy", &violations(root)?)
}

fn violations(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in workspace::files(root)? {
        let name = path.to_string_lossy().replace('\\', "/");
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        let ours = !VENDORED.iter().any(|folder| name.starts_with(folder));
        if !ours || !(TEXT.contains(&extension.as_ref()) || name.starts_with(".ci/")) {
            continue;
        }
        let text =
            std::fs::read_to_string(root.join(&path)).with_context(|| format!("cannot read {name}"))?;
        found.extend(source::violations(&name, &text));
        if name.ends_with("/Cargo.toml") {
            found.extend(manifest::violations(&name, &text));
        }
    }
    found.extend(pages::violations(&root.join("docs/errors"))?);
    Ok(found)
}
