//! P3, after the storm: faults stop for the nodes that are left, and within a bound every group is on exactly one of
//! them, told to the network; then nothing moves any more.

use std::fmt::Write as _;
use std::time::Duration;

use lubdub::agent::Action;
use lubdub::cluster::guard::Doubt;
use lubdub::cluster::io::Command;
use lubdub::cluster::snapshot::ResourceState;
use lubdub::config::{GroupId, NodeId, ResourceId};

use crate::audit::{Audit, Violation};
use crate::hands::Undo;
use crate::machine::Temper;
use crate::options::NAMES;
use crate::time::Moment;
use crate::world::World;

/// A node that failed is restarted by its operator if it would not try again before this.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often the core looks whether a blocked resource has been stopped by hand, and a margin.
const BLOCKED_PROBE: Duration = Duration::from_secs(12);

/// What humans mend again and again is not mended.
const MENDED_WITHIN: Duration = Duration::from_secs(3600);

impl World {
    /// Faults end; what only a human can mend is mended by one. Returns by when all must be in its place.
    pub fn calm(&mut self, absent: Option<NodeId>) -> Moment {
        self.narrate(|| "=== faults end ===".to_owned());
        self.forget_faults();
        let mended = self.network.all_broken();
        self.mend(&mended);
        self.undo(Undo::Weather);
        self.strangers.clear();
        let mut wait = Duration::ZERO;
        for node in self.nodes() {
            for resource in self.resources() {
                if self.machine(node).state(resource).temper != Temper::Well {
                    self.set_temper(node, resource, Temper::Well);
                }
            }
            self.wake(node);
            self.thaw(node);
            if Some(node) == absent {
                self.power_off(node);
            } else {
                wait = wait.max(self.restore(node));
            }
        }
        self.changed = true;
        let timing = self.options.timing;
        // Leases of addresses are whole seconds and end up to a third late; a hung agent is killed at its time.
        let lease =
            Duration::from_secs(timing.deadtime.as_millis().div_ceil(1000).try_into().unwrap());
        let agents = Duration::from_secs(8) + self.options.agent * 20;
        self.now + timing.initdead + timing.deadtime * 20 + lease + agents + wait
    }

    /// A human looks after one machine. Returns how long what was done there may take to be noticed.
    fn restore(&mut self, node: NodeId) -> Duration {
        let mut wait = Duration::ZERO;
        // What an agent's lie hid, or an agent of a dead daemon started late, no daemon looks for.
        if self.machine(node).unruly.is_some() {
            for stray in self.seen_as(node, ResourceState::Stopped) {
                if self.machine(node).state(stray).runs
                    && !self.machine(node).state(stray).is_address
                {
                    self.tally.count("stray process");
                    self.end_resource(node, stray, "a human found it");
                }
            }
        }
        self.power_on(node);
        let lost = self.options.monitor.is_none()
            && self
                .seen_as(node, ResourceState::Started)
                .iter()
                .any(|resource| !self.machine(node).state(*resource).runs);
        let now = self.now;
        match self.machine(node).life.as_ref().map(|life| (life.ledger.ends, life.ledger.able_at)) {
            None => self.start_daemon(node),
            Some((true, _)) => {
                // It ends in its own time, and whoever started it does so again.
                for second in 1..10 {
                    self.undo_after(Duration::from_secs(second), Undo::Start(node));
                }
                wait = Duration::from_secs(10);
            }
            Some((false, None)) if !lost => {}
            Some((false, Some(able_at))) if able_at <= now + PATIENCE && !lost => {
                wait = wait.max(able_at.since(now));
            }
            Some(_) => {
                self.kill_daemon(node);
                self.undo_after(Duration::from_millis(50), Undo::Start(node));
            }
        }
        wait
    }

    /// A human stops by hand what is blocked, wherever status shows that. Whether anything still is.
    fn end_blocked(&mut self) -> bool {
        let mut any = false;
        for node in self.nodes() {
            for resource in self.seen_as(node, ResourceState::Blocked) {
                any = true;
                if self.machine(node).state(resource).runs {
                    self.end_resource(node, resource, "a human stopped it");
                    self.quiet_until = self.now + BLOCKED_PROBE;
                }
            }
        }
        any
    }

