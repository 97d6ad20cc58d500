//! The page is read as Prometheus reads it, and more strictly.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;
use crate::cluster::counts::{GroupCounts, PeerCounts};
use crate::wire::Term;

/// Samples by series: `name{label="value",…}` with its labels sorted.
type Samples = BTreeMap<String, f64>;

fn fine() -> Status {
    serde_json::from_str(include_str!("../../../../tests/golden/status/fine.json")).unwrap()
}

fn figures() -> Figures {
    Figures { start: 1_767_323_045.678, cpu: Some(Duration::from_millis(30)), resident: Some(4096) }
}

fn page(status: &Status) -> Samples {
    parse(&render(status, &figures()))
}

/// Every line is HELP, TYPE or a sample; both stand once before the samples of their family, which are together; no series
/// comes twice.
fn parse(page: &str) -> Samples {
    assert!(page.ends_with('\n') && !page.contains("\n\n"));
    let mut samples = Samples::new();
    let mut families = BTreeSet::new();
    let (mut helped, mut family, mut kind) = (None, None, "");
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(families.insert(name), "{name} begins twice");
            assert!(help.ends_with('.') && !help.contains('\\'), "{line}");
            (helped, family) = (Some(name), None);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, of) = rest.split_once(' ').unwrap();
            assert_eq!(helped, Some(name), "{line}");
            assert!(["counter", "gauge"].contains(&of), "{line}");
            assert_eq!(of == "counter", name.ends_with("_total"), "{line}");
            assert!(name.starts_with("lubdub_") || name.starts_with("process_"), "{line}");
            (family, kind) = (Some(name), of);
        } else {
            let (name, series, value) = sample(line);
            assert_eq!(family, Some(name), "{line}: not after its HELP and TYPE");
            assert!(kind == "gauge" || value >= 0.0, "{line}");
            assert_eq!(samples.insert(series, value), None, "{line}: twice");
        }
    }
    samples
}

/// Name, series and value of a line.
fn sample(line: &str) -> (&str, String, f64) {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    let (name, mut rest) = line.split_at(line.find(['{', ' ']).unwrap());
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap();
            assert!(is_name(label), "{line}");
            let mut end = 0;
            while !after[end..].starts_with('"') {
                end += if after[end..].starts_with('\\') {
                    2
                } else {
                    after[end..].chars().next().unwrap().len_utf8()
                };
            }
            assert_eq!(labels.insert(label, &after[..end]), None, "{line}");
            rest = &after[end + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').unwrap();
    }
    let value = rest.strip_prefix(' ').unwrap();
    assert!(value.chars().all(|c| c.is_ascii_digit() || "-.".contains(c)), "{line}");
    let labels: Vec<String> =
        labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    (name, format!("{name}{{{}}}", labels.join(",")), value.parse().unwrap())
}

