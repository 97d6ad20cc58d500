//! What is not as it should be in a status: what, why, and what to do. Pure.

use std::time::Duration;

use serde::Serialize;

use super::{keys, maintenance};
use crate::cli::output::age;
use crate::cli::view::{self, Place};
use crate::cluster::guard::{Doubt, GuardLevel};
use crate::cluster::io::Reject;
use crate::cluster::placement::Reason;
use crate::cluster::snapshot::{GroupView, LinkView, NodeState, NodeView, PeerView, Snapshot};
use crate::cluster::{ClockOffset, DoubtAbout, Span};
use crate::config::Section;
use crate::control::Status;
use crate::wire::Phase;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grade {
    /// The cluster does not do, or could not at the next failure, what it is there for: exit code 3.
    Degraded,
    /// It does, and something wants a look.
    Warning,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    #[serde(skip)]
    pub(super) grade: Grade,
    /// One sentence.
    #[serde(rename = "sentence")]
    pub(super) what: String,
    /// What stands behind it.
    pub(super) why: Vec<String>,
    /// What to do about it.
    pub(super) todo: Vec<String>,
}

impl Finding {
    pub(super) fn degraded(what: String) -> Self {
        Self { grade: Grade::Degraded, what, why: Vec::new(), todo: Vec::new() }
    }

    pub(super) fn warning(what: String) -> Self {
        Self { grade: Grade::Warning, ..Self::degraded(what) }
    }

    pub(super) fn because(mut self, why: impl IntoIterator<Item = String>) -> Self {
        self.why.extend(why);
        self
    }

    pub(super) fn todo(mut self, todo: impl Into<String>) -> Self {
        self.todo.push(todo.into());
        self
    }
}

/// Everything that is not as it should be, the worst first, each part of the cluster in its order.
pub(super) fn findings(status: &Status) -> Vec<Finding> {
    let snapshot = &status.snapshot;
    let mut found = Vec::new();
    for group in &snapshot.groups {
        found.extend(holder(snapshot, group));
        found.extend(nobody_else(snapshot, group));
        found.extend(guard(snapshot, group));
        found.extend(resources(snapshot, group));
    }
    found.extend(maintenance::finding(snapshot));
    for node in &snapshot.nodes {
        found.extend(doubled(snapshot, node));
        found.extend(node_state(snapshot, node));
        if let Some(peer) = node.peer.as_ref().filter(|_| view::is_heard(node)) {
            found.extend(peer_figures(snapshot, node, peer));
        }
    }
    found.extend(keys::differing(status));
    found.extend(own_links(snapshot));
    found.extend(pings(snapshot));
    found.extend(refused(snapshot));
    found.extend(machine(status));
    found.sort_by_key(|finding| finding.grade);
    found
}

fn holder(snapshot: &Snapshot, group: &GroupView) -> Option<Finding> {
    let name = &group.name;
    match view::place(snapshot, group) {
        Place::Started(_) => None,
        Place::Blocked(node) => Some(
            Finding::degraded(format!("{name} is blocked: a stop failed on {node}, so it starts nowhere else"))
                .because(group.resources.iter().filter_map(|resource| {
                    resource.failure.as_ref().map(|failure| format!("{}: {failure}", resource.name))
                }))
                .todo(format!("on {node}: end by hand what still runs of it; lubdub looks again every 10 s and goes on"))
                .todo(format!("or switch {node} off, then on another node: lubdub confirm-dead {node}")),
        ),
        Place::Twice(one, other) => Some(
            Finding::degraded(format!("{name} runs on {one} and on {other}"))
                .because(["two nodes started it while they could not hear each other".to_owned()])
                .todo("one of them lets go by itself at once; if this stays, stop lubdub on one of them"),
        ),
        Place::Changing(node, run) => {
            let doing = view::run_word(run);
            let what = if knows_all(snapshot) {
                format!("{name} has no holder at this moment: {doing} on {node}")
            } else {
                format!("no holder of {name} is known here: {doing} on {node}")
            };
            Some(doubted(snapshot, group, what))
        }
        Place::MayRun(node) => {
            Some(doubted(snapshot, group, format!("{name}: {node} is silent, but may still run it")))
        }
        Place::Nowhere => {
            let what = if knows_all(snapshot) {
                format!("{name} runs nowhere: {}", group.reason)
            } else {
                format!("no holder of {name} is known here: {}", group.reason)
            };
            let finding = doubted(snapshot, group, what);
            Some(match &group.reason {
                Reason::NobodyAble { .. } => {
                    finding.todo("bring a node back, or mend what failed (lubdub history says what did)")
                }
                Reason::Preferred
                | Reason::StaysPut
                | Reason::Came { .. }
                | Reason::Wished { .. }
                | Reason::BestAble { .. }
                | Reason::Failback
                | Reason::NobodyElse { .. }
                | Reason::Blocked { .. }
                | Reason::Maintenance { .. }
                | Reason::Starting => finding,
            })
        }
    }
}

