//! rtnetlink: interfaces, addresses, routes, and news about them.
//!
//! [`Netlink`] asks and changes, synchronously: the kernel answers before `send` returns, so a call waits for nothing but
//! the kernel's own lock and is over in some ten microseconds. [`Watcher`] tells what others changed. Neither decides
//! anything; `daemon::address` and the loop drive them. Formats: rtnetlink(7), netlink(7).

mod decode;
mod watcher;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST,
    NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, CacheInfo};
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::libc;

use decode::{
    Neighbour, Route, messages, to_address, to_interface, to_neighbour, to_route, to_source,
};
pub use watcher::{News, Watcher};

use crate::wire::Mac;

/// The kernel sends at most 32 KiB of a dump at a time; a single message about a card with many functions may be longer.
const BUFFER: usize = 64 * 1024;
/// A dump during which something changed is asked for again; a machine that changes all the time is told so.
const DUMP_TRIES: usize = 3;
/// Documentation addresses (RFC 5737, RFC 3849) that no network has: only a default route leads to them.
const ELSEWHERE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const ELSEWHERE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// What went wrong between this process and the kernel's routing tables.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// No socket, or no answer on it.
    #[error("rtnetlink does not work: {0}")]
    Socket(#[source] io::Error),
    /// The kernel said no.
    #[error("the kernel refused to {what}: {source}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// Its reason.
        source: io::Error,
    },
    /// The list changed each time it was asked for.
    #[error("cannot {what}: the list changed {DUMP_TRIES} times while it was read; try again")]
    Unsteady {
        /// What was asked.
        what: &'static str,
    },
}

impl NetlinkError {
    /// The kernel's own error number, where it gave one.
    fn errno(&self) -> Option<i32> {
        match self {
            Self::Socket(source) | Self::Refused { source, .. } => source.raw_os_error(),
            Self::Unsteady { .. } => None,
        }
    }
}

/// An interface: its index in this network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceId(pub u32);

/// An interface as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its index.
    pub id: InterfaceId,
    /// Its name.
    pub name: String,
    /// Its hardware address; `None` where there is none that Ethernet knows.
    pub mac: Option<Mac>,
    /// Whether it is up and has carrier.
    pub carrier: bool,
    /// How often its carrier came or went since it exists.
    pub carrier_changes: u32,
}

/// An address on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// Where.
    pub interface: InterfaceId,
    /// The address.
    pub ip: IpAddr,
    /// Length of its prefix in bits.
    pub prefix: u8,
    /// How long the kernel keeps it.
    pub lifetime: Lifetime,
}

impl InterfaceAddress {
    /// Whether an address is on this one's network.
    #[must_use]
    pub fn reaches(&self, ip: IpAddr) -> bool {
        on_same_network(self.ip, self.prefix, ip)
    }
}

/// An address from which this machine can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Where.
    pub interface: InterfaceId,
    /// The address.
    pub ip: IpAddr,
    /// The broadcast address of its network, where there is one.
    pub broadcast: Option<Ipv4Addr>,
}

/// Whether two addresses agree in the first `prefix` bits.
#[must_use]
pub fn on_same_network(one: IpAddr, prefix: u8, other: IpAddr) -> bool {
    let differ = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => u128::from(one.to_bits() ^ other.to_bits()) << 96,
        (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() ^ other.to_bits(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    differ.leading_zeros() >= u32::from(prefix)
}

/// How long the kernel keeps an address (`valid_lft`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until somebody removes it.
    Forever,
    /// So many seconds from the last renewal.
    Seconds(NonZeroU32),
}

impl Lifetime {
    /// A lease in whole seconds, rounded up: the kernel knows no shorter ones, and none at all is not a lease.
    #[must_use]
    pub fn lease(lease: Duration) -> Self {
        let seconds = lease.as_millis().div_ceil(1000);
        Self::of(u32::try_from(seconds).unwrap_or(u32::MAX).max(1))
    }

    fn of(seconds: u32) -> Self {
        match NonZeroU32::new(seconds) {
            Some(seconds) if seconds < NonZeroU32::MAX => Self::Seconds(seconds),
            Some(_) | None => Self::Forever,
        }
    }

    fn seconds(self) -> u32 {
        match self {
            Self::Forever => u32::MAX,
            Self::Seconds(seconds) => seconds.get(),
        }
    }
}

/// What became of an address that was to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It was not there before.
    Added,
    /// It was there; its lifetime is replaced.
    Renewed,
}

/// What became of an address that was to be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It was there.
    Removed,
    /// It was not, nor its interface.
    WasNotThere,
}

