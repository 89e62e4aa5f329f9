//! What is asked for.

/// What somebody wants to do with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Look at it, or list its kind.
    Read,
    /// Make a new one.
    Create,
    /// Change one that exists, reloading it from its file included.
    Update,
    /// Remove one.
    Delete,
    /// Let it work: send an agent a message.
    Run,
}

/// A kind of thing that the API serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// An agent, in all its versions.
    Agent,
    /// A conversation and what was said in it.
    Session,
    /// One turn of a conversation, while it runs and after.
    Turn,
    /// A tool call that may have taken effect.
    Effect,
    /// A tool call that waits for an approval.
    Approval,
    /// What turns may use together.
    Budget,
    /// A pattern of the library.
    Pattern,
    /// A tool's definition.
    Tool,
    /// The record of how a turn was answered.
    Trace,
    /// The server: its health and its configuration, without secrets.
    Server,
    /// The store behind the server.
    Storage,
}

/// One thing, or all things of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    /// What kind of thing.
    pub kind: ResourceKind,
    /// Its id or name; `None` means the kind as a whole, as in a list.
    pub name: Option<String>,
}

impl Resource {
    /// The kind as a whole.
    pub const fn all(kind: ResourceKind) -> Self {
        Self { kind, name: None }
    }

    /// One thing of the kind.
    pub fn one(kind: ResourceKind, name: impl Into<String>) -> Self {
        Self { kind, name: Some(name.into()) }
    }
}
