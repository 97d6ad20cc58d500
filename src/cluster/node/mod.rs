//! The node: the core's one door in, one door out, one deadline.
//!
//! 1. Mutate, drain, wait: after `new` and each `handle_*` the caller drains [`Node::poll_output`] before the next.
//! 2. Every output with an `op` is answered exactly once. An unknown answer changes nothing.
//! 3. Timers live here; only the earliest deadline leaves. `handle_timeout` called early or often does nothing. `now`
//!    never goes back; a jump is a pause (P5).
//! 4. No method returns `Result`, and none panics on what a peer, an agent or an operator sent.
//! 5. Same arguments and same inputs give the same outputs.
//! 6. Inside, always: observe (`observe.rs`), decide (`decide.rs`), reconcile (`reconcile.rs`), speak (`speak.rs`).

mod command;
mod decide;
mod maintenance;
mod namesake;
mod observe;
mod reconcile;
mod speak;
mod view;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::event::Event;
use super::group::{Care, Ground, LocalGroup, Running};
use super::guard::Guard;
use super::io::{Input, LinkState, Memory, Output, Reject};
use super::outbox::{Asked, Outbox};
use super::peer::Peer;
use super::sent::Sent;
use super::time::Instant;
use super::wishes::Wishes;
use crate::config::{Config, GroupId, NodeId};
use crate::wire::{GroupReport, GroupTag, Incarnation, Mac, Phase, Term};
use maintenance::Maintenance;
use namesake::Namesake;

/// Why the core wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The next heartbeat.
    Keepalive,
    /// A peer misses a round trip: ask it.
    Ask,
    /// A peer becomes late or lost.
    Silence,
    /// A link to a peer falls silent.
    Link,
    /// A ping node.
    Ping,
    /// An address on the service network.
    Probe,
    /// initdead.
    Join,
    /// The right to hold ends.
    LetGo,
    /// A node sees no ping node, or has seen one again for long enough.
    Sight,
    /// A claim is given up, or may be made again.
    Claim,
    /// A monitor, a renewal, an announcement, a second try.
    Group,
    /// The end of this daemon.
    Leave,
}

/// One node of the cluster: all of its decisions, none of its effects.
#[derive(Debug)]
pub struct Node {
    config: Config,
    incarnation: Incarnation,
    now: Instant,
    out: Outbox,
    sent: Sent,
    peers: Vec<Peer>,
    /// Who else runs under this node's name.
    namesake: Namesake,
    guard: Guard,
    wishes: Wishes,
    maintenance: Maintenance,
    groups: Vec<LocalGroup>,
    phase: Phase,
    memory: Memory,
    own_macs: Vec<Mac>,
    link_states: Vec<LinkState>,
    /// How many of each, and when the newest came.
    refused: BTreeMap<Reject, (u64, Instant)>,
    disk: Option<String>,
    /// When this daemon was last found to have stood still.
    resumed: Option<Instant>,
    next_beat: Instant,
    beats: usize,
    /// Something that peers should know at once.
    news: bool,
    /// The last time that an unproven life hurried a heartbeat.
    hurried: Option<Instant>,
    told: Vec<GroupReport>,
    turn: VecDeque<GroupId>,
    /// Claims on groups that this node's configuration does not know: it stands in nobody's way.
    foreign_claims: BTreeMap<GroupTag, Term>,
    leaving_since: Instant,
    goodbyes: u32,
    exited: bool,
}

/// Rounds of observing, deciding and reconciling after one input.
const ROUNDS: u32 = 8;
/// How long this node's own datagrams are remembered, in deadtimes: longer than any acknowledgement that still counts.
const REMEMBER_DEADTIMES: u32 = 4;

