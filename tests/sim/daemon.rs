//! One life of a daemon: a real `Node` behind its door, in a loop as the real one has it. The loop reads what is in its
//! sockets, hands it to the core one by one, carries out what comes out, and sleeps until the core's next deadline.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU8;
use std::time::Duration;

use lubdub::agent::Action;
use lubdub::cluster::io::{Input, Memory, OpId, Output};
use lubdub::cluster::time::Instant;
use lubdub::config::{LinkId, NodeId};
use lubdub::wire::{Heartbeat, Incarnation, KeyId, Sequence};

use crate::agents::Order;
use crate::audit::Audit;
use crate::ledger::Ledger;
use crate::mutant::{Door, Mutant};
use crate::network::Broken;
use crate::time::{Clock, Moment};
use crate::world::{Happening, Job, World};

/// One life of the daemon on one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    pub node: NodeId,
    pub life: u32,
}

#[derive(Debug)]
pub struct Life {
    pub number: u32,
    pub incarnation: Incarnation,
    pub clock: Clock,
    pub door: Door,
    /// Stopped by a signal: agents and kernel go on, sockets fill.
    pub frozen: bool,
    /// What it must do itself and could not while it was frozen.
    pub deferred: Vec<Happening>,
    inbox: VecDeque<Input>,
    /// Datagrams in each socket.
    sockets: BTreeMap<(LinkId, NodeId), usize>,
    /// The deadline that a turn is queued for.
    wake: Option<Instant>,
    /// Turns in a row after which the core wanted another one at once.
    restless: u32,
    /// Until when earlier writes keep the disk busy.
    disk_busy: Moment,
    /// Number of the newest memory that is on the disk.
    written: u64,
    pub ledger: Ledger,
    /// When each of its newest datagrams was sent.
    pub sent: VecDeque<(Sequence, Moment)>,
}

/// Datagrams that a socket keeps for a daemon that does not read.
const SOCKET: usize = 128;

/// Datagrams of its own whose send time is remembered.
const SENT: usize = 4096;

/// Outputs of one input: heartbeats on every link to every node in pages, a few requests and events for each resource.
const OUTPUTS: usize = 400;

/// When a write that failed is tried again.
const WRITE_AGAIN: Duration = Duration::from_secs(2);

/// Turns in a row that the core may want at once.
const RESTLESS: u32 = 200;

impl World {
    /// The life that is meant, if it still goes on.
    pub fn life(&self, who: Who) -> Option<&Life> {
        self.machine(who.node).life.as_ref().filter(|life| life.number == who.life)
    }

    pub fn life_mut(&mut self, who: Who) -> Option<&mut Life> {
        self.machine_mut(who.node).life.as_mut().filter(|life| life.number == who.life)
    }

    /// A daemon starts on a machine that has power and no daemon.
    pub fn start_daemon(&mut self, node: NodeId) {
        let now = self.now;
        let (incarnation, seed) = (Incarnation(self.rng.next() | 1), self.rng.next());
        let config = self.configs[usize::from(node.0)].clone();
        let mutant = self.mutant;
        let machine = self.machine_mut(node);
        if !machine.on || machine.life.is_some() {
            return;
        }
        machine.lives += 1;
        let number = machine.lives;
        let mut memory = machine.disk.clone();
        memory.unix_ms = machine.wall_us(now) / 1000;
        if mutant == Mutant::Amnesia {
            memory = Memory { unix_ms: 1, ..Memory::default() };
        }
        let links: Vec<LinkId> = config.link_ids().collect();
        machine.life = Some(Life {
            number,
            incarnation,
            clock: Clock::new(now, machine.ppm),
            door: Door::new(config, incarnation, seed, mutant),
            frozen: false,
            deferred: Vec::new(),
            inbox: VecDeque::from([Input::Restored(memory), Input::OwnMacs(vec![machine.mac])]),
            sockets: BTreeMap::new(),
            wake: None,
            restless: 0,
            disk_busy: now,
            written: 0,
            ledger: Ledger::default(),
            sent: VecDeque::new(),
        });
        self.changed = true;
        self.tell(node, || format!("daemon starts, life {number}"));
        let to = Who { node, life: number };
        self.auditor.life_began(to, now);
        for link in links {
            let down = self.network.is_broken(Broken::Interface { node, link });
            self.link_changed(node, link, !down);
        }
        self.after(Duration::ZERO, Happening::Turn { to });
    }

