//! The provider against a server that speaks the Gemini API.

mod wire;
