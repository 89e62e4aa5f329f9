//! How answers look: text for people, free of control characters that are not ours.

pub(crate) mod amounts;
pub(crate) mod budgets;
pub(crate) mod catalog;
pub(crate) mod columns;
pub(crate) mod health;
pub(crate) mod patterns;
pub(crate) mod people;
pub(crate) mod schema;
pub(crate) mod sessions;
pub(crate) mod store;
pub(crate) mod text;
pub(crate) mod tool;
pub(crate) mod trace;
pub(crate) mod turn;

pub use schema::schema;
pub use text::{clean, clean_line};
pub use trace::trace;
