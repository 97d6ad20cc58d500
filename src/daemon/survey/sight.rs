//! What one survey has heard of the other nodes so far, and whether it has heard enough. No sockets and no clock.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::{INTERVAL, LinkFinding, PeerFacts, PeerFinding};
use crate::cluster::io::Reject;
use crate::cluster::time::{Instant, micros_u32};
use crate::config::{Config, LinkId, NodeId};
use crate::wire::{Incarnation, Survey, SurveyHeard, SurveyRole};

/// Once a peer is met on one link it has so long to be met on the others.
const SETTLE: Duration = Duration::from_secs(5);

/// What is known is told to the peer for so long, so that it need not wait in vain.
const LAST_WORDS: Duration = INTERVAL.saturating_mul(3);

/// All that was heard.
pub(super) struct Sights {
    life: Incarnation,
    peers: Vec<Sight>,
    /// Since when nothing is waited for.
    satisfied: Option<Instant>,
}

/// One peer.
struct Sight {
    id: NodeId,
    links: Vec<LinkSight>,
    facts: Option<PeerFacts>,
    /// The round trip by which its clock was compared.
    best: Option<Duration>,
    /// When anything of it came first, authentic or not.
    met: Option<Instant>,
    concluded: Option<Instant>,
    said_done: bool,
}

/// One link to it.
#[derive(Default)]
struct LinkSight {
    /// Its newest survey on it, and when it came.
    newest: Option<(SurveyHeard, Instant)>,
    heard: bool,
    hears: bool,
    round_trip: Option<Duration>,
    refused: BTreeMap<Reject, u64>,
}

impl Sights {
    pub(super) fn new(config: &Config, life: Incarnation) -> Self {
        let sight = |id| Sight {
            id,
            links: config.links.iter().map(|_| LinkSight::default()).collect(),
            facts: None,
            best: None,
            met: None,
            concluded: None,
            said_done: false,
        };
        Self { life, peers: config.peers().map(sight).collect(), satisfied: None }
    }

    /// Takes in what a peer says to this node. `wall_us`: this node's wall clock.
    pub(super) fn take(
        &mut self,
        now: Instant,
        wall_us: u64,
        (from, link): (NodeId, LinkId),
        config: &Config,
        survey: &Survey,
    ) {
        let life = self.life;
        let Some(sight) = self.peers.iter_mut().find(|sight| sight.id == from) else { return };
        sight.met.get_or_insert(now);
        sight.said_done = survey.role != SurveyRole::Asks;
        if let Some(place) = sight.links.get_mut(usize::from(link.0)) {
            place.heard = true;
            let entry = SurveyHeard {
                link: link.0,
                life: survey.life,
                sent_us: survey.sent_us,
                hold_us: 0,
            };
            let newer = place
                .newest
                .is_none_or(|(known, _)| known.life != entry.life || known.sent_us < entry.sent_us);
            if newer {
                place.newest = Some((entry, now));
            }
        }
        let mut best = None;
        for heard in survey.heard.iter().filter(|heard| heard.life == life) {
            let Some(place) = sight.links.get_mut(usize::from(heard.link)) else { continue };
            place.hears = true;
            let there_and_back = now - Instant::from_micros(heard.sent_us);
            let round_trip =
                there_and_back.saturating_sub(Duration::from_micros(heard.hold_us.into()));
            // What went out on this link and was answered on this link.
            if heard.link == link.0 {
                place.round_trip =
                    Some(place.round_trip.map_or(round_trip, |former| former.min(round_trip)));
            }
            best = Some(best.map_or(round_trip, |best: Duration| best.min(round_trip)));
        }
        sight.learn(wall_us, best, config, survey);
    }

    /// An authentic heartbeat: the peer's daemon runs.
    pub(super) fn heartbeat(&mut self, now: Instant, from: NodeId, link: LinkId) {
        let Some(sight) = self.peers.iter_mut().find(|sight| sight.id == from) else { return };
        sight.met.get_or_insert(now);
        if let Some(place) = sight.links.get_mut(usize::from(link.0)) {
            place.heard = true;
        }
    }

