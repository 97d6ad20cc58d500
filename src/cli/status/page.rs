//! The page that `lubdub status` prints: at most 80 columns, aligned, wrapped between words.

use std::collections::BTreeMap;
use std::time::Duration;

use super::finding::{Finding, Grade, findings, knows_all};
use super::keys;
use crate::cli::output::{Paint, Tone, age, width_of, wrap};
use crate::cli::view::{self, Place};
use crate::cluster::guard::GuardLevel;
use crate::cluster::io::Reject;
use crate::cluster::snapshot::{
    GroupView, LinkView, NodeState, NodeView, PeerView, ResourceState, Snapshot,
};
use crate::cluster::{ClockOffset, Span};
use crate::control::Status;
use crate::wire::Phase;

/// Columns of the page.
const WIDTH: usize = 80;

/// The whole page.
pub(super) fn render(status: &Status, paint: Paint) -> String {
    let snapshot = &status.snapshot;
    let found = findings(status);
    let mut page = Page { text: String::new(), paint };
    page.title(snapshot, &found);
    page.groups(snapshot);
    page.nodes(snapshot);
    page.guards(snapshot);
    page.findings("degraded", Tone::Bad, &found, Grade::Degraded);
    page.findings("warnings", Tone::Warn, &found, Grade::Warning);
    page.daemon(status);
    page.text
}

struct Page {
    text: String,
    paint: Paint,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn heading(&mut self, tone: Tone, text: &str) {
        let heading = self.paint.tone(tone, text);
        self.line("");
        self.line(&heading);
    }

    /// Text after a first column of `indent` characters that is there already, wrapped below itself.
    fn hanging(&mut self, first: &str, indent: usize, text: &str) {
        let mut lines = wrap(text, WIDTH - indent).into_iter();
        self.line(&format!("{first}{}", lines.next().unwrap_or_default()));
        for line in lines {
            self.line(&format!("{:indent$}{line}", ""));
        }
    }

    fn title(&mut self, snapshot: &Snapshot, found: &[Finding]) {
        let title = format!(
            "cluster {} · seen from {}, up {}",
            snapshot.cluster,
            snapshot.node,
            age(snapshot.uptime)
        );
        let (tone, verdict) = verdict(found);
        let room = WIDTH.saturating_sub(width_of(&title) + width_of(&verdict));
        let title = self.paint.tone(Tone::Head, &title);
        let verdict = self.paint.tone(tone, &verdict);
        if room < 2 {
            self.line(&title);
            self.line(&verdict);
        } else {
            self.line(&format!("{title}{:room$}{verdict}", ""));
        }
        if snapshot.phase == Phase::Starting {
            let wait = snapshot.joins_in.map_or_else(
                || "this node is starting: it looks at what runs here".to_owned(),
                |most| {
                    format!(
                        "this node is starting: it waits for the others, at most {} more",
                        age(most)
                    )
                },
            );
            self.hanging("", 0, &wait);
        }
    }

    fn groups(&mut self, snapshot: &Snapshot) {
        self.heading(Tone::Head, "groups");
        let rows: Vec<Row> =
            snapshot.groups.iter().map(|group| group_row(snapshot, group)).collect();
        self.rows(&rows);
    }

    fn nodes(&mut self, snapshot: &Snapshot) {
        self.heading(Tone::Head, "nodes");
        let rows: Vec<Row> = snapshot.nodes.iter().map(|node| node_row(snapshot, node)).collect();
        self.rows(&rows);
    }

    fn rows(&mut self, rows: &[Row]) {
        let widest = |column: fn(&Row) -> &str| {
            rows.iter().map(|row| width_of(column(row))).max().unwrap_or(0)
        };
        let (name, state) = (widest(|row| &row.name), widest(|row| &row.state));
        let indent = 2 + name + 2 + state + 2;
        for row in rows {
            let state = self.paint.tone(row.tone, &format!("{:state$}", row.state));
            let mut first = format!("  {:name$}  {state}  ", row.name);
            for detail in &row.details {
                self.hanging(&first, indent, detail);
                first = format!("{:indent$}", "");
            }
        }
    }

    fn guards(&mut self, snapshot: &Snapshot) {
        let mut levels: BTreeMap<GuardLevel, Vec<&str>> = BTreeMap::new();
        for group in &snapshot.groups {
            levels.entry(group.level).or_default().push(&group.name);
        }
        let several = levels.len() > 1;
        self.line("");
        for (level, groups) in levels {
            let whose = if several { format!(" ({})", groups.join(", ")) } else { String::new() };
            let first = self.paint.tone(Tone::Head, &format!("guard {level}"));
            let indent = width_of(&format!("guard {level}")) + 2;
            let text = promise(level);
            if several {
                self.line(&format!("{first}{whose}"));
                self.hanging("  ", 2, text);
            } else {
                self.hanging(&format!("{first}  "), indent, text);
            }
        }
    }

