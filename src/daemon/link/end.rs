//! This node's end of one link: its sockets, and what keeps it from working.

use std::io;
use std::net::{IpAddr, SocketAddr};

use nix::errno::Errno;
use thiserror::Error;
use tokio::net::UdpSocket;

use super::socket::{Local, Read, Socket, describe, errno};
use super::{Datagram, Drops};
use crate::cluster::io::{Destination, LinkState};
use crate::config::{Config, LinkId, NodeId, Transport};
use crate::wire::ClusterTag;

/// What a link waits for, as the operator reads it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Obstacle {
    /// Not yet, or no longer, or (IPv6) not yet found to be unique.
    #[error("address {address} is not on this machine")]
    NoAddress { address: IpAddr },
    /// Not yet, or no longer.
    #[error("interface {interface} is not on this machine")]
    NoInterface { interface: String },
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
    #[error("sending to {peer} is forbidden by a packet filter on this machine: allow UDP to port {}", peer.port())]
    Filtered { peer: SocketAddr },
    /// No route, or something rarer.
    #[error("nothing can be sent to {}: {why}", peer.ip())]
    Unreachable { peer: SocketAddr, why: String },
    /// Too many open files, and the like.
    #[error("no socket on {address}: {why}")]
    NoSocket { address: SocketAddr, why: String },
}

impl Obstacle {
    pub(super) fn sending(peer: SocketAddr, error: &io::Error) -> Self {
        match errno(error) {
            Some(Errno::EPERM) => Self::Filtered { peer },
            Some(_) | None => Self::Unreachable { peer, why: describe(error) },
        }
    }
}

/// What is left in a socket that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Nothing was, a moment ago.
    Dry,
    /// The bound came first.
    MayHoldMore,
}

/// A place for a socket. Outlives it, so that nothing is forgotten when it is opened again.
#[derive(Debug, Default)]
pub(super) struct Inlet {
    socket: Option<Socket>,
    dropped: u64,
}

impl Inlet {
    /// Appends at most `max` datagrams to a batch.
    pub(super) fn read(&mut self, link: LinkId, max: usize, batch: &mut Vec<Datagram>) -> Level {
        let Some(socket) = &mut self.socket else { return Level::Dry };
        let before = batch.len();
        for _ in 0..max {
            match socket.read(&mut self.dropped) {
                Read::Datagram(source, bytes) => batch.push(Datagram { link, source, bytes }),
                Read::Error => {}
                Read::Empty => return Level::Dry,
            }
        }
        // A socket that has only errors to tell would keep its reader for as long as they come.
        if batch.len() > before { Level::MayHoldMore } else { Level::Dry }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct End {
    id: LinkId,
    cluster: ClusterTag,
    local: Local,
    /// Sends everything, and receives what comes from addresses that have no socket of their own.
    own: Inlet,
    targets: Vec<Target>,
    /// Why `own` has no socket.
    closed: Option<Obstacle>,
    reported: Option<LinkState>,
}

/// A peer's end.
#[derive(Debug)]
struct Target {
    node: NodeId,
    address: SocketAddr,
    inlet: Inlet,
    /// Why `inlet` has no socket.
    closed: Option<Obstacle>,
    unsent: Option<Unsent>,
}

/// Sending failed. It counts as working again after a whole second, or so, in which it did not: otherwise a packet filter
/// that lets some datagrams through would change the link's state with each of them.
#[derive(Debug)]
struct Unsent {
    obstacle: Obstacle,
    /// Whether something was sent after the newest failure.
    recovered: bool,
}

impl End {
    pub(super) fn new(config: &Config, id: LinkId) -> Self {
        let link = config.link(id);
        let Transport::Unicast { addresses } = &link.transport;
        #[expect(
            clippy::indexing_slicing,
            reason = "every node has an address on every unicast link"
        )]
        let address = |node: NodeId| SocketAddr::new(addresses[usize::from(node.0)], link.port);
        let target = |node| Target {
            node,
            address: address(node),
            inlet: Inlet::default(),
            closed: None,
            unsent: None,
        };
        Self {
            id,
            cluster: config.cluster_tag(),
            local: Local { address: address(config.me), interface: link.interface.clone() },
            own: Inlet::default(),
            targets: config.peers().map(target).collect(),
            closed: None,
            reported: None,
        }
    }

