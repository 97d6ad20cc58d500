//! A thread that lives in namespaces of its own and does there what it is given. What it starts lives there too.

use std::sync::mpsc::{self, Receiver, RecvError, SendError, Sender};
use std::thread::{self, JoinHandle};

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Pid, gettid};

use super::error::{LabError, refused};

type Job = Box<dyn FnOnce() + Send>;

/// Handle on such a thread; it ends with the handle.
#[derive(Debug)]
pub(super) struct Room {
    name: String,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    tid: Pid,
}

impl Room {
    /// Starts a thread in new namespaces of these kinds.
    pub(super) fn open(name: &str, namespaces: CloneFlags) -> Result<Self, LabError> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (opened, answer) = mpsc::channel();
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let made = unshare(namespaces).map(|()| gettid());
                // Nobody waits any more, or nothing was made: either way there is nothing to do here.
                if opened.send(made).is_ok() && made.is_ok() {
                    inbox.iter().for_each(|job| job());
                }
            })
            .map_err(|source| LabError::CannotRun { program: format!("thread {name}"), source })?;
        let tid = answer
            .recv()
            .map_err(|RecvError| LabError::ThreadEnded(name.to_owned()))?
            .map_err(refused(format!("make namespaces for {name} ({namespaces:?})")))?;
        Ok(Self { name: name.to_owned(), jobs: Some(jobs), thread: Some(thread), tid })
    }

    /// Gives the thread something to do, after what it has been given before. The answer comes on the channel.
    pub(super) fn begin<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<Receiver<R>, LabError> {
        let (done, answer) = mpsc::sync_channel(1);
        let job: Job = Box::new(move || {
            // The one who asked may have gone away: then nobody wants the answer.
            let _ = done.send(work());
        });
        let jobs = self.jobs.as_ref().ok_or_else(|| self.ended())?;
        jobs.send(job).map_err(|SendError(_)| self.ended())?;
        Ok(answer)
    }

    /// Lets the thread do something and waits for it.
    pub(super) fn within<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, LabError> {
        self.begin(work)?.recv().map_err(|RecvError| self.ended())
    }

    /// The thread's id: names its namespaces for `ip link set ... netns`.
    pub(super) fn tid(&self) -> Pid {
        self.tid
    }

    fn ended(&self) -> LabError {
        LabError::ThreadEnded(self.name.clone())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A job that panicked has printed why; nothing is left to do about it here.
            let _ = thread.join();
        }
    }
}
