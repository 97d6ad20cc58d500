//! What failures at a bad moment, and peers with faults or with another configuration, make of a pair.

use super::*;
use crate::cluster::event::StopReason;
use crate::cluster::guard::Doubt;
use crate::cluster::io::{AddressNotice, Response};
use crate::cluster::snapshot::ResourceState;
use crate::wire::{Body, Report, Wish, WishSubject};

const WEB: GroupId = GroupId(0);

fn failure() -> Outcome {
    Outcome::Exited { code: ExitCode::Generic, reason: None }
}

/// The address of the group, and services before and after it.
fn with_services(me: u8, before: usize, after: usize) -> Config {
    let mut config = config(me);
    let vip = config.groups[0].resources.remove(0);
    let service =
        |place: usize| Resource { name: format!("service{place}"), address: None, ..vip.clone() };
    let mut resources: Vec<Resource> = (0..before).map(service).collect();
    resources.push(vip.clone());
    resources.extend((before..before + after).map(service));
    config.groups[0].resources = resources;
    config
}

fn report(heartbeat: &mut Heartbeat) -> &mut Report {
    match &mut heartbeat.body {
        Body::Known(report) => report,
        Body::Unknown { .. } => unreachable!("this version speaks its own"),
    }
}

impl Pair {
    /// How often a node is woken within a while: a deadline that stays in the past wakes it without end.
    fn wakes(&mut self, node: usize, millis: u64) -> u32 {
        let end = self.now + Duration::from_millis(millis);
        let mut wakes = 0;
        self.drain();
        while let Some((at, why)) = self.nodes[node].poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.nodes[node].handle_timeout(self.now);
            self.drain();
            wakes += 1;
            assert!(wakes < 10_000, "{why:?} does not move on: {}", self.story());
        }
        self.now = end;
        wakes
    }
}

#[test]
fn a_peer_that_is_lost_while_its_sight_is_judged_keeps_nobody_awake() {
    let mut pair = Pair::new();
    pair.run(1000);
    pair.ping[1] = false;
    pair.run(1000);
    pair.ping[1] = true;
    pair.run(500);
    pair.dead.insert(1);
    pair.run(600);
    assert!(pair.wakes(0, 5000) < 1000, "{}", pair.story());
}

#[test]
fn pings_and_renewals_of_a_calm_holder_go_beside_its_heartbeats() {
    let mut pair = Pair::new();
    pair.run(1030);
    // News goes out at once: from then on heartbeats have another phase than before.
    pair.command(0, Command::Standby { node: Some("beta".to_owned()) });
    // Past the announcements that follow a start.
    pair.run(40_000);
    let before = pair.woken[0];
    pair.run(10_000);
    // A heartbeat every 100 ms, a monitor every second, and nothing else between them.
    let wakes = pair.woken[0] - before;
    assert!((109..=111).contains(&wakes), "{wakes} wakes: {}", pair.story());
}

#[test]
fn a_blocked_group_keeps_nobody_awake() {
    let mut pair = Pair::with([with_services(0, 2, 0), with_services(1, 2, 0)]);
    pair.run(1000);
    pair.broken.insert((0, 1, Action::Stop), failure());
    pair.switchover(0);
    pair.run(500);
    assert_eq!(pair.nodes[0].run_on(NodeId(0), WEB), Run::Blocked, "{}", pair.story());
    assert!(pair.wakes(0, 5000) < 1000, "{}", pair.story());
}

#[test]
fn two_failed_stops_of_a_group_are_both_looked_at() {
    let mut pair = Pair::with([with_services(0, 2, 0), with_services(1, 2, 0)]);
    pair.run(1000);
    // The first fails while it is restarted in place, and the second while the group ends.
    for place in [0, 1] {
        pair.broken.insert((0, place, Action::Stop), failure());
        pair.broken.insert((0, place, Action::Monitor), failure());
    }
    pair.run(3000);
    assert_eq!(pair.nodes[0].run_on(NodeId(0), WEB), Run::Blocked, "{}", pair.story());
    assert!(pair.wakes(0, 5000) < 1000, "{}", pair.story());
    pair.broken.clear();
    pair.running.clear();
    pair.run(25_000);
    assert_eq!(pair.holders().len(), 3, "{}", pair.story());
}