    /// A machine without power whose last word was that a stop had failed, or that it was in maintenance: only an operator can say that it is dead (P6).
    fn confirm_blocked_dead(&mut self) {
        for node in self.nodes() {
            let Some(life) = &self.machine(node).life else { continue };
            let snapshot = life.door.snapshot(life.clock.read(self.now));
            let doubts = snapshot.groups.iter().flat_map(|group| &group.doubts);
            let failed = doubts
                .filter(|(_, doubt)| matches!(doubt, Doubt::StopFailed | Doubt::Maintenance))
                .map(|(peer, _)| peer.clone());
            for peer in failed.collect::<Vec<_>>() {
                let off = self.node_named(&peer).is_some_and(|peer| !self.machine(peer).on);
                if off && self.now >= self.quiet_until {
                    self.tally.count("death confirmed");
                    self.quiet_until = self.now + Duration::from_secs(1);
                    self.command(node, Command::ConfirmDead { node: peer });
                }
            }
        }
    }

    /// Resources that a node's status shows so.
    fn seen_as(&self, node: NodeId, state: ResourceState) -> Vec<ResourceId> {
        let Some(life) = &self.machine(node).life else { return Vec::new() };
        let snapshot = life.door.snapshot(life.clock.read(self.now));
        let groups = (0_u16..).map(GroupId).zip(&snapshot.groups);
        groups
            .flat_map(|(group, view)| {
                let blocked =
                    (0_u16..).zip(&view.resources).filter(|(_, view)| view.state == state);
                blocked.map(move |(index, _)| ResourceId { group, index })
            })
            .collect()
    }

    /// An operator ends maintenance, wherever status shows it.
    fn end_maintenance(&mut self) {
        for node in self.nodes() {
            let on = self.machine(node).life.as_ref().is_some_and(|life| {
                let snapshot = life.door.snapshot(life.clock.read(self.now));
                snapshot.maintenance.is_some_and(|view| view.on)
            });
            if on {
                self.command(node, Command::Maintenance { on: false });
            }
        }
    }

    /// Operators take back every standby, that of a daemon which was not there when it was asked to as well.
    fn all_online(&mut self) {
        for node in self.nodes() {
            let stands_by = self.machine(node).life.as_ref().is_some_and(|life| {
                let snapshot = life.door.snapshot(life.clock.read(self.now));
                let own = snapshot.nodes.iter().find(|view| view.name == snapshot.node);
                own.is_some_and(|own| own.standby.is_some())
            });
            if stands_by {
                self.command(node, Command::Online { node: None });
            }
        }
    }

    /// What is not in its place.
    pub fn misplaced(&self) -> Option<String> {
        let config = &self.configs[0];
        for group in config.group_ids() {
            let name = &config.group(group).name;
            let all: Vec<_> = self.nodes().filter(|node| self.is_served_by(*node, group)).collect();
            let any: Vec<_> =
                self.nodes().filter(|node| self.machine(*node).runs_any(group)).collect();
            let names = |nodes: &[NodeId]| {
                nodes.iter().map(|node| NAMES[usize::from(node.0)]).collect::<Vec<_>>().join(", ")
            };
            if all.len() != 1 || any.len() != 1 {
                return Some(format!(
                    "{name} runs whole on [{}], in part on [{}]",
                    names(&all),
                    names(&any)
                ));
            }
        }
        None
    }

    /// All of the group runs on a machine, and a daemon looks after it.
    fn is_served_by(&self, node: NodeId, group: GroupId) -> bool {
        self.machine(node).attends() && self.machine(node).runs_all(group)
    }

    /// The group is wholly on exactly one machine.
    pub fn place_of(&self, group: GroupId) -> Option<NodeId> {
        let any: Vec<NodeId> =
            self.nodes().filter(|node| self.machine(*node).runs_any(group)).collect();
        match any.as_slice() {
            [node] if self.machine(*node).runs_all(group) => Some(*node),
            _ => None,
        }
    }

