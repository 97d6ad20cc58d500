//! Answers and what comes of them: `tests/golden/init`. `UPDATE_GOLDEN=1` rewrites it; look at the difference before it is
//! committed.

use std::cell::RefCell;
use std::io::{BufReader, Read, Write};
use std::net::IpAddr;

use clap::Parser;

use super::answers::{Answers, Interface, Node, check_cluster};
use super::here::Own;
use super::*;
use crate::cli::args::{Arguments, Verb};

fn here() -> Here {
    let own = |interface: &str, ip: &str, gateway: Option<&str>| Own {
        ip: ip.parse().unwrap(),
        prefix: 24,
        interface: interface.to_owned(),
        gateway: gateway.map(|ip| ip.parse().unwrap()),
    };
    Here {
        name: "alpha".to_owned(),
        own: vec![
            own("eth0", "10.10.10.11", Some("10.10.10.254")),
            own("eth0", "10.10.10.21", Some("10.10.10.254")),
            own("eth1", "192.168.9.1", None),
        ],
        service: Service::Nginx,
        httpd_unit: "apache2",
    }
}

/// The flags of a pair as in README.
const PAIR: &str = "--cluster web --node alpha=10.10.10.11,192.168.9.1 --node beta=10.10.10.12,192.168.9.2 \
                    --address 10.10.10.100/24 --ping 10.10.10.254 --service nginx";

fn args(flags: &str) -> InitArgs {
    let words = ["lubdub", "init"].into_iter().chain(flags.split_whitespace());
    let Verb::Init(args) = Arguments::try_parse_from(words).unwrap().verb else {
        panic!("{flags}: not for init")
    };
    args
}

fn cluster(flags: &str) -> Cluster {
    flags::answers(&args(flags), &here()).unwrap().complete().unwrap()
}

fn wrong(flags: &str) -> String {
    flags::answers(&args(flags), &here()).unwrap_err().join("\n")
}

#[track_caller]
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/init").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == golden, "differs from {}; UPDATE_GOLDEN=1 rewrites it\n{text}", path.display());
}