#[test]
fn numbers_without_reason_are_not_believed() {
    let mut pair = Pair::new();
    pair.faulty = Some((1, |heartbeat| {
        let node = NodeTag::of("beta");
        let report = report(heartbeat);
        report.groups.iter_mut().for_each(|group| group.highest = Term(u64::MAX));
        let subject = WishSubject::Standby { node, standby: true };
        report.wishes = vec![Wish { subject, stamp: u64::MAX, author: "root".to_owned() }];
    }));
    pair.run(1000);
    assert_eq!(pair.holders(), [0], "{}", pair.story());
    pair.switchover(0);
    pair.run(1000);
    assert_eq!(pair.holders(), [1], "{}", pair.story());
    pair.command(0, Command::Standby { node: Some("beta".to_owned()) });
    pair.run(1000);
    assert_eq!(pair.holders(), [0], "{}", pair.story());
    pair.command(0, Command::Online { node: Some("beta".to_owned()) });
    pair.run(100);
    assert_eq!(pair.nodes[0].unable(NodeId(1), WEB), None);
}

#[test]
fn wishes_about_what_nobody_knows_are_not_kept() {
    let mut pair = Pair::new();
    pair.faulty = Some((1, |heartbeat| {
        let sequence = heartbeat.header.sequence.0;
        let group = GroupTag(u32::try_from(sequence).unwrap());
        let node = NodeTag(sequence);
        report(heartbeat).wishes = [
            WishSubject::Location { group, node: Some(node) },
            WishSubject::Standby { node, standby: true },
        ]
        .map(|subject| Wish { subject, stamp: sequence, author: "root".to_owned() })
        .to_vec();
    }));
    pair.run(2000);
    assert!(pair.nodes[0].wishes.all().is_empty());
}

#[test]
fn a_lone_holder_that_stood_still_asks_before_it_goes_on() {
    let mut pair = Pair::new();
    pair.run(1000);
    pair.tell(1, Input::Shutdown);
    pair.run(1000);
    assert!(pair.exited.contains(&1));
    assert_eq!(pair.holders(), [0], "{}", pair.story());
    // Meanwhile beta may have come back and taken over.
    pair.now += Duration::from_secs(60);
    pair.run(1);
    assert_eq!(pair.holders(), [0; 0], "{}", pair.story());
    pair.run(480);
    assert_eq!(pair.holders(), [0; 0], "nobody could say so yet: {}", pair.story());
    pair.run(100);
    assert_eq!(pair.holders(), [0], "{}", pair.story());
}

#[test]
fn nobody_gains_rights_from_a_guard_that_differs() {
    let mut pair = Pair::new();
    pair.run(1000);
    let mut other = config(1);
    other.digests = Digests([1, 2, 9, 4]);
    pair.dead.insert(1);
    pair.run(100);
    pair.restart(1, other);
    pair.run(1000);
    assert_eq!(pair.holders(), [0], "what it has it keeps: {}", pair.story());
    pair.switchover(0);
    pair.command(0, Command::Standby { node: None });
    pair.run(1000);
    assert_eq!(pair.holders(), [0], "nobody stops what nobody takes: {}", pair.story());
    let refused = |(_, output): &(usize, Output)| {
        matches!(output, Output::Reply { response: Response::Refused { .. }, .. })
    };
    assert!(pair.outputs.iter().any(refused));
    let doubts = pair.nodes[1].groups[0].doubts.clone();
    assert!(matches!(doubts[..], [(NodeId(0), Doubt::GuardDiffers { .. })]), "{doubts:?}");
    pair.dead.insert(0);
    pair.run(2000);
    assert_eq!(pair.holders(), [0; 0], "no guard's word: {}", pair.story());
    assert_eq!(pair.count(1, |event| matches!(event, Event::Refused { .. })), 1);
    pair.command(1, Command::ConfirmDead { node: "alpha".to_owned() });
    pair.run(100);
    assert_eq!(pair.holders(), [1], "{}", pair.story());
}

