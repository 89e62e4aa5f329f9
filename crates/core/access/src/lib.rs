//! Says who may do what: principals, actions, resources, the decision, and the one table of the API's RPCs.
//!
//! It never finds out who somebody is (the door that accepted the request does) and never performs what it allows.

mod authorizer;
mod principal;
mod resource;
mod table;

pub use authorizer::{AllowAnyone, AllowLocal, Authorizer, Decision};
pub use principal::{Principal, UnknownPrincipal};
pub use resource::{Action, Resource, ResourceKind};
pub use table::{Entry, entry, table};
