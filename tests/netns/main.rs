//! The real binary on several nodes in network namespaces: real links cut, processes killed and stopped. Judged from
//! outside alone: by the client's answers and each kernel's own view, never by what a daemon says.
//!
//! Each test runs in namespaces of its own, one test at a time. Without the right to make them, without `nft` and `tmux`,
//! or, where it matters, without nginx, a test fails and says so.

mod check;
mod disk;
mod flood;
mod init;
mod keys;
mod links;
mod log;
mod metrics;
mod network;
mod planned;
mod screen;
mod service;
mod support;
mod takeover;
mod tmux;
