//! The protocol between the command line and the daemon: newline-delimited JSON on a Unix socket.
