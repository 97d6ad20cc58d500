//! Memory locking and real-time scheduling, where the machine allows them.
//!
//! Only the calling thread is raised, and threads and processes that it starts afterwards would inherit that: the loop
//! calls [`raise`] once, after the threads that write to disk and start agents are there, and starts none itself.

use std::collections::TryReserveError;
use std::fmt;
use std::fs;
use std::hint::black_box;
use std::io;

use nix::libc;
use nix::sys::mman::{MlockAllFlags, mlockall, munlockall};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use thread_priority::{
    Error as PriorityError, NormalThreadSchedulePolicy, RealtimeThreadSchedulePolicy,
    ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};

/// Above everything of normal priority, below the kernel's own threads (50) and whatever an administrator raised.
const PRIORITY: u8 = 10;

/// What the crate of priorities makes nice 0 of: it spreads the values from 0 to 99 over 19 to -20.
const NICE_0: u8 = 48;

/// Killed for want of memory almost last: a dead daemon is a takeover.
const OOM_SCORE: i16 = -900;

const OOM_FILE: &str = "/proc/self/oom_score_adj";

/// What the machine allowed, and why not what it did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Memory stays in memory once it was used.
    pub memory: Result<(), String>,
    /// The loop runs before everything of normal priority: with this priority.
    pub scheduling: Result<u8, String>,
    /// The kernel kills others first when memory runs out.
    pub oom: Result<(), String>,
}

impl Report {
    /// What was not allowed, a sentence each.
    #[must_use]
    pub fn shortcomings(&self) -> Vec<String> {
        let told = |what: &str, why: &String| format!("{what}: {why}");
        let memory = self.memory.as_ref().err().map(|why| told("memory is not locked", why));
        let loop_ =
            self.scheduling.as_ref().err().map(|why| told("the loop runs at normal priority", why));
        let oom = self
            .oom
            .as_ref()
            .err()
            .map(|why| told("the OOM killer does not spare the daemon", why));
        [memory, loop_, oom].into_iter().flatten().collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.memory {
            Ok(()) => f.write_str("memory is locked"),
            Err(why) => write!(f, "memory is not locked ({why})"),
        }?;
        match &self.scheduling {
            Ok(priority) => write!(f, "; the loop runs under SCHED_FIFO {priority}"),
            Err(why) => write!(f, "; the loop runs at normal priority ({why})"),
        }?;
        match &self.oom {
            Ok(()) => f.write_str("; the OOM killer spares it"),
            Err(why) => write!(f, "; the OOM killer does not spare it ({why})"),
        }
    }
}

/// Locks the memory of this process, raises the calling thread, and keeps the OOM killer away; each where it is allowed.
#[must_use]
pub fn raise() -> Report {
    Report { memory: lock_memory(), scheduling: raise_thread(), oom: spare_from_oom() }
}

/// Takes the raised priority back from the calling thread, which inherited it.
pub fn lower() {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
    let lowered = ThreadPriorityValue::try_from(NICE_0).map(|value| {
        let priority = ThreadPriority::Crossplatform(value);
        set_thread_priority_and_policy(thread_native_id(), priority, policy)
    });
    if !matches!(lowered, Ok(Ok(()))) {
        tracing::debug!(?lowered, "a thread keeps the priority of the loop");
    }
}

/// `MCL_ONFAULT` locks what is used, not what is mapped: 1.8 MiB rather than 4.8.
fn lock_memory() -> Result<(), String> {
    const REMEDY: &str = "set LimitMEMLOCK=infinity in the unit";
    let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    let (limit, _) =
        getrlimit(Resource::RLIMIT_MEMLOCK).map_err(|error| format!("getrlimit: {error}"))?;
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault)
        .map_err(|error| format!("mlockall: {error}; {REMEDY}"))?;
    if limit == RLIM_INFINITY || limit_is_void(limit).is_ok() {
        return Ok(());
    }
    // A later allocation past the limit would end the daemon.
    munlockall().map_err(|error| format!("munlockall: {error}; {REMEDY}"))?;
    Err(format!("the limit of locked memory is {} KiB; {REMEDY}", limit / 1024))
}

