//! The tool by which a model asks the user something. No program runs it: the turn waits until someone answers.

use async_trait::async_trait;
use serde_json::{Value, json};

use loom_base::ErrorCode;
use loom_llm::{ToolDefinition, ToolRole};
use loom_tools::{EffectClass, Tool, ToolContext, ToolError, ToolOutput, ToolSpec};

use crate::Error;

/// The longest question, in characters.
const MOST_QUESTION: usize = 4_000;
/// Answers to choose from at most.
const MOST_OPTIONS: usize = 20;

/// A question as the model put it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) text: String,
    /// The answers to choose from; empty means any text.
    pub(crate) options: Vec<String>,
}

impl Question {
    /// Reads the arguments of a call, which were checked against the tool's schema.
    pub(crate) fn of(arguments: &Value) -> Self {
        let options = arguments["options"].as_array().into_iter().flatten();
        Self {
            text: arguments["question"].as_str().unwrap_or_default().to_owned(),
            options: options.filter_map(|option| Some(option.as_str()?.to_owned())).collect(),
        }
    }

    /// Refuses an answer that is none.
    pub(crate) fn check(&self, answer: &str) -> Result<(), Error> {
        let options = &self.options;
        let problem = if answer.trim().is_empty() {
            "the answer is empty".to_owned()
        } else if !options.is_empty() && !options.iter().any(|option| option == answer) {
            format!("the answer is none of the options: {}", options.join(", "))
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorCode::InvalidArgument, problem))
    }
}

/// `ask_user`.
pub(crate) struct AskUser(ToolSpec);

impl AskUser {
    pub(crate) fn new() -> Self {
        let definition = ToolDefinition {
            name: "ask_user".into(),
            description:
                "Asks the user one question and returns the answer. Use it only when you cannot go on \
                          without something that nobody but the user knows or may decide."
                    .into(),
            input_schema: json!({
                "type": "object",
                "properties": {
                    "question": { "type": "string", "minLength": 1, "maxLength": MOST_QUESTION },
                    "options": {
                        "type": "array",
                        "description": "The answers to choose from, if they are few.",
                        "items": { "type": "string", "minLength": 1, "maxLength": MOST_QUESTION },
                        "maxItems": MOST_OPTIONS,
                    },
                },
                "required": ["question"],
                "additionalProperties": false,
            }),
            role: Some(ToolRole::AskUser),
        };
        // Nothing happens by asking, and the time for the answer is the user's.
        Self(ToolSpec {
            definition,
            effect: EffectClass::Pure,
            timeout: std::time::Duration::MAX,
            backend: None,
        })
    }
}

#[async_trait]
impl Tool for AskUser {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, _: Value, _: ToolContext) -> Result<ToolOutput, ToolError> {
        Err(ToolError::failed(ErrorCode::Internal, "a question is put to the user, and not run"))
    }
}
