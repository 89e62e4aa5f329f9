//! The provider against fakes that speak the real wire protocol.

mod compatible;
mod wire;
