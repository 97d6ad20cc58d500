//! UDP sockets of the links: opens and reopens them, sends, reads in bounded batches, and says how they are. Decides
//! nothing and opens no datagram but to hand it to the core. Driven by the daemon's loop.
//!
//! ```text
//! links.ready().await           something can be read
//! links.receive(64)             read it; also before timers run, whatever ready() says
//! links.retry()                 on news of interfaces and addresses, and each second
//! links.changes()               after any of them: what the core is to hear
//! ```

mod end;
mod socket;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;

use self::end::{End, Level};
use crate::cluster::io::{Destination, Input, LinkState, Reject};
use crate::config::{Config, LinkId};
use crate::wire::{self, Keys, OpenError, Opened};

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
    /// Opens it for the core. `wall_us`: this node's wall clock at its arrival.
    #[must_use]
    pub fn into_input(self, config: &Config, keys: &Keys, wall_us: u64) -> Input {
        let rejected =
            |why| Input::Rejected { link: self.link, why, source: self.source.to_string() };
        let Opened { key, heartbeat } = match wire::open(&self.bytes, keys, config.cluster_tag()) {
            Ok(opened) => opened,
            Err(error) => return rejected(Reject::from(error)),
        };
        match config.node_by_tag(heartbeat.header.sender) {
            None => rejected(Reject::UnknownNode),
            Some(from) if from == config.me => rejected(Reject::OwnName),
            Some(from) => {
                let heartbeat = Box::new(heartbeat);
                Input::Received { link: self.link, from, key, wall_us, heartbeat }
            }
        }
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
    /// From addresses of peers: their buffer was full, or they were not heartbeats of this cluster.
    pub peers: u64,
    /// From other addresses: their buffer was full.
    pub strangers: u64,
}

/// All links of this node.
#[derive(Debug)]
pub struct Links {
    ends: Vec<End>,
    /// Which socket has the first turn in the next batch, so that none is always the last.
    first: usize,
}

impl Links {
    /// Opens what can be opened; what cannot waits. Two of these on one machine keep each other out: a new one is opened
    /// after the old one was dropped. Needs a tokio runtime.
    #[must_use]
    pub fn open(config: &Config) -> Self {
        let mut links =
            Self { ends: config.link_ids().map(|id| End::new(config, id)).collect(), first: 0 };
        links.retry();
        links
    }

    /// Opens what waits, closes what lost its address or interface. Costs a few system calls for each link.
    pub fn retry(&mut self) {
        for end in &mut self.ends {
            end.retry();
        }
    }

    /// Sends now. What cannot be sent is lost, as any datagram may be; a lasting reason shows in [`changes`].
    /// A link that waits is sent on all the same: that is how it is seen to work again.
    ///
    /// [`changes`]: Self::changes
    pub fn send(&mut self, link: LinkId, to: Destination, datagram: &[u8]) {
        if let Some(end) = self.ends.get_mut(usize::from(link.0)) {
            end.send(to, datagram);
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
            let (link, inlet) = end.own_inlet();
            inlet.read(link, strangers, &mut batch);
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
