//! Everything that must pass before a change lands, cheapest first, in one profile and one feature set.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::suites::Skips;
use crate::tools::{BUF, CARGO_DENY, Tool};
use crate::workspace::{cargo, run as run_command};
use crate::{buf, chaos, r#gen, layers, proto_breaking, suites, tidy};

/// A step's name, the program of others that it needs, and what it does.
type Step = (&'static str, Option<Tool>, fn(&Path) -> Result<()>);

const STEPS: [Step; 12] = [
    ("formatting", None, |root| run_command(cargo(root).args(["fmt", "--all", "--check"]))),
    ("layers", None, layers::check),
    ("tidy", None, tidy::check),
    ("generated files", None, r#gen::check),
    ("API against its baseline", None, proto_breaking::check),
    ("API in the eyes of buf", Some(BUF), buf::check),
    ("licences, bans, sources", Some(CARGO_DENY), |root| {
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

/// Runs every step, stops at the first that fails, and says at the end which could not run: by `skips` a failure itself.
pub(crate) fn run(root: &Path, skips: Skips) -> Result<()> {
    let mut skipped = Vec::new();
    for (name, needs, step) in STEPS {
        println!("\n== {name}");
        if let Some(tool) = needs.filter(|tool| tool.find(root).is_none()) {
            skipped.push(format!("{name}: skipped, {}", tool.missing()));
            if skips == Skips::Fail {
                break;
            }
            continue;
        }
        let begun = Instant::now();
        step(root).context(name)?;
        println!("== {name}: passed in {} s", begun.elapsed().as_secs());
    }
    if let (Skips::Fail, Some(line)) = (skips, skipped.first()) {
        bail!("{line}");
    }
    println!("\nall that ran passed");
    for line in skipped {
        println!("{line}");
    }
    Ok(())
}
