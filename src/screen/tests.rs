//! Made-up moments, each with the screen that is seen then: `tests/golden/screen/*.txt`. `UPDATE_GOLDEN=1` rewrites them;
//! look at them before they are committed.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU8;
use std::path::Path;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;

use super::*;
use crate::cluster::counts::Counts;
use crate::cluster::event::{Event, JoinReason};
use crate::cluster::guard::{Doubt, Evidence, GuardLevel};
use crate::cluster::placement::Reason;
use crate::cluster::snapshot::{
    GroupView, LinkView, MaintenanceView, NodeState, NodeView, PeerView, PingView, Snapshot,
};
use crate::control::{DaemonFacts, KeyIds, Record, Status};
use crate::wire::{KeyId, Mac, Phase, Run, Term};

const PING: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 254));
const ADDRESS: &str = "10.77.0.100";
/// Where the screen's clock stands at the beginning.
const START: u64 = 100_000;
/// And the wall clock.
const WALL: u64 = 1_767_323_045_000;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A node's view of a peer that is in this state.
fn peer(name: &str, state: NodeState, heartbeats: u64) -> NodeView {
    let heard = matches!(state, NodeState::Up | NodeState::Late);
    let link = |name: &str| LinkView {
        name: name.into(),
        heard,
        hears: heard,
        heartbeats,
        lost_in: None,
        lost_out: None,
    };
    let view = PeerView {
        phase: Some(Phase::Active),
        silence: if heard { ms(43) } else { ms(1_500) },
        worst_silence: ms(112),
        worst_silence_ago: ms(60_000),
        round_trip: Some(Duration::from_micros(340)),
        clock_offset_us: None,
        clock_error_us: None,
        clock_apart: false,
        links: vec![link("private"), link("spare")],
        differs: Vec::new(),
        unknown_version: None,
        key: None,
    };
    let known = (state != NodeState::Unknown).then_some(view);
    NodeView { state, ping: heard.then_some(true), peer: known, ..me(name) }
}

fn me(name: &str) -> NodeView {
    NodeView {
        name: name.into(),
        state: NodeState::Up,
        standby: None,
        left_running: false,
        ping: Some(true),
        doubled: false,
        one_way: Vec::new(),
        peer: None,
    }
}

/// A status of `node`, for which the group `web` is run so by these.
fn status(node: &str, nodes: Vec<NodeView>, holders: &[(&str, Run)]) -> Box<Status> {
    let web = GroupView {
        name: "web".into(),
        holders: holders.iter().map(|(name, run)| ((*name).to_owned(), *run, Term(256))).collect(),
        held: Some(ms(60_000)),
        target: None,
        reason: Reason::Preferred,
        doubts: Vec::new(),
        level: GuardLevel::PingArp,
        weaker: None,
        unable: Vec::new(),
        resources: Vec::new(),
    };
    let snapshot = Snapshot {
        cluster: "web".into(),
        node: node.into(),
        uptime: ms(60_000),
        phase: Phase::Active,
        joins_in: None,
        warntime: ms(300),
        deadtime: ms(500),
        warn_offset: ms(1_000),
        nodes,
        ping: vec![PingView { target: PING, answered: Some(ms(9)), answers: true, error: None }],
        groups: vec![web],
        links: vec![("private".into(), None), ("spare".into(), None)],
        namesake: None,
        refused: BTreeMap::new(),
        refused_ago: BTreeMap::new(),
        maintenance: None,
        disk: None,
        counts: Counts::default(),
    };
    let key = KeyId::from(NonZeroU8::MIN);
    let daemon = DaemonFacts {
        version: "0.1.0".into(),
        pid: 812,
        realtime: Vec::new(),
        kernel_drops: 0,
        keys: KeyIds { sending: key, accepted: vec![key] },
        time: String::new(),
    };
    Box::new(Status { snapshot, daemon })
}

fn sighting(node: &str, at: u64, status: Box<Status>, events: Vec<(u64, Event)>) -> Sighting {
    let fresh = events.into_iter().map(|(at, event)| Record::new(WALL + at - START, event));
    Sighting { node: node.into(), at: ms(at), seen: Ok(status), fresh: fresh.collect() }
}

