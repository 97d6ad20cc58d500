//! One sentence for each thing that the core says, with the numbers that decided it. The log, the history and status
//! all print these, so that an operator meets the same words everywhere. Pure formatting: no colour, no line breaks.

mod why;

use std::fmt;
use std::time::Duration;

pub use self::why::DoubtAbout;
use super::event::{Event, JoinReason, Level, Recovery, StopReason};
use super::guard::Evidence;
use super::io::Reject;
use super::placement::{Reason, Unable};
use crate::config::Section;

/// A duration for people: `0.3 ms` below 1 ms, `512 ms` below 10 s, else `12.5 s`. Rounded down, so that a silence that
/// is printed as passing a bound has passed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        let tenths = self.0.as_millis() / 100;
        match micros {
            0 => f.write_str("0 ms"),
            1..1000 => write!(f, "0.{} ms", micros / 100),
            1000..10_000_000 => write!(f, "{} ms", micros / 1000),
            _ if tenths.is_multiple_of(10) => write!(f, "{} s", tenths / 10),
            _ => write!(f, "{}.{} s", tenths / 10, tenths % 10),
        }
    }
}

/// A duration of any length for people: `43 ms`, `12 s`, `5 min`, `3 h 12 min`, `12 d 4 h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age(pub Duration);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
        match (days, hours, minutes) {
            (0, 0, 0) if seconds == 0 => Span(self.0).fmt(f),
            (0, 0, 0..2) => write!(f, "{seconds} s"),
            (0, 0, _) => write!(f, "{minutes} min"),
            (0, _, _) => write!(f, "{hours} h {} min", minutes % 60),
            _ => write!(f, "{days} d {} h", hours % 24),
        }
    }
}

/// How far a peer's clock is ahead of this node's, in microseconds, for people: `1200 ms ahead`, `365 d 6 h behind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOffset(pub i64);

impl fmt::Display for ClockOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let apart = Duration::from_micros(self.0.unsigned_abs());
        // Below two minutes the parts of a second are worth showing.
        match apart.as_secs() {
            0..120 => Span(apart).fmt(f),
            _ => Age(apart).fmt(f),
        }?;
        f.write_str(if self.0 < 0 { " behind" } else { " ahead" })
    }
}

/// Texts with a comma between them.
fn list<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn unable(nodes: &[(String, Unable)]) -> String {
    list(nodes, |(node, why)| format!("{node} {why}"))
}

impl Event {
    /// How loud it is in the log.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::PeerPunctual { .. } | Self::AddressPutBack { .. } | Self::MonitorSlow { .. } => {
                Level::Warn
            }
            Self::Paused { .. } | Self::PeerLate { .. } | Self::PeerLost { .. } => Level::Warn,
            Self::PeerConfirmedDead { .. } | Self::Refused { .. } => Level::Warn,
            Self::Cleared { evidence, .. } => {
                let agreed = |why: &Evidence| matches!(why, Evidence::Consent | Evidence::Goodbye);
                warn_if(!evidence.iter().all(|(_, why)| agreed(why)))
            }
            Self::AgentFailed {
                then:
                    Recovery::RestartHere
                    | Recovery::Leave { .. }
                    | Recovery::AwaitAgent
                    | Recovery::Unwatched,
                ..
            } => Level::Warn,
            Self::DatagramRefused { .. } => Level::Warn,
            Self::AgentFailed { then: Recovery::Block, .. } | Self::GroupBlocked { .. } => {
                Level::Error
            }
            Self::BothActive { .. } | Self::AddressConflict { .. } | Self::AddressFailed { .. } => {
                Level::Error
            }
            Self::Namesakes { lives: true, .. } => Level::Error,
            Self::Namesakes { lives: false, .. } => Level::Info,
            Self::LinkChanged { heard, hears, .. } => warn_if(!(*heard && *hears)),
            Self::MoveGivenUp { .. } | Self::LeftRunning { .. } | Self::LeftAlone { .. } => {
                Level::Warn
            }
            Self::Maintenance { on } => warn_if(*on),
            Self::LinkWaiting { waiting, .. } => warn_if(waiting.is_some()),
            Self::PingChanged { answers, .. } => warn_if(!answers),
            Self::Placed { node, reason, .. } => {
                let calm = matches!(reason, Reason::Starting | Reason::Maintenance { .. });
                warn_if(node.is_none() && !calm)
            }
            Self::GroupStopping { because, .. } => stop_level(because),
            Self::ConfigDiffers { sections, .. } => warn_if(!sections.is_empty()),
            Self::ClockOffset { apart, .. } => warn_if(*apart),
            Self::AgentRemarked { remark, .. } => warn_if(remark.is_some()),
            Self::DiskChanged { error } => warn_if(error.is_some()),
            Self::Started { .. }
            | Self::Joined { .. }
            | Self::PeerUp { .. }
            | Self::PeerLeft { .. }
            | Self::PeerLeavesRunning { .. } => Level::Info,
            Self::GroupStarting { .. }
            | Self::GroupStarted { .. }
            | Self::GroupRestored { .. }
            | Self::GroupAdopted { .. } => Level::Info,
            Self::GroupStopped { .. } | Self::GroupUnblocked { .. } | Self::PeerRuns { .. } => {
                Level::Info
            }
            Self::PeerKey { .. } | Self::KeysChanged { .. } => Level::Info,
            Self::Wished { .. } | Self::Leaving => Level::Info,
        }
    }
}

