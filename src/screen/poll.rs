//! Asking a daemon at an interval, on a thread of its own, so that one that hangs holds nothing up.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::clock;
use crate::control::{Answer, Client, ClientError, Record, Request, Status};

/// Records that are asked for: more than a daemon writes between two questions.
const HISTORY: u32 = 100;
/// The history is asked for at every so many questions.
const EVERY: u32 = 4;

/// What one question brought.
#[derive(Debug)]
pub struct Sighting {
    /// Whose daemon was asked.
    pub node: String,
    /// When it answered, by the screen's clock.
    pub at: Duration,
    /// How everything is, as it says; or why it does not answer.
    pub seen: Result<Box<Status>, String>,
    /// What it has written into its history since the last time; at the first time, the newest of what was there.
    pub fresh: Vec<Record>,
}

/// Where a daemon listens. May change: a machine that boots has another `/proc`.
#[derive(Debug, Clone, Default)]
pub struct Target {
    socket: Arc<Mutex<Option<PathBuf>>>,
}

impl Target {
    /// A socket.
    #[must_use]
    pub fn at(socket: PathBuf) -> Self {
        Self { socket: Arc::new(Mutex::new(Some(socket))) }
    }

    /// It is elsewhere now, or nowhere.
    pub fn set(&self, socket: Option<PathBuf>) {
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = socket;
    }

    fn get(&self) -> Option<PathBuf> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Asks one daemon, until this handle is dropped.
#[derive(Debug)]
pub struct Poller {
    /// Closed with this handle.
    _running: Sender<()>,
}

impl Poller {
    /// Begins to ask. `tell` gets what comes of it; once it says that nobody listens, the asking ends.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(
        node: &str,
        target: Target,
        interval: Duration,
        tell: impl Fn(Sighting) -> bool + Send + 'static,
    ) -> std::io::Result<Self> {
        let (running, ended) = mpsc::channel();
        let mut asker = Asker::new(node, target);
        thread::Builder::new().name(format!("ask {node}")).spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(interval) {
                if asker.ask().is_some_and(|sighting| !tell(sighting)) {
                    return;
                }
            }
        })?;
        Ok(Self { _running: running })
    }
}

struct Asker {
    node: String,
    target: Target,
    connection: Option<(PathBuf, Client)>,
    questions: u32,
    /// The newest records that were seen.
    known: Vec<Record>,
}

impl Asker {
    fn new(node: &str, target: Target) -> Self {
        Self { node: node.to_owned(), target, connection: None, questions: 0, known: Vec::new() }
    }

    /// Asks once; `None`: there is nobody to ask.
    fn ask(&mut self) -> Option<Sighting> {
        let socket = self.target.get()?;
        let (seen, fresh) = match self.converse(&socket) {
            Ok((status, fresh)) => (Ok(status), fresh),
            Err(error) => {
                self.connection = None;
                (Err(error), Vec::new())
            }
        };
        Some(Sighting { node: self.node.clone(), at: clock::now(), seen, fresh })
    }

    fn converse(&mut self, socket: &PathBuf) -> Result<(Box<Status>, Vec<Record>), String> {
        let mut client = match self.connection.take() {
            Some((path, client)) if path == *socket => client,
            Some(_) | None => {
                self.questions = 0;
                Client::connect(socket).map_err(|error| first_line(&error))?
            }
        };
        let asked = self.questions;
        self.questions = self.questions.wrapping_add(1);
        let status = match client.call(&Request::Status).map_err(|error| first_line(&error))? {
            Answer::Status(status) => status,
            other @ (Answer::History(_)
            | Answer::Reload(_)
            | Answer::Command(_)
            | Answer::Error { .. }) => {
                return Err(unexpected(other));
            }
        };
        let mut fresh = Vec::new();
        if asked.is_multiple_of(EVERY) {
            let request = Request::History { limit: HISTORY };
            match client.call(&request).map_err(|error| first_line(&error))? {
                Answer::History(records) => fresh = self.news(records),
                other @ (Answer::Status(_)
                | Answer::Reload(_)
                | Answer::Command(_)
                | Answer::Error { .. }) => {
                    return Err(unexpected(other));
                }
            }
        }
        self.connection = Some((socket.clone(), client));
        Ok((status, fresh))
    }

    /// What of these was not known.
    fn news(&mut self, records: Vec<Record>) -> Vec<Record> {
        let fresh = fresh(&self.known, &records);
        self.known = records;
        fresh
    }
}

/// What stands in `now` after what stood in `before`: where both overlap, the rest; where they do not, what is newer.
fn fresh(before: &[Record], now: &[Record]) -> Vec<Record> {
    let longest = before.len().min(now.len());
    let overlap = (1..=longest)
        .rev()
        .find(|length| before.get(before.len() - length..) == now.get(..*length));
    match (overlap, before.last()) {
        (Some(overlap), _) => now.get(overlap..).unwrap_or_default().to_vec(),
        (None, None) => now.to_vec(),
        // A machine that lost power may have lost the last lines with it.
        (None, Some(last)) => {
            now.iter().filter(|record| record.unix_ms > last.unix_ms).cloned().collect()
        }
    }
}

/// What is wrong; what to do about it stands in the lines below.
fn first_line(error: &ClientError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

fn unexpected(answer: Answer) -> String {
    match answer {
        Answer::Error { message } => message,
        Answer::Status(_) | Answer::History(_) | Answer::Reload(_) | Answer::Command(_) => {
            "the daemon answered another question".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::event::Event;

    fn record(unix_ms: u64) -> Record {
        Record::new(unix_ms, Event::Leaving)
    }

    #[test]
    fn only_what_is_new_is_told() {
        let all: Vec<Record> = [1, 2, 2, 3, 4].map(record).to_vec();
        assert_eq!(fresh(&[], &all), all);
        assert_eq!(fresh(&all[..3], &all[1..]), all[3..], "twins are not lost");
        assert_eq!(fresh(&all, &all), []);
        assert_eq!(
            fresh(&[record(3), record(9)], &[record(2), record(3), record(10)]),
            [record(10)]
        );
    }

    #[test]
    fn nobody_to_ask_is_no_sighting_and_a_closed_socket_says_why() {
        let target = Target::default();
        let mut asker = Asker::new("alpha", target.clone());
        assert!(asker.ask().is_none());
        let directory = tempfile::tempdir().unwrap();
        target.set(Some(directory.path().join("none")));
        let seen = asker.ask().unwrap().seen.unwrap_err();
        assert!(seen.starts_with("no daemon answers on"), "{seen}");
    }
}
