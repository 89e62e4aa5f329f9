//! The manual of the configuration, made from the sections themselves.

use std::fmt::Write;

use crate::key::KeyInfo;
use crate::schema::keys;

const HEAD: &str = "\
# Configuration reference

This page is made from the source of `loom-config` and compared with it by a test: it cannot be out of date.

A value is taken from the first of these that gives one:

1. the command line;
2. the configuration file: `--config`, else `LOOM_CONFIG`, else `looms.yaml` in the data folder, else
   `/etc/loom/looms.yaml`;
3. the environment, by the variables listed here (an empty one counts as unset);
4. the profile that `LOOM_ENV` names;
5. the default.

`looms config explain KEY` says which one it was. A `LOOM_*` variable that the file overrides, or that sets nothing, is
named once at start. An unknown key, and a key of a feature that is not in this version, is refused with its file, line
and column; saying that such a feature is off (`false`, `\"\"`, or a section of only `enabled: false`) is accepted.

In the file, `${VAR}` stands for a variable and `${VAR:-default}` for a variable or, when it is unset, the default;
unset without a default is an error. `$${` is a plain `${`.

## Profiles

`LOOM_ENV=dev` is `llm.provider: ollama` and `observability.provider: none`. `staging` (`bedrock`, `embedded`) and `prod`
(`anthropic`, `hawk`) name things that are not in this version: they are refused unless another source sets those keys.
A section `profiles.NAME` of the file describes a profile, or replaces a built-in one; it holds the same keys as the
file.

## Secrets

The configuration never holds a secret, it says where one is. The secret of the variable `NAME` is read when it is
needed: from the file that `NAME_FILE` names, else from `NAME`. A secret written into the file, or into a flag, is
refused.

";

/// The page `docs/reference/configuration.md`.
pub fn reference_markdown() -> String {
    let mut page = HEAD.to_owned();
    let mut section = None;
    for key in keys() {
        let of_key = key.name.rsplit_once('.').map_or("", |(section, _)| section);
        if section != Some(of_key) {
            section = Some(of_key);
            let title =
                if of_key.is_empty() { "Files and folders".to_owned() } else { format!("`{of_key}`") };
            line(&mut page, format_args!("## {title}\n"));
            if of_key == "providers.*" {
                line(&mut page, format_args!("A `*` stands for a name of your own: see `type`.\n"));
            }
        }
        describe(&mut page, &key);
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn describe(page: &mut String, key: &KeyInfo) {
    line(page, format_args!("### `{}`\n", key.name));
    line(page, format_args!("{}\n", key.doc));
    let default = match (&key.default, key.secret) {
        (Some(text), false) => format!("`{text}`"),
        (Some(text), true) => text.trim_start_matches("[redacted] ").trim_matches(['(', ')']).to_owned(),
        (None, _) => "unset".to_owned(),
    };
    line(page, format_args!("- value: {}", key.shape));
    line(page, format_args!("- default: {default}"));
    if key.variables.is_empty() {
        line(page, format_args!("- environment: by `${{VAR}}` in the file"));
    } else {
        line(page, format_args!("- environment: {}", list(key.variables.iter().map(String::as_str))));
    }
    if !key.aliases.is_empty() {
        line(page, format_args!("- also accepted as: {}", list(key.aliases.iter().copied())));
    }
    page.push('\n');
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[expect(clippy::expect_used, reason = "writing to a string does not fail")]
fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(page, "{text}").expect("a string takes all text");
}
