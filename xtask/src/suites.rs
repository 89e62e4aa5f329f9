//! Runs every test that this machine can run, and says plainly which it could not and why.

mod interrupt;

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::postgres::{self, Throwaway};
use crate::workspace::{cargo, is_installed};
use interrupt::Interrupt;

/// Where tests find a PostgreSQL that they may fill; set by the caller or by us.
const POSTGRES_URL: &str = "LOOM_TEST_POSTGRES_URL";
/// Tells tests that a skip is a failure.
const REQUIRE_ALL: &str = "LOOM_TEST_REQUIRE_ALL";

/// What a suite that cannot run means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skips {
    /// A line at the end.
    Report,
    /// A failure.
    Fail,
}

/// What became of a suite.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Passed(String),
    Available(String),
    Failed(String),
    Skipped(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed(how) => write!(f, "passed, {how}"),
            Self::Available(where_from) => write!(f, "available to the tests, {where_from}"),
            Self::Failed(why) => write!(f, "FAILED, {why}"),
            Self::Skipped(why) => write!(f, "skipped, {why}"),
        }
    }
}

/// Runs everything, `extra` passed on to the test runner, and fails when a suite failed.
pub(crate) fn run(root: &Path, skips: Skips, extra: &[String]) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let (postgres, throwaway) = provide_postgres();
    let url = throwaway.as_ref().map(Throwaway::url);
    let prepare = |mut command: Command| {
        if let Some(url) = &url {
            command.env(POSTGRES_URL, url);
        }
        if skips == Skips::Fail {
            command.env(REQUIRE_ALL, "1");
        }
        command
    };
    let (how, command) = runner(root, skips, extra);
    let tests = outcome(how, interrupt.run(&mut prepare(command))?);
    let mut suites = vec![("tests", tests)];
    // The extra arguments are the test runner's; who gives some asks for a part of the tests.
    if extra.is_empty() {
        let mut examples = cargo(root);
        examples.args(["test", "--workspace", "--doc", "--quiet"]);
        suites.push(("documentation", outcome("cargo test --doc", interrupt.run(&mut prepare(examples))?)));
    }
    // Before the last words, so that nothing follows them.
    drop(throwaway);
    suites.push(("PostgreSQL", postgres));
    conclude(&suites, skips)
}

/// The test runner of this machine.
fn runner(root: &Path, skips: Skips, extra: &[String]) -> (&'static str, Command) {
    let mut command = cargo(root);
    let how = if is_installed("cargo-nextest") {
        let profile = if skips == Skips::Fail { "ci" } else { "default" };
        command.args(["nextest", "run", "--profile", profile]);
        "cargo nextest"
    } else {
        command.args(["test", "--lib", "--bins", "--tests", "--examples"]);
        "cargo test (cargo-nextest is not installed)"
    };
    let picks = |argument: &String| argument.starts_with("-p") || argument.starts_with("--package");
    if !extra.iter().any(picks) {
        command.arg("--workspace");
    }
    command.args(extra);
    (how, command)
}

/// A PostgreSQL for the tests: the caller's, else a throwaway one, else none and the reason.
fn provide_postgres() -> (Outcome, Option<Throwaway>) {
    if std::env::var_os(POSTGRES_URL).is_some() {
        return (Outcome::Available(format!("on the server that {POSTGRES_URL} names")), None);
    }
    let Some(bin) = postgres::find() else {
        return (Outcome::Skipped("no initdb found; install postgresql".into()), None);
    };
    match Throwaway::start(&bin) {
        Ok(running) => {
            (Outcome::Available(format!("on a throwaway server from {}", bin.display())), Some(running))
        }
        Err(error) => (Outcome::Skipped(format!("{error:#}")), None),
    }
}

fn outcome(how: &str, passed: bool) -> Outcome {
    if passed { Outcome::Passed(how.into()) } else { Outcome::Failed(format!("{how}: see above")) }
}

/// Prints what became of each suite, last thing of all, and decides.
fn conclude(suites: &[(&str, Outcome)], skips: Skips) -> Result<()> {
    println!();
    for (name, outcome) in suites {
        println!("{name}: {outcome}");
    }
    let is_bad = |outcome: &Outcome| match outcome {
        Outcome::Passed(_) | Outcome::Available(_) => false,
        Outcome::Failed(_) => true,
        Outcome::Skipped(_) => skips == Skips::Fail,
    };
    let bad: Vec<&str> =
        suites.iter().filter(|(_, outcome)| is_bad(outcome)).map(|(name, _)| *name).collect();
    if bad.is_empty() {
        return Ok(());
    }
    bail!("not passed: {}", bad.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_suite_fails_only_where_everything_is_required() {
        let suites =
            [("tests", Outcome::Passed("x".into())), ("PostgreSQL", Outcome::Skipped("no initdb".into()))];
        assert!(conclude(&suites, Skips::Report).is_ok());
        assert_eq!(conclude(&suites, Skips::Fail).unwrap_err().to_string(), "not passed: PostgreSQL");
    }

    #[test]
    fn a_failed_suite_always_fails() {
        let suites = [("tests", Outcome::Failed("x".into()))];
        assert!(conclude(&suites, Skips::Report).is_err());
    }
}
