//! Asks buf, which knows nothing of Loom, whether the API's protos are well made and break no client.
//!
//! `buf.yaml` says what it looks at and what it overlooks, with the reasons. It does not see the HTTP routes, and it needs
//! installing: `proto-breaking` stays beside it, which sees them and runs everywhere.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::tools::BUF;
use crate::{proto_breaking, workspace};

/// Fails on what buf finds in `proto/`, and on what would break a client of the baseline.
pub(crate) fn check(root: &Path) -> Result<()> {
    let program = BUF.find(root).with_context(|| BUF.missing())?;
    let buf = || {
        let mut command = Command::new(&program);
        command.current_dir(root);
        command
    };
    workspace::run(buf().arg("lint"))?;
    // What comes from elsewhere is not ours to keep: buf has its own `descriptor.proto`, and it is not protox's.
    workspace::run(buf().args(["breaking", "--against", proto_breaking::BASELINE, "--exclude-imports"]))?;
    println!("buf: in order");
    Ok(())
}