fn body(power: bool, holds: bool) -> Body {
    let addresses = holds.then(|| ADDRESS.to_owned()).into_iter().collect();
    Body { power, cable: power, addresses }
}

/// The demo's screen before anything is known.
fn demo() -> Model {
    let mut model = Model::of_nodes(["alpha", "beta"], &["private", "spare"]);
    model.title = "lubdub demo · a real pair on this machine".into();
    model.facts = Words::new(Tone::Faint, "keepalive 100 ms · deadtime 500 ms");
    let keys = [('p', "power"), ('x', "partition"), ('r', "repair"), ('q', "quit")];
    model.keys = keys.map(|(key, word)| Key { key, word }).to_vec();
    let others = vec!["client".to_owned(), format!("ping node {PING}")];
    model.service = Some(ServiceNetwork { name: "lan".into(), others });
    model
}

/// Both daemons answered, alpha serves; heartbeats come every 100 ms, until this moment.
fn running(model: &mut Model, until: u64) {
    model.know_body("alpha", body(true, true));
    model.know_body("beta", body(true, false));
    let all_heard = || Event::Joined { because: JoinReason::AllHeard };
    let started = Event::GroupStarted { group: "web".into(), term: Term(256), took: ms(22) };
    for at in (START..=until).step_by(100) {
        let holders = [("alpha", Run::Started)];
        for (node, other) in [("alpha", "beta"), ("beta", "alpha")] {
            let views = vec![me(node), peer(other, NodeState::Up, at / 100)];
            let events = match node {
                _ if at > START => vec![],
                "alpha" => vec![(START, all_heard()), (START, started.clone())],
                _ => vec![(START, all_heard())],
            };
            model.saw(sighting(node, at, status(node, views, &holders), events));
        }
    }
}

/// The client asks every 4 ms from one moment to another, and this node answers.
fn serve(model: &mut Model, from: u64, to: u64, by: Option<&str>) {
    for at in (from..to).step_by(4) {
        model.asked(ms(at));
        model.ended(ms(at + 1), by);
    }
}

fn strike(model: &mut Model, key: char, at: u64, text: &str) {
    let unix_ms = WALL + at - START;
    model.begin(Incident { key, text: text.into(), at: ms(at), unix_ms });
}

fn lost(peer: &str) -> Event {
    Event::PeerLost { peer: peer.into(), silence: ms(512), deadtime: ms(500) }
}

fn frame(model: &Model, now: u64, (width, height): (u16, u16), palette: Palette) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, model, ms(now), palette)).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let line = |cells: &[ratatui::buffer::Cell]| {
        let line: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        format!("{}\n", line.trim_end())
    };
    buffer.content.chunks(width).map(line).collect()
}

/// The screen must be the golden one, in colours and without.
fn check(name: &str, model: &Model, now: u64, size: (u16, u16)) {
    let seen = text(&frame(model, now, size, Palette::Colour));
    let plain = frame(model, now, size, Palette::Plain);
    assert_eq!(text(&plain), seen, "{name}: without colours the same is to be read");
    let coloured =
        plain.content.iter().any(|cell| (cell.fg, cell.bg) != (Color::Reset, Color::Reset));
    assert!(!coloured, "{name}: a colour, though none is wanted");
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/screen")
        .join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &seen).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        seen == golden,
        "{name} differs from {}; UPDATE_GOLDEN=1 rewrites it\n{seen}",
        path.display()
    );
}

#[test]
fn the_first_frame() {
    check("first", &demo(), START, (80, 24));
}

#[test]
fn a_calm_pair() {
    let mut model = demo();
    running(&mut model, START + 2_000);
    serve(&mut model, START, START + 2_000, Some("alpha"));
    check("calm", &model, START + 2_010, (80, 24));
    check("calm_large", &model, START + 2_010, (120, 36));
    check("calm_smallest", &model, START + 2_010, (SMALLEST.width, SMALLEST.height));
}

