//! How events look to other programs: what `lubdub history --json`, `lubdub run --log json` and the fields in the journal
//! are made of. Pure.
//!
//! It is a stable interface. Durations are whole numbers with their unit in the name (`silence_ms`, `offset_us`). Terms,
//! incarnations and hardware addresses read as in the texts. Whatever has a kind of its own (`why`, `reason`, `because`,
//! `outcome`, `evidence`) is an object: `kind`, `sentence` as the texts have it, and its parts by name. The control protocol
//! and the files of the history have another form, which only lubdub itself reads.

mod event;

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

pub use self::event::{event_kind, event_parts};
use super::Record;
use crate::agent::Outcome;
use crate::cluster::DoubtAbout;
use crate::cluster::event::{JoinReason, Level, Recovery, StopReason};
use crate::cluster::guard::{Doubt, Evidence};
use crate::cluster::placement::{Reason, Unable};
use crate::wire::KeysChange;

/// Parts by name.
pub type Parts = Map<String, Value>;

/// Parts by name, each of something that can always be written as JSON.
macro_rules! parts {
    ($($name:ident: $value:expr),* $(,)?) => {
        Parts::from_iter([$((stringify!($name).to_owned(), json!($value))),*])
    };
}
use parts;

/// An entry of the history, as `lubdub history --json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrintedRecord {
    /// When, as RFC 3339 in UTC with milliseconds.
    pub time: String,
    /// When, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
    /// How loud: `debug`, `info`, `warn` or `error`.
    pub severity: Level,
    /// Its kind, such as `peer_lost`.
    pub event: String,
    /// What `lubdub history` prints of it.
    pub sentence: String,
    /// What is special to its kind.
    #[serde(flatten)]
    pub parts: Parts,
}

impl From<&Record> for PrintedRecord {
    fn from(record: &Record) -> Self {
        let Record { time, unix_ms, event } = record;
        Self {
            time: time.clone(),
            unix_ms: *unix_ms,
            severity: event.level(),
            event: event_kind(event),
            sentence: event.to_string(),
            parts: event_parts(event),
        }
    }
}

/// A duration in whole milliseconds.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A duration in whole microseconds.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The word for one of several kinds: the name that serde has for it.
#[must_use]
pub fn kind(of: &impl Serialize) -> String {
    let word = match serde_json::to_value(of) {
        Ok(Value::String(word)) => word,
        Ok(Value::Object(parts)) => {
            parts.into_iter().next().map_or_else(String::new, |(word, _)| word)
        }
        // An enum is a word, or an object with the word.
        Ok(_) | Err(_) => String::new(),
    };
    snake(&word)
}

