//! One group on this node: what it does with it, and how its resources are brought there, in order.
//!
//! ```text
//!  Unknown ──probed──▶ Stopped ──claim──▶ Claiming ──permit──▶ Starting ──▶ Started
//!     │                  ▲  ▲                │                    │           │
//!     │                  │  └────────────────┘ yields             │           │
//!     └─ all of it runs ─┼────────────────────────────────────────┼───────▶ Started (adopted)
//!                        └───────────── Stopping ◀────────────────┴───────────┘
//!                                          └── a stop fails ──▶ Blocked ── seen stopped ──▶ Stopping
//! ```

mod outcomes;

use std::mem::Discriminant;
use std::time::Duration;

use super::event::{Event, StopReason};
use super::guard::{Doubt, Permit};
use super::outbox::Outbox;
use super::placement::Reason;
use super::resource::{Doing, LeaseTerms, Lifetime, LocalResource};
use super::time::Instant;
use crate::config::{Config, GroupId, NodeId};
use crate::wire::{Ability, Run, Term};

/// What this node does with a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Running {
    /// Not looked at yet.
    Unknown,
    /// Nothing of it runs here.
    Stopped,
    /// It wants to start it.
    Claiming { since: Instant },
    /// It may, and does.
    Starting { since: Instant, permit: Permit },
    /// All of it was brought up here.
    Started { since: Instant, permit: Permit },
    /// It is being stopped.
    Stopping { since: Instant },
    /// A stop failed.
    Blocked,
}

/// Why the group cannot run here for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// It failed; it may be tried again then.
    Soft { until: Instant },
    /// An agent could not be executed; it is tried again then.
    NoAgent { until: Instant },
    /// It cannot work here.
    Hard,
}

/// Restarts in place within this time count together.
const RESTART_WINDOW: Duration = Duration::from_secs(300);
/// So many of them, then the group moves.
const RESTARTS: usize = 1;
/// A node on which a group failed is able again after this time, doubled with each failure.
const RETRY_FIRST: Duration = Duration::from_secs(5);
/// But after this time at most.
const RETRY_MOST: Duration = Duration::from_secs(300);
/// How often an agent that could not be executed is tried.
const AGENT_RETRY: Duration = Duration::from_secs(10);

/// A group on this node.
#[derive(Debug)]
pub(super) struct LocalGroup {
    pub(super) id: GroupId,
    pub(super) running: Running,
    /// Of the present claim or hold; zero otherwise.
    pub(super) term: Term,
    /// The highest that is known.
    pub(super) highest: Term,
    /// The highest that a former life of this daemon knew.
    pub(super) remembered: Term,
    /// The claim of a peer that this node consents to.
    pub(super) consent: Option<(NodeId, Term)>,
    pub(super) resources: Vec<LocalResource>,
    pub(super) failure: Option<Failure>,
    pub(super) target: Option<NodeId>,
    pub(super) reason: Reason,
    /// The node that it came to last, and why.
    pub(super) came: Option<(NodeId, Reason)>,
    /// What stands in the way of this node's claim.
    pub(super) doubts: Vec<(NodeId, Doubt)>,
    /// The refusal that was told last.
    pub(super) refused: Option<(NodeId, Discriminant<Doubt>)>,
    /// The peer that holds it too.
    pub(super) conflict: Option<NodeId>,
    /// Another machine had its address too, and this node let go: it takes it again only when that has fallen silent.
    pub(super) yielded: bool,
    /// What was found of it in maintenance was told, and is left alone.
    pub(super) left_alone: bool,
    /// No new claim before.
    pub(super) claim_not_before: Instant,
    failures: u32,
    restarts: Vec<Instant>,
    /// When the failure was seen after which it is started again in place.
    restarting: Option<Instant>,
}

/// Who looks after groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Care {
    /// This daemon.
    #[default]
    Full,
    /// Nobody, but the rules for what is held go on: not all nodes are known to keep to maintenance yet.
    HandsOff,
    /// Nobody: maintenance is in force.
    InForce,
}

/// What a group needs to know of the node it runs on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) config: &'a Config,
    pub(super) now: Instant,
    pub(super) care: Care,
    /// Until when this node may hold what it holds. `None`: without a bound.
    pub(super) holds_until: Option<Instant>,
    /// Before this moment no peer acts. `None`: there is none that could.
    pub(super) peers_wait: Option<Instant>,
    /// How long the kernel keeps an address.
    pub(super) lease: Duration,
    /// A renewal that is due so soon is done now.
    pub(super) leeway: Duration,
}

