//! Figures of this process under the names that Prometheus' own clients give them. Read by the thread that serves them.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use crate::daemon::clock::Clock;

/// This process.
#[derive(Debug)]
pub(super) struct Process {
    started_ms: u64,
}

/// What is told of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Figures {
    /// When it began, seconds since the Unix epoch.
    pub(super) start: f64,
    /// Processor time of all its threads; `None`: the kernel does not say.
    pub(super) cpu: Option<Duration>,
    /// Memory in use, bytes; `None`: the kernel does not say.
    pub(super) resident: Option<u64>,
}

impl Process {
    /// `clock` began with this process.
    pub(super) fn new(clock: Clock) -> Self {
        Self { started_ms: clock.unix_ms().saturating_sub(clock.now().as_micros() / 1000) }
    }

    pub(super) fn figures(&self) -> Figures {
        Figures {
            start: Duration::from_millis(self.started_ms).as_secs_f64(),
            cpu: getrusage(UsageWho::RUSAGE_SELF)
                .ok()
                .and_then(|usage| Some(time(usage.user_time())? + time(usage.system_time())?)),
            resident: fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident),
        }
    }
}

fn time(value: TimeVal) -> Option<Duration> {
    let micros = u64::try_from(value.tv_usec()).ok()?;
    Some(Duration::from_secs(u64::try_from(value.tv_sec()).ok()?) + Duration::from_micros(micros))
}

/// `VmRSS` of proc_pid_status(5).
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_knows_this_process() {
        let clock = Clock::start();
        let figures = Process::new(clock).figures();
        assert!(figures.start > 1_577_836_800.0, "{figures:?}");
        assert!(figures.cpu.is_some() && figures.resident.is_some_and(|bytes| bytes > 100_000));
        assert_eq!(resident("VmPeak:\t 12 kB\nVmRSS:\t    34 kB\n"), Some(34 * 1024));
        assert_eq!(resident("VmRSS: many\n"), None);
    }
}
