//! Made-up clusters, each with the page that an operator sees: `tests/golden/status/*.txt`. `UPDATE_GOLDEN=1` rewrites
//! them; read them before they are committed.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU8;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::cluster::counts::Counts;
use crate::cluster::guard::{Doubt, GuardLevel};
use crate::cluster::io::Reject;
use crate::cluster::placement::{Reason, Unable};
use crate::cluster::snapshot::{
    GroupView, LinkView, MaintenanceView, NodeState, NodeView, PeerView, PingView, ResourceState,
    ResourceView, Snapshot, Wait,
};
use crate::config::Section;
use crate::control::{DaemonFacts, KeyIds};
use crate::wire::{KeyId, Mac, Phase, Run, Term};

const PING: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 254));
const BETAS: Mac = Mac([2, 0, 0, 0, 0, 0x0b]);
const TERM: Term = Term(0x0001_9000);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn key(id: u8) -> KeyId {
    KeyId::from(NonZeroU8::new(id).unwrap())
}

fn link(name: &str, heard: bool, hears: bool) -> LinkView {
    let (lost_in, lost_out) = (Some(0), Some(3));
    LinkView { name: name.into(), heard, hears, heartbeats: 1_042, lost_in, lost_out }
}

fn resource(name: &str, agent: &str, state: ResourceState) -> ResourceView {
    ResourceView { name: name.into(), agent: agent.into(), state, failure: None, remark: None }
}

fn alpha() -> NodeView {
    NodeView {
        name: "alpha".into(),
        state: NodeState::Up,
        standby: None,
        left_running: false,
        ping: Some(true),
        doubled: false,
        one_way: Vec::new(),
        peer: None,
    }
}

fn beta() -> NodeView {
    let peer = PeerView {
        phase: Some(Phase::Active),
        silence: ms(43),
        worst_silence: ms(112),
        worst_silence_ago: secs(1_234),
        round_trip: Some(Duration::from_micros(340)),
        clock_offset_us: Some(-1_200),
        clock_error_us: Some(170),
        clock_apart: false,
        links: vec![link("lan", true, true), link("private", true, true)],
        differs: Vec::new(),
        unknown_version: None,
        key: Some(key(1)),
    };
    NodeView {
        name: "beta".into(),
        state: NodeState::Up,
        standby: None,
        left_running: false,
        ping: Some(true),
        doubled: false,
        one_way: Vec::new(),
        peer: Some(peer),
    }
}

fn web() -> GroupView {
    GroupView {
        name: "web".into(),
        holders: vec![("alpha".into(), Run::Started, TERM)],
        held: Some(secs(11_460)),
        target: Some("alpha".into()),
        reason: Reason::Preferred,
        doubts: Vec::new(),
        level: GuardLevel::PingArp,
        weaker: None,
        unable: Vec::new(),
        resources: vec![
            resource("nginx", "nginx", ResourceState::Started),
            resource("vip", "IPaddr", ResourceState::Started),
        ],
    }
}

/// Two nodes, two links, ping node and group as they should be, seen from alpha.
fn fine() -> Status {
    let ping = PingView { target: PING, answered: Some(ms(60)), answers: true, error: None };
    let snapshot = Snapshot {
        cluster: "web".into(),
        node: "alpha".into(),
        uptime: secs(11_520),
        phase: Phase::Active,
        joins_in: None,
        warntime: ms(250),
        deadtime: ms(500),
        warn_offset: secs(1),
        nodes: vec![alpha(), beta()],
        ping: vec![ping],
        groups: vec![web()],
        links: vec![("lan".into(), None), ("private".into(), None)],
        namesake: None,
        refused: BTreeMap::new(),
        refused_ago: BTreeMap::new(),
        maintenance: None,
        disk: None,
        counts: Counts::default(),
    };
    let daemon = DaemonFacts {
        version: "0.1.0".into(),
        pid: 812,
        realtime: Vec::new(),
        kernel_drops: 0,
        keys: KeyIds { sending: key(1), accepted: vec![key(1)] },
        time: "2026-01-02T03:04:05.678Z".into(),
    };
    Status { snapshot, daemon }
}

fn peer(status: &mut Status) -> &mut PeerView {
    status.snapshot.nodes[1].peer.as_mut().unwrap()
}

