//! Brings the inner spans of turns into the store.

use std::sync::Arc;

use loom_tracer::EmbeddedLayer;

use crate::Loom;

impl Loom {
    /// The layer that keeps this Loom's inner spans, for turns that ask for them: the process's subscriber has to
    /// include it. `None` when the configuration wants no spans kept.
    pub fn span_layer(&self) -> Option<EmbeddedLayer> {
        if !self.traced {
            return None;
        }
        let (layer, spans) =
            loom_tracer::embedded(&self.instance, Arc::clone(&self.clock), Arc::clone(&self.metrics));
        let store = self.store.stores().spans;
        let closing = self.closing.clone();
        self.tasks.spawn(async move { spans.store_in(store, closing.cancelled()).await });
        Some(layer)
    }
}