/// Whether no node is silent, nor hidden behind another one's name, so that what nobody is said to run nobody runs.
pub(super) fn knows_all(snapshot: &Snapshot) -> bool {
    let hidden = snapshot.nodes.iter().any(|node| node.doubled);
    !hidden
        && snapshot.nodes.iter().all(|node| match node.state {
            NodeState::Up | NodeState::Late | NodeState::Dead | NodeState::Left => true,
            NodeState::Lost | NodeState::Unknown => false,
        })
}

/// What stands in the way of a group's start, and what an operator can do about it.
fn doubted(snapshot: &Snapshot, group: &GroupView, what: String) -> Finding {
    let why = group.doubts.iter().map(|(peer, doubt)| DoubtAbout(peer, doubt).to_string());
    let advice = group.doubts.iter().flat_map(|(peer, doubt)| advice(snapshot, peer, doubt));
    advice.fold(Finding::degraded(what).because(why), Finding::todo)
}

/// What an operator can do about a doubt; nothing where waiting is all. Where the address still answers its holder
/// lives: nobody must be led to vouch for its death.
fn advice(snapshot: &Snapshot, peer: &str, doubt: &Doubt) -> Vec<String> {
    let vouch = format!("if {peer} is really off: lubdub confirm-dead {peer}");
    match doubt {
        Doubt::AddressAnswers { .. } => vec![format!(
            "the service on {peer} still answers: look at its heartbeat links and its lubdub daemon"
        )],
        Doubt::PingSilent { .. } => {
            vec!["look at the network of this node, then at the ping node".to_owned(), vouch]
        }
        Doubt::AddressConflict { mac, .. } => {
            const COMPARE: &str = "compare authkeys, and `cluster`, `links` and [[node]] in cluster.toml, of all nodes";
            if refuses_strangers(snapshot) {
                vec![format!(
                    "{mac} is very likely a node of this cluster whose heartbeats are refused here: leave the address \
                     on it, and {COMPARE}"
                )]
            } else {
                vec![
                    format!(
                        "{mac} may be a node of this cluster whose heartbeats are not accepted here: {COMPARE}"
                    ),
                    "only if it is none of them: find that machine and take the address off it"
                        .to_owned(),
                ]
            }
        }
        Doubt::Unwitnessed { .. } => {
            vec!["look at the service network: cable, switch, interface".to_owned(), vouch]
        }
        Doubt::GuardDiffers { section } => {
            vec![
                format!("make {section} the same on both nodes and restart the one that was wrong"),
                vouch,
            ]
        }
        Doubt::StopFailed => vec![vouch],
        Doubt::Maintenance => vec![format!("start lubdub on {peer}"), vouch],
        Doubt::Namesakes
        | Doubt::NoConsent
        | Doubt::RunsThere
        | Doubt::NotLostYet { .. }
        | Doubt::PingTooNew { .. }
        | Doubt::Probing { .. }
        | Doubt::JustPaused => Vec::new(),
    }
}

/// Whether somebody was refused who may be a node of this cluster with other keys or another configuration.
fn refuses_strangers(snapshot: &Snapshot) -> bool {
    [Reject::UnknownKey, Reject::BadTag, Reject::UnknownNode]
        .iter()
        .any(|why| snapshot.refused.get(why).is_some_and(|count| *count > 0))
}

/// The next failure would end a group that runs.
fn nobody_else(snapshot: &Snapshot, group: &GroupView) -> Option<Finding> {
    let Place::Started(holder) = view::place(snapshot, group) else { return None };
    let why = others_unable(snapshot, group, holder)?;
    let name = &group.name;
    Some(Finding::degraded(format!("nobody could take {name} over: {why}")))
}

