//! Speak: heartbeats at their interval, at once when there is news, asked and answered when a round trip is missing.

use std::time::Duration;

use super::{Node, Timer};
use crate::cluster::io::{Destination, Output};
use crate::cluster::peer::Standing;
use crate::cluster::sent::Told;
use crate::cluster::time::{Instant, micros_u32};
use crate::config::{GroupId, LinkId, NodeId, Timing};
use crate::wire::{
    Ability, Body, Flags, GroupReport, GuardRecord, Header, Heartbeat, MAX_GROUPS_PER_PAGE,
    MAX_MACS, Report, Run, Sequence, Term,
};

/// A goodbye is said so often, for nobody acknowledges it.
pub(super) const GOODBYES: u32 = 5;
/// The time between two of them, at most.
const GOODBYE_INTERVAL: Duration = Duration::from_millis(20);

/// So many keepalives in a deadtime are enough to lose some.
const BEATS_TO_SPARE: u32 = 8;

/// What a heartbeat is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Beat,
    Ask,
    Answer,
    Goodbye,
}

impl Node {
    pub(super) fn speak(&mut self) {
        self.note_changes();
        if self.exited {
            return;
        }
        if self.is_over() {
            if self.now >= self.next_beat || self.news {
                self.goodbyes += 1;
                self.next_beat = self.now + GOODBYE_INTERVAL.min(self.config.timing.keepalive);
                // Where another machine lives under this name a goodbye would be taken for its, too.
                let says_goodbye = self.runs_nothing() && !self.has_namesake();
                self.beat(if says_goodbye { Purpose::Goodbye } else { Purpose::Beat });
            }
        } else if self.news || self.now >= self.next_beat {
            self.next_beat = self.now + self.config.timing.keepalive;
            self.beat(Purpose::Beat);
        }
        self.news = false;
        self.ask();
    }

    /// A peer beats, so this node, which is awake now, does as well if it would soon: two that beat in step wake half as often.
    /// Only where deadtime has room for many round trips, since those of both nodes then share one moment.
    pub(super) fn fall_in_step(&mut self) {
        let Timing { keepalive, deadtime, .. } = self.config.timing;
        let soon = self.now + keepalive / 2 >= self.next_beat && !self.is_over();
        if soon && deadtime >= keepalive * BEATS_TO_SPARE {
            self.next_beat = self.next_beat.min(self.now);
        }
    }

    /// What is new about groups goes to the front, and out at once.
    fn note_changes(&mut self) {
        let reports: Vec<GroupReport> =
            self.config.group_ids().filter_map(|id| self.group_report(id)).collect();
        if reports == self.told {
            return;
        }
        let changed = |(id, report): &(GroupId, &GroupReport)| {
            self.told.get(usize::from(id.0)) != Some(*report)
        };
        let changed: Vec<GroupId> =
            self.config.group_ids().zip(&reports).filter(changed).map(|(id, _)| id).collect();
        self.turn.retain(|id| !changed.contains(id));
        for id in changed.into_iter().rev() {
            self.turn.push_front(id);
        }
        self.told = reports;
        self.news = true;
    }

    fn group_report(&self, id: GroupId) -> Option<GroupReport> {
        let group = self.groups.get(usize::from(id.0))?;
        Some(GroupReport {
            group: self.config.group(id).tag,
            run: group.run(),
            term: group.term,
            highest: group.highest,
            consent: group.consent.map(|(_, term)| term),
            ability: group.ability(),
        })
    }

    /// A heartbeat to everybody on every link. One of the links asks for an answer, each in its turn: so a round trip is
    /// never older than a keepalive while all is well, and two nodes that beat in step do not see each other late.
    fn beat(&mut self, purpose: Purpose) {
        let report = self.page();
        let heard = |link: &LinkId| {
            self.peers
                .iter()
                .any(|peer| peer.links.get(usize::from(link.0)).is_some_and(|sight| sight.heard))
        };
        let heard: Vec<LinkId> = self.config.link_ids().filter(heard).collect();
        self.beats = self.beats.wrapping_add(1);
        let asks = heard.get(self.beats % heard.len().max(1)).copied();
        let asks = asks.filter(|_| purpose == Purpose::Beat);
        if let Some(link) = asks {
            self.peers.iter_mut().for_each(|peer| peer.asked(link));
        }
        for link in self.config.link_ids() {
            let purpose = if Some(link) == asks { Purpose::Ask } else { purpose };
            self.send(link, Destination::All, purpose, report.clone());
        }
    }

