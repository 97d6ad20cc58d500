//! Hands that reach into the world: power, daemons, cables, disks, agents, operators. Scenarios use them one by one,
//! random faults use the same.

use std::time::Duration;

use lubdub::cluster::io::{AddressNotice, ClientId, Command, Input, LinkState, Memory, Reject};
use lubdub::config::{LinkId, NodeId, ResourceId};

use crate::daemon::Who;
use crate::machine::Temper;
use crate::mutant::Mutant;
use crate::network::{Broken, Weather};
use crate::options::NAMES;
use crate::world::{Happening, World};

/// The end of a fault.
#[derive(Debug, Clone)]
pub enum Undo {
    PowerOn(NodeId),
    Start(NodeId),
    Thaw(NodeId),
    Wake(NodeId),
    Mend(Vec<Broken>),
    Weather,
    Temper(NodeId, ResourceId),
    Stranger(ResourceId),
}

impl World {
    /// A fault begins.
    fn fault(&mut self) {
        self.auditor.faults_began = true;
        self.changed = true;
    }

    /// Power on every machine.
    pub fn power_on_all(&mut self) {
        for node in self.nodes() {
            self.power_on(node);
        }
    }

    /// A machine boots, with nothing running on it, and its daemon starts.
    pub fn power_on(&mut self, node: NodeId) {
        let machine = self.machine_mut(node);
        if !machine.on {
            machine.on = true;
            self.changed = true;
            self.tell(node, || "POWER ON".to_owned());
            self.start_daemon(node);
        }
    }

    /// Everything on a machine is gone but its disk.
    pub fn power_off(&mut self, node: NodeId) {
        self.fault();
        self.tell(node, || "POWER OFF".to_owned());
        self.auditor.life_ended(self.machine(node).who(), self.now);
        let machine = self.machine_mut(node);
        machine.on = false;
        machine.suspended = false;
        machine.parked.clear();
        machine.life = None;
        machine.unruly = None;
        self.processes.retain(|_, process| process.owner.node != node);
        for resource in self.resources() {
            self.make_true(node, resource, false, "no power");
        }
    }

    /// The daemon dies; its agents, its processes and its kernel live on.
    pub fn kill_daemon(&mut self, node: NodeId) {
        self.fault();
        self.tell(node, || "DAEMON DIES".to_owned());
        self.auditor.life_ended(self.machine(node).who(), self.now);
        let now = self.now;
        let machine = self.machine_mut(node);
        machine.life = None;
        machine.unruly = Some(now);
    }

    /// The daemon is stopped by a signal.
    pub fn freeze(&mut self, node: NodeId) {
        self.fault();
        let now = self.now;
        let machine = self.machine_mut(node);
        if let Some(life) = &mut machine.life {
            life.frozen = true;
            machine.still_since = Some(now);
            self.tell(node, || "DAEMON FROZEN".to_owned());
        }
    }

    /// The daemon goes on: what its sockets kept comes first.
    pub fn thaw(&mut self, node: NodeId) {
        self.changed = true;
        let Some(to) = self.machine(node).who() else { return };
        let Some(life) = self.life_mut(to).filter(|life| life.frozen) else { return };
        life.frozen = false;
        let deferred = std::mem::take(&mut life.deferred);
        self.stood_still(node);
        self.tell(node, || "daemon goes on".to_owned());
        self.after(Duration::ZERO, Happening::Turn { to });
        for happening in deferred {
            self.after(Duration::from_micros(1), happening);
        }
    }

    /// A whole machine stands still.
    pub fn suspend(&mut self, node: NodeId) {
        self.fault();
        if self.machine(node).on {
            self.machine_mut(node).suspended = true;
            self.machine_mut(node).still_since = Some(self.now);
            self.auditor.truth_changed = true;
            self.tell(node, || "MACHINE SUSPENDED".to_owned());
        }
    }

