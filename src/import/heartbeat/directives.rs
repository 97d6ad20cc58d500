//! `ha.cf`, line by line (ha.cf(5), and the parser of Heartbeat 3.0.6): `#` begins a comment anywhere, words are separated
//! by white space or commas, times are seconds or end in `ms`, and of a directive that is there twice the last one counts.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::media::{self, Medium};
use super::told::{self, Told};
use crate::config::{is_name, parse_ip};
use crate::import::report::{FileId, Place, Report};
use crate::import::value;

/// What `ha.cf` says.
#[derive(Debug, Default)]
pub(super) struct Directives {
    pub(super) cluster: Option<String>,
    pub(super) keepalive: Option<Timed>,
    pub(super) warntime: Option<Timed>,
    pub(super) deadtime: Option<Timed>,
    pub(super) initdead: Option<Timed>,
    /// Left out, as Heartbeat does, it is on.
    pub(super) auto_failback: Option<bool>,
    pub(super) nodes: Vec<String>,
    pub(super) media: Vec<Medium>,
    pub(super) ping: Vec<Ping>,
    /// Where it says that Pacemaker looks after the resources.
    pub(super) crm: Option<Place>,
}

/// A time and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timed {
    pub(super) at: Place,
    pub(super) time: Duration,
}

/// An address that is pinged.
#[derive(Debug)]
pub(super) struct Ping {
    pub(super) at: Place,
    pub(super) text: String,
    pub(super) ip: IpAddr,
}

/// One line.
pub(super) struct Line<'a> {
    pub(super) at: Place,
    pub(super) word: &'a str,
    pub(super) options: Vec<&'a str>,
}

impl Line<'_> {
    /// The line with single blanks.
    pub(super) fn text(&self) -> String {
        let words = std::iter::once(self.word).chain(self.options.iter().copied());
        words.collect::<Vec<_>>().join(" ")
    }

    fn option(&self) -> &str {
        self.options.first().copied().unwrap_or_default()
    }
}

/// Directives of which the last one counts.
const SINGLE: &[&str] = &[
    "cluster",
    "keepalive",
    "warntime",
    "deadtime",
    "initdead",
    "auto_failback",
    "nice_failback",
    "crm",
    "autojoin",
];

/// Reads the text of `ha.cf`.
pub(super) fn read(text: &str, file: FileId, report: &mut Report) -> Directives {
    let lines: Vec<Line<'_>> = text
        .lines()
        .enumerate()
        .filter_map(|(index, line)| {
            let mut words = line
                .split('#')
                .next()?
                .split([',', ' ', '\t', '\r', '\u{c}'])
                .filter(|word| !word.is_empty());
            let at = Place::new(file, index + 1);
            Some(Line { at, word: words.next()?, options: words.collect() })
        })
        .collect();
    let last: BTreeMap<&str, usize> = lines.iter().map(|line| (line.word, line.at.line)).collect();
    let mut directives = Directives::default();
    let mut port = media::PORT;
    for line in &lines {
        let last = last.get(line.word).copied().unwrap_or(line.at.line);
        if SINGLE.contains(&line.word) && last != line.at.line {
            let says = format!("line {last} says it again, and the last one counts");
            report.not_needed(line.at, line.text(), says);
        } else {
            take(&mut directives, line, &mut port, report);
        }
    }
    directives
}

fn take(directives: &mut Directives, line: &Line<'_>, port: &mut u16, report: &mut Report) {
    match line.word {
        "cluster" => cluster(directives, line, report),
        "keepalive" => directives.keepalive = timed(line, report),
        "warntime" => directives.warntime = timed(line, report),
        "deadtime" => directives.deadtime = timed(line, report),
        "initdead" => directives.initdead = timed(line, report),
        "auto_failback" => auto_failback(directives, line, report),
        "nice_failback" => nice_failback(directives, line, report),
        "node" => nodes(directives, line, report),
        "udpport" => udpport(line, port, report),
        "bcast" | "udp" | "mcast" | "mcast6" | "ucast" | "ucast6" => {
            directives.media.extend(media::read(line, *port, report));
        }
        "ping" | "ping6" => ping(directives, line, &line.options, report),
        "ping_group" => {
            ping(directives, line, line.options.get(1..).unwrap_or_default(), report);
        }
        "crm" => crm(directives, line, report),
        "autojoin" => autojoin(line, report),
        "respawn" => {
            let (verdict, says) = told::respawn(&line.options);
            report.entry(line.at, verdict, line.text(), says);
        }
        word => match told::directive(word) {
            Some(Told { verdict, says, secret: false }) => {
                report.entry(line.at, verdict, line.text(), says.to_owned());
            }
            Some(Told { verdict, says, secret: true }) => {
                report.entry(line.at, verdict, format!("{word} ..."), says.to_owned());
            }
            None => {
                let says = format!(
                    "Heartbeat has no such directive and would not start with it; {}",
                    value::perhaps(word, told::known())
                );
                report.not_converted(line.at, line.text(), says);
            }
        },
    }
}

