//! Reconcile: the difference between what is and what should be becomes claims, starts and stops. The only place where
//! a group begins to start, and it takes a permit of the guard.

use std::mem::discriminant;
use std::time::Duration;

use super::{Node, Timer, ground};
use crate::cluster::event::{Event, StopReason};
use crate::cluster::group::{Care, Running};
use crate::cluster::guard::{About, Doubt, Doubts, Evidence, Guard, Permit, Proof};
use crate::cluster::io::Output;
use crate::cluster::peer::Peer;
use crate::cluster::placement::Unable;
use crate::cluster::time::Instant;
use crate::config::{GroupId, NodeId};
use crate::wire::{Mac, Phase, Run, Term};

/// Two nodes that start at the same time are not further apart than this, in what their agents take.
const START_SPREAD: Duration = Duration::from_secs(2);
/// How long a better node that has just started is waited for, in deadtimes: it hears this one within a keepalive or two.
const AWAITED_DEADTIMES: u32 = 2;

impl Node {
    /// Bring every group one step nearer to where it belongs.
    pub(super) fn reconcile(&mut self) {
        let ids: Vec<GroupId> = self.groups.iter().map(|group| group.id).collect();
        for id in ids {
            self.resolve_both_active(id);
            self.yield_to_twin(id);
            self.hand_over(id);
            self.claim(id);
            self.yield_to_answer(id);
            let moments = (self.now, self.next_beat);
            let ground = ground(&self.config, moments, self.care(), self.rights());
            if let Some(group) = self.groups.get_mut(usize::from(id.0)) {
                group.advance(&ground, &mut self.out);
            }
            self.after_start(id);
        }
        self.end();
    }

    fn running(&self, id: GroupId) -> Option<&Running> {
        self.groups.get(usize::from(id.0)).map(|group| &group.running)
    }

    fn release(&mut self, id: GroupId, because: StopReason) {
        self.with_group(id, |group, ground, out| group.release(ground, because, out));
        self.news = true;
    }

    fn clear(&mut self, id: GroupId) {
        self.with_group(id, |group, ground, out| group.clear(ground, out));
        self.news = true;
    }

    /// What the first look found: all of a group runs and it was this node's, so it is kept; or parts of it, which end.
    pub(super) fn adopt_or_clear(&mut self) {
        let me = self.config.me;
        for place in 0..self.groups.len() {
            let Some(group) = self.groups.get(place) else { continue };
            let (id, highest, all) = (group.id, group.remembered, group.resources.len());
            let (Running::Unknown, Some(found)) = (&group.running, group.probed()) else {
                continue;
            };
            let mine = highest == Term::default() || highest.0 & 0xff == u64::from(me.0);
            let elsewhere = self.peers.iter().any(|peer| {
                peer.is_up() && peer.report(id).is_some_and(|report| holds(report.run))
            });
            let healthy = group.failure.is_none()
                && group.resources.iter().all(|resource| resource.is_started());
            if found == all && healthy && mine && !elsewhere {
                // The number of its last hold; peers may have claimed in vain meanwhile.
                let term = if highest == Term::default() { self.next_term(id) } else { highest };
                let permit = Permit::adopted(id, term, self.now + self.config.timing.deadtime);
                self.with_group(id, |group, ground, out| group.adopt(ground, permit, out));
                self.remember();
            } else if found > 0 && self.hands_off() {
                self.leave_alone(place);
                continue;
            } else {
                if let Some(group) = self.groups.get_mut(place) {
                    group.running = Running::Stopped;
                }
                if found > 0 {
                    self.clear(id);
                }
            }
            self.news = true;
        }
    }

    /// What was found of a group and may not be kept by right stays as it is until maintenance is over.
    fn leave_alone(&mut self, place: usize) {
        let Some(group) = self.groups.get_mut(place).filter(|group| !group.left_alone) else {
            return;
        };
        group.left_alone = true;
        let found = group.resources.iter().filter(|resource| resource.may_run());
        let resources = found.map(|one| self.config.resource(one.id).name.clone()).collect();
        let group = self.config.group(group.id).name.clone();
        self.out.emit(Event::LeftAlone { group, resources });
        self.news = true;
    }