/// Why no node but the holder can run a group; `None`: one can, or there is no other node.
fn others_unable(snapshot: &Snapshot, group: &GroupView, holder: &str) -> Option<String> {
    let others = snapshot.nodes.iter().filter(|node| node.name != holder);
    let why = others
        .map(|node| {
            let (name, why) = group.unable.iter().find(|(name, _)| *name == node.name)?;
            Some(format!("{name} {why}"))
        })
        .collect::<Option<Vec<String>>>()?;
    (!why.is_empty()).then(|| why.join(", "))
}

fn guard(snapshot: &Snapshot, group: &GroupView) -> Option<Finding> {
    let (name, level) = (&group.name, group.level);
    if let Some(why) = &group.weaker {
        let finding =
            Finding::degraded(format!("the guard of {name} is only `{level}` now: {why}"));
        // With a guard asked for, only a group without an address has none.
        Some(if level == GuardLevel::None {
            finding.todo("add an address (agent IPaddr) to the group, or accept that level")
        } else {
            finding
        })
    } else if level == GuardLevel::None && snapshot.nodes.len() > 1 {
        Some(
            Finding::warning(format!(
                "{name} has no guard: if the nodes lose sight of each other, both run it"
            ))
            .todo("add `ping` and `arp` to [guard] in cluster.toml"),
        )
    } else {
        None
    }
}

fn resources(snapshot: &Snapshot, group: &GroupView) -> Vec<Finding> {
    // What is blocked was said already, with its failure.
    if matches!(view::place(snapshot, group), Place::Blocked(_)) {
        return Vec::new();
    }
    let failed = group.resources.iter().filter_map(|resource| {
        let failure = resource.failure.as_ref()?;
        Some(Finding::warning(format!(
            "{}/{} on {}: {failure}",
            group.name, resource.name, snapshot.node
        )))
    });
    let unable = group.unable.iter().filter_map(|(name, why)| {
        // Nodes that are not heard, or stand by, are findings of their own.
        let node = view::node(snapshot, name)?;
        let told = !view::is_heard(node)
            || node.standby.is_some()
            || Some(name) == group.target.as_ref()
            || nobody_else(snapshot, group).is_some();
        (!told).then(|| {
            Finding::warning(format!("{} could not move to {name}: {name} {why}", group.name))
        })
    });
    let remarks = group.resources.iter().filter_map(|resource| {
        let remark = resource.remark.as_ref()?;
        let (group, resource, node) = (&group.name, &resource.name, &snapshot.node);
        Some(Finding::warning(format!("{group}/{resource} on {node} works, and says: {remark}")))
    });
    failed.chain(remarks).chain(unable).collect()
}

fn doubled(snapshot: &Snapshot, node: &NodeView) -> Option<Finding> {
    let name = &node.name;
    let other = match &snapshot.namesake {
        Some(source) if *name == snapshot.node => format!(": this one, and {source}"),
        Some(_) | None => String::new(),
    };
    let finding =
        Finding::degraded(format!("two machines run lubdub under the name {name}{other}"))
            .because(["neither of them takes anything over".to_owned()])
            .todo(format!("stop lubdub on the one that is not {name}, or give it its own --node"));
    node.doubled.then_some(finding)
}

fn node_state(snapshot: &Snapshot, node: &NodeView) -> Option<Finding> {
    let name = &node.name;
    let silence = node.peer.as_ref().map(|peer| age(peer.silence));
    let lost = match node.state {
        NodeState::Up => {
            let by = node.standby.as_ref()?;
            let keeps: Vec<&str> = snapshot
                .groups
                .iter()
                .filter(|group| view::place(snapshot, group) == Place::Started(name))
                .map(|group| group.name.as_str())
                .collect();
            let what = if keeps.is_empty() {
                "it takes nothing over".to_owned()
            } else {
                format!("it still has {}, and takes nothing over", keeps.join(", "))
            };
            return Some(
                Finding::warning(format!("{name} is in standby ({by} asked for it): {what}"))
                    .todo(format!("when it may work again: lubdub online {name}")),
            );
        }
        NodeState::Late => silence.map_or_else(
            || format!("{name} is late"),
            |s| format!("{name} is late: silent for {s}"),
        ),
        NodeState::Lost | NodeState::Unknown if !node.one_way.is_empty() => {
            let links = node.one_way.join(", ");
            let what = format!("{name} is heard (link {links}), but does not hear this node");
            let refused = format!("on {name}: does lubdub status there tell of refused datagrams?");
            return Some(Finding::degraded(what).todo(refused).todo(way_in(name)));
        }
        NodeState::Lost if node.left_running => {
            format!("{name} left: its daemon ended in maintenance")
        }
        NodeState::Lost => silence.map_or_else(
            || format!("{name} is lost"),
            |s| format!("{name} is lost: silent for {s}"),
        ),
        NodeState::Dead => format!("{name} is dead"),
        NodeState::Left => format!("{name} left: its daemon was stopped in order"),
        NodeState::Unknown => format!("{name} was never heard since this node started"),
    };
    let finding = Finding::degraded(lost);
    Some(match node.state {
        NodeState::Up | NodeState::Late => finding,
        NodeState::Lost if node.left_running => {
            finding.todo(format!("on {name}: systemctl start lubdub"))
        }
        NodeState::Left => finding.todo(format!("on {name}: systemctl start lubdub")),
        NodeState::Unknown => finding
            .todo(format!("on {name}: systemctl status lubdub; then look at the links"))
            .todo(format!(
                "if it runs: compare [heartbeat] links (group, port, interface) of cluster.toml here and on {name}, and \
                 look at the firewalls"
            )),
        NodeState::Lost | NodeState::Dead => {
            finding.todo(format!("on {name}: systemctl status lubdub; then look at the links"))
        }
    })
}

