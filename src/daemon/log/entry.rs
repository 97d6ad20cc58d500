//! One entry of the log, and its shapes: a line of text, a line of JSON, fields.

use serde::Serialize;
use serde_json::Value;

use crate::cluster::event::{Event, Level};
use crate::control::printed::{Parts, event_kind, event_parts};
use crate::control::rfc3339;

/// What is to be logged, and when it was said.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) unix_ms: u64,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// Of the core.
    Event(Event),
    /// Of the rest of the daemon.
    Words(Words),
}

#[derive(Debug)]
pub(super) struct Words {
    pub(super) level: Level,
    pub(super) text: String,
    /// Shown after the text.
    pub(super) fields: Vec<(&'static str, String)>,
}

/// What stands before a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Time and level, for a reader who has nothing else.
    Time,
    /// The priority in angle brackets, as sd-daemon(3) and `logger --prio-prefix` read it. They know the time.
    Priority,
}

/// As `lubdub history --json` has it, with the names that collectors of logs look for: `level` and `message`.
#[derive(Serialize)]
struct Line {
    time: String,
    unix_ms: u64,
    level: Level,
    message: String,
    #[serde(flatten)]
    parts: Parts,
}

impl Entry {
    fn level(&self) -> Level {
        match &self.what {
            What::Event(event) => event.level(),
            What::Words(words) => words.level,
        }
    }

    /// The severity of syslog (RFC 5424, section 6.2.1).
    pub(super) fn priority(&self) -> u8 {
        match self.level() {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Debug => 7,
        }
    }

    /// A sentence, as it was written: the words of an agent in it may hold anything.
    pub(super) fn message(&self) -> String {
        match &self.what {
            What::Event(event) => event.to_string(),
            What::Words(words) => words.text.clone(),
        }
    }

    /// A line, with its end. What is no character of a line becomes a space.
    pub(super) fn text(&self, style: Style) -> String {
        let head = match style {
            Style::Time => format!("{} {:5} ", rfc3339(self.unix_ms), level_word(self.level())),
            Style::Priority => format!("<{}>", self.priority()),
        };
        let fields = match &self.what {
            What::Event(_) => String::new(),
            What::Words(words) => {
                words.fields.iter().map(|(name, value)| format!(" {name}={value}")).collect()
            }
        };
        let mut line = format!("{head}{}{fields}", self.message());
        line = line.replace(char::is_control, " ");
        line.push('\n');
        line
    }

    /// A line of JSON, with its end.
    pub(super) fn json(&self) -> String {
        let line = serde_json::to_string(&Line {
            time: rfc3339(self.unix_ms),
            unix_ms: self.unix_ms,
            level: self.level(),
            message: self.message(),
            parts: self.parts(),
        });
        // Plain data with text for keys can always be written.
        line.unwrap_or_else(|error| format!("{{\"level\":\"error\",\"message\":\"{error}\"}}"))
            + "\n"
    }

    /// Its parts by name, in small letters.
    fn parts(&self) -> Parts {
        match &self.what {
            What::Event(event) => {
                let mut parts = event_parts(event);
                parts.insert("event".to_owned(), Value::String(event_kind(event)));
                parts
            }
            What::Words(words) => words
                .fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Value::String(value.clone())))
                .collect(),
        }
    }

    /// Its parts as texts: those of the history, with whatever has parts of its own as JSON.
    pub(super) fn fields(&self) -> Vec<(String, String)> {
        let parts = self.parts().into_iter();
        parts.filter_map(|(name, value)| Some((name, flat(&value)?))).collect()
    }
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARN",
        Level::Info => "INFO",
        Level::Debug => "DEBUG",
    }
}

