//! What keeps a link from working, as the operator reads it.

use std::io;
use std::net::{IpAddr, SocketAddr};

use nix::errno::Errno;
use thiserror::Error;

use super::socket::{describe, errno};

/// What a link waits for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Obstacle {
    /// Not yet, or no longer, or (IPv6) not yet found to be unique.
    #[error("address {address} is not on this machine")]
    NoAddress { address: IpAddr },
    /// Not yet, or no longer, or under another name.
    #[error("interface {interface} is not on this machine")]
    NoInterface { interface: String },
    /// No address, or only such as move with a group or are not yet found to be unique.
    #[error("interface {interface} has no {family} address of its own that is ready to send from")]
    NoSource { interface: String, family: &'static str },
    /// Down, or nothing is at the other end.
    #[error("interface {interface} has no carrier: is it up, and what is at its other end?")]
    NoCarrier { interface: String },
    /// The configuration is not a valid one.
    #[error("this node has neither address nor interface on it")]
    NoPlace,
    /// Netlink does not work.
    #[error("this machine's interfaces are not known: {why}")]
    Untold { why: String },
    /// A second daemon, or another program.
    #[error(
        "{address} is taken by another program (ss -lunp shows it): stop that one, or change the port"
    )]
    Taken { address: SocketAddr },
    /// Ports below 1024.
    #[error(
        "port {port} may not be used: run as root or with CAP_NET_BIND_SERVICE, or change the port"
    )]
    Privileged { port: u16 },
    /// The packet filter of this machine.
    #[error("sending to {target} is forbidden by a packet filter on this machine: allow UDP to port {}", target.port())]
    Filtered { target: SocketAddr },
    /// No route, or something rarer.
    #[error("nothing can be sent to {}: {why}", target.ip())]
    Unreachable { target: SocketAddr, why: String },
    /// Too many open files, and the like.
    #[error("no socket on {address}: {why}")]
    NoSocket { address: SocketAddr, why: String },
}

impl Obstacle {
    pub(super) fn sending(target: SocketAddr, error: &io::Error) -> Self {
        match errno(error) {
            Some(Errno::EPERM) => Self::Filtered { target },
            Some(_) | None => Self::Unreachable { target, why: describe(error) },
        }
    }
}
