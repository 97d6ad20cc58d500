//! The real program against a daemon that a test plays: exit codes, what goes to stdout and what to stderr.
#![expect(clippy::disallowed_methods, reason = "tests start the program")]

mod commands;
mod player;
mod printing;
