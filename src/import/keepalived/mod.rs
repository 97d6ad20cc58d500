//! The VRRP part of keepalived.conf, of one node or of several: instances of the same router become one group, what they
//! talk over becomes a link.

mod checks;
mod file;
mod groups;
mod instance;
mod lines;
mod links;
mod told;
mod tree;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use file::{File, Instance};
pub(super) use told::is_section;

use super::addresses::{self, Peer};
use super::draft::{Draft, Mark, Slot, Times};
use super::report::Report;
use super::value::{name_of, written};
use crate::config::is_name;

/// An instance as each node has it, in the order of the files.
struct Joint<'a> {
    name: &'a str,
    by_node: Vec<Option<&'a Instance>>,
}

impl<'a> Joint<'a> {
    /// The nodes whose files have it.
    fn instances(&self) -> impl Iterator<Item = (usize, &'a Instance)> {
        self.by_node.iter().enumerate().filter_map(|(node, instance)| Some((node, (*instance)?)))
    }
}

/// Imports the files of one node or more; each with its node where that is told. `None`: it cannot be done, and the report
/// says why.
pub(super) fn import(
    sources: &[(Option<&str>, &Path)],
    peers: &[Peer],
    report: &mut Report,
) -> Option<Draft> {
    let read = |index: usize, (owner, path): &(Option<&str>, &Path), report: &mut Report| {
        report.begin_source(index);
        let lines = lines::read(path, *owner, report);
        let statements = tree::read(&lines, report);
        file::read(&statements, path.display().to_string(), *owner, report)
    };
    let sources = sources.iter().enumerate();
    let files: Vec<File> = sources.map(|(index, source)| read(index, source, report)).collect();
    if report.has_faults() {
        return None;
    }
    for file in files.iter().filter(|file| file.instances.is_empty()) {
        report.fault_of(
            &file.name,
            "holds no vrrp_instance, so there is nothing to make a group of; only the VRRP part can be converted",
        );
    }
    if report.has_faults() {
        return None;
    }
    let joints = joints(&files);
    let names = names(&files, &joints, peers, report);
    let times = times(&joints, report);
    let (links, addresses) = links::links(&joints, &names, peers, report);
    let groups = groups::groups(&files, &joints, &names, report);
    let origin: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    Some(Draft {
        origin: origin.join(" and "),
        cluster: cluster_name(&names, groups.first().map_or("web", |group| &group.name)),
        times,
        nodes: addresses::nodes(&names, &addresses),
        links,
        ping: Vec::new(),
        groups,
    })
}

/// Instances of several nodes belong together by name, else by the router's number and address family.
fn joints(files: &[File]) -> Vec<Joint<'_>> {
    let mut joints: Vec<Joint<'_>> = Vec::new();
    for (node, file) in files.iter().enumerate() {
        let named = |name: &str| file.instances.iter().any(|instance| instance.name == name);
        for instance in &file.instances {
            let is_router = |other: &Instance| {
                other.router.is_some()
                    && other.router == instance.router
                    && other.is_ipv4() == instance.is_ipv4()
            };
            let by_name = joints.iter().position(|joint| joint.name == instance.name);
            let by_router = || {
                joints.iter().position(|joint| {
                    let free = joint.by_node.get(node).is_some_and(Option::is_none);
                    free && !named(joint.name)
                        && joint.instances().any(|(_, other)| is_router(other))
                })
            };
            let known = by_name.or_else(by_router);
            match known.and_then(|at| joints.get_mut(at)).and_then(|it| it.by_node.get_mut(node)) {
                Some(place) => *place = Some(instance),
                None => {
                    let mut by_node = vec![None; files.len()];
                    if let Some(place) = by_node.get_mut(node) {
                        *place = Some(instance);
                    }
                    joints.push(Joint { name: &instance.name, by_node });
                }
            }
        }
    }
    joints
}

