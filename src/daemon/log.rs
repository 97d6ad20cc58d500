//! The log: lines to stderr through a bounded queue, so that a slow terminal or journal never holds up the loop.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::cluster::event::{Event, Level};

/// Lines that may wait to be written. Past that they are lost, and counted.
const QUEUE: usize = 1024;
/// The writer runs two small functions.
const STACK: usize = 128 * 1024;

/// Makes the process log to stderr. The first call counts; without the thread that writes there is no log.
///
/// # Errors
///
/// The thread cannot be started, or something else logs already.
pub fn start() -> io::Result<()> {
    let (lines, queue) = sync_channel(QUEUE);
    let lost = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&lost);
    thread::Builder::new()
        .name("lubdub-log".to_owned())
        .stack_size(STACK)
        .spawn(move || write(&queue, &counted))?;
    tracing_subscriber::fmt()
        .with_writer(Lines { lines: Mutex::new(lines), lost })
        .with_max_level(LevelFilter::INFO)
        .with_target(false)
        .with_ansi(false)
        .without_time()
        .try_init()
        .map_err(|error| io::Error::other(error.to_string()))
}

/// Logs an event, as loud as it is.
pub fn event(event: &Event) {
    match event.level() {
        Level::Debug => tracing::debug!("{event}"),
        Level::Info => tracing::info!("{event}"),
        Level::Warn => tracing::warn!("{event}"),
        Level::Error => tracing::error!("{event}"),
    }
}

fn write(queue: &Receiver<Vec<u8>>, lost: &AtomicU64) {
    let mut stderr = io::stderr();
    while let Ok(line) = queue.recv() {
        // A log that nobody takes is no reason to end; there is nowhere left to say so.
        let _ = stderr.write_all(&line);
        let missing = lost.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let _ = writeln!(
                stderr,
                " WARN {missing} lines of this log were lost: it is written too slowly"
            );
        }
    }
}

struct Lines {
    lines: Mutex<SyncSender<Vec<u8>>>,
    lost: Arc<AtomicU64>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { to: self, bytes: Vec::new() }
    }
}

/// One line: it goes into the queue when it is whole.
struct Line<'a> {
    to: &'a Lines,
    bytes: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let line = std::mem::take(&mut self.bytes);
        let sent = self.to.lines.lock().is_ok_and(|lines| lines.try_send(line).is_ok());
        if !sent {
            self.to.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}
