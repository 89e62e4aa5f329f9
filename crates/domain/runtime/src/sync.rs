//! The locks of the sessions' actors and feeds: those of std, or those of a scheduler that tries many orders where this source
//! is compiled for one (`interleavings/runtime`).

#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