/// `TimedOut` as `timed_out`; what is written so already stays.
fn snake(word: &str) -> String {
    let mut snake = String::new();
    for letter in word.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn of_kind(kind: String, sentence: String, more: Parts) -> Parts {
    let mut parts = parts! { kind: kind, sentence: sentence };
    parts.extend(more);
    parts
}

/// Why a group is where it is.
#[must_use]
pub fn reason(reason: &Reason) -> Parts {
    let more = match reason {
        Reason::Wished { author } | Reason::Maintenance { author } => parts! { author: author },
        Reason::Came { because } => parts! { because: because },
        Reason::BestAble { instead_of } => parts! { instead_of: unable(instead_of) },
        Reason::NobodyElse { because } => parts! { because: kind(because) },
        Reason::Blocked { node } => parts! { node: node },
        Reason::NobodyAble { nodes } => parts! { nodes: unable(nodes) },
        Reason::Preferred | Reason::StaysPut | Reason::Failback | Reason::Starting => Parts::new(),
    };
    of_kind(kind(reason), reason.to_string(), more)
}

/// Nodes that cannot run a group.
#[must_use]
pub fn unable(nodes: &[(String, Unable)]) -> Vec<Parts> {
    let object = |(node, why): &(String, Unable)| {
        of_kind(kind(why), format!("{node} {why}"), parts! { node: node })
    };
    nodes.iter().map(object).collect()
}

/// Why this peer may still run a group.
#[must_use]
pub fn doubt(peer: &str, doubt: &Doubt) -> Parts {
    let more = match doubt {
        Doubt::NoConsent
        | Doubt::RunsThere
        | Doubt::StopFailed
        | Doubt::Maintenance
        | Doubt::Namesakes
        | Doubt::JustPaused => Parts::new(),
        Doubt::GuardDiffers { section } => parts! { section: section.to_string() },
        Doubt::NotLostYet { silence } => parts! { silence_ms: millis(*silence) },
        Doubt::PingSilent { silence } => parts! { ping_silence_ms: silence.map(millis) },
        Doubt::PingTooNew { answers_for } => parts! { answers_for_ms: millis(*answers_for) },
        Doubt::Probing { address, silent_probes } => {
            parts! { address: address, silent_probes: silent_probes }
        }
        Doubt::AddressAnswers { address, mac } | Doubt::AddressConflict { address, mac } => {
            parts! { address: address, mac: mac.to_string() }
        }
        Doubt::Unwitnessed { address, why } => parts! { address: address, why: why },
    };
    let mut parts = of_kind(kind(doubt), DoubtAbout(peer, doubt).to_string(), more);
    parts.insert("node".to_owned(), json!(peer));
    parts
}

/// Why this peer cannot run a group any more.
fn evidence(peer: &str, evidence: &Evidence) -> Parts {
    let more = match evidence {
        Evidence::Consent | Evidence::Goodbye => Parts::new(),
        Evidence::Operator { author } => parts! { author: author },
        Evidence::Guard { silence, ping, silent_probes } => parts! {
            silence_ms: millis(*silence),
            ping_node: ping.map(|(target, _)| target),
            ping_answered_us: ping.map(|(_, age)| micros(age)),
            silent_probes: silent_probes,
        },
        Evidence::Unguarded { silence } => parts! { silence_ms: millis(*silence) },
    };
    let mut parts = of_kind(kind(evidence), format!("{peer} {evidence}"), more);
    parts.insert("node".to_owned(), json!(peer));
    parts
}

fn stop_reason(because: &StopReason) -> Parts {
    let more = match because {
        StopReason::Moves { to, reason: why } => parts! { to: to, reason: reason(why) },
        StopReason::Isolated { silence, ping_silence } => parts! {
            silence_ms: millis(*silence),
            ping_silence_ms: ping_silence.map(millis),
        },
        StopReason::Paused { gap } => parts! { gap_ms: millis(*gap) },
        StopReason::BothActive { peer } => parts! { peer: peer },
        StopReason::AddressTwice { address, mac } => {
            parts! { address: address, mac: mac.to_string() }
        }
        StopReason::Failed { resource } => parts! { resource: resource },
        StopReason::Leftover { resources } => parts! { resources: resources },
        StopReason::Leaving | StopReason::TooLate => Parts::new(),
    };
    of_kind(kind(because), because.to_string(), more)
}

fn join_reason(because: &JoinReason) -> Parts {
    let more = match because {
        JoinReason::AllHeard => Parts::new(),
        JoinReason::Initdead(initdead) => parts! { initdead_ms: millis(*initdead) },
    };
    of_kind(kind(because), because.to_string(), more)
}

fn outcome(outcome: &Outcome) -> Parts {
    let more = match outcome {
        Outcome::Exited { code, reason } => parts! { code: code.number(), reason: reason },
        Outcome::Signalled(signal) => parts! { signal: signal },
        Outcome::CannotExecute(why) => parts! { why: why },
        Outcome::TimedOut | Outcome::Killed | Outcome::TooLate => Parts::new(),
    };
    of_kind(kind(outcome), outcome.to_string(), more)
}

fn recovery(then: &Recovery) -> Parts {
    let more = match then {
        Recovery::RestartHere | Recovery::AwaitAgent | Recovery::Unwatched | Recovery::Block => {
            Parts::new()
        }
        Recovery::Leave { able_again } => parts! { able_again_ms: able_again.map(millis) },
    };
    of_kind(kind(then), then.to_string(), more)
}

fn keys_change(change: &KeysChange) -> Parts {
    let KeysChange { added, dropped, replaced, signs } = change;
    parts! {
        sentence: change.to_string(),
        added: added,
        dropped: dropped,
        replaced: replaced,
        signed_with: signs.map(|(before, _)| before),
        signs_with: signs.map(|(_, now)| now),
    }
}

#[cfg(test)]
mod tests;
