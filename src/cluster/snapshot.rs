//! What status prints: the whole of what the core knows, as data. Text and `--json` are both made from it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counts::Counts;
use super::guard::{Doubt, GuardLevel};
use super::io::Reject;
use super::placement::{Reason, Unable};
use crate::config::Section;
use crate::wire::{KeyId, Phase, Run, Term};

/// The core at one moment, in the configuration's names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Cluster's name.
    pub cluster: String,
    /// This node.
    pub node: String,
    /// How long this daemon runs.
    pub uptime: Duration,
    /// How far it is.
    pub phase: Phase,
    /// What the phase `Starting` still waits for at most; `None`: not waiting.
    pub joins_in: Option<Duration>,
    /// Bounds of silence.
    pub warntime: Duration,
    /// Bounds of silence.
    pub deadtime: Duration,
    /// Bound for the wall clocks of peers.
    pub warn_offset: Duration,
    /// All nodes, this one too, in configuration order.
    pub nodes: Vec<NodeView>,
    /// The ping nodes, as this node sees them.
    pub ping: Vec<PingView>,
    /// Groups, in configuration order.
    pub groups: Vec<GroupView>,
    /// This node's own ends of the links; the text: what it waits for.
    pub links: Vec<(String, Option<String>)>,
    /// Where another machine is that runs under this node's name.
    pub namesake: Option<String>,
    /// Datagrams refused, by kind.
    pub refused: BTreeMap<Reject, u64>,
    /// How long ago the newest of each came.
    pub refused_ago: BTreeMap<Reject, Duration>,
    /// Maintenance, or what is left of it.
    #[serde(default)]
    pub maintenance: Option<MaintenanceView>,
    /// What could not be written to disk.
    pub disk: Option<String>,
    /// How often things happened since the daemon's start.
    pub counts: Counts,
}

/// Maintenance, as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceView {
    /// It was asked for; otherwise its end was, and not every node knows.
    pub on: bool,
    /// Who asked.
    pub author: String,
    /// Every node has it on its disk.
    pub in_force: bool,
    /// Nodes that have not said so, or do not know yet that all did, and why, as far as is known here.
    pub waits_for: Vec<(String, Wait)>,
}

/// What keeps a node from saying that it keeps to a wish for maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// It is not heard.
    Silent,
    /// It is heard, and has not said so (yet).
    Word,
    /// It is not on this node's disk (yet).
    Disk,
    /// Something is still being started, stopped, looked at or renewed here.
    Groups,
    /// This node hears neither a peer nor a ping node: without maintenance it would let go.
    CutOff,
}

/// A node, as this one sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: NodeState,
    /// An operator put it in standby: who.
    pub standby: Option<String>,
    /// It is silent since its daemon ended in maintenance, and left running what it ran.
    #[serde(default)]
    pub left_running: bool,
    /// Whether it sees a ping node; `None`: none is configured, or it is not up.
    pub ping: Option<bool>,
    /// Two machines run under its name.
    pub doubled: bool,
    /// Links on which it is heard though it does not hear this node, by name. Only of a peer that is lost or was never up;
    /// of one that is up each link tells both directions.
    pub one_way: Vec<String>,
    /// Figures of a peer that was heard; `None` for this node itself.
    pub peer: Option<PeerView>,
}

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// This node itself, or a peer heard within warntime.
    Up,
    /// Past warntime.
    Late,
    /// Past deadtime, not proven dead.
    Lost,
    /// Proven dead.
    Dead,
    /// It said goodbye.
    Left,
    /// Never heard in this daemon's life.
    Unknown,
}

/// Figures of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerView {
    /// How far it is.
    pub phase: Option<Phase>,
    /// No round trip for so long.
    pub silence: Duration,
    /// The longest silence of its present life that ended.
    pub worst_silence: Duration,
    /// How long ago that ended.
    pub worst_silence_ago: Duration,
    /// The newest round-trip time.
    pub round_trip: Option<Duration>,
    /// Its wall clock ahead of this node's, microseconds; by the shortest of the last round trips.
    pub clock_offset_us: Option<i64>,
    /// What it may be more or less, microseconds: half of that round trip.
    pub clock_error_us: Option<u64>,
    /// It is certain to be further off than `warn_offset`.
    pub clock_apart: bool,
    /// Each link, in configuration order.
    pub links: Vec<LinkView>,
    /// Sections of its configuration that differ from this node's.
    pub differs: Vec<Section>,
    /// Its version of the wire's body, where this node cannot read it.
    pub unknown_version: Option<u16>,
    /// The key that signed its newest heartbeat.
    pub key: Option<KeyId>,
}

/// A link to a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkView {
    /// Its name.
    pub name: String,
    /// This node hears the peer on it.
    pub heard: bool,
    /// The peer hears this node on it.
    pub hears: bool,
    /// Heartbeats of the peer's present life that this node took from it, answers to its own not among them. Begins
    /// anew with each life.
    pub heartbeats: u64,
    /// Percent of what the peer sends on it that does not arrive here; `None`: not known (yet).
    pub lost_in: Option<u8>,
    /// Percent of what this node sends on it that does not arrive there.
    pub lost_out: Option<u8>,
}

/// A ping node, as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingView {
    /// Its address.
    pub target: IpAddr,
    /// Age of its newest answer.
    pub answered: Option<Duration>,
    /// Whether that is new enough for the guard.
    pub answers: bool,
    /// Why it cannot be asked.
    pub error: Option<String>,
}

/// A group, as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// Nodes on which something of it runs or may run, with what they do and since which term.
    pub holders: Vec<(String, Run, Term)>,
    /// How long ago its only holder began with it, as far as clocks tell.
    pub held: Option<Duration>,
    /// Where it should be.
    pub target: Option<String>,
    /// Why.
    pub reason: Reason,
    /// What each peer still stands in the way of this node's taking it, where it wants to.
    pub doubts: Vec<(String, Doubt)>,
    /// What may be promised for it now.
    pub level: GuardLevel,
    /// Why that is less than what the configuration asks for.
    pub weaker: Option<String>,
    /// Nodes that could not take it, with the reason.
    pub unable: Vec<(String, Unable)>,
    /// Its resources on this node.
    pub resources: Vec<ResourceView>,
}

/// A resource on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceView {
    /// Its name.
    pub name: String,
    /// Its agent.
    pub agent: String,
    /// What it does here.
    pub state: ResourceState,
    /// The newest thing that went wrong with it here.
    pub failure: Option<String>,
    /// What its agent said when it succeeded last, if anything.
    pub remark: Option<String>,
}

/// What a resource does on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceState {
    /// Not looked at yet.
    Unknown,
    /// It does not run.
    Stopped,
    /// It is being started.
    Starting,
    /// It runs.
    Started,
    /// It is being stopped.
    Stopping,
    /// It failed.
    Failed,
    /// Its stop failed.
    Blocked,
}
