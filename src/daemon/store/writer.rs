//! The thread that writes. It waits for work, does it, answers each job once, and ends when the loop's end is gone.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use super::files::{self, History};
use crate::cluster::io::Memory;
use crate::control::Record;

/// How often a memory that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// Records written at once, so that a burst is a few flushes of the disk and not hundreds.
const BATCH: usize = 100;

/// Work for the writer.
#[derive(Debug)]
pub(super) enum Job {
    /// Replace the state with the memory of this number.
    Remember(u64, Memory),
    /// Add a line to the history.
    Append(Record),
}

/// How it ended; the error names the file. A memory that could not be written is tried again, and answered again once
/// that works.
#[derive(Debug)]
pub(super) enum Done {
    /// The [`Job::Remember`] of this number.
    Remembered(u64, Result<(), String>),
    /// A [`Job::Append`].
    Appended(Result<(), String>),
}

pub(super) struct Writer {
    dir: PathBuf,
    jobs: Receiver<Job>,
    answers: Sender<Done>,
    history: History,
    /// What could not be written.
    unwritten: Option<(u64, Memory)>,
}

/// The loop's end is gone.
struct Gone;

impl Writer {
    pub(super) fn new(dir: &Path, jobs: Receiver<Job>, answers: Sender<Done>) -> Self {
        Self { dir: dir.to_owned(), jobs, answers, history: History::new(dir), unwritten: None }
    }

    pub(super) fn run(mut self) {
        while self.step().is_ok() {}
    }

    /// One job, with the records that wait behind it; or, while something is unwritten, a pause.
    fn step(&mut self) -> Result<(), Gone> {
        let job = if self.unwritten.is_none() {
            Some(self.jobs.recv().map_err(|_closed| Gone)?)
        } else {
            match self.jobs.recv_timeout(RETRY) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Err(Gone),
            }
        };
        match job {
            Some(Job::Remember(number, memory)) => self.remember(number, memory),
            Some(Job::Append(record)) => self.append(record),
            None => self.retry(),
        }
    }

    fn remember(&mut self, number: u64, memory: Memory) -> Result<(), Gone> {
        let result = self.write(number, memory);
        self.answer(Done::Remembered(number, result))
    }

    /// Tries again what could not be written. Only success is news.
    fn retry(&mut self) -> Result<(), Gone> {
        let Some((number, memory)) = self.unwritten.take() else { return Ok(()) };
        match self.write(number, memory) {
            Ok(()) => self.answer(Done::Remembered(number, Ok(()))),
            Err(_) => Ok(()),
        }
    }

    fn write(&mut self, number: u64, memory: Memory) -> Result<(), String> {
        let result = files::write_state(&self.dir, &memory);
        self.unwritten = result.is_err().then_some((number, memory));
        result.map_err(|error| files::at(&files::state_path(&self.dir), &error))
    }

    fn append(&mut self, record: Record) -> Result<(), Gone> {
        let mut records = vec![record];
        let mut memory = None;
        while records.len() < BATCH && memory.is_none() {
            match self.jobs.try_recv() {
                Ok(Job::Append(record)) => records.push(record),
                Ok(Job::Remember(number, newest)) => memory = Some((number, newest)),
                // The end of the queue is met again by the next step.
                Err(_empty_or_gone) => break,
            }
        }
        let result = self.history.append(&records);
        let result = result.map_err(|error| files::at(&files::history_path(&self.dir), &error));
        for _ in records {
            self.answer(Done::Appended(result.clone()))?;
        }
        match memory {
            Some((number, memory)) => self.remember(number, memory),
            None => self.retry(),
        }
    }

    fn answer(&self, done: Done) -> Result<(), Gone> {
        self.answers.blocking_send(done).map_err(|_closed| Gone)
    }
}
