//! The libraries as their users meet them: they load, they are executable, and questions find the right one.

mod library;
mod questions;
mod render;
