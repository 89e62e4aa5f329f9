//! The contract between an agent and the user's data: backends, their schemas, typed results, and the tools that a
//! backend becomes.
//!
//! It knows no database driver and no wire protocol; adapters implement [`ExecutionBackend`].

mod backend;
mod definition;
mod error;
#[cfg(test)]
mod fixture;
mod render;
mod result;
mod schema;
mod tools;

pub use backend::{Backends, Capabilities, Dialect, ExecutionBackend, QueryContext, QueryLimits};
pub use definition::{BackendDefinition, Connection, DefinitionError, PoolLimits, TableFilter, TlsMode};
pub use error::{BackendError, BackendErrorKind};
pub use render::{RenderError, Rendered, names_its_row, render};
pub use result::{Cell, QueryResult};
pub use schema::{Column, ForeignKey, Resource, ResourceKind, Schema, Table, TypeClass};
pub use tools::backend_tools;
