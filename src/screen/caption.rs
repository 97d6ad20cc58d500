//! What a fault came to, in one sentence: made from the structured events of histories, never from their texts. Pure.

use std::fmt;
use std::time::Duration;

use crate::cluster::Span;
use crate::cluster::event::{Event, Recovery, StopReason};
use crate::cluster::guard::{Doubt, Evidence};
use crate::cluster::placement::{Reason, Unable};

/// An event, and whose history it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told<'a> {
    /// The node.
    pub node: &'a str,
    /// What it wrote.
    pub event: &'a Event,
}

/// What a client saw since a fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientSaw {
    /// Requests that failed.
    pub failed: u64,
    /// The longest time between two answers.
    pub longest: Duration,
    /// No answer for so long, and none yet.
    pub waiting: Option<Duration>,
}

/// What it came to, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was decided yet, or nothing had to be.
    Open,
    /// A node started a group.
    Moved,
    /// The guard refuses a takeover, and nothing moved.
    Refused,
}

/// The sentence, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caption {
    /// What it came to.
    pub verdict: Verdict,
    /// What decided, in the order in which it happened, and what the client saw.
    pub clauses: Vec<String>,
}

impl fmt::Display for Caption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = match self.verdict {
            Verdict::Refused => "nothing moved: ",
            Verdict::Open | Verdict::Moved => "",
        };
        write!(f, "{head}{}", self.clauses.join(" · "))
    }
}

