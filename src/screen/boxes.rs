//! What stands in a node's box: the words, not the frame. Pure.

use super::lines::{Tone, Words};
use super::model::{Model, Node};
use crate::cluster::Span;
use crate::cluster::guard::Doubt;
use crate::cluster::snapshot::{GroupView, NodeState, NodeView, Snapshot};
use crate::wire::{Phase, Run, Term};

/// What a laboratory knows of a node without asking its daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body {
    /// It has power.
    pub power: bool,
    /// Its cable to the service network is plugged in.
    pub cable: bool,
    /// Addresses of groups that its kernel holds.
    pub addresses: Vec<String>,
}

/// The lines in the box of a node, the most important first.
pub(super) fn lines(model: &Model, node: &Node) -> Vec<Words> {
    let mut lines = vec![state(model, node)];
    lines.extend(groups(model, node));
    let addresses = node.body.iter().flat_map(|body| &body.addresses);
    lines.extend(addresses.map(|address| Words::new(Tone::Good, format!("♥ {address}"))));
    lines.extend(ping(model, node));
    lines.extend(figures(model, node));
    lines
}

/// Whether a node holds something that clients want.
pub(super) fn holds(model: &Model, node: &Node) -> bool {
    node.body.as_ref().is_some_and(|body| !body.addresses.is_empty())
        || runs(model, node).iter().any(|(_, run)| *run == Run::Started)
}

fn state(model: &Model, node: &Node) -> Words {
    if node.body.as_ref().is_some_and(|body| !body.power) {
        return Words::new(Tone::Bad, "no power");
    }
    if let Some(own) = &node.own {
        let standby = own.nodes.iter().any(|view| view.name == node.name && view.standby.is_some());
        let maintenance = own.maintenance.as_ref().is_some_and(|view| view.on);
        return match own.phase {
            Phase::Starting => Words::new(Tone::Warn, "starting"),
            Phase::Leaving => Words::new(Tone::Warn, "leaving"),
            Phase::Active if maintenance => Words::new(Tone::Warn, "in maintenance"),
            Phase::Active if standby => Words::new(Tone::Warn, "standby"),
            Phase::Active => Words::new(Tone::Good, "up"),
        };
    }
    if node.body.is_some() {
        return if node.silent {
            Words::new(Tone::Bad, "daemon does not run")
        } else {
            Words::new(Tone::Faint, "boots")
        };
    }
    match model.view_of(&node.name) {
        Some((_, view)) => state_of(view),
        None if node.silent => Words::new(Tone::Bad, "no answer"),
        None => Words::new(Tone::Faint, "not known"),
    }
}

/// A peer, as others see it.
fn state_of(view: &NodeView) -> Words {
    let silence =
        view.peer.as_ref().map_or_else(String::new, |peer| format!(", {}", Span(peer.silence)));
    let phase = view.peer.as_ref().and_then(|peer| peer.phase);
    match (view.state, phase) {
        (NodeState::Up, Some(Phase::Starting)) => Words::new(Tone::Warn, "starting"),
        (NodeState::Up, Some(Phase::Leaving)) => Words::new(Tone::Warn, "leaving"),
        (NodeState::Up, _) if view.standby.is_some() => Words::new(Tone::Warn, "standby"),
        (NodeState::Up, _) => Words::new(Tone::Good, "up"),
        (NodeState::Late, _) => Words::new(Tone::Warn, format!("late{silence}")),
        (NodeState::Lost, _) if view.left_running => Words::new(Tone::Warn, "left, in maintenance"),
        (NodeState::Lost, _) => Words::new(Tone::Bad, format!("LOST{silence}")),
        (NodeState::Dead, _) => Words::new(Tone::Bad, "dead"),
        (NodeState::Left, _) => Words::new(Tone::Warn, "left"),
        (NodeState::Unknown, _) => Words::new(Tone::Bad, "never heard"),
    }
}

/// What a node does with each group: its own word, or where it is not asked that of another who hears it.
fn runs(model: &Model, node: &Node) -> Vec<(String, Run)> {
    let snapshot = match (&node.own, model.view_of(&node.name)) {
        (Some(own), _) => own,
        (None, Some((other, view))) if is_heard(view) => other,
        (None, _) => return Vec::new(),
    };
    let here = |group: &GroupView| {
        let holder = group.holders.iter().find(|(name, _, _)| *name == node.name);
        holder.map(|(_, run, _)| (group.name.clone(), *run))
    };
    snapshot.groups.iter().filter_map(here).collect()
}

