//! `vrrp_script` and `vrrp_track_process`: Keepalived watched what others started. lubdub looks after services itself, so
//! what was watched becomes a resource.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::file::{File, told};
use super::told::Scope;
use super::tree::Statement;
use crate::import::draft::{Names, Resource};
use crate::import::report::{Place, Report};
use crate::import::value::{agent_for, time, written};

/// What an interval between monitors can be.
const INTERVALS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(86_400);

const ADVICE: &str = "lubdub looks after what its agents start: name an agent for what was watched (`lubdub agent list`), or take the block \
     out";

/// The checks of all files, and what became of them.
pub(super) struct Checks<'a> {
    files: &'a [File],
    /// By file and name, what is told of it.
    used: BTreeMap<(usize, &'a str), String>,
    /// By group and by what it is for, the resource that looks after it.
    made: BTreeMap<(String, String), String>,
}

impl<'a> Checks<'a> {
    pub(super) fn new(files: &'a [File]) -> Self {
        Self { files, used: BTreeMap::new(), made: BTreeMap::new() }
    }

    /// The resource for a check that a group tracks; `None`: there is one already, or no such check.
    pub(super) fn resource(
        &mut self,
        at: Place,
        (file, name): (usize, &'a str),
        group: &str,
        names: &mut Names,
        report: &mut Report,
    ) -> Option<Resource> {
        let files = self.files;
        let Some(check) = files.get(file).and_then(|file| file.checks.get(name)) else {
            report.not_converted(
                at,
                name,
                "there is no vrrp_script or vrrp_track_process of this name",
            );
            return None;
        };
        let command = command(check);
        let agent = agent_for(&command).or_else(|| agent_for(name));
        let purpose = agent.unwrap_or(name).to_owned();
        if let Some(resource) = self.made.get(&(group.to_owned(), purpose.clone())) {
            let says = format!("resource {resource} of group {group}");
            report.not_needed(at, name, format!("{says} is there for it already"));
            self.used.entry((file, name)).or_insert(says);
            return None;
        }
        let short = report.short(check.at);
        let mut resource = match agent {
            Some(agent) => {
                let resource = Resource::of_agent(names.free(agent), agent);
                let mut says = format!(
                    "resource {} of group {group}: lubdub starts it on the holder and looks after it, so take it out of the \
                     boot (`systemctl disable --now`)",
                    resource.name
                );
                let mut others = self.made.keys().filter(|(_, other)| *other == purpose);
                if let Some((other, _)) = others.next() {
                    says.push_str(&format!(
                        "; group {other} has one too: where both run on one node, the stop of one ends it for both unless \
                         each has a configuration file of its own"
                    ));
                }
                report.converted(at, name, says);
                let short = format!("resource {} of group {group}", resource.name);
                self.used.entry((file, name)).or_insert(short);
                resource
            }
            None => {
                let does = format!("runs what {name} watched");
                let mut resource = Resource::without_agent(names.free(name), &does, &short);
                resource.comment.push(format!("{short}: {command}"));
                report.not_converted(at, name, ADVICE);
                let left =
                    format!("resource {} of group {group} waits for an agent", resource.name);
                self.used.entry((file, name)).or_insert(left);
                resource
            }
        };
        resource.monitor = interval(check, "interval");
        resource.timeout = interval(check, "timeout");
        self.made.insert((group.to_owned(), purpose), resource.name.clone());
        Some(resource)
    }

    /// Tells what became of the blocks themselves.
    pub(super) fn tell(&self, report: &mut Report) {
        let all = self.files.iter().enumerate().flat_map(|(file, it)| {
            it.checks.iter().map(move |(name, check)| ((file, name.as_str()), check))
        });
        for (key, check) in all {
            let Some(says) = self.used.get(&key) else {
                report.not_needed(check.at, check.text(), "nothing tracks it");
                continue;
            };
            let is_left = agent_for(&command(check)).or_else(|| agent_for(key.1)).is_none();
            let mut whole = |at: Place, text: String| {
                if is_left {
                    report.not_converted(at, text, says);
                } else {
                    report.converted(at, text, says);
                }
            };
            whole(check.head(), check.text());
            for inner in check.inside() {
                match inner.word(0) {
                    "script" | "process" => whole(inner.at, inner.text()),
                    _ => {}
                }
            }
            for inner in check.inside() {
                line(inner, report);
            }
        }
    }
}

fn line(inner: &Statement, report: &mut Report) {
    let key = match inner.word(0) {
        "script" | "process" => return,
        "interval" => "monitor",
        "timeout" => "timeout",
        _ => return told(Scope::Script, inner, report),
    };
    match time(inner.word(1)).filter(|time| INTERVALS.contains(time)) {
        Some(time) if key == "monitor" => {
            report.converted(inner.at, inner.text(), format!("monitor = \"{}\"", written(time)));
        }
        Some(time) => {
            let says = format!("timeout = {{ monitor = \"{}\" }}", written(time));
            report.converted(inner.at, inner.text(), says);
        }
        None => report.not_converted(
            inner.at,
            inner.text(),
            "it is no time for a monitor; the default is taken",
        ),
    }
}

/// What a check runs or looks for.
fn command(check: &Statement) -> String {
    let line = check.inside().iter().find(|inner| ["script", "process"].contains(&inner.word(0)));
    line.map(|line| line.words.iter().skip(1).cloned().collect::<Vec<_>>().join(" "))
        .unwrap_or_default()
}

fn interval(check: &Statement, key: &str) -> Option<Duration> {
    let line = check.inside().iter().find(|inner| inner.word(0) == key)?;
    time(line.word(1)).filter(|time| INTERVALS.contains(time))
}
