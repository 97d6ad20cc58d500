//! A status as a page of figures. Pure: what `lubdub status --json` prints, under names as Prometheus' users expect them
//! (<https://prometheus.io/docs/practices/naming/>): base units, `_total` for what only grows, and for a state one sample for
//! each that there is, 1 for the present one.
//!
//! Counters begin at zero for every name of the configuration, so that the first event shows as an increase.

use std::collections::BTreeMap;

use super::exposition::{Exposition, Kind};
use super::process::Figures;
use crate::agent::Action;
use crate::cluster::guard::GuardLevel;
use crate::cluster::io::Reject;
use crate::cluster::snapshot::{NodeState, PeerView, ResourceState, Snapshot};
use crate::config::Section;
use crate::control::{DaemonFacts, Status};
use crate::wire::{Phase, Run};

use Kind::{Counter, Gauge};

/// The whole page.
pub(super) fn render(status: &Status, figures: &Figures) -> String {
    let mut page = Exposition::default();
    daemon(&mut page, &status.daemon, figures);
    here(&mut page, &status.snapshot);
    nodes(&mut page, &status.snapshot);
    silences(&mut page, &status.snapshot);
    peers(&mut page, &status.snapshot);
    links(&mut page, &status.snapshot);
    groups(&mut page, &status.snapshot);
    transitions(&mut page, &status.snapshot);
    resources(&mut page, &status.snapshot);
    page.into_text()
}

fn daemon(page: &mut Exposition, daemon: &DaemonFacts, figures: &Figures) {
    page.family("lubdub_build_info", Gauge, "The version of the daemon; always 1.")
        .put(&[("version", &daemon.version)], 1);
    page.family(
        "lubdub_realtime",
        Gauge,
        "Whether it got all of memory lock, priority and OOM score.",
    )
    .flag(&[], daemon.realtime.is_empty());
    page.family(
        "lubdub_kernel_drops_total",
        Counter,
        "Datagrams from peers' addresses that the kernel dropped because a buffer was full.",
    )
    .put(&[], daemon.kernel_drops);
    page.family("lubdub_key_id", Gauge, "Id of the key that this node signs with.")
        .put(&[], daemon.keys.sending);
    let mut accepted = page.family(
        "lubdub_key_accepted",
        Gauge,
        "Ids of the keys that this node accepts; always 1.",
    );
    for key in &daemon.keys.accepted {
        accepted.put(&[("key", &key.to_string())], 1);
    }
    page.family(
        "process_start_time_seconds",
        Gauge,
        "When the daemon began, since the Unix epoch.",
    )
    .put(&[], figures.start);
    if let Some(cpu) = figures.cpu {
        page.family("process_cpu_seconds_total", Counter, "Processor time of the daemon.")
            .put(&[], cpu.as_secs_f64());
    }
    if let Some(resident) = figures.resident {
        page.family("process_resident_memory_bytes", Gauge, "Memory that the daemon uses.")
            .put(&[], resident);
    }
}

fn here(page: &mut Exposition, snapshot: &Snapshot) {
    page.family("lubdub_cluster_info", Gauge, "This node and its cluster; always 1.")
        .put(&[("cluster", &snapshot.cluster), ("node", &snapshot.node)], 1);
    let phase = match snapshot.phase {
        Phase::Starting => "starting",
        Phase::Active => "active",
        Phase::Leaving => "leaving",
    };
    page.family("lubdub_phase", Gauge, "How far this node is.").state(
        &[],
        &["starting", "active", "leaving"],
        phase,
    );
    page.family("lubdub_warntime_seconds", Gauge, "Silence of a peer that is late.")
        .put(&[], snapshot.warntime.as_secs_f64());
    page.family("lubdub_deadtime_seconds", Gauge, "Silence of a peer that is lost.")
        .put(&[], snapshot.deadtime.as_secs_f64());
    page.family("lubdub_disk_writable", Gauge, "Whether terms, wishes and history reach the disk.")
        .flag(&[], snapshot.disk.is_none());
    page.family(
        "lubdub_pauses_total",
        Counter,
        "How often this daemon stood still for longer than half of deadtime.",
    )
    .put(&[], snapshot.counts.pauses);
    let mut refused =
        page.family("lubdub_datagrams_refused_total", Counter, "Datagrams refused, by reason.");
    let mut kinds = BTreeMap::from(REJECTS.map(|why| (why, 0)));
    kinds.extend(&snapshot.refused);
    for (why, count) in kinds {
        refused.put(&[("reason", reject_word(why))], count);
    }
    let mut answers = page.family(
        "lubdub_ping_node_up",
        Gauge,
        "Whether the ping node answered recently enough.",
    );
    for ping in &snapshot.ping {
        answers.flag(&[("target", &ping.target.to_string())], ping.answers);
    }
    let mut ages =
        page.family("lubdub_ping_node_answer_age_seconds", Gauge, "Age of the newest answer.");
    for ping in &snapshot.ping {
        if let Some(age) = ping.answered {
            ages.put(&[("target", &ping.target.to_string())], age.as_secs_f64());
        }
    }
}

