//! Heartbeat's three files: `ha.cf`, `haresources` and `authkeys` in one directory, the same on every node.

mod authkeys;
mod directives;
mod haresources;
mod media;
mod scripts;
mod told;

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use directives::{Directives, Timed};
pub(super) use told::known as known_directives;

use super::addresses::{self, LinkAddresses, Peer};
use super::draft::{Draft, Slot, Times};
use super::report::{FileId, Place, Report};
use super::source;
use super::value::{self, name_of};

/// Heartbeat's own defaults.
const KEEPALIVE: Duration = Duration::from_secs(1);
/// See [`KEEPALIVE`].
const DEADTIME: Duration = Duration::from_secs(30);

/// Imports `ha.cf` and what lies beside it. `owner` is the node whose files these are, if that is known. `None`: it cannot
/// be done, and the report says why.
pub(super) fn import(
    ha_cf: &Path,
    owner: Option<&str>,
    peers: &[Peer],
    report: &mut Report,
) -> Option<Draft> {
    let (name, text) = (ha_cf.display().to_string(), source::read(ha_cf));
    let file = report.file(&name);
    let text = match text {
        Ok(text) => text,
        Err(why) => {
            report.fault(Place::new(file, 0), why);
            return None;
        }
    };
    let mut directives = directives::read(&text, file, report);
    add_peers(&mut directives.nodes, peers);
    if directives.nodes.is_empty() {
        report.fault(
            Place::new(file, 0),
            "names no node, so there is no cluster; write `node NAME` for each, or name them with --peer NAME",
        );
        return None;
    }
    if let Some(owner) = owner.filter(|owner| !has(&directives.nodes, owner)) {
        let names = directives.nodes.join(", ");
        report.fault_of(
            &format!("{owner}={name}"),
            format!("{name} names no node {owner}; its nodes are {names}"),
        );
        return None;
    }
    let (links, mut addresses) = media::links(&directives.media, directives.nodes.len(), report);
    own(&mut addresses, &directives.nodes, owner, peers, report);
    let ping = pings(&directives, &addresses, report);
    let times = times(&directives, report);
    let beside = |name: &str| ha_cf.with_file_name(name);
    let groups = match beside_text(&beside("haresources"), report) {
        Some((text, file)) => {
            let auto_failback = directives.auto_failback.unwrap_or(true);
            haresources::read(&text, file, &directives.nodes, auto_failback, report)
        }
        None => Vec::new(),
    };
    if let Some((text, file)) = beside_text(&beside("authkeys"), report) {
        authkeys::read(&text, file, report);
    }
    let names: Vec<Slot> = directives.nodes.iter().map(Slot::known).collect();
    Some(Draft {
        origin: format!("{name} and what lies beside it"),
        cluster: directives.cluster.unwrap_or_else(|| cluster_name(&directives.nodes)),
        times,
        nodes: addresses::nodes(&names, &addresses),
        links,
        ping,
        groups,
    })
}

fn has(nodes: &[String], name: &str) -> bool {
    nodes.iter().any(|node| node.eq_ignore_ascii_case(name))
}

fn add_peers(nodes: &mut Vec<String>, peers: &[Peer]) {
    for peer in peers {
        if !has(nodes, &peer.name) {
            nodes.push(peer.name.clone());
        }
    }
}

/// The nodes' names, up to the first dot, make a name that no other cluster of the network has.
fn cluster_name(nodes: &[String]) -> String {
    let short = nodes.iter().map(|name| name.split('.').next().unwrap_or(name));
    name_of(&short.collect::<Vec<_>>().join("-"))
}

/// A file beside `ha.cf`; one that is missing is told as not there.
fn beside_text(path: &Path, report: &mut Report) -> Option<(String, FileId)> {
    let file = report.file(&path.display().to_string());
    let at = Place::new(file, 0);
    if !path.exists() {
        if path.ends_with("haresources") {
            let says =
                "it is not there, so no group was made; write a [[group]] for what is to move";
            report.not_converted(at, "the file", says);
        } else {
            report.not_needed(at, "the file", "it is not there; a fresh key is wanted in any case");
        }
        return None;
    }
    match source::read(path) {
        Ok(text) => Some((text, file)),
        Err(why) => {
            report.fault(at, why);
            None
        }
    }
}

