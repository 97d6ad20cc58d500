//! The story of a scenario and its figures: text and JSON from the same data. Pure formatting.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::super::figures::Sight;
use super::super::kernels::Hold;
use super::super::moment::Moment;
use super::super::node::Happening;
use super::super::plan::SERVICE;
use super::super::web::WebServer;
use super::scenario::{Act, Scenario};
use crate::cluster::event::Level;
use crate::screen::{ClientSaw, Told, caption};

/// A daemon stamps its history in milliseconds, by the wall clock: what it wrote right at the fault may seem earlier.
const STAMP_ERROR_MS: f64 = 2.0;

/// What came of a scenario, as figures. Times in milliseconds since the fault; as JSON whole microseconds, since some are
/// shorter than a millisecond.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Figures {
    /// Which.
    #[serde(serialize_with = "name")]
    scenario: Scenario,
    /// `nginx`, or `built-in`.
    web_server: &'static str,
    /// From the fault to the first answer after the first failure; `None`: no request failed.
    #[serde(rename = "first_answer_us", serialize_with = "maybe_micros")]
    first_answer_ms: Option<f64>,
    /// Which node gave it.
    first_answer_from: Option<String>,
    /// The longest time between two answers.
    #[serde(rename = "longest_gap_us", serialize_with = "micros")]
    longest_gap_ms: f64,
    /// Requests since the fault.
    requests: usize,
    /// Those of them that failed.
    failed: usize,
    /// Requests that failed before the fault: should be none.
    failed_before: usize,
    /// For how long more than one kernel had the address.
    #[serde(rename = "both_held_us", serialize_with = "micros")]
    both_held_ms: f64,
    /// The one node that has the group at the end.
    ends_on: String,
}

/// A line of the story.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Line {
    /// Milliseconds since the fault.
    #[serde(rename = "at_us", serialize_with = "micros")]
    at_ms: f64,
    /// Who says it: a node, a node's kernel, the client, or the demo itself.
    who: String,
    /// What.
    text: String,
}

/// Figures and story.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    figures: Figures,
    /// What it came to, in one sentence, made from the nodes' histories and the client's answers.
    caption: String,
    story: Vec<Line>,
}

impl Figures {
    pub(super) fn new(
        scenario: Scenario,
        web: &WebServer,
        fault: Moment,
        sight: &Sight,
        both_held: Duration,
        ends_on: &str,
    ) -> Self {
        let end = sight.outage.as_ref().and_then(|outage| outage.end.clone());
        Self {
            scenario,
            web_server: match web {
                WebServer::Nginx(_) => "nginx",
                WebServer::BuiltIn => "built-in",
            },
            first_answer_ms: end.as_ref().map(|(moment, _)| moment.millis_after(fault)),
            first_answer_from: end.map(|(_, node)| node),
            longest_gap_ms: millis(sight.longest_gap),
            requests: sight.requests,
            failed: sight.failed,
            failed_before: sight.failed_before,
            both_held_ms: millis(both_held),
            ends_on: ends_on.to_owned(),
        }
    }

    fn client_line(&self) -> Option<Line> {
        let (at_ms, node) = (self.first_answer_ms?, self.first_answer_from.as_ref()?);
        let text = format!(
            "{:.0} ms without an answer (first answer from {node} at {})",
            self.longest_gap_ms,
            relative(at_ms).trim_start()
        );
        Some(Line { at_ms, who: "client".to_owned(), text })
    }
}

impl Report {
    /// Puts it together: what the demo did, what the nodes say of it, what the kernels and the client saw.
    pub(super) fn new(
        figures: Figures,
        fault: Moment,
        acts: &[Act],
        holds: &[Hold],
        histories: &[(String, Vec<Happening>)],
    ) -> Self {
        let line = |moment: Moment, who: &str, text: String| Line {
            at_ms: moment.millis_after(fault),
            who: who.to_owned(),
            text,
        };
        let mut story: Vec<Line> =
            acts.iter().map(|act| line(act.moment, "demo", act.text.clone())).collect();
        for hold in holds {
            let kernel = format!("{}'s kernel", hold.node);
            story.push(line(hold.from, &kernel, format!("has {SERVICE}")));
            story.extend(
                hold.until.map(|until| line(until, &kernel, format!("no longer has {SERVICE}"))),
            );
        }
        for (node, happenings) in histories {
            let told = happenings.iter().filter(|happening| happening.event.level() > Level::Debug);
            story.extend(
                told.map(|happening| line(happening.moment, node, happening.event.to_string())),
            );
        }
        story.retain(|line| line.at_ms >= -STAMP_ERROR_MS);
        story.extend(figures.client_line());
        story.sort_by(|one, other| one.at_ms.total_cmp(&other.at_ms));
        let caption = summary(&figures, fault, histories);
        Self { figures, caption, story }
    }

