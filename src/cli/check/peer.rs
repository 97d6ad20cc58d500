//! `lubdub check --peer`: runs the survey, or asks the daemon of this node, and tells what came of it.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

use super::advice::{Advice, Grade, Own, advise};
use crate::cli::daemon::Daemon;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{self, Paint, Tone, age};
use crate::cli::view;
use crate::cluster::Span;
use crate::cluster::io::Reject;
use crate::cluster::snapshot::{NodeView, PingView, Snapshot};
use crate::config::{Config, NodeId};
use crate::control::{ClientError, Status};
use crate::daemon::survey::{
    AddressFinding, Findings, LinkFinding, PeerFacts, PeerFinding, PingFinding, Progress, Question,
    address_of, carrier, survey,
};
use crate::wire::{KeyId, Keys, OwnCheck};

/// Clocks that are no further apart show the same time: the way there and back may differ by as much.
const CLOCKS_AGREE: Duration = Duration::from_millis(10);

/// Columns of a page.
const WIDTH: usize = 100;

/// Who was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// The other nodes, over the links.
    Peers,
    /// The daemon of this node.
    Daemon,
}

/// Find out what the nodes hear of each other, and tell it.
pub(super) fn check(
    config: &Config,
    keys: &Keys,
    socket: &Path,
    wait: Duration,
    own_check: OwnCheck,
) -> Result<Exit, Failure> {
    let (asked, findings) = match Daemon::connect(socket) {
        Ok(mut daemon) => {
            output::say("a daemon runs on this node, so it is asked (`lubdub status` tells more)");
            (Asked::Daemon, of_status(config, &daemon.status()?)?)
        }
        Err(Failure::Daemon(ClientError::NoDaemon { .. })) => {
            let mut waiting = Waiting::new(config);
            let found = survey(Question { config, keys, socket, wait, own_check }, |progress| {
                waiting.tell(progress);
            });
            waiting.end();
            (Asked::Peers, found.map_err(|error| Failure::Failed(error.to_string()))?)
        }
        Err(failure) => return Err(failure),
    };
    let own = Own { accepted: keys.ids().map(KeyId::get).collect(), check: own_check };
    let advice = advise(config, &own, &findings);
    output::result(&page(config, asked, &findings, &advice))?;
    let failed = advice.iter().any(|advice| advice.grade == Grade::Failed);
    Ok(if failed { Exit::Failed } else { Exit::Fine })
}

/// Tells whom it waits for: a countdown on a terminal, else a line whenever that changes.
struct Waiting {
    peers: String,
    told: Option<Vec<String>>,
}

impl Waiting {
    fn new(config: &Config) -> Self {
        let names: Vec<&str> = config.peers().map(|id| config.node(id).name.as_str()).collect();
        Self { peers: names.join(" and "), told: None }
    }

    fn tell(&mut self, progress: &Progress) {
        let Progress { left, unmet } = progress;
        let seconds = left.as_secs_f64().ceil();
        let first = self.told.is_none();
        if first {
            output::say(&format!(
                "run `lubdub check --peer` on {} at the same time, unless a daemon runs there; waiting, {seconds} s at most",
                self.peers
            ));
        }
        let names = unmet.join(" and ");
        if io::stderr().is_terminal() {
            output::passing(&match unmet.is_empty() {
                true => "heard; looking closer ...".to_owned(),
                false => format!("waiting for {names}: {seconds} s"),
            });
        } else if !first && self.told.as_ref() != Some(unmet) && !unmet.is_empty() {
            output::say(&format!("still waiting for {names}"));
        }
        self.told = Some(unmet.clone());
    }

    fn end(&self) {
        if io::stderr().is_terminal() {
            output::passing("");
        }
    }
}

/// The same findings, as the daemon of this node has them.
fn of_status(config: &Config, status: &Status) -> Result<Findings, Failure> {
    let snapshot = &status.snapshot;
    let mut peers = Vec::new();
    for id in config.peers() {
        let node = view::node(snapshot, &config.node(id).name);
        peers.push(of_node(config, id, node, snapshot)?);
    }
    let ping = snapshot.ping.iter().map(|view| (view.target, of_ping(view))).collect();
    let namesake = snapshot.namesake.clone();
    Ok(Findings { peers, namesake, ping, addresses: Vec::new() })
}

