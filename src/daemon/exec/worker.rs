//! The thread that starts agents and reaps them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io::{self, PipeWriter};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::SigSet;
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, chdir};
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id, thread_schedule_policy,
};
use tokio::net::unix::pipe;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::attend::{Child, End, Finished, attend, kill_group};
use super::{Request, StartError};
use crate::agent::{Outcome, why_not_run};
use crate::cluster::io::OpId;
use crate::cluster::time::Instant;

/// What the event loop asks.
#[derive(Debug)]
pub(super) enum Order {
    Run(Box<Request>),
    Kill(OpId),
}

/// What becomes of children that were not started here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orphans {
    /// They are reaped: the daemon is a child subreaper.
    Reap,
    /// They are none of our business.
    Leave,
}

/// Starts the thread. It ends when all senders of orders are gone, and kills what runs then.
pub(super) fn start(
    orphans: Orphans,
    now: impl Fn() -> Instant + Send + 'static,
    orders: mpsc::Receiver<Order>,
    answers: mpsc::Sender<(OpId, Finished)>,
) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let children = {
        let _context = runtime.enter();
        signal(SignalKind::child())?
    };
    let (ready, is_ready) = std::sync::mpsc::channel();
    let worker = Worker { orphans, now, running: BTreeMap::new(), answers };
    thread::Builder::new().name("agents".to_owned()).spawn(move || {
        let prepared = prepare();
        let go = prepared.is_ok();
        if ready.send(prepared).is_ok() && go {
            serve(&runtime, worker, orders, children);
        }
    })?;
    // The thread sends before anything else it does: no answer means that it died at once.
    is_ready
        .recv()
        .unwrap_or_else(|_| Err(StartError::Thread(io::Error::other("it ended at once"))))
}

/// Children inherit the scheduling, the signal mask, the directory and the umask of the thread that makes them. The latter two
/// are this thread's own after `unshare(CLONE_FS)`, so the rest of the process keeps its own.
fn prepare() -> Result<(), StartError> {
    leave_realtime()?;
    // Whoever started this program may have blocked signals: an agent's service would be deaf to SIGTERM for good.
    SigSet::empty()
        .thread_set_mask()
        .map_err(|errno| StartError::Prepare { call: "pthread_sigmask", errno })?;
    unshare(CloneFlags::CLONE_FS)
        .map_err(|errno| StartError::Prepare { call: "unshare(CLONE_FS)", errno })?;
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    chdir("/").map_err(|errno| StartError::Prepare { call: "chdir(/)", errno })
}

/// From the loop's scheduling to the normal one, should this thread have inherited it.
fn leave_realtime() -> Result<(), StartError> {
    /// What the crate makes niceness 0 of.
    const NICE_ZERO: u8 = 48;
    let is_realtime = || match thread_schedule_policy() {
        Ok(ThreadSchedulePolicy::Normal(_)) => Ok(false),
        Ok(ThreadSchedulePolicy::Realtime(_)) => Ok(true),
        Err(error) => Err(scheduling(&error)),
    };
    if !is_realtime()? {
        return Ok(());
    }
    let nice = ThreadPriorityValue::try_from(NICE_ZERO).map_err(|error| scheduling(&error))?;
    let normal = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
    let set = set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Crossplatform(nice),
        normal,
    );
    match set {
        // The policy is set before the niceness, which a user without privileges may not lower and need not.
        Err(error) if is_realtime()? => Err(scheduling(&error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn scheduling(error: &impl Display) -> StartError {
    StartError::Thread(io::Error::other(format!(
        "its real-time scheduling cannot be left: {error}"
    )))
}

fn serve(
    runtime: &Runtime,
    mut worker: Worker<impl Fn() -> Instant>,
    mut orders: mpsc::Receiver<Order>,
    mut children: Signal,
) {
    runtime.block_on(async {
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Run(request)) => worker.run(*request),
                    Some(Order::Kill(op)) => worker.kill(op),
                    None => break,
                },
                _ = children.recv() => worker.reap(),
            }
        }
    });
    for running in worker.running.values() {
        kill_group(running.pid);
    }
}

struct Worker<Now> {
    orphans: Orphans,
    now: Now,
    /// Processes that are not reaped yet.
    running: BTreeMap<OpId, Running>,
    answers: mpsc::Sender<(OpId, Finished)>,
}

struct Running {
    pid: Pid,
    end: oneshot::Sender<End>,
    kill: Option<oneshot::Sender<()>>,
}

impl<Now: Fn() -> Instant> Worker<Now> {
    fn run(&mut self, request: Request) {
        let op = request.op;
        let child = self.spawn(request);
        let answers = self.answers.clone();
        tokio::spawn(async move {
            let finished = match child {
                Ok(child) => attend(child).await,
                Err(outcome) => Finished::without_process(outcome),
            };
            if !finished.outcome.is_success() {
                let [stdout, stderr] = [&finished.stdout, &finished.stderr]
                    .map(|bytes| String::from_utf8_lossy(bytes));
                tracing::debug!(op = op.0, outcome = %finished.outcome, %stdout, %stderr, "an agent did not succeed");
            }
            // Without a receiver nobody is left to be told.
            let _ = answers.send((op, finished)).await;
        });
    }

