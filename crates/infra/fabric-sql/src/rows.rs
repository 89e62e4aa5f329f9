//! Gathers rows up to the caps.

use std::ops::ControlFlow;
use std::time::Duration;

use loom_fabric::{Cell, QueryLimits, QueryResult};

/// Rows on their way into a result. It never holds more than the limits allow.
#[derive(Debug)]
pub struct Rows {
    limits: QueryLimits,
    columns: Vec<String>,
    taken: Vec<Vec<Cell>>,
    bytes: usize,
    truncated: bool,
}

impl Rows {
    /// None yet.
    pub(crate) fn new(limits: QueryLimits) -> Self {
        Self { limits, columns: Vec::new(), taken: Vec::new(), bytes: 0, truncated: false }
    }

    /// Sets the column names if they are not known yet.
    pub(crate) fn name_columns(&mut self, names: impl Iterator<Item = String>) {
        if self.columns.is_empty() {
            self.columns.extend(names);
        }
    }

    /// Whether the column names are known.
    pub(crate) fn has_columns(&self) -> bool {
        !self.columns.is_empty()
    }

    /// Whether rows were left out.
    pub(crate) fn truncated(&self) -> bool {
        self.truncated
    }

    /// How many more rows to ask the engine for, `most` at a time: one above a cap shows that there are more, and rows
    /// are taken to go on as wide as they were.
    pub(crate) fn wanted(&self, most: usize) -> usize {
        let width = self.bytes / self.taken.len().max(1);
        let by_bytes = self.limits.max_bytes.saturating_sub(self.bytes) / width.max(1);
        let by_rows = self.limits.max_rows.saturating_sub(self.taken.len());
        by_rows.min(by_bytes).saturating_add(1).min(most)
    }

    /// Takes a row, or breaks because a cap is reached.
    pub(crate) fn push(&mut self, row: Vec<Cell>) -> ControlFlow<()> {
        let bytes = self.bytes.saturating_add(row.iter().map(Cell::size).sum());
        if self.taken.len() >= self.limits.max_rows || bytes > self.limits.max_bytes {
            self.truncated = true;
            return ControlFlow::Break(());
        }
        self.bytes = bytes;
        self.taken.push(row);
        ControlFlow::Continue(())
    }

    /// The result, which took `duration`.
    pub(crate) fn finish(self, duration: Duration) -> QueryResult {
        QueryResult { columns: self.columns, rows: self.taken, truncated: self.truncated, duration }
    }
}
