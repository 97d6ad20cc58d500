//! What one daemon asked for, was told and said, written down beside it: each request asked and answered once, starts in
//! order and stops in reverse, one action at a time, a reply for each command, nothing after the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lubdub::agent::{Action, Outcome};
use lubdub::cluster::event::{Event, Level, Recovery};
use lubdub::cluster::io::{ClientId, Destination, Input, OpId, Output, Reject};
use lubdub::config::{GroupId, LinkId, NodeId, ResourceId};
use lubdub::wire::{
    Body, GroupTag, Heartbeat, MAX_AUTHOR, MAX_CANDIDATES, MAX_GROUPS_PER_PAGE, MAX_MACS,
    MAX_WISHES_PER_PAGE,
};

use crate::audit::Audit;
use crate::daemon::{Who, words};
use crate::machine::Machine;
use crate::options::NAMES;
use crate::time::Moment;
use crate::world::World;

/// What a daemon has been told of a resource on its machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Belief {
    #[default]
    Unknown,
    Down,
    Up,
    /// Something of it may run, and it does not work.
    Failed,
}

/// The books of one life.
#[derive(Debug, Default)]
pub struct Ledger {
    asked: BTreeSet<OpId>,
    open: BTreeMap<OpId, Option<(ResourceId, Action)>>,
    beliefs: BTreeMap<ResourceId, Belief>,
    /// Groups that it is stopping as a whole.
    stopping: BTreeSet<GroupId>,
    /// When it may try again what failed on it, if anything did.
    pub able_at: Option<Moment>,
    /// It was told to end.
    pub ends: bool,
    /// Commands without a reply.
    pub clients: BTreeSet<ClientId>,
}

impl Ledger {
    fn belief(&self, resource: ResourceId) -> Belief {
        self.beliefs.get(&resource).copied().unwrap_or_default()
    }

    /// An action of an agent is asked for. Returns what is wrong with that.
    fn ask_agent(&mut self, op: OpId, resource: ResourceId, action: Action) -> Option<String> {
        let busy = self.open.values().flatten().find(|(other, _)| *other == resource).copied();
        self.open.insert(op, Some((resource, action)));
        if let Some((_, other)) = busy {
            return Some(format!("{action} of {resource:?} while its {other} still runs"));
        }
        let group = self.beliefs.iter().filter(|(other, _)| other.group == resource.group);
        let mut out_of_order = group.filter(|(other, belief)| match action {
            Action::Start => other.index < resource.index && **belief != Belief::Up,
            Action::Stop => other.index > resource.index && **belief != Belief::Down,
            Action::Monitor | Action::ValidateAll | Action::MetaData => false,
        });
        let in_place = action == Action::Stop
            && self.belief(resource) == Belief::Failed
            && !self.stopping.contains(&resource.group);
        let (other, belief) = out_of_order.next().filter(|_| !in_place)?;
        Some(format!("{action} of {resource:?} while {other:?} is {belief:?}"))
    }

    fn agent_answered(&mut self, resource: ResourceId, action: Action, outcome: &Outcome) {
        let before = self.belief(resource);
        let belief = match action {
            Action::Start if outcome.is_success() => Belief::Up,
            Action::Start if *outcome == Outcome::TooLate => before,
            Action::Stop if outcome.is_success() => Belief::Down,
            Action::Start | Action::Stop => Belief::Failed,
            // A monitor of what runs is judged by the core, which may want to see a failure twice.
            Action::Monitor if before == Belief::Up => before,
            Action::Monitor if outcome.is_success() && before == Belief::Unknown => Belief::Up,
            Action::Monitor if outcome.is_not_running() => Belief::Down,
            Action::Monitor if before == Belief::Unknown => Belief::Failed,
            Action::Monitor | Action::ValidateAll | Action::MetaData => before,
        };
        self.beliefs.insert(resource, belief);
    }
}

