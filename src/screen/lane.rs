//! One direction of one link between two nodes: whether it works, and the pulses on it. Pure.

use std::collections::VecDeque;
use std::time::Duration;

/// How long a pulse is seen.
pub(super) const TRAVEL: Duration = Duration::from_millis(500);

/// Pulses under way at once; of more nobody could tell one from the other.
const MOST: u32 = 32;

/// Whether heartbeats pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Passage {
    /// Nobody can tell.
    #[default]
    Unknown,
    /// They do.
    Works,
    /// They do not.
    Broken,
}

/// A lane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) passage: Passage,
    /// The newest reading of its receiver's counter, and when.
    counter: Option<(Duration, u64)>,
    /// When each pulse set out, or will: the oldest first.
    pulses: VecDeque<Duration>,
}

impl Lane {
    /// A reading of the receiver's counter. Each heartbeat since the one before sets out a pulse; several are spread over
    /// the time between the two readings.
    pub(super) fn counted(&mut self, now: Duration, total: u64) {
        if let Some((before, known)) = self.counter {
            // A new life begins to count anew.
            let new = total.checked_sub(known).unwrap_or(total);
            let new = u32::try_from(new).unwrap_or(u32::MAX).min(MOST);
            let between = now.saturating_sub(before);
            for number in 0..new {
                self.pulses.push_back(now + between * number / new);
            }
        }
        self.counter = Some((now, total));
        while self.pulses.len() > MOST as usize
            || self.pulses.front().is_some_and(|born| *born + TRAVEL < now)
        {
            self.pulses.pop_front();
        }
    }

    /// The receiver is not asked any more.
    pub(super) fn lose_sight(&mut self) {
        self.counter = None;
        self.passage = Passage::Unknown;
    }

    /// Where the pulses are on a way of so many places, counted from the sender.
    pub(super) fn pulses(&self, now: Duration, places: usize) -> impl Iterator<Item = usize> {
        self.pulses.iter().filter_map(move |born| {
            let age = now.checked_sub(*born).filter(|age| *age < TRAVEL)?;
            usize::try_from(age.as_micros() * places as u128 / TRAVEL.as_micros()).ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn places(lane: &Lane, now: u64) -> Vec<usize> {
        lane.pulses(ms(now), 30).collect()
    }

    #[test]
    fn each_heartbeat_is_one_pulse() {
        let mut lane = Lane::default();
        lane.counted(ms(1000), 40);
        assert!(places(&lane, 1000).is_empty(), "what was before is not known");
        lane.counted(ms(1100), 40);
        assert!(places(&lane, 1100).is_empty(), "no heartbeat, no pulse");
        lane.counted(ms(1200), 42);
        assert_eq!(places(&lane, 1200), [0], "the second sets out later");
        assert_eq!(places(&lane, 1300), [6, 3]);
        assert_eq!(places(&lane, 1699), [29, 26]);
        assert_eq!(places(&lane, 1701), [27]);
        assert!(places(&lane, 1800).is_empty());
    }

    #[test]
    fn a_new_life_counts_anew_and_a_gap_is_not_made_up() {
        let mut lane = Lane::default();
        lane.counted(ms(0), 500);
        lane.counted(ms(100), 1);
        assert_eq!(places(&lane, 100), [0]);
        lane.lose_sight();
        lane.counted(ms(200), 90);
        assert_eq!(places(&lane, 200), [6], "only the one from before");
        assert_eq!(lane.passage, Passage::Unknown);
    }

    #[test]
    fn a_flood_is_bounded() {
        let mut lane = Lane::default();
        lane.counted(ms(0), 0);
        lane.counted(ms(100), u64::MAX);
        assert!(lane.pulses.len() <= MOST as usize);
    }
}
