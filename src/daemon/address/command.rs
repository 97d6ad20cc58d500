//! What `lubdub ip` does, without arguments and exit codes. Run by agents in the middle of a takeover, so it only does
//! what it must: opening and closing a packet socket alone would take four times as long as all the rest.

use std::time::Duration;

use super::{IpError, locate, present, put_in_time, remove};
use crate::config::Address;
use crate::daemon::netlink::{Deleted, InterfaceAddress, Lifetime, Netlink, Put};
use crate::daemon::packet::{PacketSocket, Port};

/// What kind of failure it is, for the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpErrorClass {
    /// It did not work here and now.
    Failed,
    /// It cannot work on this machine as it is: no such interface.
    UnknownInterface,
}

impl IpError {
    /// What kind of failure it is.
    #[must_use]
    pub fn class(&self) -> IpErrorClass {
        match self {
            Self::UnknownInterface { .. } | Self::NoNetwork { .. } => {
                IpErrorClass::UnknownInterface
            }
            Self::Netlink(_)
            | Self::OnOtherInterface { .. }
            | Self::OtherPrefix { .. }
            | Self::NotHere { .. }
            | Self::TooLate { .. }
            | Self::NoHardwareAddress { .. }
            | Self::Packet { .. } => IpErrorClass::Failed,
        }
    }
}

/// Until when an address may be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAfter {
    /// Always.
    Never,
    /// This moment of `CLOCK_BOOTTIME`, in microseconds.
    Boottime(u64),
}

/// `lubdub ip add`: puts an address on its interface, or gives it a new lease if it is there. Without a lease it stays until
/// it is removed. `boottime` reads `CLOCK_BOOTTIME` in microseconds, and is asked at the effect.
///
/// The network is not told: that is [`ip_announce`], or the daemon, which has its socket open.
pub fn ip_add(
    address: &Address,
    lease: Option<Duration>,
    not_after: NotAfter,
    boottime: impl Fn() -> u64,
) -> Result<Put, IpError> {
    let mut netlink = Netlink::open()?;
    let interface = locate(&mut netlink, address)?;
    let ip = address.ip;
    for there in present(&mut netlink, ip)? {
        if there.interface != interface.id {
            let other = netlink.interface(there.interface)?;
            let name =
                other.map_or_else(|| format!("number {}", there.interface.0), |other| other.name);
            return Err(IpError::OnOtherInterface { ip, interface: name });
        }
        if there.prefix != address.prefix {
            let (there, wanted) = (there.prefix, address.prefix);
            return Err(IpError::OtherPrefix { ip, interface: interface.name, there, wanted });
        }
    }
    let lifetime = lease.map_or(Lifetime::Forever, Lifetime::lease);
    let may = || match not_after {
        NotAfter::Never => true,
        NotAfter::Boottime(end) => boottime() <= end,
    };
    put_in_time(&mut netlink, interface.id, address, lifetime, may)?.ok_or(IpError::TooLate { ip })
}

/// `lubdub ip del`: removes an address. One that is not there, or whose interface is not, is gone already.
pub fn ip_del(address: &Address) -> Result<Deleted, IpError> {
    remove(&mut Netlink::open()?, address)
}

/// An address on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The name of its interface.
    pub interface: String,
    /// How it is there.
    pub address: InterfaceAddress,
}

/// `lubdub ip show`: where an address is; `None`: not on its interface, or on none. An address with another prefix is not
/// this one.
pub fn ip_show(address: &Address) -> Result<Option<Shown>, IpError> {
    let mut netlink = Netlink::open()?;
    for there in present(&mut netlink, address.ip)? {
        let Some(interface) = netlink.interface(there.interface)? else { continue };
        let right = address.interface.as_ref().is_none_or(|name| *name == interface.name);
        if right && there.prefix == address.prefix {
            return Ok(Some(Shown { interface: interface.name, address: there }));
        }
    }
    if let Some(name) = &address.interface
        && netlink.interface_named(name)?.is_none()
    {
        return Err(IpError::UnknownInterface { name: name.clone() });
    }
    Ok(None)
}

/// `lubdub ip announce`: tells the network that an address is on its interface, once. Nobody needs to be told on an
/// interface without hardware addresses.
pub fn ip_announce(address: &Address) -> Result<(), IpError> {
    let mut netlink = Netlink::open()?;
    let interface = locate(&mut netlink, address)?;
    // Whoever is told sends its traffic here.
    if !present(&mut netlink, address.ip)?.iter().any(|there| there.interface == interface.id) {
        return Err(IpError::NotHere { ip: address.ip, interface: interface.name });
    }
    let Some(mac) = interface.mac else { return Ok(()) };
    let packet = |source| IpError::Packet { what: "announce an address", source };
    let Some(port) = Port::find(interface.id, mac).map_err(packet)? else {
        return Err(IpError::UnknownInterface { name: interface.name });
    };
    let socket = PacketSocket::send_only().map_err(packet)?;
    for frame in port.announcements(address.ip) {
        socket.send(&port, &frame).map_err(packet)?;
    }
    Ok(())
}