    fn kill(&mut self, op: OpId) {
        if let Some(kill) = self.running.get_mut(&op).and_then(|running| running.kill.take()) {
            // Without a receiver its end is known already.
            let _ = kill.send(());
        }
    }

    /// Starts an agent. Nothing that takes time may come between the look at the clock and the new process.
    fn spawn(&mut self, request: Request) -> Result<Child, Outcome> {
        let path = &request.path;
        let cannot = |error: io::Error| {
            let why = why_not_run(path, &error).unwrap_or_else(|| error.to_string());
            Outcome::CannotExecute(format!("{}: {why}", path.display()))
        };
        let (stdout, stdout_end) = pipe().map_err(cannot)?;
        let (stderr, stderr_end) = pipe().map_err(cannot)?;
        let mut command = command(&request, stdout_end, stderr_end);
        if request.not_after.is_some_and(|not_after| (self.now)() >= not_after) {
            return Err(Outcome::TooLate);
        }
        let process = command.spawn().map_err(cannot)?;
        let pid = i32::try_from(process.id())
            .map(Pid::from_raw)
            .map_err(|error| cannot(io::Error::other(error)))?;
        reset_oom_score(pid);
        let (end, ended) = oneshot::channel();
        let (kill, killed) = oneshot::channel();
        self.running.insert(request.op, Running { pid, end, kill: Some(kill) });
        Ok(Child { pid, stdout, stderr, timeout: request.timeout, kill: killed, end: ended })
    }

    /// Reaps every child that ended. Signals are merged, so all are looked at.
    fn reap(&mut self) {
        while self.orphans == Orphans::Reap {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)).map(end_of) {
                Ok(Some((pid, end))) => self.ended(pid, end),
                // The status names a real-time signal, for which nix has no word; the process is reaped all the same.
                Err(Errno::EINVAL | Errno::EINTR) => {}
                Ok(None) | Err(_) => break,
            }
        }
        let pids: Vec<Pid> = self.running.values().map(|running| running.pid).collect();
        for pid in pids {
            match waitpid(pid, Some(WaitPidFlag::WNOHANG)).map(end_of) {
                Ok(Some((pid, end))) => self.ended(pid, end),
                Ok(None) | Err(Errno::EINTR) => {}
                Err(errno) => self.ended(pid, End::Lost(errno)),
            }
        }
    }

    fn ended(&mut self, pid: Pid, end: End) {
        let op = self.running.iter().find(|(_, running)| running.pid == pid).map(|(op, _)| *op);
        if let Some(running) = op.and_then(|op| self.running.remove(&op)) {
            // Without a receiver it was answered for before: it had not died in time when it was killed.
            let _ = running.end.send(end);
        }
    }
}

fn end_of(status: WaitStatus) -> Option<(Pid, End)> {
    match status {
        WaitStatus::Exited(pid, code) => Some((pid, End::Exited(code))),
        WaitStatus::Signaled(pid, signal, _) => Some((pid, End::Signalled(signal))),
        WaitStatus::Stopped(..)
        | WaitStatus::PtraceEvent(..)
        | WaitStatus::PtraceSyscall(_)
        | WaitStatus::Continued(_)
        | WaitStatus::StillAlive => None,
    }
}

/// The pipe's end for the agent closes with the command, that for us is read without waiting.
fn pipe() -> io::Result<(pipe::Receiver, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    Ok((pipe::Receiver::from_owned_fd(reader.into())?, writer))
}

/// What a child is not to have of this process: its descriptors are all close-on-exec, its environment is cleared, handlers
/// do not survive exec, and the standard library gives SIGPIPE its default again. The signal mask is inherited from the thread
/// that starts the child, and so are scheduling, directory and umask: [`prepare`] sees to all four.
#[expect(clippy::disallowed_methods, reason = "this is the one place that starts processes")]
fn command(request: &Request, stdout: PipeWriter, stderr: PipeWriter) -> Command {
    let mut command = Command::new(&request.path);
    command.arg(request.action.word()).env_clear().envs(&request.environment);
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).process_group(0);
    command
}

/// A daemon that the kernel's out-of-memory killer spares must not hand that on to services.
fn reset_oom_score(pid: Pid) {
    let file = format!("/proc/{pid}/oom_score_adj");
    let spared = |text: &str| text.trim().parse().is_ok_and(|score: i32| score < 0);
    let reset = match fs::read_to_string(&file) {
        Ok(text) if spared(&text) => fs::write(&file, "0"),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    match reset {
        Err(error)
            if error.kind() != io::ErrorKind::NotFound
                && error.raw_os_error() != Some(Errno::ESRCH as i32) =>
        {
            tracing::warn!(%error, file, "an agent keeps the daemon's OOM score");
        }
        Ok(()) | Err(_) => {}
    }
}
