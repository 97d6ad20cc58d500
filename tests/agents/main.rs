//! lubdub's own agents, run for real: each alone in namespaces of its own, and through `ocf-tester`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod contract;
mod host;
mod httpd;
mod ipaddr;
mod nginx;
mod ntp;
