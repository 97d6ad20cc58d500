//! What is kept on disk, written off the loop: terms and wishes (`state.json`), and what happened (`history.jsonl`).
//!
//! One thread of its own writes; the loop gives it work through a bounded queue, never waits for it, and never touches the
//! disk itself after [`Store::open`]. A disk that is full, read-only or slow stops nothing: it is told, and tried again.
//!
//! ```text
//! loop ── Job ──▶ writer thread ──▶ state.json      Memory, replaced as a whole
//!   ▲                  │        └─▶ history.jsonl   a Record a line; history.jsonl.1 when it is full
//!   └────── Done ──────┘
//! ```

mod files;
mod lock;
mod writer;

use std::collections::VecDeque;
use std::fs::File;
use std::future;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use nix::fcntl::Flock;
use thiserror::Error;
use tokio::sync::mpsc;

use self::writer::{Done, Job, Writer};
use super::clock::Clock;
use crate::cluster::io::{Input, Memory};
use crate::control::Record;

/// Where the daemon keeps its files unless told otherwise.
pub const DEFAULT_DIR: &str = "/var/lib/lubdub";

/// Records in memory, for `lubdub history`: about 300 KiB.
const RING: usize = 1000;

/// Records on their way to the disk: a worst case of a minute at ten events a second.
const QUEUE: usize = 600;

/// The writer runs a handful of small functions.
const STACK: usize = 256 * 1024;

/// The loop's end of what is kept.
#[derive(Debug)]
pub struct Store {
    jobs: SyncSender<Job>,
    done: mpsc::Receiver<Done>,
    ring: VecDeque<Record>,
    /// Records in the queue: never more than [`QUEUE`], so that there is always room for the one memory.
    queued: usize,
    /// A memory is on its way to the disk.
    writing: bool,
    /// The newest memory that has to wait for that.
    waiting: Option<(u64, Memory)>,
    /// Number of the newest memory that is on disk.
    newest: u64,
    state_error: Option<String>,
    history_error: Option<String>,
    /// What [`Store::next`] told last.
    told: Option<String>,
    lost: u64,
    /// Keeps other daemons out of the directory for as long as this one lives.
    _lock: Option<Flock<File>>,
}

/// Why nothing can be kept there, and no daemon may run.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Two daemons that take each other's groups for leftovers of their own would stop them.
    #[error(
        "{}: another lubdub daemon of this machine keeps its state there; stop it first (`lubdub status` on its socket names \
         its pid), or, for another cluster, give this one a --state of its own", dir.display()
    )]
    Taken {
        /// The directory.
        dir: PathBuf,
    },
    /// The system gave no thread.
    #[error("cannot start the thread that writes to disk: {0}")]
    Thread(#[source] io::Error),
}

/// What [`Store::open`] found.
#[derive(Debug)]
pub struct Opened {
    /// To go on with.
    pub store: Store,
    /// For the core.
    pub memory: Memory,
    /// What was wrong with the files, for the log. None of it stops the start.
    pub complaints: Vec<String>,
}

impl Store {
    /// Takes the directory for this daemon alone, making it where it is missing, reads what is there, and starts the writer.
    ///
    /// # Errors
    ///
    /// Another daemon has the directory, or no thread can be started. A directory that cannot be used, and files that cannot
    /// be read or make no sense, are complaints.
    pub fn open(dir: &Path, clock: Clock) -> Result<Opened, OpenError> {
        let mut complaints = Vec::new();
        files::make_dir(dir, &mut complaints);
        let lock = lock::take(dir, &mut complaints)?;
        let memory = Memory { unix_ms: clock.unix_ms(), ..files::read_state(dir, &mut complaints) };
        let ring = files::read_history(dir, RING, &mut complaints);
        let (jobs, work) = sync_channel(QUEUE + 1);
        // Each job is answered once, so that as many answers as jobs can be under way.
        let (answers, done) = mpsc::channel(QUEUE + 1);
        let writer = Writer::new(dir, work, answers);
        thread::Builder::new()
            .name("lubdub-store".to_owned())
            .stack_size(STACK)
            .spawn(move || writer.run())
            .map_err(OpenError::Thread)?;
        let store = Self {
            jobs,
            done,
            ring,
            queued: 0,
            writing: false,
            waiting: None,
            newest: 0,
            state_error: None,
            history_error: None,
            told: None,
            lost: 0,
            _lock: lock,
        };
        Ok(Opened { store, memory, complaints })
    }

