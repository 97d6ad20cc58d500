//! The real program against a daemon that a test plays: exit codes, what goes to stdout and what to stderr.
#![expect(clippy::disallowed_methods, reason = "tests start the program")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that fails, panics"
)]

mod commands;
mod init;
mod player;
mod printing;
mod tools;