fn warn_if(bad: bool) -> Level {
    if bad { Level::Warn } else { Level::Info }
}

fn stop_level(because: &StopReason) -> Level {
    match because {
        StopReason::Moves { .. } | StopReason::Leaving => Level::Info,
        StopReason::Isolated { .. }
        | StopReason::Paused { .. }
        | StopReason::BothActive { .. }
        | StopReason::AddressTwice { .. }
        | StopReason::Failed { .. }
        | StopReason::TooLate
        | StopReason::Leftover { .. } => Level::Warn,
    }
}

impl fmt::Display for Event {
    #[expect(clippy::too_many_lines, reason = "a table: one sentence for each event")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { node, incarnation } => {
                write!(f, "the daemon of {node} started (incarnation {:016x})", incarnation.0)
            }
            Self::Joined { because } => write!(f, "this node takes part: {because}"),
            Self::Paused { gap } => write!(
                f,
                "this node stood still for {}: it takes nothing over until it has heard a peer or waited a deadtime",
                Span(*gap)
            ),
            Self::PeerUp { peer, after: None, .. } => write!(f, "{peer} is up"),
            Self::PeerUp { peer, after: Some(after), .. } => {
                write!(f, "{peer} is up again after {} of silence", Span(*after))
            }
            Self::PeerLate { peer, silence, warntime } => {
                write!(
                    f,
                    "silence {} > warntime {}: {peer} is late",
                    Span(*silence),
                    Span(*warntime)
                )
            }
            Self::PeerPunctual { peer, silence, deadtime } => write!(
                f,
                "{peer} was late: longest silence {} of deadtime {}; if this repeats, raise deadtime or look at the network",
                Span(*silence),
                Span(*deadtime)
            ),
            Self::PeerLost { peer, silence, deadtime } => {
                write!(
                    f,
                    "silence {} > deadtime {}: {peer} is lost",
                    Span(*silence),
                    Span(*deadtime)
                )
            }
            Self::PeerLeft { peer } => {
                write!(f, "{peer} said goodbye: it runs nothing and its daemon ends")
            }
            Self::PeerLeavesRunning { peer } => write!(
                f,
                "{peer}: its daemon ends in maintenance, and what runs there goes on"
            ),
            Self::PeerConfirmedDead { peer, author } => {
                write!(f, "{author} confirmed that {peer} is dead and runs nothing")
            }
            Self::Namesakes { node, source, lives: true } => {
                write!(f, "two machines run lubdub under the name {node}")?;
                if let Some(source) = source {
                    write!(f, ", this one and {source}")?;
                }
                f.write_str(": stop one of them, or give it its own --node; until then neither takes anything over")
            }
            Self::Namesakes { node, lives: false, .. } => {
                write!(f, "only one machine runs under the name {node} now")
            }
            Self::LinkChanged { link, peer, heard, hears } => match (heard, hears) {
                (true, true) => write!(f, "link {link} to {peer} works in both directions"),
                (true, false) => {
                    write!(
                        f,
                        "link {link} works one way: {peer} is heard, but does not hear this node"
                    )
                }
                (false, true) => {
                    write!(f, "link {link} works one way: {peer} hears this node, but is not heard")
                }
                (false, false) => write!(f, "link {link} to {peer} is down"),
            },
            Self::LinkWaiting { link, waiting: Some(why) } => {
                write!(f, "link {link} cannot be used yet: {why}")
            }
            Self::LinkWaiting { link, waiting: None } => {
                write!(f, "link {link} is ready on this node")
            }
            Self::PingChanged { answers: true, target: Some(target) } => {
                write!(f, "ping node {target} answers")
            }
            Self::PingChanged { answers: true, target: None } => f.write_str("a ping node answers"),
            Self::PingChanged { answers: false, target: Some(target) } => write!(
                f,
                "no ping node answers ({target} did last): this node may be cut off, so it takes nothing over"
            ),
            Self::PingChanged { answers: false, target: None } => f.write_str(
                "no ping node answers: this node may be cut off, so it takes nothing over",
            ),
            Self::Cleared { group, evidence } => write!(
                f,
                "{group} may start here: {}",
                list(evidence, |(peer, why)| format!("{peer} {why}"))
            ),
            Self::Refused { group, peer, why } => {
                write!(f, "{group} is not taken over: {}", DoubtAbout(peer, why))
            }
            Self::Placed { group, node: Some(node), reason } => {
                write!(f, "{group} belongs on {node}: {reason}")
            }
            Self::Placed { group, node: None, reason } => {
                write!(f, "{group} has no place: {reason}")
            }
            Self::GroupStarting { group, term } => write!(f, "{group} starts here (term {term})"),
            Self::GroupStarted { group, term, took } => {
                write!(f, "{group} runs here, started in {} (term {term})", Span(*took))
            }
            Self::GroupAdopted { group, term } => {
                write!(f, "{group} was found running here and is kept (term {term})")
            }
            Self::GroupStopping { group, because } => write!(f, "{group} stops here: {because}"),
            Self::GroupStopped { group, took } => {
                write!(f, "{group} stopped here in {}", Span(*took))
            }
            Self::GroupBlocked { group, resource, outcome } => write!(
                f,
                "{group} is blocked: stop of {resource}: {outcome}; it starts nowhere else until {resource} is stopped \
                 by hand on this node"
            ),
            Self::GroupRestored { group, took } => {
                write!(f, "{group} runs here again, {} after the failure was seen", Span(*took))
            }
            Self::GroupUnblocked { group } => {
                write!(f, "{group} is no longer blocked: it was seen stopped")
            }
            Self::PeerRuns { group, peer, term } => {
                write!(f, "{group} runs on {peer} (term {term})")
            }
            Self::BothActive { group, peer, mine, theirs, keep } => {
                let choice = if *keep { "this node keeps it" } else { "this node lets go" };
                write!(f, "{group} runs here (term {mine}) and on {peer} (term {theirs}): {choice}")
            }
            Self::AgentFailed { group, resource, action, outcome, then } => {
                write!(f, "{group}: {action} of {resource} failed: {outcome}; {then}")
            }
            Self::AgentRemarked { group, resource, remark: Some(remark) } => {
                write!(f, "{group}: {resource} works, and says: {remark}")
            }
            Self::AgentRemarked { group, resource, remark: None } => {
                write!(f, "{group}: {resource} works, and has nothing more to say")
            }
            Self::MonitorSlow { group, resource, timeout } => write!(
                f,
                "{group}: monitor of {resource} took longer than {}; it counts as failed only if that repeats",
                Span(*timeout)
            ),
            Self::AddressPutBack { group, address } => write!(
                f,
                "{group}: somebody removed address {address} from this node, it was put back; find out who did"
            ),
            Self::AddressFailed { group, address, why } => {
                write!(f, "{group}: address {address} could not be renewed: {why}")
            }
            Self::AddressConflict { group, address, mac } => write!(
                f,
                "{group}: address conflict: {mac} has {address} too; it may be a node of this cluster whose heartbeats \
                 are not accepted: compare authkeys and `cluster` of all nodes before you take the address off it"
            ),
            Self::Wished { wish, author, on: None } => write!(f, "{author} asked: {wish}"),
            Self::Wished { wish, author, on: Some(node) } => {
                write!(f, "{author} asked on {node}: {wish}")
            }
            Self::Maintenance { on: true } => f.write_str(
                "maintenance is in force: every node knows; nothing is started, stopped or moved until lubdub maintenance off",
            ),
            Self::Maintenance { on: false } => {
                f.write_str("maintenance is over: every node knows, or is gone; all is looked after again")
            }
            Self::LeftRunning { groups } => write!(
                f,
                "this daemon ends in maintenance; left running here: {}",
                groups.join(", ")
            ),
            Self::LeftAlone { group, resources } => write!(
                f,
                "{group} is left alone in maintenance: of it {} was found running here",
                resources.join(", ")
            ),
            Self::MoveGivenUp { group, to } => write!(
                f,
                "{group} stays: {to} is down and cannot take it; ask again when it is back"
            ),
            Self::ConfigDiffers { peer, sections: none } if none.is_empty() => {
                write!(f, "{peer} has the same configuration")
            }
            Self::ConfigDiffers { peer, sections: differ } => write!(
                f,
                "the configuration of {peer} differs in {}; copy one cluster.toml to all nodes",
                Section::list(differ)
            ),
            Self::PeerKey { peer, key, before } => {
                write!(f, "{peer} signs with key {key} now, no longer with key {before}")
            }
            Self::KeysChanged { author, change } => {
                write!(f, "{author} had the keys read again: {change}")
            }
            Self::ClockOffset { peer, offset_us, warn_offset, apart: true } => write!(
                f,
                "the clock of {peer} is {}, seen from here (more than {}): synchronise both",
                ClockOffset(*offset_us),
                Span(*warn_offset)
            ),
            Self::ClockOffset { peer, warn_offset, apart: false, .. } => {
                write!(
                    f,
                    "the clock of {peer} is within {} again, seen from here",
                    Span(*warn_offset)
                )
            }
            Self::DatagramRefused { why, source, count } => {
                let remedy = why.remedy();
                write!(f, "refused a datagram from {source}: {why} (so far {count}); {remedy}")
            }
            Self::DiskChanged { error: Some(error) } => write!(
                f,
                "cannot write to disk: {error}; the cluster works on, but forgets terms and wishes at a restart"
            ),
            Self::DiskChanged { error: None } => f.write_str("the disk can be written again"),
            Self::Leaving => f.write_str("the daemon was told to end: it hands over what it runs"),
        }
    }
}

