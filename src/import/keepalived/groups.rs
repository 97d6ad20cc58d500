//! Instances become groups: those of a `vrrp_sync_group` one together, each other one by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Joint;
use super::checks::Checks;
use super::file::{File, Instance, Lost, LostKind, Needs, State, SyncGroup};
use crate::import::draft::{ByNode, Group, Names, Resource, Slot};
use crate::import::report::Report;

/// A group that is to be made.
struct Plan<'a> {
    name: String,
    comment: String,
    joints: Vec<&'a Joint<'a>>,
    /// With the file that each comes from.
    needs: Vec<(usize, &'a Needs)>,
}

/// All groups, in the order of the files.
pub(super) fn groups(
    files: &[File],
    joints: &[Joint<'_>],
    names: &[Slot],
    report: &mut Report,
) -> Vec<Group> {
    let plans = plans(files, joints, report);
    let mut maker =
        Maker { names, files, addresses: BTreeMap::new(), unread: 0, checks: Checks::new(files) };
    let groups = plans.iter().map(|plan| maker.group(plan, report)).collect();
    maker.checks.tell(report);
    groups
}

/// Which instances make a group together.
fn plans<'a>(files: &'a [File], joints: &'a [Joint<'a>], report: &mut Report) -> Vec<Plan<'a>> {
    let mut plans: Vec<Plan<'a>> = Vec::new();
    // By place in `joints`, the name of the group that has it.
    let mut taken: BTreeMap<usize, String> = BTreeMap::new();
    let mut names = Names::default();
    let mut sync: BTreeMap<&str, String> = BTreeMap::new();
    for (node, file) in files.iter().enumerate() {
        for group in &file.sync_groups {
            let name = sync.entry(&group.name).or_insert_with(|| names.free(&group.name)).clone();
            let members = members(group, (node, joints), &name, &mut taken, report);
            let known = plans.iter_mut().find(|plan| plan.name == name);
            match known {
                Some(plan) => {
                    plan.joints.extend(members);
                    plan.needs.push((node, &group.needs));
                    report.converted(
                        group.at,
                        format!("vrrp_sync_group {}", group.name),
                        format!("group {name}"),
                    );
                }
                None if members.is_empty() => {
                    let says = "it has no instance of its own";
                    report.not_converted(group.at, format!("vrrp_sync_group {}", group.name), says);
                }
                None => {
                    report.converted(
                        group.at,
                        format!("vrrp_sync_group {}", group.name),
                        format!("group {name}"),
                    );
                    let comment = report.short(group.at);
                    let needs = vec![(node, &group.needs)];
                    plans.push(Plan { name, comment, joints: members, needs });
                }
            }
        }
    }
    for (at, joint) in joints.iter().enumerate() {
        if !taken.contains_key(&at) {
            let comment =
                joint.instances().next().map(|(_, it)| report.short(it.at)).unwrap_or_default();
            let name = names.free(joint.name);
            plans.push(Plan { name, comment, joints: vec![joint], needs: Vec::new() });
        }
    }
    plans
}

/// The instances of a sync group that no group has yet.
fn members<'a>(
    group: &SyncGroup,
    (node, joints): (usize, &'a [Joint<'a>]),
    name: &str,
    taken: &mut BTreeMap<usize, String>,
    report: &mut Report,
) -> Vec<&'a Joint<'a>> {
    let mut members = Vec::new();
    for (at, member) in &group.members {
        let has = |joint: &Joint<'_>| {
            joint.by_node.get(node).copied().flatten().is_some_and(|it| it.name == *member)
        };
        let Some(place) = joints.iter().position(has) else {
            report.not_converted(*at, member, "there is no vrrp_instance of this name");
            continue;
        };
        match taken.get(&place) {
            Some(other) if other == name => {
                report.not_needed(*at, member, format!("it is in group {name} already"));
            }
            Some(other) => {
                let says =
                    format!("it is in group {other} already; an address moves with one group");
                report.not_converted(*at, member, says);
            }
            None => {
                report.converted(*at, member, format!("in group {name}"));
                taken.insert(place, name.to_owned());
                members.extend(joints.get(place));
            }
        }
    }
    members
}

struct Maker<'a> {
    names: &'a [Slot],
    files: &'a [File],
    /// Addresses that a group has, with its name.
    addresses: BTreeMap<IpAddr, String>,
    /// How many could not be read.
    unread: usize,
    checks: Checks<'a>,
}

