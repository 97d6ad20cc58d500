//! Observe: what came in becomes what is known.

use std::time::Duration;

use super::maintenance::leaves;
use super::{Node, Timer};
use crate::cluster::event::{Event, JoinReason, StopReason};
use crate::cluster::group::{LocalGroup, Running};
use crate::cluster::io::{LinkState, Memory, PingOutcome, Reject};
use crate::cluster::peer::{Standing, Taken};
use crate::cluster::time::Instant;
use crate::config::{Config, GroupId, LinkId, NodeId, ResourceId};
use crate::wire::{
    Body, GuardRecord, Heartbeat, KeyId, KeysChange, MAX_GROUPS_PER_PAGE, Phase, Report, Run, Term,
};

/// Claims on unknown groups that are answered at a time: they leave room for this node's own in a report.
const MAX_FOREIGN_CLAIMS: usize = MAX_GROUPS_PER_PAGE / 2;

impl Node {
    pub(super) fn restore(&mut self, memory: Memory) {
        for (tag, term) in &memory.terms {
            if let Some(id) = self.config.group_by_tag(*tag)
                && let Some(group) = self.groups.get_mut(usize::from(id.0))
                && *term <= Term::MOST
            {
                group.highest = group.highest.max(*term);
                group.remembered = group.highest;
            }
        }
        for wish in &memory.wishes {
            self.wishes.merge(wish);
        }
        self.memory = memory;
        if let Some(wish) = self.wishes.maintenance() {
            self.maintenance.restored(wish.stamp);
        }
    }

    pub(super) fn remembered(&mut self, newest: u64, error: Option<String>) {
        self.maintenance.newest = self.maintenance.newest.max(newest);
        if self.disk != error {
            self.disk.clone_from(&error);
            self.out.emit(Event::DiskChanged { error });
        }
    }

    pub(super) fn refuse(&mut self, why: Reject, source: String) {
        let count = self.count_refused(why);
        // The first, the tenth, the hundredth: enough to be seen, too few to fill a disk.
        if count.checked_ilog10().is_some_and(|power| count == 10_u64.pow(power)) {
            self.out.emit(Event::DatagramRefused { why, source, count });
        }
    }

    fn count_refused(&mut self, why: Reject) -> u64 {
        let (count, newest) = self.refused.entry(why).or_insert((0, self.now));
        (*count, *newest) = (*count + 1, self.now);
        *count
    }

    /// An authentic datagram that counts for nothing: each start of a daemon brings some, and each goodbye, which is sent
    /// several times. That is no news unless it goes on.
    fn refuse_of_peer(&mut self, from: NodeId, why: Reject) {
        if why == Reject::Unproven {
            self.hurry();
        }
        let count = self.count_refused(why);
        let (now, deadtime) = (self.now, self.config.timing.deadtime);
        let goes_on =
            self.peer_mut(from).is_some_and(|peer| peer.refused_stream.goes_on(now, deadtime));
        if goes_on {
            let source = self.name(from);
            self.out.emit(Event::DatagramRefused { why, source, count });
        }
    }

    pub(super) fn link_changed(&mut self, link: LinkId, state: LinkState) {
        let Some(known) = self.link_states.get_mut(usize::from(link.0)) else { return };
        if *known == state {
            return;
        }
        *known = state.clone();
        let waiting = match state {
            LinkState::Up => None,
            LinkState::Waiting(why) => Some(why),
        };
        self.out.emit(Event::LinkWaiting { link: self.config.link(link).name.clone(), waiting });
        self.news = true;
    }

    pub(super) fn pinged(&mut self, target: usize, at: Instant, outcome: PingOutcome) {
        self.guard.pinged(target, at, outcome);
    }

    pub(super) fn dropped(&mut self, resource: ResourceId, error: Option<String>) {
        let address = self.config.resource(resource).address.as_ref();
        if let (Some(why), Some(address)) = (error, address) {
            let group = self.config.group(resource.group).name.clone();
            let (address, why) = (address.to_string(), format!("it could not be removed: {why}"));
            self.out.emit(Event::AddressFailed { group, address, why });
        }
    }