    /// Has this written, in place of what is still waiting to be: the newest counts.
    pub fn remember(&mut self, number: u64, memory: Memory) {
        if self.writing {
            self.waiting = Some((number, memory));
        } else {
            self.writing = true;
            self.give(Job::Remember(number, memory));
        }
    }

    /// Adds a record to the history, in memory and on disk. With the queue full it is lost to the disk, and counted.
    pub fn append(&mut self, record: Record) {
        if self.ring.len() == RING {
            self.ring.pop_front();
        }
        self.ring.push_back(record.clone());
        if self.queued < QUEUE {
            self.queued += 1;
            self.give(Job::Append(record));
        } else {
            self.lost += 1;
            self.history_error =
                Some("the disk is too slow: lines of the history were lost".to_owned());
        }
    }

    /// The newest records, oldest first.
    #[must_use]
    pub fn history(&self, limit: usize) -> Vec<Record> {
        let skip = self.ring.len().saturating_sub(limit);
        self.ring.iter().skip(skip).cloned().collect()
    }

    /// Records that never reached the disk in this daemon's life.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// News for the core: how a write of the newest memory ended, or that the disk fails or works again. May be dropped
    /// and called again.
    pub async fn next(&mut self) -> Input {
        loop {
            if self.error() != self.told.as_ref() {
                return self.tell();
            }
            match self.done.recv().await {
                Some(done) => {
                    if self.take(done) {
                        return self.tell();
                    }
                }
                None if self.state_error.is_none() => {
                    self.state_error =
                        Some("the thread that writes has died; restart the daemon".to_owned());
                }
                None => future::pending().await,
            }
        }
    }

    /// Writes what is left, for at most this long.
    ///
    /// # Errors
    ///
    /// What could not be written.
    pub async fn close(mut self, patience: Duration) -> Result<(), String> {
        let flushed = tokio::time::timeout(patience, async {
            while self.writing || self.queued > 0 {
                let Some(done) = self.done.recv().await else { break };
                self.take(done);
            }
        });
        match flushed.await {
            Ok(()) => self.error().map_or(Ok(()), |error| Err(error.clone())),
            Err(_elapsed) => Err(format!("not all was on disk after {patience:?}")),
        }
    }

    /// The queue has room by construction; only a dead writer refuses, which `next` tells.
    fn give(&self, job: Job) {
        drop(self.jobs.try_send(job));
    }

    /// Takes an answer. True: the newest memory was written, or could not be.
    fn take(&mut self, done: Done) -> bool {
        match done {
            Done::Remembered(number, result) => {
                if result.is_ok() {
                    self.newest = self.newest.max(number);
                }
                self.state_error = result.err();
                if let Some((number, memory)) = self.waiting.take() {
                    self.give(Job::Remember(number, memory));
                    return false;
                }
                mem::take(&mut self.writing)
            }
            Done::Appended(result) => {
                self.queued = self.queued.saturating_sub(1);
                self.lost += u64::from(result.is_err());
                // Told until the queue is empty, or a slow disk would be news with every line.
                if result.is_err() || self.queued == 0 {
                    self.history_error = result.err();
                }
                false
            }
        }
    }

    fn error(&self) -> Option<&String> {
        self.state_error.as_ref().or(self.history_error.as_ref())
    }

    fn tell(&mut self) -> Input {
        self.told = self.error().cloned();
        Input::Remembered { newest: self.newest, error: self.told.clone() }
    }
}

#[cfg(test)]
mod tests;