impl<'a> Maker<'a> {
    fn group(&mut self, plan: &Plan<'a>, report: &mut Report) -> Group {
        let mut names = Names::default();
        let mut needs: Vec<(usize, &'a Needs)> = plan.needs.clone();
        for joint in &plan.joints {
            needs.extend(joint.instances().map(|(node, instance)| (node, &instance.needs)));
        }
        let mut resources = Vec::new();
        for (node, needs) in &needs {
            for (at, name) in &needs.watched {
                let check = (*node, name.as_str());
                resources.extend(self.checks.resource(*at, check, &plan.name, &mut names, report));
            }
        }
        resources.extend(lost(&needs, &mut names, report));
        for joint in &plan.joints {
            resources.extend(self.vips(joint, &plan.name, &mut names, report));
        }
        let order = plan.joints.first().map(|joint| order(joint)).unwrap_or_default();
        let stays = self.tell_order(plan, &order, report);
        let prefer = order.iter().filter_map(|node| self.names.get(*node).cloned()).collect();
        if resources.is_empty() {
            // A group without any resource is none; what else was meant can only be asked.
            resources.push(Resource::without_agent(
                names.free("resource"),
                "does what this group is for",
                &plan.comment,
            ));
        }
        Group {
            name: plan.name.clone(),
            comment: plan.comment.clone(),
            prefer,
            auto_failback: !stays,
            resources,
        }
    }

    /// Tells what became of states, priorities and `nopreempt`; whether the group stays where it is.
    fn tell_order(&self, plan: &Plan<'_>, order: &[usize], report: &mut Report) -> bool {
        let lead = plan.joints.first();
        let best = lead.and_then(|joint| {
            let preferred =
                order.first().and_then(|node| joint.by_node.get(*node).copied().flatten());
            preferred.or_else(|| joint.instances().next().map(|(_, instance)| instance))
        });
        let stays = best.is_some_and(Instance::stays);
        for joint in &plan.joints {
            let differs = self::order(joint) != order;
            for (node, instance) in joint.instances() {
                let is_best = best.is_some_and(|best| std::ptr::eq(best, instance));
                self.tell_instance(plan, (node, instance), (order, differs), report);
                if let Some(at) = instance.nopreempt {
                    match (is_best, instance.state) {
                        (true, State::Backup) => {
                            report.converted(at, "nopreempt", "auto_failback = false");
                        }
                        (true, State::Master) => report.not_needed(
                            at,
                            "nopreempt",
                            "in state MASTER keepalived ignores it: auto_failback = true; write false if that was meant",
                        ),
                        (false, _) => report.not_needed(
                            at,
                            "nopreempt",
                            format!(
                                "that of the preferred node decides for group {}: auto_failback = {}",
                                plan.name, !stays
                            ),
                        ),
                    }
                }
            }
        }
        stays
    }

    fn tell_instance(
        &self,
        plan: &Plan<'_>,
        (node, instance): (usize, &Instance),
        (order, differs): (&[usize], bool),
        report: &mut Report,
    ) {
        let group = &plan.name;
        report.converted(
            instance.at,
            format!("vrrp_instance {}", instance.name),
            format!("group {group}"),
        );
        let alone = self.files.len() == 1;
        let list = || {
            let names = order.iter().filter_map(|node| self.names.get(*node));
            names.map(Slot::shown).collect::<Vec<_>>().join(", ")
        };
        if let Some(at) = instance.state_at {
            let state = match instance.state {
                State::Master => "state MASTER",
                State::Backup => "state BACKUP",
            };
            if alone && order.first() == Some(&node) {
                report.converted(at, state, format!("group {group} prefers this node"));
            } else {
                let says = "which node a group prefers is said by its order of nodes";
                report.not_needed(at, state, says);
            }
        }
        let Some(at) = instance.priority_at else { return };
        let text = format!("priority {}", instance.priority);
        match (order, differs) {
            ([], _) => report.not_converted(
                at,
                text,
                "which node is preferred shows only beside the file of the other node: import both, each as NAME=FILE, or \
                 write `prefer`; without it the order of [[node]] counts",
            ),
            (_, true) => {
                let says = format!("group {group} moves as one: its first instance decides, {} first", list());
                report.not_converted(at, text, says);
            }
            (_, false) if alone => {
                report.not_needed(at, text, format!("group {group} prefers {}", list()));
            }
            (_, false) => report.converted(at, text, format!("group {group} prefers {}", list())),
        }
    }

    /// The addresses of an instance, each once however many nodes' files name it.
    fn vips(
        &mut self,
        joint: &Joint<'_>,
        group: &str,
        names: &mut Names,
        report: &mut Report,
    ) -> Vec<Resource> {
        let mut found: Vec<(IpAddr, u8, Vec<Option<String>>)> = Vec::new();
        let mut resources = Vec::new();
        for (node, instance) in joint.instances() {
            let own = instance.interface.as_ref().map(|(_, interface)| interface);
            for vip in &instance.addresses {
                let interface = vip.device.clone().or_else(|| own.cloned());
                if let Some((_, prefix, interfaces)) =
                    found.iter_mut().find(|(ip, ..)| *ip == vip.ip)
                {
                    if let Some(place) = interfaces.get_mut(node).filter(|place| place.is_none()) {
                        *place = interface;
                    }
                    if *prefix == vip.prefix {
                        report.not_needed(
                            vip.at,
                            &vip.text,
                            format!("group {group} has it already"),
                        );
                    } else {
                        let says = format!(
                            "group {group} has it already, with /{prefix}; write the right one there"
                        );
                        report.not_converted(vip.at, &vip.text, says);
                    }
                    continue;
                }
                if let Some(other) = self.addresses.get(&vip.ip) {
                    let says =
                        format!("group {other} has it already; an address moves with one group");
                    report.not_converted(vip.at, &vip.text, says);
                    continue;
                }
                self.addresses.insert(vip.ip, group.to_owned());
                let mut interfaces = vec![None; self.names.len()];
                if let Some(place) = interfaces.get_mut(node) {
                    *place = interface;
                }
                found.push((vip.ip, vip.prefix, interfaces));
                report.converted(vip.at, &vip.text, self.says(joint, group, vip));
            }
        }
        for (ip, prefix, interfaces) in found {
            let interface = ByNode::of(self.names, &interfaces);
            resources.push(Resource::address(names.free("vip"), ip, Some(prefix), interface, ""));
        }
        let mut seen = BTreeSet::new();
        for (at, text) in joint.instances().flat_map(|(_, instance)| &instance.unread) {
            if seen.insert(text) {
                self.unread += 1;
                let (name, at) = (names.free("vip"), report.short(*at));
                resources.push(Resource::unread_address(name, text, &at, self.unread));
            }
        }
        resources
    }

    fn says(&self, joint: &Joint<'_>, group: &str, vip: &super::file::Vip) -> String {
        let mut says =
            format!("an address of group {group}: IPaddr with {}/{}", vip.ip, vip.prefix);
        if !vip.ignored.is_empty() {
            says.push_str(&format!("; `{}` means nothing to it", vip.ignored));
        }
        let lacks = |(node, it): (usize, &Instance)| {
            let has = it.addresses.iter().any(|other| other.ip == vip.ip);
            self.names.get(node).filter(|_| !has).map(Slot::shown)
        };
        let lacking: Vec<&str> = joint.instances().filter_map(lacks).collect();
        if !lacking.is_empty() {
            says.push_str(&format!("; the file of {} lacks it", lacking.join(", ")));
        }
        says
    }
}

/// The nodes by preference: by priority where more than one is known, else the one whose state is MASTER.
fn order(joint: &Joint<'_>) -> Vec<usize> {
    let mut known: Vec<(usize, &Instance)> = joint.instances().collect();
    if let [(node, instance)] = known.as_slice() {
        return if instance.state == State::Master { vec![*node] } else { Vec::new() };
    }
    known.sort_by_key(|(_, instance)| std::cmp::Reverse(instance.priority));
    known.into_iter().map(|(node, _)| node).collect()
}

/// One resource for each kind of thing that lubdub has no agent for, with all the lines that it stands for.
fn lost(needs: &[(usize, &Needs)], names: &mut Names, report: &mut Report) -> Vec<Resource> {
    let mut kinds: BTreeMap<LostKind, Vec<&Lost>> = BTreeMap::new();
    for lost in needs.iter().flat_map(|(_, needs)| &needs.lost) {
        kinds.entry(lost.kind).or_default().push(lost);
    }
    let resource = |(kind, lines): (LostKind, Vec<&Lost>)| {
        let (name, does, advice) = advice(kind);
        let at = lines.first().map(|lost| report.short(lost.at)).unwrap_or_default();
        let mut resource = Resource::without_agent(names.free(name), does, &at);
        let mut seen = BTreeSet::new();
        for lost in lines {
            report.not_converted(lost.at, &lost.text, advice);
            if seen.insert(&lost.text) {
                resource.comment.push(format!("{}: {}", report.short(lost.at), lost.text));
            }
        }
        resource
    };
    kinds.into_iter().map(resource).collect()
}

fn advice(kind: LostKind) -> (&'static str, &'static str, &'static str) {
    match kind {
        LostKind::Notify => (
            "notify",
            "does what the notify scripts did",
            "no scripts are told of changes yet: if it starts or stops something, name an agent that does; if it only tells \
             somebody, take the block out",
        ),
        LostKind::Routes => (
            "routes",
            "sets the routes that move",
            "no agent of lubdub moves routes: name an OCF agent that does, linked into /usr/lib/ocf/resource.d/lubdub, or take the \
             block out",
        ),
        LostKind::Rules => (
            "rules",
            "sets the routing rules that move",
            "no agent of lubdub moves routing rules: name an OCF agent that does, linked into /usr/lib/ocf/resource.d/lubdub, or \
             take the block out",
        ),
    }
}
