//! How far a peer's wall clock is from this node's: measured from heartbeats, shown, never decided upon. Owns the last
//! measurements of one peer and whether they were told to be too far apart; `observe.rs` feeds it.
//!
//! Of an exchange only two things are known: what the peer's clock showed when it sent, what this one's showed when that
//! came, and that the way took no longer than the round trip. So the truth lies within half a round trip of the middle.
//! The shortest of the last few round trips tells most, as in the clock filter of NTP (RFC 5905, section 10): a heartbeat
//! that was long under way changes nothing.

use std::collections::VecDeque;
use std::time::Duration;

use super::time::micros;

/// Measurements that are kept (`NSTAGE` of RFC 5905).
const KEPT: usize = 8;

/// Measurements that contradict one another by more than this are of before and after a step of a clock. Less may come
/// from the rates of clocks while a heartbeat was held.
const STEP_US: u64 = 1_000;

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measured {
    /// The peer's wall clock ahead of this node's, microseconds.
    pub(super) offset_us: i64,
    /// It may be this much more or less.
    pub(super) error_us: u64,
}

impl Measured {
    /// Whether both can be true of the same two clocks.
    fn agrees(self, other: Self) -> bool {
        let error = self.error_us.saturating_add(other.error_us).saturating_add(STEP_US);
        self.offset_us.abs_diff(other.offset_us) <= error
    }
}

/// A peer's wall clock against this node's.
#[derive(Debug, Default)]
pub(super) struct PeerClock {
    kept: VecDeque<Measured>,
    /// They were last found to be further apart than they should.
    apart: bool,
}

impl PeerClock {
    /// A heartbeat came: what the peer's wall clock showed when it was sent, what this node's showed when it came
    /// (microseconds since the Unix epoch), and the round trip, which it ended.
    pub(super) fn heard(&mut self, theirs_us: u64, mine_us: u64, round_trip: Duration) {
        let error_us = micros(round_trip).div_ceil(2);
        let offset = i128::from(theirs_us) - i128::from(mine_us) + i128::from(error_us);
        let bounded = offset.clamp(i64::MIN.into(), i64::MAX.into());
        let measured = Measured { offset_us: i64::try_from(bounded).unwrap_or_default(), error_us };
        self.kept.retain(|former| former.agrees(measured));
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(measured);
    }

    /// The measurement that tells most, the newest of equals.
    pub(super) fn measured(&self) -> Option<Measured> {
        self.kept.iter().rev().min_by_key(|measured| measured.error_us).copied()
    }

    /// Whether the clocks were last found to be too far apart.
    pub(super) fn is_apart(&self) -> bool {
        self.apart
    }

    /// Look whether the clocks are further apart than this. Returns the measurement if that is news: apart only if that is
    /// certain, together again only if that is, and by an eighth, so that clocks near the bound do not come and go.
    pub(super) fn judge(&mut self, warn_offset: Duration) -> Option<Measured> {
        let measured = self.measured()?;
        let (offset, bound) = (measured.offset_us.unsigned_abs(), micros(warn_offset));
        let news = match self.apart {
            false => offset.saturating_sub(measured.error_us) > bound,
            true => offset.saturating_add(measured.error_us) <= bound - bound / 8,
        };
        self.apart ^= news;
        news.then_some(measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_767_225_600_000_000;
    const SECOND: Duration = Duration::from_secs(1);

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// A heartbeat of a peer whose clock is ahead by so much, after a way of `way` of a round trip.
    fn hear(clock: &mut PeerClock, ahead_us: i64, way: Duration, round_trip: Duration) {
        let sent = (NOON - micros(way)).checked_add_signed(ahead_us).unwrap();
        clock.heard(sent, NOON, round_trip);
    }

    fn measured(clock: &PeerClock) -> (i64, u64) {
        let measured = clock.measured().unwrap();
        (measured.offset_us, measured.error_us)
    }

    #[test]
    fn half_of_the_round_trip_is_the_way_and_the_truth_is_no_further_than_that() {
        for ahead in [0, 2_300_000, -86_400_000_000] {
            for (way, round_trip, middle) in
                [(ms(5), ms(10), 0), (ms(0), ms(10), 5_000), (ms(10), ms(10), -5_000)]
            {
                let mut clock = PeerClock::default();
                hear(&mut clock, ahead, way, round_trip);
                assert_eq!(measured(&clock), (ahead + middle, 5_000));
            }
        }
    }

    #[test]
    fn one_late_heartbeat_shows_no_false_offset() {
        let mut clock = PeerClock::default();
        for _ in 0..20 {
            hear(&mut clock, 700, ms(1), ms(2));
        }
        // All of its round trip was the way back.
        hear(&mut clock, 700, ms(4_000), ms(4_001));
        assert_eq!(measured(&clock), (700, 1_000));
        assert_eq!(clock.judge(SECOND), None);
        // Even as the only one it proves nothing.
        let mut clock = PeerClock::default();
        hear(&mut clock, 700, ms(4_000), ms(4_001));
        assert_eq!(measured(&clock).0, 700 - 1_999_500);
        assert_eq!(clock.judge(SECOND), None);
    }

    #[test]
    fn old_measurements_go() {
        let mut clock = PeerClock::default();
        hear(&mut clock, 0, ms(1), ms(2));
        for _ in 0..KEPT {
            hear(&mut clock, 0, ms(10), ms(20));
        }
        assert_eq!(measured(&clock), (0, 10_000));
    }

    #[test]
    fn a_step_of_either_clock_is_seen_at_once() {
        let mut clock = PeerClock::default();
        for _ in 0..KEPT {
            hear(&mut clock, 0, ms(1), ms(2));
        }
        // With a worse round trip than all of before.
        hear(&mut clock, 3_600_000_000, ms(4), ms(8));
        assert_eq!(measured(&clock), (3_600_000_000, 4_000));
    }

    #[test]
    fn news_come_once_and_not_again_near_the_bound() {
        let mut clock = PeerClock::default();
        let mut news = Vec::new();
        for ahead_ms in [0, 999, 1_000, 1_010, 1_020, 999, 1_010, 880, 870, 999, -2_000] {
            hear(&mut clock, ahead_ms * 1_000, ms(1), ms(2));
            if let Some(measured) = clock.judge(SECOND) {
                news.push((measured.offset_us, clock.is_apart()));
            }
        }
        // 1 s and a millisecond of uncertainty; seven eighths of it, less that.
        assert_eq!(news, [(1_010_000, true), (870_000, false), (-2_000_000, true)]);
    }

    #[test]
    fn senseless_clocks_are_as_far_apart_as_can_be() {
        let mut clock = PeerClock::default();
        clock.heard(u64::MAX, 0, ms(2));
        assert_eq!(clock.measured().unwrap().offset_us, i64::MAX);
        assert!(clock.judge(SECOND).is_some());
        clock.heard(0, u64::MAX, Duration::MAX);
        assert_eq!(clock.judge(SECOND), None);
    }
}