    /// Two nodes that meet and both hold a group: the lower term lets go, then the less preferred.
    fn resolve_both_active(&mut self, id: GroupId) {
        let Some(group) = self.groups.get(usize::from(id.0)) else { return };
        let (mine, holding, known) = (group.term, group.holds(), group.conflict);
        let other = self.peers.iter().filter(|peer| peer.is_up()).find_map(|peer| {
            let report = peer.report(id).filter(|report| holds(report.run))?;
            Some((peer.id, report.term))
        });
        let conflict = other.filter(|_| holding);
        if let Some((peer, theirs)) = conflict {
            let keep = (mine, usize::MAX - self.rank(self.config.me, id))
                > (theirs, usize::MAX - self.rank(peer, id));
            if known != Some(peer) {
                let (group, name) = (self.config.group(id).name.clone(), self.name(peer));
                self.out.emit(Event::BothActive { group, peer: name, mine, theirs, keep });
            }
            if !keep {
                let peer = self.name(peer);
                self.release(id, StopReason::BothActive { peer });
            }
        } else if known.is_some() && holding {
            // The other one let go: its neighbours still have it in their caches.
            self.with_group(id, |group, ground, out| group.announce(ground, out));
        }
        if let Some(group) = self.groups.get_mut(usize::from(id.0)) {
            group.conflict = conflict.map(|(peer, _)| peer);
        }
    }

    /// Give up what belongs elsewhere: once the other node asks for it, so that nobody stops what nobody takes.
    fn hand_over(&mut self, id: GroupId) {
        let Some(group) = self.groups.get(usize::from(id.0)) else { return };
        let leftover = group.probed().is_some_and(|found| found > 0);
        if group.running == Running::Stopped && leftover && !self.hands_off() {
            self.clear(id);
            return;
        }
        if !group.holds() {
            return;
        }
        let (target, reason) = (group.target, group.reason.clone());
        let elsewhere = target.filter(|target| *target != self.config.me);
        // Nor for a node that may not take it, because its guard differs.
        let agrees = |node: NodeId| {
            self.peer(node).is_some_and(|peer| Guard::differs(&self.config, peer).is_none())
        };
        // Nor while nobody may take this node's word that it has stopped.
        let asked = elsewhere.filter(|target| {
            agrees(*target)
                && !self.has_namesake()
                && self.claims(id).iter().any(|(node, _)| node == target)
        });
        if let Some(to) = asked {
            let to = self.name(to);
            self.release(id, StopReason::Moves { to, reason });
        } else if self.phase == Phase::Leaving
            && self.care() != Care::InForce
            && (elsewhere.is_none() || self.now >= self.leaving_since + self.config.timing.deadtime)
        {
            self.release(id, StopReason::Leaving);
        }
    }

    fn may_claim(&self, id: GroupId) -> bool {
        let Some(group) = self.groups.get(usize::from(id.0)) else { return false };
        let me = self.config.me;
        if self.has_namesake() || self.hands_off() {
            return false;
        }
        let wanted =
            self.phase == Phase::Active && group.target == Some(me) && group.failure.is_none();
        // What this node consented to goes first; once it is held, a move may be asked for.
        let consented = group
            .consent
            .is_some_and(|(node, _)| self.is_up(node) && self.run_on(node, id) == Run::Claiming);
        if !wanted || self.now < group.claim_not_before || consented || self.is_outranked(id) {
            return false;
        }
        // Whoever has just come back may find it running, and keep it.
        let looks = |node: NodeId| {
            let phase = self
                .peer(node)
                .filter(|peer| peer.is_up())
                .and_then(Peer::said)
                .map(|said| said.phase);
            matches!(phase, Some(None | Some(Phase::Starting)))
                && self.run_on(node, id) == Run::Unknown
        };
        if self.config.peers().any(looks) {
            return false;
        }
        // A better node that looks round at this moment is about to ask for it: or not before its initdead, if it misses
        // a third one.
        let held = self
            .config
            .node_ids()
            .any(|node| node != me && self.is_up(node) && holds(self.run_on(node, id)));
        let better = self.config.group(id).nodes.iter().take(self.rank(me, id));
        let mut awaited = better.filter(|node| {
            self.unable(**node, id) == Some(Unable::Starting)
                && self.peer(**node).and_then(|peer| self.awaited_until(peer)) > Some(self.now)
        });
        held || awaited.next().is_none()
    }