impl World {
    /// Write down what a daemon is about to be told.
    pub fn note_input(&mut self, to: Who, input: &Input) {
        match input {
            Input::Received { from, heartbeat, .. } => self.note_round_trip(to, *from, heartbeat),
            Input::AgentFinished { op, outcome } => {
                let Some(life) = self.life_mut(to) else { return };
                match life.ledger.open.remove(op) {
                    Some(Some((resource, action))) => {
                        life.ledger.agent_answered(resource, action, outcome);
                    }
                    Some(None) | None => {
                        self.breach(Audit::Requests, format!("{op:?} answered as an agent"));
                    }
                }
                if !outcome.is_success() {
                    self.tell(to.node, || format!("  agent {} ends: {outcome}", op.0));
                }
            }
            Input::PingFinished { op, .. }
            | Input::ProbeFinished { op, .. }
            | Input::AddressRenewed { op, .. }
            | Input::AddressDropped { op, .. } => {
                let Some(life) = self.life_mut(to) else { return };
                if life.ledger.open.remove(op).is_none() {
                    self.breach(
                        Audit::Requests,
                        format!("{op:?} answered, but nobody waits for it"),
                    );
                }
            }
            Input::Command { client, author, command, .. } => {
                let Some(life) = self.life_mut(to) else { return };
                life.ledger.clients.insert(*client);
                self.tell(to.node, || format!("{author} asks: {command:?}"));
            }
            Input::Shutdown => {
                self.note_ledger(to, |ledger| ledger.ends = true);
                self.tell(to.node, || "is told to end".to_owned());
            }
            Input::Rejected { why, .. } => self.tally.count(reject_name(*why)),
            Input::Namesake { .. }
            | Input::Restored(_)
            | Input::OwnMacs(_)
            | Input::LinkChanged { .. }
            | Input::AddressNoticed { .. }
            | Input::KeysChanged { .. }
            | Input::Remembered { .. } => {}
        }
    }

    /// Write down what a daemon says.
    pub fn note_output(&mut self, to: Who, output: &Output) {
        if let Some((op, what)) = words(output) {
            self.tell(to.node, || format!("  {} {what}", op.0));
        }
        let Some(life) = self.life_mut(to) else {
            self.breach(Audit::Requests, format!("{output:?} after Exit"));
            return;
        };
        let ledger = &mut life.ledger;
        match output {
            Output::Send { link, to: destination, heartbeat } => {
                self.note_send(to, *link, *destination, heartbeat);
            }
            Output::RunAgent { op, resource, action, .. } => {
                if !ledger.asked.insert(*op) {
                    self.breach(Audit::Requests, format!("{op:?} asked twice"));
                } else if let Some(wrong) = ledger.ask_agent(*op, *resource, *action) {
                    self.breach(Audit::Order, wrong);
                }
            }
            Output::Ping { op, .. }
            | Output::Probe { op, .. }
            | Output::RenewAddress { op, .. }
            | Output::DropAddress { op, .. } => {
                ledger.open.insert(*op, None);
                if !ledger.asked.insert(*op) {
                    self.breach(Audit::Requests, format!("{op:?} asked twice"));
                }
            }
            Output::Reply { client, response } => {
                let known = ledger.clients.remove(client);
                self.tell(to.node, || format!("answers: {response:?}"));
                if !known {
                    self.breach(
                        Audit::Requests,
                        format!("a reply for {client:?}, which waits for none"),
                    );
                }
            }
            Output::Emit(event) => self.note_event(to, event),
            Output::KillAgent { .. }
            | Output::Announce { .. }
            | Output::Remember { .. }
            | Output::Exit => {}
        }
    }

    fn note_send(
        &mut self,
        to: Who,
        link: LinkId,
        destination: Destination,
        heartbeat: &Heartbeat,
    ) {
        let header = &heartbeat.header;
        self.trace.mix(header.sequence.0);
        let mut wrong = link.0 >= self.options.links || destination == Destination::Node(to.node);
        wrong |= header.echoes.iter().any(|echo| echo.candidates.len() > MAX_CANDIDATES);
        if let Body::Known(report) = &heartbeat.body {
            wrong |= report.groups.len() > MAX_GROUPS_PER_PAGE
                || report.macs.len() > MAX_MACS
                || report.wishes.len() > MAX_WISHES_PER_PAGE
                || report.wishes.iter().any(|wish| wish.author.len() > MAX_AUTHOR);
            for group in &report.groups {
                if let Some(term) = group.consent {
                    self.auditor.consented(to.node, group.group, term);
                }
            }
        }
        if header.flags.goodbye {
            self.auditor.said_goodbye(to.node);
        }
        if wrong {
            self.breach(
                Audit::Bounds,
                format!("a heartbeat beyond the wire's limits: {heartbeat:?}"),
            );
        }
    }