    /// A datagram reaches a machine; nobody keeps it if no daemon is there.
    pub fn datagram_arrives(
        &mut self,
        to: NodeId,
        from: NodeId,
        link: LinkId,
        heartbeat: &Heartbeat,
    ) {
        let wall_us = self.machine(to).wall_us(self.now);
        let Some(life) = &mut self.machine_mut(to).life else { return };
        let held = life.sockets.entry((link, from)).or_default();
        if *held < SOCKET {
            *held += 1;
            let who = Who { node: to, life: life.number };
            let heartbeat = Box::new(heartbeat.clone());
            let key = KeyId::from(NonZeroU8::MIN);
            self.arrive(who, Input::Received { link, from, key, wall_us, heartbeat });
        }
    }

    /// Something reaches a daemon, which attends to it when its loop comes round.
    pub fn arrive(&mut self, to: Who, input: Input) {
        let wait = self.rng.duration(Duration::ZERO, self.options.lateness);
        let Some(life) = self.life_mut(to) else { return };
        let idle = life.inbox.is_empty();
        life.inbox.push_back(input);
        if idle {
            self.after(wait, Happening::Turn { to });
        }
    }

    /// An answer that takes the daemon's own kernel a moment.
    pub fn answer_soon(&mut self, to: Who, input: Input) {
        let wait = self.rng.duration(Duration::from_micros(20), Duration::from_micros(300));
        self.after(wait, Happening::Answer { to, input: Box::new(input) });
    }

    /// An answer at a deadline of the core.
    pub fn answer_at(&mut self, to: Who, deadline: Instant, input: Input) {
        if let Some(life) = self.life(to) {
            let when = life.clock.when(deadline);
            self.at(when, Happening::Answer { to, input: Box::new(input) });
        }
    }

    /// The loop comes round: first what is in the sockets, then the clock.
    pub fn turn(&mut self, to: Who) {
        let now = self.now;
        let early = self.rng.chance(10);
        let Some(life) = self.life_mut(to).filter(|life| !life.frozen) else { return };
        let shown = life.clock.read(now);
        let inputs = std::mem::take(&mut life.inbox);
        life.sockets.clear();
        for input in inputs {
            self.hand(to, shown, Some(input));
        }
        let Some(life) = self.life_mut(to) else { return };
        let due = life.door.deadline().is_some_and(|deadline| deadline <= shown);
        if due || early {
            let outputs = self.hand(to, shown, None);
            if !due && outputs > 0 {
                self.breach(
                    Audit::Timers,
                    format!("{outputs} outputs of a timer that was not due"),
                );
            }
        }
        self.sleep(to, shown);
    }

    /// Sleep until the core's next deadline.
    fn sleep(&mut self, to: Who, shown: Instant) {
        let wait = self.rng.duration(Duration::ZERO, self.options.lateness);
        let Some(life) = self.life_mut(to) else { return };
        let deadline = life.door.deadline();
        let at_once = deadline.is_some_and(|deadline| deadline <= shown);
        life.restless = if at_once { life.restless + 1 } else { 0 };
        let restless = life.restless;
        if life.wake != deadline || at_once {
            life.wake = deadline;
            if let Some(deadline) = deadline {
                let when = life.clock.when(deadline);
                self.at(when.max(self.now) + wait, Happening::Turn { to });
            }
        }
        if restless > RESTLESS {
            self.breach(
                Audit::Timers,
                format!("{restless} turns in a row were not enough for what is due"),
            );
        }
    }

    /// Hand one input (or the time) to the core and carry out what comes out. Returns how much that was.
    fn hand(&mut self, to: Who, shown: Instant, input: Option<Input>) -> usize {
        if let Some(input) = &input {
            self.note_input(to, input);
        }
        let Some(life) = self.life_mut(to) else { return 0 };
        let outputs = life.door.hand(shown, input);
        let count = outputs.len();
        if count > OUTPUTS {
            self.breach(Audit::Bounds, format!("{count} outputs of one input"));
        }
        for output in outputs {
            self.note_output(to, &output);
            self.carry_out(to, output);
        }
        count
    }