    /// Until when a new life of a better node is waited for.
    fn awaited_until(&self, peer: &Peer) -> Option<Instant> {
        let began = peer.life.as_ref()?.began_at;
        Some(began + self.config.timing.deadtime * AWAITED_DEADTIMES)
    }

    /// Whether a node that stands before this one asks for the group too: two claims yield to the better one.
    fn is_outranked(&self, id: GroupId) -> bool {
        let rank = self.rank(self.config.me, id);
        self.claims(id).iter().any(|(node, _)| self.rank(*node, id) < rank)
    }

    fn is_up(&self, node: NodeId) -> bool {
        self.peer(node).is_some_and(Peer::is_up)
    }

    /// Ask for a group that belongs here, and start it once the guard permits.
    fn claim(&mut self, id: GroupId) {
        let now = self.now;
        if self.running(id) == Some(&Running::Stopped) && self.may_claim(id) {
            let term = self.next_term(id);
            if let Some(group) = self.groups.get_mut(usize::from(id.0)) {
                group.claim(now, term);
            }
            self.news = true;
            self.remember();
        }
        let Some(group) = self.groups.get(usize::from(id.0)) else { return };
        let Running::Claiming { since } = group.running else { return };
        let rank = self.rank(self.config.me, id);
        let outranked = self.is_outranked(id);
        let unwanted = group.target != Some(self.config.me)
            || self.phase != Phase::Active
            || self.has_namesake();
        let (result, fresh) = (self.permit(id), self.next_term(id));
        let Some(group) = self.groups.get_mut(usize::from(id.0)) else { return };
        if unwanted || outranked {
            group.withdraw();
            group.doubts.clear();
            self.news = true;
            return;
        }
        match result {
            Ok((mut permit, proofs)) => {
                // A claim that waited for its proofs is old by now: others may have come and gone meanwhile.
                if !proofs.iter().any(|proof| *proof.evidence() == Evidence::Consent) {
                    group.term = fresh;
                    group.highest = group.highest.max(fresh);
                    permit = permit.renumbered(fresh);
                }
                group.doubts.clear();
                group.refused = None;
                self.tell_cleared(id, &proofs);
                self.with_group(id, |group, ground, out| group.begin(ground, permit, out));
                self.news = true;
                self.remember();
            }
            Err(doubts) => {
                // Somebody knows a higher number, so nobody can consent to this one.
                if group.highest > group.term {
                    (group.term, group.highest) = (fresh, fresh);
                    self.news = true;
                }
                let patience = self.config.timing.deadtime * 2;
                // Who waits for a stop waits until it ends, well or badly; patience begins then.
                let stops = self
                    .peers
                    .iter()
                    .any(|peer| peer.report(id).is_some_and(|report| report.run == Run::Stopping));
                let talks = doubts
                    .iter()
                    .all(|(_, doubt)| matches!(doubt, Doubt::NoConsent | Doubt::RunsThere));
                if stops {
                    group.running = Running::Claiming { since: now };
                } else if talks && now >= since + patience {
                    group.withdraw();
                    group.claim_not_before = now + patience * u32::try_from(rank + 1).unwrap_or(1);
                    self.news = true;
                }
                group.doubts.clone_from(&doubts);
                self.tell_refused(id, &doubts);
            }
        }
    }

