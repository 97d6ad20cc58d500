//! The `arp` guard: does the address of a silent peer's group still answer on the service network?
//!
//! From warntime on each address is asked for; silence counts only in a row of at least three, and only while a
//! neighbour shows that this node could have heard an answer.

use std::time::Duration;

use super::Doubt;
use crate::cluster::io::{OpId, ProbeOutcome};
use crate::cluster::time::Instant;
use crate::wire::Mac;

/// Silent probes in a row that count as silence.
pub(in crate::cluster) const SILENT_PROBES: u32 = 3;

/// What is known of one address.
#[derive(Debug, Default)]
pub(in crate::cluster) struct Probes {
    open: Option<OpId>,
    silent: u32,
    asked: Option<Instant>,
    finished: Option<Instant>,
    last: Last,
}

#[derive(Debug, Default)]
enum Last {
    #[default]
    Nothing,
    Silent,
    Unwitnessed(Option<String>),
    Answered(Mac),
}

impl Probes {
    /// When to ask next; `None` while an answer is awaited.
    pub(in crate::cluster) fn next(&self, interval: Duration) -> Option<Instant> {
        match self.open {
            Some(_) => None,
            None => Some(self.asked.map_or(Instant::ZERO, |asked| asked + interval)),
        }
    }

    /// It was asked for.
    pub(in crate::cluster) fn asked(&mut self, now: Instant, op: OpId) {
        self.open = Some(op);
        self.asked = Some(now);
    }

    /// The answer.
    pub(in crate::cluster) fn finished(
        &mut self,
        now: Instant,
        outcome: ProbeOutcome,
        need_witness: bool,
    ) {
        self.open = None;
        self.finished = Some(now);
        self.last = match outcome {
            ProbeOutcome::Silent { witnessed } if witnessed || !need_witness => Last::Silent,
            ProbeOutcome::Silent { .. } => Last::Unwitnessed(None),
            ProbeOutcome::Failed(why) => Last::Unwitnessed(Some(why)),
            ProbeOutcome::Answered { mac } => Last::Answered(mac),
        };
        self.silent = match self.last {
            Last::Silent => self.silent.saturating_add(1),
            Last::Nothing | Last::Unwitnessed(_) | Last::Answered(_) => 0,
        };
    }

    /// What was heard is of no use any more: the silence ended, or this node stood still.
    pub(in crate::cluster) fn forget(&mut self) {
        self.silent = 0;
        self.finished = None;
        self.last = Last::Nothing;
    }

    /// Who answered the newest probe.
    pub(in crate::cluster) fn answered_by(&self) -> Option<Mac> {
        match self.last {
            Last::Answered(mac) => Some(mac),
            Last::Nothing | Last::Silent | Last::Unwitnessed(_) => None,
        }
    }

    /// Whether anything is remembered.
    pub(in crate::cluster) fn is_fresh(&self) -> bool {
        self.finished.is_none()
    }

    /// How many probes were silent in a row, if that is enough; else why the address may still be held. `known`: whether
    /// a hardware address is one of the cluster's own. What is older than `old` counts for nothing.
    pub(in crate::cluster) fn verdict(
        &self,
        now: Instant,
        old: Duration,
        address: &str,
        known: impl Fn(Mac) -> bool,
    ) -> Result<u32, Doubt> {
        let address = address.to_owned();
        let recent = self.finished.is_some_and(|finished| now - finished <= old);
        match &self.last {
            Last::Answered(mac) if known(*mac) => Err(Doubt::AddressAnswers { address, mac: *mac }),
            Last::Answered(mac) => Err(Doubt::AddressConflict { address, mac: *mac }),
            Last::Unwitnessed(why) => Err(Doubt::Unwitnessed { address, why: why.clone() }),
            Last::Silent if recent && self.silent >= SILENT_PROBES => Ok(self.silent),
            Last::Silent | Last::Nothing => {
                Err(Doubt::Probing { address, silent_probes: self.silent })
            }
        }
    }
}
