//! The snapshot: everything that status prints.

use std::time::Duration;

use super::Node;
use super::maintenance::leaves;
use crate::cluster::group::{LocalGroup, Running};
use crate::cluster::io::LinkState;
use crate::cluster::keys::{self, KeyConflict};
use crate::cluster::peer::{Peer, Standing};
use crate::cluster::placement::Reason;
use crate::cluster::resource::LocalResource;
use crate::cluster::snapshot::{
    GroupView, LinkView, NodeState, NodeView, PeerView, PingView, ResourceView, Snapshot,
};
use crate::cluster::text::Age;
use crate::cluster::time::Instant;
use crate::config::{GroupId, NodeId};
use crate::wire::{KeysChange, Phase, PingSight, Run, Term};

impl Node {
    /// What status prints. `now` only ages the figures.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let now = now.max(self.now);
        let timing = self.config.timing;
        let start = Instant::ZERO + timing.initdead;
        Snapshot {
            cluster: self.config.cluster.clone(),
            node: self.name(self.config.me),
            uptime: now - Instant::ZERO,
            phase: self.phase,
            joins_in: (self.phase == Phase::Starting).then(|| start - now),
            warntime: timing.warntime,
            deadtime: timing.deadtime,
            warn_offset: self.config.warn_offset,
            nodes: self.config.node_ids().map(|id| self.node_view(id, now)).collect(),
            ping: self.ping_views(now),
            groups: self.config.group_ids().filter_map(|id| self.group_view(id, now)).collect(),
            links: self.link_views(),
            namesake: self.namesake_source(),
            refused: self.refused.iter().map(|(why, (count, _))| (*why, *count)).collect(),
            refused_ago: self.refused.iter().map(|(why, (_, at))| (*why, now - *at)).collect(),
            maintenance: self.maintenance_view(),
            disk: self.disk.clone(),
            counts: self.out.counts().clone(),
        }
    }

    /// What stands against a change of this node's keys: peers that are heard and would be lost.
    #[must_use]
    pub fn key_conflicts(&self, change: &KeysChange) -> Vec<KeyConflict> {
        let heard = self.peers.iter().filter(|peer| peer.is_up()).filter_map(|peer| {
            let key = peer.said()?.key?;
            Some((self.name(peer.id), key))
        });
        keys::conflicts(&heard.collect::<Vec<_>>(), change)
    }

    fn link_views(&self) -> Vec<(String, Option<String>)> {
        let state = |state: &LinkState| match state {
            LinkState::Up => None,
            LinkState::Waiting(why) => Some(why.clone()),
        };
        self.config
            .links
            .iter()
            .zip(&self.link_states)
            .map(|(link, now)| (link.name.clone(), state(now)))
            .collect()
    }

    fn ping_views(&self, now: Instant) -> Vec<PingView> {
        let window = self.config.timing.deadtime / 2;
        let view = |target: &crate::cluster::guard::PingTarget| {
            let answered = target.answered.map(|at| now - at);
            let answers = answered.is_some_and(|age| age <= window);
            PingView { target: target.address, answered, answers, error: target.error.clone() }
        };
        self.guard.ping.targets.iter().map(view).collect()
    }

    fn node_view(&self, id: NodeId, now: Instant) -> NodeView {
        let node = self.config.node(id);
        let standby = self.wishes.standby(node.tag).map(str::to_owned);
        let on = self.guard.ping.is_on();
        let Some(peer) = self.peer(id) else {
            let ping = on.then(|| self.guard.ping.answers(now));
            return NodeView {
                name: node.name.clone(),
                state: NodeState::Up,
                standby,
                left_running: false,
                ping,
                doubled: self.has_namesake(),
                one_way: Vec::new(),
                peer: None,
            };
        };
        let state = match peer.standing {
            Standing::Unknown => NodeState::Unknown,
            Standing::Up => NodeState::Up,
            Standing::Late => NodeState::Late,
            Standing::Lost => NodeState::Lost,
            Standing::Left => NodeState::Left,
            Standing::Dead { .. } => NodeState::Dead,
        };
        let one_way = peer.one_way(now, self.config.timing.deadtime);
        let sight = peer.said().filter(|_| on && peer.is_up()).and_then(|said| said.ping);
        NodeView {
            name: node.name.clone(),
            state,
            standby,
            left_running: !peer.is_up() && leaves(peer.bond.word),
            ping: sight.map(|sight| matches!(sight, PingSight::Answers | PingSight::Returning)),
            doubled: peer.is_double(now, self.config.timing.deadtime),
            one_way: one_way.iter().map(|link| self.config.link(*link).name.clone()).collect(),
            peer: self.peer_view(peer, now),
        }
    }

    fn peer_view(&self, peer: &Peer, now: Instant) -> Option<PeerView> {
        let life = peer.life.as_ref()?;
        let links = self.config.link_ids().zip(&self.config.links).zip(&peer.links);
        let clock = peer.clock.measured();
        let differs =
            life.said.digests.map_or_else(Vec::new, |theirs| self.config.digests.differing(theirs));
        Some(PeerView {
            phase: life.said.phase,
            silence: peer.silence(now),
            worst_silence: life.worst_silence,
            worst_silence_ago: now - life.worst_silence_ended,
            round_trip: life.round_trip,
            clock_offset_us: clock.map(|measured| measured.offset_us),
            clock_error_us: clock.map(|measured| measured.error_us),
            clock_apart: peer.clock.is_apart(),
            links: links
                .map(|((id, link), sight)| {
                    let (lost_in, lost_out) = peer.lost(id);
                    LinkView {
                        name: link.name.clone(),
                        heard: sight.heard,
                        hears: sight.hears && peer.is_up(),
                        heartbeats: sight.heartbeats,
                        lost_in,
                        lost_out,
                    }
                })
                .collect(),
            differs,
            unknown_version: life.said.unknown_version,
            key: life.said.key,
        })
    }

    fn group_view(&self, id: GroupId, now: Instant) -> Option<GroupView> {
        let (spec, group) = (self.config.group(id), self.groups.get(usize::from(id.0))?);
        let holders = self.config.node_ids().filter_map(|node| {
            let run = self.run_on(node, id);
            let term =
                if node == self.config.me { group.term } else { self.peer(node)?.report(id)?.term };
            let something = match run {
                Run::Claiming | Run::Starting | Run::Started | Run::Stopping | Run::Blocked => true,
                Run::Unknown | Run::Stopped => false,
            };
            something.then_some((node, run, term))
        });
        let holders: Vec<_> = holders.collect();
        let (level, weaker) = self.guard.level(&self.config, id);
        let unable = self
            .config
            .node_ids()
            .filter_map(|node| Some((self.name(node), self.unable(node, id)?)));
        let claiming = matches!(group.running, Running::Claiming { .. });
        let doubts = group.doubts.iter().filter(|_| claiming);
        Some(GroupView {
            name: spec.name.clone(),
            held: self.held(&holders, now),
            holders: holders
                .into_iter()
                .map(|(node, run, term)| (self.name(node), run, term))
                .collect(),
            target: group.target.map(|node| self.name(node)),
            reason: why_there(group),
            doubts: doubts.map(|(node, doubt)| (self.name(*node), doubt.clone())).collect(),
            level,
            weaker,
            unable: unable.collect(),
            resources: group
                .resources
                .iter()
                .map(|resource| {
                    let spec = self.config.resource(resource.id);
                    ResourceView {
                        name: spec.name.clone(),
                        agent: spec.agent.to_string(),
                        state: resource.state(),
                        failure: failure(resource, now),
                        remark: resource.remark.clone(),
                    }
                })
                .collect(),
        })
    }

    /// How old the term of the only holder is, among those that are heard.
    fn held(&self, holders: &[(NodeId, Run, Term)], now: Instant) -> Option<Duration> {
        let heard = |node: NodeId| {
            node == self.config.me
                || self.peer(node).is_some_and(|peer| match peer.standing {
                    Standing::Up | Standing::Late => true,
                    Standing::Unknown | Standing::Lost | Standing::Left | Standing::Dead { .. } => {
                        false
                    }
                })
        };
        let mut holders = holders.iter().filter(|(node, _, _)| heard(*node));
        let (Some((_, Run::Started, term)), None) = (holders.next(), holders.next()) else {
            return None;
        };
        self.unix_ms(now).checked_sub(term.0 >> 8).map(Duration::from_millis)
    }
}

/// Why a group is where it is: for one that merely stays there, why it came.
fn why_there(group: &LocalGroup) -> Reason {
    match (&group.reason, &group.came) {
        (Reason::StaysPut, Some((node, came))) if group.target == Some(*node) => {
            Reason::Came { because: came.to_string() }
        }
        (reason, _) => reason.clone(),
    }
}

/// What went wrong with a resource last; that its address is elsewhere too, for as long as that is so.
fn failure(resource: &LocalResource, now: Instant) -> Option<String> {
    let conflict = resource.recent_conflict(now).map(|conflict| {
        let ago = Age(now - conflict.last);
        format!("address conflict: {} has it too, it said {ago} ago", conflict.mac)
    });
    resource.failure.clone().or(conflict)
}
