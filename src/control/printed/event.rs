//! What is special to each kind of event, by name.

use serde_json::{Value, json};

use super::{
    Parts, doubt, evidence, join_reason, keys_change, kind, millis, outcome, parts, reason,
    recovery, stop_reason,
};
use crate::cluster::event::Event;

/// The word for an event's kind, such as `peer_lost`.
#[must_use]
pub fn event_kind(event: &Event) -> String {
    // Its form for files and the control protocol has the word beside the parts.
    let value = serde_json::to_value(event).unwrap_or_default();
    value.get("event").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// What is special to an event's kind.
#[must_use]
#[expect(clippy::too_many_lines, reason = "a table: the parts of each event")]
pub fn event_parts(event: &Event) -> Parts {
    match event {
        Event::Started { node, incarnation } => {
            parts! { node: node, incarnation: format!("{:016x}", incarnation.0) }
        }
        Event::Joined { because } => parts! { because: join_reason(because) },
        Event::Paused { gap } => parts! { gap_ms: millis(*gap) },
        Event::PeerUp { peer, incarnation, after } => parts! {
            peer: peer,
            incarnation: format!("{:016x}", incarnation.0),
            after_ms: after.map(millis),
        },
        Event::PeerLate { peer, silence, warntime } => parts! {
            peer: peer,
            silence_ms: millis(*silence),
            warntime_ms: millis(*warntime),
        },
        Event::PeerPunctual { peer, silence, deadtime }
        | Event::PeerLost { peer, silence, deadtime } => parts! {
            peer: peer,
            silence_ms: millis(*silence),
            deadtime_ms: millis(*deadtime),
        },
        Event::PeerLeft { peer } | Event::PeerLeavesRunning { peer } => parts! { peer: peer },
        Event::PeerConfirmedDead { peer, author } => parts! { peer: peer, author: author },
        Event::Namesakes { node, source, lives } => {
            parts! { node: node, source: source, lives: lives }
        }
        Event::LinkChanged { link, peer, heard, hears } => {
            parts! { link: link, peer: peer, heard: heard, hears: hears }
        }
        Event::LinkWaiting { link, waiting } => parts! { link: link, waiting: waiting },
        Event::PingChanged { answers, target } => parts! { answers: answers, target: target },
        Event::Cleared { group, evidence: all } => {
            let all: Vec<Parts> = all.iter().map(|(peer, why)| evidence(peer, why)).collect();
            parts! { group: group, evidence: all }
        }
        Event::Refused { group, peer, why } => {
            parts! { group: group, peer: peer, why: doubt(peer, why) }
        }
        Event::Placed { group, node, reason: why } => {
            parts! { group: group, node: node, reason: reason(why) }
        }
        Event::GroupStarting { group, term } | Event::GroupAdopted { group, term } => {
            parts! { group: group, term: term.to_string() }
        }
        Event::GroupStarted { group, term, took } => {
            parts! { group: group, term: term.to_string(), took_ms: millis(*took) }
        }
        Event::GroupStopping { group, because } => {
            parts! { group: group, because: stop_reason(because) }
        }
        Event::GroupStopped { group, took } | Event::GroupRestored { group, took } => {
            parts! { group: group, took_ms: millis(*took) }
        }
        Event::GroupBlocked { group, resource, outcome: came } => {
            parts! { group: group, resource: resource, outcome: outcome(came) }
        }
        Event::GroupUnblocked { group } => parts! { group: group },
        Event::PeerRuns { group, peer, term } => {
            parts! { group: group, peer: peer, term: term.to_string() }
        }
        Event::BothActive { group, peer, mine, theirs, keep } => parts! {
            group: group,
            peer: peer,
            mine: mine.to_string(),
            theirs: theirs.to_string(),
            keep: keep,
        },
        Event::AgentFailed { group, resource, action, outcome: came, then } => parts! {
            group: group,
            resource: resource,
            action: action,
            outcome: outcome(came),
            then: recovery(then),
        },
        Event::AgentRemarked { group, resource, remark } => {
            parts! { group: group, resource: resource, remark: remark }
        }
        Event::MonitorSlow { group, resource, timeout } => {
            parts! { group: group, resource: resource, timeout_ms: millis(*timeout) }
        }
        Event::AddressPutBack { group, address } => parts! { group: group, address: address },
        Event::AddressFailed { group, address, why } => {
            parts! { group: group, address: address, why: why }
        }
        Event::AddressConflict { group, address, mac } => {
            parts! { group: group, address: address, mac: mac.to_string() }
        }
        Event::Wished { wish, author, on } => parts! { wish: wish, author: author, on: on },
        Event::Maintenance { on } => parts! { on: on },
        Event::LeftRunning { groups } => parts! { groups: groups },
        Event::LeftAlone { group, resources } => parts! { group: group, resources: resources },
        Event::MoveGivenUp { group, to } => parts! { group: group, to: to },
        Event::ConfigDiffers { peer, sections } => {
            let sections: Vec<String> = sections.iter().map(ToString::to_string).collect();
            parts! { peer: peer, sections: sections }
        }
        Event::PeerKey { peer, key, before } => parts! { peer: peer, key: key, before: before },
        Event::KeysChanged { author, change } => {
            parts! { author: author, change: keys_change(change) }
        }
        Event::ClockOffset { peer, offset_us, warn_offset, apart } => parts! {
            peer: peer,
            offset_us: offset_us,
            warn_offset_ms: millis(*warn_offset),
            apart: apart,
        },
        Event::DatagramRefused { why, source, count } => {
            parts! { why: kind(why), source: source, count: count }
        }
        Event::DiskChanged { error } => parts! { error: error },
        Event::Leaving => Parts::new(),
    }
}