/// What happened longer ago is history.
const RECENT: Duration = Duration::from_secs(24 * 3_600);

/// Silence above this share of deadtime means that the next hiccup is a loss.
const TIGHT_PERCENT: u32 = 70;

fn peer_figures(snapshot: &Snapshot, node: &NodeView, peer: &PeerView) -> Vec<Finding> {
    let name = &node.name;
    let mut found = Vec::new();
    // Of two machines with one name now the one is heard, now the other.
    let doubled = snapshot.nodes.iter().any(|node| node.doubled);
    for link in peer.links.iter().filter(|_| !doubled) {
        let (broken, todo) = match (link.heard, link.hears) {
            (true, true) => {
                found.extend(lossy(snapshot, name, link));
                continue;
            }
            (false, false) => (
                "down".to_owned(),
                "look at cable, switch and firewall (UDP) on this path".to_owned(),
            ),
            (true, false) => (
                format!("one-way: {name} is heard on it, but does not hear this node"),
                way_in(name),
            ),
            (false, true) => (
                format!("one-way: {name} hears this node on it, but is not heard"),
                way_in(&snapshot.node),
            ),
        };
        found
            .push(Finding::warning(format!("link {} to {name} is {broken}", link.name)).todo(todo));
    }
    found.extend(differing(name, peer));
    if let Some(version) = peer.unknown_version {
        found.push(
            Finding::warning(format!(
                "{name} speaks version {version}, which this node cannot read: groups stay put"
            ))
            .todo("upgrade lubdub on the older node"),
        );
    }
    if peer.worst_silence_ago < RECENT
        && peer.worst_silence > snapshot.warntime
        && peer.worst_silence * 100 > snapshot.deadtime * TIGHT_PERCENT
    {
        let (worst, deadtime) = (Span(peer.worst_silence), Span(snapshot.deadtime));
        let ago = age(peer.worst_silence_ago);
        let what = if peer.worst_silence > snapshot.deadtime {
            format!("{name} was lost for {worst}, until {ago} ago")
        } else {
            format!(
                "{name} was silent for {worst} of deadtime {deadtime}, {ago} ago: that is tight"
            )
        };
        found.push(
            Finding::warning(what).todo("find out what stalls (load, network), or raise deadtime"),
        );
    }
    if let (true, Some(offset)) = (peer.clock_apart, peer.clock_offset_us) {
        let (offset, bound) = (ClockOffset(offset), Span(snapshot.warn_offset));
        found.push(
            Finding::warning(format!(
                "the clock of {name} is {offset}, seen from here (more than {bound})"
            ))
            .todo(
                "synchronise both, so that their logs can be compared; nothing else depends on it",
            ),
        );
    }
    found
}

/// A configuration that says otherwise.
fn differing(name: &str, peer: &PeerView) -> Option<Finding> {
    let sections = Section::list(&peer.differs);
    let what = format!("the configuration of {name} differs in {sections}");
    let finding = if peer.differs.iter().any(|section| section.binds()) {
        Finding::degraded(format!("{what}: nothing moves, and nothing is taken over from {name}"))
    } else {
        Finding::warning(what)
    };
    let todo = "copy one cluster.toml to all nodes and restart lubdub, one node at a time";
    (!peer.differs.is_empty()).then(|| finding.todo(todo))
}

/// From this loss on a link is worth a warning: more than the edges of a figure make.
const LOSSY_PERCENT: u8 = 20;

