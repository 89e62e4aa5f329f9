//! Where spans go.

use crate::choice::choice;
use crate::key::section;

choice! {
    /// Where the inner spans of turns go.
    Tracer {
        /// Into the store, for turns that ask for it (`enable_trace`).
        Embedded = "embedded",
        /// Nowhere. The tree of a turn is still there: it comes from the journal.
        None = "none" also "noop",
    }
    later "hawk" "otlp"
}

section! {
    /// Where spans go.
    Observability at "observability." {
        /// Whether spans are kept at all; `false` is the same as a `provider` of `none`.
        enabled: bool = true, example "false";
        /// Where the inner spans of turns go: `embedded` is the store, for turns that ask for it with `enable_trace`;
        /// `none` is nowhere. A turn, its model calls and its tool calls are traced in any case, by the journal.
        provider: Tracer = Tracer::Embedded, aliases ["tracer"], example "none";
    }
}

impl Observability {
    /// Where spans go, both keys taken together.
    pub const fn tracer(&self) -> Tracer {
        if self.enabled { self.provider } else { Tracer::None }
    }
}
