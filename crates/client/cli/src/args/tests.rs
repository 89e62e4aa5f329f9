//! Command lines that are understood, and some that are not.

use clap::CommandFactory as _;
use clap::error::ErrorKind;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("looms").chain(line.split(' ')))
}

#[test]
fn the_tree_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn each_command_has_its_runner() {
    let local = [
        "quickstart",
        "serve",
        "start",
        "config get a.b",
        "config explain",
        "config validate",
        "pattern validate a.yaml",
        "backend ping shop",
        "backend schema --file b.yaml",
        "db verify",
        "db restore f --data-dir d",
    ];
    let server = [
        "chat",
        "agent list",
        "agent show a",
        "agent reload a",
        "agent delete a",
        "session list",
        "session show s",
        "session delete s",
        "turn list",
        "turn cancel t",
        "turn watch t --after e",
        "effect list",
        "effect resolve e --happened --result done",
        "effect resolve e --did-not-happen",
        "effect resolve e --give-up",
        "approval list",
        "approval answer a --approve --digest d",
        "approval answer a --deny --reason why",
        "budget list --agent a --session s",
        "pattern list",
        "pattern search top customers",
        "pattern show p",
        "trace show t",
        "tool list",
        "health",
        "db status --online",
        "db --online cleanup --older-than 30",
        "db verify --server http://a:1",
    ];
    for line in local {
        assert!(matches!(parse(line).unwrap().into_task(), Task::Local(_)), "{line}");
    }
    for line in server {
        assert!(matches!(parse(line).unwrap().into_task(), Task::Server(_)), "{line}");
    }
}

#[test]
fn the_server_is_the_flag_then_the_variable_then_the_default() {
    let with_flag = parse("health --server http://a:1 --json").unwrap().connection;
    assert_eq!(with_flag.server(Some("http://b:2")), "http://a:1");
    assert_eq!(with_flag.format(), Format::Json);
    let without = parse("health").unwrap().connection;
    assert_eq!(without.server(Some("http://b:2")), "http://b:2");
    assert_eq!(without.server(Some("")), DEFAULT_SERVER);
    assert_eq!(without.server(None), DEFAULT_SERVER);
    assert_eq!(without.format(), Format::Text);
}

#[test]
fn every_option_of_serve_is_a_setting() {
    let line = "serve --config c.yaml --data-dir d --host h --port 1 --http-port 0 --llm-provider p --db f \
                --log-level debug --log-format json --insecure-bind --set a.b=c=d --set e=";
    let Ok(Cli { command: Command::Serve(args), .. }) = parse(line) else { panic!("not serve") };
    let settings = args.settings();
    let said: Vec<_> = settings.iter().map(|one| format!("{} {}={}", one.flag, one.key, one.value)).collect();
    insta::assert_snapshot!(said.join("\n"));
    let options = Cli::command().find_subcommand("serve").unwrap().get_arguments().count();
    // `--set` was given twice, `--config` is no setting.
    assert_eq!(settings.len(), options);
}

#[test]
fn mistakes_are_refused() {
    let lines = [
        ("agent", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
        ("backend ping", ErrorKind::MissingRequiredArgument),
        ("backend ping shop --file b.yaml", ErrorKind::ArgumentConflict),
        ("pattern validate", ErrorKind::MissingRequiredArgument),
        ("serve --port 70000", ErrorKind::ValueValidation),
        ("serve --set nothing", ErrorKind::ValueValidation),
        ("session list --limit 0", ErrorKind::ValueValidation),
        ("health --sever x", ErrorKind::UnknownArgument),
        ("effect resolve e", ErrorKind::MissingRequiredArgument),
        ("effect resolve e --happened --give-up", ErrorKind::ArgumentConflict),
        ("effect resolve e --give-up --result x", ErrorKind::ArgumentConflict),
        ("approval answer a", ErrorKind::MissingRequiredArgument),
        ("approval answer a --approve --deny", ErrorKind::ArgumentConflict),
        ("approval answer a --approve --reason x", ErrorKind::ArgumentConflict),
        ("db cleanup", ErrorKind::MissingRequiredArgument),
        ("db cleanup --older-than 0", ErrorKind::ValueValidation),
        ("db verify --online --data-dir d", ErrorKind::ArgumentConflict),
        ("db verify --server http://a:1 --db f", ErrorKind::ArgumentConflict),
    ];
    for (line, expected) in lines {
        assert_eq!(parse(line).unwrap_err().kind(), expected, "{line}");
    }
}