fn of_node(
    config: &Config,
    id: NodeId,
    node: Option<&NodeView>,
    snapshot: &Snapshot,
) -> Result<PeerFinding, Failure> {
    let heard = node.filter(|node| view::is_heard(node)).and_then(|node| node.peer.as_ref());
    let facts = heard.map(|peer| PeerFacts {
        daemon_runs: true,
        version: None,
        keys: None,
        own_check: OwnCheck::Passed,
        differs: peer.differs.clone(),
        clock_offset_us: peer.clock_offset_us,
    });
    let mut links = Vec::new();
    for link in config.link_ids() {
        let spec = config.link(link);
        let seen = heard.and_then(|peer| peer.links.iter().find(|seen| seen.name == spec.name));
        let own_end = snapshot.links.iter().find(|(name, _)| *name == spec.name);
        let carrier = carrier(config, link).map_err(|error| Failure::Failed(error.to_string()))?;
        links.push(LinkFinding {
            name: spec.name.clone(),
            port: spec.port,
            peer_address: address_of(config, link, id),
            own_end: own_end.and_then(|(_, waits)| waits.clone()),
            carrier,
            heard: seen.is_some_and(|seen| seen.heard),
            hears: seen.is_some_and(|seen| seen.hears),
            round_trip: heard.and_then(|peer| peer.round_trip).filter(|_| config.links.len() == 1),
            answers_ping: None,
            refused: if heard.is_some() { BTreeMap::new() } else { of_strangers(snapshot) },
        });
    }
    Ok(PeerFinding { name: config.node(id).name.clone(), facts, links })
}

/// What a peer that is not heard may have sent: the daemon counts by kind alone.
fn of_strangers(snapshot: &Snapshot) -> BTreeMap<Reject, u64> {
    let telling = |why: &Reject| match why {
        Reject::ForeignCluster
        | Reject::UnknownKey
        | Reject::BadTag
        | Reject::UnknownNode
        | Reject::OwnName => true,
        Reject::Malformed | Reject::Replayed | Reject::Unproven => false,
    };
    let counts = snapshot.refused.iter().filter(|(why, count)| telling(why) && **count > 0);
    counts.map(|(why, count)| (*why, *count)).collect()
}

fn of_ping(view: &PingView) -> PingFinding {
    match (&view.error, view.answers) {
        (_, true) => PingFinding::Answers,
        (Some(why), false) => PingFinding::Failed(why.clone()),
        (None, false) => PingFinding::Silent,
    }
}

/// The whole of it as text.
fn page(config: &Config, asked: Asked, findings: &Findings, advice: &[Advice]) -> String {
    let paint = Paint::for_stdout();
    let mut lines = Vec::new();
    for peer in &findings.peers {
        lines.push(format!("{}: {}", peer.name, peer_line(peer, paint)));
        for link in &peer.links {
            lines.push(format!("  link {}: {}", link.name, link_line(link, paint)));
        }
    }
    for (target, found) in &findings.ping {
        let (tone, text) = match found {
            PingFinding::Answers => (Tone::Good, "answers"),
            PingFinding::Silent => (Tone::Bad, "no answer"),
            PingFinding::Failed(_) => (Tone::Bad, "cannot be asked"),
        };
        lines.push(format!("ping node {target}: {}", paint.tone(tone, text)));
    }
    for (place, address, found) in &findings.addresses {
        let (tone, text) = match found {
            AddressFinding::Free { witnessed: true } => (Tone::Good, "free".to_owned()),
            AddressFinding::Free { witnessed: false } => (Tone::Warn, "no answer".to_owned()),
            AddressFinding::Here { interface } => (Tone::Bad, format!("on {interface} already")),
            AddressFinding::Taken { mac } => (Tone::Warn, format!("answers from {mac}")),
            AddressFinding::Failed(_) => (Tone::Bad, "cannot be asked for".to_owned()),
        };
        lines.push(format!("address {address} ({place}): {}", paint.tone(tone, &text)));
    }
    for (grade, head, tone) in
        [(Grade::Failed, "to be mended first", Tone::Bad), (Grade::Warning, "warnings", Tone::Warn)]
    {
        let of_grade: Vec<&Advice> = advice.iter().filter(|advice| advice.grade == grade).collect();
        if !of_grade.is_empty() {
            lines.push(paint.tone(tone, head));
        }
        lines.extend(of_grade.into_iter().flat_map(advice_lines));
    }
    if !advice.iter().any(|advice| advice.grade == Grade::Failed) {
        lines.push(last_line(config, asked, findings, paint));
    }
    lines.join("\n") + "\n"
}

