//! What others changed: interfaces and addresses that came, went or changed.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;

use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::libc;
use tokio::io::unix::AsyncFd;

use super::super::readiness::readable;
use super::decode::{messages, read_address, read_interface};
use super::{BUFFER, Interface, InterfaceId, NetlinkError};

/// `enum rtnetlink_groups` in linux/rtnetlink.h.
const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTNLGRP_IPV6_IFADDR: u32 = 9;

/// One change on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// An interface is there, like this.
    Link(Interface),
    /// An interface is gone.
    LinkGone {
        /// Which.
        id: InterfaceId,
        /// Its name.
        name: String,
    },
    /// An address is there: new, or with a new lifetime.
    AddressAdded {
        /// Where.
        interface: InterfaceId,
        /// The address.
        ip: IpAddr,
    },
    /// An address is gone.
    AddressRemoved {
        /// Where.
        interface: InterfaceId,
        /// The address.
        ip: IpAddr,
    },
    /// News were lost: look again at everything.
    LookAgain,
}

/// Hears of changes of interfaces and addresses. Needs no privilege.
pub struct Watcher {
    socket: AsyncFd<Socket>,
    buffer: Vec<u8>,
    waiting: VecDeque<News>,
}

impl Watcher {
    /// Subscribes. What is there already is not told. Inside a tokio runtime only.
    pub fn open() -> Result<Self, NetlinkError> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.set_non_blocking(true)?;
            for group in [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR] {
                socket.add_membership(group)?;
            }
            readable(socket)
        };
        Ok(Self {
            socket: open().map_err(NetlinkError::Socket)?,
            buffer: Vec::with_capacity(BUFFER),
            waiting: VecDeque::new(),
        })
    }

    /// The next change, in the order in which they happened. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<News, NetlinkError> {
        loop {
            if let Some(news) = self.waiting.pop_front() {
                return Ok(news);
            }
            let mut ready = self.socket.readable().await.map_err(NetlinkError::Socket)?;
            self.buffer.clear();
            match ready.try_io(|socket| socket.get_ref().recv_from(&mut self.buffer, 0)) {
                // Any process may write to this socket; only the kernel has port 0.
                Ok(Ok((_, sender))) if sender.port_number() == 0 => self.take_in(),
                Ok(Ok(_)) | Err(_) => {}
                Ok(Err(error)) => match error.raw_os_error() {
                    Some(libc::ENOBUFS) => self.waiting.push_back(News::LookAgain),
                    _ if error.kind() == io::ErrorKind::Interrupted => {}
                    _ => return Err(NetlinkError::Socket(error)),
                },
            }
        }
    }

    fn take_in(&mut self) {
        for (_, payload) in messages(&self.buffer) {
            match payload {
                Ok(NetlinkPayload::InnerMessage(message)) => self.waiting.extend(to_news(message)),
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "unreadable rtnetlink news: looking again at everything");
                    self.waiting.push_back(News::LookAgain);
                }
            }
        }
    }
}

fn to_news(message: RouteNetlinkMessage) -> Option<News> {
    let address = |message: &AddressMessage| {
        read_address(message).map(|address| (address.interface, address.ip))
    };
    let link = |message: LinkMessage| read_interface(message);
    if let RouteNetlinkMessage::NewLink(message) = message {
        link(message).map(News::Link)
    } else if let RouteNetlinkMessage::DelLink(message) = message {
        link(message).map(|gone| News::LinkGone { id: gone.id, name: gone.name })
    } else if let RouteNetlinkMessage::NewAddress(message) = message {
        address(&message).map(|(interface, ip)| News::AddressAdded { interface, ip })
    } else if let RouteNetlinkMessage::DelAddress(message) = message {
        address(&message).map(|(interface, ip)| News::AddressRemoved { interface, ip })
    } else {
        None
    }
}