    /// A datagram that could not be taken, from an address of a peer.
    pub(super) fn refused(&mut self, now: Instant, from: NodeId, link: LinkId, why: Reject) {
        let Some(sight) = self.peers.iter_mut().find(|sight| sight.id == from) else { return };
        sight.met.get_or_insert(now);
        if let Some(place) = sight.links.get_mut(usize::from(link.0)) {
            *place.refused.entry(why).or_default() += 1;
        }
    }

    /// What this node tells a peer: what it heard of it, and whether that is enough.
    pub(super) fn tell(&self, now: Instant, peer: NodeId) -> (SurveyRole, Vec<SurveyHeard>) {
        let Some(sight) = self.peers.iter().find(|sight| sight.id == peer) else {
            return (SurveyRole::Asks, Vec::new());
        };
        let newest = sight.links.iter().filter_map(|place| place.newest);
        let heard =
            newest.map(|(entry, at)| SurveyHeard { hold_us: micros_u32(now - at), ..entry });
        let role = if sight.concluded.is_some() { SurveyRole::Done } else { SurveyRole::Asks };
        (role, heard.collect())
    }

    /// Whether it is over: everything is known, or was waited for until the deadline, and the others know it too.
    pub(super) fn is_over(&mut self, now: Instant, deadline: Instant) -> bool {
        for sight in &mut self.peers {
            let settled = sight.met.is_some_and(|met| now >= met + SETTLE);
            if sight.concluded.is_none() && (sight.is_whole() || settled || now >= deadline) {
                sight.concluded = Some(now);
            }
        }
        let content = |sight: &Sight| {
            sight.concluded.is_some_and(|at| {
                let known = sight.said_done || sight.facts.is_none();
                known || now >= at + SETTLE || now >= deadline
            })
        };
        if self.peers.iter().all(content) {
            let since = *self.satisfied.get_or_insert(now);
            return now >= since + LAST_WORDS;
        }
        false
    }

    /// The peers of which nothing came yet.
    pub(super) fn unmet(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.peers.iter().filter(|sight| sight.met.is_none()).map(|sight| sight.id)
    }

    /// What was found out. The ends of links and what else was asked about them are the caller's to fill in.
    pub(super) fn findings(self, config: &Config) -> Vec<PeerFinding> {
        let finding = |sight: Sight| PeerFinding {
            name: config.node(sight.id).name.clone(),
            facts: sight.facts,
            links: config
                .links
                .iter()
                .zip(sight.links)
                .map(|(link, place)| LinkFinding {
                    name: link.name.clone(),
                    port: link.port,
                    peer_address: None,
                    own_end: None,
                    carrier: None,
                    heard: place.heard,
                    hears: place.hears,
                    round_trip: place.round_trip,
                    answers_ping: None,
                    refused: place.refused,
                })
                .collect(),
        };
        self.peers.into_iter().map(finding).collect()
    }
}

impl Sight {
    fn is_whole(&self) -> bool {
        self.facts.is_some() && self.links.iter().all(|place| place.heard && place.hears)
    }

    fn learn(
        &mut self,
        wall_us: u64,
        round_trip: Option<Duration>,
        config: &Config,
        survey: &Survey,
    ) {
        let mut offset = self.facts.as_ref().and_then(|facts| facts.clock_offset_us);
        if let Some(round_trip) = round_trip
            && self.best.is_none_or(|best| round_trip <= best)
        {
            self.best = Some(round_trip);
            let half = i64::try_from(round_trip.as_micros() / 2).unwrap_or(0);
            let ahead = survey.wall_us.cast_signed().wrapping_sub(wall_us.cast_signed());
            offset = Some(ahead.wrapping_add(half));
        }
        self.facts = Some(PeerFacts {
            daemon_runs: survey.role == SurveyRole::Daemon,
            version: Some(survey.version.clone()),
            keys: Some((survey.sending, survey.accepted.clone())),
            own_check: survey.own_check,
            differs: config.digests.differing(survey.digests),
            clock_offset_us: offset,
        });
    }
}

