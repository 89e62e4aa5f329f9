//! The manual of the command line, made from its definition.

use std::fmt::Write as _;

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory as _};

use crate::{Cli, DEFAULT_SERVER};

const INTRODUCTION: &str = "\
# Command line reference

This page is made from the source of `loom-cli` and compared with it by a test: it cannot be out of date.

`quickstart`, `serve`, `config`, `backend` and `pattern validate` need no server, `db` only with `--online` or `--server`;
the others ask a running one over gRPC and say so when none answers.
";

const EXIT_CODES: &str = "\
## Exit codes

| code | meaning |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | the command line is wrong |
| 3 | no server answers |
| 4 | the thing named does not exist |
| 5 | refused: the request is wrong, not allowed, or the server is not set up for it |
";

/// The manual, in Markdown.
pub fn reference_markdown() -> String {
    let mut root = Cli::command();
    root.build();
    let mut page = INTRODUCTION.to_owned();
    // Writing to a String cannot fail.
    let _ = write!(page, "\n## Options of every command\n\n");
    for arg in root.get_arguments().filter(|arg| arg.is_global_set()) {
        describe(arg, &mut page);
    }
    let _ = write!(page, "\nThe default server is `{DEFAULT_SERVER}`.\n\n{EXIT_CODES}");
    for command in root.get_subcommands() {
        section(command, "looms", 2, &mut page);
    }
    page
}

fn section(command: &Command, path: &str, depth: usize, page: &mut String) {
    let path = format!("{path} {}", command.get_name());
    let _ = write!(page, "\n{} `{path}`\n\n", "#".repeat(depth));
    let _ = writeln!(page, "{}.", plain(command.get_about()));
    let aliases: Vec<_> = command.get_visible_aliases().map(|alias| format!("`{alias}`")).collect();
    if !aliases.is_empty() {
        let _ = writeln!(page, "Also called {}.", aliases.join(", "));
    }
    let arguments: Vec<_> = command.get_arguments().filter(|arg| is_its_own(arg, command)).collect();
    if !arguments.is_empty() {
        let _ = writeln!(page);
    }
    for arg in arguments {
        describe(arg, page);
    }
    for command in command.get_subcommands() {
        section(command, &path, depth + 1, page);
    }
}

/// Whether the argument is described with this command: not where it is inherited, nor help and version.
fn is_its_own(arg: &Arg, command: &Command) -> bool {
    let is_inherited = arg.is_global_set() && !command.has_subcommands();
    let is_everywhere = arg.get_help_heading() == Some("Everywhere");
    !is_inherited && !is_everywhere && !matches!(arg.get_id().as_str(), "help" | "version")
}

fn describe(arg: &Arg, page: &mut String) {
    let values: Vec<_> = arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let takes_value = arg.get_action().takes_values();
    let value = if values.is_empty() { arg.get_id().to_string().to_uppercase() } else { values.join(" ") };
    let name = match arg.get_long() {
        Some(long) if takes_value => format!("--{long} {value}"),
        Some(long) => format!("--{long}"),
        None if arg.get_num_args().is_some_and(|many| many.max_values() > 1) => format!("{value}..."),
        None => value,
    };
    let mut help = plain(arg.get_help());
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if takes_value && !defaults.is_empty() {
        let _ = write!(help, " [default: {}]", defaults.join(", "));
    }
    let _ = writeln!(page, "- `{name}`: {help}");
}

fn plain(text: Option<&StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default()
}