/// The caption of what histories tell since a fault. `told`: in the order in which it happened.
#[must_use]
pub fn caption(told: &[Told<'_>], client: Option<ClientSaw>) -> Caption {
    let mut clauses: Vec<String> = Vec::new();
    // Where a node itself comes or goes, its links go without saying.
    let whole_nodes =
        told.iter().any(|told| matches!(told.event, Event::PeerLost { .. } | Event::PeerUp { .. }));
    let mut lost = false;
    for (number, Told { node, event }) in told.iter().enumerate() {
        // Both sides of a cut count the same silence: the first one is told.
        let again = lost && matches!(event, Event::PeerLost { .. });
        lost |= matches!(event, Event::PeerLost { .. });
        if again || whole_nodes && matches!(event, Event::LinkChanged { .. }) {
            continue;
        }
        for clause in clauses_of(node, event, told.get(..number).unwrap_or_default()) {
            if !clauses.contains(&clause) {
                clauses.push(clause);
            }
        }
    }
    clauses.extend(client.and_then(client_clause));
    Caption { verdict: verdict(told), clauses }
}

fn client_clause(saw: ClientSaw) -> Option<String> {
    match saw {
        ClientSaw { waiting: Some(waiting), .. } => {
            Some(format!("client has no answer for {}", Span(waiting)))
        }
        ClientSaw { failed: 0, longest: Duration::ZERO, .. } => None,
        ClientSaw { failed: 0, .. } => Some("client lost nothing".to_owned()),
        ClientSaw { longest, .. } => Some(format!("client saw {}", Span(longest))),
    }
}

/// The newest decision counts.
fn verdict(told: &[Told<'_>]) -> Verdict {
    let newest = told.iter().rev().find_map(|told| {
        if matches!(told.event, Event::GroupStarted { .. }) {
            return Some(Verdict::Moved);
        }
        matches!(told.event, Event::Refused { .. }).then_some(Verdict::Refused)
    });
    newest.unwrap_or(Verdict::Open)
}

/// `silence 512 ms > deadtime 500`: the unit once, where it is the same.
fn past_deadtime(silence: Duration, deadtime: Duration) -> String {
    let (silence, deadtime) = (Span(silence).to_string(), Span(deadtime).to_string());
    let short = match (silence.split_once(' '), deadtime.split_once(' ')) {
        (Some((_, one)), Some((number, other))) if one == other => number,
        _ => &deadtime,
    };
    format!("silence {silence} > deadtime {short}")
}

/// What one event adds. `earlier`: what was told before it.
#[expect(clippy::too_many_lines, reason = "a table: a clause for each event")]
fn clauses_of(node: &str, event: &Event, earlier: &[Told<'_>]) -> Vec<String> {
    let one = |clause: String| vec![clause];
    match event {
        Event::PeerLost { silence, deadtime, .. } => one(past_deadtime(*silence, *deadtime)),
        Event::PeerUp { peer, after: Some(after), .. } => {
            one(format!("{peer} is up again after {}", Span(*after)))
        }
        Event::PeerLeft { peer } => one(format!("{peer} said goodbye")),
        Event::PeerLeavesRunning { peer } => {
            one(format!("the daemon of {peer} ended, what runs there goes on"))
        }
        Event::PeerConfirmedDead { peer, author } => {
            one(format!("{author} confirmed that {peer} is dead"))
        }
        Event::Paused { gap } => one(format!("{node} stood still for {}", Span(*gap))),
        Event::LinkChanged { link, heard, hears, .. } => one(match (heard, hears) {
            (true, true) => format!("link {link} works"),
            (false, false) => format!("link {link} is down"),
            (true, false) | (false, true) => format!("link {link} works one way"),
        }),
        Event::PingChanged { answers: false, .. } => one(format!("{node} {}", Unable::NoPing)),
        // A daemon that has just begun sees it for the first time.
        Event::PingChanged { answers: true, .. } if began(node, earlier) => Vec::new(),
        Event::PingChanged { answers: true, .. } => one(format!("{node} sees the ping node again")),
        Event::Cleared { evidence, .. } => {
            evidence.iter().flat_map(|(peer, why)| evidence_clauses(peer, why)).collect()
        }
        Event::Refused { peer, why, .. } => one(doubt_clause(node, peer, why)),
        Event::Placed { group, node: to, reason } => placed_clauses(group, to.as_deref(), reason),
        Event::GroupStarted { group, .. } => one(if let_go(node, earlier) {
            format!("{node} started {group} again")
        } else {
            format!("{node} took {group}")
        }),
        Event::GroupAdopted { group, .. } => one(format!("{node} found {group} still running")),
        Event::GroupStopping { group, because } => stopping_clauses(node, group, because),
        Event::GroupBlocked { group, resource, .. } => {
            one(format!("stop of {resource} failed: {group} is blocked"))
        }
        Event::BothActive { group, .. } => one(format!("both ran {group}")),
        Event::AgentFailed { group, resource, then, .. } => {
            failed_clauses(node, group, resource, *then)
        }
        Event::AddressPutBack { address, .. } => one(format!("{node} put {address} back")),
        Event::AddressConflict { address, mac, .. } => {
            one(format!("{address} answers from {mac} too"))
        }
        Event::Wished { wish, author, on: None } => one(format!("{author} asked: {wish}")),
        Event::ConfigDiffers { sections, .. } if !sections.is_empty() => {
            one("configurations differ".to_owned())
        }
        Event::Maintenance { on: true } => one("maintenance is in force".to_owned()),
        Event::Maintenance { on: false } => one("maintenance is over".to_owned()),
        Event::LeftRunning { groups } => {
            one(format!("{node} leaves {} running", groups.join(", ")))
        }
        Event::LeftAlone { group, .. } => one(format!("{node} leaves {group} alone")),
        Event::MoveGivenUp { group, to } => one(format!("{to} is down: {group} stays")),
        Event::Namesakes { node, lives: true, .. } => one(format!("two machines run as {node}")),
        Event::AgentRemarked { resource, remark: Some(remark), .. } => {
            one(format!("{resource}: {remark}"))
        }
        Event::ClockOffset { peer, apart: true, .. } => one(format!("the clock of {peer} is off")),
        Event::KeysChanged { author, .. } => one(format!("{author} changed the keys")),
        Event::Leaving => one(format!("{node} was told to end")),
        // What only leads up to these, or follows from them.
        Event::Started { .. }
        | Event::PeerUp { after: None, .. }
        | Event::Joined { .. }
        | Event::PeerLate { .. }
        | Event::PeerPunctual { .. }
        | Event::Namesakes { lives: false, .. }
        | Event::AgentRemarked { remark: None, .. }
        | Event::ClockOffset { apart: false, .. }
        | Event::PeerKey { .. }
        | Event::LinkWaiting { .. }
        | Event::GroupStarting { .. }
        | Event::GroupStopped { .. }
        | Event::GroupRestored { .. }
        | Event::GroupUnblocked { .. }
        | Event::PeerRuns { .. }
        | Event::MonitorSlow { .. }
        | Event::AddressFailed { .. }
        | Event::Wished { on: Some(_), .. }
        | Event::ConfigDiffers { .. }
        | Event::DatagramRefused { .. }
        | Event::DiskChanged { .. } => Vec::new(),
    }
}

/// Whether this node itself ran the group before, as far as is told.
fn let_go(node: &str, earlier: &[Told<'_>]) -> bool {
    earlier
        .iter()
        .any(|told| told.node == node && matches!(told.event, Event::GroupStopping { .. }))
}

/// Whether this node's daemon was started, as far as is told.
fn began(node: &str, earlier: &[Told<'_>]) -> bool {
    earlier.iter().any(|told| told.node == node && matches!(told.event, Event::Started { .. }))
}

fn evidence_clauses(peer: &str, why: &Evidence) -> Vec<String> {
    match why {
        Evidence::Consent => vec![format!("{peer} agreed")],
        Evidence::Goodbye => vec![format!("{peer} said goodbye")],
        Evidence::Operator { author } => vec![format!("{author} confirmed that {peer} is dead")],
        Evidence::Guard { ping, silent_probes, .. } => {
            let answered = ping.is_some().then(|| "ping node answered".to_owned());
            let silent = (*silent_probes > 0).then(|| "address silent".to_owned());
            answered.into_iter().chain(silent).collect()
        }
        Evidence::Unguarded { .. } => vec!["no guard".to_owned()],
    }
}

fn doubt_clause(node: &str, peer: &str, why: &Doubt) -> String {
    match why {
        Doubt::AddressAnswers { address, .. } => format!("{address} still answers from {peer}"),
        Doubt::AddressConflict { address, mac } => format!("{address} answers from {mac}"),
        Doubt::PingSilent { .. } => format!("no ping node answers {node}"),
        Doubt::PingTooNew { .. } => "the ping node answers again, not for long yet".to_owned(),
        Doubt::Unwitnessed { .. } => format!("nobody on the service network answers {node}"),
        Doubt::StopFailed => format!("a stop failed on {peer} before"),
        Doubt::GuardDiffers { section } => format!("{section} differs on {peer}"),
        Doubt::NoConsent => format!("{peer} has not agreed"),
        Doubt::RunsThere => format!("{peer} runs it"),
        Doubt::NotLostYet { .. } => format!("{peer} is not lost yet"),
        Doubt::Probing { address, .. } => format!("{address} is being asked"),
        Doubt::Maintenance => format!("{peer} was in maintenance"),
        Doubt::Namesakes => format!("two machines run as {peer}"),
        Doubt::JustPaused => format!("{node} stood still before"),
    }
}

/// Only what is not said already by a silence, a wish or a failure.
fn placed_clauses(group: &str, to: Option<&str>, reason: &Reason) -> Vec<String> {
    let because = |nodes: &[(String, Unable)]| {
        let told = |why: &Unable| match why {
            Unable::NeverHeard
            | Unable::Starting
            | Unable::Leaving
            | Unable::Standby
            | Unable::NoPing
            | Unable::PingReturning
            | Unable::Unfit
            | Unable::NoAgent
            | Unable::Excluded
            | Unable::OtherVersion => true,
            Unable::Lost | Unable::Dead | Unable::Left | Unable::Failed => false,
        };
        let told = nodes.iter().filter(|(_, why)| told(why));
        told.map(|(node, why)| format!("{node} {why}")).collect()
    };
    match (reason, to) {
        (Reason::StaysPut, Some(node)) => vec![format!("{group} stays on {node}")],
        (Reason::Failback, Some(node)) => vec![format!("{group} goes back to {node}")],
        (Reason::BestAble { instead_of }, _) => because(instead_of),
        (Reason::NobodyAble { .. }, _) => vec![format!("nobody is able to run {group}")],
        (
            Reason::Preferred
            | Reason::StaysPut
            | Reason::Came { .. }
            | Reason::Wished { .. }
            | Reason::Failback
            | Reason::NobodyElse { .. }
            | Reason::Blocked { .. }
            | Reason::Maintenance { .. }
            | Reason::Starting,
            _,
        ) => Vec::new(),
    }
}

fn stopping_clauses(node: &str, group: &str, because: &StopReason) -> Vec<String> {
    match because {
        StopReason::Isolated { .. } => vec![format!("{node} was cut off and let go in time")],
        StopReason::Paused { .. } => vec![format!("{node} let go of {group}")],
        StopReason::BothActive { .. } | StopReason::AddressTwice { .. } => {
            vec![format!("{node} let go")]
        }
        StopReason::Leftover { .. } => vec![format!("{node} stopped what was left of {group}")],
        StopReason::TooLate => vec![format!("{node} was too late to start {group}")],
        // Told by the wish, the goodbye or the failure.
        StopReason::Moves { .. } | StopReason::Leaving | StopReason::Failed { .. } => Vec::new(),
    }
}

fn failed_clauses(node: &str, group: &str, resource: &str, then: Recovery) -> Vec<String> {
    let failed = format!("{resource} failed on {node}");
    let done = match then {
        Recovery::RestartHere => "started again in place".to_owned(),
        Recovery::Leave { .. } | Recovery::AwaitAgent => format!("{group} leaves {node}"),
        Recovery::Unwatched => "it cannot be looked at".to_owned(),
        Recovery::Block => format!("{group} is blocked"),
    };
    vec![failed, done]
}

#[cfg(test)]
mod tests;