fn nodes(page: &mut Exposition, snapshot: &Snapshot) {
    let mut states = page.family("lubdub_node_state", Gauge, "How a node is, as this one sees it.");
    for node in &snapshot.nodes {
        let state = match node.state {
            NodeState::Up => "up",
            NodeState::Late => "late",
            NodeState::Lost => "lost",
            NodeState::Dead => "dead",
            NodeState::Left => "left",
            NodeState::Unknown => "unknown",
        };
        let all = ["up", "late", "lost", "dead", "left", "unknown"];
        states.state(&[("node", &node.name)], &all, state);
    }
    let mut standby =
        page.family("lubdub_node_standby", Gauge, "Whether an operator put a node in standby.");
    for node in &snapshot.nodes {
        standby.flag(&[("node", &node.name)], node.standby.is_some());
    }
    let maintenance = snapshot.maintenance.as_ref();
    page.family("lubdub_maintenance", Gauge, "Whether an operator asked for maintenance.")
        .flag(&[], maintenance.is_some_and(|view| view.on));
    page.family("lubdub_maintenance_in_force", Gauge, "Whether every node keeps to it.")
        .flag(&[], maintenance.is_some_and(|view| view.on && view.in_force));
    let mut sight = page.family(
        "lubdub_node_sees_ping_node",
        Gauge,
        "Whether a node that is up sees a ping node.",
    );
    for node in &snapshot.nodes {
        if let Some(sees) = node.ping {
            sight.flag(&[("node", &node.name)], sees);
        }
    }
}

/// Peers that were heard in their present life.
fn heard(snapshot: &Snapshot) -> impl Iterator<Item = (&str, &PeerView)> {
    snapshot.nodes.iter().filter_map(|node| Some((node.name.as_str(), node.peer.as_ref()?)))
}

fn silences(page: &mut Exposition, snapshot: &Snapshot) {
    let mut silence =
        page.family("lubdub_peer_silence_seconds", Gauge, "Time without a round trip to a peer.");
    for (peer, view) in heard(snapshot) {
        silence.put(&[("peer", peer)], view.silence.as_secs_f64());
    }
    let mut worst = page.family(
        "lubdub_peer_worst_silence_seconds",
        Gauge,
        "The longest silence of a peer that ended; deadtime has to stand clear of it.",
    );
    for (peer, view) in heard(snapshot) {
        worst.put(&[("peer", peer)], view.worst_silence.as_secs_f64());
    }
    let peers = || snapshot.nodes.iter().filter(|node| node.name != snapshot.node);
    let counts = |peer: &str| snapshot.counts.peers.get(peer).copied().unwrap_or_default();
    let mut late =
        page.family("lubdub_peer_late_total", Counter, "Silences of a peer past warntime.");
    for peer in peers() {
        late.put(&[("peer", &peer.name)], counts(&peer.name).late);
    }
    let mut lost =
        page.family("lubdub_peer_lost_total", Counter, "Silences of a peer past deadtime.");
    for peer in peers() {
        lost.put(&[("peer", &peer.name)], counts(&peer.name).lost);
    }
}

