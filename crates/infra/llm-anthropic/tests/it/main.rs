//! The provider against a fake that speaks the real wire protocol.

mod wire;