/// The peer that has this address on a link.
pub(super) fn peer_at(config: &Config, link: LinkId, ip: IpAddr) -> Option<NodeId> {
    config.peers().find(|peer| super::address_of(config, link, *peer) == Some(ip))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::wire::{NodeTag, OwnCheck};

    const ME: Incarnation = Incarnation(1);
    const LAN: LinkId = LinkId(0);
    const PRIVATE: LinkId = LinkId(1);
    const BETA: NodeId = NodeId(1);

    fn config() -> Config {
        let text = "cluster = \"c\"\n[heartbeat]\nlinks = [{ name = \"lan\" }, { name = \"private\" }]\n\
                    [[node]]\nname = \"alpha\"\naddress = { lan = \"10.0.0.1\", private = \"10.0.1.1\" }\n\
                    [[node]]\nname = \"beta\"\naddress = { lan = \"10.0.0.2\", private = \"10.0.1.2\" }\n\
                    [guard]\narp = true\n";
        config::parse(text, "test").unwrap().for_node("alpha").unwrap()
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn heard(link: u8, sent: Instant, hold_us: u32) -> SurveyHeard {
        SurveyHeard { link, life: ME, sent_us: sent.as_micros(), hold_us }
    }

    /// What beta says, with its clock three seconds ahead.
    fn says(role: SurveyRole, heard: Vec<SurveyHeard>) -> Survey {
        Survey {
            role,
            sender: NodeTag::of("beta"),
            receiver: NodeTag::of("alpha"),
            life: Incarnation(9),
            sent_us: 5,
            wall_us: 3_000_000,
            digests: config().digests.0,
            sending: 1,
            accepted: vec![1],
            version: "0.1.0".to_owned(),
            heard,
            own_check: OwnCheck::Failed,
        }
    }

    fn sights() -> Sights {
        Sights::new(&config(), ME)
    }

    #[test]
    fn both_ends_that_hear_each_other_on_all_links_are_soon_done() {
        let (config, mut sights, deadline) = (config(), sights(), at(60_000));
        for link in [LAN, PRIVATE] {
            sights.take(at(100), 0, (BETA, link), &config, &says(SurveyRole::Asks, vec![]));
        }
        assert!(!sights.is_over(at(100), deadline));
        let (role, told) = sights.tell(at(130), BETA);
        assert_eq!(role, SurveyRole::Asks);
        let hold_us = 30_000;
        let of_beta = |link| SurveyHeard { link, life: Incarnation(9), sent_us: 5, hold_us };
        assert_eq!(told, [of_beta(0), of_beta(1)]);
        let both = vec![heard(0, at(100), 90_000), heard(1, at(100), 80_000)];
        let survey = says(SurveyRole::Asks, both);
        sights.take(at(200), 0, (BETA, LAN), &config, &survey);
        assert!(!sights.is_over(at(200), deadline), "beta has not seen enough");
        assert_eq!(sights.tell(at(200), BETA).0, SurveyRole::Done);
        sights.take(at(300), 0, (BETA, LAN), &config, &says(SurveyRole::Done, vec![]));
        assert!(!sights.is_over(at(300), deadline), "beta has to be told");
        assert!(sights.is_over(at(300) + LAST_WORDS, deadline));
        let peers = sights.findings(&config);
        let [lan, private] = &peers[0].links[..] else { panic!("two links") };
        assert!(lan.heard && lan.hears && private.heard && private.hears);
        assert_eq!(lan.round_trip, Some(Duration::from_millis(10)));
        assert_eq!(private.round_trip, None, "its answer came on the other link");
        let facts = peers[0].facts.as_ref().unwrap();
        assert_eq!(facts.clock_offset_us, Some(3_005_000));
        assert_eq!((facts.daemon_runs, &facts.differs), (false, &vec![]));
        assert_eq!(facts.own_check, OwnCheck::Failed);
    }

    #[test]
    fn a_peer_that_is_never_met_is_waited_for_until_the_deadline() {
        let (mut sights, deadline) = (sights(), at(60_000));
        assert!(!sights.is_over(at(59_999), deadline));
        assert_eq!(sights.unmet().collect::<Vec<_>>(), [BETA]);
        assert!(!sights.is_over(deadline, deadline));
        assert!(sights.is_over(deadline + LAST_WORDS, deadline));
        assert_eq!(sights.findings(&config())[0].facts, None);
    }

    #[test]
    fn what_does_not_come_on_one_link_is_waited_for_a_while_only() {
        let (config, mut sights, deadline) = (config(), sights(), at(60_000));
        let lan_only = || vec![heard(0, at(0), 0)];
        sights.take(at(100), 0, (BETA, LAN), &config, &says(SurveyRole::Asks, lan_only()));
        let settled = at(100) + SETTLE;
        assert!(!sights.is_over(settled.saturating_sub(Duration::from_millis(1)), deadline));
        sights.take(settled, 0, (BETA, LAN), &config, &says(SurveyRole::Done, lan_only()));
        assert!(!sights.is_over(settled, deadline));
        assert!(sights.is_over(settled + LAST_WORDS, deadline));
        let link = &sights.findings(&config)[0].links[1];
        assert!(!link.heard && !link.hears);
    }

    #[test]
    fn what_another_run_of_this_program_was_told_is_nothing() {
        let (config, mut sights) = (config(), sights());
        let stale = SurveyHeard { life: Incarnation(2), ..heard(0, at(0), 0) };
        sights.take(at(100), 0, (BETA, LAN), &config, &says(SurveyRole::Asks, vec![stale]));
        assert!(!sights.findings(&config)[0].links[0].hears);
    }

    #[test]
    fn a_peer_with_another_key_is_met_and_not_waited_for() {
        let (config, mut sights, deadline) = (config(), sights(), at(60_000));
        sights.refused(at(100), BETA, LAN, Reject::BadTag);
        sights.refused(at(300), BETA, LAN, Reject::BadTag);
        assert_eq!(sights.unmet().count(), 0);
        let settled = at(100) + SETTLE;
        assert!(!sights.is_over(settled, deadline));
        assert!(sights.is_over(settled + LAST_WORDS, deadline));
        let peers = sights.findings(&config);
        assert_eq!(peers[0].links[0].refused, BTreeMap::from([(Reject::BadTag, 2)]));
        assert_eq!(peers[0].facts, None);
    }

    #[test]
    fn a_daemon_that_answers_is_done_at_once() {
        let (config, mut sights, deadline) = (config(), sights(), at(60_000));
        for link in [LAN, PRIVATE] {
            let answer = says(SurveyRole::Daemon, vec![heard(link.0, at(0), 0)]);
            sights.take(at(2), 0, (BETA, link), &config, &answer);
        }
        assert!(!sights.is_over(at(2), deadline));
        assert!(sights.is_over(at(2) + LAST_WORDS, deadline));
        assert!(sights.findings(&config)[0].facts.as_ref().unwrap().daemon_runs);
    }

    #[test]
    fn addresses_name_their_peer() {
        let config = config();
        assert_eq!(peer_at(&config, LAN, "10.0.0.2".parse().unwrap()), Some(BETA));
        assert_eq!(peer_at(&config, PRIVATE, "10.0.0.2".parse().unwrap()), None);
        assert_eq!(peer_at(&config, LAN, "10.0.0.1".parse().unwrap()), None);
    }
}
