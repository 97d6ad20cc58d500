//! One history a scenario, as the nodes of the demo write it, and the sentence that comes of it.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::agent::{Action, ExitCode, Outcome};
use crate::wire::{Incarnation, Mac, Term};

const PING: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 254));
const LIFE: Incarnation = Incarnation(1);
const TERM: Term = Term(256);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn lost(peer: &str, silence: u64) -> Event {
    Event::PeerLost { peer: peer.into(), silence: ms(silence), deadtime: ms(500) }
}

fn back(peer: &str) -> Event {
    Event::PeerUp { peer: peer.into(), incarnation: LIFE, after: Some(ms(2100)) }
}

fn started() -> Event {
    Event::GroupStarted { group: "web".into(), term: TERM, took: ms(22) }
}

fn stopping(because: StopReason) -> Event {
    Event::GroupStopping { group: "web".into(), because }
}

fn placed(node: &str, reason: Reason) -> Event {
    Event::Placed { group: "web".into(), node: Some(node.into()), reason }
}

fn cleared(peer: &str, why: Evidence) -> Event {
    Event::Cleared { group: "web".into(), evidence: vec![(peer.into(), why)] }
}

fn by_guard(ping: bool, silent_probes: u32) -> Evidence {
    Evidence::Guard { silence: ms(512), ping: ping.then_some((PING, ms(3))), silent_probes }
}

fn still_answers() -> Event {
    let address = "10.77.0.100".to_owned();
    let why = Doubt::AddressAnswers { address, mac: Mac([2, 0x77, 0, 0, 0, 1]) };
    Event::Refused { group: "web".into(), peer: "alpha".into(), why }
}

fn instead_of_alpha(why: Unable) -> Reason {
    Reason::BestAble { instead_of: vec![("alpha".into(), why)] }
}

fn saw(longest: u64) -> Option<ClientSaw> {
    let failed = if longest < 20 { 0 } else { longest / 2 };
    Some(ClientSaw { failed, longest: ms(longest), waiting: None })
}

#[track_caller]
fn check(told: &[(&str, Event)], client: Option<ClientSaw>, verdict: Verdict, text: &str) {
    let told: Vec<Told<'_>> = told.iter().map(|(node, event)| Told { node, event }).collect();
    let caption = caption(&told, client);
    assert_eq!((caption.to_string().as_str(), caption.verdict), (text, verdict));
}

#[test]
fn power_off() {
    let told = [
        ("beta", lost("alpha", 512)),
        ("beta", placed("beta", instead_of_alpha(Unable::Lost))),
        ("beta", cleared("alpha", by_guard(true, 4))),
        ("beta", Event::GroupStarting { group: "web".into(), term: TERM }),
        ("beta", started()),
    ];
    check(
        &told,
        saw(498),
        Verdict::Moved,
        "silence 512 ms > deadtime 500 · ping node answered · address silent · beta took web · client saw 498 ms",
    );
    // In the middle of it.
    let client = Some(ClientSaw { failed: 3, longest: ms(0), waiting: Some(ms(480)) });
    let text = "silence 512 ms > deadtime 500 · client has no answer for 480 ms";
    check(&told[..1], client, Verdict::Open, text);
}

#[test]
fn kill_daemon() {
    let told = [
        ("beta", lost("alpha", 503)),
        ("beta", still_answers()),
        ("beta", cleared("alpha", by_guard(true, 3))),
        ("beta", started()),
    ];
    check(
        &told,
        saw(232),
        Verdict::Moved,
        "silence 503 ms > deadtime 500 · 10.77.0.100 still answers from alpha · ping node answered · \
         address silent · beta took web · client saw 232 ms",
    );
}

#[test]
fn the_killed_daemon_comes_back() {
    let told = [
        ("alpha", Event::Started { node: "alpha".into(), incarnation: LIFE }),
        ("alpha", Event::PingChanged { answers: true, target: Some(PING) }),
        ("beta", back("alpha")),
        ("alpha", Event::PeerUp { peer: "beta".into(), incarnation: LIFE, after: None }),
        ("alpha", stopping(StopReason::Leftover { resources: vec!["nginx".into()] })),
        ("alpha", placed("beta", Reason::StaysPut)),
    ];
    check(
        &told,
        saw(4),
        Verdict::Open,
        "alpha is up again after 2100 ms · alpha stopped what was left of web · web stays on beta · \
         client lost nothing",
    );
}

