//! The walls one by one, and engines seen to stop.

#[path = "../tests/it/attacks.rs"]
mod attacks;
#[path = "../tests/it/support.rs"]
mod support;

mod stopping;
mod walls;
