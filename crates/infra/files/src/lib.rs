//! Watches the folders of patterns, agents and workflows, and says which files to read again.
//!
//! It never reads a file's content, never follows a link out of its folder, and never reports a file that somebody is
//! still writing.

mod anchor;
mod pending;
mod scan;
mod watch;

pub use scan::files;
pub use watch::{Changes, Error, Watch};
