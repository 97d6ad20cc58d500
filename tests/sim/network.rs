//! What joins machines: a path each way on every link, the service network with a ping node and neighbours on it, and
//! what can go wrong with each.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use lubdub::cluster::io::{AddressNotice, Destination, Input, OpId, PingOutcome, ProbeOutcome};
use lubdub::cluster::time::Instant;
use lubdub::config::{Address, LinkId, NodeId, ResourceId};
use lubdub::wire::{Body, Heartbeat, Mac};

use crate::daemon::Who;
use crate::options::{PING_NODE, link_address};
use crate::world::{Happening, World};

/// Something that is broken. Faults overlap, so each is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Broken {
    /// One way of a link.
    Way { link: LinkId, from: NodeId, to: NodeId },
    /// One way of all links carries short answers only: what tells of groups is lost.
    Pages { from: NodeId, to: NodeId },
    /// A node's own interface of a link; its daemon is told.
    Interface { node: NodeId, link: LinkId },
    /// A node's way to the ping node.
    PingPath { node: NodeId },
    /// The ping node itself.
    PingNode,
    /// A node's cable to the service network.
    Service { node: NodeId },
    /// The service network, in two halves: nodes of even place, with the ping node, and nodes of odd place.
    ServiceSplit,
    /// A disk refuses writes.
    Disk { node: NodeId },
}

/// What happens to datagrams that get through, in thousandths.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    pub lost: u64,
    /// Pings too.
    pub pings_lost: u64,
    pub doubled: u64,
    /// Held up by up to `held_up_for`, so that later ones overtake them.
    pub held_up: u64,
    pub held_up_for: Duration,
}

/// A datagram that somebody wrote down.
#[derive(Debug, Clone)]
pub struct Record {
    pub from: NodeId,
    pub link: LinkId,
    pub heartbeat: Rc<Heartbeat>,
}

/// Datagrams that are kept for replays.
const RECORDS: usize = 1024;

#[derive(Debug, Default)]
pub struct Network {
    broken: BTreeMap<Broken, u32>,
    pub weather: Weather,
    pub records: Vec<Record>,
}

impl Network {
    pub fn break_(&mut self, what: Broken) {
        *self.broken.entry(what).or_default() += 1;
    }

    pub fn mend(&mut self, what: Broken) {
        // What was mended by hand needs no second mending.
        if let Some(times) = self.broken.get_mut(&what) {
            *times -= 1;
            if *times == 0 {
                self.broken.remove(&what);
            }
        }
    }

    /// Everything that is broken, as often as it is.
    pub fn all_broken(&self) -> Vec<Broken> {
        self.broken.iter().flat_map(|(what, times)| (0..*times).map(|_| *what)).collect()
    }

    pub fn is_broken(&self, what: Broken) -> bool {
        self.broken.contains_key(&what)
    }

    /// Whether these two are on one service network.
    pub fn service_joins(&self, a: NodeId, b: NodeId) -> bool {
        let halves_apart = self.is_broken(Broken::ServiceSplit) && a.0 % 2 != b.0 % 2;
        let unplugged = [a, b].into_iter().any(|node| self.is_broken(Broken::Service { node }));
        !halves_apart && !unplugged
    }

    /// Whether a machine can reach the ping node.
    pub fn pings(&self, node: NodeId) -> bool {
        !self.is_broken(Broken::PingNode) && !self.is_broken(Broken::PingPath { node })
    }

    fn record(&mut self, lot: u64, record: Record) {
        if self.records.len() < RECORDS {
            self.records.push(record);
        } else {
            self.records[usize::try_from(lot).unwrap() % RECORDS] = record;
        }
    }
}

/// Whether a heartbeat tells of groups.
fn is_page(heartbeat: &Heartbeat) -> bool {
    match &heartbeat.body {
        Body::Known(report) => !report.groups.is_empty(),
        Body::Unknown { .. } => false,
    }
}

impl World {
    /// A daemon sends a datagram, once to each of these.
    pub fn send(&mut self, from: NodeId, link: LinkId, to: Destination, mut heartbeat: Heartbeat) {
        heartbeat.header.wall_us = self.machine(from).wall_us(self.now);
        let heartbeat = Rc::new(heartbeat);
        if self.rng.chance(30) {
            let lot = self.rng.next();
            self.network.record(lot, Record { from, link, heartbeat: Rc::clone(&heartbeat) });
        }
        for node in self.nodes() {
            if node != from && (to == Destination::All || to == Destination::Node(node)) {
                self.carry(from, node, link, &heartbeat);
            }
        }
    }

