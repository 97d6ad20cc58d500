//! Decide: where each group belongs, and whose claim this node consents to. Starts and stops nothing.

use super::Node;
use crate::cluster::event::Event;
use crate::cluster::group::{LocalGroup, Running};
use crate::cluster::peer::{Peer, Standing};
use crate::cluster::placement::{self, Candidate, Place, Reason, Unable, View};
use crate::config::{GroupId, NodeId, Section};
use crate::wire::{Ability, Phase, PingSight, Run, Term};

impl Node {
    /// Place every group anew, and give consent where it is due.
    pub(super) fn decide(&mut self) {
        let ids: Vec<GroupId> = self.groups.iter().map(|group| group.id).collect();
        for id in ids {
            let Place { candidate, reason } = self.place(id);
            let target =
                candidate.and_then(|place| self.config.group(id).nodes.get(place).copied());
            let consent = self.consent(id);
            let Some(group) = self.groups.get_mut(usize::from(id.0)) else { continue };
            let moved = group.target != target;
            let former = std::mem::replace(&mut group.reason, reason.clone());
            group.target = target;
            if let (false, Reason::StaysPut, Some(node)) = (moved, &reason, target)
                && brings(&former)
            {
                group.came = Some((node, former.clone()));
            }
            // That it stays where it just came to is no news, nor what two machines of one name say by turns.
            let by_turns = self.peers.iter().any(|peer| peer.told_double);
            if !by_turns && (moved || former != reason && reason != Reason::StaysPut) {
                let node = target.map(|node| self.config.node(node).name.clone());
                self.out.emit(Event::Placed {
                    group: self.config.group(id).name.clone(),
                    node,
                    reason,
                });
            }
            if group.consent != consent {
                group.consent = consent;
                self.news = true;
            }
        }
    }

    fn place(&self, id: GroupId) -> Place {
        let view = self.view(id);
        match self.wishes.maintenance() {
            Some(wish) if wish.on && self.phase != Phase::Starting => {
                let former = self.groups.get(usize::from(id.0)).and_then(|group| group.target);
                let nodes = &self.config.group(id).nodes;
                let former = nodes.iter().position(|node| Some(*node) == former);
                placement::leave(&view, former, wish.author)
            }
            Some(_) | None => placement::place(&view),
        }
    }

