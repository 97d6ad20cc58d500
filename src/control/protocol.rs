//! Requests, answers and records as data: each is one line of JSON.

use serde::{Deserialize, Serialize};

use crate::cluster::event::Event;
use crate::cluster::io::{Command, Response};
use crate::cluster::snapshot::Snapshot;
use crate::wire::{KeyId, KeysChange};

/// What the command line asks: `"status"`, `{"history":{"limit":100}}`, `{"command":{"standby":{"node":"alpha"}}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// How everything is.
    Status,
    /// What happened, newest last.
    History {
        /// At most so many records.
        limit: u32,
    },
    /// Read keys and configuration again.
    Reload,
    /// An operator's wish, for the core.
    Command(Command),
}

/// What the daemon answers: one line for each request, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::History`]: oldest first.
    History(Vec<Record>),
    /// To [`Request::Reload`].
    Reload(Reload),
    /// To [`Request::Command`].
    Command(Response),
    /// The request was not understood or not permitted; says what to do.
    Error {
        /// Why.
        message: String,
    },
}

/// What came of reading keys and configuration again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reload {
    /// The daemon uses what the files say, as far as it can without a restart.
    Applied {
        /// What is otherwise about the keys.
        keys: KeysChange,
        /// Where cluster.toml says something that only a restart of the daemon applies.
        restart: Vec<String>,
    },
    /// Nothing was changed.
    Refused {
        /// Everything that stands against it; each says what to do.
        problems: Vec<String>,
    },
}

/// All that `lubdub status` prints, as text or as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What the core knows.
    pub snapshot: Snapshot,
    /// What the daemon around it knows.
    pub daemon: DaemonFacts,
}

/// Facts of the running daemon that the core does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonFacts {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// What it could not get of the machine (real-time priority, locked memory, large buffers), a sentence each.
    pub realtime: Vec<String>,
    /// Datagrams that the kernel dropped because a receive buffer was full, all links together.
    pub kernel_drops: u64,
    /// Which keys it uses.
    pub keys: KeyIds,
    /// Its wall clock when it answered, as RFC 3339 in UTC.
    pub time: String,
}

/// Ids of keys in authkeys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyIds {
    /// It signs with this one.
    pub sending: KeyId,
    /// It accepts these.
    pub accepted: Vec<KeyId>,
}

/// One line of the history: `{"time":"2026-01-02T03:04:05.678Z","unix_ms":…,"event":"peer_lost","peer":"alpha",…}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When, as RFC 3339 in UTC with milliseconds.
    pub time: String,
    /// When, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

impl Record {
    /// An event at this wall-clock time.
    #[must_use]
    pub fn new(unix_ms: u64, event: Event) -> Self {
        Self { time: rfc3339(unix_ms), unix_ms, event }
    }
}

/// Milliseconds since the Unix epoch as `2026-01-02T03:04:05.678Z` (RFC 3339, UTC). Leap seconds are not in Unix time.
#[must_use]
pub fn rfc3339(unix_ms: u64) -> String {
    let (seconds, millis) = (unix_ms / 1000, unix_ms % 1000);
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(day);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of a day since 1970-01-01 in the proleptic Gregorian calendar. Counted from 0000-03-01, so that
/// the leap day is the last of its year and every 400 years are 146,097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cluster::guard::Evidence;
    use crate::cluster::io::Reject;

    #[test]
    fn dates() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (1_709_251_200_000, "2024-03-01T00:00:00.000Z"),
            (1_767_323_045_678, "2026-01-02T03:04:05.678Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(unix_ms), text);
        }
    }

    #[test]
    fn requests_are_short_to_write_by_hand() {
        for (request, line) in [
            (Request::Status, r#""status""#),
            (Request::History { limit: 5 }, r#"{"history":{"limit":5}}"#),
            (
                Request::Command(Command::Standby { node: Some("alpha".into()) }),
                r#"{"command":{"standby":{"node":"alpha"}}}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&request).unwrap(), line);
            assert_eq!(serde_json::from_str::<Request>(line).unwrap(), request);
        }
    }

    #[test]
    fn records_are_flat_and_come_back_as_they_were() {
        let events = [
            Event::Leaving,
            Event::PeerUp {
                peer: "beta".into(),
                incarnation: crate::wire::Incarnation(u64::MAX),
                after: Some(Duration::from_millis(12)),
            },
            Event::Cleared {
                group: "web".into(),
                evidence: vec![(
                    "alpha".into(),
                    Evidence::Guard {
                        silence: Duration::from_millis(512),
                        ping: Some(("10.0.0.254".parse().unwrap(), Duration::from_millis(3))),
                        silent_probes: 3,
                    },
                )],
            },
            Event::DatagramRefused { why: Reject::BadTag, source: "10.0.0.9:694".into(), count: 1 },
        ];
        for event in events {
            let record = Record::new(1_767_323_045_678, event);
            let line = serde_json::to_string(&record).unwrap();
            assert!(
                line.starts_with(
                    r#"{"time":"2026-01-02T03:04:05.678Z","unix_ms":1767323045678,"event":""#
                ),
                "{line}"
            );
            assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record);
        }
    }
}