#[test]
fn a_disagreement_about_who_may_is_no_storm() {
    let mut pair = Pair::new();
    let node = NodeTag::of("alpha");
    for (place, standby) in [(0, false), (1, true)] {
        let subject = WishSubject::Standby { node, standby };
        let wishes = vec![Wish { subject, stamp: 7, author: "root".to_owned() }];
        pair.tell(place, Input::Restored(Memory { wishes, ..Memory::default() }));
    }
    pair.run(5000);
    assert_eq!(pair.holders().len(), 1, "{}", pair.story());
    let kept = pair.outputs.iter().filter(|(_, output)| matches!(output, Output::Remember { .. }));
    assert!(kept.count() < 50, "{}", pair.story());
    assert!(pair.sent < 1000, "{}", pair.sent);
}

#[test]
fn an_isolated_node_lets_go_of_an_address_whose_group_is_still_stopping() {
    let mut pair = Pair::with([with_services(0, 0, 1), with_services(1, 0, 1)]);
    pair.run(1000);
    pair.slow.insert((0, 1, Action::Stop));
    pair.switchover(0);
    pair.run(100);
    let vip = ResourceId { group: WEB, index: 0 };
    assert!(pair.running.contains(&(0, vip)), "{}", pair.story());
    (pair.cut, pair.ping[0], pair.arp) = (true, false, false);
    pair.run(450);
    assert!(!pair.running.contains(&(0, vip)), "{}", pair.story());
    let drops =
        pair.outputs.iter().filter(|(_, output)| matches!(output, Output::DropAddress { .. }));
    assert_eq!(drops.count(), 1);
    pair.run(500);
    assert!(pair.running.contains(&(1, vip)), "{}", pair.story());
    assert!(pair.wakes(0, 2000) < 500);
}

#[test]
fn a_single_resource_is_restarted_where_it_was() {
    let mut pair = Pair::new();
    pair.run(1000);
    pair.dead.insert(0);
    pair.run(1000);
    pair.running.clear();
    pair.running.insert((1, ResourceId { group: WEB, index: 0 }));
    pair.restart(0, config(0));
    pair.run(2000);
    assert_eq!(pair.holders(), [1], "{}", pair.story());
    pair.running.clear();
    pair.run(1500);
    assert_eq!(pair.holders(), [1], "{}", pair.story());
    assert_eq!(pair.count(1, |event| matches!(event, Event::GroupStopping { .. })), 0);
}

#[test]
fn an_agent_that_vanished_before_its_start_moves_the_group() {
    let mut pair = Pair::new();
    let gone = || Outcome::CannotExecute("no such file".to_owned());
    pair.broken.insert((0, 0, Action::Start), gone());
    pair.broken.insert((0, 0, Action::Stop), gone());
    pair.run(1000);
    assert_eq!(pair.holders(), [1], "{}", pair.story());
    assert_eq!(pair.nodes[0].run_on(NodeId(0), WEB), Run::Stopped, "{}", pair.story());
}

#[test]
fn an_address_that_is_put_back_too_late_is_dropped_and_not_told_of() {
    let mut pair = Pair::new();
    pair.run(1000);
    pair.renewals_hang = true;
    pair.run(1000);
    let asked = pair.outputs.iter().rev().find_map(|output| {
        if let (0, Output::RenewAddress { op, .. }) = output { Some(*op) } else { None }
    });
    pair.switchover(0);
    pair.run(100);
    assert_eq!(pair.holders(), [1], "{}", pair.story());
    let before = pair.outputs.len();
    let vip = ResourceId { group: WEB, index: 0 };
    pair.running.insert((0, vip));
    pair.tell(0, Input::AddressRenewed { op: asked.unwrap(), outcome: RenewOutcome::PutBack });
    pair.run(10);
    assert_eq!(pair.holders(), [1], "{}", pair.story());
    assert!(!pair.outputs[before..].contains(&(0, Output::Announce { resource: vip })));
}

