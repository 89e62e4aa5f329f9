//! Everything that must pass before a change lands, cheapest first, in one profile and one feature set.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::suites::Skips;
use crate::workspace::{cargo, is_installed, run as run_command};
use crate::{chaos, r#gen, layers, proto_breaking, suites, tidy};

/// A step's name, the cargo subcommand that it needs beside cargo's own, and what it does.
type Step = (&'static str, Option<&'static str>, fn(&Path) -> Result<()>);

const STEPS: [Step; 11] = [
    ("formatting", None, |root| run_command(cargo(root).args(["fmt", "--all", "--check"]))),
    ("layers", None, layers::check),
    ("tidy", None, tidy::check),
    ("generated files", None, r#gen::check),
    ("API against its baseline", None, proto_breaking::check),
    ("licences, bans, sources", Some("cargo-deny"), |root| {
        run_command(cargo(root).args(["deny", "--locked", "check", "bans", "licenses", "sources"]))
    }),
    ("clippy", None, |root| {
        run_command(cargo(root).args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]))
    }),
    ("clippy, with fail points", None, |root| {
        run_command(cargo(root).args([
            "clippy",
            "--package",
            "loom-base",
            "--package",
            "looms",
            "--features",
            "looms/failpoints",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]))
    }),
    ("documentation", None, |root| {
        let mut command = cargo(root);
        command.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--workspace", "--no-deps", "--locked"]);
        run_command(&mut command)
    }),
    ("tests", None, |root| suites::run(root, Skips::Fail, &[])),
    ("chaos, a little", None, |root| chaos::run(root, &chaos::Options::brief())),
];

/// Runs every step, stops at the first that fails, and says at the end which could not run.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut skipped = Vec::new();
    for (name, needs, step) in STEPS {
        println!("\n== {name}");
        if let Some(program) = needs.filter(|program| !is_installed(program)) {
            skipped.push(format!(
                "{name}: skipped, {program} is not installed; `cargo install --locked {program}`"
            ));
            continue;
        }
        let begun = Instant::now();
        step(root).context(name)?;
        println!("== {name}: passed in {} s", begun.elapsed().as_secs());
    }
    println!("\nall that ran passed");
    for line in skipped {
        println!("{line}");
    }
    Ok(())
}