fn is_heard(view: &NodeView) -> bool {
    match view.state {
        NodeState::Up | NodeState::Late => true,
        NodeState::Lost | NodeState::Dead | NodeState::Left | NodeState::Unknown => false,
    }
}

/// Groups that a lost node was the last to run, and may still run: nobody else does.
fn may_run(model: &Model, node: &Node) -> Vec<Words> {
    let Some((other, view)) = model.view_of(&node.name).filter(|_| node.own.is_none()) else {
        return Vec::new();
    };
    if view.state != NodeState::Lost {
        return Vec::new();
    }
    let last = |group: &&GroupView| {
        let started =
            |(name, run, _): &(String, Run, Term)| *run == Run::Started && *name == node.name;
        let elsewhere =
            |(name, run, _): &(String, Run, Term)| *run == Run::Started && *name != node.name;
        group.holders.iter().any(started) && !group.holders.iter().any(elsewhere)
    };
    let groups = other.groups.iter().filter(last);
    groups.map(|group| Words::new(Tone::Warn, format!("may run {}", group.name))).collect()
}

fn groups(model: &Model, node: &Node) -> Vec<Words> {
    // Whoever has no power runs nothing, whatever was said of it before.
    if node.body.as_ref().is_some_and(|body| !body.power) {
        return Vec::new();
    }
    let refused = |group: &str| node.own.as_ref().is_some_and(|own| refuses(own, group));
    let word = |(group, run): (String, Run)| match run {
        Run::Started => Words::new(Tone::Good, format!("♥ {group}")),
        Run::Starting => Words::new(Tone::Warn, format!("starts {group}")),
        Run::Stopping => Words::new(Tone::Warn, format!("stops {group}")),
        Run::Blocked => Words::new(Tone::Bad, format!("{group} BLOCKED")),
        Run::Claiming if refused(&group) => {
            Words::new(Tone::Warn, format!("does not take {group}"))
        }
        Run::Claiming => Words::new(Tone::Faint, format!("waits for {group}")),
        Run::Unknown | Run::Stopped => Words::new(Tone::Faint, format!("looks for {group}")),
    };
    runs(model, node).into_iter().map(word).chain(may_run(model, node)).collect()
}

/// Whether a node would take a group, and its guard does not let it.
fn refuses(own: &Snapshot, group: &str) -> bool {
    let doubts = own.groups.iter().filter(|view| view.name == group).flat_map(|view| &view.doubts);
    doubts.into_iter().any(|(_, doubt)| match doubt {
        Doubt::PingSilent { .. }
        | Doubt::AddressAnswers { .. }
        | Doubt::AddressConflict { .. }
        | Doubt::Unwitnessed { .. }
        | Doubt::StopFailed
        | Doubt::GuardDiffers { .. }
        | Doubt::Maintenance
        | Doubt::Namesakes => true,
        Doubt::NoConsent
        | Doubt::RunsThere
        | Doubt::NotLostYet { .. }
        | Doubt::PingTooNew { .. }
        | Doubt::Probing { .. }
        | Doubt::JustPaused => false,
    })
}

fn ping(model: &Model, node: &Node) -> Option<Words> {
    let own = node.own.as_ref();
    let sees = match own {
        Some(own) => own.nodes.iter().find(|view| view.name == node.name)?.ping?,
        None => model.view_of(&node.name)?.1.ping?,
    };
    Some(if sees {
        Words::new(Tone::Faint, "sees the ping node")
    } else {
        Words::new(Tone::Warn, "NO ping node answers")
    })
}

/// How near a peer came to being lost, as others see it. Where everything can be asked it does not matter.
fn figures(model: &Model, node: &Node) -> Option<Words> {
    if node.body.is_some() || node.own.is_some() {
        return None;
    }
    let (snapshot, view) = model.view_of(&node.name)?;
    let peer = view.peer.as_ref()?;
    let (worst, deadtime) = (peer.worst_silence.as_millis(), snapshot.deadtime.as_millis());
    Some(Words::new(Tone::Faint, format!("worst {worst} of {deadtime} ms")))
}
