//! The help and the manual.

use std::path::Path;

use clap::CommandFactory as _;
use loom_cli::{Cli, reference_markdown};

#[test]
fn the_help_shows_the_whole_tree() {
    insta::assert_snapshot!(Cli::command().render_help());
}

#[test]
fn the_manual_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/reference/cli.md");
    let made = reference_markdown();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "docs/reference/cli.md is out of date: run this test with UPDATE_EXPECT=1");
}
