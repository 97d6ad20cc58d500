//! The `arp` guard: does the address of a silent peer's group still answer on the service network?
//!
//! From warntime on each address is asked for; silence counts only in a row of at least three, and only while a
//! neighbour shows that this node could have heard an answer. An address that answered although its holder was silent
//! already, and then stops, may be that of a holder that was cut off just now: its ping guard lets it hold for a while,
//! and silence has to last for longer than that.

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
    /// When the first of them was over.
    silent_since: Option<Instant>,
    /// It answered since the silence of the peer began.
    answered: bool,
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
        match self.last {
            Last::Silent => {
                self.silent = self.silent.saturating_add(1);
                self.silent_since.get_or_insert(now);
            }
            Last::Nothing | Last::Unwitnessed(_) => (self.silent, self.silent_since) = (0, None),
            Last::Answered(_) => {
                (self.silent, self.silent_since, self.answered) = (0, None, true);
            }
        }
    }

    /// What was heard is of no use any more: the silence ended, or this node stood still.
    pub(in crate::cluster) fn forget(&mut self) {
        (self.silent, self.silent_since, self.answered) = (0, None, false);
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
    /// a hardware address is one of the cluster's own. What is older than `old` counts for nothing. `lasts`: for so long a
    /// holder that is cut off may keep an address that answered before; `claimed`: it was heard there otherwise.
    pub(in crate::cluster) fn verdict(
        &self,
        now: Instant,
        old: Duration,
        (lasts, claimed): (Duration, bool),
        address: &str,
        known: impl Fn(Mac) -> bool,
    ) -> Result<u32, Doubt> {
        let address = address.to_owned();
        let recent = self.finished.is_some_and(|finished| now - finished <= old);
        let answered = self.answered || claimed;
        let long = !answered || self.silent_since.is_some_and(|since| now - since >= lasts);
        match &self.last {
            Last::Answered(mac) if known(*mac) => Err(Doubt::AddressAnswers { address, mac: *mac }),
            Last::Answered(mac) => Err(Doubt::AddressConflict { address, mac: *mac }),
            Last::Unwitnessed(why) => Err(Doubt::Unwitnessed { address, why: why.clone() }),
            Last::Silent if recent && long && self.silent >= SILENT_PROBES => Ok(self.silent),
            Last::Silent | Last::Nothing => {
                Err(Doubt::Probing { address, silent_probes: self.silent })
            }
        }
    }
}
