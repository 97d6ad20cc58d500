//! One UDP socket of a link: its options, its filter, and how datagrams are read from it.
//!
//! Who gets a datagram, where several sockets have one local address and port:
//!
//! - sent to an address (Linux, `udp4_lib_lookup2`): the socket that is connected to its source, otherwise the one that
//!   is not connected;
//! - sent to a group or to everybody (`__udp4_lib_mcast_deliver`): both of them, a copy each.
//!
//! So each peer fills a buffer of its own, and strangers fill another. Sockets are bound to the very group or broadcast
//! address, and to the interface: what is sent to another group, to this machine alone, or on another interface reaches
//! none of them, so that links of all kinds may have one port. The unconnected socket is bound first and alone, so that a
//! second daemon is refused; then `SO_REUSEPORT`, unlike `SO_REUSEADDR`, lets only sockets of the same user in beside it.

use std::convert::Infallible;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd as _;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockFilter, SockRef, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::obstacle::Obstacle;
use crate::wire::{MAGIC, MAX_DATAGRAM, MIN_DATAGRAM, SURVEY_MAGIC};

/// What a peer may send while this daemon stands still, bytes of kernel memory (the kernel takes twice as many, and takes
/// them only when they are needed). Measured: 2,500 usual heartbeats or 900 of the longest. At a keepalive of 10 ms, with
/// asking, that is five seconds.
const PEER_BUFFER: usize = 1024 * 1024;

/// DSCP CS6, network control (RFC 4594), as the byte of the IP header.
const CLASS_CS6: u32 = 0xc0;

/// `TC_PRIO_INTERACTIVE`: the highest that needs no privilege (socket(7)).
const PRIORITY: i32 = 6;

/// The local end of a link, as it is on this machine now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Local {
    /// What the sockets are bound to: an address of this machine, or the group or broadcast address, which is then also
    /// where everything is sent.
    pub(super) address: SocketAddr,
    /// The only interface on which they hear and send; always there where datagrams go to a group or to everybody.
    pub(super) device: Option<Device>,
    pub(super) cast: Cast,
}

/// An interface. Another one that gets its name later has another index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) index: u32,
    pub(super) name: String,
}

/// To whom datagrams go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cast {
    /// To each peer's own address.
    Unicast,
    /// To a group, from this address.
    Multicast { ttl: u8, source: IpAddr },
    /// To everybody, from this address.
    Broadcast { source: IpAddr },
}

impl Local {
    /// The socket that sends to everybody, and receives what no other socket does.
    pub(super) fn open(&self) -> Result<Socket, Obstacle> {
        let socket = self.bound(|_socket| Ok(()))?;
        self.set(socket.set_reuse_port(true))?;
        let class = match self.address {
            SocketAddr::V4(_) => socket.set_tos_v4(CLASS_CS6),
            SocketAddr::V6(_) => socket.set_tclass_v6(CLASS_CS6),
        };
        self.set(class)?;
        self.set(setsockopt(&socket, sockopt::Priority, &PRIORITY).map_err(io::Error::from))?;
        match (self.cast, &self.device) {
            (Cast::Multicast { ttl, .. }, Some(device)) => {
                self.set(join(&socket, self.address.ip(), device.index, ttl))?;
            }
            (Cast::Broadcast { .. }, _) => self.set(socket.set_broadcast(true))?,
            (Cast::Unicast, _) | (Cast::Multicast { .. }, None) => {}
        }
        self.set(Socket::new(socket))
    }

    /// The socket that receives from one peer. It need not join a group: one member on an interface makes the kernel take
    /// in what is sent to it, for every socket that is bound to it (`IP_MULTICAST_ALL`).
    pub(super) fn open_for(&self, peer: SocketAddr) -> Result<Socket, Obstacle> {
        let socket = self.bound(|socket| {
            socket.set_reuse_port(true)?;
            socket.attach_filter(&filter())?;
            // Without the privilege as much as the machine allows (net.core.rmem_max).
            setsockopt(socket, sockopt::RcvBufForce, &PEER_BUFFER)
                .or_else(|_not_permitted| setsockopt(socket, sockopt::RcvBuf, &PEER_BUFFER))?;
            Ok(())
        })?;
        socket.connect(&peer.into()).map_err(|error| Obstacle::sending(peer, &error))?;
        self.set(Socket::new(socket))
    }

