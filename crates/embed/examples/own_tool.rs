//! An agent that uses a tool of this program: no server, no key, no network. The model plays a script.
use std::{error::Error, path::Path, sync::Arc, time::Duration};

use loom_embed::mock::{MockProvider, Script};
use loom_embed::{FunctionTool, Loom, SystemClock, runtime::AgentDefinition};
use serde_json::json;

const SCRIPT: &str = "rules:
  - { when: { contains: tea }, reply: { tool_calls: [{ name: stock, arguments: { article: tea } }] } }
  - { when: { after_tool: stock }, reply: { text: 'The shop says {{tool_result}}.' } }";

pub(crate) async fn ask(question: &str, folder: &Path) -> Result<String, Box<dyn Error>> {
    let schema = json!({ "type": "object", "properties": { "article": { "type": "string" } } });
    let stock = FunctionTool::pure("stock", "Counts the pieces of an article.", schema, |input| async move {
        if input["article"] == "tea" { Ok(json!({ "pieces": 12 })) } else { Err("no such article".into()) }
    });
    let model = MockProvider::new(Script::parse(SCRIPT)?, Arc::new(SystemClock));
    let loom = Loom::builder().data_dir(folder).agent(AgentDefinition::named("clerk")).tool(stock);
    let loom = loom.provider("mock", "script", Arc::new(model)).build().await?;
    let answer = loom.ask(question).await?;
    loom.close(Duration::from_secs(5)).await;
    Ok(answer.text.clone())
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the answer is what this program is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", ask("How much tea is there?", tempfile::tempdir()?.path()).await?);
    Ok(())
}
