//! One resource on this node: which action runs, what came of it, and, for an address, its lease and announcements.
//!
//! ```text
//!  Unknown ──probe──▶ Stopped ──start──▶ Starting ──▶ Started ──monitor fails──▶ Failed
//!     │                  ▲                   │            │                         │
//!     └─runs─▶ Started   └──── Stopping ◀────┴── stop ────┴─────────────────────────┘
//!                                 └── stop fails ──▶ Blocked ── seen stopped ──▶ Stopped
//! ```

use std::time::Duration;

use super::io::{OpId, Output};
use super::outbox::{Asked, Outbox};
use super::snapshot::ResourceState;
use super::time::Instant;
use crate::agent::Action;
use crate::config::{Resource, ResourceId};
use crate::wire::{Mac, Term};

/// What a resource does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// Not looked at yet; with the probe that looks.
    Unknown(Option<OpId>),
    /// It does not run.
    Stopped,
    /// Its start runs.
    Starting(OpId),
    /// It runs.
    Started,
    /// It does not work, and something of it may run.
    Failed,
    /// Its stop runs.
    Stopping(OpId),
    /// Its stop failed; with the probe that looks whether it stopped after all.
    Blocked(Option<OpId>),
}

/// When an address is told of after it came here: at once, then on a back-off, then now and then.
const ANNOUNCEMENTS: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(20),
];
/// How often it is told of after that: caches of switches and neighbours forget.
const REFRESH: Duration = Duration::from_secs(60);
/// How often an address is defended against another machine: two of them would keep each other busy for ever.
const DEFENCE: Duration = Duration::from_secs(1);
/// Words of another machine belong together if no more time lies between two of them.
const CONFLICT: Duration = Duration::from_secs(5);
/// A machine that stood still and goes on may answer for an address for a moment before it lets go of it.
const STALE_WORD: Duration = Duration::from_millis(500);
/// How often a blocked resource is looked at.
const BLOCKED_PROBE: Duration = Duration::from_secs(10);

/// A resource on this node.
#[derive(Debug)]
pub(super) struct LocalResource {
    pub(super) id: ResourceId,
    pub(super) doing: Doing,
    pub(super) failure: Option<String>,
    /// What its agent said when it succeeded last.
    pub(super) remark: Option<String>,
    /// A monitor that runs.
    pub(super) monitor: Option<OpId>,
    /// The former monitor took too long.
    pub(super) slow: bool,
    /// Its agent could not be executed when it was tried last.
    pub(super) no_agent: bool,
    next_look: Instant,
    renewal: Option<(OpId, Lifetime)>,
    /// How long the kernel keeps its address, where it may be here; `None`: not known.
    lifetime: Option<Lifetime>,
    next_renewal: Instant,
    announced: usize,
    next_announcement: Instant,
    cancelled: bool,
    /// Its address was removed without its agent.
    dropped: bool,
    defended: Option<Instant>,
    /// Since when it runs.
    up_since: Instant,
    /// The machine that says that it has the address too.
    conflict: Option<Conflict>,
}

/// Another machine says that it has the address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conflict {
    pub(super) mac: Mac,
    /// This machine's own.
    here: Option<Mac>,
    since: Instant,
    pub(super) last: Instant,
}

/// How long the kernel keeps an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// For a lease that has to be renewed.
    Leased,
    /// Until somebody removes it: in maintenance.
    Endless,
}

/// What an address needs: how long the kernel keeps it, until when it may be held, how early it may be renewed.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeaseTerms {
    pub(super) lifetime: Lifetime,
    /// Of a lease.
    pub(super) length: Duration,
    pub(super) not_after: Instant,
    pub(super) leeway: Duration,
}

impl LocalResource {
    pub(super) fn new(id: ResourceId) -> Self {
        Self {
            id,
            doing: Doing::Unknown(None),
            failure: None,
            remark: None,
            monitor: None,
            slow: false,
            no_agent: false,
            next_look: Instant::ZERO,
            renewal: None,
            lifetime: Some(Lifetime::Leased),
            next_renewal: Instant::ZERO,
            announced: 0,
            next_announcement: Instant::ZERO,
            cancelled: false,
            dropped: false,
            defended: None,
            up_since: Instant::ZERO,
            conflict: None,
        }
    }

