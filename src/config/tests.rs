mod links;

use std::net::IpAddr;
use std::time::Duration;

use super::*;

/// A pair without groups; every test appends or replaces.
const PAIR: &str = r#"cluster = "web"
[heartbeat]
links = [{ name = "lan" }, { name = "private" }]
[[node]]
name = "alpha"
address = { lan = "10.0.0.1", private = "10.1.0.1" }
[[node]]
name = "beta"
address = { lan = "10.0.0.2", private = "10.1.0.2" }
[guard]
ping = ["10.0.0.254"]
arp = true
"#;

const GROUP: &str = r#"[[group]]
name = "web"
[[group.resource]]
name = "vip"
agent = "IPaddr"
params = { ip = "10.0.0.100/24" }
"#;

fn file(text: &str) -> File {
    parse(text, "cluster.toml").unwrap_or_else(|errors| panic!("{errors}"))
}

fn config(text: &str) -> Config {
    file(text).for_node("alpha").unwrap()
}

fn errors(text: &str) -> String {
    parse(text, "cluster.toml").map(|_| ()).expect_err("it is wrong").to_string()
}

fn warnings(text: &str) -> Vec<Problem> {
    file(text).warnings().to_vec()
}

/// The pair with times.
fn with_times(times: &str) -> String {
    PAIR.replace("[heartbeat]\n", &format!("[heartbeat]\n{times}\n"))
}

/// The pair with this guard.
fn with_guard(guard: &str) -> String {
    let (head, _) = PAIR.split_once("[guard]").unwrap();
    format!("{head}{guard}")
}

#[track_caller]
fn assert_errors(text: &str, wanted: &[&str]) {
    let found = errors(text);
    let lines: Vec<&str> = found.lines().collect();
    assert_eq!(lines.len(), wanted.len(), "{found}\n--- of ---\n{text}");
    for (line, wanted) in lines.iter().zip(wanted) {
        let (place, words) = wanted.split_once(' ').unwrap();
        assert!(line.starts_with(&format!("cluster.toml:{place} ")), "{line}\n--- wanted {wanted}");
        assert!(
            words.split(" ... ").all(|part| line.contains(part)),
            "{line}\n--- wanted {wanted}"
        );
    }
}

#[test]
fn defaults_are_filled_in() {
    let config = config(&format!("{PAIR}{GROUP}"));
    assert_eq!(
        config.timing,
        Timing {
            keepalive: Duration::from_secs(1),
            warntime: Duration::from_secs(5),
            deadtime: Duration::from_secs(10),
            initdead: Duration::from_secs(20),
        }
    );
    assert_eq!(config.warn_offset, Duration::from_secs(1));
    assert!(config.links.iter().all(|link| link.port == 694 && link.interface.is_none()));
    let group = config.group(GroupId(0));
    assert_eq!(group.nodes, [NodeId(0), NodeId(1)]);
    assert!(!group.auto_failback);
    let [vip] = group.resources.as_slice() else { panic!("one resource") };
    assert_eq!(vip.monitor, Some(Duration::from_secs(10)));
    assert_eq!(vip.timeout.stop, Duration::from_secs(20));
    let address = vip.address.clone().unwrap();
    assert_eq!((address.to_string().as_str(), address.interface), ("10.0.0.100/24", None));
}

#[test]
fn values_by_node_are_resolved_for_each_node() {
    let text = format!("{PAIR}{GROUP}").replace(
        "{ ip = \"10.0.0.100/24\" }",
        "{ ip = \"10.0.0.100/24\", interface = { alpha = \"eth0\", beta = \"enp3s0\" }, count = 0x10, on = true }",
    );
    let file = file(&text);
    assert_eq!(file.nodes().collect::<Vec<_>>(), ["alpha", "beta"]);
    for (node, id, interface) in [("alpha", 0, "eth0"), ("beta", 1, "enp3s0")] {
        let config = file.for_node(node).unwrap();
        assert_eq!(config.me, NodeId(id));
        let vip = config.resource(ResourceId { group: GroupId(0), index: 0 });
        assert_eq!(vip.address.as_ref().unwrap().interface.as_deref(), Some(interface));
        assert_eq!(vip.params.get("interface").map(String::as_str), Some(interface));
        assert_eq!(vip.params.get("count").map(String::as_str), Some("16"));
        assert_eq!(vip.params.get("on").map(String::as_str), Some("true"));
    }
}