fn group(status: &mut Status) -> &mut GroupView {
    &mut status.snapshot.groups[0]
}

fn lose_beta(status: &mut Status, silence: Duration) {
    let beta = &mut status.snapshot.nodes[1];
    (beta.state, beta.ping) = (NodeState::Lost, None);
    peer(status).silence = silence;
}

fn stopped_here(group: &mut GroupView) {
    for resource in &mut group.resources {
        resource.state = ResourceState::Stopped;
    }
}

/// The page must be the golden one, fit 80 columns, survive the socket, and end with the exit code.
fn check(name: &str, status: &Status, code: Exit) {
    let text = page::render(status, Paint::Plain);
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/status")
        .join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == golden,
        "{name} differs from {}; UPDATE_GOLDEN=1 rewrites it\n{text}",
        path.display()
    );
    for line in text.lines() {
        assert!(output::width_of(line) <= 80, "{name}: wider than 80 columns: {line}");
        assert_eq!(line, line.trim_end(), "{name}");
    }
    assert_eq!(exit(status), code, "{name}");
    let json = serde_json::to_string(status).unwrap();
    assert_eq!(&serde_json::from_str::<Status>(&json).unwrap(), status, "{name}");
}

#[test]
fn all_fine() {
    check("fine", &fine(), Exit::Fine);
}

/// What `--json` prints is a contract with other programs, what the socket carries one with other versions.
#[test]
fn json_keeps_its_shape() {
    golden("fine_printed.json", &json::Printed::of(&fine()));
    golden("peer_lost_refused_printed.json", &json::Printed::of(&refused()));
    golden("fine.json", &fine());
}

fn golden(name: &str, value: &impl serde::Serialize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/status").join(name);
    let json = serde_json::to_string_pretty(value).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &json).unwrap();
    }
    assert_eq!(json, std::fs::read_to_string(&path).unwrap_or_default(), "{name}");
}

/// Text and data say the same: the verdict of the exit code, and each finding in the same words.
#[test]
fn json_says_what_the_page_says() {
    for (status, verdict) in [(fine(), "works"), (refused(), "degraded")] {
        let json = serde_json::to_value(json::Printed::of(&status)).unwrap();
        assert_eq!(json["verdict"], verdict);
        assert_eq!(exit(&status) == Exit::Degraded, verdict == "degraded");
        let page =
            page::render(&status, Paint::Plain).split_whitespace().collect::<Vec<_>>().join(" ");
        for finding in
            ["degraded", "warnings"].iter().flat_map(|grade| json[grade].as_array().unwrap())
        {
            assert!(page.contains(finding["sentence"].as_str().unwrap()), "{finding} in {page}");
        }
        assert!(!json.to_string().contains("\"secs\""), "{json}");
    }
}

#[test]
fn peer_lost_and_its_address_still_answers() {
    check("peer_lost_refused", &refused(), Exit::Degraded);
}

/// The guard refuses to take web over from beta, which is silent.
fn refused() -> Status {
    let mut status = fine();
    lose_beta(&mut status, secs(12));
    let web = group(&mut status);
    web.holders = vec![("alpha".into(), Run::Claiming, TERM), ("beta".into(), Run::Started, TERM)];
    web.doubts =
        vec![("beta".into(), Doubt::AddressAnswers { address: "10.0.0.100".into(), mac: BETAS })];
    stopped_here(web);
    status
}

#[test]
fn peer_never_heard_and_no_ping_node() {
    let mut status = fine();
    let beta = &mut status.snapshot.nodes[1];
    (beta.state, beta.ping, beta.peer) = (NodeState::Unknown, None, None);
    status.snapshot.nodes[0].ping = Some(false);
    status.snapshot.ping[0] =
        PingView { target: PING, answered: None, answers: false, error: None };
    let web = group(&mut status);
    web.holders = vec![("alpha".into(), Run::Claiming, TERM)];
    web.doubts = vec![("beta".into(), Doubt::PingSilent { silence: None })];
    stopped_here(web);
    check("alone_and_cut_off", &status, Exit::Degraded);
}

