//! Addresses of groups on this machine: put, renewed, removed, announced, probed, and watched.
//!
//! [`Addresses`] is the loop's part; the functions of [`command`] are `lubdub ip`, which agents run. Both stand on the
//! same few helpers here. Decides nothing: whether an address may be here, and how often it is announced, the core says.

pub mod command;
mod held;
mod probe;
mod service;

use std::io;
use std::net::IpAddr;

pub use service::{Addresses, Finding, NotCounted};

use super::netlink::{
    Deleted, Interface, InterfaceAddress, InterfaceId, Lifetime, Netlink, NetlinkError, Put,
};
use crate::config::Address;

/// Why something could not be done with an address.
#[derive(Debug, thiserror::Error)]
pub enum IpError {
    /// The kernel did not want to.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The interface that was named is not there.
    #[error("there is no interface {name} on this machine; `ip link` lists those that are")]
    UnknownInterface {
        /// Its name.
        name: String,
    },
    /// No interface was named, and none is on the address's network.
    #[error("no interface of this machine is on the network of {ip}; name the interface")]
    NoNetwork {
        /// The address.
        ip: IpAddr,
    },
    /// It is there already, on another interface.
    #[error("{ip} is on interface {interface} already; remove it there, or name that interface")]
    OnOtherInterface {
        /// The address.
        ip: IpAddr,
        /// Where it is.
        interface: String,
    },
    /// It is there already, with another prefix: beside it ours would be a second address that outlives the first.
    #[error(
        "{ip} is on interface {interface} already, as {ip}/{there} and not /{wanted}; remove it, or use that prefix"
    )]
    OtherPrefix {
        /// The address.
        ip: IpAddr,
        /// Where it is.
        interface: String,
        /// Its prefix there.
        there: u8,
        /// The prefix that was asked for.
        wanted: u8,
    },
    /// It is to be announced, and is not there.
    #[error(
        "{ip} is not on interface {interface}: nothing was announced; `lubdub ip add` puts it there"
    )]
    NotHere {
        /// The address.
        ip: IpAddr,
        /// Where it would be.
        interface: String,
    },
    /// The right to put it there ended before it could be put.
    #[error("too late: the right to hold {ip} is over, and it was not added")]
    TooLate {
        /// The address.
        ip: IpAddr,
    },
    /// The interface has no hardware address that Ethernet knows.
    #[error("interface {name} has no hardware address: nobody can be asked there")]
    NoHardwareAddress {
        /// Its name.
        name: String,
    },
    /// Frames could not be sent or heard.
    #[error("cannot {what} (it needs CAP_NET_RAW): {source}")]
    Packet {
        /// What was tried.
        what: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
}

/// The interface that an address belongs on: the one that is named, else the one that has it, else the one whose network
/// it is on.
fn locate(netlink: &mut Netlink, address: &Address) -> Result<Interface, IpError> {
    if let Some(name) = &address.interface {
        let unknown = || IpError::UnknownInterface { name: name.clone() };
        return netlink.interface_named(name)?.ok_or_else(unknown);
    }
    let id = match present(netlink, address.ip)?.first() {
        Some(there) => Some(there.interface),
        None => netlink.connected(address.ip)?,
    };
    let interface = match id {
        Some(id) => netlink.interface(id)?,
        None => None,
    };
    interface.ok_or(IpError::NoNetwork { ip: address.ip })
}

/// Everywhere on this machine that an address is.
fn present(netlink: &mut Netlink, ip: IpAddr) -> Result<Vec<InterfaceAddress>, NetlinkError> {
    let mut all = netlink.addresses(None)?;
    all.retain(|there| there.ip == ip);
    Ok(all)
}

/// Removes an address from its interface, whatever its prefix there.
fn remove(netlink: &mut Netlink, address: &Address) -> Result<Deleted, IpError> {
    let mut there = present(netlink, address.ip)?;
    if let Some(name) = &address.interface {
        let only = netlink.interface_named(name)?.map(|interface| interface.id);
        there.retain(|there| Some(there.interface) == only);
    }
    let mut outcome = Deleted::WasNotThere;
    for there in &there {
        if netlink.delete_address(there)? == Deleted::Removed {
            outcome = Deleted::Removed;
        }
    }
    Ok(outcome)
}

/// Puts an address on an interface, but only while the caller may: asked immediately before the effect, and once more
/// after it, since the kernel may have let this process wait for its own lock. What came too late is taken back.
/// `None`: too late, and not there by this call.
fn put_in_time(
    netlink: &mut Netlink,
    interface: InterfaceId,
    address: &Address,
    lifetime: Lifetime,
    may: impl Fn() -> bool,
) -> Result<Option<Put>, NetlinkError> {
    let row = InterfaceAddress { interface, ip: address.ip, prefix: address.prefix, lifetime };
    if !may() {
        return Ok(None);
    }
    let put = netlink.put_address(&row)?;
    if put == Put::Added && !may() {
        netlink.delete_address(&row)?;
        return Ok(None);
    }
    Ok(Some(put))
}
