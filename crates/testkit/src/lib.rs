//! Stands in for what tests cannot have: model providers, the passing of time, random ids, and a client that knows of a
//! server only what reflection tells. Lends what they share: schemas on a real PostgreSQL server, steps to write to a store.
//!
//! The provider fakes speak the real wire protocol over a real socket and refuse what the real provider refuses. A
//! dev-dependency only, used from `tests/it`; it never mocks a part of Loom itself.

mod anthropic;
mod clock;
mod gemini;
mod ids;
mod openai;
mod postgres_schema;
mod provider_fake;
mod proxy;
mod public_wire;
mod reflected;
mod reply;
mod request;
pub mod steps;
mod tamper;
mod wire;
pub mod wire_suite;

pub use clock::ManualClock;
pub use ids::CountingIds;
pub use postgres_schema::{PostgresSchema, postgres_url};
pub use provider_fake::{Dialect, ProviderFake, RecordedRequest};
pub use proxy::{Mode, Proxy};
pub use public_wire::{PublicWire, WireStream};
pub use reflected::{Reflected, ReflectedStream, Refusal};
pub use reply::Reply;
pub use request::completion_request;

/// The only key that the fakes accept.
pub const API_KEY: &str = "test-key-0123456789abcdef";

/// A model that no fake knows; all other names are known.
pub const UNKNOWN_MODEL: &str = "no-such-model";
pub use tamper::{alter, tamper};