    fn findings(&mut self, heading: &str, tone: Tone, found: &[Finding], grade: Grade) {
        let mut found = found.iter().filter(|finding| finding.grade == grade).peekable();
        if found.peek().is_some() {
            self.heading(tone, heading);
        }
        for finding in found {
            self.hanging("  ", 4, &finding.what);
            for why in &finding.why {
                self.hanging("    ", 6, why);
            }
            for todo in &finding.todo {
                self.hanging("    → ", 6, todo);
            }
        }
    }

    fn daemon(&mut self, status: &Status) {
        let daemon = &status.daemon;
        self.line("");
        let facts = format!(
            "daemon  {}, pid {}, signs with key {}",
            daemon.version, daemon.pid, daemon.keys.sending
        );
        self.hanging("", 8, &facts);
        if let Some(spare) = keys::spare(status) {
            self.hanging("        ", 8, &spare);
        }
        for note in &daemon.realtime {
            self.hanging("        ", 8, note);
        }
        let refused: Vec<String> = status
            .snapshot
            .refused
            .iter()
            .filter(|(why, count)| **count > everyday(**why))
            .map(|(why, count)| format!("{count} {why}"))
            .collect();
        if !refused.is_empty() {
            self.hanging("        ", 8, &format!("refused datagrams: {}", refused.join(", ")));
        }
    }
}

/// So many refused datagrams are not worth a word: a daemon that starts again has to prove itself first, and its goodbye
/// comes several times.
fn everyday(why: Reject) -> u64 {
    match why {
        Reject::Unproven | Reject::Replayed => 100,
        Reject::Malformed
        | Reject::ForeignCluster
        | Reject::UnknownKey
        | Reject::BadTag
        | Reject::UnknownNode
        | Reject::OwnName => 0,
    }
}

/// Name, coloured state, and lines of detail: the first beside them, others below it.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) tone: Tone,
    pub(super) details: Vec<String>,
}

pub(super) fn verdict(found: &[Finding]) -> (Tone, String) {
    if found.iter().any(|finding| finding.grade == Grade::Degraded) {
        return (Tone::Bad, "DEGRADED".to_owned());
    }
    match found.len() {
        0 => (Tone::Good, "all fine".to_owned()),
        1 => (Tone::Warn, "works, 1 warning".to_owned()),
        more => (Tone::Warn, format!("works, {more} warnings")),
    }
}

pub(super) fn group_row(snapshot: &Snapshot, group: &GroupView) -> Row {
    let place = view::place(snapshot, group);
    let (state, tone, what) = match place {
        Place::Started(node) => {
            (node.to_owned(), Tone::Good, format!("{}, {}", started(group), group.reason))
        }
        Place::Blocked(node) => (node.to_owned(), Tone::Bad, "BLOCKED, see below".to_owned()),
        Place::Twice(one, other) => {
            (format!("{one}+{other}"), Tone::Bad, "RUNS TWICE, see below".to_owned())
        }
        Place::Changing(node, run) => (node.to_owned(), Tone::Warn, view::run_word(run).to_owned()),
        Place::MayRun(node) => {
            (format!("{node}?"), Tone::Bad, "silent, but may still run it, see below".to_owned())
        }
        Place::Nowhere => {
            let where_it_is = if knows_all(snapshot) { "nowhere" } else { "not known" };
            (where_it_is.to_owned(), Tone::Bad, group.reason.to_string())
        }
    };
    let mut details = vec![what];
    match (place, &group.target) {
        (Place::Started(node), Some(target)) if node != target => {
            details = vec![format!("{}, moves to {target}: {}", started(group), group.reason)];
        }
        (Place::Changing(node, _), Some(target)) if node != target => {
            details = vec![format!("{}, goes to {target}: {}", details.join(""), group.reason)];
        }
        _ => {}
    }
    if group.resources.iter().any(|resource| resource.state != ResourceState::Stopped) {
        let resources: Vec<String> = group
            .resources
            .iter()
            .map(|resource| format!("{} {}", resource.name, resource_word(resource.state)))
            .collect();
        details.push(resources.join(" · "));
    }
    Row { name: group.name.clone(), state, tone, details }
}

/// Since when it runs: a move that nobody was awake for shows.
fn started(group: &GroupView) -> String {
    match group.held {
        Some(held) => format!("started {} ago", age(held)),
        None => "started".to_owned(),
    }
}

fn resource_word(state: ResourceState) -> &'static str {
    match state {
        ResourceState::Unknown => "not looked at yet",
        ResourceState::Stopped => "stopped",
        ResourceState::Starting => "starting",
        ResourceState::Started => "started",
        ResourceState::Stopping => "stopping",
        ResourceState::Failed => "FAILED",
        ResourceState::Blocked => "BLOCKED",
    }
}

