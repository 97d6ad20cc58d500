//! One peer: which life of it is the living one, when it was last part of a round trip, what it says.
//!
//! ```text
//!            round trip               > warntime          > deadtime
//!  Unknown ─────────────▶ Up ◀──────────────────▶ Late ─────────────▶ Lost
//!                         ▲ │ goodbye                                  │ operator
//!                         │ ▼                                          ▼
//!                         └ Left            any round trip ◀────────── Dead
//! ```

mod bond;
mod sight;
mod stream;

use std::collections::BTreeMap;
use std::time::Duration;

pub(super) use self::bond::Bond;
pub(super) use self::sight::LinkSight;
use self::stream::RefusedStream;
use super::clock::PeerClock;
use super::io::Reject;
use super::loss::Beats;
use super::sent::Sent;
use super::time::Instant;
use crate::config::{GroupId, LinkId, NodeId, Timing};
use crate::wire::{
    Candidate, Echo, GroupReport, Header, Heard, Incarnation, KeyId, MAX_CANDIDATES, Mac, NodeTag,
    Nonce, Phase, PingSight, Sequence, Window,
};

/// How a peer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Never part of a round trip with this daemon.
    Unknown,
    /// Within warntime.
    Up,
    /// Past warntime.
    Late,
    /// Past deadtime.
    Lost,
    /// It said goodbye.
    Left,
    /// The operator vouched for it.
    Dead {
        /// Who.
        author: String,
    },
}

/// What the newest heartbeats of a life said.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) phase: Option<Phase>,
    pub(super) digests: Option<[u32; 4]>,
    pub(super) macs: Vec<Mac>,
    pub(super) groups: BTreeMap<GroupId, GroupReport>,
    /// A bound for each of these reports: when it was made, its node counted the silence from no earlier than this.
    counted_from: BTreeMap<GroupId, Instant>,
    pub(super) ping: Option<PingSight>,
    pub(super) unknown_version: Option<u16>,
    /// The key that signed the newest of them.
    pub(super) key: Option<KeyId>,
}

/// The life that proved itself.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) incarnation: Incarnation,
    /// When it was first heard.
    pub(super) began_at: Instant,
    window: Window,
    highest: Sequence,
    heard_at: Instant,
    /// A bound: its newest datagram was sent no earlier than this, by this node's clock.
    sent_after: Option<Instant>,
    /// Send time of the newest own datagram that it acknowledged.
    fresh_at: Instant,
    /// When that acknowledgement came.
    pub(super) acked_at: Instant,
    /// A bound: the round trip from which it counts this node's silence began no earlier than this.
    counts_from: Option<Instant>,
    /// Time that this daemon itself stood still since `fresh_at`.
    stalled: Duration,
    deadtime: Duration,
    pub(super) said: Said,
    pub(super) round_trip: Option<Duration>,
    /// The round trip that its newest datagram ended; `None`: it echoed nothing that is remembered.
    pub(super) exchange: Option<Duration>,
    /// The longest silence that ended.
    pub(super) worst_silence: Duration,
    pub(super) worst_silence_ended: Instant,
    /// The longest that ended since it was found late.
    pub(super) late_silence: Duration,
    challenge: Option<Nonce>,
    pub(super) beats: Beats,
}

impl Life {
    /// What it says of a group, in the datagram whose header was taken in just before. The former report.
    pub(super) fn reports(&mut self, group: GroupId, report: GroupReport) -> Option<GroupReport> {
        match self.counts_from {
            Some(from) => self.said.counted_from.insert(group, from),
            None => self.said.counted_from.remove(&group),
        };
        self.said.groups.insert(group, report)
    }
}

/// A life that has not yet proved that it is not a replay.
#[derive(Debug, Clone, Copy)]
struct Unproven {
    incarnation: Incarnation,
    highest: Sequence,
    heard_at: Instant,
    challenge: Option<Nonce>,
}

/// What came of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It counts; `newest`: nothing newer of this life was heard before.
    Counts { newest: bool, new_life: bool },
    /// It is of a life that has yet to prove itself, and knows of no challenge: it will be told.
    Challenged,
    /// It does not.
    Refused(Reject),
}

