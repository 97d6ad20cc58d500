//! What nodes say to each other, as plain data. No bytes and no policy: the layout is in `header` and `body`.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

fn name_hash(kind: &str, name: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(kind.as_bytes());
    hash.update([0]);
    hash.update(name.as_bytes());
    hash.finalize().into()
}

/// A cluster on the wire: the first 16 bytes of SHA-256 over `cluster`, a zero byte and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClusterTag(pub [u8; 16]);

impl ClusterTag {
    /// The tag of the cluster with this name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = name_hash("cluster", name);
        Self([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
    }
}

/// A node on the wire: eight bytes of a hash of its name, so that the order of nodes in a file means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeTag(pub u64);

impl NodeTag {
    /// The tag of the node with this name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = name_hash("node", name);
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

/// A group on the wire: four bytes of a hash of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GroupTag(pub u32);

impl GroupTag {
    /// The tag of the group with this name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let [a, b, c, d, ..] = name_hash("group", name);
        Self(u32::from_be_bytes([a, b, c, d]))
    }
}

/// One life of a daemon: random, never zero, new at each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

/// The number of a datagram within an incarnation, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sequence(pub u64);

/// A challenge that only a living peer can have answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Nonce(pub u64);

/// The number that grows with each new holder of a group: `(t << 8) | node index`. Zero: none was ever given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Term(pub u64);

impl Term {
    /// The highest that is believed, some million years from now: above it nobody could make a higher one.
    pub const MOST: Self = Self(u64::MAX >> 1);
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 >> 8, self.0 & 0xff)
    }
}

/// A hardware (Ethernet) address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A whole authenticated message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The part whose layout never changes.
    pub header: Header,
    /// The part that is versioned.
    pub body: Body,
}

/// Liveness and the guard's numbers: readable by every version of lubdub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Who speaks.
    pub sender: NodeTag,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// Number of this datagram in that life.
    pub sequence: Sequence,
    /// When it was sent: microseconds on the sender's own clock since its daemon's start.
    pub sent_us: u64,
    /// The sender's wall clock, microseconds since the Unix epoch. Shown, never decided upon.
    pub wall_us: u64,
    /// What kind of heartbeat this is.
    pub flags: Flags,
    /// The sender's keepalive, microseconds.
    pub keepalive_us: u32,
    /// The sender's deadtime, microseconds.
    pub deadtime_us: u32,
    /// What the sender heard of each node.
    pub echoes: Vec<Echo>,
    /// The guard's numbers, by kind. Kinds unknown to the reader are skipped.
    pub records: Vec<GuardRecord>,
}

/// Flags of a heartbeat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags {
    /// The sender misses a round trip: answer now.
    pub ask: bool,
    /// This is such an answer. An answer is never answered.
    pub answer: bool,
    /// The sender runs nothing and ends: goodbye.
    pub goodbye: bool,
}

/// What the sender heard of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// Of which node.
    pub node: NodeTag,
    /// The newest datagram of the life that the sender takes for the living one.
    pub heard: Option<Heard>,
    /// Lives that have not yet proved themselves, each with the challenge to answer. At most [`MAX_CANDIDATES`].
    pub candidates: Vec<Candidate>,
    /// The sender's answer to that node's challenge.
    pub answer: Option<Nonce>,
}

/// The newest datagram heard from a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Of which life.
    pub incarnation: Incarnation,
    /// The highest sequence.
    pub sequence: Sequence,
    /// How long ago it was received when this was sent, microseconds (saturating).
    pub hold_us: u32,
    /// One bit for each link, in configuration order, on which that life was heard within deadtime.
    pub links: u8,
}

/// A life of a peer that has not yet proved that it is not a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The unknown life.
    pub incarnation: Incarnation,
    /// What it has to answer.
    pub nonce: Nonce,
}

/// Lives of one peer that are challenged at the same time.
pub const MAX_CANDIDATES: usize = 2;

/// One of the guard's numbers, with a fixed layout for each kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuardRecord {
    /// What the sender sees of the ping nodes.
    Ping(PingSight),
    /// What the sender keeps to of maintenance, once that is on its disk.
    Maintenance(MaintenanceWord),
    /// A kind that this version does not know. Kept out of every decision.
    Unknown {
        /// Its kind.
        kind: u8,
    },
}

/// What a node sees of its ping nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PingSight {
    /// The newest answer is no older than deadtime/2.
    Answers,
    /// It is older, or there was none, for less than a deadtime yet.
    Unanswered,
    /// So for a deadtime or more.
    Silent,
    /// One answers again, but not for long enough to rely on it.
    Returning,
}

