//! Every error code has its page, and every page its code.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use loom_base::ErrorCode;

/// The page that lists the others.
const INDEX: &str = "README";

/// What each page answers.
const SECTIONS: [&str; 2] = ["\n## When you see it\n\n", "\n## What to do\n\n"];

/// Everything wrong in the folder of error pages.
pub(super) fn violations(folder: &Path) -> Result<Vec<String>> {
    let mut missing: BTreeSet<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    let mut found = Vec::new();
    let entries = if folder.is_dir() { Some(std::fs::read_dir(folder)?) } else { None };
    for entry in entries.into_iter().flatten() {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name == INDEX {
            continue;
        }
        if !missing.remove(name.as_str()) {
            found.push(format!("docs/errors/{name}.md: no error code of this name"));
        }
        let text = std::fs::read_to_string(&path)?;
        let has_section =
            |section: &&str| text.split_once(section).is_some_and(|(_, rest)| !rest.starts_with('#'));
        if !text.starts_with(&format!("# {name}\n")) || !SECTIONS.iter().all(has_section) {
            found.push(format!(
                "docs/errors/{name}.md: lacks its title, \"When you see it\" or \"What to do\""
            ));
        }
    }
    found.extend(missing.iter().map(|code| format!("docs/errors/{code}.md: missing")));
    found.sort();
    Ok(found)
}