impl LocalGroup {
    pub(super) fn new(config: &Config, id: GroupId) -> Self {
        Self {
            id,
            running: Running::Unknown,
            term: Term::default(),
            highest: Term::default(),
            remembered: Term::default(),
            consent: None,
            resources: config.resource_ids(id).map(LocalResource::new).collect(),
            failure: None,
            target: None,
            reason: Reason::Starting,
            came: None,
            doubts: Vec::new(),
            refused: None,
            conflict: None,
            yielded: false,
            left_alone: false,
            claim_not_before: Instant::ZERO,
            failures: 0,
            restarts: Vec::new(),
            restarting: None,
        }
    }

    /// The word for heartbeats.
    pub(super) fn run(&self) -> Run {
        match self.running {
            Running::Unknown => Run::Unknown,
            Running::Stopped => Run::Stopped,
            Running::Claiming { .. } => Run::Claiming,
            Running::Starting { .. } => Run::Starting,
            Running::Started { .. } => Run::Started,
            Running::Stopping { .. } => Run::Stopping,
            Running::Blocked => Run::Blocked,
        }
    }

    /// Whether this node has the right to it, and uses it.
    pub(super) fn holds(&self) -> bool {
        matches!(self.running, Running::Starting { .. } | Running::Started { .. })
    }

    /// Whether it could run here.
    pub(super) fn ability(&self) -> Ability {
        match self.failure {
            None => Ability::Able,
            Some(Failure::Soft { .. }) => Ability::Failed,
            Some(Failure::NoAgent { .. }) => Ability::NoAgent,
            Some(Failure::Hard) => Ability::Unfit,
        }
    }

    fn name(&self, config: &Config) -> String {
        config.group(self.id).name.clone()
    }

    /// Begin to want it.
    pub(super) fn claim(&mut self, now: Instant, term: Term) {
        self.running = Running::Claiming { since: now };
        self.term = term;
        self.highest = self.highest.max(term);
        self.consent = None;
    }

    /// Want it no longer.
    pub(super) fn withdraw(&mut self) {
        if matches!(self.running, Running::Claiming { .. }) {
            self.running = Running::Stopped;
            self.term = Term::default();
        }
    }

    /// Use the right to start it. A permit for another claim changes nothing.
    pub(super) fn begin(&mut self, ground: &Ground<'_>, permit: Permit, out: &mut Outbox) {
        if permit.group() != self.id || permit.term() != self.term {
            return;
        }
        out.emit(Event::GroupStarting { group: self.name(ground.config), term: self.term });
        self.running = Running::Starting { since: ground.now, permit };
        self.yielded = false;
    }

    /// Keep what was found running after a restart.
    pub(super) fn adopt(&mut self, ground: &Ground<'_>, permit: Permit, out: &mut Outbox) {
        self.term = permit.term();
        self.highest = self.highest.max(self.term);
        out.emit(Event::GroupAdopted { group: self.name(ground.config), term: self.term });
        self.running = Running::Started { since: ground.now, permit };
        for resource in &mut self.resources {
            resource.started(ground.now, ground.config.resource(resource.id));
        }
    }

    /// Begin to stop it. `urgent`: addresses go at once, without their agents.
    pub(super) fn release(&mut self, ground: &Ground<'_>, because: StopReason, out: &mut Outbox) {
        let ends = match self.running {
            Running::Stopping { .. } | Running::Blocked => true,
            Running::Claiming { .. } => {
                self.withdraw();
                return;
            }
            Running::Stopped
            | Running::Unknown
            | Running::Starting { .. }
            | Running::Started { .. } => false,
        };
        let urgent = match because {
            StopReason::Isolated { .. }
            | StopReason::Paused { .. }
            | StopReason::BothActive { .. }
            | StopReason::AddressTwice { .. } => true,
            StopReason::Moves { .. }
            | StopReason::Leaving
            | StopReason::Failed { .. }
            | StopReason::TooLate
            | StopReason::Leftover { .. } => false,
        };
        if urgent {
            for resource in &mut self.resources {
                if resource.may_have_address(ground.config.resource(resource.id)) {
                    resource.drop_address(out);
                }
            }
        }
        if ends {
            return;
        }
        self.restarting = None;
        out.emit(Event::GroupStopping { group: self.name(ground.config), because });
        self.running = Running::Stopping { since: ground.now };
    }

    /// Stop what was found running of it.
    pub(super) fn clear(&mut self, ground: &Ground<'_>, out: &mut Outbox) {
        let found = self.resources.iter().filter(|resource| resource.may_run());
        let name = |resource: &LocalResource| ground.config.resource(resource.id).name.clone();
        let resources = found.map(name).collect();
        self.release(ground, StopReason::Leftover { resources }, out);
    }

    /// Whether it is being started, and an address of it is still to come.
    pub(super) fn awaits_address(&self, config: &Config) -> bool {
        let to_come = |resource: &LocalResource| {
            config.resource(resource.id).address.is_some() && !resource.may_run()
        };
        matches!(self.running, Running::Starting { .. }) && self.resources.iter().any(to_come)
    }