    /// This daemon stood still for longer than half of deadtime.
    pub(super) fn paused(&mut self, gap: Duration) {
        let now = self.now;
        self.out.emit(Event::Paused { gap });
        self.resumed = Some(now);
        self.guard.paused(now);
        // A peer's moment counts from before the pause, whatever this node thinks of the silence. One that was gone may
        // have come back, and waited for no less than a deadtime.
        let deadtime = self.config.timing.deadtime;
        let passed = |peer: &crate::cluster::peer::Peer| match peer.is_gone() {
            true => gap > deadtime,
            false => peer.waits_until().is_none_or(|until| until <= now),
        };
        let may_have_acted = !self.keeps() && self.peers.iter().any(passed);
        for peer in &mut self.peers {
            peer.judged_from = now;
            // Whoever was gone may have come back and acted: its word, or the operator's, is of before.
            if gap > deadtime && peer.is_gone() {
                peer.standing = Standing::Unknown;
            }
        }
        let ids: Vec<GroupId> = self.groups.iter().map(|group| group.id).collect();
        for id in ids {
            self.with_group(id, |group, ground, out| {
                group.withdraw();
                if may_have_acted && group.has_to_let_go(ground.config) {
                    group.release(ground, StopReason::Paused { gap }, out);
                }
            });
        }
        self.news = true;
    }