/// A link that works, badly, and in which direction.
fn lossy(snapshot: &Snapshot, name: &str, link: &LinkView) -> Option<Finding> {
    let me = snapshot.node.as_str();
    let ways = [(link.lost_in, name, me), (link.lost_out, me, name)];
    let ways: Vec<String> = ways
        .into_iter()
        .filter_map(|(lost, from, to)| {
            let lost = lost.filter(|lost| *lost >= LOSSY_PERCENT)?;
            Some(format!("{lost} % of what {from} sends on it does not reach {to}"))
        })
        .collect();
    let what = format!("link {} to {name} is half-dead: {}", link.name, ways.join(", "));
    let finding =
        Finding::warning(what).todo("look at cable, duplex, switch and load on this path");
    (!ways.is_empty()).then_some(finding)
}

/// What to look for where a node does not hear another one that is known to speak.
fn way_in(node: &str) -> String {
    format!("on {node}: does a firewall drop UDP that comes in? then look at what lies between")
}

fn own_links(snapshot: &Snapshot) -> Vec<Finding> {
    let waiting = snapshot.links.iter().filter_map(|(link, waiting)| {
        let why = waiting.as_ref()?;
        Some(Finding::warning(format!("link {link} cannot be used on this node: {why}")))
    });
    let single = match snapshot.links.as_slice() {
        [(only, _)] if snapshot.nodes.len() > 1 => Some(
            Finding::warning(format!(
                "`{only}` is the only heartbeat link: one cable decides over losing a node"
            ))
            .todo("add a second link on another network to [heartbeat] in cluster.toml"),
        ),
        _ => None,
    };
    waiting.chain(single).collect()
}

fn pings(snapshot: &Snapshot) -> Vec<Finding> {
    let silent = snapshot.ping.iter().filter(|ping| !ping.answers).map(|ping| {
        let target = ping.target;
        match (&ping.error, ping.answered) {
            (Some(error), _) => {
                Finding::warning(format!("ping node {target} cannot be asked: {error}"))
            }
            (None, Some(ago)) => {
                Finding::warning(format!("ping node {target} answered last {} ago", age(ago)))
                    .todo("while none answers, this node takes nothing over")
            }
            (None, None) => Finding::warning(format!("ping node {target} never answered")).todo(
                "is its address in [guard] right? while none answers, this node takes nothing over",
            ),
        }
    });
    silent.collect()
}

/// Nobody need do anything about a datagram that was refused longer ago.
const LATELY: Duration = Duration::from_secs(600);

/// Refused datagrams that somebody should do something about. A few replayed, unproven or malformed ones, or those of
/// a neighbouring cluster, are everyday life: they only stand in the last lines of the page. But a node that is not heard
/// may be the one that was given another cluster's name.
fn refused(snapshot: &Snapshot) -> Vec<Finding> {
    let counts = |why: Reject| match why {
        Reject::UnknownKey | Reject::BadTag | Reject::UnknownNode => true,
        // Said already, if that machine lives.
        Reject::OwnName => snapshot.namesake.is_none(),
        Reject::ForeignCluster => !knows_all(snapshot),
        Reject::Malformed | Reject::Replayed | Reject::Unproven => false,
    };
    let lately = |why: &Reject| snapshot.refused_ago.get(why).is_none_or(|ago| *ago < LATELY);
    let found =
        snapshot.refused.iter().filter(|(why, count)| **count > 0 && counts(**why) && lately(why));
    found
        .map(|(why, count)| {
            Finding::warning(format!("datagrams refused, {why}: {count}")).todo(why.remedy())
        })
        .collect()
}

fn machine(status: &Status) -> Vec<Finding> {
    let disk = status.snapshot.disk.as_ref().map(|error| {
        Finding::warning(format!("cannot write to disk: {error}"))
            .todo("make room or mend it: terms, wishes and history are forgotten at a restart")
    });
    let drops = (status.daemon.kernel_drops > 0).then(|| {
        Finding::warning(format!(
            "the kernel dropped {} datagrams before lubdub read them",
            status.daemon.kernel_drops
        ))
        .todo("raise net.core.rmem_max, or find out who floods this port")
    });
    let leaving = (status.snapshot.phase == Phase::Leaving).then(|| {
        Finding::warning(format!("{} is leaving: its daemon was told to end", status.snapshot.node))
    });
    disk.into_iter().chain(drops).chain(leaving).collect()
}