    /// Whether it has something that must be gone before a peer acts: it is held, or an address is left of it.
    pub(super) fn has_to_let_go(&self, config: &Config) -> bool {
        let has_address =
            |resource: &LocalResource| resource.may_have_address(config.resource(resource.id));
        match self.running {
            Running::Starting { .. } | Running::Started { .. } => true,
            Running::Stopping { .. } | Running::Blocked => self.resources.iter().any(has_address),
            Running::Unknown | Running::Stopped | Running::Claiming { .. } => false,
        }
    }

    /// Whether everything has been looked at. `None`: not yet; otherwise how many of its resources run.
    pub(super) fn probed(&self) -> Option<usize> {
        let unknown =
            self.resources.iter().any(|resource| matches!(resource.doing, Doing::Unknown(_)));
        (!unknown).then(|| self.resources.iter().filter(|resource| resource.may_run()).count())
    }

    /// Bring its resources one step nearer to what is wanted, and look after those that run.
    pub(super) fn advance(&mut self, ground: &Ground<'_>, out: &mut Outbox) {
        match self.failure {
            Some(Failure::Soft { until }) if ground.now >= until => self.failure = None,
            Some(Failure::NoAgent { until })
                if ground.now >= until && self.running == Running::Stopped =>
            {
                for resource in self.resources.iter_mut().filter(|resource| resource.no_agent) {
                    resource.look_again(ground.config.resource(resource.id), out);
                }
            }
            Some(Failure::Soft { .. } | Failure::NoAgent { .. } | Failure::Hard) | None => {}
        }
        match &self.running {
            Running::Unknown => self.look(ground, out),
            Running::Stopped | Running::Claiming { .. } => {}
            Running::Starting { since, permit } => {
                let (since, permit) = (*since, permit.clone());
                let bound = self.bound(ground, &permit);
                if self.bring_up(ground, bound, out) {
                    let took = ground.now - since;
                    out.emit(Event::GroupStarted {
                        group: self.name(ground.config),
                        term: self.term,
                        took,
                    });
                    self.running = Running::Started { since: ground.now, permit };
                }
                self.keep(ground, out);
            }
            Running::Started { since, permit } => {
                if ground.now - *since > RESTART_WINDOW {
                    self.failures = 0;
                }
                let permit = permit.clone();
                let bound = self.bound(ground, &permit);
                // What was begun before maintenance is brought to its end.
                let cared_for = ground.care == Care::Full || self.restarting.is_some();
                let up = cared_for && self.bring_up(ground, bound, out);
                if let Some(since) = self.restarting.take_if(|_| up) {
                    let (group, took) = (self.name(ground.config), ground.now - since);
                    out.emit(Event::GroupRestored { group, took });
                }
                self.keep(ground, out);
            }
            Running::Stopping { since } => {
                let since = *since;
                if self.bring_down(ground, out) {
                    let took = ground.now - since;
                    out.emit(Event::GroupStopped { group: self.name(ground.config), took });
                    self.running = Running::Stopped;
                    self.term = Term::default();
                }
            }
            Running::Blocked => {
                for resource in self.resources.iter_mut().filter(|resource| resource.is_blocked()) {
                    resource.probe(ground.now, ground.config.resource(resource.id), out);
                }
            }
        }
    }

    fn look(&mut self, ground: &Ground<'_>, out: &mut Outbox) {
        // One at a time: a machine with many groups is not buried under probes at its start.
        let busy = |resource: &LocalResource| matches!(resource.doing, Doing::Unknown(Some(_)));
        if self.resources.iter().any(busy) {
            return;
        }
        let next = self
            .resources
            .iter_mut()
            .find(|resource| matches!(resource.doing, Doing::Unknown(None)));
        if let Some(next) = next {
            next.probe(ground.now, ground.config.resource(next.id), out);
        }
    }

    /// Until when a start that is asked for now may take effect: the first by its permit, the others as long as what runs
    /// may be held; and nothing later than a deadtime from now, for a node that stands still may lose its right meanwhile.
    /// Where all of it ended and is to be restarted nothing shows a peer's guard that it is held: so only for as long as
    /// no peer acts.
    fn bound(&self, ground: &Ground<'_>, permit: &Permit) -> Instant {
        let at_most = ground.now + ground.config.timing.deadtime;
        if self.resources.iter().any(LocalResource::is_started) {
            ground.holds_until.unwrap_or(at_most)
        } else if matches!(self.running, Running::Started { .. }) {
            ground.peers_wait.unwrap_or(at_most).max(permit.until())
        } else {
            permit.until()
        }
    }

