//! `switchover`, `standby`, `online`, `maintenance` and `confirm-dead`: ask the daemon, then watch until it has happened.

use std::io::{self, BufRead, IsTerminal};
use std::time::Duration;

use super::daemon::{Daemon, known_group, known_node};
use super::exit::{Exit, Failure};
use super::output;
use super::status::waiting;
use super::view::{self, Place};
use super::wait::{Progress, wait};
use crate::cluster::Span;
use crate::cluster::io::Command;
use crate::cluster::placement::{Reason, Unable};
use crate::cluster::snapshot::{GroupView, NodeState, Snapshot, Wait};
use crate::config::Section;

/// What has to be seen before a command is done.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Goal {
    /// The group runs on this node, or on another than those.
    Moved { group: String, to: Option<String>, from: Option<String> },
    /// The node is in standby and runs nothing.
    Standby { node: String },
    /// The node takes part.
    Online { node: String },
    /// Maintenance is in force on every node, or over on all that are heard.
    Maintenance { on: bool },
    /// The node counts as dead, and groups that have a place run there.
    Dead { node: String },
}

/// Move a group.
pub(super) fn switchover(
    daemon: &mut Daemon,
    group: String,
    to: Option<String>,
    patience: Duration,
) -> Result<Exit, Failure> {
    let snapshot = daemon.status()?.snapshot;
    known_group(&snapshot, &group)?;
    if let Some(to) = &to {
        known_node(&snapshot, to)?;
    }
    let from = view::group(&snapshot, &group).and_then(|view| match view::place(&snapshot, view) {
        Place::Started(node) => Some(node.to_owned()),
        Place::Blocked(_)
        | Place::Twice(..)
        | Place::Changing(..)
        | Place::MayRun(_)
        | Place::Nowhere => None,
    });
    // A move to where it is already is a wish too: it stays there.
    let already = from.is_some() && from == to;
    let cannot = to.as_deref().and_then(|to| cannot_move(&snapshot, &group, to));
    let asked = daemon.command(Command::Switchover { group: group.clone(), to });
    let (message, to) = asked.map_err(|failure| match (failure, cannot) {
        (Failure::Failed(_), Some(better)) => Failure::Failed(better),
        (failure, _) => failure,
    })?;
    if let (true, Some(node)) = (already, &from) {
        output::result(&format!("{group} is on {node} already"))?;
        return Ok(Exit::Fine);
    }
    watch(daemon, &message, &Goal::Moved { group, to, from }, patience)
}

/// Why a node cannot take a group, as this snapshot has it.
fn cannot_move(snapshot: &Snapshot, group: &str, node: &str) -> Option<String> {
    let unable = &view::group(snapshot, group)?.unable;
    let (_, why) = unable.iter().find(|(name, _)| name == node)?;
    let todo = match why {
        Unable::Standby => format!("; take it out with `lubdub online {node}`"),
        Unable::Failed | Unable::Unfit => format!("; `lubdub status` on {node} says why"),
        Unable::NoAgent => format!("; on {node}: `lubdub check` says which"),
        Unable::Left => format!("; on {node}: systemctl start lubdub"),
        Unable::NeverHeard
        | Unable::Lost
        | Unable::Dead
        | Unable::Starting
        | Unable::Leaving
        | Unable::NoPing
        | Unable::PingReturning
        | Unable::Excluded
        | Unable::OtherVersion => String::new(),
    };
    Some(format!("{group} cannot move to {node}: it {why}{todo}"))
}

/// Let a node give up its groups. `None`: this one.
pub(super) fn standby(
    daemon: &mut Daemon,
    node: Option<String>,
    patience: Duration,
) -> Result<Exit, Failure> {
    let node = this_or(daemon, node)?;
    let (message, _) = daemon.command(Command::Standby { node: Some(node.clone()) })?;
    watch(daemon, &message, &Goal::Standby { node }, patience)
}

/// Let a node take part again. `None`: this one.
pub(super) fn online(
    daemon: &mut Daemon,
    node: Option<String>,
    patience: Duration,
) -> Result<Exit, Failure> {
    let node = this_or(daemon, node)?;
    let (message, _) = daemon.command(Command::Online { node: Some(node.clone()) })?;
    watch(daemon, &message, &Goal::Online { node }, patience)
}

/// Leave everything as it is, or look after it again.
pub(super) fn maintenance(
    daemon: &mut Daemon,
    on: bool,
    patience: Duration,
) -> Result<Exit, Failure> {
    let (message, _) = daemon.command(Command::Maintenance { on })?;
    watch(daemon, &message, &Goal::Maintenance { on }, patience)
}

/// Vouch that a lost node runs nothing.
pub(super) fn confirm_dead(
    daemon: &mut Daemon,
    node: String,
    sure: bool,
    patience: Duration,
) -> Result<Exit, Failure> {
    let snapshot = daemon.status()?.snapshot;
    known_node(&snapshot, &node)?;
    // Of a node that is heard nobody is asked to vouch: the daemon says so.
    let heard = view::node(&snapshot, &node).is_some_and(view::is_heard);
    if !sure && !heard {
        ask(&snapshot, &node)?;
    }
    let (message, _) = daemon.command(Command::ConfirmDead { node: node.clone() })?;
    watch(daemon, &message, &Goal::Dead { node }, patience)
}