#[test]
fn a_pair_as_it_should_be() {
    let samples = page(&fine());
    for (series, value) in [
        ("lubdub_build_info{version=\"0.1.0\"}", 1.0),
        ("lubdub_cluster_info{cluster=\"web\",node=\"alpha\"}", 1.0),
        ("lubdub_phase{state=\"active\"}", 1.0),
        ("lubdub_node_state{node=\"beta\",state=\"up\"}", 1.0),
        ("lubdub_node_state{node=\"beta\",state=\"lost\"}", 0.0),
        ("lubdub_node_sees_ping_node{node=\"beta\"}", 1.0),
        ("lubdub_peer_silence_seconds{peer=\"beta\"}", 0.043),
        ("lubdub_peer_worst_silence_seconds{peer=\"beta\"}", 0.112),
        ("lubdub_peer_round_trip_seconds{peer=\"beta\"}", 0.000_34),
        ("lubdub_peer_clock_offset_seconds{peer=\"beta\"}", -0.0012),
        ("lubdub_peer_late_total{peer=\"beta\"}", 0.0),
        ("lubdub_peer_key_id{peer=\"beta\"}", 1.0),
        ("lubdub_peer_config_differs{peer=\"beta\",section=\"guard\"}", 0.0),
        ("lubdub_link_ready{link=\"lan\"}", 1.0),
        ("lubdub_link_up{direction=\"out\",link=\"private\",peer=\"beta\"}", 1.0),
        ("lubdub_datagrams_refused_total{reason=\"unknown_key\"}", 0.0),
        ("lubdub_ping_node_up{target=\"10.0.0.254\"}", 1.0),
        ("lubdub_group_state{group=\"web\",node=\"alpha\",state=\"started\"}", 1.0),
        ("lubdub_group_holders{group=\"web\"}", 1.0),
        ("lubdub_group_target{group=\"web\",node=\"beta\"}", 0.0),
        ("lubdub_group_guard_level{group=\"web\",level=\"ping+arp\"}", 1.0),
        ("lubdub_group_guard_weakened{group=\"web\"}", 0.0),
        ("lubdub_group_transitions_total{group=\"web\",to=\"started\"}", 0.0),
        (
            "lubdub_resource_state{agent=\"IPaddr\",group=\"web\",resource=\"vip\",state=\"started\"}",
            1.0,
        ),
        ("lubdub_disk_writable{}", 1.0),
        ("lubdub_deadtime_seconds{}", 0.5),
        ("process_start_time_seconds{}", 1_767_323_045.678),
        ("process_cpu_seconds_total{}", 0.03),
        ("process_resident_memory_bytes{}", 4096.0),
    ] {
        assert_eq!(samples.get(series), Some(&value), "{series} in {samples:#?}");
    }
    // What is not about one node is not told of it twice: this node is no peer of itself.
    assert!(!samples.keys().any(|series| series.contains("peer=\"alpha\"")));
}

/// Of the states of one thing one is the present one, whichever it is.
#[test]
fn each_state_has_its_sample() {
    let mut status = fine();
    let nodes = [
        NodeState::Up,
        NodeState::Late,
        NodeState::Lost,
        NodeState::Dead,
        NodeState::Left,
        NodeState::Unknown,
    ];
    let runs = [Run::Claiming, Run::Starting, Run::Started, Run::Stopping, Run::Blocked];
    let resources = [
        ResourceState::Unknown,
        ResourceState::Stopped,
        ResourceState::Starting,
        ResourceState::Started,
        ResourceState::Stopping,
        ResourceState::Failed,
        ResourceState::Blocked,
    ];
    let phases = [Phase::Starting, Phase::Active, Phase::Leaving];
    let levels = [GuardLevel::None, GuardLevel::Ping, GuardLevel::Arp, GuardLevel::PingArp];
    let mut seen = BTreeSet::new();
    for turn in 0..7 {
        status.snapshot.phase = phases[turn % phases.len()];
        status.snapshot.nodes[1].state = nodes[turn % nodes.len()];
        let web = &mut status.snapshot.groups[0];
        web.holders = vec![("beta".into(), runs[turn % runs.len()], Term(512))];
        web.resources[0].state = resources[turn];
        web.level = levels[turn % levels.len()];
        let samples = page(&status);
        let mut sums: BTreeMap<String, f64> = BTreeMap::new();
        for (series, value) in samples {
            for label in ["state=\"", "level=\""] {
                let Some(at) = series.find(label) else { continue };
                let end = at + label.len() + series[at + label.len()..].find('"').unwrap();
                *sums.entry(format!("{}{}", &series[..at], &series[end..])).or_default() += value;
                if value > 0.0 {
                    seen.insert(series.clone());
                }
            }
        }
        for (thing, sum) in sums {
            // Nothing of the group is known to run on alpha.
            let wanted =
                if thing.contains("group_state") && thing.contains("alpha") { 0.0 } else { 1.0 };
            assert_eq!(sum, wanted, "{thing}");
        }
    }
    for (name, states) in [
        ("lubdub_phase{", 3),
        ("lubdub_node_state{node=\"beta\"", 6),
        ("lubdub_group_state{group=\"web\",node=\"beta\"", 5),
        ("lubdub_resource_state{agent=\"nginx\"", 7),
        ("lubdub_group_guard_level{", 4),
    ] {
        let found = seen.iter().filter(|series| series.starts_with(name)).count();
        assert_eq!(found, states, "{name}: {seen:#?}");
    }
}