    fn note_event(&mut self, to: Who, event: &Event) {
        self.tell(to.node, || event.to_string());
        if is_alarm(event) && !self.auditor.faults_began {
            self.breach(Audit::Alarm, format!("in a world without faults: {event}"));
        }
        self.tally.count(event_name(event));
        let group = |name: &str| self.configs[0].group_by_name(name);
        match event {
            Event::Cleared { group: name, evidence } => {
                if let Some(group) = group(name) {
                    self.note_cleared(to, group, evidence);
                }
            }
            Event::GroupStarting { group: name, term } => {
                if let Some(group) = group(name) {
                    self.note_ledger(to, |ledger| {
                        ledger.stopping.remove(&group);
                    });
                    self.note_starting(to, group, GroupTag::of(name), *term);
                }
            }
            Event::GroupStopping { group: name, .. } => {
                if let Some(group) = group(name) {
                    self.note_ledger(to, |ledger| {
                        ledger.stopping.insert(group);
                    });
                }
            }
            // What was found is looked at again before anything is done about it.
            Event::LeftAlone { group: name, .. } => {
                if let Some(group) = group(name) {
                    self.note_ledger(to, |ledger| {
                        ledger.beliefs.retain(|resource, _| resource.group != group);
                    });
                }
            }
            // Late, lost or reordered, no heartbeat may make a right clock look wrong.
            Event::ClockOffset { apart: true, .. }
                if self.machines.iter().all(Machine::clock_is_right) =>
            {
                self.breach(Audit::Alarm, format!("all clocks are right: {event}"));
            }
            Event::AgentFailed { then: Recovery::Leave { able_again }, .. } => {
                // What needs a restart of the daemon is never able again by itself.
                let able_at = self.now + able_again.unwrap_or(Duration::from_secs(86_400));
                self.note_ledger(to, |ledger| ledger.able_at = ledger.able_at.max(Some(able_at)));
            }
            Event::AgentFailed { group: name, resource, then: Recovery::RestartHere, .. } => {
                let config = &self.configs[0];
                let found = group(name).and_then(|group| {
                    config.resource_ids(group).find(|id| config.resource(*id).name == *resource)
                });
                if let Some(resource) = found {
                    self.note_ledger(to, |ledger| {
                        ledger.beliefs.insert(resource, Belief::Failed);
                    });
                }
            }
            _ => {}
        }
    }

    fn note_ledger(&mut self, to: Who, note: impl FnOnce(&mut Ledger)) {
        if let Some(life) = self.life_mut(to) {
            note(&mut life.ledger);
        }
    }

    /// The node with this name.
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        NAMES
            .iter()
            .position(|known| *known == name)
            .map(|place| NodeId(u8::try_from(place).unwrap()))
    }
}

/// Whether this has no place in a world without faults.
fn is_alarm(event: &Event) -> bool {
    match event {
        Event::PeerLost { .. }
        | Event::Paused { .. }
        | Event::AddressPutBack { .. }
        | Event::AgentFailed { .. } => true,
        _ => event.level() == Level::Error,
    }
}

fn reject_name(why: Reject) -> &'static str {
    match why {
        Reject::Malformed => "malformed datagram",
        Reject::ForeignCluster => "foreign datagram",
        Reject::UnknownKey => "unknown key",
        Reject::BadTag => "forged datagram",
        Reject::UnknownNode => "unknown node",
        Reject::OwnName => "own name",
        Reject::Replayed => "replayed",
        Reject::Unproven => "unproven",
    }
}

/// A name for the tally.
fn event_name(event: &Event) -> &'static str {
    match event {
        Event::Refused { .. } => "takeover refused",
        Event::GroupStarted { .. } => "group started",
        Event::GroupAdopted { .. } => "group adopted",
        Event::GroupBlocked { .. } => "group blocked",
        Event::GroupRestored { .. } => "group restored",
        Event::GroupUnblocked { .. } => "group unblocked",
        Event::BothActive { .. } => "both active",
        Event::PeerLost { .. } => "peer lost",
        Event::PeerLeft { .. } => "peer left",
        Event::Paused { .. } => "pause noticed",
        Event::AddressPutBack { .. } => "address put back",
        Event::AddressConflict { .. } => "address conflict",
        Event::AgentFailed { .. } => "agent failed",
        Event::MonitorSlow { .. } => "monitor slow",
        Event::DiskChanged { .. } => "disk changed",
        Event::ClockOffset { .. } => "clock told of",
        Event::Maintenance { on: true } => "maintenance in force",
        Event::Maintenance { on: false } => "maintenance over",
        Event::LeftRunning { .. } => "left running",
        Event::LeftAlone { .. } => "left alone",
        Event::GroupStopping { because, .. } => match because {
            lubdub::cluster::event::StopReason::Isolated { .. } => "holder let go",
            _ => "group stopping",
        },
        _ => "other events",
    }
}
