//! Pages of a list.

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Items to skip.
    pub offset: u64,
    /// Items to return at most.
    pub limit: u32,
}

impl Page {
    /// Items returned when nobody says how many.
    pub const DEFAULT_LIMIT: u32 = 50;
    /// Items returned at most, whatever is asked.
    pub const MAX_LIMIT: u32 = 500;

    /// A page that starts at `offset`; a limit of 0 means the default, a larger one than the maximum the maximum.
    pub fn new(offset: u64, limit: u32) -> Self {
        let limit = if limit == 0 { Self::DEFAULT_LIMIT } else { limit.min(Self::MAX_LIMIT) };
        Self { offset, limit }
    }
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    /// The items of the page, in the list's order.
    pub items: Vec<T>,
    /// How many items the whole list has.
    pub total: u64,
}
