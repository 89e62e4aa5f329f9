//! A provider for a machine with no key: it answers questions about a database by matching words.
//!
//! It is not a language model, says so in every answer, and never grows into one. It sees what any provider sees,
//! messages and tool definitions, and finds its tools by their declared role, those of one backend by the end of their
//! names. It searches the patterns for the question and reads the schema, a large one as far as the question needs it;
//! binds the parameters of the pattern that explains the question best, runs it, and lays out the rows. What it cannot
//! bind, and what it would have to leave out, becomes a question back. It knows nothing about any particular database,
//! binds names and numbers only, and writes no query of its own.
//!
//! Each answer is a pure function of the conversation. Only the newest user message is the question.

mod answer;
mod binding;
mod conversation;
mod listing;
mod lookups;
mod matching;
mod missing;
mod partial;
mod pattern;
mod provider;
mod question;
mod reference;
mod reply;
mod schema;
mod scoring;
mod tools;
mod words;

pub use provider::OfflineProvider;