    /// It goes on: what should have happened meanwhile happens now, in its order.
    pub fn wake(&mut self, node: NodeId) {
        let now = self.now;
        let machine = self.machine_mut(node);
        if !machine.suspended {
            return;
        }
        machine.suspended = false;
        let parked = std::mem::take(&mut machine.parked);
        self.stood_still(node);
        self.tell(node, || "machine goes on".to_owned());
        self.changed = true;
        self.auditor.truth_changed = true;
        self.auditor.never_two.woken.insert(node, now);
        let mut wait = Duration::ZERO;
        for happening in parked {
            wait += Duration::from_micros(2);
            self.after(wait, happening);
        }
        if let Some(to) = self.machine(node).who() {
            self.after(Duration::from_micros(300), Happening::Turn { to });
        }
    }

    /// With a planted bug the daemon's clock did not count what it should have counted.
    fn stood_still(&mut self, node: NodeId) {
        let (now, hides) = (self.now, self.mutant == Mutant::HidesPauses);
        let machine = self.machine_mut(node);
        let since = machine.still_since.take();
        if let (true, Some(since), Some(life)) = (hides, since, &mut machine.life) {
            life.clock.forget(now.since(since));
        }
    }

    pub fn break_(&mut self, what: &[Broken]) {
        self.fault();
        self.narrate(|| format!("BROKEN: {what:?}"));
        for broken in what {
            self.network.break_(*broken);
            self.tell_interface(*broken, false);
        }
    }

    pub fn mend(&mut self, what: &[Broken]) {
        self.changed = true;
        self.narrate(|| format!("mended: {what:?}"));
        for broken in what {
            self.network.mend(*broken);
            if !self.network.is_broken(*broken) {
                self.tell_interface(*broken, true);
            }
        }
    }

    fn tell_interface(&mut self, broken: Broken, works: bool) {
        match broken {
            Broken::Interface { node, link } => self.link_changed(node, link, works),
            Broken::Service { node } if works => {
                for resource in self.resources() {
                    let state = self.machine(node).state(resource);
                    if state.is_address && state.runs {
                        self.notice(node, resource, AddressNotice::LinkUp);
                    }
                }
            }
            _ => {}
        }
    }

    pub fn link_changed(&mut self, node: NodeId, link: LinkId, works: bool) {
        if let Some(to) = self.machine(node).who() {
            let state =
                if works { LinkState::Up } else { LinkState::Waiting("no carrier".to_owned()) };
            self.arrive(to, Input::LinkChanged { link, state });
        }
    }

    /// Every way between two nodes on heartbeat links.
    pub fn ways_between(&self, a: NodeId, b: NodeId) -> Vec<Broken> {
        let links = (0..self.options.links).map(LinkId);
        links
            .flat_map(|link| {
                [Broken::Way { link, from: a, to: b }, Broken::Way { link, from: b, to: a }]
            })
            .collect()
    }

    /// Everything that joins a node to anything.
    pub fn all_cables(&self, node: NodeId) -> Vec<Broken> {
        let others = self.nodes().filter(|other| *other != node);
        let mut cables: Vec<Broken> =
            others.flat_map(|other| self.ways_between(node, other)).collect();
        cables.extend([Broken::PingPath { node }, Broken::Service { node }]);
        cables
    }

    pub fn set_weather(&mut self, weather: Weather) {
        self.fault();
        self.narrate(|| format!("WEATHER: {weather:?}"));
        self.network.weather = weather;
    }

    pub fn set_temper(&mut self, node: NodeId, resource: ResourceId, temper: Temper) {
        let name = self.resource_name(resource);
        self.tell(node, || format!("AGENT of {name} is now {temper:?}"));
        if temper != Temper::Well {
            self.fault();
            self.machine_mut(node).unruly = Some(self.now);
        }
        self.machine_mut(node).state_mut(resource).temper = temper;
    }

    /// Something on a machine stops by itself, or is stopped by a human.
    pub fn end_resource(&mut self, node: NodeId, resource: ResourceId, because: &str) {
        self.fault();
        self.make_true(node, resource, false, because);
    }

    /// A machine outside the cluster takes an address.
    pub fn add_stranger(&mut self, resource: ResourceId) {
        self.fault();
        let name = self.resource_name(resource);
        self.narrate(|| format!("A STRANGER has {name}"));
        self.strangers.insert(resource);
    }