    /// One object on one line.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
    }

    /// The story, then what it comes to.
    pub(super) fn to_text(&self) -> String {
        let width = self.story.iter().map(|line| line.who.len()).max().unwrap_or_default();
        let mut text = String::new();
        for line in &self.story {
            text.push_str(&format!(
                "{} ms  {:width$}  {}\n",
                relative(line.at_ms),
                line.who,
                line.text
            ));
        }
        let Figures { failed, requests, ends_on, both_held_ms, .. } = &self.figures;
        let outage = match (failed, self.figures.first_answer_ms) {
            (0, _) => format!(
                "No request failed of {requests}; longest gap {:.0} ms.",
                self.figures.longest_gap_ms
            ),
            (_, Some(_)) => format!("{failed} of {requests} requests failed."),
            (_, None) => {
                format!("{failed} of {requests} requests failed, and none was answered after them.")
            }
        };
        text.push_str(&format!(
            "\n{}\n{outage} More than one node had the address for {both_held_ms:.0} ms. \
             At the end {ends_on} alone runs the group.",
            self.caption
        ));
        text
    }
}

fn summary(figures: &Figures, fault: Moment, histories: &[(String, Vec<Happening>)]) -> String {
    let mut told: Vec<(Moment, Told<'_>)> = histories
        .iter()
        .flat_map(|(node, happenings)| {
            happenings
                .iter()
                .map(move |happening| (happening.moment, Told { node, event: &happening.event }))
        })
        .filter(|(moment, _)| moment.millis_after(fault) >= -STAMP_ERROR_MS)
        .collect();
    told.sort_by_key(|(moment, _)| *moment);
    let told: Vec<Told<'_>> = told.into_iter().map(|(_, told)| told).collect();
    let saw = ClientSaw {
        failed: figures.failed as u64,
        // As the story has it: to the nearest millisecond.
        longest: Duration::from_secs_f64(figures.longest_gap_ms.round() / 1000.0),
        waiting: None,
    };
    caption(&told, Some(saw)).to_string()
}

/// `+512`, right-aligned.
fn relative(at_ms: f64) -> String {
    // Without the sign that a rounded -0.4 keeps.
    format!("{:+6.0}", at_ms.round() + 0.0)
}

fn millis(duration: Duration) -> f64 {
    // Microseconds are more than is measured.
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

#[expect(clippy::cast_possible_truncation, reason = "a story lasts for minutes")]
fn micros<S: Serializer>(millis: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64((millis * 1000.0).round() as i64)
}

fn maybe_micros<S: Serializer>(millis: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match millis {
        Some(millis) => micros(millis, serializer),
        None => serializer.serialize_none(),
    }
}

fn name<S: Serializer>(scenario: &Scenario, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(scenario)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_microseconds_in_json() {
        let line = Line { at_ms: -0.126_000_1, who: "demo".into(), text: "now".into() };
        let json = serde_json::to_value(&line).unwrap();
        assert_eq!(json, serde_json::json!({ "at_us": -126, "who": "demo", "text": "now" }));
        let figures = Figures {
            scenario: Scenario::PowerOff,
            web_server: "nginx",
            first_answer_ms: Some(507.786_875),
            first_answer_from: None,
            longest_gap_ms: 509.873,
            requests: 1,
            failed: 0,
            failed_before: 0,
            both_held_ms: 0.3,
            ends_on: "beta".into(),
        };
        let json = serde_json::to_value(&figures).unwrap();
        for (name, micros) in
            [("first_answer_us", 507_787), ("longest_gap_us", 509_873), ("both_held_us", 300)]
        {
            assert_eq!(json[name], micros, "{json}");
        }
    }
}
