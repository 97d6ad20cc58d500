//! Addresses, probes and pings against the kernel, in network namespaces that each test makes and that vanish with it.
//!
//! Needs root, or a user namespace that may have network namespaces; without either each test fails and says so. What came
//! of something is read from outside, by `ip`, in the namespace where it counts.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod address;
mod announce;
mod command;
mod conflict;
mod lab;
mod ping;
mod probe;