#[test]
fn power_off() {
    let mut model = demo();
    let fault = START + 2_000;
    running(&mut model, fault);
    serve(&mut model, START, fault, Some("alpha"));
    strike(&mut model, 'p', fault, "the power of alpha is cut");
    serve(&mut model, fault, fault + 520, None);
    serve(&mut model, fault + 520, fault + 1_500, Some("beta"));
    model.know_body("alpha", body(false, false));
    model.know_body("beta", body(true, true));
    let seen = Err("no daemon answers".to_owned());
    model.saw(Sighting { node: "alpha".into(), at: ms(fault + 100), seen, fresh: vec![] });
    let views = vec![me("beta"), peer("alpha", NodeState::Lost, 0)];
    let evidence =
        Evidence::Guard { silence: ms(512), ping: Some((PING, ms(3))), silent_probes: 4 };
    let events = vec![
        (fault + 491, lost("alpha")),
        (
            fault + 491,
            Event::Cleared { group: "web".into(), evidence: vec![("alpha".into(), evidence)] },
        ),
        (fault + 513, Event::GroupStarted { group: "web".into(), term: Term(512), took: ms(22) }),
    ];
    let holders = [("alpha", Run::Started), ("beta", Run::Started)];
    model.saw(sighting("beta", fault + 1_490, status("beta", views, &holders), events));
    check("power_off", &model, fault + 1_510, (80, 24));
}

/// Heartbeats are gone, the address still answers: the star of the screen is that nothing moves.
#[test]
fn a_refusal() {
    let mut model = demo();
    let fault = START + 2_000;
    running(&mut model, fault);
    serve(&mut model, START, fault + 1_500, Some("alpha"));
    strike(&mut model, 'x', fault, "the heartbeat networks private and spare go dead");
    let why = Doubt::AddressAnswers { address: ADDRESS.into(), mac: Mac([2, 0x77, 0, 0, 0, 1]) };
    for (node, other) in [("alpha", "beta"), ("beta", "alpha")] {
        let views = vec![me(node), peer(other, NodeState::Lost, fault / 100)];
        let holders = [("alpha", Run::Started), ("beta", Run::Claiming)];
        let mut status = status(node, views, &holders);
        let mut events = vec![(fault + 480, lost(other))];
        if node == "beta" {
            status.snapshot.groups[0].doubts = vec![("alpha".into(), why.clone())];
            let (group, peer) = ("web".into(), "alpha".into());
            events.push((fault + 481, Event::Refused { group, peer, why: why.clone() }));
        }
        model.saw(sighting(node, fault + 1_400, status, events));
    }
    check("refusal", &model, fault + 1_510, (80, 24));
}

/// A key that did nothing does not take away what is told of the one before.
#[test]
fn what_was_not_done_leaves_the_story_as_it_was() {
    let mut model = demo();
    let fault = START + 2_000;
    running(&mut model, fault);
    serve(&mut model, START, fault, Some("alpha"));
    strike(&mut model, 's', fault, "the web server on alpha is killed");
    serve(&mut model, fault, fault + 120, None);
    serve(&mut model, fault + 120, fault + 1_500, Some("alpha"));
    model.correct(None, "the web server on alpha is killed with SIGKILL".into());
    strike(&mut model, 'k', fault + 1_500, "…");
    model.fail("node alpha: its daemon does not run".into());
    check("not_done", &model, fault + 1_510, (80, 24));
    let mut fresh = demo();
    strike(&mut fresh, 'k', fault, "…");
    fresh.fail("node alpha: its daemon does not run".into());
    assert_eq!(fresh.caption(ms(fault)), None);
}

