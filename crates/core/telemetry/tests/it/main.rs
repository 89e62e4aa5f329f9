//! The metrics as their readers see them.

mod reference;