/// A value as text; `None`: there is none.
fn flat(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some(value.to_string())
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::agent::Outcome;
    use crate::cluster::event::{JoinReason, Recovery};
    use crate::cluster::io::Reject;

    pub(in super::super) fn lost() -> Entry {
        let (silence, deadtime) = (Duration::from_micros(500_010), Duration::from_millis(500));
        let event = Event::PeerLost { peer: "alpha".into(), silence, deadtime };
        Entry { unix_ms: 1_767_323_045_678, what: What::Event(event) }
    }

    pub(in super::super) fn failed(reason: &str) -> Entry {
        let event = Event::AgentFailed {
            group: "web".into(),
            resource: "nginx".into(),
            action: crate::agent::Action::Start,
            outcome: Outcome::CannotExecute(reason.into()),
            then: Recovery::Leave { able_again: None },
        };
        Entry { unix_ms: 0, what: What::Event(event) }
    }

    fn words() -> Entry {
        let fields = vec![("error", "no\nway".to_owned()), ("file", "/a \"b\"".to_owned())];
        let words = Words { level: Level::Info, text: "a line".into(), fields };
        Entry { unix_ms: 0, what: What::Words(words) }
    }

    #[test]
    fn lines_of_text() {
        let sentence = "silence 500 ms > deadtime 500 ms: alpha is lost\n";
        assert_eq!(lost().text(Style::Time), format!("2026-01-02T03:04:05.678Z WARN  {sentence}"));
        assert_eq!(lost().text(Style::Priority), format!("<4>{sentence}"));
        assert_eq!(words().text(Style::Priority), "<6>a line error=no way file=/a \"b\"\n");
        let line = failed("a\nb\x1b[31m\0c").text(Style::Time);
        assert_eq!(line.matches(char::is_control).collect::<Vec<_>>(), ["\n"], "{line:?}");
    }

    #[test]
    fn lines_of_json_are_objects_with_the_parts_of_the_history() {
        let all = [
            Event::Leaving,
            Event::Joined { because: JoinReason::Initdead(Duration::from_secs(5)) },
            Event::DatagramRefused { why: Reject::BadTag, source: "10.0.0.9:694".into(), count: 1 },
            Event::PeerUp {
                peer: "beta".into(),
                incarnation: crate::wire::Incarnation(u64::MAX),
                after: None,
            },
        ];
        let events = all.map(|event| Entry { unix_ms: 5, what: What::Event(event) });
        for entry in events.into_iter().chain([lost(), failed("a\n\"b\"\u{7f}")]) {
            let json = entry.json();
            assert_eq!(json.matches('\n').count(), 1, "{json}");
            let What::Event(event) = &entry.what else { panic!("an event") };
            let value: Value = serde_json::from_str(&json).unwrap();
            assert_eq!(value["message"], event.to_string());
            assert_eq!(value["level"], serde_json::to_value(event.level()).unwrap());
            assert_eq!(value["event"], event_kind(event));
            // No name stands for two things.
            let parts = event_parts(event);
            assert_eq!(value.as_object().unwrap().len(), parts.len() + 5, "{json}");
            assert!(parts.iter().all(|(name, part)| value[name] == *part), "{json}");
        }
        assert_eq!(
            words().json(),
            "{\"time\":\"1970-01-01T00:00:00.000Z\",\"unix_ms\":0,\"level\":\"info\",\"message\":\"a line\",\
             \"error\":\"no\\nway\",\"file\":\"/a \\\"b\\\"\"}\n"
        );
    }

    #[test]
    fn fields_are_text() {
        let fields = |entry: &Entry| entry.fields().into_iter().collect::<BTreeMap<_, _>>();
        let lost = fields(&lost());
        assert_eq!((lost["event"].as_str(), lost["peer"].as_str()), ("peer_lost", "alpha"));
        assert_eq!((lost["silence_ms"].as_str(), lost["deadtime_ms"].as_str()), ("500", "500"));
        let failed = fields(&failed("no such file"));
        assert_eq!((failed["group"].as_str(), failed["action"].as_str()), ("web", "start"));
        assert!(failed["outcome"].contains("no such file"), "{failed:?}");
        assert_eq!(fields(&words())["error"], "no\nway");
    }
}
