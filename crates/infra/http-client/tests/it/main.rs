//! The client against a server on a real socket.

mod exchange;