fn cluster(directives: &mut Directives, line: &Line<'_>, report: &mut Report) {
    let name = line.option();
    if is_name(name) {
        report.converted(line.at, line.text(), format!("cluster = \"{name}\""));
        directives.cluster = Some(name.to_owned());
    } else {
        report.not_converted(
            line.at,
            line.text(),
            "it is no name for lubdub; the names of the nodes make one",
        );
    }
}

/// Whether a time is used depends on the others: what becomes of it is told later.
fn timed(line: &Line<'_>, report: &mut Report) -> Option<Timed> {
    // `1500 ms` is one time in two words.
    let time = value::time(&line.options.concat());
    if time.is_none() {
        let says = "it is no time; the default stands in its place".to_owned();
        report.not_converted(line.at, line.text(), says);
    }
    time.map(|time| Timed { at: line.at, time })
}

/// `true, on, yes, y, 1` and their opposites in any case.
fn boolean(word: &str) -> Option<bool> {
    let is = |words: [&str; 5]| words.iter().any(|other| other.eq_ignore_ascii_case(word));
    match () {
        () if is(["true", "on", "yes", "y", "1"]) => Some(true),
        () if is(["false", "off", "no", "n", "0"]) => Some(false),
        () => None,
    }
}

fn auto_failback(directives: &mut Directives, line: &Line<'_>, report: &mut Report) {
    let word = line.option();
    let legacy = word.eq_ignore_ascii_case("legacy");
    let Some(on) = boolean(word).or_else(|| legacy.then_some(true)) else {
        let says = "it is neither on, off nor legacy; Heartbeat's default, on, stands in its place";
        report.not_converted(line.at, line.text(), says);
        return;
    };
    directives.auto_failback = Some(on);
    report.converted(line.at, line.text(), format!("auto_failback = {on} in each group"));
}

/// The inverse of `auto_failback`, from before it.
fn nice_failback(directives: &mut Directives, line: &Line<'_>, report: &mut Report) {
    let nice = boolean(line.option()).unwrap_or(false);
    if directives.auto_failback.is_some() {
        report.not_needed(line.at, line.text(), "auto_failback says it");
        return;
    }
    directives.auto_failback = Some(!nice);
    report.converted(line.at, line.text(), format!("auto_failback = {} in each group", !nice));
}

fn nodes(directives: &mut Directives, line: &Line<'_>, report: &mut Report) {
    for name in &line.options {
        let text = format!("node {name}");
        let known = directives.nodes.iter().any(|other| other.eq_ignore_ascii_case(name));
        if known {
            report.not_needed(line.at, text, "the node is there already");
        } else if is_name(name) {
            report.converted(line.at, text, format!("[[node]] name = \"{name}\""));
            directives.nodes.push((*name).to_owned());
        } else {
            report.not_converted(
                line.at,
                text,
                "no machine has such a name; write the one that `uname -n` shows there",
            );
        }
    }
}

fn udpport(line: &Line<'_>, port: &mut u16, report: &mut Report) {
    match line.option().parse::<u16>() {
        Ok(number) if number > 0 => {
            *port = number;
            report.converted(line.at, line.text(), format!("port {number} for the links below it"));
        }
        Ok(_) | Err(_) => {
            report.not_converted(
                line.at,
                line.text(),
                format!("it is no UDP port; {port} stands in its place"),
            );
        }
    }
}

/// Which of them can be ping nodes shows when the nodes' own addresses are known.
fn ping(directives: &mut Directives, line: &Line<'_>, targets: &[&str], report: &mut Report) {
    for target in targets {
        let text = format!("{} {target}", line.word);
        match parse_ip(target) {
            Ok(ip) => directives.ping.push(Ping { at: line.at, text, ip }),
            Err(why) => report.not_converted(
                line.at,
                text,
                format!("{why}; lubdub looks no names up: write its address into `ping`"),
            ),
        }
    }
    if targets.is_empty() {
        report.not_converted(line.at, line.text(), "it names no address");
    }
}

fn crm(directives: &mut Directives, line: &Line<'_>, report: &mut Report) {
    if boolean(line.option()) == Some(false) {
        report.not_needed(line.at, line.text(), "there is no Pacemaker beside lubdub");
        return;
    }
    directives.crm = Some(line.at);
    report.not_converted(
        line.at,
        line.text(),
        "Pacemaker looks after the resources and keeps them in its cib.xml, which is not read; write a [[group]] for each \
         group there (`crm configure show` lists them)",
    );
}

fn autojoin(line: &Line<'_>, report: &mut Report) {
    if line.option() == "none" {
        report.not_needed(line.at, line.text(), "nodes are those that the file names");
    } else {
        report.not_converted(
            line.at,
            line.text(),
            "nodes are those that the file names; write a [[node]] for each that has joined by itself",
        );
    }
}