    /// What is no longer there, if a socket could not be bound now to this machine's address.
    pub(super) fn absence(&self) -> Option<Obstacle> {
        if self.cast != Cast::Unicast {
            return None;
        }
        let any_port = Self { address: SocketAddr::new(self.address.ip(), 0), ..self.clone() };
        match any_port.bound(|_socket| Ok(())) {
            Err(obstacle @ (Obstacle::NoAddress { .. } | Obstacle::NoInterface { .. })) => {
                Some(obstacle)
            }
            // No more open files, and the like, are no reason to close a socket that works.
            Ok(_) | Err(_) => None,
        }
    }

    fn bound(
        &self,
        prepare: impl Fn(&socket2::Socket) -> io::Result<()>,
    ) -> Result<socket2::Socket, Obstacle> {
        let socket = self.set(socket2::Socket::new(
            Domain::for_address(self.address),
            Type::DGRAM.nonblocking().cloexec(),
            Some(Protocol::UDP),
        ))?;
        if let Some(Device { name, .. }) = &self.device {
            socket.bind_device(Some(name.as_bytes())).map_err(|error| match errno(&error) {
                Some(Errno::ENODEV) => Obstacle::NoInterface { interface: name.clone() },
                Some(_) | None => self.other(&error),
            })?;
        }
        self.set(prepare(&socket))?;
        socket.bind(&self.address.into()).map_err(|error| match errno(&error) {
            Some(Errno::EADDRNOTAVAIL) => Obstacle::NoAddress { address: self.address.ip() },
            Some(Errno::EADDRINUSE) => Obstacle::Taken { address: self.address },
            Some(Errno::EACCES) => Obstacle::Privileged { port: self.address.port() },
            Some(_) | None => self.other(&error),
        })?;
        Ok(socket)
    }

    /// From which address and interface everything is sent, where the kernel would choose.
    fn origin(&self) -> Option<(IpAddr, u32)> {
        let source = match self.cast {
            Cast::Unicast => return None,
            Cast::Multicast { source, .. } | Cast::Broadcast { source } => source,
        };
        Some((source, self.device.as_ref()?.index))
    }

    fn set<T>(&self, result: io::Result<T>) -> Result<T, Obstacle> {
        result.map_err(|error| self.other(&error))
    }

    fn other(&self, error: &io::Error) -> Obstacle {
        Obstacle::NoSocket { address: self.address, why: describe(error) }
    }
}

/// Becomes a member of a group, for as long as the socket and the interface live, and sends to it without hearing itself.
fn join(socket: &socket2::Socket, group: IpAddr, interface: u32, ttl: u8) -> io::Result<()> {
    match group {
        IpAddr::V4(group) => {
            socket.set_multicast_ttl_v4(ttl.into())?;
            socket.set_multicast_loop_v4(false)?;
            socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(interface))
        }
        IpAddr::V6(group) => {
            socket.set_multicast_hops_v6(ttl.into())?;
            socket.set_multicast_loop_v6(false)?;
            socket.join_multicast_v6(&group, interface)
        }
    }
}

pub(super) fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}

/// What the system says, in words and without the number.
pub(super) fn describe(error: &io::Error) -> String {
    errno(error).map_or_else(|| error.to_string(), |errno| errno.desc().to_owned())
}

/// A socket, and how many datagrams the kernel has dropped at it.
#[derive(Debug)]
pub(super) struct Socket {
    udp: UdpSocket,
    drops: u32,
}

/// What one look into a socket finds.
#[derive(Debug)]
pub(super) enum Read {
    /// A datagram, cut off one byte after the longest legal one.
    Datagram(SocketAddr, Vec<u8>),
    /// An ICMP error that answers a heartbeat, such as "port unreachable" while the peer's daemon is not running. It was
    /// taken off the socket by being reported, and says nothing that silence does not.
    Error,
    /// Nothing is there now.
    Empty,
}

impl Socket {
    fn new(socket: socket2::Socket) -> io::Result<Self> {
        setsockopt(&socket, sockopt::RxqOvfl, &1)?;
        Ok(Self { udp: UdpSocket::from_std(socket.into())?, drops: 0 })
    }

    /// The tokio socket, to wait for it. It may say "readable" too often; it is asked for nothing else.
    pub(super) fn udp(&self) -> &UdpSocket {
        &self.udp
    }

