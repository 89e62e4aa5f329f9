//! Serves `loom.v1` over gRPC and over HTTP with JSON, from one stack of checks around one implementation of the
//! generated `LoomService`.
//!
//! Every door goes through [`Stack`]: authorisation, message size, concurrency, deadlines. The HTTP gateway is generic
//! over the descriptor set and calls that stack in this process; there is no second path and no loopback dial. The
//! crate never decides what an RPC does, never opens a listener of its own choosing, and knows no user beyond the
//! [`Principal`](loom_access::Principal) that a connection stands for.

mod deadline;
mod error;
mod gateway;
mod limits;
mod measure;
mod openapi;
mod request;
mod server;
mod services;
mod stack;
pub mod store;
mod taker;

pub use deadline::grpc_timeout;
pub use error::{Failure, status};
pub use gateway::GatewayError;
pub use limits::Limits;
pub use openapi::openapi;
pub use request::RequestId;
pub use server::{Error, Exposure, Listeners, Options, Server};
pub use services::{ApiParts, LoomApi, ReloadAgentFile};
pub use stack::Stack;
