//! The only starter of processes: agents, each in its own process group, with a deadline and a clean environment.
//!
//! One thread of normal priority starts the agents, listens to them and reaps them, so that none of it costs the event
//! loop time and no agent inherits the loop's scheduling. The loop asks by [`Executor::run`] and [`Executor::kill`] and
//! waits on [`Executor::next`]; `lubdub agent run` uses [`run_once`]. It decides nothing: not what runs, nor what an
//! outcome means.
//!
//! An agent whose time is over gets SIGKILL at once, with its whole process group: TERM would only be a second deadline,
//! and the core needs its answer. A process that made a session of its own, as a service does, is out of reach of that.

mod attend;
mod worker;

use std::collections::{BTreeMap, VecDeque};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::SigSet;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

pub use attend::{CAPTURE_MAX, Finished};
use worker::{Order, Orphans};

use crate::agent::{Action, Environment, Outcome, STATE_DIR};
use crate::cluster::io::OpId;
use crate::cluster::time::Instant;

/// The most actions that may be under way: far more than there are resources on a node.
const UNDER_WAY_MAX: usize = 1024;

/// An action to carry out.
#[derive(Debug, Clone)]
pub struct Request {
    /// Names it; never used twice.
    pub op: OpId,
    /// The agent's file.
    pub path: PathBuf,
    /// What it is to do: its only argument.
    pub action: Action,
    /// Its whole environment.
    pub environment: Environment,
    /// Killed with its process group if it takes longer.
    pub timeout: Duration,
    /// Not begun then or later; tested where the process is made.
    pub not_after: Option<Instant>,
}

/// Why no agent can be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// No thread, no event queue.
    #[error(
        "the thread that starts agents cannot be made: {0}; look at the limits on processes and open files"
    )]
    Thread(#[from] io::Error),
    /// A system call that prepares it was refused.
    #[error("the thread that starts agents cannot be prepared: {call}: {errno}")]
    Prepare {
        /// The call.
        call: &'static str,
        /// Why.
        errno: Errno,
    },
}

/// Carries out actions for the event loop and answers each exactly once, whatever happens to it.
#[derive(Debug)]
pub struct Executor {
    orders: mpsc::Sender<Order>,
    finished: mpsc::Receiver<(OpId, Finished)>,
    under_way: BTreeMap<OpId, Asked>,
    /// Answers that needed no process.
    refused: VecDeque<(OpId, Outcome)>,
}

/// What was asked about an action: at most two orders each, which bounds the queue of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Run,
    Kill,
}

impl Executor {
    /// For the daemon, once in its life, before anything else of it starts a process: makes this process a child
    /// subreaper, so that what agents leave behind is reaped here, and from then on reaps every child it has. `now` reads
    /// the core's clock.
    ///
    /// # Errors
    ///
    /// A [`StartError`]: the daemon cannot work then.
    pub fn new(now: impl Fn() -> Instant + Send + 'static) -> Result<Self, StartError> {
        prctl::set_child_subreaper(true).map_err(|errno| StartError::Prepare {
            call: "prctl(PR_SET_CHILD_SUBREAPER)",
            errno,
        })?;
        if let Err(error) = make_state_dir() {
            tracing::warn!("{STATE_DIR}: {error}; agents that keep their state there will fail");
        }
        Self::start(Orphans::Reap, now)
    }

    fn start(
        orphans: Orphans,
        now: impl Fn() -> Instant + Send + 'static,
    ) -> Result<Self, StartError> {
        let (orders, ordered) = mpsc::channel(2 * UNDER_WAY_MAX);
        let (finish, finished) = mpsc::channel(UNDER_WAY_MAX);
        worker::start(orphans, now, ordered, finish)?;
        Ok(Self { orders, finished, under_way: BTreeMap::new(), refused: VecDeque::new() })
    }

    /// Begins an action. Never waits; what goes wrong is the answer.
    pub fn run(&mut self, request: Request) {
        let op = request.op;
        if self.under_way.len() >= UNDER_WAY_MAX {
            let why = format!("{UNDER_WAY_MAX} actions are under way already");
            self.refused.push_back((op, Outcome::CannotExecute(why)));
        } else if self.orders.try_send(Order::Run(Box::new(request))).is_err() {
            self.refused.push_back((op, gone()));
        } else {
            let before = self.under_way.insert(op, Asked::Run);
            debug_assert!(before.is_none(), "{op:?} names two actions");
        }
    }

    /// Kills an action with its process group. Its own answer still comes; one that was answered is left alone.
    pub fn kill(&mut self, op: OpId) {
        if let Some(asked) = self.under_way.get_mut(&op)
            && *asked == Asked::Run
        {
            *asked = Asked::Kill;
            // If the thread is gone, `next` says so for every action under way.
            let _ = self.orders.try_send(Order::Kill(op));
        }
    }

    /// The next answer. Waits as long as there is none; may be dropped and called again.
    pub async fn next(&mut self) -> (OpId, Outcome) {
        if let Some(answer) = self.refused.pop_front() {
            return answer;
        }
        if let Some((op, finished)) = self.finished.recv().await {
            self.under_way.remove(&op);
            return (op, finished.outcome);
        }
        match self.under_way.pop_first() {
            Some((op, _)) => (op, gone()),
            None => std::future::pending().await,
        }
    }
}

/// Makes the directory in which agents keep what a reboot may forget, where no service manager did.
///
/// # Errors
///
/// It is not there and cannot be made.
pub fn make_state_dir() -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(STATE_DIR)
}

/// Closes every descriptor but the three streams, which this process got from whoever started it: agents would get them
/// too. Only as the first thing that a program does, while nothing of its own is open.
///
/// # Errors
///
/// `/proc` cannot be read.
pub fn close_inherited_descriptors() -> io::Result<()> {
    let names = fs::read_dir("/proc/self/fd")?.map(|entry| Ok(entry?.file_name()));
    let names = names.collect::<io::Result<Vec<_>>>()?;
    let numbers = names.iter().filter_map(|name| name.to_str()?.parse::<i32>().ok());
    for number in numbers.filter(|number| *number > 2) {
        // One of them was the list's own, and is closed already.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

fn gone() -> Outcome {
    Outcome::CannotExecute(
        "the thread that starts agents has ended; restart lubdub on this node".to_owned(),
    )
}

/// Carries out one action and waits for its end, for the command line. An interrupt (SIGINT, SIGTERM) kills the action.
/// What it leaves behind is not reaped here. Not to be called inside an async runtime.
///
/// # Errors
///
/// A [`StartError`]. What goes wrong with the agent itself is in the outcome.
pub fn run_once(
    request: Request,
    now: impl Fn() -> Instant + Send + 'static,
) -> Result<Finished, StartError> {
    let op = request.op;
    // Whoever started this process may have blocked SIGCHLD, and the end of the action would go unnoticed.
    SigSet::empty()
        .thread_set_mask()
        .map_err(|errno| StartError::Prepare { call: "pthread_sigmask", errno })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut executor = Executor::start(Orphans::Leave, now)?;
        executor.run(request);
        let answer = tokio::select! {
            answer = executor.finished.recv() => answer,
            _ = interrupt.recv() => { executor.kill(op); executor.finished.recv().await }
            _ = terminate.recv() => { executor.kill(op); executor.finished.recv().await }
        };
        Ok(answer.map_or_else(|| Finished::without_process(gone()), |(_, finished)| finished))
    })
}

#[cfg(test)]
mod tests;
