//! `lubdub history`: one line for each thing that happened, also after the daemon has ended.

use std::io::ErrorKind;
use std::path::Path;

use super::daemon::Daemon;
use super::exit::{Exit, Failure};
use super::output::{self, Paint, Tone};
use crate::cluster::event::Level;
use crate::control::printed::PrintedRecord;
use crate::control::{Kept, Record, kept};

/// Print the newest records, oldest first: those that the daemon knows, or where none answers those that it kept.
pub(super) fn history(
    socket: &Path,
    state: &Path,
    limit: u32,
    json: bool,
) -> Result<Exit, Failure> {
    let records = match Daemon::connect(socket).and_then(|mut daemon| daemon.history(limit)) {
        Ok(records) => records,
        Err(failure) if failure.exit() == Exit::NoDaemon => match from_files(state, limit)? {
            Some(records) => {
                output::say(&format!("no daemon answers; from the files in {}", state.display()));
                records
            }
            None => return Err(failure),
        },
        Err(failure) => return Err(failure),
    };
    if records.is_empty() {
        output::say("nothing has happened yet");
    }
    let paint = Paint::for_stdout();
    for record in &records {
        if json {
            output::json(&PrintedRecord::from(record))?;
        } else {
            output::result(&line(record, paint))?;
        }
    }
    Ok(Exit::Fine)
}

/// The newest records in the files; `None`: there are no files.
fn from_files(state: &Path, limit: u32) -> Result<Option<Vec<Record>>, Failure> {
    let found = kept(state, limit).map_err(|error| {
        let denied = error.source.kind() == ErrorKind::PermissionDenied;
        let hint = if denied { "; run this as root" } else { "" };
        Failure::Failed(format!("{error}{hint}"))
    })?;
    Ok(found.map(|Kept { records, strange }| {
        for (path, lines) in strange {
            output::say(&format!("{}: lines that make no sense here: {lines}", path.display()));
        }
        records
    }))
}

/// `2026-01-02 03:04:05.678Z  WARN   silence 512 ms > deadtime 500 ms: alpha is lost`. UTC, so that the histories of
/// nodes in different time zones can be laid side by side.
pub(super) fn line(record: &Record, paint: Paint) -> String {
    let time = record.time.replacen('T', " ", 1);
    let level = match record.event.level() {
        Level::Debug | Level::Info => "     ".to_owned(),
        Level::Warn => paint.tone(Tone::Warn, "WARN "),
        Level::Error => paint.tone(Tone::Bad, "ERROR"),
    };
    format!("{time}  {level}  {}", record.event)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cluster::event::Event;

    #[test]
    fn one_line_for_each_event() {
        let lost = Event::PeerLost {
            peer: "alpha".into(),
            silence: Duration::from_millis(512),
            deadtime: Duration::from_millis(500),
        };
        assert_eq!(
            line(&Record::new(1_767_323_045_678, lost), Paint::Plain),
            "2026-01-02 03:04:05.678Z  WARN   silence 512 ms > deadtime 500 ms: alpha is lost"
        );
        assert_eq!(
            line(&Record::new(0, Event::Leaving), Paint::Plain),
            "1970-01-01 00:00:00.000Z         the daemon was told to end: it hands over what it runs"
        );
    }
}