/// The file that is written for these flags is the golden one, and right on each node.
#[track_caller]
fn writes(name: &str, flags: &str, nodes: &[&str], warnings: &[&str]) {
    let text = text::cluster_toml(&cluster(flags));
    golden(&format!("{name}.toml"), &text);
    let file = config::parse(&text, "cluster.toml").unwrap();
    assert_eq!(file.nodes().collect::<Vec<_>>(), nodes);
    let told: Vec<&str> = file.warnings().iter().map(|warning| warning.text.as_str()).collect();
    assert_eq!(told.len(), warnings.len(), "{told:?}");
    for (told, words) in told.iter().zip(warnings) {
        assert!(told.contains(words), "{told}");
    }
    for node in nodes {
        let config = file.for_node(node).unwrap();
        let address = config.groups[0].resources.last().unwrap().address.as_ref().unwrap();
        assert_eq!(format!("{}/{}", address.ip, address.prefix), "10.10.10.100/24");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
}

#[test]
fn a_pair_on_two_links() {
    writes("pair", PAIR, &["alpha", "beta"], &[]);
}

#[test]
fn a_pair_on_one_link_is_warned_of() {
    let flags = "--cluster shop --node alpha=10.10.10.11 --node beta=10.10.10.12 --address 10.10.10.100/24 \
                 --ping 10.10.10.254 --ping 10.10.10.253 --service httpd";
    writes("one_link", flags, &["alpha", "beta"], &["one link only"]);
}

#[test]
fn three_nodes_with_an_address_alone() {
    let flags = "--cluster web --node alpha=10.10.10.11,fd09::1 --node beta=10.10.10.12,fd09::2 \
                 --node gamma=10.10.10.13,fd09::3 --address 10.10.10.100/24 --ping 10.10.10.254,10.10.10.253 \
                 --service none";
    writes("three_nodes", flags, &["alpha", "beta", "gamma"], &[]);
}

#[test]
fn no_guard_and_interfaces_are_written_out() {
    let flags = "--cluster web --node alpha=10.10.10.11 --node beta=10.20.0.12 --interface alpha=eth0 \
                 --interface beta=enp3s0 --address 10.10.10.100/24 --ping none --no-arp --service nginx";
    writes("no_guard", flags, &["alpha", "beta"], &["one link only", "level = \"none\""]);
    let same = flags.replace("alpha=eth0 --interface beta=enp3s0", "eth0");
    assert_eq!(cluster(&same).interface, Interface::Same("eth0".to_owned()));
}

#[test]
fn what_is_missing_is_told_with_its_flags() {
    let missing = |flags: &str| flags::answers(&args(flags), &here()).unwrap().missing().join("\n");
    assert_eq!(
        missing(""),
        "--cluster NAME\n--node NAME=ADDRESS[,ADDRESS]   for each node, two at least\n\
         --address ADDRESS/PREFIX   of the service\n--ping ADDRESS, or --ping none\n--service nginx, httpd or none"
    );
    assert_eq!(
        missing("--cluster web --node alpha=10.10.10.11 --ping none --service none"),
        "--node NAME=ADDRESS[,ADDRESS]   for another node\n--address ADDRESS/PREFIX   of the service"
    );
    assert_eq!(missing(PAIR), "");
}

/// What is right in the flags of the pair, what stands there instead, and what is said of it.
const BAD: &[(&str, &str, &str)] = &[
    ("--cluster web", "--cluster we/b", "--cluster we/b: \"we/b\" is no name"),
    (
        "alpha=10.10.10.11",
        "al_pha=10.10.10.11",
        "--node al_pha=10.10.10.11,192.168.9.1: \"al_pha\" is no host's name",
    ),
    ("alpha=", "alpha-=", "is no host's name"),
    ("alpha=", "alpha.example.org=", "up to the first dot: write alpha"),
    ("alpha=", "localhost=", "every machine is localhost"),
    ("beta=", "Alpha=", "there is a node alpha already"),
    ("beta=", "beta:", "write NAME=ADDRESS"),
    ("=10.10.10.12", "=10.10.10.11", "10.10.10.11 is the address of alpha already"),
    (
        "=10.10.10.11,192.168.9.1",
        "=10.10.10.11,10.10.10.11",
        "alpha's address on another link already",
    ),
    (
        ",192.168.9.2",
        "",
        "alpha has 2 addresses, beta 1 address: every node needs one on each link",
    ),
    (",192.168.9.2", ",192.168.9.2,10.0.0.2", "2 links are enough to begin with"),
    (",192.168.9.2", ",fd09::2", "fd09::2 and 192.168.9.1 cannot meet on link private"),
    (",192.168.9.2", ",127.0.0.2", "loopback"),
    (",192.168.9.2", ",beta", "\"beta\" is no address"),
    (
        "--address 10.10.10.100/24",
        "--address 10.10.10.12/24",
        "10.10.10.12 is the address of beta already",
    ),
    ("10.10.10.100/24", "10.10.10.100", "has no prefix"),
    (
        "10.10.10.100/24",
        "10.10.20.100/24",
        "in the network of no link: take an address from where the nodes are (10.10.10.11/24, 10.10.10.12)",
    ),
    ("10.10.10.100/24", "10.10.20.100/16", "in the network of no link"),
    ("10.10.10.100/24", "10.10.10.100/32", "in the network of no link"),
    (
        "10.10.10.100/24",
        "10.10.10.100/16",
        "another prefix (10.10.10.11/24): write 10.10.10.100/24",
    ),
    ("10.10.10.100/24", "10.10.10.0/24", "a network itself"),
    ("10.10.10.100/24", "10.10.10.255/24", "the broadcast address"),
    ("10.10.10.100/24", "127.0.0.5/8", "the loopback of every machine"),
    (
        "--ping 10.10.10.254",
        "--ping 10.10.10.12",
        "10.10.10.12 is the address of beta: a ping node is a machine outside",
    ),
    ("--ping 10.10.10.254", "--ping 10.10.10.100", "10.10.10.100 is the service address"),
    ("--ping 10.10.10.254", "--ping 10.10.10.21", "10.10.10.21 is this machine's own (eth0)"),
    ("--ping 10.10.10.254", "--ping 127.0.0.1", "always answers"),
    ("--ping 10.10.10.254", "--ping 10.10.10.254,10.10.10.254", "named twice"),
    ("--ping 10.10.10.254", "--ping none --ping 10.10.10.254", "contradict each other"),
    ("--service nginx", "--service nginx --interface eth0/1", "is no interface"),
    ("--service nginx", "--service nginx --interface alpha=eth0", "beta has none; add beta=NAME"),
    ("--service nginx", "--service nginx --interface gamma=eth0", "no --node is called gamma"),
    (
        "--service nginx",
        "--service nginx --interface eth0 --interface eth1",
        "one NAME is for all nodes",
    ),
];

#[test]
fn a_bad_flag_is_named_with_the_reason() {
    for (good, bad, words) in BAD {
        assert!(PAIR.contains(good), "{good}");
        let told = wrong(&PAIR.replacen(good, bad, 1));
        assert!(told.contains(words), "{bad}: {words:?} is not in:\n{told}");
    }
    // All at once.
    let told = wrong("--cluster we/b --node alpha --address x --ping y");
    assert_eq!(told.lines().count(), 4, "{told}");
}

#[test]
fn what_is_hardly_meant_is_a_doubt() {
    let doubts = |flags: &str| doubts(&cluster(flags), &here()).join("\n");
    assert_eq!(doubts(PAIR), "");
    for (good, other, words) in [
        ("alpha=", "delta=", "this machine is alpha, none of the nodes"),
        (
            "alpha=",
            "delta=",
            "10.10.10.11 is an address of this machine, whose host's name is alpha and not delta",
        ),
        (
            "192.168.9.2",
            "192.168.8.2",
            "link private: 192.168.8.2 is not in the network of 192.168.9.1/24",
        ),
        ("192.168.9.1", "10.10.10.21", "both links are in the network of 10.10.10.11/24"),
        ("10.10.10.100", "10.10.10.21", "10.10.10.21 is on eth0 of this machine already"),
    ] {
        let told = doubts(&PAIR.replacen(good, other, 1));
        assert!(told.contains(words), "{other}: {words:?} is not in:\n{told}");
    }
}

/// Types lines, of which a terminal shows each where the cursor is.
struct Typist<'a> {
    lines: std::slice::Iter<'a, &'a str>,
    seen: &'a RefCell<Vec<u8>>,
}

