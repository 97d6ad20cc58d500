//! P2, exactly: when two machines may not hold the addresses of one group, and when the level in force does not promise
//! that. Judged at the moment at which the second address appears, by what truly happened since the node that claimed
//! the group last had its newest round trip with the other one ("since").
//!
//! It is always promised, at every level, where that node had a round trip within deadtime when it claimed. Otherwise:
//!
//! | level | promised unless |
//! |---|---|
//! | `none` | silence alone counts: not promised |
//! | `ping` | both nodes reached the ping node at some moment since (later than the failure's own moment), or the other one's daemon was dead or frozen: its address then stays for the rest of its lease |
//! | `arp` | the service network parted the two since, or the other one was suspended as a whole: nobody answers a probe; or they raced, see `raced` |
//! | `ping+arp` | both of these hold; where the service network parted the two, it did while both reached the ping node |
//!
//! A node that claims without ever having met the other one has probed the address at every level: then it is promised
//! with the exceptions of `arp`.
//!
//! A machine that was suspended may hold for a moment after it goes on, until its daemon has come round (P5). Two that
//! hold by one of these exceptions must resolve it soon after every link between them works again.

use std::collections::BTreeMap;
use std::time::Duration;

use lubdub::config::{GroupId, LinkId, NodeId};

use crate::audit::Audit;
use crate::network::Broken;
use crate::options::NAMES;
use crate::time::Moment;
use crate::world::World;

/// A condition that comes and goes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    since: Option<Moment>,
    ended: Option<Moment>,
}