impl fmt::Display for JoinReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllHeard => f.write_str("all nodes are heard"),
            Self::Initdead(initdead) => write!(f, "initdead {} is over", Span(*initdead)),
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moves { to, reason } => write!(f, "it moves to {to}: {reason}"),
            Self::Leaving => f.write_str("the daemon ends"),
            Self::Isolated { silence, ping_silence: Some(ping) } => write!(
                f,
                "cut off: no peer for {}, no ping node for {}; a peer may take it over soon",
                Span(*silence),
                Span(*ping)
            ),
            Self::Isolated { silence, ping_silence: None } => write!(
                f,
                "cut off: no peer for {}, and no ping node ever answered; a peer may take it over soon",
                Span(*silence)
            ),
            Self::Paused { gap } => {
                write!(f, "this node stood still for {}: a peer may have taken it over", Span(*gap))
            }
            Self::BothActive { peer } => write!(f, "{peer} runs it too, with the better right"),
            Self::AddressTwice { address, mac } => write!(
                f,
                "{mac} has {address} too, very likely a node that is not heard here: the one with the higher hardware \
                 address lets go"
            ),
            Self::Failed { resource } => write!(f, "{resource} failed"),
            Self::TooLate => f.write_str("the right to start it ended before it could be used"),
            Self::Leftover { resources } => {
                let were = if resources.len() == 1 { "was" } else { "were" };
                let resources = list(resources, Clone::clone);
                write!(f, "{resources} {were} found running, though it does not belong here")
            }
        }
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RestartHere => f.write_str("it is started again here"),
            Self::Leave { able_again: Some(after) } => {
                write!(f, "the group leaves this node, which may have it again after {}", Span(*after))
            }
            Self::Leave { able_again: None } => f.write_str(
                "the group leaves this node, which may have it again once the cause is mended and the daemon restarted",
            ),
            Self::AwaitAgent => f.write_str(
                "this node cannot have the group until that agent can be executed; it is tried every 10 s (lubdub check says more)",
            ),
            Self::Unwatched => f.write_str("it goes on, and nobody looks whether it works"),
            Self::Block => f.write_str("the group is blocked until a human has stopped it"),
        }
    }
}

impl Reject {
    /// What to do about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Malformed => "see what else sends to this port",
            Self::ForeignCluster => {
                "if that is a node of this cluster, give it the same `cluster` and keys; else give one of the two \
                 clusters another `group` or `port`"
            }
            Self::UnknownKey | Self::BadTag => {
                "copy one authkeys file to all nodes, then lubdub reload; if they agree, someone forges"
            }
            Self::UnknownNode => "name that node in cluster.toml, or stop lubdub on it",
            Self::OwnName => {
                "two machines run under this node's name: give one of them another --node"
            }
            Self::Replayed | Self::Unproven => {
                "that goes on for longer than a deadtime: somebody plays old datagrams again, the network doubles \
                 them, or two machines have this name"
            }
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed",
            Self::ForeignCluster => "of another cluster",
            Self::UnknownKey => "signed with a key id that authkeys does not have",
            Self::BadTag => "signed with another key",
            Self::UnknownNode => "from a node that is not in the configuration",
            Self::OwnName => "from this node's own name",
            Self::Replayed => "seen before or too old",
            Self::Unproven => "of another life of its sender that has not proved itself",
        })
    }
}

#[cfg(test)]
mod tests;