/// What `status --watch` shows of a pair: only this node's daemon is asked.
#[test]
fn seen_from_one_node() {
    let mut model = watched(&["beta"], NodeState::Up);
    check("watch_pair", &model, START + 1_000, (80, 24));
    let mut left = peer("beta", NodeState::Lost, 10);
    left.left_running = true;
    let mut seen = status("alpha", vec![me("alpha"), left], &[("alpha", Run::Started)]);
    seen.snapshot.maintenance = Some(MaintenanceView {
        on: true,
        author: "root".into(),
        in_force: true,
        waits_for: vec![],
    });
    let event = Event::PeerLeavesRunning { peer: "beta".into() };
    model.saw(sighting("alpha", START + 1_050, seen, vec![(START + 1_040, event)]));
    check("watch_maintenance", &model, START + 1_060, (80, 24));
    let seen = Err("no daemon answers on /run/lubdub/control.sock".to_owned());
    model.saw(Sighting { node: "alpha".into(), at: ms(START + 1_100), seen, fresh: vec![] });
    check("watch_no_answer", &model, START + 1_700, (80, 24));
}

#[test]
fn more_than_two_nodes() {
    check("watch_four", &watched(&["beta", "gamma", "delta"], NodeState::Lost), START, (80, 24));
    let many = ["beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota"];
    check("watch_nine", &watched(&many, NodeState::Up), START + 1_000, (100, 30));
}

/// Seen from alpha, whose last peer is in this state.
fn watched(peers: &[&str], last: NodeState) -> Model {
    let mut model = Model::of_nodes(["alpha"], &[]);
    model.title = "cluster web · seen from alpha".into();
    model.facts = Words::new(Tone::Good, "all fine");
    model.keys = vec![Key { key: 'q', word: "quit" }];
    model.notes = vec![
        Words::new(Tone::Good, "web on alpha: started, preferred node"),
        Words::new(Tone::Warn, "alpha and beta sign with different keys"),
        Words::new(Tone::Plain, "  → finish the rotation: the same file on both nodes"),
    ];
    for at in (START..=START + 1_000).step_by(100) {
        let state = |name: &str| if peers.last() == Some(&name) { last } else { NodeState::Up };
        let views = peers.iter().map(|name| peer(name, state(name), at / 100));
        let views: Vec<NodeView> = std::iter::once(me("alpha")).chain(views).collect();
        let event = Event::Joined { because: JoinReason::AllHeard };
        let events = if at == START { vec![(START, event)] } else { vec![] };
        let status = status("alpha", views, &[("alpha", Run::Started)]);
        model.saw(sighting("alpha", at, status, events));
    }
    model
}

#[test]
fn too_small_a_terminal_is_told_how_large_it_must_be() {
    let model = demo();
    for size in [(77, 24), (80, 19), (30, 8), (1, 1)] {
        let seen = text(&frame(&model, START, size, Palette::Colour));
        if size.0 >= 30 {
            let seen = seen.replace('\n', " ");
            assert!(seen.contains("needs 78 columns and 20 rows"), "{size:?}: {seen}");
        }
    }
}

#[test]
fn every_size_can_be_drawn() {
    let mut model = watched(&["beta", "gamma", "delta"], NodeState::Up);
    for size in [(78, 20), (79, 23), (200, 60), (78, 100), (300, 20)] {
        frame(&model, START + 1_000, size, Palette::Colour);
    }
    model.notes = vec![Words::new(Tone::Bad, "a long complaint ".repeat(60)); 9];
    frame(&model, START + 1_000, (78, 20), Palette::Colour);
}

#[test]
fn colours_come_with_letters() {
    let mut model = demo();
    running(&mut model, START + 400);
    serve(&mut model, START, START + 200, Some("alpha"));
    serve(&mut model, START + 200, START + 400, None);
    let buffer = frame(&model, START + 410, (80, 24), Palette::Colour);
    let grounds = |sign: &str| -> Vec<Color> {
        let strip = buffer.content.iter().skip(80 * 12).take(80 * 3);
        strip.filter(|cell| cell.symbol() == sign).map(|cell| cell.bg).collect()
    };
    let (a, nobody) = (grounds("a"), grounds("×"));
    assert_eq!((a.len(), nobody.len()), (10, 10));
    assert!(a.iter().all(|ground| *ground == a[0]) && a[0] != nobody[0]);
}
