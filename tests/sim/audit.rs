//! The audits: what must be true after every step, whatever went wrong. They look at the true state of machines and at
//! the books beside each daemon, never at what a daemon believes of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use lubdub::cluster::guard::Evidence;
use lubdub::config::{Config, GroupId, NodeId, Timing};
use lubdub::wire::{GroupTag, Heartbeat, Incarnation, NodeTag, Term};

use crate::daemon::Who;
use crate::never_two::{Claim, NeverTwo};
use crate::options::{NAMES, Options};
use crate::time::Moment;
use crate::world::World;

/// One thing that must always hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audit {
    /// P2: no two machines hold a group's address where the level in force promises it. See `never_two.rs`.
    NeverTwo,
    /// A group starts only on evidence about every other node, and the evidence is true.
    Evidence,
    /// Started in order, stopped in reverse, one action at a time on each resource.
    Order,
    /// A term is never given twice, and rises with each new holder.
    Terms,
    /// Each request is asked and answered once, each command replied to once, nothing comes after the end.
    Requests,
    /// What comes out of one input is bounded, and within the wire's limits.
    Bounds,
    /// A timer that is not due does nothing, and one that is due settles.
    Timers,
    /// Nothing that needs a human is reported while nothing is wrong.
    Alarm,
    /// P3: once faults stop, every group runs on exactly one machine within its bound.
    SoonOne,
    /// Once everything is in its place nothing moves any more.
    Settled,
    /// The machine that holds an address is the one that told the network last.
    Announced,
}

/// An audit that did not hold.
#[derive(Debug, Clone)]
pub struct Violation {
    pub audit: Audit,
    pub at: Moment,
    pub step: u64,
    pub words: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "audit {:?} failed at {} (step {}): {}",
            self.audit, self.at, self.step, self.words
        )
    }
}

/// What the audits remember.
#[derive(Debug)]
pub struct Auditor {
    pub violation: Option<Violation>,
    /// Something started or stopped being true since the audits looked.
    pub truth_changed: bool,
    /// A fault happened in this world.
    pub faults_began: bool,
    pub never_two: NeverTwo,
    pub timing: Timing,
    ping: bool,
    arp: bool,
    latency: Duration,
    monotone_terms: bool,
    /// When each node's present life began.
    born: BTreeMap<NodeId, Moment>,
    /// When the newest datagram of the first that the second acknowledged, as the first heard, was sent.
    acknowledged: BTreeMap<(NodeId, NodeId), Moment>,
    /// The life of the second that answered a challenge of the first: what no replay can.
    proven: BTreeMap<(NodeId, NodeId), Incarnation>,
    /// When a daemon last had a true answer of the ping node.
    pongs: BTreeMap<Who, Moment>,
    consents: BTreeSet<(NodeId, GroupTag, Term)>,
    goodbyes: BTreeSet<NodeId>,
    /// Nodes that an operator truly found without power.
    pub confirmed: BTreeSet<NodeId>,
    cleared: BTreeMap<(Who, GroupId), Vec<(NodeId, Evidence)>>,
    /// When each life ended otherwise than in order.
    died: BTreeMap<Who, Moment>,
    /// Terms that were used, by whom and when.
    terms: BTreeMap<(GroupId, Term), (Who, Moment)>,
}

impl Auditor {
    pub fn new(options: &Options, config: &Config) -> Self {
        Self {
            violation: None,
            truth_changed: false,
            faults_began: false,
            never_two: NeverTwo::default(),
            timing: config.timing,
            ping: options.ping,
            arp: options.arp,
            latency: options.latency,
            monotone_terms: !options.wall_steps,
            born: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            proven: BTreeMap::new(),
            pongs: BTreeMap::new(),
            consents: BTreeSet::new(),
            goodbyes: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            cleared: BTreeMap::new(),
            died: BTreeMap::new(),
            terms: BTreeMap::new(),
        }
    }

    pub fn life_began(&mut self, who: Who, now: Moment) {
        self.born.insert(who.node, now);
        self.acknowledged.retain(|(node, _), _| *node != who.node);
        self.proven.retain(|(node, _), _| *node != who.node);
    }

    pub fn life_ended(&mut self, who: Option<Who>, now: Moment) {
        self.died.extend(who.map(|who| (who, now)));
    }