fn peer_line(peer: &PeerFinding, paint: Paint) -> String {
    let Some(facts) = &peer.facts else { return paint.tone(Tone::Bad, "not heard") };
    let mut parts = Vec::new();
    parts.extend(facts.version.as_ref().map(|version| format!("lubdub {version}")));
    parts.push(if facts.daemon_runs { "its daemon runs" } else { "no daemon yet" }.to_owned());
    parts.extend(match facts.own_check {
        OwnCheck::Passed => None,
        OwnCheck::Failed => Some(paint.tone(Tone::Bad, "not ready")),
    });
    parts.push(if facts.differs.is_empty() {
        "same configuration".to_owned()
    } else {
        paint.tone(Tone::Bad, "another configuration")
    });
    if let Some((sending, accepted)) = &facts.keys {
        let ids: Vec<String> = accepted.iter().map(ToString::to_string).collect();
        parts.push(format!("keys {}, signs with {sending}", ids.join(", ")));
    }
    if let Some(offset) = facts.clock_offset_us {
        let apart = Duration::from_micros(offset.unsigned_abs());
        parts.push(match offset {
            _ if apart < CLOCKS_AGREE => "same clock".to_owned(),
            ..0 => format!("clock {} behind", age(apart)),
            0.. => format!("clock {} ahead", age(apart)),
        });
    }
    parts.join(" · ")
}

fn link_line(link: &LinkFinding, paint: Paint) -> String {
    match (link.heard, link.hears) {
        (false, false) if !link.refused.is_empty() => paint.tone(Tone::Bad, "refused"),
        (true, true) => {
            let both = paint.tone(Tone::Good, "↔");
            let time = link.round_trip.map(|time| format!("  round trip {}", Span(time)));
            format!("{both}{}", time.unwrap_or_default())
        }
        (false, true) => paint.tone(Tone::Bad, "→ only"),
        (true, false) => paint.tone(Tone::Bad, "← only"),
        (false, false) => paint.tone(Tone::Bad, "down"),
    }
}

fn advice_lines(advice: &Advice) -> Vec<String> {
    let mut lines = Vec::new();
    let mut put = |first: &str, next: &str, text: &str| {
        for (number, line) in output::wrap(text, WIDTH - first.chars().count()).iter().enumerate() {
            lines.push(format!("{}{line}", if number == 0 { first } else { next }));
        }
    };
    put("  ", "    ", &advice.what);
    for todo in &advice.todo {
        put("    → ", "      ", todo);
    }
    lines
}

fn last_line(config: &Config, asked: Asked, findings: &Findings, paint: Paint) -> String {
    let fine = paint.tone(Tone::Good, "all fine");
    let runs = |name: &str| {
        let mut peers = findings.peers.iter().filter(|peer| peer.name == name);
        peers.any(|peer| peer.facts.as_ref().is_some_and(|facts| facts.daemon_runs))
    };
    let names = config.nodes.iter().map(|node| node.name.as_str());
    match asked {
        Asked::Daemon => fine,
        Asked::Peers => {
            let starts: Vec<&str> = names.filter(|name| !runs(name)).collect();
            format!("{fine}; next, on {}: systemctl enable --now lubdub", starts.join(" and on "))
        }
    }
}
