//! The world: true time, a queue of what will happen, machines, a network. Everything random comes from its seed, and
//! everything that happens goes through [`World::step`], after which the audits look at what is really true.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use lubdub::cluster::io::{AddressNotice, Input, Memory, OpId};
use lubdub::cluster::time::Instant;
use lubdub::config::{Address, Config, LinkId, NodeId, ResourceId};
use lubdub::wire::Heartbeat;

use crate::agents::Process;
use crate::audit::{Audit, Auditor, Violation};
use crate::daemon::Who;
use crate::hands::Undo;
use crate::machine::Machine;
use crate::mutant::Mutant;
use crate::network::Network;
use crate::options::{NAMES, Options};
use crate::rng::Rng;
use crate::time::Moment;
use crate::trace::{Detail, Trace};

/// Something that will happen.
#[derive(Debug, Clone)]
pub enum Happening {
    /// A datagram reaches a machine.
    Datagram { to: NodeId, from: NodeId, link: LinkId, heartbeat: Rc<Heartbeat> },
    /// An answer or a notice for one life of a daemon; no other life hears it.
    Answer { to: Who, input: Box<Input> },
    /// The loop of a daemon comes round.
    Turn { to: Who },
    /// The ping node has been asked; its answer would be there now.
    Pong { to: Who, op: OpId, deadline: Instant },
    /// A probe reaches the service network.
    Probe {
        to: Who,
        op: OpId,
        address: Address,
        neighbours: Vec<std::net::IpAddr>,
        deadline: Instant,
    },
    /// What an agent does becomes true.
    Effect { process: u64 },
    /// An agent ends by itself.
    Finish { process: u64 },
    /// An agent's time is over.
    Timeout { process: u64 },
    /// The daemon's own hand at the kernel's addresses.
    Netlink { to: Who, op: OpId, job: Job },
    /// The kernel removes an address whose lease is over.
    Expire { node: NodeId, resource: ResourceId, lease: u64 },
    /// A write to the disk comes to an end.
    Written { to: Who, number: u64, memory: Box<Memory> },
    /// A fault ends.
    Undo(Undo),
    /// The next random fault is due.
    Chaos,
}

/// What the daemon itself does to an address.
#[derive(Debug, Clone, Copy)]
pub enum Job {
    Renew { resource: ResourceId, lease: Option<Duration>, not_after: Instant },
    Drop { resource: ResourceId },
}

/// How often something happened, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    pub fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    pub fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> =
            self.0.iter().map(|(what, count)| format!("{what} {count}")).collect();
        f.write_str(&words.join(", "))
    }
}

/// n machines, their daemons, what joins them, and what watches them.
#[derive(Debug)]
pub struct World {
    pub options: Options,
    pub configs: Vec<Config>,
    pub mutant: Mutant,
    pub now: Moment,
    pub steps: u64,
    pub rng: Rng,
    pub chaos: Rng,
    pub machines: Vec<Machine>,
    pub network: Network,
    pub processes: BTreeMap<u64, Process>,
    /// Addresses that a machine outside the cluster has.
    pub strangers: BTreeSet<ResourceId>,
    /// Which machine, in which life of its daemon, announced each address last.
    pub announced: BTreeMap<ResourceId, (NodeId, u32)>,
    /// Until when random faults go on.
    pub chaos_until: Moment,
    pub auditor: Auditor,
    pub trace: Trace,
    pub tally: Tally,
    /// When anything last became true or untrue on any machine.
    pub last_change: Moment,
    /// Network, machines or daemons changed since the auditor looked.
    pub changed: bool,
    /// Until when what a human stopped by hand may not have been noticed.
    pub quiet_until: Moment,
    pub commands: u64,
    processes_ever: u64,
    queue: BTreeMap<(Moment, u64), Happening>,
    queued_ever: u64,
}