#[test]
fn kill_service() {
    let exit = Outcome::Exited { code: ExitCode::NotRunning, reason: None };
    let failed = |then| Event::AgentFailed {
        group: "web".into(),
        resource: "nginx".into(),
        action: Action::Monitor,
        outcome: exit.clone(),
        then,
    };
    check(
        &[("alpha", failed(Recovery::RestartHere))],
        saw(98),
        Verdict::Open,
        "nginx failed on alpha · started again in place · client saw 98 ms",
    );
    let told = [
        ("alpha", failed(Recovery::Leave { able_again: Some(ms(5000)) })),
        ("alpha", stopping(StopReason::Failed { resource: "nginx".into() })),
        ("beta", placed("beta", instead_of_alpha(Unable::Failed))),
        ("beta", cleared("alpha", Evidence::Consent)),
        ("beta", started()),
    ];
    let text = "nginx failed on alpha · web leaves alpha · alpha agreed · beta took web";
    check(&told, None, Verdict::Moved, text);
}

#[test]
fn cut_link() {
    let reason = || instead_of_alpha(Unable::NoPing);
    let told = [
        ("alpha", Event::PingChanged { answers: false, target: Some(PING) }),
        ("alpha", placed("beta", reason())),
        ("alpha", stopping(StopReason::Moves { to: "beta".into(), reason: reason() })),
        ("beta", placed("beta", reason())),
        ("beta", cleared("alpha", Evidence::Consent)),
        ("beta", started()),
    ];
    let text =
        "alpha does not see the ping node · alpha agreed · beta took web · client saw 719 ms";
    check(&told, saw(719), Verdict::Moved, text);
}

#[test]
fn switchover() {
    let wished = || Reason::Wished { author: "root".into() };
    let told = [
        ("alpha", Event::Wished { wish: "web to beta".into(), author: "root".into(), on: None }),
        ("alpha", placed("beta", wished())),
        ("alpha", stopping(StopReason::Moves { to: "beta".into(), reason: wished() })),
        ("beta", cleared("alpha", Evidence::Consent)),
        ("beta", started()),
    ];
    let text = "root asked: web to beta · alpha agreed · beta took web · client saw 42 ms";
    check(&told, saw(42), Verdict::Moved, text);
}

#[test]
fn partition() {
    let told = [
        ("beta", lost("alpha", 503)),
        ("beta", placed("beta", instead_of_alpha(Unable::Lost))),
        ("beta", still_answers()),
        ("alpha", lost("beta", 509)),
    ];
    check(
        &told,
        saw(5),
        Verdict::Refused,
        "nothing moved: silence 503 ms > deadtime 500 · 10.77.0.100 still answers from alpha · client lost nothing",
    );
    let healed = [("beta", back("alpha")), ("alpha", back("beta"))];
    let text = "alpha is up again after 2100 ms · beta is up again after 2100 ms";
    check(&healed, None, Verdict::Open, text);
}

#[test]
fn links_go_without_saying_where_a_node_goes() {
    let link =
        |heard, hears| Event::LinkChanged { link: "lan".into(), peer: "beta".into(), heard, hears };
    check(&[("alpha", link(false, false))], None, Verdict::Open, "link lan is down");
    check(&[("alpha", link(true, false))], None, Verdict::Open, "link lan works one way");
    let told = [("alpha", lost("beta", 2_000)), ("alpha", link(false, false))];
    check(&told, None, Verdict::Open, "silence 2000 ms > deadtime 500");
}

#[test]
fn units_are_told_where_they_differ() {
    assert_eq!(past_deadtime(ms(12_500), ms(10_000)), "silence 12.5 s > deadtime 10");
    assert_eq!(past_deadtime(ms(10_100), ms(9_900)), "silence 10.1 s > deadtime 9900 ms");
}

#[test]
fn a_node_that_let_go_and_starts_again_did_not_take_anything() {
    let cut_off = StopReason::Isolated { silence: ms(400), ping_silence: Some(ms(410)) };
    let told = [("alpha", stopping(cut_off)), ("alpha", started())];
    let text = "alpha was cut off and let go in time · alpha started web again";
    check(&told, None, Verdict::Moved, text);
}