    /// Another node may have been let start as well, while neither had brought its address up: the second one to come
    /// to it goes back.
    fn yield_to_answer(&mut self, id: GroupId) {
        let awaits = self
            .groups
            .get(usize::from(id.0))
            .is_some_and(|group| group.awaits_address(&self.config));
        if awaits && self.with_about(id, |about| self.guard.address_answers(self.now, about)) {
            self.release(id, StopReason::TooLate);
        }
    }

    /// Two nodes that do not hear each other may have come to one address at the same time, both having seen it silent. They
    /// see each other there, so one of them lets go: the one with the higher hardware address. A machine outside the cluster
    /// is not yielded to, nor a word of a node that stood still and is about to let go itself. With one that is heard the terms
    /// decide.
    fn yield_to_twin(&mut self, id: GroupId) {
        let Some(group) = self.groups.get(usize::from(id.0)) else { return };
        if !group.holds() || self.hands_off() || !self.guard.is_on() {
            return;
        }
        let silent = || self.peers.iter().filter(|peer| !peer.is_up() && !peer.is_gone());
        let has = |peer: &Peer, mac| peer.said().is_some_and(|said| said.macs.contains(&mac));
        let is_heard = |mac| self.peers.iter().any(|peer| peer.is_up() && has(peer, mac));
        let soon = self.config.timing.deadtime * 2 + START_SPREAD;
        let twin = group.resources.iter().find_map(|resource| {
            let (mac, here, began_soon) = resource.lasting_conflict(self.now, soon)?;
            let known = silent().any(|peer| has(peer, mac));
            let may_be = began_soon && silent().next().is_some() && !is_heard(mac);
            ((known || may_be) && here > mac).then_some((resource.id, mac))
        });
        let Some((resource, mac)) = twin else { return };
        let address = self.config.resource(resource).address.as_ref();
        let address = address.map(ToString::to_string).unwrap_or_default();
        self.release(id, StopReason::AddressTwice { address, mac });
        if let Some(group) = self.groups.get_mut(usize::from(id.0)) {
            group.yielded = true;
        }
    }

    /// The guard's word on this node's claim.
    fn permit(&self, id: GroupId) -> Result<(Permit, Vec<Proof>), Doubts> {
        self.with_about(id, |about| self.guard.permit(self.now, about, self.peers.iter()))
    }

