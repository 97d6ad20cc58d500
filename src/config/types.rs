//! The valid configuration, as one node sees it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{GroupId, LinkId, NodeId, ResourceId};
use crate::wire::{ClusterTag, GroupTag, NodeTag, WishSubject};

/// A whole valid configuration, with values by node resolved for `me`. Tags are unique, ids are in range, every group
/// has a resource, every node has an address on every unicast link, and an interface or an address on every other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Name of the cluster.
    pub cluster: String,
    /// This node.
    pub me: NodeId,
    /// Times of liveness.
    pub timing: Timing,
    /// Wall clocks of nodes that are further apart than this are told; nothing else follows.
    pub warn_offset: Duration,
    /// Links, in file order; at most 8.
    pub links: Vec<Link>,
    /// Nodes, in file order; at most [`MAX_NODES`](crate::wire::MAX_NODES), at least 1.
    pub nodes: Vec<Node>,
    /// What stands between a silent peer and split brain.
    pub guard: Guard,
    /// Groups, in file order.
    pub groups: Vec<Group>,
    /// Where this node serves its metrics; `None`: nowhere. Of no concern to other nodes, so it has no digest.
    pub metrics: Option<SocketAddr>,
    /// Digest of each section, equal on nodes whose files say the same.
    pub digests: Digests,
}

/// Times of liveness. `keepalive < warntime < deadtime <= initdead`, and deadtime leaves room for the guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Interval between heartbeats.
    pub keepalive: Duration,
    /// Silence that is late.
    pub warntime: Duration,
    /// Silence that is lost.
    pub deadtime: Duration,
    /// Patience after a node's own start.
    pub initdead: Duration,
}

impl Timing {
    /// How long before the moment at which a peer may act a holder begins to let go: `max(2 ms, deadtime / 100)`.
    #[must_use]
    pub fn stop_budget(&self) -> Duration {
        (self.deadtime / 100).max(Duration::from_millis(2))
    }
}

/// A resource of a file with errors: agent and parameters are right, whatever else is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The name of its group; empty if that cannot be read.
    pub group: String,
    /// With defaults for what is not right.
    pub resource: Resource,
}

/// A path for heartbeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// How datagrams travel on it.
    pub transport: Transport,
    /// UDP port, the same on all nodes.
    pub port: u16,
    /// Interface on this node; found by address where it is left out.
    pub interface: Option<String>,
}

/// How datagrams travel on a link. Addresses are those of the nodes, in the order of `Config::nodes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// To each peer's own address.
    Unicast {
        /// Address of each node; one address family.
        addresses: Vec<IpAddr>,
    },
    /// To a multicast group that all nodes join.
    Multicast {
        /// The group.
        group: IpAddr,
        /// How many networks a datagram may pass, from 1.
        ttl: u8,
        /// Address of each node where it is given; of the group's family.
        addresses: Vec<Option<IpAddr>>,
    },
    /// To everybody on the network of the interface.
    Broadcast {
        /// Address of each node where it is given.
        addresses: Vec<Option<Ipv4Addr>>,
    },
}

impl Transport {
    /// The word for it in the file.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unicast { .. } => "unicast",
            Self::Multicast { .. } => "multicast",
            Self::Broadcast { .. } => "broadcast",
        }
    }

    /// A node's address, where the file gives one.
    #[must_use]
    pub fn address(&self, node: NodeId) -> Option<IpAddr> {
        let at = usize::from(node.0);
        match self {
            Self::Unicast { addresses } => addresses.get(at).copied(),
            Self::Multicast { addresses, .. } => addresses.get(at).copied().flatten(),
            Self::Broadcast { addresses } => addresses.get(at).copied().flatten().map(IpAddr::V4),
        }
    }
}

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its name on the wire.
    pub tag: NodeTag,
}

/// What stands between a silent peer and split brain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// Ping nodes: reachable while any of them answers. Empty: no `ping` guard.
    pub ping: Vec<IpAddr>,
    /// Whether addresses of a silent peer are probed on the service network.
    pub arp: bool,
}

/// An ordered list of resources that moves together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its name on the wire.
    pub tag: GroupTag,
    /// Every node that may run it, best first: the preferred ones, then the others in file order.
    pub nodes: Vec<NodeId>,
    /// Whether it goes back to a better node that returns.
    pub auto_failback: bool,
    /// Its resources, in start order; at least one.
    pub resources: Vec<Resource>,
}

/// What an agent controls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Its name, unique in its group.
    pub name: String,
    /// Which agent.
    pub agent: AgentName,
    /// Parameters for the agent, as this node has them.
    pub params: BTreeMap<String, String>,
    /// Interval between monitors. `None`: not monitored.
    pub monitor: Option<Duration>,
    /// How long each action may take.
    pub timeout: Timeouts,
    /// The address it controls, where the agent is one for addresses: leased, announced, probed.
    pub address: Option<Address>,
}

/// How long each action may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// start
    pub start: Duration,
    /// stop
    pub stop: Duration,
    /// monitor, probes too
    pub monitor: Duration,
}

