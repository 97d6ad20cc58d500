//! Everything that touches the world: event loop, sockets, netlink, processes, disk. Decides nothing: each input goes to
//! the core, each output is carried out.

pub mod address;
pub mod clock;
pub mod exec;
pub mod icmp;
pub mod link;
#[cfg(test)]
mod namespace;
pub mod netlink;
pub mod notify;
pub mod packet;
mod readiness;
pub mod realtime;
pub mod store;
