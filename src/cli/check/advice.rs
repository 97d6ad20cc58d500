//! What the findings of `check --peer` mean: what is wrong, and what to do about it. Pure.

use crate::cli::output::age;
use crate::cluster::io::Reject;
use crate::config::{Config, Section};
use crate::daemon::survey::{
    AddressFinding, Findings, LinkFinding, PeerFacts, PeerFinding, PingFinding,
};
use crate::wire::OwnCheck;

/// Clocks that are further apart are worth a word: history and logs of two nodes are read side by side.
const CLOCKS_APART: std::time::Duration = std::time::Duration::from_secs(1);

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) grade: Grade,
    /// What, in a sentence.
    pub(super) what: String,
    /// What to do about it.
    pub(super) todo: Vec<String>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grade {
    /// It has to be mended before the first start: exit code 1.
    Failed,
    /// It may stay.
    Warning,
}

impl Advice {
    fn failed(what: String) -> Self {
        Self { grade: Grade::Failed, what, todo: Vec::new() }
    }

    fn warning(what: String) -> Self {
        Self { grade: Grade::Warning, ..Self::failed(what) }
    }

    fn todo(mut self, todo: impl Into<String>) -> Self {
        self.todo.push(todo.into());
        self
    }
}

/// What this node knows of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    /// Ids of its keys.
    pub(super) accepted: Vec<u8>,
    pub(super) check: OwnCheck,
}

/// Everything that is not as it should be, the worst first.
pub(super) fn advise(config: &Config, own: &Own, findings: &Findings) -> Vec<Advice> {
    let me = &config.node(config.me).name;
    let mut all = Vec::new();
    all.extend(own_check(me, own.check));
    all.extend(findings.namesake.as_ref().map(|source| {
        Advice::failed(format!("another machine, {source}, calls itself {me} too")).todo(format!(
            "stop lubdub on the one that is not {me}; the name of each (hostname) has to be that of its own [[node]]"
        ))
    }));
    for peer in &findings.peers {
        all.extend(links(me, peer));
        if let Some(facts) = &peer.facts {
            all.extend(own_check(&peer.name, facts.own_check));
            all.extend(agreement(&peer.name, facts, own));
        }
    }
    all.extend(findings.ping.iter().filter_map(|(target, found)| ping_node(*target, found)));
    let somebody_runs =
        |peer: &PeerFinding| peer.facts.as_ref().is_some_and(|facts| facts.daemon_runs);
    let daemons = findings.peers.iter().any(somebody_runs);
    for (place, address, found) in &findings.addresses {
        all.extend(service_address(&format!("{address} ({place})"), found, daemons));
    }
    all.sort_by_key(|advice| advice.grade);
    all
}

fn links(me: &str, peer: &PeerFinding) -> Vec<Advice> {
    let name = &peer.name;
    let refused = peer.links.iter().flat_map(|link| link.refused.keys()).copied().min();
    let mut all = Vec::new();
    if let Some(why) = refused.filter(|_| peer.facts.is_none()) {
        let on: Vec<&str> = peer
            .links
            .iter()
            .filter(|link| !link.refused.is_empty())
            .map(|link| link.name.as_str())
            .collect();
        let what =
            format!("what comes from the address of {name} is {why} (link {})", on.join(", "));
        all.push(refusal(Advice::failed(what), me, name, why));
    } else if peer.facts.is_none() && !peer.links.iter().any(|link| link.heard) {
        return vec![unheard(peer)];
    }
    let elsewhere = peer.facts.is_some();
    let broken = peer.links.iter().filter(|link| link.refused.is_empty() || elsewhere);
    all.extend(broken.filter_map(|link| one_link(me, name, link)));
    all
}

fn refusal(advice: Advice, me: &str, peer: &str, why: Reject) -> Advice {
    match why {
        Reject::BadTag | Reject::UnknownKey => advice.todo(format!(
            "authkeys differs between {me} and {peer}: copy one of the two to the other node, with its mode (scp -p)"
        )),
        Reject::ForeignCluster => advice.todo(format!(
            "`cluster` in cluster.toml differs between {me} and {peer}: copy one of the two files to the other node; \
             if these are two clusters, give one of them another port"
        )),
        Reject::UnknownNode => advice.todo(format!(
            "the names in cluster.toml differ between {me} and {peer}: copy one of the two files to the other node"
        )),
        Reject::OwnName => advice.todo(format!(
            "two machines call themselves {me}: the name of each (hostname) has to be that of its own [[node]], or say \
             it with --node"
        )),
        Reject::Malformed => {
            advice.todo("something else than lubdub sends to this port: stop it there, or set another `port`")
        }
        Reject::Replayed | Reject::Unproven => {
            advice.todo("somebody plays old datagrams again: see what else sends to this port")
        }
    }
}