/// Questions to the kernel, and changes of addresses.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// Opens the socket. Asking needs no privilege, changing needs `CAP_NET_ADMIN`.
    pub fn open() -> Result<Self, NetlinkError> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            // The kernel queues the answer before `send` returns: one that is not there never comes.
            socket.set_non_blocking(true)?;
            // Lets the kernel, not this process, pick the rows of a list.
            socket.set_netlink_get_strict_chk(true)?;
            Ok(socket)
        };
        Ok(Self {
            socket: open().map_err(NetlinkError::Socket)?,
            sequence: 0,
            buffer: Vec::with_capacity(BUFFER),
        })
    }

    /// All interfaces.
    pub fn interfaces(&mut self) -> Result<Vec<Interface>, NetlinkError> {
        let mut question = LinkMessage::default();
        question.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        let answers = self.list("list interfaces", RouteNetlinkMessage::GetLink(question))?;
        Ok(answers.into_iter().filter_map(to_interface).collect())
    }

    /// An interface by its index; `None`: there is none.
    pub fn interface(&mut self, id: InterfaceId) -> Result<Option<Interface>, NetlinkError> {
        let mut question = LinkMessage::default();
        question.header.index = id.0;
        self.one_interface(question)
    }

    /// An interface by its name; `None`: there is none.
    pub fn interface_named(&mut self, name: &str) -> Result<Option<Interface>, NetlinkError> {
        // The kernel calls a name that is too long out of range; to us there is simply no such interface.
        if name.is_empty() || name.len() >= libc::IFNAMSIZ {
            return Ok(None);
        }
        let mut question = LinkMessage::default();
        question.attributes.push(LinkAttribute::IfName(name.to_owned()));
        self.one_interface(question)
    }

    /// Addresses of one interface, or of all.
    pub fn addresses(
        &mut self,
        interface: Option<InterfaceId>,
    ) -> Result<Vec<InterfaceAddress>, NetlinkError> {
        let mut question = AddressMessage::default();
        question.header.index = interface.map_or(0, |id| id.0);
        let answers = self.list("list addresses", RouteNetlinkMessage::GetAddress(question))?;
        Ok(answers.into_iter().filter_map(to_address).collect())
    }

    /// Addresses of one interface, or of all, from which something can be sent for good: none that is not yet, or no
    /// longer, found to be unique (IPv6), on its way out, or of those that change each day to protect somebody's privacy.
    pub fn sources(&mut self, interface: Option<InterfaceId>) -> Result<Vec<Source>, NetlinkError> {
        let mut question = AddressMessage::default();
        question.header.index = interface.map_or(0, |id| id.0);
        let answers = self.list("list addresses", RouteNetlinkMessage::GetAddress(question))?;
        Ok(answers.into_iter().filter_map(to_source).collect())
    }

    /// The interface whose network has an address, by the kernel's own routing; `None`: only a gateway leads there, or
    /// nothing does, or the address is this machine's own.
    pub fn connected(&mut self, ip: IpAddr) -> Result<Option<InterfaceId>, NetlinkError> {
        let route = self.route(ip, None)?;
        Ok(route.filter(|route| route.gateway.is_none()).map(|route| route.interface))
    }

    /// The default gateway of an address family on an interface.
    pub fn gateway(
        &mut self,
        interface: InterfaceId,
        like: IpAddr,
    ) -> Result<Option<IpAddr>, NetlinkError> {
        let elsewhere = if like.is_ipv4() { ELSEWHERE_V4 } else { ELSEWHERE_V6 };
        Ok(self.route(elsewhere, Some(interface))?.and_then(|route| route.gateway))
    }

    /// Neighbours of an address family that the kernel knows on an interface, those confirmed last first.
    pub fn neighbours(
        &mut self,
        interface: InterfaceId,
        like: IpAddr,
    ) -> Result<Vec<(IpAddr, Option<Mac>)>, NetlinkError> {
        let mut question = NeighbourMessage::default();
        question.header.family = family(like);
        question.attributes.push(NeighbourAttribute::IfIndex(interface.0));
        let answers = self.list("list neighbours", RouteNetlinkMessage::GetNeighbour(question))?;
        let mut known: Vec<Neighbour> = answers.into_iter().filter_map(to_neighbour).collect();
        known.sort_unstable_by_key(|neighbour| (neighbour.age, neighbour.ip));
        Ok(known.into_iter().map(|neighbour| (neighbour.ip, neighbour.mac)).collect())
    }

    /// Puts an address on an interface, or gives it a new lifetime if it is there. IPv6 without duplicate address
    /// detection: that would keep it from answering for more than a second.
    pub fn put_address(&mut self, address: &InterfaceAddress) -> Result<Put, NetlinkError> {
        const WHAT: &str = "put an address on an interface";
        let message = || RouteNetlinkMessage::NewAddress(address_message(address));
        // Two calls, since a replacement does not say whether there was something to replace.
        match self.ask(WHAT, message(), NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL) {
            Ok(_) => Ok(Put::Added),
            Err(error) if error.errno() == Some(libc::EEXIST) => {
                self.ask(WHAT, message(), NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE)?;
                Ok(Put::Renewed)
            }
            Err(error) => Err(error),
        }
    }

    /// Removes an address from an interface.
    pub fn delete_address(&mut self, address: &InterfaceAddress) -> Result<Deleted, NetlinkError> {
        let message = RouteNetlinkMessage::DelAddress(address_message(address));
        match self.ask("remove an address from an interface", message, NLM_F_ACK) {
            Ok(_) => Ok(Deleted::Removed),
            Err(error) if matches!(error.errno(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) => {
                Ok(Deleted::WasNotThere)
            }
            Err(error) => Err(error),
        }
    }

    fn one_interface(
        &mut self,
        mut question: LinkMessage,
    ) -> Result<Option<Interface>, NetlinkError> {
        question.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        match self.ask("show an interface", RouteNetlinkMessage::GetLink(question), NLM_F_ACK) {
            Ok(answers) => Ok(answers.into_iter().find_map(to_interface)),
            Err(error) if error.errno() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn route(
        &mut self,
        ip: IpAddr,
        via: Option<InterfaceId>,
    ) -> Result<Option<Route>, NetlinkError> {
        let mut question = RouteMessage::default();
        question.header.address_family = family(ip);
        question.header.destination_prefix_length = full_prefix(ip);
        question.attributes.push(RouteAttribute::Destination(match ip {
            IpAddr::V4(ip) => RouteAddress::Inet(ip),
            IpAddr::V6(ip) => RouteAddress::Inet6(ip),
        }));
        question.attributes.extend(via.map(|id| RouteAttribute::Oif(id.0)));
        match self.ask("look up a route", RouteNetlinkMessage::GetRoute(question), NLM_F_ACK) {
            Ok(answers) => Ok(answers.into_iter().find_map(to_route)),
            Err(error)
                if matches!(
                    error.errno(),
                    Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENODEV)
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn list(
        &mut self,
        what: &'static str,
        question: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        for _ in 0..DUMP_TRIES {
            match self.ask(what, question.clone(), NLM_F_DUMP) {
                Err(NetlinkError::Unsteady { .. }) => {}
                answer => return answer,
            }
        }
        Err(NetlinkError::Unsteady { what })
    }

    /// One exchange: sends, and reads up to the kernel's last word on it.
    fn ask(
        &mut self,
        what: &'static str,
        question: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message =
            NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(question));
        message.header.flags = NLM_F_REQUEST | flags;
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map_err(NetlinkError::Socket)?;

        let mut answers = Vec::new();
        let mut steady = true;
        loop {
            self.buffer.clear();
            self.socket.recv(&mut self.buffer, 0).map_err(NetlinkError::Socket)?;
            for (header, payload) in messages(&self.buffer) {
                // Left over from an exchange that broke off.
                if header.sequence_number != self.sequence {
                    continue;
                }
                steady &= header.flags & NLM_F_DUMP_INTR == 0;
                match payload {
                    Ok(NetlinkPayload::InnerMessage(answer)) => answers.push(answer),
                    Ok(NetlinkPayload::Error(error)) if error.code.is_some() => {
                        return Err(NetlinkError::Refused { what, source: error.to_io() });
                    }
                    Ok(NetlinkPayload::Error(_) | NetlinkPayload::Done(_)) => {
                        return if steady {
                            Ok(answers)
                        } else {
                            Err(NetlinkError::Unsteady { what })
                        };
                    }
                    Ok(_) => {}
                    // A kernel newer than the decoder: one strange interface must not hide the others.
                    Err(error) => {
                        tracing::debug!(what, %error, "unreadable rtnetlink message passed over");
                    }
                }
            }
        }
    }
}

fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

/// Length of a prefix that names one address alone.
fn full_prefix(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn address_message(address: &InterfaceAddress) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address.ip);
    message.header.prefix_len = address.prefix;
    message.header.index = address.interface.0;
    let mut lifetime = CacheInfo::default();
    lifetime.ifa_valid = address.lifetime.seconds();
    lifetime.ifa_preferred = address.lifetime.seconds();
    message.attributes = vec![
        AddressAttribute::Local(address.ip),
        AddressAttribute::Address(address.ip),
        AddressAttribute::CacheInfo(lifetime),
    ];
    if address.ip.is_ipv6() {
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_compared_by_prefix() {
        let same = |one: &str, prefix, other: &str| {
            on_same_network(one.parse().unwrap(), prefix, other.parse().unwrap())
        };
        assert!(same("10.0.0.1", 24, "10.0.0.254"));
        assert!(!same("10.0.0.1", 24, "10.0.1.1"));
        assert!(same("10.0.0.1", 32, "10.0.0.1"));
        assert!(!same("10.0.0.1", 32, "10.0.0.0"));
        assert!(same("10.0.0.1", 0, "192.0.2.1"));
        assert!(same("fd00::1", 64, "fd00::ffff"));
        assert!(!same("fd00::1", 64, "fd00:0:0:1::1"));
        assert!(!same("fd00::1", 128, "fd00::2"));
        assert!(!same("::", 0, "0.0.0.0"));
    }

    #[test]
    fn leases_are_whole_seconds_and_at_least_one() {
        let seconds = |millis| Lifetime::lease(Duration::from_millis(millis)).seconds();
        assert_eq!([0, 1, 1000, 1001, 2000].map(seconds), [1, 1, 1, 2, 2]);
        assert_eq!(Lifetime::lease(Duration::MAX), Lifetime::Forever);
    }
}