    fn page(&mut self) -> Report {
        let room = MAX_GROUPS_PER_PAGE.saturating_sub(self.foreign_claims.len());
        let page: Vec<GroupId> = self.turn.iter().take(room).copied().collect();
        if self.turn.len() > room {
            self.turn.rotate_left(room);
        }
        let mut groups: Vec<GroupReport> =
            page.into_iter().filter_map(|id| self.group_report(id)).collect();
        let foreign = self.foreign_claims.iter().map(|(group, term)| GroupReport {
            group: *group,
            run: Run::Stopped,
            term: Term::default(),
            highest: *term,
            consent: Some(*term),
            ability: Ability::Excluded,
        });
        groups.extend(foreign);
        Report { groups, wishes: self.wishes.page(), ..self.short_report() }
    }

    fn short_report(&self) -> Report {
        let (phase, digests) = (self.phase, self.config.digests.0);
        Report {
            phase,
            digests,
            macs: self.own_macs.iter().take(MAX_MACS).copied().collect(),
            groups: Vec::new(),
            wishes: Vec::new(),
        }
    }

    fn send(&mut self, link: LinkId, to: Destination, purpose: Purpose, report: Report) {
        let (now, timing) = (self.now, self.config.timing);
        let told = self.peers.iter().filter_map(|peer| {
            let (incarnation, sent_after) = peer.told()?;
            Some(Told { peer: peer.id, incarnation, sent_after })
        });
        let sequence = self.sent.record(now, told.collect());
        let ping = self.guard.ping.is_on().then(|| GuardRecord::Ping(self.guard.ping.sight()));
        let maintenance = self.maintenance.word.map(GuardRecord::Maintenance);
        let header = Header {
            sender: self.config.node(self.config.me).tag,
            incarnation: self.incarnation,
            sequence,
            sent_us: now.as_micros(),
            wall_us: 0,
            flags: Flags {
                ask: purpose == Purpose::Ask,
                answer: purpose == Purpose::Answer,
                goodbye: purpose == Purpose::Goodbye,
            },
            keepalive_us: micros_u32(timing.keepalive),
            deadtime_us: micros_u32(timing.deadtime),
            echoes: self
                .peers
                .iter_mut()
                .chain(self.namesake.addressee())
                .map(|peer| peer.echo(now, timing.deadtime))
                .collect(),
            records: ping.into_iter().chain(maintenance).collect(),
        };
        debug_assert!(header.sequence > Sequence(0), "sequences begin at 1");
        let heartbeat = Box::new(Heartbeat { header, body: Body::Known(report) });
        self.out.push(Output::Send { link, to, heartbeat });
    }

    /// Answer a peer that misses a round trip: at once, shortly, and not more often than it may ask.
    pub(super) fn answer(&mut self, link: LinkId, to: NodeId) {
        let (now, least) = (self.now, self.config.timing.keepalive / 8);
        let Some(sight) =
            self.peer_mut(to).and_then(|peer| peer.links.get_mut(usize::from(link.0)))
        else {
            return;
        };
        if sight.answered_at.is_some_and(|at| now - at < least) {
            return;
        }
        sight.answered_at = Some(now);
        let report = self.short_report();
        self.send(link, Destination::Node(to), Purpose::Answer, report);
    }

    /// When a peer is to be asked for a missing round trip.
    fn asks_from(&self, peer: &super::Peer) -> Option<Instant> {
        let patience = self.config.timing.keepalive * 6 / 5;
        match peer.standing {
            Standing::Up | Standing::Late => {
                Some((peer.life.as_ref()?.acked_at + patience).max(peer.next_ask))
            }
            Standing::Unknown | Standing::Lost | Standing::Left | Standing::Dead { .. } => None,
        }
    }

    fn ask(&mut self) {
        let now = self.now;
        let due: Vec<NodeId> = self
            .peers
            .iter()
            .filter(|peer| self.asks_from(peer).is_some_and(|from| now >= from))
            .map(|peer| peer.id)
            .collect();
        for id in due {
            let interval = self.config.timing.keepalive / 4;
            if let Some(peer) = self.peer_mut(id) {
                peer.next_ask = now + interval;
            }
            for link in self.config.link_ids() {
                let report = self.short_report();
                self.send(link, Destination::Node(id), Purpose::Ask, report);
            }
        }
    }

    pub(super) fn speak_deadlines(&self) -> impl Iterator<Item = (Instant, Timer)> {
        let asks = self.peers.iter().filter_map(|peer| self.asks_from(peer));
        std::iter::once((self.next_beat, Timer::Keepalive)).chain(asks.map(|at| (at, Timer::Ask)))
    }
}
