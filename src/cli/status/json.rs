//! What `lubdub status --json` prints: a stable interface for other programs, made of the same status and the same
//! findings as the page. Pure.
//!
//! Durations are whole numbers with their unit in the name (`_ms`, `_us`); whatever has a kind of its own is an object with
//! `kind`, `sentence` as the page has it, and its parts by name; a state is one word. `null` is what does not apply or is not
//! known. Names are never reused for something else; new ones may come.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::finding::{Finding, Grade, findings};
use super::{Exit, exit};
use crate::cli::view::{self, Place};
use crate::cluster::counts::Counts;
use crate::cluster::guard::GuardLevel;
use crate::cluster::io::Reject;
use crate::cluster::snapshot::{
    GroupView, LinkView, MaintenanceView, NodeState, NodeView, PeerView, PingView, ResourceView,
    Wait,
};
use crate::control::printed::{Parts, doubt, kind, micros, millis, reason, unable};
use crate::control::{DaemonFacts, Status};
use crate::wire::KeyId;

/// All of a status.
#[derive(Debug, Serialize)]
pub(super) struct Printed<'a> {
    /// What the exit code says: `works` (0) or `degraded` (3).
    verdict: &'static str,
    /// Why it is degraded.
    degraded: Vec<Finding>,
    /// What wants a look though it works.
    warnings: Vec<Finding>,
    cluster: &'a str,
    /// The node that says all this.
    node: &'a str,
    /// How long its daemon runs.
    uptime_ms: u64,
    /// `starting`, `active` or `leaving`.
    phase: String,
    /// What a starting node waits for at most.
    joins_in_ms: Option<u64>,
    warntime_ms: u64,
    deadtime_ms: u64,
    warn_offset_ms: u64,
    groups: Vec<Group<'a>>,
    /// All of them, this one too.
    nodes: Vec<Node<'a>>,
    ping: Vec<PingNode<'a>>,
    /// This node's own ends of the links.
    links: Vec<OwnLink<'a>>,
    /// Where another machine runs under this node's name.
    namesake: Option<&'a str>,
    /// Datagrams refused, by kind.
    refused: &'a BTreeMap<Reject, u64>,
    /// Maintenance, or what is left of it: `on`, `author`, `in_force`, and whom it waits for.
    maintenance: Option<Maintenance<'a>>,
    /// What could not be written to disk.
    disk: Option<&'a str>,
    /// How often things happened since the daemon's start.
    counts: &'a Counts,
    daemon: &'a DaemonFacts,
}

#[derive(Debug, Serialize)]
struct Group<'a> {
    name: &'a str,
    /// The node that runs all of it, if it is exactly one.
    holder: Option<&'a str>,
    /// Nodes on which something of it runs or may run.
    holders: Vec<Holder<'a>>,
    /// How long ago its only holder began with it.
    held_ms: Option<u64>,
    /// Where it should be, and why.
    target: Option<&'a str>,
    reason: Parts,
    /// What keeps this node from taking it, where it wants to.
    doubts: Vec<Parts>,
    /// The guard's level in force, and why it is less than what was asked for.
    level: GuardLevel,
    weaker: Option<&'a str>,
    /// Nodes that could not take it.
    unable: Vec<Parts>,
    /// On this node.
    resources: &'a [ResourceView],
}

#[derive(Debug, Serialize)]
struct Maintenance<'a> {
    on: bool,
    author: &'a str,
    in_force: bool,
    waits_for: Vec<Waited<'a>>,
}

#[derive(Debug, Serialize)]
struct Waited<'a> {
    node: &'a str,
    /// `silent`, `word`, `disk`, `groups` or `cut_off`.
    why: Wait,
}

impl<'a> Maintenance<'a> {
    fn of(view: &'a MaintenanceView) -> Self {
        let waited = |(node, why): &'a (String, Wait)| Waited { node, why: *why };
        Self {
            on: view.on,
            author: &view.author,
            in_force: view.in_force,
            waits_for: view.waits_for.iter().map(waited).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Holder<'a> {
    node: &'a str,
    /// `unknown`, `stopped`, `claiming`, `starting`, `started`, `stopping` or `blocked`.
    state: String,
    term: String,
}

#[derive(Debug, Serialize)]
struct Node<'a> {
    name: &'a str,
    state: NodeState,
    /// Who put it in standby.
    standby: Option<&'a str>,
    /// It is silent since its daemon ended in maintenance.
    left_running: bool,
    /// Whether it sees a ping node.
    ping: Option<bool>,
    /// Two machines run under its name.
    doubled: bool,
    /// Links on which it is heard though it does not hear this node.
    one_way: &'a [String],
    /// Figures of a peer that was heard.
    peer: Option<Peer<'a>>,
}

#[derive(Debug, Serialize)]
struct Peer<'a> {
    phase: Option<String>,
    silence_ms: u64,
    worst_silence_ms: u64,
    /// How long ago that ended.
    worst_silence_ago_ms: u64,
    round_trip_us: Option<u64>,
    clock_offset_us: Option<i64>,
    clock_error_us: Option<u64>,
    clock_apart: bool,
    links: &'a [LinkView],
    /// Sections of its configuration that differ.
    differs: Vec<String>,
    unknown_version: Option<u16>,
    key: Option<KeyId>,
}

