//! Questions that status and waiting commands ask of one snapshot.

use crate::cluster::snapshot::{GroupView, NodeState, NodeView, Snapshot};
use crate::wire::Run;

/// What a snapshot says of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// A stop failed on this node.
    Blocked(&'a str),
    /// Two nodes that are heard both run it.
    Twice(&'a str, &'a str),
    /// This node runs all of it.
    Started(&'a str),
    /// This node is at it.
    Changing(&'a str, Run),
    /// Nobody who is heard runs it, but this silent node may.
    MayRun(&'a str),
    /// Nobody runs it.
    Nowhere,
}

/// Whether a node is heard, so that what it is said to run is what it runs.
pub(super) fn is_heard(node: &NodeView) -> bool {
    match node.state {
        NodeState::Up | NodeState::Late => true,
        NodeState::Lost | NodeState::Dead | NodeState::Left | NodeState::Unknown => false,
    }
}

/// A node by name.
pub(super) fn node<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a NodeView> {
    snapshot.nodes.iter().find(|node| node.name == name)
}

/// A group by name.
pub(super) fn group<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a GroupView> {
    snapshot.groups.iter().find(|group| group.name == name)
}

/// Where a group is.
pub(super) fn place<'a>(snapshot: &Snapshot, group: &'a GroupView) -> Place<'a> {
    let holders = |heard: bool| {
        group
            .holders
            .iter()
            .filter(move |(name, _, _)| node(snapshot, name).is_some_and(is_heard) == heard)
            .map(|(name, run, _)| (name.as_str(), *run))
    };
    let with =
        |wanted: Run| holders(true).filter(move |(_, run)| *run == wanted).map(|(name, _)| name);
    if let Some(name) = with(Run::Blocked).next() {
        return Place::Blocked(name);
    }
    let mut started = with(Run::Started);
    match (started.next(), started.next()) {
        (Some(one), Some(other)) => return Place::Twice(one, other),
        (Some(one), None) => return Place::Started(one),
        (None, _) => {}
    }
    let first =
        |runs: [Run; 2]| runs.into_iter().find_map(|run| with(run).next().map(|name| (name, run)));
    // Of two nodes in the middle of something the one that lets go comes first: the other waits for it. A node that
    // only wants to start waits for the silent one.
    if let Some((name, run)) = first([Run::Stopping, Run::Starting]) {
        return Place::Changing(name, run);
    }
    if let Some((name, _)) =
        holders(false).find(|(name, run)| *run != Run::Stopped && may_live(snapshot, name))
    {
        return Place::MayRun(name);
    }
    match first([Run::Claiming, Run::Unknown]) {
        Some((name, run)) => Place::Changing(name, run),
        None => Place::Nowhere,
    }
}

fn may_live(snapshot: &Snapshot, name: &str) -> bool {
    match node(snapshot, name).map(|node| node.state) {
        Some(NodeState::Lost | NodeState::Unknown) | None => true,
        Some(NodeState::Up | NodeState::Late | NodeState::Dead | NodeState::Left) => false,
    }
}

/// What a node does with a group, in a word or a few.
pub(super) fn run_word(run: Run) -> &'static str {
    match run {
        Run::Unknown => "being looked at",
        Run::Stopped => "stopped",
        Run::Claiming => "waiting to start",
        Run::Starting => "starting",
        Run::Started => "started",
        Run::Stopping => "stopping",
        Run::Blocked => "blocked",
    }
}
