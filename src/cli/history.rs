//! `lubdub history`: one line for each thing that happened.

use super::daemon::Daemon;
use super::exit::{Exit, Failure};
use super::output::{self, Paint, Tone};
use crate::cluster::event::Level;
use crate::control::Record;

/// Print the newest records, oldest first.
pub(super) fn history(daemon: &mut Daemon, limit: u32, json: bool) -> Result<Exit, Failure> {
    let records = daemon.history(limit)?;
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

/// `2026-01-02 03:04:05.678Z  WARN   silence 512 ms > deadtime 500 ms: alpha is lost`. UTC, so that the histories of
/// nodes in different time zones can be laid side by side.
fn line(record: &Record, paint: Paint) -> String {
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