#[test]
fn a_group_that_the_other_node_does_not_know_starts_beside_many() {
    let mut configs = [config(0), config(1)];
    for (config, count) in configs.iter_mut().zip([8_u8, 9]) {
        let group = config.groups[0].clone();
        config.groups = (0..count)
            .map(|place| {
                let name = format!("g{place}");
                Group { tag: GroupTag::of(&name), name, ..group.clone() }
            })
            .collect();
        config.digests = Digests([1, 2, 3, count.into()]);
    }
    let mut pair = Pair::with(configs);
    pair.arp = false;
    pair.run(4000);
    assert_eq!(pair.running.len(), 9, "{}", pair.story());
}

#[test]
fn what_an_agent_says_though_it_succeeds_is_told_and_changes_nothing() {
    let mut pair = Pair::new();
    pair.run(500);
    let says = |words: Option<&str>| Outcome::Exited {
        code: ExitCode::Success,
        reason: words.map(str::to_owned),
    };
    let told = |pair: &Pair| pair.count(0, |event| matches!(event, Event::AgentRemarked { .. }));
    let shown = |pair: &Pair| {
        let resource = &pair.nodes[0].snapshot(pair.now).groups[0].resources[0];
        (resource.state, resource.remark.clone())
    };
    for words in ["1 s off", "2 s off"] {
        pair.broken.insert((0, 0, Action::Monitor), says(Some(words)));
        pair.run(1500);
        assert_eq!(shown(&pair), (ResourceState::Started, Some(words.to_owned())));
        assert_eq!(told(&pair), 1, "{}", pair.story());
    }
    pair.broken.clear();
    pair.run(1500);
    assert_eq!(shown(&pair), (ResourceState::Started, None));
    assert_eq!((told(&pair), pair.holders()), (2, vec![0]), "{}", pair.story());
}

#[test]
fn a_slow_stop_does_not_make_the_next_node_tired_of_waiting() {
    let mut pair = Pair::new();
    pair.run(1000);
    pair.slow.insert((0, 0, Action::Stop));
    pair.switchover(0);
    pair.run(1300);
    pair.slow.clear();
    let (node, op) = pair.waiting.pop().unwrap();
    pair.running.clear();
    let outcome = Outcome::Exited { code: ExitCode::Success, reason: None };
    pair.tell(node, Input::AgentFinished { op, outcome });
    pair.run(20);
    assert_eq!(pair.holders(), [1], "{}", pair.story());
}

#[test]
fn a_failed_stop_outlives_the_silence_of_its_node() {
    let mut pair = Pair::new();
    pair.run(1000);
    pair.broken.insert((0, 0, Action::Stop), failure());
    pair.switchover(0);
    pair.run(1000);
    assert_eq!(pair.nodes[1].run_on(NodeId(0), WEB), Run::Blocked, "{}", pair.story());
    pair.dead.insert(0);
    pair.run(3000);
    assert_eq!(pair.holders(), [0; 0], "{}", pair.story());
    assert_eq!(pair.count(1, |event| matches!(event, Event::Refused { .. })), 1);
    pair.command(1, Command::ConfirmDead { node: "alpha".to_owned() });
    pair.run(100);
    assert_eq!(pair.holders(), [1], "{}", pair.story());
}

#[test]
fn a_pause_is_why_a_group_was_let_go() {
    let mut pair = Pair::new();
    pair.run(1000);
    pair.now += Duration::from_secs(60);
    pair.run(1);
    let paused = |event: &Event| {
        matches!(event, Event::GroupStopping { because: StopReason::Paused { .. }, .. })
    };
    assert_eq!(pair.count(0, paused), 1, "{}", pair.story());
}

#[test]
fn an_address_that_comes_up_elsewhere_during_a_start_is_not_doubled() {
    let mut pair = Pair::with([with_services(0, 1, 0), with_services(1, 1, 0)]);
    pair.run(1000);
    pair.dead.insert(0);
    pair.slow.insert((1, 0, Action::Start));
    pair.run(1000);
    assert_eq!(pair.nodes[1].run_on(NodeId(1), WEB), Run::Starting, "{}", pair.story());
    // The address was silent until here; now alpha is back with it, and no heartbeat says so.
    pair.elsewhere = true;
    pair.run(200);
    pair.slow.clear();
    let (node, op) = pair.waiting.pop().unwrap();
    let outcome = Outcome::Exited { code: ExitCode::Success, reason: None };
    pair.tell(node, Input::AgentFinished { op, outcome });
    pair.run(500);
    let vip = ResourceId { group: WEB, index: 1 };
    assert!(!pair.running.contains(&(1, vip)), "{}", pair.story());
}

