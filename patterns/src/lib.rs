//! The pattern libraries that come with Loom, as texts.
//!
//! It neither reads nor checks them: that is `loom-patterns`' work, done by this crate's test.

/// Every pattern file: its path below the patterns folder, with `/` between folders, and its text. Sorted by path.
pub fn files() -> &'static [(&'static str, &'static str)] {
    FILES
}

static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/files.rs"));