impl Read for Typist<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(line) = self.lines.next() else { return Ok(0) };
        let line = format!("{line}\n");
        self.seen.borrow_mut().extend_from_slice(line.as_bytes());
        line.as_bytes().read(buffer)
    }
}

struct Shown<'a>(&'a RefCell<Vec<u8>>);

impl Write for Shown<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Plays a dialogue: what was answered, and what was to be seen.
fn dialogue(flags: &str, lines: &[&str]) -> (Result<Answers, Failure>, String) {
    let mut answers = flags::answers(&args(flags), &here()).unwrap();
    let seen = RefCell::new(Vec::new());
    let typist = BufReader::new(Typist { lines: lines.iter(), seen: &seen });
    let done = Dialogue::new(typist, Shown(&seen)).complete(&mut answers, &here());
    (done.map(|()| answers), String::from_utf8(seen.into_inner()).unwrap())
}

#[test]
fn enter_takes_what_was_found() {
    let (answers, seen) = dialogue(
        "",
        &["", "", "", "", "beta", "10.10.10.12", "192.168.9.2", "", "10.10.10.100/24", "", ""],
    );
    assert_eq!(answers.unwrap().complete().unwrap(), cluster(PAIR));
    golden("dialogue.txt", &seen);
}

#[test]
fn a_bad_answer_is_asked_again_with_the_reason() {
    let (answers, seen) = dialogue(
        "",
        &[
            "we/b",
            "shop",
            "delta",
            "10.10.10.300",
            "10.10.10.14",
            "none",
            "",
            "10.10.10.14",
            "10.10.10.11/24",
            "10.10.10.11",
            "10.10.10.13",
            "gamma.example.org",
            "gamma",
            "",
            "10.10.10.21",
            "10.10.10.13",
            "none",
            "10.10.20.100/24",
            "10.10.10.13/24",
            "10.10.10.100/24",
            "10.10.10.13",
            "10.10.10.254",
            "tomcat",
            "None",
        ],
    );
    let cluster = answers.unwrap().complete().unwrap();
    let names: Vec<&str> = cluster.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(
        (names.as_slice(), cluster.links()),
        (&["delta", "alpha", "gamma"][..], &["lan"][..])
    );
    assert_eq!(cluster.service, Service::None);
    golden("bad_answers.txt", &seen);
}

