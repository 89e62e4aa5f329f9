//! Speaks HTTP to the services that an operator configured: model providers and HTTP backends.
//!
//! It never follows a redirect, never reads proxy settings or certificates from its surroundings, never waits without
//! a bound, never reads an answer without a cap, and never puts a path, a query, a header or a body in an error.

mod address;
mod client;
mod error;
mod excerpt;
mod pace;
mod request;
mod response;
mod retry_after;
pub mod sse;
mod traceparent;

pub use address::{AddressError, BaseUrl};
pub use client::{Client, Limits};
pub use error::Error;
pub use excerpt::excerpt;
pub use request::Request;
pub use response::Response;
pub use retry_after::parse_retry_after;
pub use traceparent::traceparent;

pub use http::{HeaderName, HeaderValue, StatusCode};
