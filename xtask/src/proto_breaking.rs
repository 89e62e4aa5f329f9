//! Compares the API with its baseline, so that no change breaks the clients that exist.
//!
//! Adding is free. Removing or changing a number, type, name, label or HTTP mapping is not. `buf` judges the same from outside,
//! but for the mappings.

mod shape;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Context as _, Result};
use prost_reflect::DescriptorPool;

use crate::workspace;

/// The API as it is: a test keeps it equal to the `.proto` files.
const CURRENT: &str = "crates/server/proto/src/gen/loom.v1.binpb";
/// The API that clients were promised.
pub(crate) const BASELINE: &str = "proto/baseline.binpb";

/// Fails on every change that breaks a client of the baseline.
pub(crate) fn check(root: &Path) -> Result<()> {
    let violations = breaks(&read(root, BASELINE)?, &read(root, CURRENT)?);
    workspace::report("API against its baseline", &violations)
}

/// Makes the present API the baseline.
pub(crate) fn bless(root: &Path) -> Result<()> {
    std::fs::copy(root.join(CURRENT), root.join(BASELINE))
        .with_context(|| format!("cannot write {BASELINE}"))?;
    println!("{BASELINE} is now the present API");
    Ok(())
}

fn read(root: &Path, path: &str) -> Result<DescriptorPool> {
    let bytes = std::fs::read(root.join(path)).with_context(|| format!("cannot read {path}"))?;
    DescriptorPool::decode(bytes.as_slice()).with_context(|| format!("{path} is not a descriptor set"))
}

/// What of `old` is gone or different in `new`, a line each.
fn breaks(old: &DescriptorPool, new: &DescriptorPool) -> Vec<String> {
    let new = shape::of(new);
    let mut found = Vec::new();
    for (subject, was) in shape::of(old) {
        match new.get(&subject) {
            None => found.push(format!("{subject}: removed (it was {was})")),
            Some(is) if *is != was => found.push(format!("{subject}: {was} became {is}")),
            Some(_) => {}
        }
    }
    found
}