#[test]
fn what_is_hardly_meant_has_to_be_said_twice() {
    let nodes = ["", "", "10.10.10.99", "10.10.10.98", "10.10.10.98", "192.168.9.9", "", "beta"];
    let rest = ["10.10.10.21", "10.10.10.21", "none", "10.10.10.100/24", "none", ""];
    let (answers, seen) = dialogue("", &[&nodes[..], &rest].concat());
    let addresses: Vec<_> = answers.unwrap().nodes.into_iter().map(|node| node.addresses).collect();
    let given = ["10.10.10.98", "10.10.10.21"].map(|ip| vec![ip.parse::<IpAddr>().unwrap()]);
    assert_eq!(addresses, given, "{seen}");
    golden("doubts.txt", &seen);
}

#[test]
fn only_what_the_flags_leave_open_is_asked() {
    let open = PAIR.replace("--address 10.10.10.100/24 --ping 10.10.10.254", "");
    let (answers, seen) = dialogue(&open, &["10.10.10.100/24", ""]);
    assert_eq!(answers.unwrap().complete().unwrap(), cluster(PAIR));
    let asked: Vec<&str> = seen.lines().filter(|line| line.contains(": ")).skip(1).collect();
    assert_eq!(asked.len(), 2, "{seen}");
    let one_node = "--node beta=10.10.10.12,192.168.9.2 --cluster web --address 10.10.10.100/24 --ping none --service none";
    let (answers, seen) = dialogue(
        &one_node.replace("--address 10.10.10.100/24", ""),
        &["", "10.10.10.11", "192.168.9.1", "", "10.10.10.100/24"],
    );
    let nodes = answers.unwrap().nodes;
    let alpha = Node {
        name: "alpha".to_owned(),
        addresses: ["10.10.10.11", "192.168.9.1"].map(|ip| ip.parse().unwrap()).to_vec(),
    };
    assert_eq!(nodes.get(1), Some(&alpha), "{seen}");
}

#[test]
fn an_address_of_a_flag_has_to_suit_the_nodes_that_are_asked_for() {
    let flags = "--cluster web --address 10.10.20.100/24 --ping none --service none";
    let nodes = ["", "", "none", "beta", "10.10.10.12", ""];
    let (answers, seen) = dialogue(flags, &[&nodes[..], &["10.10.10.100/24"]].concat());
    assert!(seen.contains("10.10.20.100/24 is in the network of no link"), "{seen}");
    assert_eq!(answers.unwrap().address, Some(("10.10.10.100".parse().unwrap(), 24)));
    let (answers, _) = dialogue(&flags.replace("20.100", "10.100"), &nodes);
    assert!(answers.is_ok());
}

#[test]
fn answers_that_end_leave_nothing_behind() {
    let (answers, _) = dialogue("", &["web", "alpha"]);
    let failure = answers.unwrap_err();
    assert!(matches!(failure, Failure::Failed(_)));
    assert_eq!(failure.to_string(), "no more answers, so nothing was written");
}

#[test]
fn names_of_clusters() {
    assert!(check_cluster("web-1.example_x").is_ok());
    assert!(check_cluster("").is_err() && check_cluster("a b").is_err());
}

#[test]
fn the_next_steps_are_commands() {
    let files = Files::of(Path::new("/etc/lubdub"));
    golden("steps_pair.txt", &steps::steps(&cluster(PAIR), &here(), &files));
    let three = "--cluster web --node alpha=10.10.10.11 --node beta=10.10.10.12 --node gamma=10.10.10.13 \
                 --address 10.10.10.100/24 --ping none --service none";
    golden("steps_three.txt", &steps::steps(&cluster(three), &here(), &files));
    let elsewhere = Files::of(Path::new("my files/it's"));
    let v6 = "--cluster web --node alpha=fd09::1 --node beta=fd09::2 --address fd09::100/64 --ping none --service httpd";
    golden("steps_elsewhere.txt", &steps::steps(&cluster(v6), &here(), &elsewhere));
}

/// What `lubdub init` prints for README's pair, README says too, and so does the demo at its end.
#[test]
fn readme_has_the_same_commands() {
    let readme = include_str!("../../../README.md");
    let files = Files::of(Path::new("/etc/lubdub"));
    let steps = steps::steps(&cluster(PAIR), &here(), &files);
    let commands: Vec<&str> = steps
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .map(|line| line.split("   #").next().unwrap_or_default().trim_end())
        .collect();
    assert_eq!(commands.len(), 4, "{steps}");
    for command in commands {
        assert!(readme.contains(command), "README.md lacks: {command}");
    }
}
