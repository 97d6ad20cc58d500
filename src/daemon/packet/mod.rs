//! Packet sockets: ARP and neighbour discovery, asked and announced.
//!
//! Owns the frames and the sockets that carry them; knows nothing of probes or groups. `daemon::address` drives it.
//!
//! One socket for each protocol hears all interfaces, and is never bound to one: binding and closing a packet socket
//! wait until the kernel's readers have moved on (measured: 8 ms for a bind, 8 to 16 for a close), which is more than a
//! takeover may cost. So the daemon opens each once, and a program that lives only for a moment uses none at all where it
//! can. Format: packet(7).

mod arp;
mod discovery;
pub(super) mod filter;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, RawFd};

use nix::libc;
use nix::sys::socket::{LinkAddr, MsgFlags, recvfrom, sendto};
use socket2::{Domain, Protocol, Socket, Type};

pub use arp::{Arp, Operation};
pub use discovery::Discovery;

use super::netlink::InterfaceId;
use crate::wire::Mac;

/// Ethernet's own broadcast address.
const BROADCAST: Mac = Mac([0xff; 6]);
/// Longer than any frame of interest; what is cut off is not one.
const FRAME: usize = 256;

/// Which protocol asks and tells who has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// ARP (RFC 826), for IPv4.
    Arp,
    /// Neighbour discovery (RFC 4861), for IPv6.
    Discovery,
}

impl Family {
    /// The protocol for an address.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::Arp } else { Self::Discovery }
    }
}

/// Somebody says that he has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Heard here.
    pub interface: InterfaceId,
    /// The address.
    pub ip: IpAddr,
    /// Who has it.
    pub mac: Mac,
    /// Whom he answers; `None`: he says so unasked.
    pub answers: Option<Mac>,
}

/// A packet socket.
pub struct PacketSocket(Socket);

impl PacketSocket {
    /// A socket that hears answers, and everybody who claims one of `held`, on all interfaces. Needs `CAP_NET_RAW`.
    pub fn listen(family: Family, held: &[IpAddr]) -> io::Result<Self> {
        let protocol = match family {
            Family::Arp => libc::ETH_P_ARP,
            Family::Discovery => libc::ETH_P_IPV6,
        };
        let network_order = u16::try_from(protocol).map_err(io::Error::other)?.to_be();
        let socket = Self::open(Some(Protocol::from(i32::from(network_order))))?;
        socket.hear(family, held)?;
        Ok(socket)
    }

    /// A socket that only sends. Needs `CAP_NET_RAW`.
    pub fn send_only() -> io::Result<Self> {
        Self::open(None)
    }

    fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let socket = Socket::new(Domain::PACKET, Type::RAW, protocol)?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    /// Hears from now on whoever claims one of `held`, beside answers. The kernel drops all else.
    pub fn hear(&self, family: Family, held: &[IpAddr]) -> io::Result<()> {
        self.0.attach_filter(&match family {
            Family::Arp => filter::arp(held.iter().filter_map(|ip| match ip {
                IpAddr::V4(ip) => Some(*ip),
                IpAddr::V6(_) => None,
            })),
            Family::Discovery => filter::discovery(held.iter().filter_map(|ip| match ip {
                IpAddr::V4(_) => None,
                IpAddr::V6(ip) => Some(*ip),
            })),
        })
    }

    /// Sends a frame out of a port.
    pub fn send(&self, port: &Port, frame: &[u8]) -> io::Result<()> {
        sendto(self.0.as_raw_fd(), frame, &port.link, MsgFlags::empty())?;
        Ok(())
    }