#[test]
fn a_node_that_the_file_does_not_name_is_told() {
    let errors = file(PAIR).for_node("alhpa").unwrap_err().to_string();
    assert!(errors.starts_with("cluster.toml: no [[node]] is named `alhpa`"), "{errors}");
    assert!(errors.contains("did you mean `alpha`?"), "{errors}");
}

#[test]
fn all_errors_are_told_in_one_run_in_file_order() {
    let text = r#"clutser = "web"
[heartbeat]
keepalvie = "1s"
deadtime = 10
links = [{ name = "lan", transport = "multicats", port = 0 }, { name = "lan" }]
[[node]]
name = "alpha"
address = { lna = "10.0.0.1" }
[[node]]
name = "alpha"
[[node]]
name = "be ta"
[guard]
ping = "10.0.0.254"
[[group]]
name = "web"
prefer = ["alhpa"]
auto_failback = "yes"
[[group.resource]]
name = "vip"
agent = "IPaddr"
monitor = "fast"
"#;
    assert_errors(
        text,
        &[
            "1: `cluster` is missing",
            "1: unknown key `clutser`; did you mean `cluster`?",
            "3: unknown key `keepalvie`; did you mean `keepalive`?",
            "4: deadtime: a duration needs a unit and quotes",
            "5: transport: no transport \"multicats\"; did you mean `multicast`?",
            "5: port: 0 is no UDP port",
            "5: name: there is a link `lan` already",
            "8: `alpha` has no address on link `lan`",
            "8: lna: no link `lna`; did you mean `lan`?",
            "10: name: there is a node `alpha` already",
            "12: name: \"be ta\" is no name",
            "14: ping: found a string; write a list",
            "17: prefer: no node `alhpa`; did you mean `alpha`?",
            "18: auto_failback: found a string; write true or false",
            "19: `params` is missing ... ip = ",
            "22: monitor: \"fast\" is no duration; write \"500ms\"",
        ],
    );
}