/// Whose address is whose. In the files of one of two nodes the only address is the peer's, since Heartbeat ignores a
/// `ucast` line that names the machine itself.
fn own(
    links: &mut [LinkAddresses],
    nodes: &[String],
    owner: Option<&str>,
    peers: &[Peer],
    report: &mut Report,
) {
    let index = |name: &str| nodes.iter().position(|node| node.eq_ignore_ascii_case(name));
    for peer in peers {
        let (Some(node), Some(ip)) = (index(&peer.name), peer.address) else { continue };
        if let Err(why) = addresses::claim(links, node, ip) {
            report.fault_of(&format!("--peer {}={ip}", peer.name), why);
        }
    }
    if let (Some(owner), 2) = (owner.and_then(index), nodes.len()) {
        for link in links.iter_mut() {
            if let [ip] = *link.loose.as_slice() {
                link.exclude(owner, ip);
            }
        }
    }
    addresses::settle(links, &[]);
}

/// The ping nodes: addresses outside the cluster.
fn pings(directives: &Directives, links: &[LinkAddresses], report: &mut Report) -> Vec<IpAddr> {
    let is_own = |ip| {
        let known = links.iter().flat_map(|link| link.owned.iter().flatten().chain(&link.loose));
        known.into_iter().any(|own| *own == ip)
    };
    let mut taken = Vec::new();
    for ping in &directives.ping {
        if is_own(ping.ip) {
            let says = "it is an address of a node: a ping node tells a node whether it is itself cut off, so it has to be \
                        outside the cluster; name a router or switch";
            report.not_converted(ping.at, &ping.text, says);
        } else if taken.contains(&ping.ip) {
            report.not_needed(ping.at, &ping.text, "it is a ping node already");
        } else {
            taken.push(ping.ip);
            let says = "[guard] ping: reachable while any of them answers; no takeover by a node that reaches none";
            report.converted(ping.at, &ping.text, says);
        }
    }
    taken
}

/// The times, as far as lubdub takes them together.
fn times(directives: &Directives, report: &mut Report) -> Times {
    let Directives { keepalive, warntime, deadtime, initdead, .. } = directives;
    let time = |timed: &Option<Timed>, otherwise| timed.map_or(otherwise, |timed| timed.time);
    let (alive, dead) = (time(keepalive, KEEPALIVE), time(deadtime, DEADTIME));
    for (word, timed) in [("keepalive", keepalive), ("deadtime", deadtime)] {
        if let Some(Timed { at, time }) = *timed {
            let time = value::written(time);
            report.converted(at, format!("{word} {time}"), format!("{word} = \"{time}\""));
        }
    }
    let mut used = |word: &str, timed: &Option<Timed>, fits: bool, says: &str| {
        let Timed { at, time } = (*timed)?;
        let text = format!("{word} {}", value::written(time));
        if !fits {
            report.not_converted(at, text, says);
            return None;
        }
        report.converted(at, text, format!("{word} = \"{}\"", value::written(time)));
        Some(time)
    };
    let between = time(warntime, dead / 2);
    let warntime = used(
        "warntime",
        warntime,
        between > alive && between < dead,
        "it is not between keepalive and deadtime; left out, it is half of deadtime",
    );
    let patience = time(initdead, dead);
    let initdead = used(
        "initdead",
        initdead,
        patience >= dead,
        "it is below deadtime, and Heartbeat would not start with it; left out, it is twice deadtime",
    );
    let mut comments = Vec::new();
    for (key, timed) in [("keepalive", keepalive), ("deadtime", deadtime)] {
        if timed.is_none() {
            comments.push((key, "Heartbeat's own default"));
        }
    }
    Times { keepalive: alive, warntime, deadtime: dead, initdead, comments }
}