    /// Takes one frame out of the socket; `None`: it was none of interest. `WouldBlock`: there are no more.
    pub fn receive(&self, family: Family) -> io::Result<Option<Claim>> {
        let mut buffer = [0; FRAME];
        let (length, from) = recvfrom::<LinkAddr>(self.0.as_raw_fd(), &mut buffer)?;
        let claim = |from: LinkAddr| {
            let interface = InterfaceId(u32::try_from(from.ifindex()).ok()?);
            let frame = buffer.get(..length)?;
            match family {
                Family::Arp => Arp::decode(frame)?.claim(interface),
                Family::Discovery => Discovery::decode(frame)?.claim(interface),
            }
        };
        Ok(from.and_then(claim))
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Where frames go out: an interface, as the kernel's packet sockets name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    link: LinkAddr,
    mac: Mac,
}

impl Port {
    /// Finds an Ethernet interface that has this hardware address; `None`: it is gone.
    pub fn find(id: InterfaceId, mac: Mac) -> io::Result<Option<Self>> {
        // The list of addresses is the one place from which safe code can have a link-layer socket address. Its protocol
        // field is 0; the kernel then takes the protocol from the frame's own header.
        let link = nix::ifaddrs::getifaddrs()?
            .filter_map(|entry| {
                entry.address.as_ref().and_then(|address| address.as_link_addr().copied())
            })
            .find(|link| u32::try_from(link.ifindex()) == Ok(id.0));
        Ok(link.map(|link| Self { link, mac }))
    }

    /// The interface's hardware address.
    #[must_use]
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// The frame that asks everybody out there who has an address.
    ///
    /// It names `sender` as the one who asks: this machine's own address on that network, which every neighbour answers.
    /// Without one it is a probe (RFC 5227, section 1.1; RFC 4861, section 7.2.2) that names nobody and so changes no
    /// neighbour's cache; Linux answers it, some small devices do not.
    #[must_use]
    pub fn question(&self, target: IpAddr, sender: Option<IpAddr>) -> Vec<u8> {
        match target {
            IpAddr::V4(target) => {
                let sender = match sender {
                    Some(IpAddr::V4(ip)) => ip,
                    Some(IpAddr::V6(_)) | None => Ipv4Addr::UNSPECIFIED,
                };
                Arp::question(self.mac, sender, target).encode(BROADCAST)
            }
            IpAddr::V6(target) => {
                let sender = match sender {
                    Some(IpAddr::V6(ip)) => ip,
                    Some(IpAddr::V4(_)) | None => Ipv6Addr::UNSPECIFIED,
                };
                Discovery::question(self.mac, sender, target).encode()
            }
        }
    }

    /// The frames that tell everybody out there that an address is here: gratuitous ARP as a request and as a reply,
    /// since some heed only the one and some only the other, or an unsolicited neighbour advertisement.
    #[must_use]
    pub fn announcements(&self, ip: IpAddr) -> Vec<Vec<u8>> {
        match ip {
            IpAddr::V4(ip) => {
                Arp::announcements(self.mac, ip).map(|arp| arp.encode(BROADCAST)).to_vec()
            }
            IpAddr::V6(ip) => vec![Discovery::announcement(self.mac, ip).encode()],
        }
    }
}

/// The bytes at a place in a frame; `None`: it is shorter.
fn bytes<const N: usize>(frame: &[u8], at: usize) -> Option<[u8; N]> {
    frame.get(at..)?.first_chunk().copied()
}

/// The Internet checksum (RFC 1071) over parts that each are of even length but for the last. Over data that holds its own
/// right checksum it is zero.
pub(super) fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for part in parts {
        for pair in part.chunks(2) {
            sum += match pair {
                [high, low] => u64::from(u16::from_be_bytes([*high, *low])),
                [high] => u64::from(u16::from_be_bytes([*high, 0])),
                _ => 0,
            };
        }
    }
    // The carries come back in at the low end; modulo 65535 that is the same, but never makes zero of something.
    let folded = if sum == 0 { 0 } else { (sum - 1) % 0xffff + 1 };
    !u16::try_from(folded).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_of_the_example_in_rfc_1071() {
        // Section 3: the sum of these is ddf2.
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03], &[0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7, 0x22, 0x0d]]), 0);
        assert_eq!(checksum(&[&[0xff]]), !0xff00);
        assert_eq!(checksum(&[]), 0xffff);
    }
}