    fn carry(&mut self, from: NodeId, to: NodeId, link: LinkId, heartbeat: &Rc<Heartbeat>) {
        let dead_ends = [
            Broken::Way { link, from, to },
            Broken::Interface { node: from, link },
            Broken::Interface { node: to, link },
        ];
        let pages_lost = self.network.is_broken(Broken::Pages { from, to }) && is_page(heartbeat);
        if pages_lost || dead_ends.into_iter().any(|dead_end| self.network.is_broken(dead_end)) {
            return;
        }
        let weather = self.network.weather;
        if self.rng.chance(weather.lost) {
            self.tally.count("datagram lost");
            return;
        }
        let copies = if self.rng.chance(weather.doubled) { 2 } else { 1 };
        for _ in 0..copies {
            let mut wait = self.rng.duration(self.options.latency / 4, self.options.latency);
            if self.rng.chance(weather.held_up) {
                wait += self.rng.duration(Duration::ZERO, weather.held_up_for);
                self.tally.count("datagram held up");
            }
            self.after(
                wait,
                Happening::Datagram { to, from, link, heartbeat: Rc::clone(heartbeat) },
            );
        }
        if copies == 2 {
            self.tally.count("datagram doubled");
        }
    }

    /// A daemon asks the ping node.
    pub fn ping(&mut self, to: Who, op: OpId, target: IpAddr, deadline: Instant) {
        let lost = self.rng.chance(self.network.weather.pings_lost);
        if target != PING_NODE || lost || !self.network.pings(to.node) {
            self.answer_at(to, deadline, Input::PingFinished { op, outcome: PingOutcome::Silent });
        } else {
            let wait = self.rng.duration(self.options.latency / 2, self.options.latency * 2);
            self.after(wait, Happening::Pong { to, op, deadline });
        }
    }

    /// The ping node's answer is due, if it is still reached.
    pub fn pong(&mut self, to: Who, op: OpId, deadline: Instant) {
        let Some(life) = self.life(to) else { return };
        let in_time = life.clock.read(self.now) <= deadline;
        if in_time && self.network.pings(to.node) {
            self.auditor.ping_answered(to, self.now);
            self.arrive(to, Input::PingFinished { op, outcome: PingOutcome::Answered });
        } else {
            self.answer_at(to, deadline, Input::PingFinished { op, outcome: PingOutcome::Silent });
        }
    }

    /// A probe is heard on the service network: once, so what comes true a moment later is missed.
    pub fn probe_arrives(
        &mut self,
        to: Who,
        op: OpId,
        address: &Address,
        neighbours: &[IpAddr],
        deadline: Instant,
    ) {
        let Some(resource) = self.resource_of(address) else { return };
        let outcome = match self.who_answers(to.node, resource) {
            Some(mac) => ProbeOutcome::Answered { mac },
            None => ProbeOutcome::Silent { witnessed: self.is_witnessed(to.node, neighbours) },
        };
        let silent = matches!(outcome, ProbeOutcome::Silent { .. });
        let input = Input::ProbeFinished { op, outcome };
        if silent {
            self.answer_at(to, deadline, input);
        } else {
            self.answer_soon(to, input);
        }
    }

    /// The hardware address of another machine that has this address, as one node's service network shows it.
    fn who_answers(&self, asking: NodeId, resource: ResourceId) -> Option<Mac> {
        let another = self.nodes().find(|node| {
            *node != asking
                && self.network.service_joins(asking, *node)
                && self.machine(*node).awake()
                && self.machine(*node).state(resource).runs
        });
        let stranger = self.strangers.contains(&resource)
            && !self.network.is_broken(Broken::Service { node: asking });
        another
            .map(|node| self.machine(node).mac)
            .or_else(|| stranger.then_some(Mac([2, 0, 0, 0, 0, 0xff])))
    }

    /// Whether anybody on the service network answers a node: one of those it was told to ask, or a gateway that its
    /// kernel knows, which stands beside the ping node.
    fn is_witnessed(&self, asking: NodeId, neighbours: &[IpAddr]) -> bool {
        if self.network.is_broken(Broken::Service { node: asking }) {
            return false;
        }
        let gateway = !self.network.is_broken(Broken::ServiceSplit) || asking.0.is_multiple_of(2);
        let mut peers = self
            .nodes()
            .filter(|node| *node != asking && neighbours.contains(&link_address(0, node.0)));
        gateway
            || peers
                .any(|node| self.machine(node).awake() && self.network.service_joins(asking, node))
    }

    /// A machine says that an address is here: others that have it too notice.
    pub fn announce(&mut self, node: NodeId, resource: ResourceId) {
        if !self.machine(node).state(resource).runs {
            return;
        }
        self.announced.insert(resource, (node, self.machine(node).lives));
        let mac = self.machine(node).mac;
        for other in self.nodes() {
            let machine = self.machine(other);
            if other != node
                && machine.awake()
                && machine.state(resource).runs
                && self.network.service_joins(node, other)
            {
                let here = Some(machine.mac);
                self.notice(other, resource, AddressNotice::Conflict { mac, here });
            }
        }
    }

    fn resource_of(&self, address: &Address) -> Option<ResourceId> {
        let config = &self.configs[0];
        self.resources().into_iter().find(|resource| {
            config.resource(*resource).address.as_ref().is_some_and(|known| known.ip == address.ip)
        })
    }
}
