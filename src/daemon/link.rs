//! UDP sockets of the links: opens and reopens them, sends, reads in bounded batches, and says how they are. Decides
//! nothing and opens no datagram but to hand it to the core. Driven by the daemon's loop.
//!
//! ```text
//! links.ready().await           something can be read
//! links.receive(64)             read it; also before timers run, whatever ready() says
//! links.came_from(…)            of each that is authentic: whose buffer its source fills
//! links.retry()                 on news of interfaces and addresses, and each second
//! links.changes()               after any of them: what the core is to hear
//! ```

mod end;
mod obstacle;
mod site;
mod socket;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;

use self::end::{End, Level};
use crate::cluster::io::{Destination, Input, LinkState, Reject};
use crate::config::{Config, LinkId, NodeId};
use crate::daemon::netlink::{Netlink, NetlinkError};
use crate::wire::{self, Incarnation, Keys, OpenError, Opened};

/// Datagrams that are read from one peer's socket before the next has its turn.
const TURN: usize = 8;

/// One of so many datagrams in a batch may be a stranger's.
const STRANGERS_SHARE: usize = 4;

/// A datagram as it came. Nothing in it is to be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// The link it came on.
    pub link: LinkId,
    /// Where it says that it comes from.
    pub source: SocketAddr,
    /// Its payload, at most one byte more than the longest legal one.
    pub bytes: Vec<u8>,
}

impl Datagram {
    /// Opens it for the core. `me`: the life of this node, whose own datagrams may come back to it and are nothing to tell.
    /// `wall_us`: this node's wall clock at its arrival.
    #[must_use]
    pub fn into_input(
        self,
        config: &Config,
        me: Incarnation,
        keys: &Keys,
        wall_us: u64,
    ) -> Option<Input> {
        let Opened { key, heartbeat } = match wire::open(&self.bytes, keys, config.cluster_tag()) {
            Ok(opened) => opened,
            Err(error) => return Some(self.rejected(config, error.into())),
        };
        Some(match config.node_by_tag(heartbeat.header.sender) {
            None => self.rejected(config, Reject::UnknownNode),
            Some(from) if from == config.me && heartbeat.header.incarnation == me => return None,
            Some(from) if from == config.me => Input::Namesake {
                link: self.link,
                source: self.origin(config),
                heartbeat: Box::new(heartbeat),
            },
            Some(from) => {
                let heartbeat = Box::new(heartbeat);
                Input::Received { link: self.link, from, key, wall_us, heartbeat }
            }
        })
    }

    fn rejected(&self, config: &Config, why: Reject) -> Input {
        let mut source = self.origin(config);
        if let (Reject::ForeignCluster, Some(tag)) = (why, wire::cluster_of(&self.bytes)) {
            // Its first half is enough to tell two clusters apart; its name cannot be known.
            let digits: String = tag.0.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            source = format!("{source} (cluster tag {digits}…)");
        }
        Input::Rejected { link: self.link, why, source }
    }

    fn origin(&self, config: &Config) -> String {
        format!("{} on link {}", self.source, config.link(self.link).name)
    }
}

impl From<OpenError> for Reject {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Malformed => Self::Malformed,
            OpenError::ForeignCluster => Self::ForeignCluster,
            OpenError::UnknownKey { .. } => Self::UnknownKey,
            OpenError::BadTag => Self::BadTag,
        }
    }
}

/// Datagrams that the kernel threw away since the start, as far as it has told: it tells with the next datagram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops {
    /// From addresses of peers: their buffer was full, or they were no heartbeats.
    pub peers: u64,
    /// From other addresses: their buffer was full. On links that are not unicast, copies of the peers' fill it, too.
    pub strangers: u64,
}

/// All links of this node.
#[derive(Debug)]
pub struct Links {
    kernel: Netlink,
    ends: Vec<End>,
    /// Which socket has the first turn in the next batch, so that none is always the last.
    first: usize,
}

impl Links {
    /// Opens what can be opened; what cannot waits. Two of these on one machine keep each other out: a new one is opened
    /// after the old one was dropped. Needs a tokio runtime.
    ///
    /// # Errors
    /// If the kernel cannot be asked about interfaces.
    pub fn open(config: &Config) -> Result<Self, NetlinkError> {
        let ends = config.link_ids().map(|id| End::new(config, id)).collect();
        let mut links = Self { kernel: Netlink::open()?, ends, first: 0 };
        links.retry();
        Ok(links)
    }

    /// Opens what waits, closes what lost its address or interface. Costs a few system calls for each link.
    pub fn retry(&mut self) {
        for end in &mut self.ends {
            end.retry(&mut self.kernel);
        }
    }

    /// Sends now. What cannot be sent is lost, as any datagram may be; a lasting reason shows in [`changes`].
    /// A link that waits is sent on all the same: that is how it is seen to work again.
    ///
    /// [`changes`]: Self::changes
    pub fn send(&mut self, link: LinkId, to: Destination, datagram: &[u8]) {
        if let Some(end) = self.ends.get_mut(usize::from(link.0)) {
            end.send(&mut self.kernel, to, datagram);
        }
    }

    /// An authentic datagram of a peer came from there: where a link does not know peers by their addresses, that one gets
    /// a buffer of its own from now on.
    pub fn came_from(&mut self, link: LinkId, node: NodeId, source: SocketAddr) {
        if let Some(end) = self.ends.get_mut(usize::from(link.0)) {
            end.came_from(node, source);
        }
    }

    /// Waits until there is something to receive. May say so once too often; may be dropped at any time.
    ///
    /// # Errors
    /// If the runtime is gone.
    pub async fn ready(&mut self) -> io::Result<()> {
        poll_fn(|context| {
            for socket in self.ends.iter().flat_map(End::sockets) {
                if let Poll::Ready(result) = socket.poll_recv_ready(context) {
                    return Poll::Ready(result);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Takes at most `max` datagrams out of the kernel's buffers, now, whatever [`ready`](Self::ready) said. Fewer than
    /// `max`: all that peers had sent is read. Peers come first; strangers get at most a quarter of a batch.
    pub fn receive(&mut self, max: usize) -> Vec<Datagram> {
        let mut batch = Vec::new();
        let mut peers: Vec<_> = self.ends.iter_mut().flat_map(End::peer_inlets).collect();
        let count = peers.len().max(1);
        peers.rotate_left(self.first % count);
        self.first = (self.first + 1) % count;
        while batch.len() < max && !peers.is_empty() {
            peers.retain_mut(|(link, inlet)| {
                inlet.read(*link, TURN.min(max - batch.len()), &mut batch) == Level::MayHoldMore
            });
        }
        let mut strangers = (max / STRANGERS_SHARE).min(max - batch.len());
        for end in &mut self.ends {
            let before = batch.len();
            end.read_strangers(strangers, &mut batch);
            strangers -= batch.len() - before;
        }
        batch
    }

    /// Links whose state is another than the last time, at first all of them.
    pub fn changes(&mut self) -> Vec<(LinkId, LinkState)> {
        self.ends.iter_mut().filter_map(End::change).collect()
    }

    /// What the kernel threw away.
    #[must_use]
    pub fn drops(&self) -> Drops {
        self.ends.iter().map(End::drops).fold(Drops::default(), |sum, drops| Drops {
            peers: sum.peers + drops.peers,
            strangers: sum.strangers + drops.strangers,
        })
    }
}