impl World {
    /// A world in which every machine is off.
    pub fn new(options: Options, mutant: Mutant, detail: Detail) -> Self {
        let configs: Vec<Config> =
            (0..options.nodes).map(|node| options.config(NodeId(node))).collect();
        let mut rng = Rng::new(options.seed, "world");
        let machines =
            configs.iter().map(|config| Machine::new(config, &options, &mut rng)).collect();
        Self {
            chaos: Rng::new(options.seed, "chaos"),
            auditor: Auditor::new(&options, &configs[0]),
            network: Network::default(),
            trace: Trace::new(detail),
            configs,
            mutant,
            now: Moment::ZERO,
            steps: 0,
            rng,
            machines,
            processes: BTreeMap::new(),
            strangers: BTreeSet::new(),
            announced: BTreeMap::new(),
            chaos_until: Moment::ZERO,
            tally: Tally::default(),
            last_change: Moment::ZERO,
            changed: true,
            quiet_until: Moment::ZERO,
            commands: 0,
            processes_ever: 0,
            queue: BTreeMap::new(),
            queued_ever: 0,
            options,
        }
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.options.nodes).map(NodeId)
    }

    /// All resources of all groups, in start order.
    pub fn resources(&self) -> Vec<ResourceId> {
        let config = &self.configs[0];
        config.group_ids().flat_map(|group| config.resource_ids(group)).collect()
    }

    pub fn machine(&self, node: NodeId) -> &Machine {
        &self.machines[usize::from(node.0)]
    }

    pub fn machine_mut(&mut self, node: NodeId) -> &mut Machine {
        &mut self.machines[usize::from(node.0)]
    }

    /// Let something happen after a while.
    pub fn after(&mut self, wait: Duration, happening: Happening) {
        self.at(self.now + wait, happening);
    }

    /// Let something happen at a moment.
    pub fn at(&mut self, when: Moment, happening: Happening) {
        self.queued_ever += 1;
        self.queue.insert((when.max(self.now), self.queued_ever), happening);
    }

    /// Nothing that was to happen to the world itself does: no fault, and no end of one.
    pub fn forget_faults(&mut self) {
        self.queue
            .retain(|_, happening| !matches!(happening, Happening::Undo(_) | Happening::Chaos));
    }

    /// A name for a new process.
    pub fn next_process(&mut self) -> u64 {
        self.processes_ever += 1;
        self.processes_ever
    }

    /// Tell what happened to a node.
    pub fn tell(&mut self, node: NodeId, what: impl FnOnce() -> String) {
        self.trace.tell(self.now, NAMES[usize::from(node.0)], what);
    }

    /// Tell what happened to the world.
    pub fn narrate(&mut self, what: impl FnOnce() -> String) {
        self.trace.tell(self.now, "--", what);
    }

    /// An audit found a breach. The first one counts.
    pub fn breach(&mut self, audit: Audit, words: String) {
        let (at, step) = (self.now, self.steps);
        self.trace.tell(at, "AUDIT", || format!("{audit:?}: {words}"));
        self.auditor.violation.get_or_insert(Violation { audit, at, step, words });
    }

    /// Go on until a moment, or until an audit finds a breach.
    pub fn run_until(&mut self, until: Moment) -> Result<(), Violation> {
        while self.auditor.violation.is_none() {
            match self.queue.first_key_value() {
                Some(((when, _), _)) if *when <= until => self.step(),
                Some(_) | None => break,
            }
        }
        match &self.auditor.violation {
            Some(violation) => Err(violation.clone()),
            None => {
                self.now = self.now.max(until);
                Ok(())
            }
        }
    }

    /// The next thing happens, and the audits look.
    fn step(&mut self) {
        let Some(((when, _), happening)) = self.queue.pop_first() else { return };
        self.now = when;
        self.steps += 1;
        self.trace.mix(when.as_micros());
        if let Some(node) = self.machine_of(&happening)
            && self.machine(node).suspended
        {
            // Nothing moves on a suspended machine. What its network card can keep is bounded.
            let parked = &mut self.machine_mut(node).parked;
            if !matches!(happening, Happening::Datagram { .. }) || parked.len() < 512 {
                parked.push(happening);
            }
            return;
        }
        self.happen(happening);
        if std::mem::take(&mut self.changed) {
            self.survey();
        }
        self.audit();
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Datagram { to, from, link, heartbeat } => {
                self.datagram_arrives(to, from, link, &heartbeat);
            }
            Happening::Answer { to, input } => self.arrive(to, *input),
            Happening::Turn { to } => self.turn(to),
            Happening::Pong { to, op, deadline } => self.pong(to, op, deadline),
            Happening::Probe { to, op, address, neighbours, deadline } => {
                self.probe_arrives(to, op, &address, &neighbours, deadline);
            }
            Happening::Effect { process } => self.effect(process),
            Happening::Finish { process } => self.finish(process),
            Happening::Timeout { process } => self.time_out(process),
            Happening::Netlink { to, op, job } => self.netlink(to, op, job),
            Happening::Expire { node, resource, lease } => self.expire(node, resource, lease),
            Happening::Written { to, number, memory } => self.written(to, number, *memory),
            Happening::Undo(undo) => self.undo(undo),
            Happening::Chaos => self.next_fault(),
        }
    }

    /// On which machine this happens, if on one.
    fn machine_of(&self, happening: &Happening) -> Option<NodeId> {
        match happening {
            Happening::Datagram { to, .. } => Some(*to),
            Happening::Answer { to, .. }
            | Happening::Turn { to }
            | Happening::Pong { to, .. }
            | Happening::Netlink { to, .. }
            | Happening::Written { to, .. } => Some(to.node),
            Happening::Effect { process }
            | Happening::Finish { process }
            | Happening::Timeout { process } => {
                self.processes.get(process).map(|process| process.owner.node)
            }
            Happening::Expire { node, .. } => Some(*node),
            Happening::Probe { .. } | Happening::Undo(_) | Happening::Chaos => None,
        }
    }

    /// Make it true, or untrue, that a resource runs on a machine.
    pub fn make_true(&mut self, node: NodeId, resource: ResourceId, runs: bool, because: &str) {
        let now = self.now;
        let state = self.machine_mut(node).state_mut(resource);
        if state.runs == runs {
            return;
        }
        state.runs = runs;
        state.lease += 1;
        let is_address = state.is_address;
        self.last_change = now;
        self.auditor.truth_changed = true;
        let name = self.resource_name(resource);
        self.tell(node, || {
            format!("{} {name} ({because})", if runs { "  TRUE:" } else { "  GONE:" })
        });
        if is_address && !runs {
            self.notice(node, resource, AddressNotice::Removed);
        }
    }

    /// The kernel tells the daemon something about an address.
    pub fn notice(&mut self, node: NodeId, resource: ResourceId, notice: AddressNotice) {
        if let Some(to) = self.machine(node).who() {
            let wait = self.rng.duration(Duration::from_micros(20), Duration::from_micros(300));
            self.after(
                wait,
                Happening::Answer {
                    to,
                    input: Box::new(Input::AddressNoticed { resource, notice }),
                },
            );
        }
    }

    /// `group/resource`, for people.
    pub fn resource_name(&self, resource: ResourceId) -> String {
        let config = &self.configs[0];
        format!("{}/{}", config.group(resource.group).name, config.resource(resource).name)
    }

    /// Nodes on which any address of a group is really there (or, of a group without one, anything), and awake.
    pub fn holders(&self, group: lubdub::config::GroupId) -> Vec<NodeId> {
        self.nodes().filter(|node| self.machine(*node).holds(group)).collect()
    }
}