impl Node {
    /// A node that knows nothing yet. `incarnation` and `seed` are random and new for each life; the same ones give the
    /// same outputs.
    #[must_use]
    pub fn new(config: Config, incarnation: Incarnation, seed: u64, now: Instant) -> Self {
        let peers: Vec<Peer> = config
            .peers()
            .map(|id| Peer::new(id, config.node(id).tag, seed, config.links.len()))
            .collect();
        let mut out = Outbox::default();
        out.emit(Event::Started { node: config.node(config.me).name.clone(), incarnation });
        Self {
            incarnation,
            now,
            out,
            sent: Sent::new(config.timing.deadtime * REMEMBER_DEADTIMES),
            peers,
            namesake: Namesake::new(&config, seed),
            guard: Guard::new(&config),
            wishes: Wishes::default(),
            maintenance: Maintenance::default(),
            groups: config.group_ids().map(|id| LocalGroup::new(&config, id)).collect(),
            phase: Phase::Starting,
            memory: Memory::default(),
            own_macs: Vec::new(),
            link_states: vec![LinkState::Up; config.links.len()],
            refused: BTreeMap::new(),
            disk: None,
            resumed: None,
            next_beat: now,
            beats: 0,
            news: false,
            hurried: None,
            told: Vec::new(),
            turn: config.group_ids().collect(),
            foreign_claims: BTreeMap::new(),
            leaving_since: Instant::ZERO,
            goodbyes: 0,
            exited: false,
            config,
        }
    }