    pub(super) fn retry(&mut self) {
        match self.own.socket {
            Some(_) => {
                if let Some(absence) = self.local.absence() {
                    return self.close(absence);
                }
            }
            None => match self.local.open() {
                Ok(socket) => {
                    self.own.socket = Some(socket);
                    self.closed = None;
                }
                Err(obstacle) => {
                    self.closed = Some(obstacle);
                    return;
                }
            },
        }
        for target in &mut self.targets {
            target.retry(&self.local, self.cluster);
        }
    }

    pub(super) fn send(&mut self, to: Destination, datagram: &[u8]) {
        let Some(socket) = &self.own.socket else { return };
        let mut absence = None;
        for target in self.targets.iter_mut().filter(|target| match to {
            Destination::All => true,
            Destination::Node(node) => node == target.node,
        }) {
            match socket.send(target.address, datagram) {
                Ok(()) => target.sent(),
                Err(error) => {
                    absence = absence.or_else(|| self.local.absence_behind(&error));
                    target.failed(&error);
                }
            }
        }
        if let Some(absence) = absence {
            self.close(absence);
        }
    }

    pub(super) fn sockets(&self) -> impl Iterator<Item = &UdpSocket> {
        let inlets = self.targets.iter().map(|target| &target.inlet).chain([&self.own]);
        inlets.filter_map(|inlet| inlet.socket.as_ref()).map(Socket::udp)
    }

    pub(super) fn peer_inlets(&mut self) -> impl Iterator<Item = (LinkId, &mut Inlet)> {
        let id = self.id;
        self.targets.iter_mut().map(move |target| (id, &mut target.inlet))
    }

    pub(super) fn own_inlet(&mut self) -> (LinkId, &mut Inlet) {
        (self.id, &mut self.own)
    }

    pub(super) fn drops(&self) -> Drops {
        Drops {
            peers: self.targets.iter().map(|target| target.inlet.dropped).sum(),
            strangers: self.own.dropped,
        }
    }

    /// The state, if it is another than the last time.
    pub(super) fn change(&mut self) -> Option<(LinkId, LinkState)> {
        let obstacle =
            self.closed.as_ref().or_else(|| self.targets.iter().find_map(Target::obstacle));
        let state =
            obstacle.map_or(LinkState::Up, |obstacle| LinkState::Waiting(obstacle.to_string()));
        if self.reported.as_ref() == Some(&state) {
            return None;
        }
        self.reported = Some(state.clone());
        Some((self.id, state))
    }

    fn close(&mut self, why: Obstacle) {
        self.own.socket = None;
        self.closed = Some(why);
        for target in &mut self.targets {
            target.inlet.socket = None;
            target.closed = None;
            target.unsent = None;
        }
    }
}

impl Target {
    fn retry(&mut self, local: &Local, cluster: ClusterTag) {
        if self.inlet.socket.is_none() {
            // Until it has one its datagrams come in among the strangers'.
            match local.open_for(self.address, cluster) {
                Ok(socket) => {
                    self.inlet.socket = Some(socket);
                    self.closed = None;
                }
                Err(obstacle) => self.closed = Some(obstacle),
            }
        }
        self.unsent = self.unsent.take().filter(|unsent| !unsent.recovered);
    }

    fn sent(&mut self) {
        if let Some(unsent) = &mut self.unsent {
            unsent.recovered = true;
        }
    }

    fn failed(&mut self, error: &io::Error) {
        match errno(error) {
            // A full queue: this datagram is lost, the next need not be.
            Some(Errno::EAGAIN | Errno::ENOBUFS) => {}
            Some(_) | None => match &mut self.unsent {
                // The first reason stays: two that alternate would be news each time.
                Some(unsent) => unsent.recovered = false,
                None => {
                    self.unsent = Some(Unsent {
                        obstacle: Obstacle::sending(self.address, error),
                        recovered: false,
                    });
                }
            },
        }
    }

    fn obstacle(&self) -> Option<&Obstacle> {
        self.closed.as_ref().or_else(|| self.unsent.as_ref().map(|unsent| &unsent.obstacle))
    }
}