/// The names of the nodes: first those of the files, then those that the operator named, then as many as talk to each
/// other and have none.
fn names(files: &[File], joints: &[Joint<'_>], peers: &[Peer], report: &mut Report) -> Vec<Slot> {
    let mut names: Vec<Slot> =
        (0..).zip(files).map(|(node, file)| name((node, file), files, peers, report)).collect();
    for peer in peers {
        if names.iter().all(|name| name.value() != Some(&peer.name)) {
            names.push(Slot::known(&peer.name));
        }
    }
    let talkers = joints.iter().flat_map(Joint::instances).map(|(_, it)| {
        let peers: BTreeSet<_> = it.peers.iter().map(|(_, ip)| ip).collect();
        peers.len() + 1
    });
    // Whoever runs Keepalived has a pair at least.
    let count = talkers.max().unwrap_or_default().max(2);
    let missing = count.saturating_sub(names.len());
    for number in 1..=missing {
        let which = if missing == 1 {
            "the other node".to_owned()
        } else {
            format!("node {}", names.len() + 1)
        };
        names.push(Slot::Open(Mark {
            shown: format!("<name of {which}>"),
            stand_in: format!("unnamed-peer-{number}"),
            todo: format!(
                "the name of {which}, as its host is called; or import again with its keepalived.conf as NAME=FILE, or with \
                 --peer NAME"
            ),
        }));
    }
    names
}

/// The name of the node whose file it is: as it was told, else its `router_id` where no other has the same.
fn name((node, file): (usize, &File), files: &[File], peers: &[Peer], report: &mut Report) -> Slot {
    let router_id = file.router_id.as_ref();
    if let Some(owner) = &file.owner {
        if let Some((at, id)) = router_id {
            report.not_needed(*at, format!("router_id {id}"), format!("the node is named {owner}"));
        }
        return Slot::known(owner);
    }
    let is_others = |id: &str| {
        let others = files.iter().filter(|other| !std::ptr::eq(*other, file)).any(|other| {
            other.owner.as_deref() == Some(id)
                || other.router_id.as_ref().is_some_and(|(_, other)| other == id)
        });
        others || peers.iter().any(|peer| peer.name == id)
    };
    if let Some((at, id)) = router_id {
        let text = format!("router_id {id}");
        if is_name(id) && !is_others(id) {
            let says = format!(
                "[[node]] name = \"{id}\"; if its host is called otherwise, import again with HOST={}",
                file.name
            );
            report.converted(*at, text, says);
            return Slot::known(id);
        }
        report.not_converted(*at, text, "it is no name, or one that another node has, too");
    }
    Slot::Open(Mark {
        shown: format!("<name of the node with {}>", file.name),
        stand_in: format!("unnamed-{node}"),
        todo: format!(
            "the name of the node whose file is {}, as its host is called; or import again with NAME={}",
            file.name, file.name
        ),
    })
}

/// The nodes' names, up to the first dot, make a name that no other cluster of the network has.
fn cluster_name(names: &[Slot], otherwise: &str) -> String {
    let known: Option<Vec<&str>> = names
        .iter()
        .map(|name| name.value().map(|name| name.split('.').next().unwrap_or(name)))
        .collect();
    known.map_or_else(|| otherwise.to_owned(), |names| name_of(&names.join("-")))
}

/// A backup takes over after `down_timer_adverts` intervals and a skew of at most one more.
fn times(joints: &[Joint<'_>], report: &mut Report) -> Times {
    let all = || joints.iter().flat_map(Joint::instances);
    let keepalive = all().map(|(_, it)| it.advert).min().unwrap_or(Duration::from_secs(1));
    let down = all().map(|(_, it)| it.down_adverts).max().unwrap_or(3);
    let deadtime = keepalive.saturating_mul(down.saturating_add(1));
    for (_, instance) in all() {
        if let Some(at) = instance.advert_at {
            let text = format!("advert_int {}", written(instance.advert));
            if instance.advert == keepalive {
                let says = format!(
                    "keepalive = \"{}\", deadtime = \"{}\": as many intervals as keepalived waits, and one for its skew",
                    written(keepalive),
                    written(deadtime)
                );
                report.converted(at, text, says);
            } else {
                let says = format!("all groups share the shortest, {}", written(keepalive));
                report.not_needed(at, text, says);
            }
        }
        if let Some(at) = instance.down_adverts_at {
            let text = format!("down_timer_adverts {}", instance.down_adverts);
            if instance.down_adverts == down {
                report.converted(at, text, format!("deadtime = \"{}\"", written(deadtime)));
            } else {
                report.not_needed(at, text, format!("all groups share the longest, {down}"));
            }
        }
    }
    let is_default = all().all(|(_, it)| it.advert_at.is_none());
    let comments =
        if is_default { vec![("keepalive", "keepalived's own default")] } else { Vec::new() };
    Times { keepalive, warntime: None, deadtime, initdead: None, comments }
}