    /// Ask its agent for something. `right`: for a start, until when it may take effect, and how long the kernel keeps what
    /// it adds.
    fn agent(
        &self,
        spec: &Resource,
        action: Action,
        term: Term,
        right: Option<(Instant, Duration)>,
        out: &mut Outbox,
    ) -> OpId {
        let not_after = right.map(|(bound, _)| bound);
        let lease = right.map(|(_, lease)| lease).filter(|_| spec.address.is_some());
        let timeout = match action {
            Action::Start => spec.timeout.start,
            Action::Stop => spec.timeout.stop,
            Action::Monitor | Action::ValidateAll | Action::MetaData => spec.timeout.monitor,
        };
        let resource = self.id;
        out.ask(Asked::Agent { resource, action }, |op| Output::RunAgent {
            op,
            resource,
            action,
            timeout,
            not_after,
            term,
            lease,
        })
    }

    /// Look whether it runs, where that is not known.
    pub(super) fn probe(&mut self, now: Instant, spec: &Resource, out: &mut Outbox) {
        let due = match self.doing {
            Doing::Unknown(None) => true,
            Doing::Blocked(None) => now >= self.next_look,
            Doing::Unknown(Some(_)) | Doing::Blocked(Some(_)) => false,
            Doing::Stopped
            | Doing::Starting(_)
            | Doing::Started
            | Doing::Failed
            | Doing::Stopping(_) => false,
        };
        if due {
            self.next_look = now + BLOCKED_PROBE;
            let op = self.agent(spec, Action::Monitor, Term::default(), None, out);
            self.doing = if self.doing == Doing::Unknown(None) {
                Doing::Unknown(Some(op))
            } else {
                Doing::Blocked(Some(op))
            };
        }
    }

    /// Start it.
    pub(super) fn start(
        &mut self,
        spec: &Resource,
        term: Term,
        bound: Instant,
        lease: Duration,
        out: &mut Outbox,
    ) {
        self.doing =
            Doing::Starting(self.agent(spec, Action::Start, term, Some((bound, lease)), out));
        self.cancelled = false;
        self.dropped = false;
        self.lifetime = Some(Lifetime::Leased);
    }

    /// It was looked at for the first time: how long the kernel keeps an address that is there nobody knows.
    pub(super) fn found(&mut self) {
        self.lifetime = None;
    }

    /// Bring it nearer to being stopped. Whether it is.
    pub(super) fn stop(&mut self, spec: &Resource, term: Term, out: &mut Outbox) -> bool {
        let running = match self.doing {
            Doing::Stopped => return true,
            Doing::Starting(op) => Some(op),
            Doing::Started | Doing::Failed => self.monitor,
            Doing::Unknown(_) | Doing::Stopping(_) | Doing::Blocked(_) => return false,
        };
        match running {
            // One action at a time: what runs is cut short, and the stop follows its answer.
            Some(op) => self.kill(op, out),
            None => {
                self.doing = Doing::Stopping(self.agent(spec, Action::Stop, term, None, out));
            }
        }
        false
    }

    fn kill(&mut self, op: OpId, out: &mut Outbox) {
        if !self.cancelled {
            self.cancelled = true;
            out.push(Output::KillAgent { op });
        }
    }

    /// Look whether it is still stopped.
    pub(super) fn look_again(&mut self, spec: &Resource, out: &mut Outbox) {
        if self.doing == Doing::Stopped && self.monitor.is_none() {
            self.monitor = Some(self.agent(spec, Action::Monitor, Term::default(), None, out));
        }
    }

    /// Let its monitor go.
    pub(super) fn cut_short(&mut self, out: &mut Outbox) {
        if let Some(op) = self.monitor {
            self.kill(op, out);
        }
    }

    /// It runs from now on.
    pub(super) fn started(&mut self, now: Instant, spec: &Resource) {
        self.doing = Doing::Started;
        self.up_since = now;
        self.conflict = None;
        self.slow = false;
        self.next_look = spec.monitor.map_or(now, |interval| now + interval);
        self.next_renewal = now;
        self.announce_again(now);
    }