impl Span {
    fn set(&mut self, now: Moment, holds: bool) {
        match (holds, self.since) {
            (true, None) => self.since = Some(now),
            (false, Some(since)) if since == now => self.since = None,
            (false, Some(_)) => (self.since, self.ended) = (None, Some(now)),
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// Whether it held at any moment after `from` and before `until`.
    fn between(&self, from: Moment, until: Moment) -> bool {
        self.since.is_some_and(|since| since < until)
            || self.ended.is_some_and(|ended| ended > from)
    }
}

/// A node's claim on a group.
#[derive(Debug, Clone)]
pub struct Claim {
    pub at: Moment,
    /// For each node: since when there was no round trip with it, and whether there ever was one.
    pub silent_since: Vec<(Moment, bool)>,
}

/// Two machines that hold one group.
#[derive(Debug, Clone, Copy)]
struct Overlap {
    /// It must be over by then, wherever the pair stands.
    until: Option<Moment>,
    began: Moment,
}

/// What this audit remembers.
#[derive(Debug, Default)]
pub struct NeverTwo {
    claims: BTreeMap<(NodeId, GroupId), Claim>,
    overlaps: BTreeMap<(GroupId, NodeId, NodeId), Overlap>,
    /// When each machine first held each group after its newest start of it.
    appeared: BTreeMap<(NodeId, GroupId), Moment>,
    /// Both reach the ping node.
    both_ping: BTreeMap<(NodeId, NodeId), Span>,
    /// The service network does not join them.
    parted: BTreeMap<(NodeId, NodeId), Span>,
    /// It does not, while both reach the ping node.
    parted_pinging: BTreeMap<(NodeId, NodeId), Span>,
    /// Everything between them works.
    joined: BTreeMap<(NodeId, NodeId), Span>,
    /// No daemon attends, though the machine is awake.
    unattended: BTreeMap<NodeId, Span>,
    /// The machine is suspended, or without power.
    asleep: BTreeMap<NodeId, Span>,
    pub woken: BTreeMap<NodeId, Moment>,
}

impl NeverTwo {
    pub fn claimed(&mut self, node: NodeId, group: GroupId, claim: Claim) {
        self.claims.insert((node, group), claim);
    }

    /// What it claimed it now brings up, and has not yet.
    pub fn starts(&mut self, node: NodeId, group: GroupId) {
        self.appeared.remove(&(node, group));
    }
}

impl World {
    /// Look at who can reach whom, after something about that changed.
    pub fn survey(&mut self) {
        let now = self.now;
        let nodes: Vec<NodeId> = self.nodes().collect();
        for a in nodes.iter().copied() {
            let (attends, awake) = (self.machine(a).attends(), self.machine(a).awake());
            let watch = &mut self.auditor.never_two;
            watch.unattended.entry(a).or_default().set(now, awake && !attends);
            watch.asleep.entry(a).or_default().set(now, !awake);
            for b in nodes.iter().copied().filter(|b| *b > a) {
                let both_ping = [a, b]
                    .into_iter()
                    .all(|node| self.machine(node).attends() && self.network.pings(node));
                let parted = !self.network.service_joins(a, b);
                let joined = self.works_between(a, b);
                let watch = &mut self.auditor.never_two;
                watch.both_ping.entry((a, b)).or_default().set(now, both_ping);
                watch.parted.entry((a, b)).or_default().set(now, parted);
                let parted_pinging = parted && both_ping;
                watch.parted_pinging.entry((a, b)).or_default().set(now, parted_pinging);
                watch.joined.entry((a, b)).or_default().set(now, joined);
            }
        }
    }

    /// Whether everything between two nodes works.
    fn works_between(&self, a: NodeId, b: NodeId) -> bool {
        let weather = self.network.weather;
        let attended = [a, b].into_iter().all(|node| self.machine(node).attends());
        let fine = weather.lost == 0 && weather.held_up == 0;
        let paths = (0..self.options.links).map(LinkId).all(|link| {
            let ways = [Broken::Way { link, from: a, to: b }, Broken::Way { link, from: b, to: a }];
            let ends = [Broken::Interface { node: a, link }, Broken::Interface { node: b, link }];
            ways.into_iter().chain(ends).all(|path| !self.network.is_broken(path))
        });
        let pages = [Broken::Pages { from: a, to: b }, Broken::Pages { from: b, to: a }];
        let fine = fine && pages.into_iter().all(|pages| !self.network.is_broken(pages));
        attended && fine && paths
    }

    /// Look for two machines that hold one group.
    pub fn audit(&mut self) {
        let changed = std::mem::take(&mut self.auditor.truth_changed);
        if !changed && self.auditor.never_two.overlaps.is_empty() {
            return;
        }
        for group in self.configs[0].group_ids().collect::<Vec<_>>() {
            let holders = self.holders(group);
            for node in holders.iter().copied() {
                self.auditor.never_two.appeared.entry((node, group)).or_insert(self.now);
            }
            self.forget_overlaps(group);
            for (place, a) in holders.iter().enumerate() {
                for b in &holders[place + 1..] {
                    self.overlap(group, *a, *b);
                }
            }
        }
    }

    fn forget_overlaps(&mut self, group: GroupId) {
        let holds = |node: NodeId| {
            let machine = self.machine(node);
            machine.suspended || machine.holds(group)
        };
        let overlaps = self.auditor.never_two.overlaps.keys().copied();
        let over: Vec<_> =
            overlaps.filter(|(other, a, b)| *other == group && !(holds(*a) && holds(*b))).collect();
        for key in over {
            self.auditor.never_two.overlaps.remove(&key);
        }
    }

    fn overlap(&mut self, group: GroupId, a: NodeId, b: NodeId) {
        let (now, key) = (self.now, (group, a, b));
        let name = |node: NodeId| NAMES[usize::from(node.0)];
        let words =
            format!("{} and {} both hold {}", name(a), name(b), self.configs[0].group(group).name);
        let Some(overlap) = self.auditor.never_two.overlaps.get(&key).copied() else {
            let until = match self.excuse(group, a, b) {
                Some(Excuse::Unpromised) => None,
                Some(Excuse::Woken(until)) => Some(until),
                None => return self.breach(Audit::NeverTwo, words),
            };
            self.tally.count("two held beyond the promise");
            self.narrate(|| format!("{words}: beyond what the level promises (until {until:?})"));
            self.auditor.never_two.overlaps.insert(key, Overlap { until, began: now });
            return;
        };
        if overlap.until.is_some_and(|until| now > until) {
            self.breach(Audit::NeverTwo, format!("{words} though it woke long enough ago"));
        }
        // What has no address ends only when its agent ends it.
        let bounded = self.has_address(group)
            || [a, b].into_iter().all(|node| self.machine(node).unruly.is_none());
        let joined = self.auditor.never_two.joined.get(&(a, b)).and_then(|span| span.since);
        if bounded
            && joined
                .is_some_and(|since| now.since(since.max(overlap.began)) > self.resolves_within())
        {
            self.breach(Audit::NeverTwo, format!("{words} though they can talk about it"));
        }
    }

    fn has_address(&self, group: GroupId) -> bool {
        self.configs[0].group(group).resources.iter().any(|resource| resource.address.is_some())
    }

    /// Two that hold and hear each other have settled it by then.
    fn resolves_within(&self) -> Duration {
        let timing = self.options.timing;
        timing.initdead + timing.deadtime * 4 + Duration::from_secs(1)
    }

    /// Why these two may hold a group at the same time, if anything excuses it.
    fn excuse(&self, group: GroupId, a: NodeId, b: NodeId) -> Option<Excuse> {
        let watch = &self.auditor.never_two;
        let claim = |node| watch.claims.get(&(node, group));
        let at = |node| claim(node).map(|claim| claim.at);
        let (taker, holder) = if at(a) > at(b) { (a, b) } else { (b, a) };
        let woken = [a, b].into_iter().filter_map(|node| watch.woken.get(&node).copied()).max();
        let moment = Duration::from_millis(4) + self.options.lateness * 4;
        let woken = woken.filter(|woken| self.now.since(*woken) <= moment);
        let until = woken.unwrap_or(self.now);
        if let Some(claim) = claim(taker)
            && self.is_unpromised(group, taker, holder, claim, until)
        {
            return Some(Excuse::Unpromised);
        }
        woken.map(|woken| Excuse::Woken(woken + moment))
    }

    /// Whether the level in force does not promise that this taker leaves this holder alone.
    fn is_unpromised(
        &self,
        group: GroupId,
        taker: NodeId,
        holder: NodeId,
        claim: &Claim,
        until: Moment,
    ) -> bool {
        let watch = &self.auditor.never_two;
        let deadtime = self.options.timing.deadtime;
        let pair = (taker.min(holder), taker.max(holder));
        let (since, met) = claim.silent_since[usize::from(holder.0)];
        let during =
            |span: Option<&Span>, from: Moment| span.is_some_and(|span| span.between(from, until));
        let unattended = during(watch.unattended.get(&holder), since);
        let parted = match self.options.ping && met {
            true => {
                let both = during(watch.parted_pinging.get(&pair), since);
                both || unattended && during(watch.parted.get(&pair), since)
            }
            false => during(watch.parted.get(&pair), since),
        };
        let asleep = until == self.now && during(watch.asleep.get(&holder), since);
        if !self.has_address(group) {
            // Processes outlive their daemon and are not bounded by any lease at these levels.
            let unruly =
                [taker, holder].into_iter().any(|node| self.machine(node).unruly.is_some());
            return unruly || claim.at.since(since) >= deadtime * 98 / 100;
        }
        let by_arp = parted || asleep || self.raced(group, holder, claim);
        if !met {
            return by_arp;
        }
        if claim.at.since(since) < deadtime * 98 / 100 {
            return false;
        }
        let failed = since + self.one_moment();
        let by_ping =
            !self.options.ping || during(watch.both_ping.get(&pair), failed) || unattended;
        by_ping && (!self.options.arp || by_arp)
    }

    /// Whether both brought the group up at the same time: probes see what was there when they asked, not an address that
    /// appeared after the last round trip and after (or while) they asked. Of a daemon that was not there when the other one
    /// claimed it this is no excuse: its right has ended by then.
    fn raced(&self, group: GroupId, holder: NodeId, claim: &Claim) -> bool {
        let timing = self.options.timing;
        let since = claim.silent_since[usize::from(holder.0)].0;
        let appeared =
            self.auditor.never_two.appeared.get(&(holder, group)).copied().unwrap_or(self.now);
        let unseen = appeared + (timing.deadtime - timing.warntime) > claim.at;
        let unattended = self.auditor.never_two.unattended.get(&holder);
        let died = unattended.and_then(|span| span.since);
        unseen && appeared > since && died.is_none_or(|died| died > claim.at)
    }
}

/// Why two machines may hold one group.
#[derive(Debug, Clone, Copy)]
enum Excuse {
    /// The level in force does not promise more.
    Unpromised,
    /// One of them was suspended as a whole, and has until then to notice.
    Woken(Moment),
}
