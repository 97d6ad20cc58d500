//! The text format of Prometheus, version 0.0.4 (<https://prometheus.io/docs/instrumenting/exposition_formats/>): families,
//! each with its HELP and TYPE before its samples. Pure.

use std::fmt::{Display, Write as _};

/// A page under way.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

/// What may be done with the numbers of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows, from the daemon's start.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// Samples of one name.
#[derive(Debug)]
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
    /// Written before the first sample: a family without samples is not there.
    head: Option<(Kind, &'static str)>,
}

impl Exposition {
    /// Begins a family. Each name comes once.
    pub(super) fn family(
        &mut self,
        name: &'static str,
        kind: Kind,
        help: &'static str,
    ) -> Family<'_> {
        Family { text: &mut self.0, name, head: Some((kind, help)) }
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

// Writing to a string cannot fail.
impl Family<'_> {
    /// One sample. Its labels are another combination than that of all others of the family.
    pub(super) fn put(&mut self, labels: &[(&str, &str)], value: impl Display) {
        if let Some((kind, help)) = self.head.take() {
            let kind = match kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            let name = self.name;
            let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        }
        self.text.push_str(self.name);
        for (place, (label, value)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{}\"", escaped(value));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// A sample of 0 or 1.
    pub(super) fn flag(&mut self, labels: &[(&str, &str)], set: bool) {
        self.put(labels, u8::from(set));
    }

    /// A sample for each of these states: 1 for the present one, 0 for the others.
    pub(super) fn state(&mut self, labels: &[(&str, &str)], states: &[&str], present: &str) {
        for state in states {
            let labels = [labels, &[("state", *state)]].concat();
            self.flag(&labels, *state == present);
        }
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page() {
        let mut page = Exposition::default();
        page.family("none", Kind::Gauge, "Nothing.");
        let mut family = page.family("a_total", Kind::Counter, "How often.");
        family.put(&[], 7);
        family.put(&[("x", "a\\b\"c\nd"), ("y", "ü")], 0.5);
        let mut family = page.family("b", Kind::Gauge, "Which.");
        family.state(&[("n", "m")], &["up", "down"], "down");
        assert_eq!(
            page.into_text(),
            "# HELP a_total How often.\n# TYPE a_total counter\na_total 7\n\
             a_total{x=\"a\\\\b\\\"c\\nd\",y=\"ü\"} 0.5\n\
             # HELP b Which.\n# TYPE b gauge\nb{n=\"m\",state=\"up\"} 0\nb{n=\"m\",state=\"down\"} 1\n"
        );
    }
}
