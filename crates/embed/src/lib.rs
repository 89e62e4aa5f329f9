//! Loom in your program: agents over your data, with bounded memory, durable sessions and one trace of each turn.
//!
//! This crate is where the parts meet: it opens the store, makes the providers and backends that agents name, and
//! watches their folders. It installs nothing process-wide and listens nowhere; the feature `server` adds the two
//! listeners of the `looms` binary.
//!
//! An agent that answers from a database, without a model; `examples/own_tool.rs` gives one a tool of the program.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use loom_embed::sql::{SqlOptions, SqliteBackend, create_sqlite};
//! use loom_embed::{Loom, SystemClock, offline::OfflineProvider, runtime::AgentDefinition};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let file = folder.join("shop.db");
//! create_sqlite(&file, "CREATE TABLE product (name TEXT); INSERT INTO product VALUES ('tea'), ('coffee')").await?;
//! let shop = SqliteBackend::open("shop", &file, SqlOptions::default(), Arc::new(SystemClock)).await?;
//! let agent = AgentDefinition { backends: vec!["shop".into()], ..AgentDefinition::named("analyst") };
//!
//! let loom = Loom::builder()
//!     .data_dir(folder.join("data"))
//!     .provider("offline", "offline", Arc::new(OfflineProvider::new()))
//!     .backend(Arc::new(shop))
//!     .agent(agent)
//!     .build()
//!     .await?;
//! let answer = loom.ask("How many products are there?").await?;
//! assert!(answer.text.contains("|     2 |"), "{}", answer.text);
//! assert_eq!(answer.report.spent.model_calls, 3);
//! loom.close(Duration::from_secs(5)).await;
//! # Ok(())
//! # }
//! ```

mod backends;
mod builder;
mod function_tool;
mod hooks;
mod library;
mod loom;
mod providers;
#[cfg(feature = "server")]
pub mod server;
mod spans;
mod store;
mod system;
#[cfg(feature = "server")]
pub mod upkeep;
mod watch;

pub use builder::Builder;
pub use function_tool::FunctionTool;
pub use library::{built_in_patterns, yaml_files};
pub use loom::{AskError, Loom};
pub use system::{SystemClock, SystemIds};

/// Ids, time, secrets, error codes.
pub use loom_base as base;
/// The configuration: layers, explanations, secrets.
pub use loom_config as config;
/// What agents work on.
pub use loom_fabric as fabric;
/// SQL databases to work on.
pub use loom_fabric_sql as sql;
/// The contract of model providers.
pub use loom_llm as llm;
/// A provider that plays a script.
pub use loom_llm_mock as mock;
/// A provider that needs no model.
pub use loom_llm_offline as offline;
/// Patterns.
pub use loom_patterns as patterns;
/// Agents, sessions, turns.
pub use loom_runtime as runtime;
/// The contract of tools.
pub use loom_tools as tools;
/// Logs and spans of a process.
pub use loom_tracer as tracer;