    fn carry_out(&mut self, to: Who, output: Output) {
        let soon = self.rng.duration(Duration::from_micros(30), Duration::from_micros(300));
        match output {
            Output::Send { link, to: destination, heartbeat } => {
                let now = self.now;
                let Some(life) = self.life_mut(to) else { return };
                life.sent.push_back((heartbeat.header.sequence, now));
                if life.sent.len() > SENT {
                    life.sent.pop_front();
                }
                self.send(to.node, link, destination, *heartbeat);
            }
            Output::Ping { op, target, deadline } => self.ping(to, op, target, deadline),
            Output::Probe { op, address, neighbours, nodes: _, deadline } => {
                let wait = self.rng.duration(self.options.latency / 4, self.options.latency);
                self.after(wait, Happening::Probe { to, op, address, neighbours, deadline });
            }
            Output::RunAgent { op, resource, action, timeout, not_after, term: _, lease } => {
                self.run_agent(to, Order { op, resource, action, timeout, not_after, lease });
            }
            Output::KillAgent { op } => self.kill_agent(to, op),
            Output::RenewAddress { op, resource, lease, not_after } => {
                self.after(
                    soon,
                    Happening::Netlink { to, op, job: Job::Renew { resource, lease, not_after } },
                );
            }
            Output::DropAddress { op, resource } => {
                self.after(soon, Happening::Netlink { to, op, job: Job::Drop { resource } });
            }
            Output::Announce { resource } => self.announce(to.node, resource),
            Output::Remember { number, memory } => {
                let wait = self.rng.millis(1, 20);
                let now = self.now;
                let Some(life) = self.life_mut(to) else { return };
                // One after the other, so that an older memory never overwrites a newer one.
                life.disk_busy = now.max(life.disk_busy) + wait;
                let when = life.disk_busy;
                self.at(when, Happening::Written { to, number, memory: Box::new(memory) });
            }
            Output::Reply { .. } | Output::Emit(_) => {}
            Output::Exit => {
                self.tell(to.node, || "daemon ends in order".to_owned());
                self.machine_mut(to.node).life = None;
                self.changed = true;
            }
        }
    }

    /// A write to the disk comes to an end: whole or not at all. What could not be written is tried again, unless there
    /// is something newer.
    pub fn written(&mut self, to: Who, number: u64, memory: Memory) {
        let fails = self.network.is_broken(Broken::Disk { node: to.node });
        let Some(life) = self.life_mut(to).filter(|life| life.written < number) else { return };
        if !fails {
            life.written = number;
        }
        let newest = life.written;
        if fails {
            self.tally.count("write refused");
            let memory = Box::new(memory);
            self.after(WRITE_AGAIN, Happening::Written { to, number, memory });
        } else {
            self.machine_mut(to.node).disk = memory;
        }
        let error = fails.then(|| "no space left on device".to_owned());
        self.arrive(to, Input::Remembered { newest, error });
    }
}

/// For people: the id of a request and what it asks, where it is worth a line.
pub fn words(output: &Output) -> Option<(OpId, String)> {
    match output {
        Output::RunAgent { op, action, resource, not_after, .. } if *action != Action::Monitor => {
            let end = not_after.map_or_else(String::new, |end| format!(" not after {end}"));
            Some((*op, format!("{action} {}.{}{end}", resource.group.0, resource.index)))
        }
        Output::KillAgent { op } => Some((*op, "kill".to_owned())),
        Output::DropAddress { op, resource } => {
            Some((*op, format!("drop {}.{}", resource.group.0, resource.index)))
        }
        Output::RunAgent { .. }
        | Output::Send { .. }
        | Output::Ping { .. }
        | Output::Probe { .. }
        | Output::RenewAddress { .. }
        | Output::Announce { .. }
        | Output::Reply { .. }
        | Output::Emit(_)
        | Output::Remember { .. }
        | Output::Exit => None,
    }
}