#[test]
fn what_happened_is_counted_under_its_names() {
    let mut status = fine();
    let peer = &mut status.snapshot.nodes[1];
    (peer.state, peer.peer, peer.ping) = (NodeState::Unknown, None, None);
    status.snapshot.refused = BTreeMap::from([(Reject::UnknownKey, 3)]);
    status.snapshot.links[1].1 = Some("interface eth1 is not on this machine".into());
    status.snapshot.disk = Some("no room".into());
    status.daemon.kernel_drops = 17;
    let counts = &mut status.snapshot.counts;
    counts.pauses = 2;
    counts.peers.insert("beta".into(), PeerCounts { late: 4, lost: 1 });
    let failures = BTreeMap::from([(Action::Monitor, 6)]);
    let web = GroupCounts {
        started: 3,
        stopped: 2,
        refused: 5,
        failures: BTreeMap::from([("nginx".into(), failures)]),
        ..GroupCounts::default()
    };
    counts.groups.insert("web".into(), web);
    let samples = page(&status);
    for (series, value) in [
        ("lubdub_pauses_total{}", 2.0),
        ("lubdub_peer_late_total{peer=\"beta\"}", 4.0),
        ("lubdub_peer_lost_total{peer=\"beta\"}", 1.0),
        ("lubdub_datagrams_refused_total{reason=\"unknown_key\"}", 3.0),
        ("lubdub_kernel_drops_total{}", 17.0),
        ("lubdub_link_ready{link=\"private\"}", 0.0),
        ("lubdub_disk_writable{}", 0.0),
        ("lubdub_group_transitions_total{group=\"web\",to=\"started\"}", 3.0),
        ("lubdub_group_takeovers_refused_total{group=\"web\"}", 5.0),
        (
            "lubdub_resource_failures_total{action=\"monitor\",group=\"web\",resource=\"nginx\"}",
            6.0,
        ),
        ("lubdub_resource_failures_total{action=\"stop\",group=\"web\",resource=\"vip\"}", 0.0),
    ] {
        assert_eq!(samples.get(series), Some(&value), "{series} in {samples:#?}");
    }
    // A peer that was never heard has no figures, and is no zero either.
    assert!(!samples.contains_key("lubdub_peer_silence_seconds{peer=\"beta\"}"));
}

/// An alert on a name or a label that is not there never fires.
#[test]
fn the_alert_rules_use_what_is_there() {
    let samples = page(&fine());
    let rules = include_str!("../../../../etc/prometheus-rules.yml");
    let expressions = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    let mut used = 0;
    for expression in expressions {
        for word in expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
            if word.starts_with("lubdub_") {
                used += 1;
                let series = |series: &&String| series.starts_with(&format!("{word}{{"));
                assert!(samples.keys().any(|name| series(&name)), "{word} in {expression}");
            }
        }
        for selector in expression.split('{').skip(1) {
            let (label, _) = selector.split_once('=').unwrap();
            let name = expression.split('{').next().unwrap().rsplit('(').next().unwrap();
            let has = |series: &&String| {
                series.starts_with(name) && series.contains(&format!("{label}=\""))
            };
            assert!(name == "up" || samples.keys().any(|series| has(&series)), "{expression}");
        }
    }
    assert!(used > 8, "{used}");
}

#[test]
fn microseconds_are_seconds_to_the_last_digit() {
    for (micros, text) in [
        (0, "0.000000"),
        (-1_200, "-0.001200"),
        (2_300_000, "2.300000"),
        (i64::MIN, "-9223372036854.775808"),
    ] {
        assert_eq!(seconds(micros), text);
    }
}