    /// Take something in.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        self.arrive(now);
        match input {
            Input::Restored(memory) => self.restore(memory),
            Input::Received { link, from, key, wall_us, heartbeat } => {
                self.received(link, from, key, wall_us, &heartbeat);
            }
            Input::Rejected { link: _, why, source } => self.refuse(why, source),
            Input::Namesake { link, source, heartbeat } => {
                self.namesake_heard(link, source, &heartbeat);
            }
            Input::LinkChanged { link, state } => self.link_changed(link, state),
            Input::OwnMacs(macs) => self.own_macs = macs,
            Input::PingFinished { op, outcome } => {
                if let Some(Asked::Ping { target, at }) = self.out.answered(op) {
                    self.pinged(target, at, outcome);
                }
            }
            Input::ProbeFinished { op, outcome } => {
                if let Some(Asked::Probe { resource }) = self.out.answered(op) {
                    self.guard.probed(self.now, resource, outcome);
                }
            }
            Input::AgentFinished { op, outcome } => {
                if let Some(Asked::Agent { resource, action }) = self.out.answered(op) {
                    self.with_group(resource.group, |group, ground, out| {
                        group.agent_finished(ground, (resource, op), action, &outcome, out);
                    });
                }
            }
            Input::AddressRenewed { op, outcome } => {
                if let Some(Asked::Renew { resource }) = self.out.answered(op) {
                    self.with_group(resource.group, |group, ground, out| {
                        group.renewed(ground, resource, outcome, out);
                    });
                }
            }
            Input::AddressDropped { op, error } => {
                if let Some(Asked::Drop { resource }) = self.out.answered(op) {
                    self.dropped(resource, error);
                }
            }
            Input::AddressNoticed { resource, notice } => {
                self.with_group(resource.group, |group, ground, out| {
                    group.noticed(ground, resource, notice, out);
                });
            }
            Input::Command { client, author, unix_ms, command } => {
                self.command(client, &author, unix_ms, command);
            }
            Input::KeysChanged { author, change } => self.keys_changed(author, change),
            Input::Shutdown => self.leave(),
            Input::Remembered { newest, error } => self.remembered(newest, error),
        }
        self.settle();
    }

    /// Time has passed. Early or often: nothing happens.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.arrive(now);
        self.settle();
    }

    /// The next output, until `None`.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.poll()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) if nothing else happens, and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        if self.exited {
            return None;
        }
        let next = self
            .speak_deadlines()
            .chain(self.observe_deadlines())
            .chain(self.reconcile_deadlines())
            .min();
        // What is due already was looked at in this very call: it waits for an answer, not for time.
        next.map(|(at, why)| (at.max(self.now + Duration::from_micros(1)), why))
    }

    /// Time moves on; was this daemon itself late?
    fn arrive(&mut self, now: Instant) {
        debug_assert!(self.out.is_drained(), "outputs were left");
        let now = now.max(self.now);
        let gap = now - self.now;
        let stall = self.poll_timeout().map_or(Duration::ZERO, |(deadline, _)| now - deadline);
        self.now = now;
        if gap > self.config.timing.deadtime / 2 {
            self.paused(gap);
        } else if stall > Duration::ZERO {
            self.peers.iter_mut().for_each(|peer| peer.credit(stall));
        }
    }

    fn settle(&mut self) {
        if self.exited {
            return;
        }
        // What one step changes another may answer to. It settles in a round or two; the bound is against a mistake of ours.
        for _ in 0..ROUNDS {
            let before = self.out.total();
            self.observe();
            self.decide();
            self.reconcile();
            self.speak();
            if self.exited || self.out.total() == before {
                break;
            }
        }
        self.check_invariants();
    }

    fn ground(&self) -> Ground<'_> {
        ground(&self.config, (self.now, self.next_beat), self.care(), self.rights())
    }

    /// Until when this node may hold what it holds, and before when no peer acts.
    fn rights(&self) -> (Option<Instant>, Option<Instant>) {
        // No peer takes anything over then.
        if self.keeps() {
            return (None, None);
        }
        let peers = || self.peers.iter();
        (self.guard.holds_until(peers()), self.guard.peers_wait(peers()))
    }

    fn holds_until(&self) -> Option<Instant> {
        self.rights().0
    }

    fn with_group(
        &mut self,
        id: GroupId,
        act: impl FnOnce(&mut LocalGroup, &Ground<'_>, &mut Outbox),
    ) {
        let moments = (self.now, self.next_beat);
        let ground = ground(&self.config, moments, self.care(), self.rights());
        if let Some(group) = self.groups.get_mut(usize::from(id.0)) {
            act(group, &ground, &mut self.out);
        }
    }

    fn peer(&self, id: NodeId) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.id == id)
    }

    fn peer_mut(&mut self, id: NodeId) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.id == id)
    }

    fn name(&self, id: NodeId) -> String {
        self.config.node(id).name.clone()
    }

    fn remember(&mut self) {
        self.memory.terms = self
            .groups
            .iter()
            .filter(|group| group.highest > Term::default())
            .map(|group| (self.config.group(group.id).tag, group.highest))
            .collect();
        self.memory.wishes = self.wishes.all();
        let wish = self.wishes.maintenance().map_or(0, |wish| wish.stamp);
        let number = self.maintenance.remembers(wish);
        self.out.push(Output::Remember { number, memory: self.memory.clone() });
    }

    fn check_invariants(&self) {
        for group in &self.groups {
            let claims = matches!(group.running, Running::Claiming { .. }) || group.holds();
            assert!(
                !claims || group.consent.is_none(),
                "a node consents to a peer's claim and claims itself"
            );
            assert!(!claims || group.term > Term::default(), "a claim without a term");
            assert!(group.highest >= group.term, "a term above the highest known");
        }
    }
}

/// A renewal that is due within this part of the lease goes beside a heartbeat: at a keepalive of a fifth of deadtime none
/// has a wake of its own.
const RENEWAL_LEEWAY: u32 = 10;

/// How long the kernel keeps an address that is not renewed: deadtime, in its whole seconds.
fn lease(config: &Config) -> Duration {
    Duration::from_secs(config.timing.deadtime.as_millis().div_ceil(1000).try_into().unwrap_or(1))
}

fn ground(
    config: &Config,
    (now, next_beat): (Instant, Instant),
    care: Care,
    (holds_until, peers_wait): (Option<Instant>, Option<Instant>),
) -> Ground<'_> {
    let lease = lease(config);
    let leeway = if now >= next_beat { lease / RENEWAL_LEEWAY } else { Duration::ZERO };
    Ground { config, now, care, holds_until, peers_wait, lease, leeway }
}

#[cfg(test)]
mod tests;
