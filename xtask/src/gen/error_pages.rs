//! The list of error pages and the head of each page, made from the registry of codes.
//!
//! What a page says below its head is written by hand and stays.

use std::fmt::Write as _;
use std::path::Path;

use loom_base::{ErrorCode, Retry};

use super::GeneratedFile;

const FOLDER: &str = "docs/errors";

/// Where the part written by hand begins.
const BODY: &str = "\n## ";

/// The list and every page.
pub(super) fn generate(root: &Path) -> Vec<GeneratedFile> {
    let mut list = String::from(
        "# Error codes\n\n\
         Every error that Loom answers carries one of these codes. A code never changes its meaning.\n\n\
         | code | meaning | send again? |\n|---|---|---|\n",
    );
    let mut files = Vec::new();
    for code in ErrorCode::ALL {
        // Writing to a string cannot fail.
        let _ = writeln!(list, "| [{code}]({code}.md) | {} | {} |", code.summary(), again(*code));
        let path = Path::new(FOLDER).join(format!("{code}.md"));
        let old = std::fs::read_to_string(root.join(&path)).unwrap_or_default();
        let content = page(*code, &old).into_bytes();
        files.push(GeneratedFile { path, content });
    }
    list.push_str("\nMade by `cargo xtask gen` from `crates/core/base/src/error.rs`.\n");
    files.push(GeneratedFile { path: Path::new(FOLDER).join("README.md"), content: list.into_bytes() });
    files
}

/// The page of `code`: a fresh head over the body of `old`.
pub(super) fn page(code: ErrorCode, old: &str) -> String {
    let body = old.find(BODY).map_or("", |start| &old[start..]);
    format!(
        "# {code}\n\n{}\n\n| gRPC status | HTTP status | send the same request again? |\n|---|---|---|\n\
         | {} | {} | {} |\n{body}",
        code.summary(),
        code.category().grpc_name(),
        code.http_status(),
        again(code)
    )
}

fn again(code: ErrorCode) -> &'static str {
    match code.retry() {
        Retry::Never => "no",
        Retry::Later => "yes, after a pause",
    }
}
