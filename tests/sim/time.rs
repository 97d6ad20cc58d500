//! True time, which only the world knows, and the clocks of its machines, which is all that a node ever sees.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use lubdub::cluster::time::{Instant, micros};

/// A moment of true time: microseconds since the world began. A type of its own, so that it is never mixed up with the
/// clock of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// The beginning of the world.
    pub const ZERO: Self = Self(0);

    /// True time since an earlier moment; zero if that moment is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Microseconds since the world began.
    pub fn as_micros(self) -> u64 {
        self.0
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0 + micros(duration))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// The clock of one life of a daemon: zero at its start, with the rate of its machine.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    zero: Moment,
    /// How much faster than true time it goes, in millionths.
    ppm: i64,
}

impl Clock {
    pub fn new(zero: Moment, ppm: i64) -> Self {
        Self { zero, ppm }
    }

    /// What it shows.
    pub fn read(&self, now: Moment) -> Instant {
        let elapsed = i128::from(now.0.saturating_sub(self.zero.0));
        let shown = elapsed + elapsed * i128::from(self.ppm) / 1_000_000;
        Instant::from_micros(u64::try_from(shown).unwrap())
    }

    /// The first moment at which it shows this.
    pub fn when(&self, shows: Instant) -> Moment {
        let shown = i128::from(shows.as_micros());
        let elapsed = shown * 1_000_000 / (1_000_000 + i128::from(self.ppm));
        let mut when = Moment(self.zero.0 + u64::try_from(elapsed).unwrap());
        while self.read(when) < shows {
            when.0 += 1;
        }
        when
    }

    /// Let it stand still for a while that is over: what a clock does that does not count a suspended machine.
    pub fn forget(&mut self, gap: Duration) {
        self.zero = self.zero + gap;
    }
}

#[test]
fn a_clock_shows_what_was_asked_for_and_not_a_microsecond_earlier() {
    for ppm in [-10_000, -50, 0, 50, 10_000] {
        let clock = Clock::new(Moment(5_000_000), ppm);
        for shows in [0, 1, 999, 12_345_678, 86_400_000_000] {
            let when = clock.when(Instant::from_micros(shows));
            assert!(clock.read(when) >= Instant::from_micros(shows), "{ppm} {shows}");
            if shows > 1 {
                assert!(
                    clock.read(Moment(when.0 - 2)) < Instant::from_micros(shows),
                    "{ppm} {shows}"
                );
            }
        }
    }
}