    /// Sends now or not at all.
    pub(super) fn send(&self, to: SocketAddr, from: &Local, bytes: &[u8]) -> io::Result<()> {
        let Some((source, interface)) = from.origin() else {
            return SockRef::from(&self.udp).send_to(bytes, &to.into()).map(drop);
        };
        let (fd, parts, to) = (self.udp.as_raw_fd(), [IoSlice::new(bytes)], storage(to));
        let sent = match source {
            IpAddr::V4(ip) => {
                let address = |ip: [u8; 4]| libc::in_addr { s_addr: u32::from_ne_bytes(ip) };
                let info = libc::in_pktinfo {
                    ipi_ifindex: interface.cast_signed(),
                    ipi_spec_dst: address(ip.octets()),
                    ipi_addr: address([0; 4]),
                };
                let info = [ControlMessage::Ipv4PacketInfo(&info)];
                sendmsg(fd, &parts, &info, MsgFlags::MSG_DONTWAIT, Some(&to))
            }
            IpAddr::V6(ip) => {
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: ip.octets() },
                    ipi6_ifindex: interface,
                };
                let info = [ControlMessage::Ipv6PacketInfo(&info)];
                sendmsg(fd, &parts, &info, MsgFlags::MSG_DONTWAIT, Some(&to))
            }
        };
        sent.map(drop).map_err(io::Error::from)
    }

    /// Reads one datagram, past what tokio believes: what is in the kernel's buffer counts. `dropped` grows by what the
    /// kernel reports.
    pub(super) fn read(&mut self, dropped: &mut u64) -> Read {
        match self.receive() {
            Ok((source, bytes, drops)) => {
                // The counter comes only once it is not zero, and it may wrap.
                if let Some(drops) = drops {
                    *dropped += u64::from(drops.wrapping_sub(self.drops));
                    self.drops = drops;
                }
                Read::Datagram(source, bytes)
            }
            Err(Errno::EAGAIN) => {
                // A read that finds nothing makes tokio wait for the next datagram.
                let nothing = || Err::<Infallible, _>(ErrorKind::WouldBlock.into());
                let Err(_would_block) = self.udp.try_io(Interest::READABLE, nothing);
                Read::Empty
            }
            Err(_icmp) => Read::Error,
        }
    }

    fn receive(&self) -> Result<(SocketAddr, Vec<u8>, Option<u32>), Errno> {
        let mut buffer = [0; MAX_DATAGRAM + 1];
        let mut control = cmsg_space!(u32);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let fd = self.udp.as_raw_fd();
        let message =
            recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
        let source = message.address.as_ref().and_then(to_std).ok_or(Errno::EAFNOSUPPORT)?;
        let drops = message.cmsgs()?.find_map(|control| {
            if let ControlMessageOwned::RxqOvfl(drops) = control { Some(drops) } else { None }
        });
        let bytes = message.iovs().flatten().copied().collect();
        Ok((source, bytes, drops))
    }
}

fn to_std(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|address| SocketAddr::from(*address));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::from(*address)))
}

fn storage(address: SocketAddr) -> SockaddrStorage {
    match address {
        SocketAddr::V4(address) => address.into(),
        SocketAddr::V6(address) => address.into(),
    }
}

/// Whether [`filter`] lets it through.
pub(super) fn is_plausible(bytes: &[u8]) -> bool {
    let known = [MAGIC, SURVEY_MAGIC].iter().any(|magic| bytes.starts_with(magic));
    (MIN_DATAGRAM..=MAX_DATAGRAM).contains(&bytes.len()) && known
}

/// A filter that lets through what has the length and magic of a heartbeat or a survey (linux/filter.h; a UDP socket's
/// filter sees the UDP header first). What it refuses counts as dropped. Not so the cluster's tag: a peer that was given
/// another cluster's name has to be told of.
fn filter() -> Vec<SockFilter> {
    const LOAD_LENGTH: u16 = 0x80; // BPF_LD | BPF_W | BPF_LEN
    const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const IF_GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
    const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    const UDP_HEADER: u32 = 8;
    const REFUSE: SockFilter = SockFilter::new(RETURN, 0, 0, 0);

    // Each test jumps over the refusal behind it.
    vec![
        SockFilter::new(LOAD_LENGTH, 0, 0, 0),
        SockFilter::new(IF_AT_LEAST, 1, 0, UDP_HEADER + SHORTEST),
        REFUSE,
        SockFilter::new(IF_GREATER, 0, 1, UDP_HEADER + LONGEST),
        REFUSE,
        SockFilter::new(LOAD_WORD, 0, 0, UDP_HEADER),
        SockFilter::new(IF_EQUAL, 2, 0, u32::from_be_bytes(MAGIC)),
        SockFilter::new(IF_EQUAL, 1, 0, u32::from_be_bytes(SURVEY_MAGIC)),
        REFUSE,
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]
}

#[expect(clippy::cast_possible_truncation, reason = "lengths of datagrams fit 16 bits")]
const SHORTEST: u32 = MIN_DATAGRAM as u32;
#[expect(clippy::cast_possible_truncation, reason = "lengths of datagrams fit 16 bits")]
const LONGEST: u32 = MAX_DATAGRAM as u32;
