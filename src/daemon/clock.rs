//! The only reader of clocks: `CLOCK_BOOTTIME` for the core, the wall clock for logs; and an alarm on the former.
//!
//! `CLOCK_BOOTTIME` goes on while a machine is suspended: a node must know that it slept.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{
    ClockId as TimerClock, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags,
};
use nix::time::{ClockId, clock_gettime};
use tokio::io::unix::AsyncFd;

use super::readiness::readable;
use crate::cluster::time::{Instant, micros};

/// Microseconds of `CLOCK_BOOTTIME`, the same for all processes of this machine: what deadlines are told to children in.
#[must_use]
pub fn boottime_us() -> u64 {
    read(ClockId::CLOCK_BOOTTIME)
}

/// The wall clock, milliseconds since the Unix epoch. Shown and stamped, never decided upon.
#[must_use]
pub fn unix_ms() -> u64 {
    read(ClockId::CLOCK_REALTIME) / 1000
}

#[expect(
    clippy::expect_used,
    reason = "clock_gettime(2) of a clock that Linux always has fails on bad arguments only"
)]
fn read(clock: ClockId) -> u64 {
    let now = clock_gettime(clock).expect("the clock can be read");
    micros(Duration::from(now))
}

/// The daemon's clock. Copies of it agree.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// `CLOCK_BOOTTIME` at the core's [`Instant::ZERO`], microseconds.
    zero_us: u64,
}

impl Clock {
    /// A clock that is at [`Instant::ZERO`] now.
    #[must_use]
    pub fn start() -> Self {
        Self { zero_us: boottime_us() }
    }

    /// Now. Never goes back; suspended time counts.
    #[must_use]
    pub fn now(self) -> Instant {
        self.instant(boottime_us())
    }

    /// The core's moment as microseconds of `CLOCK_BOOTTIME`.
    #[must_use]
    pub fn boottime_us(self, at: Instant) -> u64 {
        self.zero_us.saturating_add(at.as_micros())
    }

    /// Microseconds of `CLOCK_BOOTTIME` as the core's moment.
    #[must_use]
    pub fn instant(self, boottime_us: u64) -> Instant {
        Instant::from_micros(boottime_us.saturating_sub(self.zero_us))
    }

    /// The wall clock, microseconds since the Unix epoch. Shown and stamped, never decided upon.
    #[must_use]
    pub fn unix_us(self) -> u64 {
        read(ClockId::CLOCK_REALTIME)
    }

    /// The wall clock, milliseconds since the Unix epoch.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        unix_ms()
    }
}

/// Wakes the loop at a moment of its clock, to the microsecond where the machine can: tokio's own timers have steps of a
/// millisecond and stand still while the machine is suspended.
pub struct Alarm {
    clock: Clock,
    timer: AsyncFd<Timer>,
    /// What the kernel's timer is set to.
    armed: Option<Instant>,
}

impl Alarm {
    /// An alarm of this clock. Inside a tokio runtime only.
    ///
    /// # Errors
    ///
    /// The process is out of file descriptors.
    pub fn new(clock: Clock) -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(TimerClock::CLOCK_BOOTTIME, flags)?;
        Ok(Self { clock, timer: readable(Timer(timer))?, armed: None })
    }

    /// Waits until that moment, not at all if it is over. May be dropped and called again with another moment.
    ///
    /// # Errors
    ///
    /// The kernel refuses the timer, which it has no reason to.
    pub async fn until(&mut self, at: Instant) -> io::Result<()> {
        while self.clock.now() < at {
            if self.armed != Some(at) {
                self.timer.get_ref().set(Duration::from_micros(self.clock.boottime_us(at)))?;
                self.armed = Some(at);
            }
            let mut ready = self.timer.readable().await?;
            if let Ok(expired) = ready.try_io(|timer| timer.get_ref().expire()) {
                expired?;
                self.armed = None;
            }
        }
        Ok(())
    }
}

/// A timer descriptor (timerfd_create(2)).
struct Timer(TimerFd);

impl Timer {
    fn set(&self, boottime: Duration) -> io::Result<()> {
        let expiration = Expiration::OneShot(TimeSpec::from(boottime));
        Ok(self.0.set(expiration, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?)
    }

    /// Takes note of an expiration; would block if there was none.
    fn expire(&self) -> io::Result<()> {
        Ok(self.0.wait()?)
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_loop<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn moments_and_kernel_time_are_the_same_thing() {
        let before = boottime_us();
        let clock = Clock::start();
        let now = clock.now();
        let after = boottime_us();
        assert!((before..=after).contains(&clock.boottime_us(now)));
        assert_eq!(clock.instant(clock.boottime_us(now)), now);
        assert_eq!(clock.instant(0), Instant::ZERO);
        let year_2020_ms = 1_577_836_800_000;
        assert!(clock.unix_ms() > year_2020_ms);
    }

    #[test]
    fn an_alarm_is_never_early_and_finer_than_a_millisecond() {
        on_loop(async {
            let clock = Clock::start();
            let mut alarm = Alarm::new(clock).unwrap();
            let mut best = Duration::MAX;
            for _ in 0..50 {
                let at = clock.now() + Duration::from_micros(1_300);
                alarm.until(at).await.unwrap();
                let now = clock.now();
                assert!(now >= at);
                best = best.min(now - at);
            }
            // The best of many, since others use this machine too.
            assert!(best < Duration::from_micros(700), "{best:?}");
        });
    }

    #[test]
    fn an_alarm_can_be_moved_and_does_not_wait_for_what_is_over() {
        on_loop(async {
            let clock = Clock::start();
            let mut alarm = Alarm::new(clock).unwrap();
            alarm.until(Instant::ZERO).await.unwrap();
            let far = clock.now() + Duration::from_secs(3600);
            let near = clock.now() + Duration::from_millis(20);
            tokio::select! {
                _ = alarm.until(far) => panic!("an hour is not over"),
                () = tokio::task::yield_now() => {}
            }
            alarm.until(near).await.unwrap();
            assert!((near..far).contains(&clock.now()));
            // A timer that ran out while nobody waited does not end the next wait.
            let later = clock.now() + Duration::from_millis(20);
            let soon = clock.now() + Duration::from_millis(1);
            tokio::select! {
                _ = alarm.until(soon) => panic!("dropped before"),
                () = tokio::task::yield_now() => {}
            }
            while clock.now() <= soon {
                tokio::task::yield_now().await;
            }
            alarm.until(later).await.unwrap();
            assert!(clock.now() >= later);
        });
    }
}