    pub fn ping_answered(&mut self, who: Who, now: Moment) {
        self.pongs.insert(who, now);
    }

    pub fn consented(&mut self, node: NodeId, group: GroupTag, term: Term) {
        self.consents.insert((node, group, term));
    }

    pub fn said_goodbye(&mut self, node: NodeId) {
        self.goodbyes.insert(node);
    }

    /// Since when a node has had no round trip with a peer, and whether it ever had one in this life.
    pub fn silent_since(&self, node: NodeId, peer: NodeId) -> (Moment, bool) {
        match self.acknowledged.get(&(node, peer)) {
            Some(at) => (*at, true),
            None => (self.born.get(&node).copied().unwrap_or_default(), false),
        }
    }
}

impl World {
    /// A daemon hears a datagram: does it acknowledge one of its own?
    pub fn note_round_trip(&mut self, to: Who, from: NodeId, heartbeat: &Heartbeat) {
        let me = NodeTag::of(NAMES[usize::from(to.node.0)]);
        let Some(echo) = heartbeat.header.echoes.iter().find(|echo| echo.node == me) else {
            return;
        };
        let (pair, peer) = ((to.node, from), heartbeat.header.incarnation);
        if echo.answer.is_some() {
            self.auditor.proven.insert(pair, peer);
        }
        let Some(life) = self.life(to) else { return };
        let heard = echo.heard.filter(|heard| heard.incarnation == life.incarnation);
        let Some(heard) = heard.filter(|_| self.auditor.proven.get(&pair) == Some(&peer)) else {
            return;
        };
        let found = life.sent.binary_search_by_key(&heard.sequence, |(sequence, _)| *sequence).ok();
        let Some((_, sent_at)) = found.and_then(|place| life.sent.get(place)).copied() else {
            return;
        };
        // A replay may acknowledge what no node remembers having sent.
        if self.now.since(sent_at) <= self.auditor.timing.deadtime * 2 {
            let newest = self.auditor.acknowledged.entry(pair).or_insert(sent_at);
            *newest = sent_at.max(*newest);
        }
    }

    /// A daemon says why it may start a group. Each reason must be true.
    pub fn note_cleared(&mut self, to: Who, group: GroupId, evidence: &[(String, Evidence)]) {
        let mut about = Vec::new();
        for (name, evidence) in evidence {
            let Some(peer) = self.node_named(name) else { continue };
            if let Some(wrong) = self.wrong_with(to, group, peer, evidence) {
                self.breach(Audit::Evidence, format!("about {name}: {wrong} ({evidence:?})"));
            }
            self.tally.count(match evidence {
                Evidence::Consent => "cleared by consent",
                Evidence::Goodbye => "cleared by goodbye",
                Evidence::Operator { .. } => "cleared by an operator",
                Evidence::Guard { .. } => "cleared by the guard",
                Evidence::Unguarded { .. } => "cleared by silence alone",
            });
            about.push((peer, evidence.clone()));
        }
        self.auditor.cleared.insert((to, group), about);
    }

    /// What is wrong with a piece of evidence about a peer, if anything.
    fn wrong_with(
        &self,
        to: Who,
        group: GroupId,
        peer: NodeId,
        evidence: &Evidence,
    ) -> Option<String> {
        let auditor = &self.auditor;
        // Two milliseconds and a percent: for rounding and for the rates of clocks.
        let slack = |time: Duration| time / 100 + Duration::from_millis(2);
        let silent_since = auditor.silent_since(to.node, peer).0;
        let silence_is_true = |claimed: Duration| {
            let truth = self.now.since(silent_since);
            if claimed < auditor.timing.deadtime {
                Some(format!("a silence of {claimed:?} is no loss"))
            } else {
                (claimed > truth + slack(truth))
                    .then(|| format!("it was silent for {truth:?} only"))
            }
        };
        let resources = &self.configs[0].group(group).resources;
        let has_address = resources.iter().any(|resource| resource.address.is_some());
        match evidence {
            Evidence::Consent => None,
            Evidence::Goodbye => {
                (!auditor.goodbyes.contains(&peer)).then(|| "it said no goodbye".to_owned())
            }
            Evidence::Operator { .. } => {
                (!auditor.confirmed.contains(&peer)).then(|| "no operator said so".to_owned())
            }
            Evidence::Unguarded { silence } => {
                let guarded = auditor.ping || auditor.arp;
                if guarded {
                    Some("there is a guard".to_owned())
                } else {
                    silence_is_true(*silence)
                }
            }
            Evidence::Guard { silence, ping, silent_probes } => {
                let pong = auditor.pongs.get(&to).map(|at| self.now.since(*at));
                match ping {
                    None if auditor.ping => return Some("the ping node is not in it".to_owned()),
                    Some((_, age)) if *age > auditor.timing.deadtime / 2 => {
                        return Some("the ping node's answer is too old".to_owned());
                    }
                    Some((_, age)) if pong.is_none_or(|truth| truth > *age + slack(*age)) => {
                        return Some(format!("the ping node truly answered {pong:?} ago"));
                    }
                    Some(_) | None => {}
                }
                if auditor.arp && has_address && *silent_probes < 3 {
                    return Some("too few probes were silent".to_owned());
                }
                silence_is_true(*silence)
            }
        }
    }