    fn view(&self, id: GroupId) -> View<'_> {
        let spec = self.config.group(id);
        let candidate = |node: &NodeId| Candidate {
            name: &self.config.node(*node).name,
            run: self.run_on(*node, id),
            unable: self.unable(*node, id),
        };
        let wish = self.wishes.location(spec.tag).and_then(|(tag, author)| {
            let node = self.config.node_by_tag(tag)?;
            Some((self.config.node(node).name.as_str(), author))
        });
        View {
            candidates: spec.nodes.iter().map(candidate).collect(),
            auto_failback: spec.auto_failback,
            wish,
            starting: self.phase == Phase::Starting,
        }
    }

    /// What a node does with a group, as far as it is heard.
    pub(super) fn run_on(&self, node: NodeId, id: GroupId) -> Run {
        if node == self.config.me {
            return self.groups.get(usize::from(id.0)).map_or(Run::Unknown, LocalGroup::run);
        }
        self.peer(node).and_then(|peer| peer.report(id)).map_or(Run::Unknown, |report| report.run)
    }

    /// What keeps a node from running a group.
    pub(super) fn unable(&self, node: NodeId, id: GroupId) -> Option<Unable> {
        let (phase, ability) = if node == self.config.me {
            (Some(self.phase), self.groups.get(usize::from(id.0)).map(LocalGroup::ability))
        } else {
            let peer = self.peer(node)?;
            match peer.standing {
                Standing::Unknown => return Some(Unable::NeverHeard),
                Standing::Lost => return Some(Unable::Lost),
                Standing::Left => return Some(Unable::Left),
                Standing::Dead { .. } => return Some(Unable::Dead),
                Standing::Up | Standing::Late => {}
            }
            if peer.said().is_some_and(|said| said.unknown_version.is_some()) {
                return Some(Unable::OtherVersion);
            }
            // A group that is not told of is not known there, or its page has not come yet.
            let same = peer.said().and_then(|said| said.digests).is_none_or(|theirs| {
                !self.config.digests.differing(theirs).contains(&Section::Groups)
            });
            let untold = if same { None } else { Some(Ability::Excluded) };
            let ability = peer.report(id).map(|report| report.ability).or(untold);
            (peer.said().and_then(|said| said.phase), ability)
        };
        match (phase, ability) {
            (Some(Phase::Leaving), _) => return Some(Unable::Leaving),
            (Some(Phase::Starting) | None, _) => return Some(Unable::Starting),
            (Some(Phase::Active), Some(Ability::Failed)) => return Some(Unable::Failed),
            (Some(Phase::Active), Some(Ability::Unfit)) => return Some(Unable::Unfit),
            (Some(Phase::Active), Some(Ability::NoAgent)) => return Some(Unable::NoAgent),
            (Some(Phase::Active), Some(Ability::Excluded)) => return Some(Unable::Excluded),
            (Some(Phase::Active), Some(Ability::Able) | None) => {}
        }
        if self.wishes.standby(self.config.node(node).tag).is_some() {
            return Some(Unable::Standby);
        }
        self.blindness(node, id)
    }

    /// What makes a node no place for a group: it sees no ping node, and another one that is up does. Where nobody sees it
    /// nothing moves; and what runs where it is seen again stays there.
    fn blindness(&self, node: NodeId, id: GroupId) -> Option<Unable> {
        let blind = match self.sight(node)? {
            PingSight::Silent => Unable::NoPing,
            PingSight::Returning if !super::reconcile::holds(self.run_on(node, id)) => {
                Unable::PingReturning
            }
            PingSight::Returning | PingSight::Answers | PingSight::Unanswered => return None,
        };
        let sees = |other: NodeId| other != node && self.sight(other) == Some(PingSight::Answers);
        self.config.node_ids().any(sees).then_some(blind)
    }

    /// What a node says of its ping nodes; `None`: it is not up, or has none.
    pub(super) fn sight(&self, node: NodeId) -> Option<PingSight> {
        if node == self.config.me {
            return self.guard.ping.is_on().then(|| self.guard.ping.sight());
        }
        self.peer(node).filter(|peer| peer.is_up())?.said()?.ping
    }

    /// The peers' claims on a group, best first: what runs already, then the order of its nodes.
    pub(super) fn claims(&self, id: GroupId) -> Vec<(NodeId, Term)> {
        let nodes = self.config.group(id).nodes.iter();
        let claims = nodes.filter_map(|node| {
            let peer = self.peer(*node).filter(|peer| peer.is_up())?;
            let report = peer.report(id)?;
            (report.run == Run::Claiming).then_some((*node, report.term))
        });
        claims.collect()
    }

    /// The one claim that this node consents to: at most one, never beside its own, and given up only when the claim is
    /// gone, granted, or its node lost.
    fn consent(&self, id: GroupId) -> Option<(NodeId, Term)> {
        let group = self.groups.get(usize::from(id.0))?;
        let idle = group.running == Running::Stopped && group.probed() == Some(0);
        if !idle {
            return None;
        }
        if let Some((node, term)) = group.consent {
            // Its word binds it until that node is lost: whoever comes then needs a proof about that node too.
            let stands =
                self.peer(node).filter(|peer| peer.is_up()).and_then(|peer| peer.report(id));
            let stands = stands.is_some_and(|report| {
                report.term == term && matches!(report.run, Run::Claiming | Run::Starting)
            });
            if stands {
                return Some((node, term));
            }
        }
        // Its word would count for another machine too.
        if self.has_namesake() {
            return None;
        }
        // Who runs it gives it up first: two claims that are granted one after the other would meet.
        let held = self.config.peers().any(|peer| {
            self.peer(peer).is_some_and(Peer::is_up)
                && super::reconcile::holds(self.run_on(peer, id))
        });
        if held {
            return None;
        }
        let known = group.highest;
        let double = |node: NodeId| {
            self.peer(node)
                .is_some_and(|peer| peer.is_double(self.now, self.config.timing.deadtime))
        };
        self.claims(id).into_iter().find(|(node, term)| *term >= known && !double(*node))
    }

    /// The place of a node in the order of a group.
    pub(super) fn rank(&self, node: NodeId, id: GroupId) -> usize {
        let nodes = &self.config.group(id).nodes;
        nodes.iter().position(|other| *other == node).unwrap_or(nodes.len())
    }
}

/// Whether a group that ran elsewhere, or nowhere, starts on a node for this reason.
fn brings(reason: &Reason) -> bool {
    match reason {
        Reason::Preferred | Reason::Wished { .. } | Reason::BestAble { .. } | Reason::Failback => {
            true
        }
        Reason::StaysPut
        | Reason::Came { .. }
        | Reason::NobodyElse { .. }
        | Reason::Blocked { .. }
        | Reason::NobodyAble { .. }
        | Reason::Maintenance { .. }
        | Reason::Starting => false,
    }
}
