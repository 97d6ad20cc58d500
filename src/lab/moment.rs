//! Time as everything in the laboratory shares it: the kernel's `CLOCK_BOOTTIME`, one clock for all nodes.

use std::ops::{Add, Sub};
use std::time::Duration;

use nix::time::ClockId;

/// A moment on the machine's `CLOCK_BOOTTIME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// The machine's start: before everything.
    pub const BOOT: Self = Self(Duration::ZERO);

    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self(read(ClockId::CLOCK_BOOTTIME))
    }

    /// The moment at which the wall clock showed this, as far as it was not stepped since; `wall`: what it showed at a
    /// known moment, the same for all times that are to stay in order.
    #[must_use]
    pub fn from_unix_millis(millis: u64, wall: (Duration, Self)) -> Self {
        let (showed, moment) = wall;
        Self(moment.0.saturating_sub(showed.saturating_sub(Duration::from_millis(millis))))
    }

    /// What the wall clock shows now, as time since the Unix epoch.
    #[must_use]
    pub fn wall() -> (Duration, Self) {
        (read(ClockId::CLOCK_REALTIME), Self::now())
    }

    /// As time since the machine's start.
    #[must_use]
    pub fn since_boot(self) -> Duration {
        self.0
    }

    /// What the wall clock showed at this moment, in milliseconds since the Unix epoch; the inverse of
    /// [`Moment::from_unix_millis`].
    #[must_use]
    pub fn to_unix_millis(self, wall: (Duration, Self)) -> u64 {
        let (showed, moment) = wall;
        u64::try_from(showed.saturating_sub(moment - self).as_millis()).unwrap_or(u64::MAX)
    }

    /// Milliseconds since another moment; negative before it.
    #[must_use]
    pub fn millis_after(self, other: Self) -> f64 {
        (self.0.as_secs_f64() - other.0.as_secs_f64()) * 1000.0
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl Sub for Moment {
    type Output = Duration;

    /// Time since an earlier moment; zero if that moment is later.
    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

#[expect(clippy::expect_used, reason = "every kernel that has namespaces has both clocks")]
fn read(clock: ClockId) -> Duration {
    clock.now().expect("the kernel has this clock").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_is_found_again_on_the_boot_clock() {
        let wall = read(ClockId::CLOCK_REALTIME);
        let now = Moment::now();
        let found =
            Moment::from_unix_millis(u64::try_from(wall.as_millis()).unwrap(), Moment::wall());
        assert!(found.millis_after(now).abs() < 100.0, "{found:?} {now:?}");
        let wall = Moment::wall();
        let back = Moment::from_unix_millis(found.to_unix_millis(wall), wall);
        assert!(back.millis_after(found).abs() < 2.0, "{found:?} {back:?}");
    }

    #[test]
    fn before_is_negative() {
        let now = Moment::now();
        assert!(now.millis_after(now + Duration::from_millis(5)) < -4.9);
    }
}
