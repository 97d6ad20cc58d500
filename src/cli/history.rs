//! `lubdub history`: one line for each thing that happened, also after the daemon has ended.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::daemon::Daemon;
use super::exit::{Exit, Failure};
use super::output::{self, Paint, Tone};
use crate::cluster::event::Level;
use crate::control::Record;

/// The files that the daemon keeps in its directory, oldest first.
const FILES: [&str; 2] = ["history.jsonl.1", "history.jsonl"];

/// Print the newest records, oldest first: those that the daemon knows, or where none answers those that it kept.
pub(super) fn history(
    socket: &Path,
    state: &Path,
    limit: u32,
    json: bool,
) -> Result<Exit, Failure> {
    let records = match Daemon::connect(socket).and_then(|mut daemon| daemon.history(limit)) {
        Ok(records) => records,
        Err(failure) if failure.exit() == Exit::NoDaemon => match kept(state, limit)? {
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
            output::json(record)?;
        } else {
            output::result(&line(record, paint))?;
        }
    }
    Ok(Exit::Fine)
}

/// The newest records in the files; `None`: there are no files. The last line may be torn, by a power cut.
fn kept(state: &Path, limit: u32) -> Result<Option<Vec<Record>>, Failure> {
    let mut records = None;
    for name in FILES {
        let path = state.join(name);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(Failure::Failed(format!("{}: {error}", path.display()))),
        };
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let (mut read, mut strange) = (Vec::new(), 0_usize);
        for line in lines {
            match serde_json::from_slice(line) {
                Ok(record) => read.push(record),
                Err(_not_a_record) => strange += 1,
            }
        }
        if strange > 0 {
            output::say(&format!("{}: {strange} lines make no sense here", path.display()));
        }
        records.get_or_insert_with(Vec::new).append(&mut read);
    }
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(records.map(|mut all| all.split_off(all.len().saturating_sub(most))))
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