fn this_or(daemon: &mut Daemon, node: Option<String>) -> Result<String, Failure> {
    let snapshot = daemon.status()?.snapshot;
    match node {
        Some(node) => known_node(&snapshot, &node).map(|()| node),
        None => Ok(snapshot.node),
    }
}

/// Have the operator type the node's name, after telling what hangs on it.
fn ask(snapshot: &Snapshot, node: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "this is asked on a terminal; a script that knows that {node} is off says --yes"
        )));
    }
    let groups: Vec<&str> = snapshot.groups.iter().map(|group| group.name.as_str()).collect();
    output::say(&format!(
        "You vouch that {node} runs nothing: it has no power, or lubdub and its services are stopped there.\n\
         If it still runs {}, two nodes will, and data can be lost.\n\
         Type the name of the node to go on:",
        groups.join(" or ")
    ));
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::Failed(format!("cannot read the answer: {error}")))?;
    if answer.trim() == node {
        Ok(())
    } else {
        Err(Failure::Failed(format!("`{}` is not `{node}`: nothing was done", answer.trim())))
    }
}

fn watch(
    daemon: &mut Daemon,
    message: &str,
    goal: &Goal,
    patience: Duration,
) -> Result<Exit, Failure> {
    output::say(message);
    let look = || daemon.status().map(|status| goal.progress(&status.snapshot));
    let (what, took) = wait(patience, look, output::say)?;
    output::result(&format!("{what} ({})", Span(took)))?;
    Ok(Exit::Fine)
}

impl Goal {
    fn progress(&self, now: &Snapshot) -> Progress {
        match self {
            Self::Moved { group, to, from } => moved(now, group, to.as_deref(), from.as_deref()),
            Self::Standby { node } => standing_by(now, node),
            Self::Online { node } => match view::node(now, node) {
                Some(view) if view.standby.is_none() => {
                    Progress::Done(format!("{node} takes part"))
                }
                Some(_) => Progress::Waiting(format!("{node} is still in standby")),
                None => gone("node", node),
            },
            Self::Maintenance { on } => maintained(now, *on),
            Self::Dead { node } => buried(now, node),
        }
    }
}

fn gone(kind: &str, name: &str) -> Progress {
    Progress::Failed(format!("{kind} {name} is no longer in the configuration"))
}

fn blocked(group: &str, node: &str) -> Progress {
    Progress::Failed(format!(
        "{group} is blocked: a stop failed on {node}; lubdub status says what to do"
    ))
}

fn moved(now: &Snapshot, group: &str, to: Option<&str>, from: Option<&str>) -> Progress {
    let Some(view) = view::group(now, group) else { return gone("group", group) };
    match view::place(now, view) {
        Place::Blocked(node) => match to {
            Some(to) if to != node => Progress::Failed(format!(
                "{group} is blocked: a stop failed on {node}; lubdub status says what to do, and then it goes to {to}"
            )),
            Some(_) | None => blocked(group, node),
        },
        Place::Started(node) if to == Some(node) || (to.is_none() && from != Some(node)) => {
            Progress::Done(match from {
                Some(from) if from != node => {
                    format!("{group} runs on {node}, no longer on {from}")
                }
                Some(_) | None => format!("{group} runs on {node}"),
            })
        }
        // The daemon decided on another node after it had accepted the move: the start failed there, say.
        Place::Started(node) if to.is_some() && view.target.as_deref() == Some(node) => {
            let wanted = to.unwrap_or_default();
            let why = cannot_move(now, group, wanted).unwrap_or_else(|| view.reason.to_string());
            Progress::Failed(format!("{group} runs on {node}, not on {wanted}: {why}"))
        }
        place @ (Place::Started(_)
        | Place::Twice(..)
        | Place::Changing(..)
        | Place::MayRun(_)
        | Place::Nowhere) => Progress::Waiting(going_on(view, place)),
    }
}

fn going_on(group: &GroupView, place: Place<'_>) -> String {
    let name = &group.name;
    match place {
        Place::Started(node) => format!("{name} still runs on {node}"),
        Place::Blocked(node) => format!("{name} is blocked on {node}"),
        Place::Twice(one, other) => format!("{name} runs on {one} and {other}"),
        Place::Changing(node, run) => format!("{name} is {} on {node}", view::run_word(run)),
        Place::MayRun(node) => format!("{name} may still run on {node}, which is silent"),
        Place::Nowhere => format!("{name} runs nowhere yet: {}", group.reason),
    }
}