    /// Datagrams of the past, this life's and others', to anybody, on any link.
    pub fn replay(&mut self, count: u64, spread: Duration) {
        self.fault();
        if self.network.records.is_empty() {
            return;
        }
        self.narrate(|| format!("REPLAY of {count} datagrams"));
        for _ in 0..count {
            let records = &self.network.records;
            let record = self.chaos.pick(records).clone();
            let to = NodeId(u8::try_from(self.chaos.below(u64::from(self.options.nodes))).unwrap());
            let wait = self.chaos.duration(Duration::ZERO, spread);
            if to != record.from {
                let happening = Happening::Datagram {
                    to,
                    from: record.from,
                    link: record.link,
                    heartbeat: record.heartbeat,
                };
                self.after(wait, happening);
            }
        }
    }

    /// A datagram that is not authentic, or not well formed.
    pub fn garbage(&mut self, node: NodeId, why: Reject) {
        self.fault();
        if let Some(to) = self.machine(node).who() {
            self.arrive(
                to,
                Input::Rejected { link: LinkId(0), why, source: "10.9.9.9:4444".to_owned() },
            );
        }
    }

    pub fn lose_disk(&mut self, node: NodeId) {
        self.fault();
        self.tell(node, || "DISK LOST".to_owned());
        self.machine_mut(node).disk = Memory::default();
    }

    pub fn step_wall_clock(&mut self, node: NodeId, by_us: i64) {
        self.fault();
        self.tell(node, || format!("WALL CLOCK stepped to {by_us} us off"));
        self.machine_mut(node).wall_offset_us = by_us;
    }

    /// An operator asks a node for something. Not a fault.
    pub fn command(&mut self, node: NodeId, command: Command) {
        let Some(to) = self.machine(node).who() else { return };
        self.commands += 1;
        let client = ClientId(self.commands);
        let unix_ms = self.machine(node).wall_us(self.now) / 1000;
        if let Command::ConfirmDead { node: name } = &command {
            self.confirm(name);
        }
        self.arrive(to, Input::Command { client, author: "operator".to_owned(), unix_ms, command });
    }

    /// The operator of this world does not lie: he looks at the machine.
    fn confirm(&mut self, name: &str) {
        if let Some(dead) = self.node_named(name).filter(|node| !self.machine(*node).on) {
            self.auditor.confirmed.insert(dead);
        }
    }

    /// SIGTERM. Not a fault.
    pub fn terminate(&mut self, node: NodeId) {
        if let Some(to) = self.machine(node).who() {
            self.changed = true;
            self.arrive(to, Input::Shutdown);
        }
    }

    /// A fault ends.
    pub fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::PowerOn(node) => self.power_on(node),
            Undo::Start(node) => self.start_daemon(node),
            Undo::Thaw(node) => self.thaw(node),
            Undo::Wake(node) => self.wake(node),
            Undo::Mend(broken) => self.mend(&broken),
            Undo::Weather => {
                self.changed = true;
                self.narrate(|| "fine weather".to_owned());
                self.network.weather = Weather::default();
            }
            Undo::Temper(node, resource) => self.set_temper(node, resource, Temper::Well),
            Undo::Stranger(resource) => drop(self.strangers.remove(&resource)),
        }
    }

    /// Let a fault end after a while.
    pub fn undo_after(&mut self, wait: Duration, undo: Undo) {
        self.after(wait, Happening::Undo(undo));
    }

    /// A word for people: who lives, and who runs what.
    pub fn picture(&self) -> String {
        let mut words = Vec::new();
        for node in self.nodes() {
            let machine = self.machine(node);
            let life = match machine.who() {
                _ if !machine.on => "off".to_owned(),
                Some(Who { life, .. }) => format!("life {life}"),
                None => "no daemon".to_owned(),
            };
            let runs = machine.states.iter().filter(|(_, state)| state.runs);
            let runs: Vec<String> =
                runs.map(|(resource, _)| self.resource_name(*resource)).collect();
            words.push(format!("{} ({life}): {}", NAMES[usize::from(node.0)], runs.join(" ")));
        }
        words.join("; ")
    }
}
