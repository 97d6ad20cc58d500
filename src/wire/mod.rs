//! Bytes and messages: layout, codec, authentication, replay window. Knows no policy; driven by the daemon, spoken by
//! the core.

mod message;

pub use message::*;