#[test]
fn text_that_is_no_toml_is_told_with_its_lines() {
    let found = errors("cluster = \"web\nx = 1\ny == 2\n");
    assert!(found.starts_with("cluster.toml:1: "), "{found}");
    assert!(found.contains("\ncluster.toml:3: "), "{found}");
    assert_errors("cluster = \"a\"\ncluster = \"b\"\n", &["2: duplicate key"]);
    let deep = format!("x = {}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(!errors(&deep).is_empty());
    assert!(errors(&" ".repeat(2 << 20)).contains("larger than"));
}

#[test]
fn times_have_to_nest() {
    for (times, wanted) in [
        (
            "keepalive = '1s'\ndeadtime = '2s'",
            "4: deadtime 2s is too short ... 2s - 1s - 20ms = 980ms",
        ),
        ("keepalive = '1s'\ndeadtime = '2.02s'", "4: deadtime 2.02s is too short"),
        ("keepalive = '10ms'\ndeadtime = '20ms'", "4: 20ms is out of bounds ... 30ms"),
        ("keepalive = '9ms'", "3: 9ms is out of bounds; write at least 10ms"),
        (
            "deadtime = '2m'\nkeepalive = '1s'\ninitdead = '1m'",
            "5: initdead 60s is below deadtime 120s",
        ),
        ("keepalive = '1s'\nwarntime = '1s'", "4: warntime 1s is not between"),
        ("deadtime = '4s'\nwarntime = '4s'", "4: warntime 4s is not between ... write \"2s\""),
        (
            "keepalive = '40ms'\ndeadtime = '101ms'\nwarntime = '1s'",
            "5: warntime 1s is not between ... leave it out, or write \"50ms\"",
        ),
        ("deadtime = '61m'", "3: 3660s is out of bounds ... 3600s"),
        ("keepalive = '7m'", "2: 4200s is out of bounds"),
        ("warn_offset = '0s'", "3: warn_offset: 0ns is out of bounds ... 1ms"),
        ("warn_offset = '61m'", "3: warn_offset: 3660s is out of bounds ... 3600s"),
        ("warn_offset = 1", "3: warn_offset: a duration needs a unit"),
    ] {
        assert_errors(&with_times(times), &[wanted]);
    }
}

/// What would fit into a deadtime that is wrong itself is no advice.
#[test]
fn no_warntime_is_advised_for_a_wrong_deadtime() {
    assert_errors(
        &with_times("keepalive = '500ms'\ndeadtime = '500ms'\nwarntime = '450ms'"),
        &[
            "4: deadtime 500ms is too short ... write deadtime = \"1.5s\" or more",
            "5: warntime 450ms is not between ... mend deadtime first",
        ],
    );
}

#[test]
fn ten_and_thirty_milliseconds_are_legal() {
    assert_eq!(config(&with_times("deadtime = '2.03s'")).timing.stop_budget().as_micros(), 20_300);
    let timing =
        config(&with_times("keepalive = '10ms'\ndeadtime = '30ms'\ninitdead = '30ms'")).timing;
    assert_eq!(timing.warntime, Duration::from_millis(15));
    // A holder that misses one heartbeat still has not let go.
    assert!(timing.deadtime - timing.keepalive - timing.stop_budget() > timing.keepalive);
}

#[test]
fn a_guard_is_asked_for_by_name() {
    let wrong = [
        ("", "1: [guard] is missing"),
        ("[guard]\n", "10: [guard] guards nothing"),
        ("[guard]\narp = false\nping = []\n", "10: [guard] guards nothing"),
        ("[guard]\narp = true\nlevel = 'none'\n", "12: contradicts"),
        ("[guard]\nping = ['10.0.0.254']\nlevel = 'none'\n", "12: contradicts"),
        ("[guard]\nlevel = 'ping'\n", "11: no level \"ping\" can be set"),
        (
            "[guard]\nping = ['10.0.0.1']\n",
            "11: 10.0.0.1 is the address of `alpha` already (line 6)",
        ),
        ("[guard]\nping = ['10.0.0.9', '10.0.0.9']\n", "11: is a ping node already"),
    ];
    for (guard, wanted) in wrong {
        assert_errors(&with_guard(guard), &[wanted]);
    }
    let none = config(&with_guard("[guard]\nlevel = 'none'\n")).guard;
    assert_eq!(none, Guard { ping: vec![], arp: false });
    let alone = "cluster = 'one'\n[[node]]\nname = 'alpha'\n";
    assert_eq!(config(alone).guard, Guard { ping: vec![], arp: false });
}

#[test]
fn each_address_has_one_job_and_one_family_to_a_link() {
    for (old, new, wanted) in [
        (
            "lan = \"10.0.0.2\"",
            "lan = \"10.0.0.1\"",
            "9: 10.0.0.1 is the address of `alpha` already (line 6)",
        ),
        ("lan = \"10.0.0.2\"", "lan = \"fd00::2\"", "9: mixes IPv4 and IPv6"),
        ("lan = \"10.0.0.2\"", "lan = \"fe80::2\"", "9: link-local"),
        ("lan = \"10.0.0.2\"", "lan = \"0.0.0.0\"", "9: the unspecified address"),
        (
            "lan = \"10.0.0.2\"",
            "lan = \"10.0.0.2/24\"",
            "9: is an address with a prefix; write it without: 10.0.0.2",
        ),
        ("lan = \"10.0.0.2\"", "lan = \"beta\"", "9: no address"),
        ("lan = \"10.0.0.2\"", "lan = \"<address of beta>\"", "9: not decided yet ... 10.10.10.11"),
        ("name = \"beta\"", "name = \"<name of the other node>\"", "8: not decided yet"),
        ("10.0.0.100/24", "10.0.0.2/24", "18: 10.0.0.2 is the address of `beta` already"),
        ("10.0.0.100/24", "10.0.0.100", "18: has no prefix"),
        ("10.0.0.100/24", "10.0.0.100/33", "18: /33 is no prefix"),
        ("10.0.0.100/24", "10.0.0.100/+8", "18: /+8 is no prefix"),
        (
            "\"10.0.0.100/24\"",
            "{ alpha = '10.0.0.9/24', beta = '10.0.0.8/24' }",
            "18: the same on every node",
        ),
        ("ip = ", "iface = ", "18: params.ip is missing"),
        ("/24\" }", "/24\", interface = 'a/b' }", "18: no interface"),
    ] {
        assert_errors(&format!("{PAIR}{GROUP}").replace(old, new), &[wanted]);
    }
    let twice = format!("{PAIR}{GROUP}{}", GROUP.replace("\"web\"", "\"db\""));
    assert_errors(&twice, &["24: 10.0.0.100 is an address of a group already (line 18)"]);
}

#[test]
fn tables_by_node_name_every_node_and_no_other() {
    let text = |table: &str| {
        format!("{PAIR}{GROUP}params.x = {table}\n")
            .replace("params = { ip = \"10.0.0.100/24\" }", "params.ip = \"10.0.0.100/24\"")
    };
    assert_errors(&text("{ alpha = 1 }"), &["19: x: the table by node has nothing for `beta`"]);
    assert_errors(&text("{ alpha = 1, beta = 2, gamma = 3 }"), &["19: x: no node `gamma`"]);
    // What is wrong for another node is wrong for the file.
    assert_errors(&text("{ alpha = 1, beta = 2.5 }"), &["19: x: found a float"]);
}

#[test]
fn groups_and_resources_are_checked() {
    for (old, new, wanted) in [
        (
            "name = \"web\"\n[[group.r",
            "name = \"web\"\nprefer = ['beta', 'beta']\n[[group.r",
            "15: `beta` is named twice",
        ),
        ("agent = \"IPaddr\"", "agent = \"ocf:heartbeat:IPaddr2\"", "17: no agent of lubdub's own"),
        ("agent = \"IPaddr\"", "agent = \"../IPaddr\"", "17: no agent of lubdub's own"),
        ("agent = \"IPaddr\"", "agent = \"IPaddr\"\nmonitor = '1ms'", "18: 1ms is out of bounds"),
        (
            "agent = \"IPaddr\"",
            "agent = \"IPaddr\"\ntimeout = { strat = '1s' }",
            "18: did you mean `start`?",
        ),
        ("agent = \"IPaddr\"", "agent = \"IPaddr\"\non = 'all'", "18: unknown key `on`"),
        ("/24\" }", "/24\", \"a-b\" = 1 }", "18: no agent has such a parameter"),
        ("/24\" }", "/24\", x = \"\\u0000\" }", "18: zero byte"),
    ] {
        assert_errors(&format!("{PAIR}{GROUP}").replace(old, new), &[wanted]);
    }
    assert_errors(&format!("{PAIR}[[group]]\nname = 'web'\n"), &["13: `resource` is missing"]);
    assert_errors(&format!("{PAIR}[group]\nname = 'web'\n"), &["13: write an array of tables"]);
    let same = format!("{PAIR}{GROUP}[[group.resource]]\nname = 'vip'\nagent = 'Dummy'\n");
    assert_errors(&same, &["20: the group has a resource `vip` already"]);
    let twice = format!("{PAIR}{GROUP}{}", GROUP.replace("IPaddr", "Dummy"));
    assert_errors(&twice, &["20: there is a group `web` already"]);
}

#[test]
fn preferred_nodes_come_first_and_others_follow() {
    let text = format!("{PAIR}{GROUP}")
        .replace("name = \"web\"\n[[", "name = \"web\"\nprefer = [\"beta\"]\n[[");
    assert_eq!(config(&text).group(GroupId(0)).nodes, [NodeId(1), NodeId(0)]);
}

#[test]
fn monitors_and_timeouts_can_be_set_one_by_one() {
    let text = format!("{PAIR}{GROUP}monitor = 'off'\ntimeout = {{ stop = '5s' }}\n");
    let config = config(&text);
    let vip = config.resource(ResourceId { group: GroupId(0), index: 0 });
    assert_eq!(vip.monitor, None);
    assert_eq!(vip.timeout.stop, Duration::from_secs(5));
    assert_eq!(vip.timeout.start, Duration::from_secs(20));
}

#[test]
fn two_groups_never_share_a_tag() {
    // Found by trying: the first pair of `g0`, `g1`, ... whose tags are the same.
    let mut seen = std::collections::BTreeMap::new();
    let (a, b) = (0_u32..)
        .find_map(|i| seen.insert(crate::wire::GroupTag::of(&format!("g{i}")).0, i).map(|j| (j, i)))
        .unwrap();
    let group =
        |i| format!("[[group]]\nname = 'g{i}'\n[[group.resource]]\nname = 'r'\nagent = 'Dummy'\n");
    assert_errors(
        &format!("{PAIR}{}{}", group(a), group(b)),
        &["19: has the same tag on the wire"],
    );
}

#[test]
fn words_without_quotes_are_told_with_what_was_meant() {
    let text = "cluster = web\n[heartbeat]\nlinks = [lan]\ndeadtime = 5s\n[[group]]\nauto_failback = no\nx = On\n";
    let told = parse(text, "cluster.toml").unwrap_err().to_string();
    for words in [
        "cluster.toml:1: web is no value: text stands in quotes, \"web\"",
        "cluster.toml:3: lan is no value",
        "cluster.toml:4: 5s is no value: text stands in quotes, \"5s\"",
        "cluster.toml:6: no is no value: write false",
        "cluster.toml:7: On is no value: write true",
    ] {
        assert!(told.contains(words), "{words} in\n{told}");
    }
}

#[test]
fn digests_depend_on_what_is_said_and_not_on_how() {
    let plain = format!("{PAIR}{GROUP}");
    let base = config(&plain).digests;
    assert_eq!(file(&plain).for_node("beta").unwrap().digests, base);
    let same = [
        with_times(
            "# a comment\nkeepalive = '1000ms'\ndeadtime = '10s'\nwarntime = '5s'\nport = 694\nwarn_offset = '1000ms'",
        ),
        PAIR.replace(
            "{ lan = \"10.0.0.1\", private = \"10.1.0.1\" }",
            "{ private = '10.1.0.1', lan = '10.0.0.1' }",
        ),
    ];
    for text in same {
        assert_eq!(config(&format!("{text}{GROUP}")).digests, base, "{text}");
    }
    let [h, n, u, g] = [Section::Heartbeat, Section::Nodes, Section::Guard, Section::Groups];
    for (old, new, differ) in [
        ("[heartbeat]", "[heartbeat]\ninitdead = '30s'", vec![h]),
        ("[heartbeat]", "[heartbeat]\ndeadtime = '8s'", vec![h, u]),
        ("[heartbeat]", "[heartbeat]\nwarn_offset = '2s'", vec![h]),
        (
            "{ name = \"lan\" }",
            "{ name = \"lan\", interface = { alpha = 'a', beta = 'b' } }",
            vec![h],
        ),
        ("10.1.0.2", "10.1.0.3", vec![n]),
        ("\"beta\"", "\"gamma\"", vec![n, u, g]),
        ("10.0.0.254", "10.0.0.253", vec![u]),
        ("arp = true", "arp = false", vec![u]),
        ("/24\" }", "/24\", x = { alpha = 1, beta = 2 } }", vec![g]),
        ("agent = \"IPaddr\"", "agent = \"IPaddr\"\nmonitor = '1s'", vec![g]),
        ("agent = \"IPaddr\"", "agent = \"IPaddr\"\ntimeout = { stop = '1s' }", vec![g]),
    ] {
        let other = config(&plain.replace(old, new)).digests;
        let pairs = Section::ALL.into_iter().zip(base.0.iter().zip(other.0));
        let found: Vec<_> =
            pairs.filter(|(_, (a, b))| **a != *b).map(|(section, _)| section).collect();
        assert_eq!(found, differ, "{new}");
    }
}

#[test]
fn what_is_hardly_meant_is_warned_of() {
    assert_eq!(warnings(&format!("{PAIR}{GROUP}")), []);
    let early = format!("{PAIR}{GROUP}[[group.resource]]\nname = 'nginx'\nagent = 'nginx'\n");
    let one_link = PAIR.replace(", { name = \"private\" }", "");
    let one_link =
        one_link.replace(", private = \"10.1.0.1\"", "").replace(", private = \"10.1.0.2\"", "");
    for (text, line, wanted) in [
        (early, 13, "address `vip` starts before `nginx`"),
        (PAIR.to_owned(), 1, "nothing will run"),
        (format!("{one_link}{GROUP}"), 2, "one link only"),
        (with_guard(&format!("[guard]\narp = true\n{GROUP}")), 10, "no ping node"),
        (with_guard(&format!("[guard]\nlevel = 'none'\n{GROUP}")), 10, "both run everything"),
        (
            format!("cluster = 'one'\n[[node]]\nname = 'alpha'\n{GROUP}")
                .replace("[[group.", "auto_failback = true\n[[group."),
            4,
            "auto_failback does nothing",
        ),
    ] {
        let found = warnings(&text);
        let [warning] = found.as_slice() else { panic!("one warning of {text}: {found:?}") };
        assert_eq!(warning.line, Some(line), "{warning:?}");
        assert!(warning.text.contains(wanted), "{warning:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cluster.toml");
    let missing = load(&path, "alpha").unwrap_err().to_string();
    assert!(missing.contains("cannot be read: No such file"), "{missing}");
    std::fs::write(&path, b"cluster = \"\xff\"").unwrap();
    assert!(load(&path, "alpha").unwrap_err().to_string().contains("is not UTF-8"));
    std::fs::write(&path, format!("{PAIR}{GROUP}")).unwrap();
    assert_eq!(load(&path, "beta").unwrap().me, NodeId(1));
}

#[test]
fn metrics_are_off_or_for_this_machine_or_as_it_is_written() {
    let at =
        |text: &str, node: &str| file(&format!("{PAIR}{text}")).for_node(node).unwrap().metrics;
    assert_eq!(at("", "alpha"), None);
    for (text, listen) in [
        ("[metrics]", "127.0.0.1:9694"),
        ("[metrics]\nlisten = \"0.0.0.0:80\"", "0.0.0.0:80"),
        ("[metrics]\nlisten = \"[::1]:9694\"", "[::1]:9694"),
        ("[metrics]\nlisten = { alpha = \"10.0.0.1:1\", beta = \"10.0.0.2:1\" }", "10.0.0.1:1"),
    ] {
        assert_eq!(at(text, "alpha"), Some(listen.parse().unwrap()), "{text}");
    }
    let line = PAIR.lines().count() + 2;
    for (value, words) in [
        ("9694", "found an integer; write a string"),
        ("\":9694\"", "no address with a port ... 127.0.0.1:9694 ... for everybody"),
        ("\"localhost:9694\"", "no address with a port"),
        ("\"127.0.0.1:0\"", "no address with a port"),
        ("{ alpha = \"10.0.0.1:1\" }", "has nothing for `beta`"),
    ] {
        let text = format!("{PAIR}[metrics]\nlisten = {value}");
        assert_errors(&text, &[&format!("{line}: {words}")]);
    }
}

#[test]
fn what_changed_is_told_by_section() {
    let config = |text: &str| file(text).for_node("alpha").unwrap();
    let former = config(&format!("{PAIR}{GROUP}"));
    assert_eq!(former.changed_in(&config(&format!("# other words\n{PAIR}{GROUP}"))), [""; 0]);
    let newer = PAIR.replace("\"web\"", "\"www\"").replace("arp = true\n", "");
    let newer = config(&format!("{newer}[metrics]\n"));
    assert_eq!(former.changed_in(&newer), ["cluster", "[guard]", "[[group]]", "[metrics]"]);
}

const SAMPLE: &str = include_str!("../../etc/cluster.toml");

#[test]
fn the_sample_is_valid_and_complete() {
    let file = file(SAMPLE);
    assert_eq!(file.warnings(), []);
    let config = file.for_node("beta").unwrap();
    assert_eq!(config.timing.deadtime, Duration::from_secs(2));
    assert_eq!(config.guard.ping, ["10.10.10.254".parse::<IpAddr>().unwrap()]);

    // Whatever may be written is shown, and whatever is shown may be written: settings behind `#` too.
    let shown = SAMPLE.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with(' ') => setting,
        _ => line.split('#').next().unwrap_or_default(),
    });
    let shown = shown.collect::<Vec<_>>().join("\n");
    let line = 1 + SAMPLE.lines().position(|line| line.starts_with("#level")).unwrap();
    assert_errors(&shown, &[&format!("{line}: level = \"none\" contradicts")]);
    let tables = [
        file::KEYS,
        file::NODE_KEYS,
        heartbeat::KEYS,
        super::links::KEYS,
        guard::KEYS,
        group::KEYS,
        group::RESOURCE_KEYS,
        group::TIMEOUT_KEYS,
        metrics::KEYS,
    ];
    for key in tables.into_iter().flatten() {
        let is_shown =
            [format!("{key} ="), format!("[{key}]"), format!("[[{key}]]"), format!(".{key}]]")]
                .iter()
                .any(|form| shown.contains(form.as_str()));
        assert!(is_shown, "{key} is not in etc/cluster.toml");
        assert!(man_page_has(key), "{key} is not in etc/man/cluster.toml.5");
    }
}

const MAN_PAGE: &str = include_str!("../../etc/man/cluster.toml.5");

/// In bold or in a heading.
fn man_page_has(key: &str) -> bool {
    let mut marked =
        MAN_PAGE.lines().filter(|line| line.starts_with(".B") || line.starts_with(".SH"));
    marked.any(|line| {
        line.split_whitespace().any(|word| word.trim_matches(['"', '[', ']', ',']) == key)
    })
}

#[test]
fn the_example_of_the_man_page_is_valid() {
    let example = MAN_PAGE.split(".EX\n").nth(1).unwrap().split(".EE\n").next().unwrap();
    assert!(file(&example.replace("\\(dq", "\"")).for_node("beta").is_ok());
}

/// Everybody has read the sample: it must not work as a key.
#[test]
fn the_sample_of_authkeys_is_refused() {
    let sample = include_str!("../../etc/authkeys");
    let error = crate::wire::Keys::parse(sample).expect_err("no usable key");
    assert!(sample.contains("lubdub keygen"), "{error}");
    let line = 1 + sample.lines().position(|line| line.starts_with("1 sha256")).unwrap();
    assert!(error.to_string().starts_with(&format!("line {line}: ")), "{error}");
}
