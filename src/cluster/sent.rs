//! This node's own datagrams of the last while: when each was sent, and what it told each peer.
//!
//! The age of a round trip counts from here, on this node's own clock (freshness by echo).

use std::collections::VecDeque;
use std::time::Duration;

use super::time::Instant;
use crate::config::NodeId;
use crate::wire::{Incarnation, Sequence};

/// What a datagram told one peer: "of this life of yours I heard a datagram that you sent no earlier than this".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) peer: NodeId,
    pub(super) incarnation: Incarnation,
    pub(super) sent_after: Instant,
}

/// One datagram of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SentDatagram {
    pub(super) at: Instant,
    pub(super) told: Vec<Told>,
}

/// The datagrams of the last while. Sequences are consecutive, so the place follows from the number.
#[derive(Debug)]
pub(super) struct Sent {
    first: u64,
    ring: VecDeque<SentDatagram>,
    keep: Duration,
}

impl Sent {
    /// More datagrams than this are not remembered, however short the while.
    const MOST: usize = 8192;

    /// Remember datagrams for so long.
    pub(super) fn new(keep: Duration) -> Self {
        Self { first: 1, ring: VecDeque::new(), keep }
    }

    /// Note a datagram, and give it its number.
    pub(super) fn record(&mut self, now: Instant, told: Vec<Told>) -> Sequence {
        while self.ring.len() >= Self::MOST
            || self.ring.front().is_some_and(|oldest| now - oldest.at > self.keep)
        {
            self.ring.pop_front();
            self.first += 1;
        }
        self.ring.push_back(SentDatagram { at: now, told });
        Sequence(self.first + self.ring.len() as u64 - 1)
    }

    /// The datagram of this number, unless it is too old or was never sent.
    pub(super) fn get(&self, sequence: Sequence) -> Option<&SentDatagram> {
        let place = sequence.0.checked_sub(self.first)?;
        self.ring.get(usize::try_from(place).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn numbers_lead_back_to_times_until_they_are_too_old() {
        let mut sent = Sent::new(Duration::from_millis(100));
        for (tick, expected) in (1_u64..=5).enumerate() {
            assert_eq!(sent.record(at(tick as u64 * 40), Vec::new()), Sequence(expected));
        }
        assert_eq!(sent.get(Sequence(1)), None, "older than the while");
        assert_eq!(sent.get(Sequence(3)).map(|datagram| datagram.at), Some(at(80)));
        assert_eq!(sent.get(Sequence(6)), None, "never sent");
        assert_eq!(sent.get(Sequence(0)), None, "numbers begin at 1");
    }
}