#[test]
fn peer_lost_and_taken_over() {
    let mut status = fine();
    lose_beta(&mut status, secs(300));
    let web = group(&mut status);
    web.reason = Reason::BestAble { instead_of: vec![("beta".into(), Unable::Lost)] };
    web.unable = vec![("beta".into(), Unable::Lost)];
    check("peer_lost_taken_over", &status, Exit::Degraded);
}

#[test]
fn blocked() {
    let mut status = fine();
    let web = group(&mut status);
    web.holders = vec![("alpha".into(), Run::Blocked, TERM)];
    web.target = None;
    web.reason = Reason::Blocked { node: "alpha".into() };
    web.resources[0].state = ResourceState::Blocked;
    web.resources[0].failure = Some("stop timed out and was killed".into());
    web.resources[1].state = ResourceState::Stopped;
    check("blocked", &status, Exit::Degraded);
}

/// Nodes that were installed with different keys: the other one has the address by right.
#[test]
fn other_keys() {
    let mut status = fine();
    let beta = &mut status.snapshot.nodes[1];
    (beta.state, beta.ping, beta.peer) = (NodeState::Unknown, None, None);
    status.snapshot.refused = BTreeMap::from([(Reject::BadTag, 40), (Reject::Unproven, 100)]);
    let web = group(&mut status);
    web.holders = vec![("alpha".into(), Run::Claiming, TERM)];
    web.doubts =
        vec![("beta".into(), Doubt::AddressConflict { address: "10.0.0.100".into(), mac: BETAS })];
    stopped_here(web);
    check("other_keys", &status, Exit::Degraded);
    status.snapshot.refused.remove(&Reject::BadTag);
    check("address_elsewhere", &status, Exit::Degraded);
}

#[test]
fn nobody_could_take_over() {
    let mut status = fine();
    status.snapshot.nodes[0].standby = Some("root".into());
    status.snapshot.nodes[1].standby = Some("root".into());
    peer(&mut status).worst_silence = secs(15);
    let web = group(&mut status);
    web.reason = Reason::NobodyElse { because: Unable::Standby };
    web.unable = vec![("alpha".into(), Unable::Standby), ("beta".into(), Unable::Standby)];
    (web.level, web.weaker) = (GuardLevel::None, Some("it has no address".into()));
    check("nobody_could_take_over", &status, Exit::Degraded);
}

#[test]
fn maintenance() {
    let mut status = fine();
    let mut view = MaintenanceView {
        on: true,
        author: "root".into(),
        in_force: false,
        waits_for: vec![("beta".into(), Wait::Silent)],
    };
    group(&mut status).reason = Reason::Maintenance { author: "root".into() };
    status.snapshot.maintenance = Some(view.clone());
    lose_beta(&mut status, secs(12));
    check("maintenance_waits", &status, Exit::Degraded);

    view.on = false;
    group(&mut status).reason = Reason::Preferred;
    status.snapshot.maintenance = Some(view.clone());
    check("maintenance_over_unheard", &status, Exit::Degraded);

    (view.on, view.in_force) = (true, true);
    view.waits_for.clear();
    group(&mut status).reason = Reason::Maintenance { author: "root".into() };
    status.snapshot.maintenance = Some(view);
    status.snapshot.nodes[1].left_running = true;
    check("maintenance_upgrade", &status, Exit::Degraded);
    status.snapshot.nodes[1] = beta();
    check("maintenance_in_force", &status, Exit::Fine);
}

#[test]
fn peer_left() {
    let mut status = fine();
    let beta = &mut status.snapshot.nodes[1];
    (beta.state, beta.ping, beta.peer) = (NodeState::Left, None, None);
    group(&mut status).unable = vec![("beta".into(), Unable::Left)];
    check("peer_left", &status, Exit::Degraded);
}

#[test]
fn both_active() {
    let mut status = fine();
    group(&mut status).holders.push(("beta".into(), Run::Started, TERM));
    check("both_active", &status, Exit::Degraded);
}

#[test]
fn starting() {
    let mut status = fine();
    status.snapshot.phase = Phase::Starting;
    status.snapshot.joins_in = Some(ms(6_400));
    status.snapshot.uptime = ms(3_600);
    status.snapshot.nodes[1] = NodeView {
        state: NodeState::Unknown,
        ping: None,
        peer: None,
        ..status.snapshot.nodes[1].clone()
    };
    let web = group(&mut status);
    (web.holders, web.target, web.reason) = (Vec::new(), None, Reason::Starting);
    for resource in &mut web.resources {
        resource.state = ResourceState::Unknown;
    }
    check("starting", &status, Exit::Degraded);
}