    /// Whether all of it runs.
    fn bring_up(&mut self, ground: &Ground<'_>, bound: Instant, out: &mut Outbox) -> bool {
        for resource in &mut self.resources {
            let spec = ground.config.resource(resource.id);
            match resource.doing {
                Doing::Started => continue,
                // One action at a time: its answer comes first.
                Doing::Stopped if resource.monitor.is_some() => resource.cut_short(out),
                Doing::Stopped => resource.start(spec, self.term, bound, ground.lease, out),
                Doing::Failed => {
                    resource.stop(spec, self.term, out);
                }
                Doing::Unknown(_) | Doing::Starting(_) | Doing::Stopping(_) | Doing::Blocked(_) => {
                }
            }
            return false;
        }
        true
    }

    /// Whether all of it is stopped.
    fn bring_down(&mut self, ground: &Ground<'_>, out: &mut Outbox) -> bool {
        for resource in self.resources.iter_mut().rev() {
            if !resource.stop(ground.config.resource(resource.id), self.term, out) {
                return false;
            }
        }
        true
    }

    fn lease(&self, ground: &Ground<'_>) -> Option<LeaseTerms> {
        let not_after = ground.holds_until.unwrap_or(ground.now + ground.lease);
        let (length, leeway, lifetime) = (ground.lease, ground.leeway, lifetime(ground.care));
        (not_after > ground.now).then_some(LeaseTerms { lifetime, length, not_after, leeway })
    }

    fn keep(&mut self, ground: &Ground<'_>, out: &mut Outbox) {
        let (lease, term) = (self.lease(ground), self.term);
        for resource in &mut self.resources {
            let spec = ground.config.resource(resource.id);
            match (ground.care, lease) {
                (Care::Full, _) => resource.keep(ground.now, spec, lease, term, out),
                (Care::HandsOff | Care::InForce, Some(terms)) => {
                    resource.renew(ground.now, spec, terms, out);
                }
                (Care::HandsOff | Care::InForce, None) => {}
            }
        }
    }

    /// Maintenance is over: what is here is looked at before anything else is believed of it.
    pub(super) fn look_over(&mut self, ground: &Ground<'_>, out: &mut Outbox) {
        self.left_alone = false;
        for resource in &mut self.resources {
            match self.running {
                Running::Unknown => resource.forget(),
                Running::Stopped => {
                    resource.look_again(ground.config.resource(resource.id), out);
                }
                Running::Claiming { .. }
                | Running::Starting { .. }
                | Running::Started { .. }
                | Running::Stopping { .. }
                | Running::Blocked => {
                    resource.look_now(ground.now);
                    resource.renew_now(ground.now);
                }
            }
        }
    }

    /// How long the kernel keeps its addresses is to change.
    pub(super) fn renew_now(&mut self, ground: &Ground<'_>) {
        self.resources.iter_mut().for_each(|resource| resource.renew_now(ground.now));
    }

    /// Whether nothing is being done about it here.
    pub(super) fn is_at_rest(&self) -> bool {
        match self.running {
            Running::Stopped | Running::Blocked => true,
            Running::Unknown => self.probed().is_some(),
            Running::Started { .. } => self.restarting.is_none(),
            Running::Claiming { .. } | Running::Starting { .. } | Running::Stopping { .. } => false,
        }
    }

    /// When [`advance`](Self::advance) has something to do next.
    pub(super) fn next(&self, ground: &Ground<'_>) -> Option<Instant> {
        let may_renew = self.lease(ground).is_some();
        let failure = self.failure.and_then(|failure| match failure {
            Failure::Soft { until } => Some(until),
            // Answers are awaited, or it cannot be tried now.
            Failure::NoAgent { .. }
                if self.running != Running::Stopped
                    || self.resources.iter().any(|resource| resource.monitor.is_some()) =>
            {
                None
            }
            Failure::NoAgent { until } => Some(until),
            Failure::Hard => None,
        });
        let live = match self.running {
            Running::Started { .. } | Running::Starting { .. } => {
                let next = |resource: &LocalResource| {
                    let spec = ground.config.resource(resource.id);
                    match ground.care {
                        Care::Full => resource.next(spec, may_renew),
                        Care::HandsOff | Care::InForce if may_renew => {
                            resource.next_renewal(spec, lifetime(ground.care))
                        }
                        Care::HandsOff | Care::InForce => None,
                    }
                };
                self.resources.iter().filter_map(next).min()
            }
            Running::Blocked => {
                self.resources.iter().filter_map(LocalResource::next_blocked_probe).min()
            }
            // These wait for answers alone.
            Running::Unknown
            | Running::Stopped
            | Running::Claiming { .. }
            | Running::Stopping { .. } => None,
        };
        failure.into_iter().chain(live).min()
    }
}

/// How long the kernel is to keep addresses.
fn lifetime(care: Care) -> Lifetime {
    match care {
        Care::Full | Care::HandsOff => Lifetime::Leased,
        Care::InForce => Lifetime::Endless,
    }
}
