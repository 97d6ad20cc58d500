//! The screen's clock: the kernel's `CLOCK_BOOTTIME`, the same as the daemons' and the laboratory's.

use std::time::Duration;

use nix::time::ClockId;

/// Time since the machine's start.
#[must_use]
#[expect(clippy::expect_used, reason = "every kernel on which the daemon runs has this clock")]
pub fn now() -> Duration {
    ClockId::CLOCK_BOOTTIME.now().expect("the kernel has this clock").into()
}
