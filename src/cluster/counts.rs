//! How often things happened in this life of the daemon: counted where events are told, so that history, log and counters
//! cannot tell different stories. Bounded by the configuration's names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::Event;
use crate::agent::Action;

/// Counts since the daemon's start. What never happened has no entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// This daemon stood still for longer than half of deadtime.
    pub pauses: u64,
    /// By peer.
    pub peers: BTreeMap<String, PeerCounts>,
    /// By group.
    pub groups: BTreeMap<String, GroupCounts>,
}

/// Counts of a peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerCounts {
    /// Silences past warntime.
    pub late: u64,
    /// Silences past deadtime.
    pub lost: u64,
}

/// Counts of a group, on this node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupCounts {
    /// It was started here.
    pub started: u64,
    /// It was found running here after a restart.
    pub adopted: u64,
    /// It was stopped here.
    pub stopped: u64,
    /// Its stop failed here.
    pub blocked: u64,
    /// The guard refused its takeover.
    pub refused: u64,
    /// Two nodes were seen with it.
    pub both_active: u64,
    /// Actions of its agents that failed here, by resource.
    pub failures: BTreeMap<String, BTreeMap<Action, u64>>,
}

impl Counts {
    /// Counts what an event tells of.
    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::Paused { .. } => self.pauses += 1,
            Event::PeerLate { peer, .. } => self.peer(peer).late += 1,
            Event::PeerLost { peer, .. } => self.peer(peer).lost += 1,
            Event::GroupStarted { group, .. } => self.group(group).started += 1,
            Event::GroupAdopted { group, .. } => self.group(group).adopted += 1,
            Event::GroupStopped { group, .. } => self.group(group).stopped += 1,
            Event::GroupBlocked { group, .. } => self.group(group).blocked += 1,
            Event::Refused { group, .. } => self.group(group).refused += 1,
            Event::BothActive { group, .. } => self.group(group).both_active += 1,
            Event::AgentFailed { group, resource, action, .. } => {
                let failures = self.group(group).failures.entry(resource.clone()).or_default();
                *failures.entry(*action).or_default() += 1;
            }
            Event::Started { .. }
            | Event::Joined { .. }
            | Event::PeerUp { .. }
            | Event::PeerPunctual { .. }
            | Event::PeerLeft { .. }
            | Event::PeerLeavesRunning { .. }
            | Event::PeerConfirmedDead { .. }
            | Event::LinkChanged { .. }
            | Event::LinkWaiting { .. }
            | Event::PingChanged { .. }
            | Event::Cleared { .. }
            | Event::Placed { .. }
            | Event::GroupStarting { .. }
            | Event::GroupStopping { .. }
            | Event::GroupRestored { .. }
            | Event::GroupUnblocked { .. }
            | Event::PeerRuns { .. }
            | Event::MonitorSlow { .. }
            | Event::AddressPutBack { .. }
            | Event::AddressFailed { .. }
            | Event::AddressConflict { .. }
            | Event::Wished { .. }
            | Event::Namesakes { .. }
            | Event::Maintenance { .. }
            | Event::LeftRunning { .. }
            | Event::LeftAlone { .. }
            | Event::MoveGivenUp { .. }
            | Event::ConfigDiffers { .. }
            | Event::PeerKey { .. }
            | Event::KeysChanged { .. }
            | Event::ClockOffset { .. }
            | Event::AgentRemarked { .. }
            | Event::DatagramRefused { .. }
            | Event::DiskChanged { .. }
            | Event::Leaving => {}
        }
    }

    fn peer(&mut self, name: &str) -> &mut PeerCounts {
        self.peers.entry(name.to_owned()).or_default()
    }

    fn group(&mut self, name: &str) -> &mut GroupCounts {
        self.groups.entry(name.to_owned()).or_default()
    }
}