fn peers(page: &mut Exposition, snapshot: &Snapshot) {
    let mut trips =
        page.family("lubdub_peer_round_trip_seconds", Gauge, "The newest round trip to a peer.");
    for (peer, view) in heard(snapshot) {
        if let Some(trip) = view.round_trip {
            trips.put(&[("peer", peer)], trip.as_secs_f64());
        }
    }
    let mut offsets = page.family(
        "lubdub_peer_clock_offset_seconds",
        Gauge,
        "How far the clock of a peer is ahead of this node's.",
    );
    for (peer, view) in heard(snapshot) {
        if let Some(micros) = view.clock_offset_us {
            offsets.put(&[("peer", peer)], seconds(micros));
        }
    }
    let mut keys =
        page.family("lubdub_peer_key_id", Gauge, "Id of the key that a peer signs with.");
    for (peer, view) in heard(snapshot) {
        if let Some(key) = view.key {
            keys.put(&[("peer", peer)], key);
        }
    }
    let mut differs = page.family(
        "lubdub_peer_config_differs",
        Gauge,
        "Whether a section of a peer's configuration differs from this node's.",
    );
    for (peer, view) in heard(snapshot) {
        for section in Section::ALL {
            let labels = [("peer", peer), ("section", section_word(section))];
            differs.flag(&labels, view.differs.contains(&section));
        }
    }
}

fn links(page: &mut Exposition, snapshot: &Snapshot) {
    let mut ready = page.family("lubdub_link_ready", Gauge, "Whether this node can use a link.");
    for (link, waiting) in &snapshot.links {
        ready.flag(&[("link", link)], waiting.is_none());
    }
    let mut up = page.family(
        "lubdub_link_up",
        Gauge,
        "Whether a link works; direction in: this node hears the peer, out: the peer hears this node.",
    );
    for (peer, view) in heard(snapshot) {
        for link in &view.links {
            for (direction, works) in [("in", link.heard), ("out", link.hears)] {
                let labels = [("peer", peer), ("link", &*link.name), ("direction", direction)];
                up.flag(&labels, works);
            }
        }
    }
}

fn groups(page: &mut Exposition, snapshot: &Snapshot) {
    let mut states = page.family(
        "lubdub_group_state",
        Gauge,
        "What a node does with a group, as this node knows it; all 0: nothing of it is known to run there.",
    );
    for group in &snapshot.groups {
        for node in &snapshot.nodes {
            let run = group.holders.iter().find(|(name, _, _)| *name == node.name);
            let labels = [("group", group.name.as_str()), ("node", node.name.as_str())];
            let all = ["claiming", "starting", "started", "stopping", "blocked"];
            states.state(&labels, &all, run.map_or("", |(_, run, _)| run_word(*run)));
        }
    }
    let mut holders = page.family(
        "lubdub_group_holders",
        Gauge,
        "Nodes that are known to run all of a group; anything but 1 wants a look.",
    );
    for group in &snapshot.groups {
        let started = group.holders.iter().filter(|(_, run, _)| *run == Run::Started).count();
        holders.put(&[("group", &group.name)], started);
    }
    let mut targets =
        page.family("lubdub_group_target", Gauge, "Whether a group belongs on a node.");
    for group in &snapshot.groups {
        for node in &snapshot.nodes {
            let labels = [("group", group.name.as_str()), ("node", node.name.as_str())];
            targets.flag(&labels, group.target.as_ref() == Some(&node.name));
        }
    }
    let mut levels = page.family(
        "lubdub_group_guard_level",
        Gauge,
        "What the guard may promise for a group now.",
    );
    for group in &snapshot.groups {
        for level in [GuardLevel::None, GuardLevel::Ping, GuardLevel::Arp, GuardLevel::PingArp] {
            let labels = [("group", group.name.as_str()), ("level", &*level.to_string())];
            levels.flag(&labels, level == group.level);
        }
    }
    let mut weaker = page.family(
        "lubdub_group_guard_weakened",
        Gauge,
        "Whether that is less than what the configuration asks for.",
    );
    for group in &snapshot.groups {
        weaker.flag(&[("group", &group.name)], group.weaker.is_some());
    }
}