fn maintained(now: &Snapshot, on: bool) -> Progress {
    let Some(view) = now.maintenance.as_ref().filter(|view| view.on == on) else {
        return match (on, &now.maintenance) {
            (false, None) => Progress::Done("maintenance is over".to_owned()),
            (false, Some(_)) => Progress::Waiting("maintenance is not over yet".to_owned()),
            (true, _) => Progress::Failed("maintenance was ended meanwhile".to_owned()),
        };
    };
    let mut waits = view.waits_for.iter();
    let next = match on {
        true => waits.next(),
        // Whoever is not heard may not be for long: the daemon has said what that means.
        false => waits.find(|(_, wait)| *wait != Wait::Silent),
    };
    match next {
        Some((node, wait)) => Progress::Waiting(waiting(view, node, *wait)),
        None if on => Progress::Done("maintenance is in force on every node".to_owned()),
        None => Progress::Done("maintenance is over on every node that is heard".to_owned()),
    }
}

fn standing_by(now: &Snapshot, node: &str) -> Progress {
    match view::node(now, node) {
        None => return gone("node", node),
        Some(view) if view.standby.is_none() => {
            return Progress::Waiting(format!("{node} is not in standby yet"));
        }
        Some(_) => {}
    }
    for group in &now.groups {
        let place = view::place(now, group);
        match place {
            Place::Blocked(at) if at == node => return blocked(&group.name, at),
            Place::Started(at) | Place::Changing(at, _) | Place::MayRun(at) if at == node => {
                if let Some(section) = disagreement(now, node) {
                    return Progress::Failed(format!(
                        "{node} is in standby, but keeps {}: {section} differs between the nodes' files, and nothing \
                         moves until they say the same; lubdub status says more",
                        group.name
                    ));
                }
                return match &group.reason {
                    Reason::NobodyElse { .. } => Progress::Failed(format!(
                        "{node} is in standby, but keeps {}: no other node is able{}; lubdub status says more",
                        group.name,
                        others(group, node)
                    )),
                    Reason::Preferred
                    | Reason::StaysPut
                    | Reason::Came { .. }
                    | Reason::Wished { .. }
                    | Reason::BestAble { .. }
                    | Reason::Failback
                    | Reason::Blocked { .. }
                    | Reason::NobodyAble { .. }
                    | Reason::Maintenance { .. }
                    | Reason::Starting => Progress::Waiting(going_on(group, place)),
                };
            }
            Place::Twice(one, other) if one == node || other == node => {
                return Progress::Waiting(going_on(group, place));
            }
            // Standby is done when what ran there is served again, so that a group between two nodes is waited for.
            Place::Changing(..) => return Progress::Waiting(going_on(group, place)),
            Place::Nowhere if group.target.is_some() => {
                return Progress::Waiting(going_on(group, place));
            }
            Place::Started(_)
            | Place::Twice(..)
            | Place::Blocked(_)
            | Place::MayRun(_)
            | Place::Nowhere => {}
        }
    }
    let heard = view::node(now, node).is_some_and(view::is_heard);
    Progress::Done(if heard {
        format!("{node} is in standby and runs nothing")
    } else {
        format!(
            "{node} is in standby when it is heard again; what runs there now is not known here"
        )
    })
}

/// What the guard rests on and the file of a node, or of one that would take its groups, says otherwise.
fn disagreement(now: &Snapshot, node: &str) -> Option<Section> {
    let peers = now.nodes.iter().filter(|peer| node == now.node || peer.name == node);
    let mut differing = peers.filter_map(|peer| peer.peer.as_ref()).flat_map(|peer| &peer.differs);
    differing.find(|section| section.binds()).copied()
}

/// ` (beta is lost)`: the other nodes, with what is wrong with them.
fn others(group: &GroupView, node: &str) -> String {
    let others = group.unable.iter().filter(|(name, _)| name != node);
    let why: Vec<String> = others.map(|(name, why)| format!("{name} {why}")).collect();
    if why.is_empty() { String::new() } else { format!(" ({})", why.join(", ")) }
}

fn buried(now: &Snapshot, node: &str) -> Progress {
    match view::node(now, node).map(|view| view.state) {
        None => return gone("node", node),
        Some(NodeState::Up | NodeState::Late) => {
            return Progress::Failed(format!("{node} is heard again: it is alive"));
        }
        Some(NodeState::Lost | NodeState::Unknown) => {
            return Progress::Waiting(format!("{node} does not count as dead yet"));
        }
        Some(NodeState::Dead | NodeState::Left) => {}
    }
    if now.maintenance.as_ref().is_some_and(|view| view.on) {
        return Progress::Done(format!(
            "{node} counts as dead; its groups are taken over when maintenance ends: lubdub maintenance off"
        ));
    }
    let mut runs = Vec::new();
    for group in &now.groups {
        match (view::place(now, group), &group.target) {
            (Place::Blocked(at), _) => return blocked(&group.name, at),
            (Place::Started(at), _) => runs.push(format!("{} runs on {at}", group.name)),
            (place, Some(_)) => return Progress::Waiting(going_on(group, place)),
            (_, None) => runs.push(format!("{} runs nowhere: {}", group.name, group.reason)),
        }
    }
    Progress::Done(format!("{node} counts as dead; {}", runs.join(", ")))
}

#[cfg(test)]
mod tests;
