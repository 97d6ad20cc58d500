//! The protocol between the command line and the daemon: newline-delimited JSON on a Unix socket.
//!
//! It owns the shape of requests, answers and history records, and both ends of the socket; [`printed`] is how records
//! look to other programs. It decides nothing: the daemon's loop drives the [`Server`] and answers each [`Call`]; the command
//! line drives the [`Client`].

mod client;
mod kept;
pub mod printed;
mod protocol;
mod server;

pub use client::{Client, ClientError};
pub use kept::{Kept, KeptError, kept};
pub use protocol::{Answer, DaemonFacts, KeyIds, Record, Reload, Request, Status, rfc3339};
pub use server::{BindError, Call, GROUP, Server};

/// Where the daemon listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/lubdub/control.sock";

/// Longest request in bytes, newline excluded.
const MAX_REQUEST: usize = 64 * 1024;