#[test]
fn a_move_to_a_node_that_dies_first_is_given_up() {
    let mut pair = Pair::new();
    pair.run(1000);
    pair.dead.insert(1);
    pair.switchover(0);
    pair.run(1000);
    assert_eq!(pair.count(0, |event| matches!(event, Event::MoveGivenUp { .. })), 1);
    pair.dead.remove(&1);
    pair.run(5000);
    assert_eq!(pair.holders(), vec![0], "nothing moves by itself later: {}", pair.story());
}

/// In step both are awake at one moment. Where deadtime has few keepalives their round trips stay two chances.
#[test]
fn nodes_with_keepalives_to_spare_beat_in_step() {
    for (deadtime, in_step) in [(1000, true), (500, false)] {
        for apart in [10, 40, 60, 90] {
            let mut configs = [config(0), config(1)];
            for config in &mut configs {
                config.timing.deadtime = Duration::from_millis(deadtime);
            }
            let mut pair = Pair::with(configs);
            pair.run(3000);
            pair.nodes[1].next_beat = pair.nodes[0].next_beat + Duration::from_millis(apart);
            pair.run(1000);
            let [alpha, beta] = &pair.nodes[..] else { panic!("two") };
            assert_eq!(alpha.next_beat == beta.next_beat, in_step, "{deadtime} {apart}");
        }
    }
}

/// How often alpha let go because another machine has its address too.
fn let_go(pair: &Pair) -> usize {
    let twice = |because: &StopReason| matches!(because, StopReason::AddressTwice { .. });
    pair.count(0, |event| matches!(event, Event::GroupStopping { because, .. } if twice(because)))
}

/// Another machine had the address for a while when all heard each other: that is settled, and no reason to let go later.
#[test]
fn a_conflict_that_is_over_is_no_reason_to_let_go() {
    for lasts in [true, false] {
        let mut pair = Pair::new();
        pair.run(1000);
        let (mac, here) = (Mac([2, 0, 0, 0, 0, 1]), Some(Mac([2, 0, 0, 0, 0, 9])));
        let resource = ResourceId { group: WEB, index: 0 };
        let said = |pair: &mut Pair| {
            let notice = AddressNotice::Conflict { mac, here };
            pair.tell(0, Input::AddressNoticed { resource, notice });
            pair.run(1000);
        };
        said(&mut pair);
        said(&mut pair);
        pair.dead.insert(1);
        pair.run(2000);
        if lasts {
            said(&mut pair);
        }
        assert_eq!(let_go(&pair), usize::from(lasts), "{}", pair.story());
    }
}

/// A third node is silent, but it is one that is heard which said that it has the address: the terms decide about that.
#[test]
fn a_conflict_with_a_node_that_is_heard_is_not_one_with_a_silent_node() {
    let of_three = |me| {
        let mut config = config(me);
        let name = "gamma".to_owned();
        config.nodes.push(crate::config::Node { tag: NodeTag::of(&name), name });
        config.groups[0].nodes.push(NodeId(2));
        config
    };
    let (betas, unknown) = (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 7]));
    for (mac, lets_go) in [(betas, 0), (unknown, 1)] {
        let mut trio = Pair::with([of_three(0), of_three(1), of_three(2)]);
        trio.tell(1, Input::OwnMacs(vec![betas]));
        trio.run(300);
        assert_eq!(trio.holders(), [0], "{}", trio.story());
        trio.dead.insert(2);
        trio.run(800);
        for _ in 0..2 {
            let here = Some(Mac([2, 0, 0, 0, 0, 9]));
            let notice = AddressNotice::Conflict { mac, here };
            let resource = ResourceId { group: WEB, index: 0 };
            trio.tell(0, Input::AddressNoticed { resource, notice });
            trio.run(600);
        }
        assert_eq!(let_go(&trio), lets_go, "{}", trio.story());
    }
}