#[test]
fn no_guard_and_one_link() {
    let mut status = fine();
    status.snapshot.ping = Vec::new();
    status.snapshot.links.pop();
    for node in &mut status.snapshot.nodes {
        node.ping = None;
    }
    peer(&mut status).links.pop();
    group(&mut status).level = GuardLevel::None;
    check("no_guard", &status, Exit::Fine);
}

#[test]
fn one_way_link() {
    let mut status = fine();
    peer(&mut status).links = vec![link("lan", true, true), link("private", false, true)];
    check("one_way_link", &status, Exit::Fine);
}

#[test]
fn links_that_lose_much() {
    let mut status = fine();
    let [lan, private] = peer(&mut status).links.as_mut_slice() else { panic!("two links") };
    lan.lost_out = Some(31);
    (private.lost_in, private.lost_out) = (Some(64), Some(20));
    check("lossy_links", &status, Exit::Fine);
}

/// Heartbeats get through in one direction only, on all links: the other node sees nothing but silence.
#[test]
fn half_dead() {
    let mut status = fine();
    lose_beta(&mut status, secs(12));
    status.snapshot.nodes[1].one_way = vec!["lan".into(), "private".into()];
    check("half_dead", &status, Exit::Degraded);
    let beta = &mut status.snapshot.nodes[1];
    (beta.state, beta.peer) = (NodeState::Unknown, None);
    check("half_dead_from_the_start", &status, Exit::Degraded);
}

#[test]
fn two_machines_with_one_name() {
    let mut status = fine();
    status.snapshot.nodes[0].doubled = true;
    status.snapshot.namesake = Some("192.168.9.3:694 on link private".into());
    status.snapshot.refused = BTreeMap::from([(Reject::OwnName, 40)]);
    check("namesake", &status, Exit::Degraded);
    status.snapshot.nodes[0].doubled = false;
    status.snapshot.nodes[1].doubled = true;
    status.snapshot.namesake = None;
    status.snapshot.refused.clear();
    check("namesake_of_a_peer", &status, Exit::Degraded);
}

/// A node that was given another cluster's name is not heard; a cluster that only shares the network is no trouble.
#[test]
fn another_cluster_on_the_same_group() {
    let mut status = fine();
    status.snapshot.refused = BTreeMap::from([(Reject::ForeignCluster, 40)]);
    check("foreign_cluster", &status, Exit::Fine);
    let beta = &mut status.snapshot.nodes[1];
    (beta.state, beta.ping, beta.peer) = (NodeState::Unknown, None, None);
    check("foreign_cluster_or_a_typo", &status, Exit::Degraded);
}

#[test]
fn moving_to_beta() {
    let mut status = fine();
    let web = group(&mut status);
    web.holders = vec![
        ("alpha".into(), Run::Stopping, TERM),
        ("beta".into(), Run::Claiming, Term(TERM.0 + 0x101)),
    ];
    web.target = Some("beta".into());
    web.reason = Reason::Wished { author: "root".into() };
    web.resources[0].state = ResourceState::Stopping;
    web.resources[1].state = ResourceState::Stopped;
    check("moving", &status, Exit::Degraded);
}

#[test]
fn ping_node_silent_here() {
    let mut status = fine();
    status.snapshot.ping[0] =
        PingView { target: PING, answered: Some(secs(34)), answers: false, error: None };
    status.snapshot.nodes[0].ping = Some(false);
    let web = group(&mut status);
    web.holders = vec![("beta".into(), Run::Started, TERM)];
    web.target = Some("beta".into());
    web.reason = Reason::BestAble { instead_of: vec![("alpha".into(), Unable::NoPing)] };
    web.weaker = Some("no ping node answers here".into());
    web.level = GuardLevel::Arp;
    web.unable = vec![("alpha".into(), Unable::NoPing)];
    stopped_here(web);
    check("ping_silent", &status, Exit::Degraded);
}