    fn with_about<T>(&self, id: GroupId, ask: impl FnOnce(&About<'_>) -> T) -> T {
        let group = self.groups.get(usize::from(id.0));
        let term = group.map_or_else(Term::default, |group| group.term);
        let yielded = group.is_some_and(|group| group.yielded);
        let macs = self.known_macs();
        let known_mac = |mac: Mac| macs.contains(&mac);
        ask(&About { config: &self.config, group: id, term, yielded, known_mac: &known_mac })
    }

    /// The hardware addresses of the other nodes.
    pub(super) fn known_macs(&self) -> Vec<Mac> {
        self.peers.iter().filter_map(Peer::said).flat_map(|said| said.macs.clone()).collect()
    }

    fn tell_cleared(&mut self, id: GroupId, proofs: &[Proof]) {
        if proofs.is_empty() {
            return;
        }
        let evidence = proofs
            .iter()
            .map(|proof| (self.name(proof.peer()), proof.evidence().clone()))
            .collect();
        self.out.emit(Event::Cleared { group: self.config.group(id).name.clone(), evidence });
    }

    /// A refusal that stands is told once, not at each probe.
    fn tell_refused(&mut self, id: GroupId, doubts: &[(NodeId, Doubt)]) {
        let lasting = doubts.iter().find(|(_, doubt)| match doubt {
            Doubt::PingSilent { .. }
            | Doubt::AddressAnswers { .. }
            | Doubt::AddressConflict { .. }
            | Doubt::Unwitnessed { .. }
            | Doubt::StopFailed
            | Doubt::Namesakes
            | Doubt::Maintenance
            | Doubt::GuardDiffers { .. } => true,
            Doubt::NoConsent
            | Doubt::RunsThere
            | Doubt::NotLostYet { .. }
            | Doubt::PingTooNew { .. }
            | Doubt::Probing { .. }
            | Doubt::JustPaused => false,
        });
        let Some((node, why)) = lasting else { return };
        let kind = discriminant(why);
        let Some(group) = self.groups.get_mut(usize::from(id.0)) else { return };
        if group.refused == Some((*node, kind))
            || self.peers.iter().any(|peer| peer.id == *node && peer.is_up())
        {
            return;
        }
        group.refused = Some((*node, kind));
        let (peer, why) = (self.name(*node), why.clone());
        self.out.emit(Event::Refused { group: self.config.group(id).name.clone(), peer, why });
    }

    /// A wish for another place ends where the group had to go elsewhere, or that place died before the move: nothing
    /// moves hours later, when its node is back.
    fn after_start(&mut self, id: GroupId) {
        let tag = self.config.group(id).tag;
        let Some(Running::Started { since, .. }) = self.running(id) else { return };
        let fresh = *since == self.now;
        let wished = self.wishes.location(tag).and_then(|(node, _)| self.config.node_by_tag(node));
        let Some(wished) = wished.filter(|node| *node != self.config.me) else { return };
        let down = self.peer(wished).is_some_and(Peer::is_down);
        if down && !fresh {
            let (group, to) = (self.config.group(id).name.clone(), self.name(wished));
            self.out.emit(Event::MoveGivenUp { group, to });
        }
        if down || fresh {
            self.take_back_location(tag);
        }
    }

    /// Begin to end: hand over, say goodbye, exit.
    pub(super) fn leave(&mut self) {
        if self.phase != Phase::Leaving {
            self.phase = Phase::Leaving;
            self.leaving_since = self.now;
            self.news = true;
            self.out.emit(Event::Leaving);
        }
    }

    fn end(&mut self) {
        if self.phase != Phase::Leaving || self.exited {
            return;
        }
        if self.is_over() && (self.peers.is_empty() || self.goodbyes >= super::speak::GOODBYES) {
            self.tell_left_running();
            self.exited = true;
            self.out.push(Output::Exit);
        }
    }

    /// Whether all that can be given up is given up, and only the last words are left to be said.
    pub(super) fn is_over(&self) -> bool {
        let given_up = |running: &Running| matches!(running, Running::Stopped | Running::Blocked);
        let over =
            self.groups.iter().all(|group| given_up(&group.running)) || self.leaves_running();
        self.phase == Phase::Leaving && over
    }

    /// Whether nothing runs here any more. Whoever leaves something behind that may run says no goodbye: it stays blocked.
    pub(super) fn runs_nothing(&self) -> bool {
        self.groups.iter().all(|group| group.running == Running::Stopped)
    }

    pub(super) fn reconcile_deadlines(&self) -> impl Iterator<Item = (Instant, Timer)> {
        let now = self.now;
        let patience: Duration = self.config.timing.deadtime * 2;
        let ground = self.ground();
        let live: Vec<Instant> =
            self.groups.iter().filter_map(|group| group.next(&ground)).collect();
        let claims = self.groups.iter().filter_map(move |group| match group.running {
            Running::Claiming { since } => Some(since + patience),
            Running::Stopped => Some(group.claim_not_before),
            Running::Unknown
            | Running::Starting { .. }
            | Running::Started { .. }
            | Running::Stopping { .. }
            | Running::Blocked => None,
        });
        let awaited = self.peers.iter().filter_map(|peer| self.awaited_until(peer));
        let leave = (self.phase == Phase::Leaving)
            .then_some(self.leaving_since + self.config.timing.deadtime);
        live.into_iter()
            .map(|at| (at, Timer::Group))
            .chain(claims.chain(awaited).filter(move |at| *at > now).map(|at| (at, Timer::Claim)))
            .chain(leave.filter(|at| *at > now).map(|at| (at, Timer::Leave)))
    }
}

/// Whether somebody who says this runs some of a group by right.
pub(super) fn holds(run: Run) -> bool {
    match run {
        Run::Starting | Run::Started => true,
        Run::Unknown | Run::Stopped | Run::Claiming | Run::Stopping | Run::Blocked => false,
    }
}
