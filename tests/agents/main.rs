//! lubdub's own agents, run for real: each alone in namespaces of its own, and through `ocf-tester`.

mod contract;
mod host;
mod ipaddr;
mod nginx;