/// The first step of a change of keys is done: the new key is everywhere, nobody signs with it.
#[test]
fn keys_added() {
    let mut status = fine();
    status.daemon.keys.accepted.push(key(2));
    check("keys_added", &status, Exit::Fine);
}

/// In the middle of the second: this node signs with the new key already.
#[test]
fn keys_differ() {
    let mut status = fine();
    status.daemon.keys = KeyIds { sending: key(2), accepted: vec![key(1), key(2), key(3)] };
    check("keys_differ", &status, Exit::Fine);
}

/// A node that is not heard may still sign with the old key.
#[test]
fn keys_of_a_silent_peer() {
    let mut status = fine();
    lose_beta(&mut status, secs(300));
    status.daemon.keys = KeyIds { sending: key(2), accepted: vec![key(1), key(2)] };
    group(&mut status).unable = vec![("beta".into(), Unable::Lost)];
    check("keys_of_a_silent_peer", &status, Exit::Degraded);
}

/// Everything that only warns, at once.
/// Each runs well, and neither could take over from the other.
#[test]
fn guard_differs() {
    let mut status = fine();
    peer(&mut status).differs = vec![Section::Guard, Section::Groups];
    check("guard_differs", &status, Exit::Degraded);
}

#[test]
fn many_warnings() {
    let mut status = fine();
    status.snapshot.nodes[1].standby = Some("root".into());
    let beta = peer(&mut status);
    beta.worst_silence = ms(412);
    (beta.clock_offset_us, beta.clock_apart) = (Some(2_300_000), true);
    beta.differs = vec![Section::Heartbeat, Section::Groups];
    let web = group(&mut status);
    web.reason = Reason::StaysPut;
    web.resources[0].failure = Some("monitor: exit 7 (not running)".into());
    let mut clock = resource("clock", "ntp", ResourceState::Started);
    clock.remark = Some("the clock is 2499 ms off, max_offset is 1000 ms (says chrony)".into());
    web.resources.insert(0, clock);
    status.snapshot.links[1].1 = Some("interface eth1 is not on this machine".into());
    status.snapshot.refused =
        BTreeMap::from([(Reject::BadTag, 12), (Reject::Replayed, 3), (Reject::OwnName, 0)]);
    status.snapshot.disk = Some("/var/lib/lubdub/history.jsonl: No space left on device".into());
    status.daemon.kernel_drops = 17;
    status.daemon.realtime =
        vec!["runs without real-time priority: Operation not permitted".into()];
    check("many_warnings", &status, Exit::Fine);
}

/// Several nodes, groups and levels, with names of different lengths.
#[test]
fn three_nodes() {
    let mut status = fine();
    let mut gamma = beta();
    gamma.name = "gamma-with-a-long-name".into();
    gamma.state = NodeState::Late;
    gamma.peer.as_mut().unwrap().silence = ms(312);
    status.snapshot.nodes.push(gamma);
    let mut mail = web();
    mail.name = "mail-and-calendar".into();
    mail.level = GuardLevel::Ping;
    mail.holders = vec![("beta".into(), Run::Started, TERM)];
    mail.target = Some("beta".into());
    mail.reason = Reason::BestAble {
        instead_of: vec![
            ("gamma-with-a-long-name".into(), Unable::Failed),
            ("alpha".into(), Unable::Unfit),
        ],
    };
    mail.unable =
        vec![("gamma-with-a-long-name".into(), Unable::Failed), ("alpha".into(), Unable::Unfit)];
    stopped_here(&mut mail);
    status.snapshot.groups.push(mail);
    let mut nobody = web();
    nobody.name = "lab".into();
    nobody.level = GuardLevel::Ping;
    nobody.holders = Vec::new();
    nobody.target = None;
    nobody.reason = Reason::NobodyAble {
        nodes: vec![("alpha".into(), Unable::Failed), ("beta".into(), Unable::Excluded)],
    };
    stopped_here(&mut nobody);
    status.snapshot.groups.push(nobody);
    check("three_nodes", &status, Exit::Degraded);
}

#[test]
fn colour_marks_states_and_moves_nothing() {
    let coloured = page::render(&fine(), Paint::Colour);
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    plain.push_str(rest);
    assert_ne!(plain, coloured);
    assert_eq!(plain, page::render(&fine(), Paint::Plain));
}
