//! The log: lines to stderr or entries in the journal, written by a thread of its own behind a bounded queue, so that a
//! slow terminal or journal never holds up the loop.
//!
//! An event of the core keeps its parts on the way (`journalctl -t lubdub GROUP=web`); what the rest of the daemon says
//! through `tracing` comes as a text with fields.

mod entry;
mod journal;

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use self::entry::{Entry, Style, What, Words};
use self::journal::Journal;
use super::clock;
use crate::cluster::event::{Event, Level};

/// Entries that may wait to be written. Past that they are lost, and counted.
const QUEUE: usize = 1024;
/// The writer runs small functions.
const STACK: usize = 128 * 1024;
/// Where journald takes entries with fields (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).
const JOURNAL: &str = "/run/systemd/journal/socket";

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// To the journal where stderr leads there, else as [`Text`](Self::Text).
    Auto,
    /// Lines to stderr: with the time, or under a service manager with the priority as sd-daemon(3) has it.
    Text,
    /// A JSON object a line to stderr, as `lubdub history --json` has it, with `level` and `message`, which collectors of logs
    /// look for, in place of `severity` and `sentence`.
    Json,
    /// Entries with fields to journald.
    Journal,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            "journal" => Ok(Self::Journal),
            _ => Err("write auto, text, json or journal".to_owned()),
        }
    }
}

/// The way into the log. Copies of it lead to the same one.
#[derive(Debug, Clone)]
pub struct Log {
    entries: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

impl Log {
    /// Makes the process log. The first call counts; without the thread that writes there is no log.
    ///
    /// # Errors
    ///
    /// There is no journal where one was asked for, the thread cannot be started, or something else logs already.
    pub fn start(format: Format) -> io::Result<Self> {
        let mut sink = Sink::open(format)?;
        let (entries, queue) = sync_channel(QUEUE);
        let log = Self { entries, lost: Arc::default() };
        let lost = Arc::clone(&log.lost);
        thread::Builder::new()
            .name("lubdub-log".to_owned())
            .stack_size(STACK)
            .spawn(move || write(&queue, &lost, &mut sink))?;
        tracing_subscriber::registry()
            .with(LevelFilter::INFO)
            .with(log.clone())
            .try_init()
            .map_err(|error| io::Error::other(error.to_string()))?;
        Ok(log)
    }

    /// Logs an event, as loud as it is.
    pub fn event(&self, event: &Event) {
        match event.level() {
            Level::Debug => {}
            Level::Info | Level::Warn | Level::Error => self.give(What::Event(event.clone())),
        }
    }

    fn give(&self, what: What) {
        let entry = Entry { unix_ms: clock::unix_ms(), what };
        if self.entries.try_send(entry).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            tracing::Level::DEBUG | tracing::Level::TRACE => Level::Debug,
        };
        let mut words = Words { level, text: String::new(), fields: Vec::new() };
        event.record(&mut words);
        self.give(What::Words(words));
    }
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.text);
        } else {
            self.fields.push((field.name(), value.to_owned()));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

fn write(queue: &Receiver<Entry>, lost: &AtomicU64, sink: &mut Sink) {
    while let Ok(entry) = queue.recv() {
        sink.put(&entry);
        let missing = lost.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let text = format!("{missing} lines of this log were lost: it is written too slowly");
            let words = Words { level: Level::Warn, text, fields: Vec::new() };
            sink.put(&Entry { unix_ms: clock::unix_ms(), what: What::Words(words) });
        }
    }
}

/// Where entries go.
enum Sink {
    Text(Style),
    Json,
    Journal(Journal),
}

impl Sink {
    fn open(format: Format) -> io::Result<Self> {
        let journal = || Journal::open(Path::new(JOURNAL));
        let text = || {
            let managed = ["INVOCATION_ID", "NOTIFY_SOCKET"].map(std::env::var_os);
            let managed = managed.iter().any(Option::is_some);
            let terminal = io::stderr().is_terminal();
            Self::Text(if managed && !terminal { Style::Priority } else { Style::Time })
        };
        match format {
            Format::Auto if stderr_is_journal() => {
                Ok(journal().map_or(Self::Text(Style::Priority), Self::Journal))
            }
            Format::Auto | Format::Text => Ok(text()),
            Format::Json => Ok(Self::Json),
            Format::Journal => journal().map(Self::Journal).map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("{JOURNAL}: {error}; --log text writes to stderr"),
                )
            }),
        }
    }

    fn put(&self, entry: &Entry) {
        let line = match self {
            Self::Text(style) => entry.text(*style),
            Self::Json => entry.json(),
            Self::Journal(journal) => match journal.send(entry) {
                Ok(()) => return,
                // Where stderr leads to the journal too, it is read as this by the same daemon.
                Err(_) => entry.text(Style::Priority),
            },
        };
        // A log that nobody takes is no reason to end; there is nowhere left to say so.
        let _ = io::stderr().write_all(line.as_bytes());
    }
}

/// Whether stderr leads to the journal: then `JOURNAL_STREAM` names its device and inode (systemd.exec(5)).
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let stderr = io::stderr().as_fd().try_clone_to_owned().map(File::from);
    let metadata = stderr.and_then(|stderr| stderr.metadata());
    metadata.is_ok_and(|metadata| is_stream(&stream, metadata.dev(), metadata.ino()))
}

fn is_stream(stream: &str, device: u64, inode: u64) -> bool {
    stream == format!("{device}:{inode}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_command_line() {
        for (word, format) in [
            ("auto", Format::Auto),
            ("text", Format::Text),
            ("json", Format::Json),
            ("journal", Format::Journal),
        ] {
            assert_eq!(word.parse(), Ok(format));
        }
        assert!("xml".parse::<Format>().is_err());
    }

    #[test]
    fn a_stream_that_was_inherited_and_led_elsewhere_is_not_the_journal() {
        assert!(is_stream("8:12345", 8, 12345));
        assert!(!is_stream("8:12345", 8, 1234));
        assert!(!is_stream("nonsense", 8, 1234));
    }

    /// The loop never waits: with the writer standing still it goes on, and the writer tells how much is missing.
    #[test]
    fn a_full_queue_loses_entries_and_counts_them() {
        let (entries, queue) = sync_channel(2);
        let log = Log { entries, lost: Arc::default() };
        let subscriber = tracing_subscriber::registry().with(LevelFilter::INFO).with(log.clone());
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..5 {
                tracing::warn!(number, "a line");
            }
            tracing::debug!("not this one");
        });
        log.event(&Event::Leaving);
        assert_eq!(log.lost.load(Ordering::Relaxed), 4);
        let first = queue.recv().unwrap().text(Style::Priority);
        assert_eq!(first, "<4>a line number=0\n");
    }
}
