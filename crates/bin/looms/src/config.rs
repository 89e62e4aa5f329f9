//! `looms config`: shows and checks the configuration, without a server.

use std::io::Write;

use loom_cli::{ConfigArgs, ConfigCommand, Format};
use loom_embed::config::{Explanation, UnknownKey};
use serde_json::{Value, json};

use crate::environment::Process;
use crate::failure::Failure;
use crate::serve::load;

/// Runs one of the commands.
pub(crate) fn run(
    args: &ConfigArgs,
    process: &Process,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let loaded = load(args.config.as_ref(), args.set.clone(), process)?;
    let unknown = |error: UnknownKey| Failure::new(error.code(), error);
    let (text, document) = match &args.command {
        ConfigCommand::Get { key } => {
            let value = loaded.get(key).map_err(unknown)?;
            (value.unwrap_or_default().to_owned(), json!({ "key": key, "value": value }))
        }
        ConfigCommand::Explain { key: Some(key) } => {
            let explanation = loaded.explain(key).map_err(unknown)?;
            (explanation.to_string(), to_json(explanation))
        }
        ConfigCommand::Explain { key: None } => {
            let texts: Vec<_> = loaded.explain_all().map(Explanation::to_string).collect();
            (texts.join("\n"), loaded.explain_all().map(to_json).collect())
        }
        ConfigCommand::Validate => {
            let file = loaded.file.as_ref().map(|path| path.display().to_string());
            let notices: Vec<_> = loaded.notices.iter().map(ToString::to_string).collect();
            let verdict = format!("the configuration is valid ({})", file.as_deref().unwrap_or("no file"));
            let notes = notices.iter().map(|notice| format!("note: {notice}"));
            let text = notes.chain([verdict]).collect::<Vec<_>>().join(
                "
",
            );
            (text, json!({ "valid": true, "file": file, "notices": notices }))
        }
    };
    match format {
        Format::Text => writeln!(out, "{text}")?,
        Format::Json => writeln!(out, "{document}")?,
    }
    Ok(())
}

fn to_json(explanation: &Explanation) -> Value {
    let shadowed = explanation.shadowed.iter();
    let shadowed: Vec<_> =
        shadowed.map(|other| json!({ "value": other.value, "source": other.source.to_string() })).collect();
    json!({
        "key": explanation.key,
        "value": explanation.value,
        "source": explanation.source.to_string(),
        "shadowed": shadowed,
    })
}
