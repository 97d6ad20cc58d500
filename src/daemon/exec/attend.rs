//! One running agent, from its first breath to its answer: what it prints, when it ends, and its deadline.

use std::convert::Infallible;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::agent::{ExitCode, Outcome, reason, remark};

/// How much of each stream is kept, in bytes: the end of it. Enough for every agent's meta-data.
pub const CAPTURE_MAX: usize = 64 * 1024;

/// What a pipe holds by default (pipe(7)): as much as may lie in it when the agent has ended.
const PIPE_CAPACITY: usize = 64 * 1024;

/// How long a killed process may take to vanish. One that hangs in the kernel is answered for without it.
const KILL_PATIENCE: Duration = Duration::from_secs(1);

/// An action that came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// What came of it.
    pub outcome: Outcome,
    /// The last [`CAPTURE_MAX`] bytes that it printed.
    pub stdout: Vec<u8>,
    /// The same of its error output.
    pub stderr: Vec<u8>,
}

impl Finished {
    pub(super) fn without_process(outcome: Outcome) -> Self {
        Self { outcome, stdout: Vec::new(), stderr: Vec::new() }
    }
}

/// How the kernel says that a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Exited(i32),
    Signalled(Signal),
    /// It is gone, but its status went to somebody else.
    Lost(Errno),
}

/// A running agent.
pub(super) struct Child {
    /// Its process id, and that of its process group.
    pub(super) pid: Pid,
    pub(super) stdout: pipe::Receiver,
    pub(super) stderr: pipe::Receiver,
    pub(super) timeout: Duration,
    pub(super) kill: oneshot::Receiver<()>,
    pub(super) end: oneshot::Receiver<End>,
}

/// Why an agent is no longer attended.
enum Verdict {
    Ended(End),
    Killed,
    TimedOut,
}

/// Attends an agent until it ended or was killed. Children of it that hold its output open do not keep it: its end counts.
pub(super) async fn attend(mut child: Child) -> Finished {
    let (mut stdout, mut stderr) = (Tail::default(), Tail::default());
    let verdict = {
        let listen = async {
            tokio::join!(stdout.follow(&mut child.stdout), stderr.follow(&mut child.stderr));
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            // In this order: once the end is known the process id may be another's, and must not be killed.
            biased;
            end = &mut child.end => Verdict::Ended(end.unwrap_or(End::Lost(Errno::ECHILD))),
            Ok(()) = &mut child.kill => Verdict::Killed,
            () = sleep(child.timeout) => Verdict::TimedOut,
            never = listen => match never {},
        }
    };
    if matches!(verdict, Verdict::Killed | Verdict::TimedOut) {
        kill_group(child.pid);
        // Late or not, the answer is the same; this only lets the process go first, if it can.
        let _ = timeout(KILL_PATIENCE, &mut child.end).await;
    }
    stdout.drain(&child.stdout);
    stderr.drain(&child.stderr);
    let outcome = match verdict {
        Verdict::Ended(end) => outcome(end, &stderr.0),
        Verdict::Killed => Outcome::Killed,
        Verdict::TimedOut => Outcome::TimedOut,
    };
    Finished { outcome, stdout: stdout.into_bytes(), stderr: stderr.into_bytes() }
}

/// SIGKILL to a process group whose leader is not reaped yet.
pub(super) fn kill_group(leader: Pid) {
    match killpg(leader, Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => {
            tracing::warn!(process_group = leader.as_raw(), %errno, "an agent's processes cannot be killed");
        }
    }
}

fn outcome(end: End, stderr: &[u8]) -> Outcome {
    match end {
        End::Exited(0) => Outcome::Exited { code: ExitCode::Success, reason: remark(stderr) },
        End::Exited(code) => {
            // An exit status has eight bits.
            let code = u8::try_from(code).map_or(ExitCode::Generic, ExitCode::from);
            Outcome::Exited { code, reason: reason(stderr) }
        }
        End::Signalled(signal) => Outcome::Signalled(signal as i32),
        End::Lost(errno) => {
            let reason = format!(
                "its exit status was lost ({errno}); it was killed by a real-time signal or reaped elsewhere"
            );
            Outcome::Exited { code: ExitCode::Generic, reason: Some(reason) }
        }
    }
}

/// The end of a stream.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    /// Reads until nobody can write any more.
    async fn follow(&mut self, pipe: &mut pipe::Receiver) {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
            self.push(chunk.get(..count).unwrap_or_default());
        }
    }

    /// Reads what is there, without waiting and no more than a pipe holds: a child of the agent may go on writing. Asks the
    /// kernel itself, since the runtime may not have heard yet that there is something.
    fn drain(&mut self, pipe: &pipe::Receiver) {
        let mut chunk = [0; 4096];
        for _ in 0..PIPE_CAPACITY / chunk.len() {
            let Ok(count @ 1..) = nix::unistd::read(pipe, &mut chunk) else { return };
            self.push(chunk.get(..count).unwrap_or_default());
        }
    }

    /// Cuts the beginning off only now and then: each byte is moved at most once.
    fn push(&mut self, chunk: &[u8]) {
        self.0.extend_from_slice(chunk);
        if self.0.len() > 2 * CAPTURE_MAX {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.0.drain(..self.0.len().saturating_sub(CAPTURE_MAX));
    }

    fn into_bytes(mut self) -> Vec<u8> {
        self.cut();
        self.0
    }
}