/// A peer of which nothing comes on any link.
fn unheard(peer: &PeerFinding) -> Advice {
    let name = &peer.name;
    let own_ends: Vec<String> = peer.links.iter().filter_map(own_end).collect();
    let there = peer.links.iter().any(|link| link.answers_ping == Some(true));
    let asked = peer.links.iter().any(|link| link.answers_ping.is_some());
    let mut advice = Advice::failed(format!("{name} is not heard on any link"));
    for own_end in own_ends {
        advice = advice.todo(own_end);
    }
    if there {
        let address = peer.links.iter().find(|link| link.answers_ping == Some(true));
        let address = address.and_then(|link| link.peer_address);
        let address =
            address.map_or_else(String::new, |address| format!(" ({address} answers pings)"));
        let port = peer.links.first().map_or(0, |link| link.port);
        advice
            .todo(format!(
                "the machine is there{address}: run `lubdub check --peer` on {name} at the same time, or start its daemon"
            ))
            .todo(format!("if it ran there too, a firewall drops UDP: {}", open_port(port)))
    } else if asked {
        let addresses: Vec<String> = peer
            .links
            .iter()
            .filter_map(|link| link.peer_address)
            .map(|address| address.to_string())
            .collect();
        advice.todo(format!(
            "it does not answer pings either: is {name} on, is {} its address, are cable, switch port and VLAN right?",
            addresses.join(" or ")
        ))
    } else {
        advice
            .todo(format!("on {name}: systemctl status lubdub, or run `lubdub check --peer` there"))
            .todo(format!(
                "if it runs: compare [heartbeat] links (group, port, interface) of cluster.toml here and on {name}, and \
                 look at the firewalls"
            ))
    }
}

/// What keeps this node's own end of a link from working.
fn own_end(link: &LinkFinding) -> Option<String> {
    let name = &link.name;
    match (&link.own_end, &link.carrier) {
        (Some(why), None) => Some(format!(
            "link {name}: {why}; `ip -brief address` shows what is: set it up, or correct cluster.toml"
        )),
        (_, Some((interface, false))) => Some(format!(
            "link {name}: {interface} on this node is down, or has no carrier: is it set up (`ip link set {interface} up`), \
             the cable in, the switch port on, the other end up?"
        )),
        (Some(why), Some((_, true))) => Some(format!("link {name}: {why}")),
        (None, Some((_, true)) | None) => None,
    }
}

fn one_link(me: &str, peer: &str, link: &LinkFinding) -> Option<Advice> {
    let (name, port) = (&link.name, link.port);
    let told = match (link.heard, link.hears) {
        (true, true) => return None,
        (true, false) => Advice::failed(format!(
            "link {name} is one-way: {peer} does not hear {me} on it"
        ))
        .todo(format!(
            "something drops UDP on the way to {peer}, its own firewall most likely; there: {}",
            open_port(port)
        )),
        (false, true) => Advice::failed(format!(
            "link {name} is one-way: {peer} is not heard on it, and hears {me}"
        ))
        .todo(format!(
            "something drops UDP on the way to {me}, its own firewall most likely; here: {}",
            open_port(port)
        )),
        (false, false) => {
            let advice = Advice::failed(format!(
                "nothing passes on link {name}, neither to {peer} nor back"
            ));
            let address = link.peer_address.map_or_else(|| peer.to_owned(), |ip| ip.to_string());
            match (own_end(link), link.answers_ping) {
                (Some(own_end), _) => advice.todo(own_end),
                (None, Some(true)) => advice.todo(format!(
                    "{address} answers pings, so the path is there: a firewall on {me} or {peer} drops UDP: {}",
                    open_port(port)
                )),
                (None, Some(false) | None) => advice.todo(format!(
                    "not even pings reach {address}: is the cable of {peer} in, is {address} its address on this \
                     network, do both ends share a VLAN?"
                )),
            }
        }
    };
    Some(told)
}