fn transitions(page: &mut Exposition, snapshot: &Snapshot) {
    let counts = |group: &str| snapshot.counts.groups.get(group).cloned().unwrap_or_default();
    let mut transitions = page.family(
        "lubdub_group_transitions_total",
        Counter,
        "What became of a group on this node.",
    );
    for group in &snapshot.groups {
        let counts = counts(&group.name);
        for (to, count) in [
            ("started", counts.started),
            ("adopted", counts.adopted),
            ("stopped", counts.stopped),
            ("blocked", counts.blocked),
        ] {
            transitions.put(&[("group", &group.name), ("to", to)], count);
        }
    }
    let mut refused = page.family(
        "lubdub_group_takeovers_refused_total",
        Counter,
        "Takeovers that the guard refused to this node.",
    );
    for group in &snapshot.groups {
        refused.put(&[("group", &group.name)], counts(&group.name).refused);
    }
    let mut both = page.family(
        "lubdub_group_both_active_total",
        Counter,
        "How often this node and another one were seen with a group.",
    );
    for group in &snapshot.groups {
        both.put(&[("group", &group.name)], counts(&group.name).both_active);
    }
}

fn resources(page: &mut Exposition, snapshot: &Snapshot) {
    let all = || {
        let of_group = |group| std::iter::repeat(group);
        snapshot.groups.iter().flat_map(move |group| of_group(group).zip(&group.resources))
    };
    let mut states =
        page.family("lubdub_resource_state", Gauge, "What a resource does on this node.");
    for (group, resource) in all() {
        let labels = [
            ("group", group.name.as_str()),
            ("resource", resource.name.as_str()),
            ("agent", resource.agent.as_str()),
        ];
        let states_of_all =
            ["unknown", "stopped", "starting", "started", "stopping", "failed", "blocked"];
        states.state(&labels, &states_of_all, resource_word(resource.state));
    }
    let mut failures = page.family(
        "lubdub_resource_failures_total",
        Counter,
        "Actions of a resource's agent that failed on this node.",
    );
    for (group, resource) in all() {
        let counts = snapshot.counts.groups.get(&group.name);
        let counts = counts.and_then(|counts| counts.failures.get(&resource.name));
        for action in [Action::Start, Action::Stop, Action::Monitor] {
            let count = counts.and_then(|counts| counts.get(&action)).copied().unwrap_or(0);
            let labels = [
                ("group", group.name.as_str()),
                ("resource", resource.name.as_str()),
                ("action", action.word()),
            ];
            failures.put(&labels, count);
        }
    }
}

/// Microseconds as decimal seconds, to the last digit.
fn seconds(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let (whole, rest) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    format!("{sign}{whole}.{rest:06}")
}

/// Those that are there before the first.
const REJECTS: [Reject; 8] = [
    Reject::Malformed,
    Reject::ForeignCluster,
    Reject::UnknownKey,
    Reject::BadTag,
    Reject::UnknownNode,
    Reject::OwnName,
    Reject::Replayed,
    Reject::Unproven,
];

/// As `lubdub status --json` has them.
fn reject_word(why: Reject) -> &'static str {
    match why {
        Reject::Malformed => "malformed",
        Reject::ForeignCluster => "foreign_cluster",
        Reject::UnknownKey => "unknown_key",
        Reject::BadTag => "bad_tag",
        Reject::UnknownNode => "unknown_node",
        Reject::OwnName => "own_name",
        Reject::Replayed => "replayed",
        Reject::Unproven => "unproven",
    }
}

fn section_word(section: Section) -> &'static str {
    match section {
        Section::Heartbeat => "heartbeat",
        Section::Nodes => "node",
        Section::Guard => "guard",
        Section::Groups => "group",
    }
}

fn run_word(run: Run) -> &'static str {
    match run {
        Run::Unknown | Run::Stopped => "",
        Run::Claiming => "claiming",
        Run::Starting => "starting",
        Run::Started => "started",
        Run::Stopping => "stopping",
        Run::Blocked => "blocked",
    }
}

fn resource_word(state: ResourceState) -> &'static str {
    match state {
        ResourceState::Unknown => "unknown",
        ResourceState::Stopped => "stopped",
        ResourceState::Starting => "starting",
        ResourceState::Started => "started",
        ResourceState::Stopping => "stopping",
        ResourceState::Failed => "failed",
        ResourceState::Blocked => "blocked",
    }
}

#[cfg(test)]
mod tests;
