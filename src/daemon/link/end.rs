//! This node's end of one link: its sockets, and what keeps it from working.

use std::io;
use std::mem;
use std::net::SocketAddr;

use nix::errno::Errno;
use tokio::net::UdpSocket;

use super::obstacle::Obstacle;
use super::site::Site;
use super::socket::{Cast, Local, Read, Socket, errno, is_plausible};
use super::{Datagram, Drops};
use crate::cluster::io::{Destination, LinkState};
use crate::config::{Config, LinkId, NodeId};
use crate::daemon::netlink::Netlink;

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
        self.read_but(link, max, batch, |_source, _bytes| false)
    }

    /// The same, without some.
    fn read_but(
        &mut self,
        link: LinkId,
        max: usize,
        batch: &mut Vec<Datagram>,
        skip: impl Fn(SocketAddr, &[u8]) -> bool,
    ) -> Level {
        let Some(socket) = &mut self.socket else { return Level::Dry };
        let before = batch.len();
        for _ in 0..max {
            match socket.read(&mut self.dropped) {
                Read::Datagram(source, bytes) if skip(source, &bytes) => {}
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
    site: Site,
    /// Where the sockets are, if they are open.
    local: Option<Local>,
    /// Sends everything, and receives what comes from addresses that have no socket of their own. Where datagrams go to
    /// a group or to everybody it receives a copy of all others, too.
    own: Inlet,
    targets: Vec<Target>,
    /// To a group, or to everybody.
    outlet: Outlet,
    /// Why `own` has no socket.
    closed: Option<Obstacle>,
    /// Why nothing goes anywhere although it has.
    idle: Option<Obstacle>,
    reported: Option<LinkState>,
}

/// A peer's end.
#[derive(Debug)]
struct Target {
    node: NodeId,
    /// Where its datagrams come from. On unicast links this is certain, on others it is what the configuration says, if it
    /// does, until one has come.
    address: Option<SocketAddr>,
    sight: Sight,
    inlet: Inlet,
    /// Why `inlet` has no socket.
    closed: Option<Obstacle>,
    outlet: Outlet,
}

/// What authentic datagrams showed of a peer's address since the last look. A replay can show a wrong one; then the peer's
/// own come in among the strangers' until it has been silent for one look.
#[derive(Debug, Default)]
struct Sight {
    /// Some came from where they were expected, at any time.
    proven: bool,
    /// Some did since the last look.
    fresh: bool,
    /// Some came from here.
    other: Option<SocketAddr>,
}

/// A way out.
#[derive(Debug, Default)]
struct Outlet {
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
        let target = |node| Target {
            node,
            address: link.transport.address(node).map(|ip| SocketAddr::new(ip, link.port)),
            sight: Sight::default(),
            inlet: Inlet::default(),
            closed: None,
            outlet: Outlet::default(),
        };
        Self {
            id,
            site: Site::new(config, id),
            local: None,
            own: Inlet::default(),
            targets: config.peers().map(target).collect(),
            outlet: Outlet::default(),
            closed: None,
            idle: None,
            reported: None,
        }
    }

    pub(super) fn retry(&mut self, kernel: &mut Netlink) {
        if self.is_cast() {
            self.targets.iter_mut().for_each(Target::follow);
        }
        self.look(kernel);
        self.outlet.settle();
        self.targets.iter_mut().for_each(|target| target.outlet.settle());
    }

    pub(super) fn send(&mut self, kernel: &mut Netlink, to: Destination, datagram: &[u8]) {
        let (Some(socket), Some(local)) = (&self.own.socket, &self.local) else { return };
        let mut failed = false;
        let mut send = |outlet: &mut Outlet, address: SocketAddr| {
            let result = socket.send(address, local, datagram);
            failed |= outlet.tried(address, result) == Try::Failed;
        };
        match local.cast {
            Cast::Unicast => {
                for target in self.targets.iter_mut().filter(|target| match to {
                    Destination::All => true,
                    Destination::Node(node) => node == target.node,
                }) {
                    if let Some(address) = target.address {
                        send(&mut target.outlet, address);
                    }
                }
            }
            // The others see from the echoes whom it is for.
            Cast::Multicast { .. } | Cast::Broadcast { .. } => {
                send(&mut self.outlet, local.address);
            }
        }
        if failed {
            // The reason may be that the sockets are no longer where they belong.
            self.look(kernel);
        }
    }

    /// An authentic datagram of a peer came from there.
    pub(super) fn came_from(&mut self, node: NodeId, source: SocketAddr) {
        if !self.is_cast() {
            return;
        }
        let Some(target) = self.targets.iter_mut().find(|target| target.node == node) else {
            return;
        };
        if target.address == Some(source) {
            target.sight.proven = true;
            target.sight.fresh = true;
        } else if target.sight.proven {
            target.sight.other = Some(source);
        } else {
            target.move_to(source);
            self.open_targets();
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

    /// Appends at most `max` datagrams of strangers to a batch.
    pub(super) fn read_strangers(&mut self, max: usize, batch: &mut Vec<Datagram>) {
        if !self.is_cast() {
            self.own.read(self.id, max, batch);
            return;
        }
        // The kernel gives a copy to each socket that wants one (`__udp4_lib_mcast_deliver`), so this one has copies of
        // all that comes in by peers' own sockets.
        let open = self.targets.iter().filter(|target| target.inlet.socket.is_some());
        let peers: Vec<SocketAddr> = open.filter_map(|target| target.address).collect();
        let is_copy = |source, bytes: &[u8]| peers.contains(&source) && is_plausible(bytes);
        self.own.read_but(self.id, max, batch, is_copy);
    }

    pub(super) fn drops(&self) -> Drops {
        Drops {
            peers: self.targets.iter().map(|target| target.inlet.dropped).sum(),
            strangers: self.own.dropped,
        }
    }

    /// The state, if it is another than the last time.
    pub(super) fn change(&mut self) -> Option<(LinkId, LinkState)> {
        let state = self.state();
        if self.reported.as_ref() == Some(&state) {
            return None;
        }
        self.reported = Some(state.clone());
        Some((self.id, state))
    }

    pub(super) fn state(&self) -> LinkState {
        let whole = self.closed.as_ref().or(self.idle.as_ref()).or_else(|| self.outlet.obstacle());
        let obstacle = whole.or_else(|| self.targets.iter().find_map(Target::obstacle));
        obstacle.map_or(LinkState::Up, |obstacle| LinkState::Waiting(obstacle.to_string()))
    }

    /// For tests: where everything is sent.
    #[cfg(test)]
    pub(super) fn target_of_all(&self) -> Option<SocketAddr> {
        self.local.as_ref().map(|local| local.address)
    }

    /// For tests: where a peer's datagrams come from.
    #[cfg(test)]
    pub(super) fn address_of(&self, node: NodeId) -> Option<SocketAddr> {
        self.targets.iter().find(|target| target.node == node)?.address
    }

    /// Whether datagrams go to a group or to everybody.
    fn is_cast(&self) -> bool {
        self.local.as_ref().is_some_and(|local| local.cast != Cast::Unicast)
    }

    /// Sees to it that the sockets are where they belong.
    fn look(&mut self, kernel: &mut Netlink) {
        let found = match self.site.locate(kernel) {
            Ok(found) => found,
            Err(obstacle) => return self.close(obstacle),
        };
        self.idle = found.idle;
        if self.local.as_ref() == Some(&found.local) {
            if let Some(absence) = found.local.absence() {
                return self.close(absence);
            }
        } else {
            self.shut();
            match found.local.open() {
                Ok(socket) => self.own.socket = Some(socket),
                Err(obstacle) => return self.close(obstacle),
            }
            self.local = Some(found.local);
            self.closed = None;
        }
        self.open_targets();
        if self.idle.is_none() && self.targets.iter().any(|target| target.obstacle().is_some()) {
            self.idle = self.site.blame(kernel);
        }
    }

    /// Until a peer has a socket of its own its datagrams come in among the strangers'.
    fn open_targets(&mut self) {
        let Some(local) = &self.local else { return };
        for target in self.targets.iter_mut().filter(|target| target.inlet.socket.is_none()) {
            let Some(address) = target.address else { continue };
            target.closed = None;
            match (local.open_for(address), local.cast) {
                (Ok(socket), _) => target.inlet.socket = Some(socket),
                (Err(obstacle), Cast::Unicast) => target.closed = Some(obstacle),
                // Nothing is ever sent to it, so that is no trouble of the link.
                (Err(obstacle), Cast::Multicast { .. } | Cast::Broadcast { .. }) => {
                    tracing::debug!(%address, %obstacle, "no socket of its own for a peer");
                }
            }
        }
    }

    fn close(&mut self, why: Obstacle) {
        self.shut();
        self.closed = Some(why);
        self.idle = None;
    }

    fn shut(&mut self) {
        self.local = None;
        self.own.socket = None;
        self.outlet = Outlet::default();
        for target in &mut self.targets {
            target.inlet.socket = None;
            target.closed = None;
            target.outlet = Outlet::default();
        }
    }
}

impl Target {
    /// A peer that is heard from elsewhere, and no more from where it was, has moved.
    fn follow(&mut self) {
        let fresh = mem::take(&mut self.sight.fresh);
        if let Some(other) = self.sight.other.take().filter(|_| !fresh) {
            self.move_to(other);
        }
    }

    fn move_to(&mut self, address: SocketAddr) {
        self.address = Some(address);
        self.sight = Sight { proven: true, fresh: true, other: None };
        self.inlet.socket = None;
    }

    fn obstacle(&self) -> Option<&Obstacle> {
        self.closed.as_ref().or_else(|| self.outlet.obstacle())
    }
}

/// What came of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Try {
    Sent,
    /// A full queue: this datagram is lost, the next need not be.
    Lost,
    Failed,
}

impl Outlet {
    fn tried(&mut self, address: SocketAddr, result: io::Result<()>) -> Try {
        let Err(error) = result else {
            if let Some(unsent) = &mut self.unsent {
                unsent.recovered = true;
            }
            return Try::Sent;
        };
        if let Some(Errno::EAGAIN | Errno::ENOBUFS) = errno(&error) {
            return Try::Lost;
        }
        match &mut self.unsent {
            // The first reason stays: two that alternate would be news each time.
            Some(unsent) => unsent.recovered = false,
            None => {
                let obstacle = Obstacle::sending(address, &error);
                self.unsent = Some(Unsent { obstacle, recovered: false });
            }
        }
        Try::Failed
    }

    fn settle(&mut self) {
        self.unsent = self.unsent.take().filter(|unsent| !unsent.recovered);
    }

    fn obstacle(&self) -> Option<&Obstacle> {
        self.unsent.as_ref().map(|unsent| &unsent.obstacle)
    }
}