/// How a port is opened with the usual firewalls.
fn open_port(port: u16) -> String {
    format!(
        "`ufw allow {port}/udp`, or `firewall-cmd --permanent --add-port={port}/udp` and `firewall-cmd --reload`, or \
         `udp dport {port} accept` in the input chain of nftables"
    )
}

fn own_check(node: &str, check: OwnCheck) -> Option<Advice> {
    match check {
        OwnCheck::Passed => None,
        OwnCheck::Failed => Some(
            Advice::failed(format!("{node} itself is not ready"))
                .todo(format!("on {node}: `lubdub check` says what is wrong")),
        ),
    }
}

fn agreement(peer: &str, facts: &PeerFacts, own: &Own) -> Vec<Advice> {
    let mut all = Vec::new();
    if !facts.differs.is_empty() {
        all.push(
            Advice::failed(format!(
                "cluster.toml of {peer} says something else in {}",
                Section::list(&facts.differs)
            ))
            .todo("the file is the same on every node: copy one of them to the others"),
        );
    }
    if let Some((_, accepted)) = &facts.keys
        && *accepted != own.accepted
    {
        let ids = |ids: &[u8]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        all.push(
            Advice::failed(format!(
                "{peer} has the keys {}, this node has {}",
                ids(accepted),
                ids(&own.accepted)
            ))
            .todo("authkeys is the same on every node: copy one of them to the others, with its mode (scp -p)"),
        );
    }
    let here = env!("CARGO_PKG_VERSION");
    if let Some(version) = facts.version.as_ref().filter(|version| *version != here) {
        all.push(
            Advice::warning(format!("{peer} has lubdub {version}, this node {here}"))
                .todo("fine while a pair is upgraded; otherwise install the same on both"),
        );
    }
    let apart = facts.clock_offset_us.map(|micros| (micros, micros.unsigned_abs()));
    if let Some((offset, apart)) =
        apart.filter(|(_, apart)| u128::from(*apart) > CLOCKS_APART.as_micros())
    {
        let way = if offset > 0 { "ahead of" } else { "behind" };
        let apart = age(std::time::Duration::from_micros(apart));
        all.push(
            Advice::warning(format!("the clock of {peer} is {apart} {way} this node's"))
                .todo("failover does not rest on it, but history and logs are hard to read: run chrony on both"),
        );
    }
    all
}

fn ping_node(target: std::net::IpAddr, found: &PingFinding) -> Option<Advice> {
    let why = match found {
        PingFinding::Answers => return None,
        PingFinding::Silent => "does not answer".to_owned(),
        PingFinding::Failed(why) => format!("cannot be asked: {why}"),
    };
    Some(
        Advice::failed(format!("ping node {target} {why}")).todo(
            "this node could take nothing over: is the address right, is it reachable from here, does it answer ICMP \
             echo? Otherwise name another router or switch in `ping`",
        ),
    )
}