/// Which wish for maintenance, or for its end, a node keeps to. Here and not in the body: whoever is upgraded in
/// maintenance has to be understood by the version before and the one after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceWord {
    /// Stamp of the wish. At most [`MAX_STAMP`].
    pub stamp: u64,
    /// What that comes to.
    pub state: MaintenanceState,
}

/// What a node makes of the newest wish for maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaintenanceState {
    /// It is over: the sender keeps nothing that it would not keep without it.
    Over,
    /// The sender takes nothing, and does not yet know that all others do not.
    Noted,
    /// All others said so too: the sender leaves what it runs alone, whatever it hears.
    InForce,
    /// The same, and the sender's daemon ends. What runs goes on.
    Leaves,
}

/// The versioned part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Version 1.
    Known(Report),
    /// A version that this program cannot read: the peer is alive and keeps its groups.
    Unknown {
        /// Its version.
        version: u16,
    },
}

/// Body version 1: what a node does and wants. One page of it where it does not fit one datagram.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// How far the sender is.
    pub phase: Phase,
    /// Digest of each section of its configuration, in the order of `config::Section`.
    pub digests: [u32; 4],
    /// Its own hardware addresses, for the `arp` guard. At most [`MAX_MACS`].
    pub macs: Vec<Mac>,
    /// What it says of groups. At most [`MAX_GROUPS_PER_PAGE`]; each entry stands alone.
    pub groups: Vec<GroupReport>,
    /// The operator's wishes it knows. At most [`MAX_WISHES_PER_PAGE`].
    pub wishes: Vec<Wish>,
}

/// Nodes of a cluster: a heartbeat has room for an echo to each.
pub const MAX_NODES: usize = 8;
/// Hardware addresses in a report.
pub const MAX_MACS: usize = 6;
/// Group entries in a report.
pub const MAX_GROUPS_PER_PAGE: usize = 8;
/// Wishes in a report.
pub const MAX_WISHES_PER_PAGE: usize = 3;

/// How far a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It has not yet looked at what runs on it, or waits for initdead.
    Starting,
    /// It takes part.
    Active,
    /// It was told to end and hands over what it runs.
    Leaving,
}

/// What a node says of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupReport {
    /// Which group.
    pub group: GroupTag,
    /// What the sender does with it.
    pub run: Run,
    /// The term of its claim or hold; otherwise zero.
    pub term: Term,
    /// The highest term it knows of.
    pub highest: Term,
    /// The claim it consents to: at most one at a time, and none while it holds or claims.
    pub consent: Option<Term>,
    /// Whether it could run the group.
    pub ability: Ability,
}

/// What a node does with a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Run {
    /// It has not looked yet.
    Unknown,
    /// Nothing of it runs here.
    Stopped,
    /// It wants to start it and waits for consent.
    Claiming,
    /// It may start it and does.
    Starting,
    /// All of it runs here.
    Started,
    /// It is being stopped.
    Stopping,
    /// A stop failed: something of it may still run here.
    Blocked,
}

/// Whether a node could run a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Ability {
    /// It could.
    Able,
    /// Its agents failed here a short time ago.
    Failed,
    /// Its agents said that they cannot work here.
    Unfit,
    /// It does not know such a group, or is not asked to run it.
    Excluded,
    /// An agent of it cannot be executed there.
    NoAgent,
}

/// An operator's wish: a register where the highest stamp wins on every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// What is wished.
    pub subject: WishSubject,
    /// Unix milliseconds of the wish in the upper 56 bits, index of the node that took it in the lower 8. At most
    /// [`MAX_STAMP`].
    pub stamp: u64,
    /// Who asked, as the system names the user. At most [`MAX_AUTHOR`] bytes.
    pub author: String,
}

/// Bytes of a wish's author.
pub const MAX_AUTHOR: usize = 28;

/// Stamp of a wish: above it nobody could make a higher one.
pub const MAX_STAMP: u64 = u64::MAX >> 1;

/// What an operator wishes of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WishSubject {
    /// A node gives up its groups and takes none.
    Standby {
        /// Which.
        node: NodeTag,
        /// Standby, or online again.
        standby: bool,
    },
    /// A group belongs on this node until it is moved again or cannot stay there.
    Location {
        /// Which group.
        group: GroupTag,
        /// Where. `None` takes the wish back.
        node: Option<NodeTag>,
    },
    /// Nothing is started, stopped or moved on any node.
    Maintenance {
        /// So, or no longer.
        on: bool,
    },
}