    /// A daemon begins to start a group.
    pub fn note_starting(&mut self, to: Who, group: GroupId, tag: GroupTag, term: Term) {
        let evidence = self.auditor.cleared.remove(&(to, group));
        let name = &self.configs[0].group(group).name;
        let mut wrong = None;
        for peer in self.nodes().filter(|peer| *peer != to.node) {
            let about = evidence.iter().flatten().find(|(node, _)| *node == peer);
            match about {
                None => {
                    wrong = Some(format!(
                        "{name} starts without a word about {}",
                        NAMES[usize::from(peer.0)]
                    ));
                }
                Some((_, Evidence::Consent))
                    if !self.auditor.consents.contains(&(peer, tag, term)) =>
                {
                    wrong = Some(format!(
                        "{} never consented to {name} with term {term}",
                        NAMES[usize::from(peer.0)]
                    ));
                }
                Some(_) => {}
            }
        }
        if let Some(wrong) = wrong {
            self.breach(Audit::Evidence, wrong);
        }
        self.note_term(to, group, term);
        self.note_claim(to, group);
        self.auditor.never_two.starts(to.node, group);
    }

    /// A term is used: never before, and above each that this node could know of. What others did while it did not hear
    /// them it learns from the wall clock, and that only from when it made its claim.
    fn note_term(&mut self, to: Who, group: GroupId, term: Term) {
        let (now, auditor) = (self.now, &self.auditor);
        let claims_age = auditor.timing.deadtime * 4;
        let known = |user: &Who, at: Moment| {
            user.node == to.node
                || auditor.silent_since(to.node, user.node).0 > at
                || now.since(at) > claims_age
        };
        let before = auditor
            .terms
            .iter()
            .filter(|((other, _), (user, at))| *other == group && known(user, *at));
        let highest = before.map(|((_, term), _)| *term).max().filter(|_| auditor.monotone_terms);
        let before = self.auditor.terms.insert((group, term), (to, now));
        // A term is kept on disk, but nothing waits for the disk.
        let unwritten = |user: &Who, at: Moment| {
            let died = self.auditor.died.get(user).copied().unwrap_or(now);
            user.node == to.node && died.since(at) <= Duration::from_millis(30)
        };
        let before =
            before.filter(|(user, at)| self.auditor.monotone_terms || !unwritten(user, *at));
        if let Some(user) = before {
            self.breach(Audit::Terms, format!("term {term} is given to {to:?} after {user:?}"));
        } else if let Some(highest) = highest.filter(|highest| *highest > term) {
            self.breach(Audit::Terms, format!("term {term} comes after {highest}"));
        }
    }

    /// From now on a daemon takes a group for its own. What it knew at that moment decides what was promised.
    fn note_claim(&mut self, to: Who, group: GroupId) {
        let peers = self.nodes().map(|peer| self.auditor.silent_since(to.node, peer)).collect();
        let claim = Claim { at: self.now, silent_since: peers };
        self.auditor.never_two.claimed(to.node, group, claim);
    }

    /// The difference between what a round trip and a cut at any phase of it can leave between two nodes' silences: a
    /// failure that takes less than this counts as one moment.
    pub fn one_moment(&self) -> Duration {
        self.auditor.timing.keepalive * 2 + self.auditor.latency * 3 + self.options.lateness * 3
    }
}
