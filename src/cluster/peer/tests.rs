use super::*;
use crate::wire::{Ability, Flags, GroupTag, Run, Term};

const GROUP: GroupId = GroupId(0);

fn header() -> Header {
    Header {
        sender: NodeTag(1),
        incarnation: Incarnation(1),
        sequence: Sequence(1),
        sent_us: 0,
        wall_us: 0,
        flags: Flags::default(),
        keepalive_us: 100_000,
        deadtime_us: 500_000,
        echoes: Vec::new(),
        records: Vec::new(),
    }
}

#[test]
fn a_peer_that_speaks_and_does_not_hear_is_half_dead_on_the_links_that_bring_it() {
    let at = |millis: u64| Instant::ZERO + Duration::from_millis(millis);
    let (me, deadtime) = ((NodeTag(9), Incarnation(9)), Duration::from_millis(500));
    let mut peer = Peer::new(NodeId(1), NodeTag(1), 7, 2);
    let hear = |peer: &mut Peer, millis: u64, link: u8| {
        let header = Header { sequence: Sequence(millis + 1), ..header() };
        peer.take(at(millis), LinkId(link), &header, me, &Sent::new(deadtime))
    };
    for millis in (0..=600).step_by(100) {
        assert_eq!(hear(&mut peer, millis, 1), Taken::Challenged);
    }
    assert_eq!(peer.one_way(at(400), deadtime), [], "it may yet answer");
    assert_eq!(peer.one_way(at(600), deadtime), [LinkId(1)]);
    assert_eq!(hear(&mut peer, 600, 0), Taken::Refused(Reject::Unproven));
    assert_eq!(
        peer.one_way(at(600), deadtime),
        [LinkId(1)],
        "a datagram that comes again shows nothing"
    );
    assert_eq!(peer.one_way(at(1101), deadtime), [], "it is simply silent");
    // One that was up is no different.
    peer.begin_life(at(1200), &header());
    peer.standing = Standing::Lost;
    peer.judged_from = at(1200);
    for millis in (1200..=1900).step_by(100) {
        assert!(matches!(hear(&mut peer, millis, 0), Taken::Counts { .. }));
    }
    assert_eq!(peer.one_way(at(1900), deadtime), [LinkId(0)]);
    peer.standing = Standing::Up;
    assert_eq!(peer.one_way(at(1900), deadtime), []);
}

/// A heartbeat that was long under way is measured by its own round trip, not by the last good one.
#[test]
fn each_datagram_ends_a_round_trip_of_its_own() {
    let at = |millis: u64| Instant::ZERO + Duration::from_millis(millis);
    let me = (NodeTag(7), Incarnation(9));
    let mut sent = Sent::new(Duration::from_secs(10));
    let mine = sent.record(at(100), Vec::new());
    let mut peer = Peer::new(NodeId(1), NodeTag(1), 7, 1);
    peer.begin_life(at(0), &header());
    let mut exchange = |sequence: u64, hold_ms: u32, now: u64| {
        let heard = Heard { incarnation: me.1, sequence: mine, hold_us: hold_ms * 1000, links: 1 };
        let echo = Echo { node: me.0, heard: Some(heard), candidates: Vec::new(), answer: None };
        let header = Header { sequence: Sequence(sequence), echoes: vec![echo], ..header() };
        peer.take(at(now), LinkId(0), &header, me, &sent);
        let life = peer.life.as_ref().expect("it lives");
        (life.exchange, life.round_trip)
    };
    let ms = |millis| Some(Duration::from_millis(millis));
    assert_eq!(exchange(1, 10, 112), (ms(2), ms(2)));
    assert_eq!(exchange(3, 100, 3200), (ms(3000), ms(2)), "late");
    assert_eq!(exchange(2, 50, 3200), (ms(3000), ms(2)), "overtaken: no news");
}

/// One heartbeat that says so does not make a link one-way: the peer may have begun a new life a moment ago.
#[test]
fn a_direction_counts_as_lost_after_a_deadtime() {
    let at = |millis: u64| Instant::ZERO + Duration::from_millis(millis);
    let deadtime = Duration::from_millis(500);
    let (mut peer, sent) = (Peer::new(NodeId(1), NodeTag(1), 7, 1), Sent::new(deadtime));
    peer.begin_life(at(0), &header());
    peer.standing = Standing::Up;
    let hear = |peer: &mut Peer, millis: u64, links: u8| {
        let heard = Heard { incarnation: Incarnation(9), sequence: Sequence(1), hold_us: 0, links };
        peer.acknowledged(at(millis), heard, true, &sent);
        peer.links[0].heard_at = Some(at(millis));
        peer.judge_links(at(millis), deadtime)
    };
    assert_eq!(hear(&mut peer, 100, 1), []);
    assert_eq!(hear(&mut peer, 2000, 0), []);
    assert_eq!(hear(&mut peer, 2100, 1), []);
    assert_eq!(hear(&mut peer, 4000, 0), []);
    assert_eq!(hear(&mut peer, 4499, 0), []);
    assert_eq!(hear(&mut peer, 4500, 0), [LinkId(0)]);
    assert_eq!(hear(&mut peer, 4600, 1), [LinkId(0)]);
}

#[test]
fn an_acknowledgement_without_a_report_does_not_prolong_a_consent() {
    let at = |millis: u64| Instant::ZERO + Duration::from_millis(millis);
    let mut peer = Peer::new(NodeId(1), NodeTag(1), 7, 1);
    peer.begin_life(at(0), &header());
    let consent = GroupReport {
        group: GroupTag(2),
        run: Run::Stopped,
        term: Term::default(),
        highest: Term(9),
        consent: Some(Term(9)),
        ability: Ability::Able,
    };
    let life = peer.life.as_mut().expect("it has just begun");
    life.deadtime = Duration::from_millis(500);
    life.counts_from = Some(at(100));
    life.reports(GROUP, consent);
    // Short answers acknowledge what was sent since; the heartbeat that took the word back was lost.
    life.counts_from = Some(at(550));
    assert_eq!(peer.waits_until(), Some(at(1050)));
    assert_eq!(peer.keeps_word_until(GROUP), Some(at(600)));
    assert_eq!(peer.keeps_word_until(GroupId(1)), None);
}