/// An address that moves with its group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Length of its prefix in bits.
    pub prefix: u8,
    /// Interface on this node; found by a connected route where it is left out.
    pub interface: Option<String>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// Name of an agent of lubdub's own class: a file in the agents' directory. Without slashes, never empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AgentName(pub String);

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The sections of a configuration, in the order of [`Digests`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Section {
    /// `[heartbeat]`, and the port and links in it.
    Heartbeat,
    /// `[[node]]`
    Nodes,
    /// `[guard]` with deadtime: what the guard rests on.
    Guard,
    /// `[[group]]`
    Groups,
}

impl Section {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Heartbeat, Self::Nodes, Self::Guard, Self::Groups];

    /// Whether the guard rests on it: while two nodes differ in it, neither gains a right that the other has a say in.
    #[must_use]
    pub fn binds(self) -> bool {
        match self {
            Self::Nodes | Self::Guard => true,
            Self::Heartbeat | Self::Groups => false,
        }
    }

    /// Several, where configurations differ in them. A difference in times or nodes is one of the guard too, which need
    /// not be looked for in `[guard]`.
    #[must_use]
    pub fn list(sections: &[Self]) -> String {
        let names: Vec<String> = sections.iter().map(Self::to_string).collect();
        let elsewhere = sections.iter().any(|other| matches!(other, Self::Heartbeat | Self::Nodes));
        let why = match elsewhere && sections.contains(&Self::Guard) {
            true => " (where keepalive, deadtime and the nodes count too)",
            false => "",
        };
        format!("{}{why}", names.join(", "))
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Heartbeat => "[heartbeat]",
            Self::Nodes => "[[node]]",
            Self::Guard => "[guard]",
            Self::Groups => "[[group]]",
        })
    }
}

/// A digest of each section, in the order of [`Section::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests(pub [u32; 4]);

impl Digests {
    /// The sections that another configuration has otherwise.
    #[must_use]
    pub fn differing(self, theirs: [u32; 4]) -> Vec<Section> {
        let pairs = Section::ALL.into_iter().zip(self.0.into_iter().zip(theirs));
        pairs.filter(|(_, (mine, theirs))| mine != theirs).map(|(section, _)| section).collect()
    }
}

impl Config {
    /// Where a newer configuration of the same node says something else, as it is written in the file.
    #[must_use]
    pub fn changed_in(&self, newer: &Self) -> Vec<String> {
        let cluster = (self.cluster != newer.cluster).then(|| "cluster".to_owned());
        let sections = self.digests.differing(newer.digests.0);
        let metrics = (self.metrics != newer.metrics).then(|| "[metrics]".to_owned());
        let sections = sections.iter().map(ToString::to_string);
        cluster.into_iter().chain(sections).chain(metrics).collect()
    }

    /// The cluster's name on the wire.
    #[must_use]
    pub fn cluster_tag(&self) -> ClusterTag {
        ClusterTag::of(&self.cluster)
    }

    /// All nodes with their ids.
    pub fn node_ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..u8::try_from(self.nodes.len()).unwrap_or(u8::MAX)).map(NodeId)
    }

    /// The other nodes.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> + use<> {
        let me = self.me;
        self.node_ids().filter(move |node| *node != me)
    }

    /// All links with their ids.
    pub fn link_ids(&self) -> impl Iterator<Item = LinkId> + use<> {
        (0..u8::try_from(self.links.len()).unwrap_or(u8::MAX)).map(LinkId)
    }

    /// All groups with their ids.
    pub fn group_ids(&self) -> impl Iterator<Item = GroupId> + use<> {
        (0..u16::try_from(self.groups.len()).unwrap_or(u16::MAX)).map(GroupId)
    }

    /// All resources of a group, in start order.
    pub fn resource_ids(&self, group: GroupId) -> impl Iterator<Item = ResourceId> + use<> {
        let count = u16::try_from(self.group(group).resources.len()).unwrap_or(u16::MAX);
        (0..count).map(move |index| ResourceId { group, index })
    }

    /// A node by id.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "ids are made from this very list")]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[usize::from(id.0)]
    }

    /// A link by id.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "ids are made from this very list")]
    pub fn link(&self, id: LinkId) -> &Link {
        &self.links[usize::from(id.0)]
    }

    /// A group by id.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "ids are made from this very list")]
    pub fn group(&self, id: GroupId) -> &Group {
        &self.groups[usize::from(id.0)]
    }

    /// A resource by id.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "ids are made from this very list")]
    pub fn resource(&self, id: ResourceId) -> &Resource {
        &self.group(id.group).resources[usize::from(id.index)]
    }

    /// The node with this tag.
    #[must_use]
    pub fn node_by_tag(&self, tag: NodeTag) -> Option<NodeId> {
        self.node_ids().find(|id| self.node(*id).tag == tag)
    }

    /// The node with this name.
    #[must_use]
    pub fn node_by_name(&self, name: &str) -> Option<NodeId> {
        self.node_ids().find(|id| self.node(*id).name == name)
    }

    /// The group with this tag.
    #[must_use]
    pub fn group_by_tag(&self, tag: GroupTag) -> Option<GroupId> {
        self.group_ids().find(|id| self.group(*id).tag == tag)
    }

    /// Whether a wish is about a node or a group of this configuration.
    #[must_use]
    pub fn knows(&self, subject: &WishSubject) -> bool {
        match subject {
            WishSubject::Standby { node, .. } => self.node_by_tag(*node).is_some(),
            WishSubject::Maintenance { .. } => true,
            WishSubject::Location { group, .. } => self.group_by_tag(*group).is_some(),
        }
    }

    /// The group with this name.
    #[must_use]
    pub fn group_by_name(&self, name: &str) -> Option<GroupId> {
        self.group_ids().find(|id| self.group(*id).name == name)
    }
}
