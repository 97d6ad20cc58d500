//! Reading keys and configuration again while the daemon runs: on SIGHUP, and when `lubdub reload` asks. Files are read off
//! the loop, one reading at a time, so that an older one is never applied after a newer one. Whether the keys may change
//! is the core's to say.
//!
//! All or nothing: one file that is not right, or keys without which a peer would be lost, and nothing changes.

use std::future;
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::{JoinHandle, spawn_blocking};

use super::event_loop::EventLoop;
use crate::cluster::io::{ClientId, Input};
use crate::config::{self, Config};
use crate::control::{Answer, Reload};
use crate::wire::Keys;

/// Whoever sends the signal is not known.
const SIGNAL: &str = "SIGHUP";

/// The files that are read again.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) config: PathBuf,
    /// Which node of it this machine is.
    pub(super) node: String,
    pub(super) authkeys: PathBuf,
}

/// Who wants files to be read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asker {
    /// SIGHUP.
    Signal,
    /// A connection of the command line, and its user.
    Client(ClientId, String),
}

/// What was in the files, or all that is wrong with them.
type Found = Result<(Config, Keys), Vec<String>>;

/// A reading that came to its end.
#[derive(Debug)]
pub(super) struct Reading {
    askers: Vec<Asker>,
    found: Found,
}

/// Reads files, one reading at a time.
#[derive(Debug)]
pub(super) struct Reloader {
    files: Arc<Files>,
    reading: Option<(Vec<Asker>, JoinHandle<Found>)>,
    /// They asked after the reading had begun: another one follows. At most one for each connection, and the signal.
    waiting: Vec<Asker>,
}

impl Reloader {
    pub(super) fn new(files: Files) -> Self {
        Self { files: Arc::new(files), reading: None, waiting: Vec::new() }
    }

    /// Has the files read. Call it inside a tokio runtime.
    pub(super) fn ask(&mut self, asker: Asker) {
        if !self.waiting.contains(&asker) {
            self.waiting.push(asker);
        }
        self.begin();
    }

    fn begin(&mut self) {
        if self.reading.is_none() && !self.waiting.is_empty() {
            let files = Arc::clone(&self.files);
            let reading = spawn_blocking(move || files.read());
            self.reading = Some((mem::take(&mut self.waiting), reading));
        }
    }

    /// The next reading that ends. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Reading {
        let Some((_, reading)) = &mut self.reading else { return future::pending().await };
        let found = reading.await.unwrap_or_else(|died| Err(vec![died.to_string()]));
        let askers = self.reading.take().map(|(askers, _)| askers).unwrap_or_default();
        self.begin();
        Reading { askers, found }
    }
}

impl Files {
    fn read(&self) -> Found {
        let config = config::load(&self.config, &self.node).map_err(|errors| errors.to_string());
        let keys = Keys::load(&self.authkeys).map_err(|error| error.to_string());
        match (config, keys) {
            (Ok(config), Ok(keys)) => Ok((config, keys)),
            (config, keys) => Err(config.err().into_iter().chain(keys.err()).collect()),
        }
    }
}

impl EventLoop {
    pub(super) fn reload(&mut self, reading: Reading) {
        let Reading { askers, found } = reading;
        let outcome = match found {
            Ok((config, keys)) => self.take_up(&config, keys, &askers),
            Err(problems) => Reload::Refused { problems },
        };
        log(&askers, &outcome);
        for asker in askers {
            if let Asker::Client(client, _) = asker {
                self.server.answer(client, Answer::Reload(outcome.clone()));
            }
        }
    }

    fn take_up(&mut self, config: &Config, keys: Keys, askers: &[Asker]) -> Reload {
        let change = keys.change_from(&self.keys);
        let conflicts = self.node.key_conflicts(&change);
        if !conflicts.is_empty() {
            return Reload::Refused {
                problems: conflicts.iter().map(ToString::to_string).collect(),
            };
        }
        self.keys = keys;
        if !change.is_empty() {
            let (author, change) = (names(askers), change.clone());
            self.inbox.push_back(Input::KeysChanged { author, change });
        }
        Reload::Applied { keys: change, restart: self.config.changed_in(config) }
    }
}

fn names(askers: &[Asker]) -> String {
    let mut names: Vec<&str> = askers
        .iter()
        .map(|asker| match asker {
            Asker::Signal => SIGNAL,
            Asker::Client(_, author) => author,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names.join(" and ")
}

/// A change of keys is an event of the core, which logs it.
fn log(askers: &[Asker], outcome: &Reload) {
    let author = names(askers);
    match outcome {
        Reload::Refused { problems } => tracing::warn!(
            "{author} asked for a reload, but nothing was changed: {}",
            problems.join("; ").replace('\n', "; ")
        ),
        Reload::Applied { restart, .. } if !restart.is_empty() => tracing::warn!(
            "{author} asked for a reload: cluster.toml differs in {} and needs a restart of this daemon",
            restart.join(", ")
        ),
        Reload::Applied { keys, .. } if keys.is_empty() => {
            tracing::info!("{author} asked for a reload: nothing has changed");
        }
        Reload::Applied { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    const CLUSTER: &str = "cluster = \"web\"\n[[node]]\nname = \"alpha\"\n";

    fn files(directory: &Path) -> Files {
        let (config, authkeys) = (directory.join("cluster.toml"), directory.join("authkeys"));
        fs::write(&config, CLUSTER).unwrap();
        fs::write(&authkeys, Keys::generate().unwrap()).unwrap();
        fs::set_permissions(&authkeys, Permissions::from_mode(0o600)).unwrap();
        Files { config, node: "alpha".to_owned(), authkeys }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(directory.path());
        assert!(files.read().is_ok());
        fs::set_permissions(&files.authkeys, Permissions::from_mode(0o644)).unwrap();
        fs::write(&files.config, "cluster = 7\n").unwrap();
        let problems = files.read().unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("cluster.toml:1: "), "{problems:?}");
        assert!(problems[1].contains("chmod 600"), "{problems:?}");
    }

    /// Whoever asks while a reading is under way may have changed a file after it was read.
    #[test]
    fn who_asks_during_a_reading_has_the_next_one() {
        let directory = tempfile::tempdir().unwrap();
        let client = |id| Asker::Client(ClientId(id), "root".to_owned());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut reloader = Reloader::new(files(directory.path()));
            for asker in [client(1), Asker::Signal, client(2), Asker::Signal] {
                reloader.ask(asker);
            }
            let first = reloader.next().await;
            assert_eq!(first.askers, [client(1)]);
            let second = reloader.next().await;
            assert_eq!(second.askers, [Asker::Signal, client(2)]);
            assert!(reloader.reading.is_none());
        });
    }

    #[test]
    fn an_author_is_named_once() {
        let root = |id| Asker::Client(ClientId(id), "root".to_owned());
        assert_eq!(names(&[root(1), root(2)]), "root");
        assert_eq!(names(&[root(1), Asker::Signal]), "SIGHUP and root");
    }
}