    pub(super) fn received(
        &mut self,
        link: LinkId,
        from: NodeId,
        key: KeyId,
        wall_us: u64,
        heartbeat: &Heartbeat,
    ) {
        let (now, me) = (self.now, (self.config.node(self.config.me).tag, self.incarnation));
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.id == from) else { return };
        let header = &heartbeat.header;
        let taken = peer.take(now, link, header, me, &self.sent);
        let (newest, new_life) = match taken {
            Taken::Counts { newest, new_life } => (newest, new_life),
            Taken::Challenged => return self.hurry(),
            Taken::Refused(why) => return self.refuse_of_peer(from, why),
        };
        peer.count(link, heartbeat);
        self.news |= new_life;
        if header.flags.ask && !header.flags.answer {
            self.answer(link, from);
        }
        if !newest {
            return;
        }
        if !header.flags.answer {
            self.fall_in_step();
        }
        if header.flags.goodbye {
            self.goodbye(from);
            return;
        }
        self.look_at_clock(from, header.wall_us, wall_us);
        let Some(life) = self.peer_mut(from).and_then(|peer| peer.life.as_mut()) else { return };
        let sight = header.records.iter().find_map(|record| match record {
            GuardRecord::Ping(sight) => Some(*sight),
            GuardRecord::Maintenance(_) | GuardRecord::Unknown { .. } => None,
        });
        life.said.ping = sight;
        let word = header.records.iter().find_map(|record| match record {
            GuardRecord::Maintenance(word) => Some(*word),
            GuardRecord::Ping(_) | GuardRecord::Unknown { .. } => None,
        });
        let before = life.said.key.replace(key);
        match &heartbeat.body {
            Body::Unknown { version } => life.said.unknown_version = Some(*version),
            Body::Known(report) => self.report(from, report),
        }
        if let Some(word) = word {
            self.maintenance_word(from, word);
        }
        if let Some(before) = before.filter(|before| *before != key) {
            self.out.emit(Event::PeerKey { peer: self.name(from), key, before });
        }
    }

    /// Peers learn it by a heartbeat that is signed with the new key, at once.
    pub(super) fn keys_changed(&mut self, author: String, change: KeysChange) {
        self.news = true;
        self.out.emit(Event::KeysChanged { author, change });
    }

    /// What the newest heartbeat tells of its sender's wall clock. It changes what is shown, and nothing else.
    fn look_at_clock(&mut self, from: NodeId, theirs_us: u64, mine_us: u64) {
        let warn_offset = self.config.warn_offset;
        let Some(peer) = self.peer_mut(from) else { return };
        if let Some(round_trip) = peer.life.as_ref().and_then(|life| life.exchange) {
            peer.clock.heard(theirs_us, mine_us, round_trip);
        }
        let Some(measured) = peer.clock.judge(warn_offset) else { return };
        let (apart, peer) = (peer.clock.is_apart(), self.name(from));
        let offset_us = measured.offset_us;
        self.out.emit(Event::ClockOffset { peer, offset_us, warn_offset, apart });
    }

    /// An unproven life learns its challenge the sooner, but a flood of replays makes nobody talkative.
    pub(super) fn hurry(&mut self) {
        let least = self.config.timing.keepalive / 4;
        if self.hurried.is_none_or(|at| self.now - at >= least) {
            self.hurried = Some(self.now);
            self.news = true;
        }
    }

    fn goodbye(&mut self, from: NodeId) {
        if let Some(peer) = self.peer_mut(from) {
            peer.left();
        }
        let peer = self.name(from);
        self.out.emit(Event::PeerLeft { peer });
    }

    fn report(&mut self, from: NodeId, report: &Report) {
        let mine = self.config.digests;
        let mut learnt = false;
        // Those about what this node does not know are others' to keep, and might be without end.
        for wish in &report.wishes {
            if self.config.knows(&wish.subject) && self.wishes.merge(wish) {
                learnt = true;
                self.learnt_wish(wish);
            }
        }
        let mut groups = Vec::new();
        for entry in &report.groups {
            match self.config.group_by_tag(entry.group) {
                Some(id) => groups.push((id, *entry)),
                None if entry.run == Run::Claiming => {
                    self.news |=
                        self.foreign_claims.insert(entry.group, entry.term) != Some(entry.term);
                    if self.foreign_claims.len() > MAX_FOREIGN_CLAIMS {
                        let other = self.foreign_claims.keys().find(|tag| **tag != entry.group);
                        let other = other.copied();
                        other.and_then(|tag| self.foreign_claims.remove(&tag));
                    }
                }
                None => {
                    self.foreign_claims.remove(&entry.group);
                }
            }
        }
        let Some(life) = self.peer_mut(from).and_then(|peer| peer.life.as_mut()) else { return };
        life.said.unknown_version = None;
        life.said.phase = Some(report.phase);
        life.said.macs.clone_from(&report.macs);
        let differed = life.said.digests.replace(report.digests);
        let mut took = Vec::new();
        for (id, entry) in &groups {
            let former = life.reports(*id, *entry);
            if entry.run == Run::Started
                && former
                    .is_none_or(|former| (former.run, former.term) != (Run::Started, entry.term))
            {
                took.push((*id, entry.term));
            }
        }
        if self.peer(from).is_some_and(|peer| peer.told_double) {
            took.clear();
        }
        let peer = self.name(from);
        if differed.map_or(report.digests != mine.0, |former| former != report.digests) {
            self.out.emit(Event::ConfigDiffers {
                peer: peer.clone(),
                sections: mine.differing(report.digests),
            });
        }
        for (id, term) in took {
            let group = self.config.group(id).name.clone();
            self.out.emit(Event::PeerRuns { group, peer: peer.clone(), term });
        }
        for (id, entry) in groups {
            let known = entry.highest.max(entry.term);
            if let Some(group) = self.groups.get_mut(usize::from(id.0))
                && known > group.highest
                && known <= Term::MOST
            {
                group.highest = known;
                learnt = true;
            }
        }
        if learnt {
            self.news = true;
            self.remember();
        }
    }

    /// Everything that time alone changes.
    pub(super) fn observe(&mut self) {
        // Whoever has only goodbyes left to say is answered by nobody, and judges nobody.
        if !self.is_over() {
            self.judge_peers();
        }
        self.judge_namesake();
        self.observe_maintenance();
        self.look_round();
        self.ping_and_probe();
        self.let_go();
    }

    fn judge_peers(&mut self) {
        let (now, timing) = (self.now, self.config.timing);
        for peer in &mut self.peers {
            let id = peer.id;
            let name = || self.config.node(id).name.clone();
            let silence = peer.silence(now);
            let double = peer.is_double(now, timing.deadtime);
            if double != peer.told_double {
                peer.told_double = double;
                self.out.emit(Event::Namesakes { node: name(), source: None, lives: double });
            }
            // Each change from one to the other would be news of links and groups without end.
            let links = peer.judge_links(now, timing.deadtime);
            for link in links.into_iter().filter(|_| !double) {
                let sight = peer.links.get(usize::from(link.0)).copied().unwrap_or_default();
                self.out.emit(Event::LinkChanged {
                    link: self.config.link(link).name.clone(),
                    peer: name(),
                    heard: sight.heard,
                    hears: sight.hears,
                });
                self.news = true;
            }
            let Some(former) = peer.judge(now, &timing) else { continue };
            self.news = true;
            match &peer.standing {
                Standing::Up if former == Standing::Late => {
                    let silence = peer.life.as_ref().map_or(silence, |life| life.late_silence);
                    self.out.emit(Event::PeerPunctual {
                        peer: name(),
                        silence,
                        deadtime: timing.deadtime,
                    });
                }
                Standing::Up => {
                    let Some(life) = &peer.life else { continue };
                    let after = peer.silent_before;
                    self.out.emit(Event::PeerUp {
                        peer: name(),
                        incarnation: life.incarnation,
                        after,
                    });
                }
                // It said that it would fall silent.
                Standing::Late | Standing::Lost if leaves(peer.bond.word) => {}
                Standing::Late => {
                    let warntime = timing.warntime;
                    if let Some(life) = &mut peer.life {
                        life.late_silence = Duration::ZERO;
                    }
                    self.out.emit(Event::PeerLate { peer: name(), silence, warntime });
                }
                Standing::Lost => {
                    self.out.emit(Event::PeerLost {
                        peer: name(),
                        silence,
                        deadtime: timing.deadtime,
                    });
                }
                // A new life that has not been part of a round trip yet; goodbyes and confirmations tell of themselves.
                Standing::Unknown | Standing::Left | Standing::Dead { .. } => {}
            }
        }
    }

    /// The start of this node ends when it knows what runs on it, and hears all others or has waited for long enough.
    fn look_round(&mut self) {
        self.adopt_or_clear();
        if self.phase != Phase::Starting
            || self
                .groups
                .iter()
                .any(|group| group.running == Running::Unknown && !group.left_alone)
        {
            return;
        }
        if self.listens_until().is_some() {
            return;
        }
        let heard = |peer: &crate::cluster::peer::Peer| {
            peer.is_up() && peer.said().is_some_and(|said| said.phase.is_some())
        };
        let because = if self.peers.iter().all(heard) {
            JoinReason::AllHeard
        } else if self.now >= Instant::ZERO + self.config.timing.initdead {
            JoinReason::Initdead(self.config.timing.initdead)
        } else {
            return;
        };
        self.phase = Phase::Active;
        self.news = true;
        self.out.emit(Event::Joined { because });
    }

    fn ping_and_probe(&mut self) {
        let saw = self.guard.ping.said_answers;
        let late = self.peers_are_late();
        self.guard.ping.tick(self.now, late, self.next_beat, &mut self.out);
        let sight = self.guard.ping.sight();
        self.guard.ping.judge(self.now);
        self.news |= sight != self.guard.ping.sight();
        let sees = self.guard.ping.answers(self.now);
        if self.guard.ping.is_on() && saw != Some(sees) {
            self.guard.ping.said_answers = Some(sees);
            // At the very start nothing was asked yet: no answer is no news.
            if saw.is_some() || sees {
                let target = self.guard.ping.newest().map(|(target, _)| target);
                self.out.emit(Event::PingChanged { answers: sees, target });
            }
            self.news = true;
        }
        let wanted = self.wanted_probes();
        let wanted = |group: GroupId| wanted.contains(&group);
        let nodes = self.known_macs();
        self.guard.probe(self.now, &self.config, &wanted, &nodes, &mut self.out);
    }

    fn peers_are_late(&self) -> bool {
        self.peers.iter().any(|peer| peer.standing != Standing::Up && !peer.is_gone())
    }

    /// Groups whose addresses are to be asked for: a silent peer may hold them, and this node could take them.
    fn wanted_probes(&self) -> Vec<GroupId> {
        let timing = self.config.timing;
        let start_over = self.now + timing.deadtime >= Instant::ZERO + timing.initdead;
        let wanted = |group: &LocalGroup| {
            self.peers.iter().any(|peer| match peer.standing {
                Standing::Late | Standing::Lost => self.config.guard.arp || group.yielded,
                Standing::Up => {
                    self.probes_after().is_some_and(|bound| peer.silence(self.now) > bound)
                }
                Standing::Unknown => start_over,
                Standing::Left | Standing::Dead { .. } => false,
            })
        };
        let free = |group: &LocalGroup| {
            matches!(group.running, Running::Stopped | Running::Claiming { .. })
                || group.awaits_address(&self.config)
        };
        let groups = self.groups.iter().filter(|group| wanted(group) && free(group));
        groups.map(|group| group.id).collect()
    }

    /// The silence after which addresses are asked for, if that is not warntime. A holder trusts its last ping for half a
    /// deadtime: one that is cut off early enough to be gone when this node acts need not have answered, any other one must.
    /// One stop budget is for its letting go, another for the way of the answer.
    fn probes_after(&self) -> Option<Duration> {
        let Config { timing, guard, .. } = &self.config;
        let bound = timing.deadtime / 2 - timing.stop_budget() * 2;
        (guard.arp && self.guard.ping.is_on() && bound < timing.warntime).then_some(bound)
    }

    /// A holder that hears neither peer nor ping node lets go before the peer may act (P2).
    fn let_go(&mut self) {
        let (now, Some(until)) = (self.now, self.holds_until()) else { return };
        // Just after the start nobody can have answered yet; nothing is renewed meanwhile.
        if now < until || now < Instant::ZERO + self.config.timing.deadtime / 2 {
            return;
        }
        let silence =
            self.peers.iter().filter(|peer| !peer.is_gone()).map(|peer| peer.silence(now)).max();
        let because = StopReason::Isolated {
            silence: silence.unwrap_or_default(),
            ping_silence: self.guard.ping.newest().map(|(_, at)| now - at),
        };
        let held: Vec<GroupId> = self
            .groups
            .iter()
            .filter(|group| group.has_to_let_go(&self.config))
            .map(|group| group.id)
            .collect();
        for id in held {
            let because = because.clone();
            self.with_group(id, |group, ground, out| group.release(ground, because, out));
        }
    }

    pub(super) fn observe_deadlines(&self) -> impl Iterator<Item = (Instant, Timer)> {
        let (timing, now) = (self.config.timing, self.now);
        let micro = Duration::from_micros(1);
        let probes_after = self.probes_after();
        let silence = self.peers.iter().filter_map(move |peer| match peer.standing {
            Standing::Up => {
                let probes = probes_after.filter(|bound| now <= peer.silent_for(*bound));
                Some(peer.silent_for(probes.unwrap_or(timing.warntime)) + micro)
            }
            Standing::Late => Some(peer.silent_for(timing.deadtime) + micro),
            Standing::Lost | Standing::Unknown if now <= peer.silent_for(timing.deadtime) => {
                Some(peer.silent_for(timing.deadtime) + micro)
            }
            Standing::Lost | Standing::Unknown | Standing::Left | Standing::Dead { .. } => None,
        });
        let links = self.peers.iter().filter_map(move |peer| peer.next_link_news(timing.deadtime));
        let ping = self.guard.ping.next(self.peers_are_late());
        let ping_ends =
            self.guard.ping.counts_until().filter(|until| *until >= now).map(|until| until + micro);
        let claims = |group: &LocalGroup| matches!(group.running, Running::Claiming { .. });
        let claims = self.groups.iter().any(claims);
        let proves = self.guard.ping.proves_from().filter(|from| claims && *from > now);
        let wanted = self.wanted_probes();
        let probe = self.guard.next_probe(&|group| wanted.contains(&group));
        let start = Instant::ZERO + timing.initdead;
        let join =
            [start, start.saturating_sub(timing.deadtime)].into_iter().filter(move |at| now < *at);
        let listens = self.listens_until().filter(|_| self.phase == Phase::Starting);
        let holds = self.groups.iter().any(|group| group.has_to_let_go(&self.config));
        let let_go = self
            .holds_until()
            .filter(|_| holds)
            .map(|until| until.max(Instant::ZERO + timing.deadtime / 2));
        let sight = self.guard.ping.judged_next();
        let resumed = self.resumed.map(|at| at + timing.deadtime).filter(move |at| now < *at);
        silence
            .map(|at| (at, Timer::Silence))
            .chain(links.map(|at| (at, Timer::Link)))
            .chain(ping.into_iter().chain(ping_ends).chain(proves).map(|at| (at, Timer::Ping)))
            .chain(probe.map(|at| (at, Timer::Probe)))
            .chain(join.chain(listens).map(|at| (at, Timer::Join)))
            .chain(let_go.map(|at| (at, Timer::LetGo)))
            .chain(sight.map(|at| (at, Timer::Sight)))
            .chain(resumed.map(|at| (at, Timer::Silence)))
    }

    /// The highest term known for a group, from anybody.
    pub(super) fn next_term(&self, id: GroupId) -> Term {
        let highest = self.groups.get(usize::from(id.0)).map_or(0, |group| group.highest.0 >> 8);
        Term((highest + 1).max(self.unix_ms(self.now)) << 8 | u64::from(self.config.me.0))
    }

    /// The wall clock, if nobody set it since this node started.
    pub(super) fn unix_ms(&self, now: Instant) -> u64 {
        self.memory.unix_ms + now.as_micros() / 1000
    }
}