    /// Wait until all is in its place and quiet, at the latest until `bound`; then see that it stays so.
    pub fn settle(&mut self, mut bound: Moment) -> Result<(), Violation> {
        let (begin, timing) = (self.now, self.options.timing);
        let quiet = timing.deadtime * 6 + Duration::from_secs(2);
        loop {
            self.run_until(self.now + Duration::from_millis(20))?;
            self.confirm_blocked_dead();
            self.end_maintenance();
            self.all_online();
            let blocked = self.end_blocked().then(|| "something is blocked".to_owned());
            bound = bound.max(self.quiet_until);
            let wrong = self.misplaced().or(blocked);
            if wrong.is_none()
                && self.now.since(self.last_change) >= quiet
                && self.now >= begin.max(self.able_at()) + quiet
            {
                break;
            }
            if self.now > (bound.max(self.able_at()) + quiet).min(begin + MENDED_WITHIN) {
                let wrong = wrong.unwrap_or_else(|| "groups move again and again".to_owned());
                let (picture, minds) = (self.picture(), self.minds());
                self.breach(Audit::SoonOne, format!("{wrong}; {picture}{minds}"));
            }
        }
        let before = self.last_change;
        self.run_until(self.now + timing.deadtime * 10 + Duration::from_secs(2))?;
        if self.last_change > before {
            let picture = self.picture();
            self.breach(
                Audit::Settled,
                format!("something moved though nothing happened; {picture}"),
            );
        }
        self.last_words();
        self.run_until(self.now)
    }

    /// When the last of what failed somewhere may be tried again.
    fn able_at(&self) -> Moment {
        let lives = self.machines.iter().filter_map(|machine| machine.life.as_ref());
        lives.filter_map(|life| life.ledger.able_at).max().unwrap_or_default()
    }

    /// What must be true in the end.
    fn last_words(&mut self) {
        for resource in self.resources() {
            let holder = self.place_of(resource.group);
            let Some((last, life)) = self.announced.get(&resource).copied() else { continue };
            // Of one that died meanwhile, unmet, the holder knows nothing: its refresh of each minute mends that.
            if holder != Some(last) && self.machine(last).lives == life {
                let name = self.resource_name(resource);
                self.breach(
                    Audit::Announced,
                    format!("{name} is on {holder:?}, last announced by {last:?}"),
                );
            }
        }
        let open: Vec<_> =
            self.machines.iter().filter_map(|machine| machine.life.as_ref()).collect();
        let unanswered = open.iter().map(|life| life.ledger.clients.len()).sum::<usize>();
        if unanswered > 0 {
            self.breach(Audit::Requests, format!("{unanswered} commands had no reply"));
        }
    }

    /// What each daemon thinks of each group, for people.
    fn minds(&self) -> String {
        let mut words = String::new();
        for life in self.machines.iter().filter_map(|machine| machine.life.as_ref()) {
            let snapshot = life.door.snapshot(life.clock.read(self.now));
            for group in &snapshot.groups {
                let resources: Vec<_> =
                    group.resources.iter().map(|resource| resource.state).collect();
                let _ = write!(
                    words,
                    "\n  {} ({:?}) of {}: target {:?} because {:?}, holders {:?}, doubts {:?}, here {resources:?}",
                    snapshot.node,
                    snapshot.phase,
                    group.name,
                    group.target,
                    group.reason,
                    group.holders,
                    group.doubts,
                );
            }
        }
        words
    }

    /// Run until something is so. Fails the test if it is not by then.
    pub fn wait_for(
        &mut self,
        at_most: Duration,
        what: &str,
        mut so: impl FnMut(&Self) -> bool,
    ) -> Duration {
        let (begin, until) = (self.now, self.now + at_most);
        while !so(self) {
            assert!(
                self.now < until,
                "{what}: not within {at_most:?}; {}\n{}",
                self.picture(),
                self.story()
            );
            let next = self.now + Duration::from_micros(500);
            self.go(next);
        }
        self.now.since(begin)
    }

    /// Run on. Fails the test if an audit finds a breach.
    pub fn go(&mut self, until: Moment) {
        if let Err(violation) = self.run_until(until) {
            panic!("{violation}\n{}", self.story());
        }
    }

    /// Run on for a while.
    pub fn pass(&mut self, time: Duration) {
        self.go(self.now + time);
    }

    /// What happened so far.
    pub fn story(&self) -> String {
        self.trace.lines().collect::<Vec<_>>().join("\n")
    }

    /// Whether an agent is at work on a machine.
    pub fn at_work(&self, node: NodeId, action: Action) -> bool {
        self.processes
            .values()
            .any(|process| process.owner.node == node && process.action == action)
    }
}
