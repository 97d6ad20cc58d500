//! Another machine that runs under this node's name, with its keys: a cloned disk, a mistyped `--node`.
//!
//! Where datagrams go to a group or to everybody it is heard, and proves as any peer does, by echo, that it lives and is no
//! replay. Peers take the two for one node that starts again and again, so a word of the one binds the other, which does
//! not know of it. Until one of them is gone neither takes anything over, consents to anything or says goodbye; what runs
//! stays where it is.

use super::Node;
use crate::cluster::event::Event;
use crate::cluster::io::Reject;
use crate::cluster::peer::{Peer, Taken};
use crate::cluster::time::Instant;
use crate::config::{Config, LinkId, Transport};
use crate::wire::Heartbeat;

/// A little more than a keepalive, in fifths of one: for so long a new node listens on links on which a namesake would be
/// heard, since that beats as often as every other.
const LISTEN_FIFTHS: u32 = 6;

/// What is known of it.
#[derive(Debug)]
pub(super) struct Namesake {
    /// As of any peer.
    peer: Peer,
    /// Where its newest datagram came from.
    source: String,
    /// When the first datagram of another life under this name came.
    glimpsed_at: Option<Instant>,
    told: bool,
}

impl Namesake {
    pub(super) fn new(config: &Config, secret: u64) -> Self {
        let (id, links) = (config.me, config.links.len());
        Self {
            peer: Peer::new(id, config.node(id).tag, secret, links),
            source: String::new(),
            glimpsed_at: None,
            told: false,
        }
    }

    /// As an addressee of echoes, while there is something to echo.
    pub(super) fn addressee(&mut self) -> Option<&mut Peer> {
        self.peer.is_noticed().then_some(&mut self.peer)
    }
}

impl Node {
    /// An authentic datagram of another life under this node's name.
    pub(super) fn namesake_heard(&mut self, link: LinkId, source: String, heartbeat: &Heartbeat) {
        let (now, me) = (self.now, (self.config.node(self.config.me).tag, self.incarnation));
        let namesake = &mut self.namesake;
        namesake.glimpsed_at.get_or_insert(now);
        namesake.source.clone_from(&source);
        match namesake.peer.take(now, link, &heartbeat.header, me, &self.sent) {
            Taken::Counts { .. } if heartbeat.header.flags.goodbye => namesake.peer.left(),
            Taken::Challenged => self.hurry(),
            Taken::Counts { .. } | Taken::Refused(_) => {}
        }
        self.refuse(Reject::OwnName, source);
    }

    /// Whether another machine lives under this node's name.
    pub(super) fn has_namesake(&self) -> bool {
        self.namesake.peer.is_alive(self.now, self.config.timing.deadtime)
    }

    /// Where it was heard, if it lives.
    pub(super) fn namesake_source(&self) -> Option<String> {
        self.has_namesake().then(|| self.namesake.source.clone())
    }

    pub(super) fn judge_namesake(&mut self) {
        let lives = self.has_namesake();
        if lives != self.namesake.told {
            self.namesake.told = lives;
            self.news = true;
            let source = lives.then(|| self.namesake.source.clone());
            self.out.emit(Event::Namesakes { node: self.name(self.config.me), source, lives });
        }
        self.namesake.peer.forget(self.now, self.config.timing.deadtime);
    }

    /// Until when this node may yet hear of a namesake before it takes part; `None`: it need not listen. A replay can hold
    /// it up once, for a deadtime.
    pub(super) fn listens_until(&self) -> Option<Instant> {
        let timing = self.config.timing;
        let glimpsed = self.namesake.glimpsed_at.filter(|_| !self.has_namesake());
        let proven = glimpsed.map(|at| at + timing.deadtime);
        let heard_by_all = self.config.links.iter().any(|link| match link.transport {
            Transport::Unicast { .. } => false,
            Transport::Multicast { .. } | Transport::Broadcast { .. } => true,
        });
        let first = self.peers.iter().filter_map(|peer| Some(peer.life.as_ref()?.began_at)).min();
        let heard =
            first.filter(|_| heard_by_all).map(|at| at + timing.keepalive * LISTEN_FIFTHS / 5);
        heard.max(proven).filter(|until| self.now < *until)
    }
}