    /// Tell of its address again, from the beginning of the back-off.
    pub(super) fn announce_again(&mut self, now: Instant) {
        self.announced = 0;
        self.next_announcement = now + ANNOUNCEMENTS.first().copied().unwrap_or(REFRESH);
    }

    /// Tell of its address at once and again.
    pub(super) fn announce_now(&mut self, now: Instant, out: &mut Outbox) {
        out.push(Output::Announce { resource: self.id });
        self.announced = 1;
        self.next_announcement = now + ANNOUNCEMENTS.get(1).copied().unwrap_or(REFRESH);
    }

    /// Another machine says that it has the address: tell of it again, unless that was done a moment ago. Whether it was.
    pub(super) fn defend(&mut self, now: Instant, out: &mut Outbox) -> bool {
        let due = self.defended.is_none_or(|at| now - at >= DEFENCE);
        if due {
            self.defended = Some(now);
            self.announce_now(now, out);
        }
        due
    }

    /// Another machine says that it has the address too.
    pub(super) fn conflicts(&mut self, now: Instant, mac: Mac, here: Option<Mac>) {
        let known = self.conflict.filter(|known| known.mac == mac && now - known.last <= CONFLICT);
        self.conflict =
            Some(Conflict { mac, here, since: known.map_or(now, |known| known.since), last: now });
    }

    /// A machine that says so now and has for longer than a stale word could last, this one as it knows it, and whether that
    /// began soon after this resource did.
    pub(super) fn lasting_conflict(
        &self,
        now: Instant,
        soon: Duration,
    ) -> Option<(Mac, Mac, bool)> {
        let conflict = self.conflict.filter(|known| known.last - known.since >= STALE_WORD)?;
        if !self.is_started() || now - conflict.last > STALE_WORD {
            return None;
        }
        Some((conflict.mac, conflict.here?, conflict.since <= self.up_since + soon))
    }

    /// The machine that said so last, not long ago.
    pub(super) fn recent_conflict(&self, now: Instant) -> Option<Conflict> {
        self.conflict.filter(|known| self.is_started() && now - known.last <= REFRESH * 2)
    }

    /// Whether a monitor's answer is awaited no longer.
    pub(super) fn looked(&mut self) {
        self.monitor = None;
        self.cancelled = false;
    }

    /// Look at once, as after a slow monitor or when its address vanished.
    pub(super) fn look_now(&mut self, now: Instant) {
        self.next_look = now;
    }

    /// Renew at once.
    pub(super) fn renew_now(&mut self, now: Instant) {
        self.next_renewal = now;
    }

    /// A renewal's answer came; `done`: the address is here, and has the lifetime that was asked for.
    pub(super) fn renewed(&mut self, done: bool) {
        let asked = self.renewal.take().map(|(_, lifetime)| lifetime);
        if done {
            self.lifetime = asked;
        }
    }

    /// Whether an address of it would be gone by itself if this daemon died.
    pub(super) fn is_leased(&self, spec: &Resource) -> bool {
        spec.address.is_none() || !self.may_run() || self.lifetime == Some(Lifetime::Leased)
    }

    /// Whether an address of it that runs here stays if this daemon ends.
    pub(super) fn is_endless(&self, spec: &Resource) -> bool {
        spec.address.is_none()
            || self.doing != Doing::Started
            || self.lifetime == Some(Lifetime::Endless)
    }

    /// Look at it as if nothing were known of it.
    pub(super) fn forget(&mut self) {
        if !matches!(self.doing, Doing::Unknown(Some(_))) {
            self.doing = Doing::Unknown(None);
        }
    }

    /// Keep its address here: renew its lease, or see that it needs none.
    pub(super) fn renew(
        &mut self,
        now: Instant,
        spec: &Resource,
        LeaseTerms { lifetime, length, not_after, leeway }: LeaseTerms,
        out: &mut Outbox,
    ) {
        if self.next_renewal(spec, lifetime).is_none_or(|due| now + leeway < due) {
            return;
        }
        self.next_renewal = now + length / 2;
        let resource = self.id;
        let lease = match lifetime {
            Lifetime::Leased => Some(length),
            Lifetime::Endless => {
                self.lifetime = None;
                None
            }
        };
        let renew = |op| Output::RenewAddress { op, resource, lease, not_after };
        self.renewal = Some((out.ask(Asked::Renew { resource }, renew), lifetime));
    }