/// What a peer is to this node.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: NodeId,
    tag: NodeTag,
    secret: u64,
    lives: u64,
    pub(super) standing: Standing,
    pub(super) life: Option<Life>,
    /// What it is bound by in maintenance, over all lives: it has that on its disk.
    pub(super) bond: Bond,
    /// Its wall clock, over all lives.
    pub(super) clock: PeerClock,
    unproven: Vec<Unproven>,
    pub(super) refused_stream: RefusedStream,
    /// The life that said goodbye: whatever comes of it now is older than that.
    departed: Option<Incarnation>,
    /// The life before the present one.
    replaced: Option<Incarnation>,
    /// When a life last proved itself that another one had replaced: so both live.
    doubled_at: Option<Instant>,
    /// That was told.
    pub(super) told_double: bool,
    turn: usize,
    pub(super) links: Vec<LinkSight>,
    pub(super) judged_from: Instant,
    /// When the newest round trip began, when it was last found to be up.
    last_up: Option<Instant>,
    /// How long it had been away when it was found to be up again.
    pub(super) silent_before: Option<Duration>,
    pub(super) next_ask: Instant,
}

/// A keyed mix (the finaliser of SplitMix64): enough for a challenge inside an authenticated datagram, whose
/// authenticity does not rest on it.
fn mix(seed: u64, value: u64) -> u64 {
    let mut z = seed ^ value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Peer {
    pub(super) fn new(id: NodeId, tag: NodeTag, secret: u64, links: usize) -> Self {
        Self {
            id,
            tag,
            secret,
            lives: 0,
            standing: Standing::Unknown,
            life: None,
            bond: Bond::default(),
            clock: PeerClock::default(),
            unproven: Vec::new(),
            refused_stream: RefusedStream::default(),
            departed: None,
            replaced: None,
            doubled_at: None,
            told_double: false,
            turn: 0,
            links: vec![LinkSight::default(); links],
            judged_from: Instant::ZERO,
            last_up: None,
            silent_before: None,
            next_ask: Instant::ZERO,
        }
    }

    /// The challenge for a life. It is another one after each change of lives, so that an answer heard once is worth
    /// nothing later.
    fn nonce(&self, incarnation: Incarnation) -> Nonce {
        Nonce(mix(mix(mix(self.secret, u64::from(self.id.0)), self.lives), incarnation.0))
    }

    /// Take in the header of an authentic datagram. `me`: this node's tag and life.
    pub(super) fn take(
        &mut self,
        now: Instant,
        link: LinkId,
        header: &Header,
        me: (NodeTag, Incarnation),
        sent: &Sent,
    ) -> Taken {
        let echo = header.echoes.iter().find(|echo| echo.node == me.0);
        let challenge = echo
            .and_then(|echo| echo.candidates.iter().find(|candidate| candidate.incarnation == me.1))
            .map(|candidate| candidate.nonce);
        let mut new_life = false;
        if self.departed == Some(header.incarnation) {
            return Taken::Refused(Reject::Replayed);
        }
        if self.life.as_ref().is_none_or(|life| life.incarnation != header.incarnation) {
            let news = self.challenge(now, header, challenge);
            let answer = echo.and_then(|echo| echo.answer);
            if answer != Some(self.nonce(header.incarnation)) {
                if news && let Some(sight) = self.links.get_mut(usize::from(link.0)) {
                    sight.glimpsed_at = Some(now);
                }
                // A new life begins so; what says nothing new does not.
                return if news { Taken::Challenged } else { Taken::Refused(Reject::Unproven) };
            }
            self.begin_life(now, header);
            new_life = true;
        }
        let Some(life) = &mut self.life else { return Taken::Refused(Reject::Unproven) };
        if !life.window.accept(header.sequence) {
            return Taken::Refused(Reject::Replayed);
        }
        let newest = header.sequence > life.highest || new_life;
        life.deadtime = Duration::from_micros(header.deadtime_us.into());
        if newest {
            life.highest = header.sequence;
            life.heard_at = now;
            life.challenge = challenge;
            life.sent_after = None;
            life.exchange = None;
        }
        if let Some(sight) = self.links.get_mut(usize::from(link.0)) {
            sight.heard_at = Some(now);
            sight.heartbeats += u64::from(!header.flags.answer);
        }
        let heard = echo.and_then(|echo| echo.heard).filter(|heard| heard.incarnation == me.1);
        if let Some(heard) = heard {
            self.acknowledged(now, heard, newest, sent);
        }
        Taken::Counts { newest, new_life }
    }

    /// A datagram of an unproven life: keep it as a candidate if it is newer than what was heard of that life. Whether it
    /// is, and nobody had to make room for it.
    fn challenge(&mut self, now: Instant, header: &Header, challenge: Option<Nonce>) -> bool {
        let seen = Unproven {
            incarnation: header.incarnation,
            highest: header.sequence,
            heard_at: now,
            challenge,
        };
        if let Some(known) =
            self.unproven.iter_mut().find(|known| known.incarnation == header.incarnation)
        {
            // What overtook another on its way, or comes a second time, is no news and no harm.
            let newer = header.sequence > known.highest;
            if newer {
                *known = seen;
            }
            newer
        } else if self.unproven.len() < MAX_CANDIDATES {
            self.unproven.push(seen);
            true
        } else {
            // A flood of replays cannot foresee which slot is given up, so it cannot keep a living one out.
            let lot =
                mix(self.secret, header.incarnation.0 ^ now.as_micros()) % MAX_CANDIDATES as u64;
            let slot = usize::try_from(lot).ok().and_then(|lot| self.unproven.get_mut(lot));
            if let Some(slot) = slot {
                *slot = seen;
            }
            false
        }
    }

    fn begin_life(&mut self, now: Instant, header: &Header) {
        self.refused_stream = RefusedStream::default();
        self.lives += 1;
        if self.replaced == Some(header.incarnation) {
            self.doubled_at = Some(now);
        }
        self.replaced = self.life.as_ref().map(|life| life.incarnation);
        let fresh_at = self.life.as_ref().map_or(self.judged_from, |life| life.fresh_at);
        self.unproven.clear();
        self.links.fill(LinkSight::default());
        self.life = Some(Life {
            incarnation: header.incarnation,
            began_at: now,
            window: Window::default(),
            highest: Sequence(0),
            heard_at: now,
            sent_after: None,
            // Its answer to a fresh challenge is a round trip; its echo says from when.
            fresh_at: fresh_at.max(self.judged_from),
            acked_at: now,
            counts_from: None,
            stalled: Duration::ZERO,
            deadtime: Duration::ZERO,
            said: Said::default(),
            round_trip: None,
            exchange: None,
            worst_silence: Duration::ZERO,
            worst_silence_ended: now,
            late_silence: Duration::ZERO,
            challenge: None,
            beats: Beats::default(),
        });
    }

    fn acknowledged(&mut self, now: Instant, heard: Heard, newest: bool, sent: &Sent) {
        let silence = self.silence(now);
        let Some(life) = &mut self.life else { return };
        for (place, sight) in (0_u32..).zip(&mut self.links).filter(|_| newest) {
            let hears = heard.links & 1_u8.checked_shl(place).unwrap_or(0) != 0;
            if hears != sight.hears {
                (sight.hears, sight.since) = (hears, now);
            }
        }
        let Some(mine) = sent.get(heard.sequence) else { return };
        let hold = Duration::from_micros(heard.hold_us.into());
        let round_trip = (now - mine.at).saturating_sub(hold);
        if newest {
            life.sent_after = Some((mine.at + hold).min(now));
            life.exchange = Some(round_trip);
        }
        let told = mine
            .told
            .iter()
            .find(|told| told.peer == self.id && told.incarnation == life.incarnation);
        life.counts_from = life.counts_from.max(told.map(|told| told.sent_after));
        if mine.at > life.fresh_at || life.round_trip.is_none() {
            if life.round_trip.is_some() {
                life.late_silence = life.late_silence.max(silence);
                if silence > life.worst_silence {
                    (life.worst_silence, life.worst_silence_ended) = (silence, now);
                }
            }
            life.fresh_at = life.fresh_at.max(mine.at);
            life.acked_at = now;
            life.stalled = Duration::ZERO;
            life.round_trip = Some(round_trip);
        }
    }

    /// What to tell this peer, and what follows if it acknowledges that.
    pub(super) fn echo(&mut self, now: Instant, deadtime: Duration) -> Echo {
        self.turn = self.turn.wrapping_add(1);
        let hold = |at: Instant| super::time::micros_u32(now - at);
        let mut links = 0_u8;
        for (place, sight) in self.links.iter().enumerate().take(8) {
            if sight.heard_at.is_some_and(|at| now - at <= deadtime) {
                links |= 1 << place;
            }
        }
        let candidate = self.unproven.get(self.turn % self.unproven.len().max(1)).copied();
        let heard = match (&self.life, candidate) {
            (Some(life), _) => Some((life.incarnation, life.highest, life.heard_at)),
            // Until a peer has proved itself the newest of it is echoed, or two new nodes would never meet.
            (None, Some(seen)) => Some((seen.incarnation, seen.highest, seen.heard_at)),
            (None, None) => None,
        };
        let living = self.life.as_ref().and_then(|life| life.challenge);
        Echo {
            node: self.tag,
            heard: heard.map(|(incarnation, sequence, at)| Heard {
                incarnation,
                sequence,
                hold_us: hold(at),
                links,
            }),
            candidates: self
                .unproven
                .iter()
                .map(|seen| Candidate {
                    incarnation: seen.incarnation,
                    nonce: self.nonce(seen.incarnation),
                })
                .collect(),
            answer: candidate.and_then(|seen| seen.challenge).or(living),
        }
    }

    /// What a datagram sent now tells this peer about its own newest datagram.
    pub(super) fn told(&self) -> Option<(Incarnation, Instant)> {
        let life = self.life.as_ref()?;
        Some((life.incarnation, life.sent_after?))
    }

    /// Time without a round trip, less what this daemon itself stood still.
    pub(super) fn silence(&self, now: Instant) -> Duration {
        match &self.life {
            Some(life) => (now - life.fresh_at.max(self.judged_from)).saturating_sub(life.stalled),
            None => now - self.judged_from,
        }
    }

    /// When the silence reaches this length, if nothing happens.
    pub(super) fn silent_for(&self, length: Duration) -> Instant {
        match &self.life {
            Some(life) => life.fresh_at.max(self.judged_from) + life.stalled + length,
            None => self.judged_from + length,
        }
    }

    /// This daemon stood still for a short while: that is not the peer's silence.
    pub(super) fn credit(&mut self, stall: Duration) {
        if let Some(life) = &mut self.life {
            life.stalled += stall;
        }
    }

    /// A bound: before this moment the peer does not take over anything from this node. `None`: it may at any time.
    pub(super) fn waits_until(&self) -> Option<Instant> {
        let life = self.life.as_ref()?;
        Some(life.counts_from? + life.deadtime)
    }

    /// A bound: its word on a group binds it until this moment. What it acknowledged since came without that word, which
    /// it may have taken back in a datagram that was lost.
    pub(super) fn keeps_word_until(&self, group: GroupId) -> Option<Instant> {
        let life = self.life.as_ref()?;
        Some(*life.said.counted_from.get(&group)? + life.deadtime)
    }

    /// It said goodbye: that life is over, and a later datagram of it is a replay.
    pub(super) fn left(&mut self) {
        self.lives += 1;
        self.departed = self.life.take().map(|life| life.incarnation);
        self.unproven.clear();
        self.links.fill(LinkSight::default());
        self.standing = Standing::Left;
    }

    /// Judge the silence. Returns the former standing if it changed.
    pub(super) fn judge(&mut self, now: Instant, timing: &Timing) -> Option<Standing> {
        let heard = self.life.as_ref().is_some_and(|life| life.round_trip.is_some());
        let silence = self.silence(now);
        let by_silence = if !heard {
            Standing::Unknown
        } else if silence > timing.deadtime {
            Standing::Lost
        } else if silence > timing.warntime {
            Standing::Late
        } else {
            Standing::Up
        };
        let next = match &self.standing {
            // A round trip that was too old when it came ended no silence.
            Standing::Unknown if by_silence == Standing::Lost && self.last_up.is_none() => {
                return None;
            }
            Standing::Unknown | Standing::Up | Standing::Late => by_silence,
            // What was lost or gone is back with a round trip that is not late already; a stall of this daemon is none.
            Standing::Lost | Standing::Left | Standing::Dead { .. }
                if self
                    .life
                    .as_ref()
                    .is_some_and(|life| heard && now - life.fresh_at <= timing.warntime) =>
            {
                Standing::Up
            }
            Standing::Lost | Standing::Left | Standing::Dead { .. } => return None,
        };
        if next == Standing::Up {
            let fresh = self.life.as_ref().map_or(now, |life| life.fresh_at);
            self.silent_before = self.last_up.replace(fresh).map(|last| now - last);
        }
        (next != self.standing).then(|| std::mem::replace(&mut self.standing, next))
    }

    /// Judge each link. Returns those that broke for good, or work again; none while the peer itself is silent.
    pub(super) fn judge_links(&mut self, now: Instant, deadtime: Duration) -> Vec<LinkId> {
        let up = self.is_up();
        let mut changed = Vec::new();
        for (place, sight) in (0_u8..).zip(&mut self.links) {
            let heard = sight.heard_at.is_some_and(|at| now - at <= deadtime);
            if heard != sight.heard {
                (sight.heard, sight.since) = (heard, now);
            }
            if !up {
                // A silent peer is told of itself; its links are judged anew when it is back.
                sight.since = now;
                continue;
            }
            let broken = sight.broken_from(deadtime).is_some_and(|from| now >= from);
            if broken || sight.told_broken && sight.works() {
                sight.told_broken = broken;
                changed.push(LinkId(place));
            }
        }
        changed
    }

    /// When [`judge_links`](Self::judge_links) has something to say next.
    pub(super) fn next_link_news(&self, deadtime: Duration) -> Option<Instant> {
        let up = self.is_up();
        let links = self.links.iter().filter(|_| up);
        let next = links.filter_map(|sight| match sight.heard_at.filter(|_| sight.heard) {
            Some(at) if sight.hears => Some(at + deadtime + Duration::from_micros(1)),
            Some(_) | None => sight.broken_from(deadtime),
        });
        next.min()
    }

    /// Whether it takes part in conversations: heard within deadtime.
    pub(super) fn is_up(&self) -> bool {
        match self.standing {
            Standing::Up | Standing::Late => true,
            Standing::Unknown | Standing::Lost | Standing::Left | Standing::Dead { .. } => false,
        }
    }

    /// Whether it cannot run anything: it said so, or the operator vouched for it.
    pub(super) fn is_gone(&self) -> bool {
        match self.standing {
            Standing::Left | Standing::Dead { .. } => true,
            Standing::Unknown | Standing::Up | Standing::Late | Standing::Lost => false,
        }
    }

    /// Whether it was up and is not: lost, or gone.
    pub(super) fn is_down(&self) -> bool {
        self.is_gone() || self.standing == Standing::Lost
    }

    /// Whether two machines run under its name: each of them proves again and again that it lives. What one of them says
    /// does not bind the other.
    pub(super) fn is_double(&self, now: Instant, deadtime: Duration) -> bool {
        self.doubled_at.is_some_and(|at| now - at <= deadtime * 2)
    }

    /// Whether it was part of a round trip within deadtime, however it is judged.
    pub(super) fn is_alive(&self, now: Instant, deadtime: Duration) -> bool {
        let proven = self.life.as_ref().is_some_and(|life| life.round_trip.is_some());
        proven && self.silence(now) <= deadtime
    }

    /// Whether any life of it was heard that is not forgotten.
    pub(super) fn is_noticed(&self) -> bool {
        self.life.is_some() || !self.unproven.is_empty()
    }

    /// Forget all lives if none was heard for a deadtime. What they were asked to prove is worth nothing from then on.
    pub(super) fn forget(&mut self, now: Instant, deadtime: Duration) {
        let living = self.life.as_ref().map(|life| life.heard_at);
        let newest = self.unproven.iter().map(|seen| seen.heard_at).chain(living).max();
        if newest.is_some_and(|at| now - at > deadtime) {
            self.lives += 1;
            self.life = None;
            self.unproven.clear();
            self.links.fill(LinkSight::default());
        }
    }

    /// Links on which it is heard although for longer than deadtime nothing has shown that it hears this node.
    pub(super) fn one_way(&self, now: Instant, deadtime: Duration) -> Vec<LinkId> {
        if self.is_up() || self.is_gone() || self.silence(now) <= deadtime {
            return Vec::new();
        }
        let recent = |at: Option<Instant>| at.is_some_and(|at| now - at <= deadtime);
        let links = (0_u8..).map(LinkId).zip(&self.links);
        links
            .filter(|(_, sight)| recent(sight.heard_at) || recent(sight.glimpsed_at))
            .map(|(link, _)| link)
            .collect()
    }

    /// What the living one said last.
    pub(super) fn said(&self) -> Option<&Said> {
        self.life.as_ref().map(|life| &life.said)
    }

    /// What it said of a group.
    pub(super) fn report(&self, group: GroupId) -> Option<&GroupReport> {
        self.said()?.groups.get(&group)
    }
}

#[cfg(test)]
mod tests;