#[derive(Debug, Serialize)]
struct PingNode<'a> {
    target: IpAddr,
    /// Age of its newest answer.
    answered_ms: Option<u64>,
    /// Whether that is new enough.
    answers: bool,
    /// Why it cannot be asked.
    error: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct OwnLink<'a> {
    name: &'a str,
    /// What it waits for.
    waiting: Option<&'a str>,
}

impl<'a> Printed<'a> {
    pub(super) fn of(status: &'a Status) -> Self {
        let Status { snapshot, daemon } = status;
        let (degraded, warnings) =
            findings(status).into_iter().partition(|finding| finding.grade == Grade::Degraded);
        Self {
            verdict: if exit(status) == Exit::Degraded { "degraded" } else { "works" },
            degraded,
            warnings,
            cluster: &snapshot.cluster,
            node: &snapshot.node,
            uptime_ms: millis(snapshot.uptime),
            phase: kind(&snapshot.phase),
            joins_in_ms: snapshot.joins_in.map(millis),
            warntime_ms: millis(snapshot.warntime),
            deadtime_ms: millis(snapshot.deadtime),
            warn_offset_ms: millis(snapshot.warn_offset),
            groups: snapshot
                .groups
                .iter()
                .map(|group| Group::of(group, view::place(snapshot, group)))
                .collect(),
            nodes: snapshot.nodes.iter().map(Node::of).collect(),
            ping: snapshot.ping.iter().map(PingNode::of).collect(),
            links: snapshot
                .links
                .iter()
                .map(|(name, waiting)| OwnLink { name, waiting: waiting.as_deref() })
                .collect(),
            namesake: snapshot.namesake.as_deref(),
            refused: &snapshot.refused,
            maintenance: snapshot.maintenance.as_ref().map(Maintenance::of),
            disk: snapshot.disk.as_deref(),
            counts: &snapshot.counts,
            daemon,
        }
    }
}

impl<'a> Group<'a> {
    fn of(group: &'a GroupView, place: Place<'a>) -> Self {
        let holder = match place {
            Place::Started(node) => Some(node),
            Place::Blocked(_)
            | Place::Twice(..)
            | Place::Changing(..)
            | Place::MayRun(_)
            | Place::Nowhere => None,
        };
        let holders = group.holders.iter().map(|(node, run, term)| Holder {
            node,
            state: kind(run),
            term: term.to_string(),
        });
        Self {
            name: &group.name,
            holder,
            holders: holders.collect(),
            held_ms: group.held.map(millis),
            target: group.target.as_deref(),
            reason: reason(&group.reason),
            doubts: group.doubts.iter().map(|(peer, why)| doubt(peer, why)).collect(),
            level: group.level,
            weaker: group.weaker.as_deref(),
            unable: unable(&group.unable),
            resources: &group.resources,
        }
    }
}

impl<'a> Node<'a> {
    fn of(node: &'a NodeView) -> Self {
        Self {
            name: &node.name,
            state: node.state,
            standby: node.standby.as_deref(),
            left_running: node.left_running,
            ping: node.ping,
            doubled: node.doubled,
            one_way: &node.one_way,
            peer: node.peer.as_ref().map(Peer::of),
        }
    }
}

impl<'a> Peer<'a> {
    fn of(peer: &'a PeerView) -> Self {
        Self {
            phase: peer.phase.as_ref().map(kind),
            silence_ms: millis(peer.silence),
            worst_silence_ms: millis(peer.worst_silence),
            worst_silence_ago_ms: millis(peer.worst_silence_ago),
            round_trip_us: peer.round_trip.map(micros),
            clock_offset_us: peer.clock_offset_us,
            clock_error_us: peer.clock_error_us,
            clock_apart: peer.clock_apart,
            links: &peer.links,
            differs: peer.differs.iter().map(ToString::to_string).collect(),
            unknown_version: peer.unknown_version,
            key: peer.key,
        }
    }
}

impl<'a> PingNode<'a> {
    fn of(ping: &'a PingView) -> Self {
        Self {
            target: ping.target,
            answered_ms: ping.answered.map(millis),
            answers: ping.answers,
            error: ping.error.as_deref(),
        }
    }
}