/// Whether more can be mapped than the limit of locked memory says, as it can with `CAP_IPC_LOCK` of the machine itself,
/// which a user namespace cannot tell from its own. The memory is never touched.
fn limit_is_void(limit: u64) -> Result<(), TryReserveError> {
    let mut beyond: Vec<u8> = Vec::new();
    beyond.try_reserve_exact(usize::try_from(limit).unwrap_or(usize::MAX))?;
    black_box(&mut beyond);
    Ok(())
}

fn raise_thread() -> Result<u8, String> {
    let value = ThreadPriorityValue::try_from(PRIORITY)?;
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    match set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Crossplatform(value),
        policy,
    ) {
        Ok(()) => Ok(PRIORITY),
        Err(error) => {
            let why = match error {
                PriorityError::OS(code) => io::Error::from_raw_os_error(code).to_string(),
                PriorityError::Priority(_)
                | PriorityError::PriorityNotInRange(_)
                | PriorityError::Ffi(_) => error.to_string(),
            };
            Err(format!(
                "SCHED_FIFO: {why}; set LimitRTPRIO={PRIORITY} in the unit, or run as root"
            ))
        }
    }
}

fn spare_from_oom() -> Result<(), String> {
    let told = |error: io::Error| {
        format!("{OOM_FILE}: {error}; set OOMScoreAdjust={OOM_SCORE} in the unit")
    };
    let current = fs::read_to_string(OOM_FILE).map_err(told)?;
    // The unit may have asked for more.
    if current.trim().parse().is_ok_and(|score: i16| score <= OOM_SCORE) {
        return Ok(());
    }
    fs::write(OOM_FILE, OOM_SCORE.to_string()).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::namespace;

    /// The kernel's own view of this thread, by number of a field in proc_pid_stat(5) after the second.
    fn stat_field(number: usize) -> String {
        let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        fields[number - 3].to_owned()
    }

    /// Policy and priority.
    fn scheduling() -> (String, String) {
        (stat_field(41), stat_field(40))
    }

    fn locked_kib() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// In a user namespace, so that the tests beside this one keep their memory and priority.
    #[test]
    fn the_report_says_what_the_kernel_says() {
        if !namespace::inside(
            module_path!(),
            "the_report_says_what_the_kernel_says",
            &["--user", "--map-root-user"],
        ) {
            return;
        }
        let report = raise();
        assert_eq!(report.memory.is_ok(), locked_kib() > 0, "{report}");
        let (policy, priority) = scheduling();
        let fifo = libc::SCHED_FIFO.to_string();
        assert_eq!(
            report.scheduling.is_ok(),
            policy == fifo && priority == PRIORITY.to_string(),
            "{report}"
        );
        let (former_nice, policy, nice) = std::thread::spawn(|| {
            let former_nice = stat_field(19);
            lower();
            (former_nice, stat_field(41), stat_field(19))
        })
        .join()
        .unwrap();
        assert_eq!(policy, libc::SCHED_OTHER.to_string());
        // Tests may run with less priority than they can give back.
        assert!(nice == "0" || nice == former_nice, "{nice} after {former_nice}");
        let score = fs::read_to_string(OOM_FILE).unwrap();
        assert_eq!(report.oom.is_ok(), score.trim() == OOM_SCORE.to_string(), "{report}");
        // Allocations go on, whatever was locked.
        black_box(vec![1_u8; 64 << 20]);
    }

    #[test]
    fn the_line_gives_each_reason() {
        let all = Report { memory: Ok(()), scheduling: Ok(10), oom: Ok(()) };
        assert_eq!(all.shortcomings(), [""; 0]);
        assert_eq!(
            all.to_string(),
            "memory is locked; the loop runs under SCHED_FIFO 10; the OOM killer spares it"
        );
        let none =
            Report { memory: Err("a".into()), scheduling: Err("b".into()), oom: Err("c".into()) };
        assert_eq!(none.shortcomings().len(), 3);
        assert_eq!(
            none.to_string(),
            "memory is not locked (a); the loop runs at normal priority (b); the OOM killer does not spare it (c)"
        );
    }
}