fn node_row(snapshot: &Snapshot, node: &NodeView) -> Row {
    let me = node.name == snapshot.node;
    let phase =
        if me { Some(snapshot.phase) } else { node.peer.as_ref().and_then(|peer| peer.phase) };
    let (state, tone) = match (node.state, phase) {
        (NodeState::Up, Some(Phase::Starting)) => ("starting", Tone::Warn),
        (NodeState::Up, Some(Phase::Leaving)) => ("leaving", Tone::Warn),
        (NodeState::Up, Some(Phase::Active) | None) if node.standby.is_some() => {
            ("standby", Tone::Warn)
        }
        (NodeState::Up, Some(Phase::Active) | None) => ("up", Tone::Good),
        (NodeState::Late, _) => ("late", Tone::Warn),
        (NodeState::Lost, _) if node.left_running => ("left", Tone::Warn),
        (NodeState::Lost, _) => ("LOST", Tone::Bad),
        (NodeState::Dead, _) => ("dead", Tone::Bad),
        (NodeState::Left, _) => ("left", Tone::Warn),
        (NodeState::Unknown, _) => ("unknown", Tone::Bad),
    };
    let mut details = Vec::new();
    let sight =
        node.ping.map(|answers| if answers { "ping node answers" } else { "ping node SILENT" });
    if me {
        details.push(["this node"].into_iter().chain(sight).collect::<Vec<_>>().join(" · "));
    } else if let Some(peer) = node.peer.as_ref().filter(|_| view::is_heard(node)) {
        let silence = format!(
            "silence {} (worst {} of {})",
            Span(peer.silence),
            peer.worst_silence.as_millis(),
            snapshot.deadtime.as_millis()
        );
        let sight = sight.map(ToOwned::to_owned);
        details.push([silence].into_iter().chain(sight).collect::<Vec<_>>().join(" · "));
        let links = peer.links.iter().map(link_word);
        let trip = peer.round_trip.map(|trip| format!("round trip {}", Span(trip)));
        let key = peer.key.map(|key| format!("key {key}"));
        let more = trip.into_iter().chain(clock_word(peer)).chain(key);
        details.push(links.chain(more).collect::<Vec<_>>().join(" · "));
    } else {
        details.push(unheard(node));
    }
    Row { name: node.name.clone(), state: state.to_owned(), tone, details }
}

fn unheard(node: &NodeView) -> String {
    if !node.one_way.is_empty() {
        let deaf = format!("does not hear this node; heard on {}", node.one_way.join(", "));
        return match &node.peer {
            Some(peer) => format!("{deaf}; no round trip for {}", age(peer.silence)),
            None => deaf,
        };
    }
    match (node.state, &node.peer) {
        (NodeState::Lost, Some(peer)) if node.left_running => format!(
            "silent for {}: its daemon ended in maintenance, and what ran there goes on",
            age(peer.silence)
        ),
        (NodeState::Left, _) => "left: its daemon was stopped in order".to_owned(),
        (NodeState::Unknown, _) | (_, None) => "never heard since this node started".to_owned(),
        (NodeState::Dead, Some(peer)) => format!("proven dead, silent for {}", age(peer.silence)),
        (NodeState::Lost | NodeState::Up | NodeState::Late, Some(peer)) => {
            format!("silent for {}, not proven dead", age(peer.silence))
        }
    }
}

fn link_word(link: &LinkView) -> String {
    let arrow = match (link.heard, link.hears) {
        (true, true) => "↔",
        (true, false) => "← only",
        (false, true) => "→ only",
        (false, false) => "down",
    };
    format!("{} {arrow}", link.name)
}

/// How far a peer's clock is off, as far as that is known: nobody knows it better than to half of a round trip.
fn clock_word(peer: &PeerView) -> Option<String> {
    let (offset_us, error_us) = (peer.clock_offset_us?, peer.clock_error_us?);
    let most = Duration::from_micros(offset_us.unsigned_abs().saturating_add(error_us));
    Some(if offset_us.unsigned_abs() > error_us && most >= Duration::from_millis(1) {
        format!("clock {}", ClockOffset(offset_us))
    } else {
        format!("clock within {}", Span(most.max(Duration::from_millis(1))))
    })
}

/// What a level can and cannot do.
fn promise(level: GuardLevel) -> &'static str {
    match level {
        GuardLevel::None => {
            "Silence is taken for death: if the nodes lose sight of each other, both run the group."
        }
        GuardLevel::Ping => {
            "Only a node that reaches the ping node takes over. Two holders if both reach it but not each other."
        }
        GuardLevel::Arp => {
            "No takeover while the address still answers. Two holders if heartbeat links and service network are cut."
        }
        GuardLevel::PingArp => {
            "No takeover while the address still answers, or without the ping node. Two holders only if heartbeat \
             links and service network are cut and both still reach the ping node."
        }
    }
}