    /// What a running resource needs now and then: monitor, renewal, announcements.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        spec: &Resource,
        lease: Option<LeaseTerms>,
        term: Term,
        out: &mut Outbox,
    ) {
        if self.doing != Doing::Started {
            return;
        }
        if let Some(interval) = spec.monitor
            && self.monitor.is_none()
            && now >= self.next_look
        {
            self.next_look = now + interval;
            self.monitor = Some(self.agent(spec, Action::Monitor, term, None, out));
        }
        if spec.address.is_none() {
            return;
        }
        if let Some(terms) = lease {
            self.renew(now, spec, terms, out);
        }
        if now >= self.next_announcement {
            out.push(Output::Announce { resource: self.id });
            self.announced = (self.announced + 1).min(ANNOUNCEMENTS.len());
            self.next_announcement =
                now + ANNOUNCEMENTS.get(self.announced).copied().unwrap_or(REFRESH);
        }
    }

    /// When [`keep`](Self::keep) has something to do next. `may_renew`: whether there is a right to.
    pub(super) fn next(&self, spec: &Resource, may_renew: bool) -> Option<Instant> {
        match self.doing {
            Doing::Started => {
                let monitor =
                    (spec.monitor.is_some() && self.monitor.is_none()).then_some(self.next_look);
                let renewal = (may_renew && self.renewal.is_none()).then_some(self.next_renewal);
                let address =
                    spec.address.as_ref().map(|_| renewal.unwrap_or(self.next_announcement));
                let address = address.map(|at| at.min(self.next_announcement));
                monitor.into_iter().chain(address).min()
            }
            Doing::Unknown(_)
            | Doing::Blocked(_)
            | Doing::Stopped
            | Doing::Starting(_)
            | Doing::Failed
            | Doing::Stopping(_) => None,
        }
    }

    /// When [`renew`](Self::renew) has something to do next, where nothing else is to be done.
    pub(super) fn next_renewal(&self, spec: &Resource, wanted: Lifetime) -> Option<Instant> {
        let done = wanted == Lifetime::Endless && self.lifetime == Some(Lifetime::Endless);
        let idle = self.doing == Doing::Started && spec.address.is_some() && self.renewal.is_none();
        (idle && !done).then_some(self.next_renewal)
    }

    /// When a blocked one is to be looked at next.
    pub(super) fn next_blocked_probe(&self) -> Option<Instant> {
        matches!(self.doing, Doing::Blocked(None)).then_some(self.next_look)
    }

    /// Whether its stop failed.
    pub(super) fn is_blocked(&self) -> bool {
        matches!(self.doing, Doing::Blocked(_))
    }

    /// Whether it runs.
    pub(super) fn is_started(&self) -> bool {
        self.doing == Doing::Started
    }

    /// Whether an address of it may be on this machine, and was not dropped since it was started.
    pub(super) fn may_have_address(&self, spec: &Resource) -> bool {
        spec.address.is_some() && self.may_run() && !self.dropped
    }

    /// Remove its address at once, without its agent.
    pub(super) fn drop_address(&mut self, out: &mut Outbox) {
        let resource = self.id;
        out.ask(Asked::Drop { resource }, |op| Output::DropAddress { op, resource });
        self.dropped = true;
    }

    /// Whether something of it may run.
    pub(super) fn may_run(&self) -> bool {
        match self.doing {
            Doing::Stopped => false,
            Doing::Unknown(_)
            | Doing::Starting(_)
            | Doing::Started
            | Doing::Failed
            | Doing::Stopping(_)
            | Doing::Blocked(_) => true,
        }
    }

    /// The word for status.
    pub(super) fn state(&self) -> ResourceState {
        match self.doing {
            Doing::Unknown(_) => ResourceState::Unknown,
            Doing::Stopped => ResourceState::Stopped,
            Doing::Starting(_) => ResourceState::Starting,
            Doing::Started => ResourceState::Started,
            Doing::Failed => ResourceState::Failed,
            Doing::Stopping(_) => ResourceState::Stopping,
            Doing::Blocked(_) => ResourceState::Blocked,
        }
    }
}