fn service_address(name: &str, found: &AddressFinding, daemons: bool) -> Option<Advice> {
    match found {
        AddressFinding::Free { witnessed: true } => None,
        AddressFinding::Free { witnessed: false } => Some(
            Advice::warning(format!(
                "nobody answers for {name}, but nobody else on its network answers either, so it may be in use"
            ))
            .todo("the arp guard needs a neighbour that answers there, such as the gateway or a ping node"),
        ),
        AddressFinding::Here { interface } => Some(
            Advice::failed(format!(
                "{name} is on {interface} of this machine already, and no daemon runs here"
            ))
            .todo(
                "only lubdub may set it: take it out of the network configuration of this machine, then remove it (ip \
                 address del)",
            ),
        ),
        AddressFinding::Taken { .. } if daemons => None,
        AddressFinding::Taken { mac } => Some(
            Advice::failed(format!("{name} is in use already, by {mac}")).todo(
                "no daemon of the cluster was heard that could hold it: remove it there (ip address del), or choose a \
                 free address",
            ),
        ),
        AddressFinding::Failed(why) => Some(
            Advice::failed(format!("nobody can be asked for {name}: {why}"))
                .todo("its network has to be on an interface of every node; or name `interface` in its params"),
        ),
    }
}
#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::config;

    const CLUSTER: &str = "cluster = \"c\"\n[heartbeat]\nlinks = [{ name = \"lan\" }, { name = \"private\" }]\n\
        [[node]]\nname = \"alpha\"\naddress = { lan = \"10.0.0.1\", private = \"10.0.1.1\" }\n\
        [[node]]\nname = \"beta\"\naddress = { lan = \"10.0.0.2\", private = \"10.0.1.2\" }\n\
        [guard]\nping = [\"10.0.0.254\"]\n";

    fn link(name: &str, address: &str) -> LinkFinding {
        LinkFinding {
            name: name.to_owned(),
            port: 694,
            peer_address: Some(address.parse().unwrap()),
            own_end: None,
            carrier: Some(("eth1".to_owned(), true)),
            heard: true,
            hears: true,
            round_trip: Some(Duration::from_micros(300)),
            answers_ping: Some(true),
            refused: BTreeMap::new(),
        }
    }

    /// Everything as it should be.
    fn fine() -> Findings {
        let facts = PeerFacts {
            daemon_runs: false,
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            keys: Some((1, vec![1, 2])),
            own_check: OwnCheck::Passed,
            differs: Vec::new(),
            clock_offset_us: Some(-900_000),
        };
        let links = vec![link("lan", "10.0.0.2"), link("private", "10.0.1.2")];
        let address =
            config::Address { ip: "10.0.0.100".parse().unwrap(), prefix: 24, interface: None };
        Findings {
            peers: vec![PeerFinding { name: "beta".to_owned(), facts: Some(facts), links }],
            namesake: None,
            ping: vec![("10.0.0.254".parse().unwrap(), PingFinding::Answers)],
            addresses: vec![(
                "web/vip".to_owned(),
                address,
                AddressFinding::Free { witnessed: true },
            )],
        }
    }

    /// Nothing authentic of beta came.
    fn silent() -> Findings {
        let mut findings = fine();
        findings.peers[0].facts = None;
        for link in &mut findings.peers[0].links {
            (link.heard, link.hears, link.round_trip) = (false, false, None);
        }
        findings
    }

    fn advice_of(findings: &Findings) -> Vec<Advice> {
        let config = config::parse(CLUSTER, "test").unwrap().for_node("alpha").unwrap();
        advise(&config, &Own { accepted: vec![1, 2], check: OwnCheck::Passed }, findings)
    }

    /// One thing is wrong, and only that is told, with what to do.
    #[track_caller]
    fn told(findings: &Findings, grade: Grade, what: &str, todo: &str) {
        let advice = advice_of(findings);
        assert_eq!(advice.len(), 1, "{advice:?}");
        assert_eq!(advice[0].grade, grade, "{advice:?}");
        assert!(advice[0].what.contains(what), "{what}: {advice:?}");
        assert!(advice[0].todo.iter().any(|line| line.contains(todo)), "{todo}: {advice:?}");
    }

    fn with_link(change: impl FnOnce(&mut LinkFinding)) -> Findings {
        let mut findings = fine();
        change(&mut findings.peers[0].links[1]);
        findings
    }

    fn with_facts(change: impl FnMut(&mut PeerFacts)) -> Findings {
        let mut findings = fine();
        findings.peers[0].facts.iter_mut().for_each(change);
        findings
    }

    #[test]
    fn nothing_is_said_where_nothing_is_wrong() {
        assert_eq!(advice_of(&fine()), []);
    }

    #[test]
    fn a_link_is_told_with_the_likely_cause() {
        type Change = fn(&mut LinkFinding);
        let down: Change = |link| (link.heard, link.hears) = (false, false);
        let cases: [(Change, &str, &str); 6] = [
            (
                |link| link.hears = false,
                "beta does not hear alpha on it",
                "there: `ufw allow 694/udp`",
            ),
            (|link| link.heard = false, "beta is not heard on it", "here: `ufw allow 694/udp`"),
            (down, "nothing passes on link private", "10.0.1.2 answers pings"),
            (
                |link| {
                    (link.heard, link.hears, link.answers_ping) = (false, false, Some(false));
                },
                "nothing passes on link private",
                "is the cable of beta in",
            ),
            (
                |link| {
                    (link.heard, link.hears) = (false, false);
                    link.carrier = Some(("eth1".to_owned(), false));
                },
                "nothing passes on link private",
                "eth1 on this node is down, or has no carrier",
            ),
            (
                |link| {
                    (link.heard, link.hears, link.carrier) = (false, false, None);
                    link.own_end = Some("address 10.0.1.1 is not on this machine".to_owned());
                },
                "nothing passes on link private",
                "ip -brief address",
            ),
        ];
        for (change, what, todo) in cases {
            told(&with_link(change), Grade::Failed, what, todo);
        }
    }

    #[test]
    fn a_peer_that_is_not_heard_at_all_is_told_once() {
        told(&silent(), Grade::Failed, "beta is not heard on any link", "at the same time");
        let mut off = silent();
        off.peers[0].links.iter_mut().for_each(|link| link.answers_ping = Some(false));
        told(&off, Grade::Failed, "beta is not heard", "is beta on, is 10.0.0.2 or 10.0.1.2");
        let mut asked_of_a_daemon = silent();
        asked_of_a_daemon.peers[0].links.iter_mut().for_each(|link| link.answers_ping = None);
        told(&asked_of_a_daemon, Grade::Failed, "beta is not heard", "systemctl status lubdub");
        told(&asked_of_a_daemon, Grade::Failed, "beta is not heard", "(group, port, interface)");
    }

    #[test]
    fn what_is_refused_names_the_file_that_differs() {
        for (why, what, todo) in [
            (Reject::BadTag, "signed with another key", "authkeys differs"),
            (Reject::UnknownKey, "a key id that authkeys does not have", "authkeys differs"),
            (Reject::ForeignCluster, "of another cluster", "`cluster` in cluster.toml differs"),
            (Reject::UnknownNode, "not in the configuration", "the names in cluster.toml differ"),
            (Reject::OwnName, "this node's own name", "two machines call themselves alpha"),
            (Reject::Malformed, "malformed", "something else than lubdub"),
        ] {
            let mut findings = silent();
            for link in &mut findings.peers[0].links {
                link.refused = BTreeMap::from([(why, 9)]);
            }
            told(&findings, Grade::Failed, what, todo);
        }
    }

    #[test]
    fn what_the_nodes_do_not_agree_on_is_told() {
        let differs = with_facts(|facts| facts.differs = vec![Section::Nodes, Section::Guard]);
        told(&differs, Grade::Failed, "something else in [[node]], [guard]", "copy one of them");
        let unsound = with_facts(|facts| facts.own_check = OwnCheck::Failed);
        told(&unsound, Grade::Failed, "beta itself is not ready", "on beta: `lubdub check`");
        let namesake = Findings { namesake: Some("10.0.0.9".into()), ..fine() };
        told(
            &namesake,
            Grade::Failed,
            "10.0.0.9, calls itself alpha too",
            "stop lubdub on the one",
        );
        let keys = with_facts(|facts| facts.keys = Some((1, vec![1])));
        told(&keys, Grade::Failed, "beta has the keys 1, this node has 1, 2", "authkeys");
        let version = with_facts(|facts| facts.version = Some("9.9.9".to_owned()));
        told(&version, Grade::Warning, "beta has lubdub 9.9.9", "upgraded");
        let year = 365 * 86_400 * 1_000_000;
        let clock = with_facts(|facts| facts.clock_offset_us = Some(-year));
        told(&clock, Grade::Warning, "the clock of beta is 365 d 0 h behind", "chrony");
    }

    #[test]
    fn ping_nodes_and_addresses_are_told() {
        let with_ping = |found| Findings { ping: vec![(fine().ping[0].0, found)], ..fine() };
        let silent = "ping node 10.0.0.254 does not answer";
        told(&with_ping(PingFinding::Silent), Grade::Failed, silent, "ICMP echo");
        let unreachable = with_ping(PingFinding::Failed("no route".to_owned()));
        told(&unreachable, Grade::Failed, "cannot be asked: no route", "reachable");

        let with_address = |found| {
            let mut findings = fine();
            findings.addresses[0].2 = found;
            findings
        };
        let mac = crate::wire::Mac([2, 0, 0, 0, 0, 9]);
        let here = with_address(AddressFinding::Here { interface: "eth0".to_owned() });
        told(&here, Grade::Failed, "10.0.0.100/24 (web/vip) is on eth0", "ip address del");
        let unknown = with_address(AddressFinding::Free { witnessed: false });
        told(&unknown, Grade::Warning, "nobody else on its network answers", "arp guard");
        let failed = with_address(AddressFinding::Failed("no interface".to_owned()));
        told(&failed, Grade::Failed, "no interface", "an interface of every node");
        let mut taken = with_address(AddressFinding::Taken { mac });
        told(&taken, Grade::Failed, "in use already, by 02:00:00:00:00:09", "remove it there");
        taken.peers[0].facts.as_mut().unwrap().daemon_runs = true;
        assert_eq!(advice_of(&taken), [], "the peer's daemon may hold it");
    }
}
