//! The answers: each is checked when it is given, against those before it and against this machine. Pure; the same
//! checks serve questions and flags.

use std::net::{IpAddr, Ipv4Addr};

use super::Service;
use super::here::Here;
use crate::config::{cidr, is_interface, is_name, parse_ip};
use crate::daemon::netlink::on_same_network;
use crate::wire::MAX_NODES;

/// The links, in the order of a node's addresses: the network of the clients, and one that shares nothing with it.
pub(super) const LINKS: [&str; 2] = ["lan", "private"];

/// What is said instead of a value that is not wanted.
pub(super) const NONE: &str = "none";

/// Longest name of a host in bytes (RFC 1123, of one label).
const MAX_LABEL: usize = 63;

/// A node, with its address on each link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) addresses: Vec<IpAddr>,
}

/// Where the service address belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Interface {
    /// On the interface that has its network, which every node finds by itself.
    #[default]
    ByNetwork,
    /// On that of this name, on every node.
    Same(String),
    /// On one for each node.
    Each(Vec<(String, String)>),
}

/// The answers so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    pub(super) cluster: Option<String>,
    pub(super) nodes: Vec<Node>,
    pub(super) interface: Interface,
    pub(super) address: Option<(IpAddr, u8)>,
    /// Ping nodes; perhaps none is wanted.
    pub(super) ping: Option<Vec<IpAddr>>,
    pub(super) no_arp: bool,
    pub(super) service: Option<Service>,
}

/// All answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cluster {
    pub(super) name: String,
    /// At least two, the preferred one first, with addresses on the same links.
    pub(super) nodes: Vec<Node>,
    pub(super) address: (IpAddr, u8),
    pub(super) interface: Interface,
    pub(super) ping: Vec<IpAddr>,
    pub(super) arp: bool,
    pub(super) service: Service,
}

impl Cluster {
    /// The links that are used.
    pub(super) fn links(&self) -> &[&'static str] {
        let count = self.nodes.first().map_or(0, |node| node.addresses.len());
        LINKS.get(..count).unwrap_or(&LINKS)
    }
}

impl Answers {
    /// Nodes that there must be.
    pub(super) const FEWEST_NODES: usize = 2;

    /// The flags that would give what is not known yet.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let nodes = match self.nodes.len() {
            0 => Some("--node NAME=ADDRESS[,ADDRESS]   for each node, two at least"),
            1 => Some("--node NAME=ADDRESS[,ADDRESS]   for another node"),
            _ => None,
        };
        let missing = |is_missing: bool, flag| is_missing.then_some(flag);
        let flags = [
            missing(self.cluster.is_none(), "--cluster NAME"),
            nodes,
            missing(self.address.is_none(), "--address ADDRESS/PREFIX   of the service"),
            missing(self.ping.is_none(), "--ping ADDRESS, or --ping none"),
            missing(self.service.is_none(), "--service nginx, httpd or none"),
        ];
        flags.into_iter().flatten().collect()
    }

    /// All of them; `None`: something is [`missing`](Self::missing).
    pub(super) fn complete(self) -> Option<Cluster> {
        if self.nodes.len() < Self::FEWEST_NODES {
            return None;
        }
        Some(Cluster {
            name: self.cluster?,
            nodes: self.nodes,
            address: self.address?,
            interface: self.interface,
            ping: self.ping?,
            arp: !self.no_arp,
            service: self.service?,
        })
    }

    /// Another node's name: what `hostname -s` says there, since that is how a node finds itself in the file.
    pub(super) fn check_name(&self, text: &str) -> Result<String, String> {
        if text.parse::<IpAddr>().is_ok() {
            return Err(format!(
                "{text} is an address, and is asked for next: a node's name is what `hostname -s` says there"
            ));
        }
        if let Some((label, _domain)) = text.split_once('.').filter(|(label, _)| is_label(label)) {
            return Err(format!(
                "a node is known by its host's name up to the first dot: write {label}"
            ));
        }
        if !is_label(text) {
            return Err(format!(
                "{text:?} is no host's name: letters, digits and `-`, with a letter or digit at both ends, at most \
                 {MAX_LABEL} of them; `hostname -s` says it"
            ));
        }
        if text.eq_ignore_ascii_case("localhost") {
            return Err("every machine is localhost: give it a name of its own first (hostnamectl hostname NAME)".into());
        }
        if let Some(node) = self.nodes.iter().find(|node| node.name.eq_ignore_ascii_case(text)) {
            return Err(format!("there is a node {} already: each has its own name", node.name));
        }
        if self.nodes.len() >= MAX_NODES {
            return Err(format!("{MAX_NODES} nodes are the most that a cluster has"));
        }
        Ok(text.to_owned())
    }

    /// The next address of a node that has these already.
    pub(super) fn check_node_address(
        &self,
        node: &str,
        before: &[IpAddr],
        text: &str,
    ) -> Result<IpAddr, String> {
        let ip = parse_ip(text)?;
        let place = before.len();
        let Some(link) = LINKS.get(place) else {
            return Err(format!(
                "{} links are enough to begin with; more can be written into cluster.toml",
                LINKS.len()
            ));
        };
        if ip.is_loopback() {
            return Err(format!("{ip} is this machine's loopback: no other node hears it there"));
        }
        if before.contains(&ip) {
            return Err(format!("{ip} is {node}'s address on another link already"));
        }
        if let Some(job) = self.job_of(ip) {
            return Err(format!("{ip} is {job} already: each address has one job"));
        }
        let like = self.nodes.iter().find_map(|node| node.addresses.get(place));
        match like {
            Some(like) if like.is_ipv4() != ip.is_ipv4() => Err(format!(
                "{ip} and {like} cannot meet on link {link}: use IPv4 or IPv6 for all nodes on it"
            )),
            Some(_) | None => Ok(ip),
        }
    }

    /// Whether a node with these addresses is on the links of the others.
    pub(super) fn check_links(&self, node: &str, addresses: &[IpAddr]) -> Result<(), String> {
        let Some(first) = self.nodes.first() else { return Ok(()) };
        if first.addresses.len() == addresses.len() {
            return Ok(());
        }
        let count = |addresses: &[IpAddr]| match addresses.len() {
            1 => "1 address".to_owned(),
            many => format!("{many} addresses"),
        };
        Err(format!(
            "{} has {}, {node} {}: every node needs one on each link",
            first.name,
            count(&first.addresses),
            count(addresses)
        ))
    }

    /// The address that moves. Unless its interface is named, all nodes are on its network, or they would not find the
    /// interface.
    pub(super) fn check_address(&self, here: &Here, text: &str) -> Result<(IpAddr, u8), String> {
        let (ip, prefix) = cidr(text)?;
        if ip.is_loopback() {
            return Err(format!("{ip} is the loopback of every machine: no client reaches it"));
        }
        if let Some(job) = self.job_of(ip) {
            return Err(format!(
                "{ip} is {job} already: the service address is one that no machine has by itself"
            ));
        }
        if let Some(kind) = no_machine(ip, prefix) {
            return Err(format!("{ip}/{prefix} is {kind}; take the address of one machine"));
        }
        // Where nodes are still to be asked for, this is asked again then.
        if self.interface != Interface::ByNetwork || self.nodes.len() < Self::FEWEST_NODES {
            return Ok((ip, prefix));
        }
        let inside = |ip: &IpAddr, at: usize| {
            let on_link: Vec<IpAddr> =
                self.nodes.iter().filter_map(|node| node.addresses.get(at).copied()).collect();
            let all = on_link.iter().all(|other| on_same_network(*ip, prefix, *other));
            (all && !on_link.is_empty()).then_some(on_link)
        };
        let Some(on_link) = (0..LINKS.len()).find_map(|at| inside(&ip, at)) else {
            return Err(self.on_no_link(ip, prefix, here));
        };
        match on_link.iter().find_map(|ip| here.own(*ip)).filter(|own| own.prefix != prefix) {
            Some(own) if own.reaches(ip) => Err(format!(
                "the network of {} has another prefix ({}/{}): write {ip}/{}",
                own.interface, own.ip, own.prefix, own.prefix
            )),
            Some(_) => Err(self.on_no_link(ip, prefix, here)),
            None => Ok((ip, prefix)),
        }
    }

    fn on_no_link(&self, ip: IpAddr, prefix: u8, here: &Here) -> String {
        let on_first = self.nodes.iter().filter_map(|node| node.addresses.first());
        let known: Vec<String> = on_first
            .map(|ip| match here.own(*ip) {
                Some(own) => format!("{ip}/{}", own.prefix),
                None => ip.to_string(),
            })
            .collect();
        format!(
            "{ip}/{prefix} is in the network of no link: take an address from where the nodes are ({}). Where it \
             belongs on an interface that has another network, --interface names it",
            known.join(", ")
        )
    }

    /// Ping nodes, with commas between them, or `none`.
    pub(super) fn check_ping(&self, here: &Here, text: &str) -> Result<Vec<IpAddr>, String> {
        let mut ping = Vec::new();
        if text == NONE {
            return Ok(ping);
        }
        for word in text.split(',') {
            let ip = parse_ip(word.trim())?;
            if let Some(job) = self.job_of(ip) {
                return Err(format!(
                    "{ip} is {job}: a ping node is a machine outside the cluster, such as a router"
                ));
            }
            if let Some(own) = here.own(ip) {
                return Err(format!(
                    "{ip} is this machine's own ({}): a ping node is a machine outside the cluster, such as a router",
                    own.interface
                ));
            }
            if ip.is_loopback() {
                return Err(format!(
                    "{ip} always answers: a ping node is a machine outside the cluster"
                ));
            }
            if ping.contains(&ip) {
                return Err(format!("{ip} is named twice: name it once"));
            }
            ping.push(ip);
        }
        Ok(ping)
    }

    /// `NAME` of an interface, for every node or, as `NODE=NAME`, for one.
    pub(super) fn check_interface(&self, text: &str) -> Result<(Option<String>, String), String> {
        let (node, name) = match text.split_once('=') {
            Some((node, name)) => (Some(node), name),
            None => (None, text),
        };
        // A name with these is possible and would need escapes in the file.
        if !is_interface(name) || name.contains(['"', '\\']) {
            return Err(format!("{name:?} is no interface: write a name that `ip link` shows"));
        }
        match node.filter(|node| !self.nodes.iter().any(|known| known.name == *node)) {
            Some(node) => Err(format!("no --node is called {node}")),
            None => Ok((node.map(str::to_owned), name.to_owned())),
        }
    }

    /// What an address is for already.
    fn job_of(&self, ip: IpAddr) -> Option<String> {
        if let Some(node) = self.nodes.iter().find(|node| node.addresses.contains(&ip)) {
            return Some(format!("the address of {}", node.name));
        }
        if self.address.is_some_and(|(service, _)| service == ip) {
            return Some("the service address".to_owned());
        }
        let ping = self.ping.as_ref().is_some_and(|ping| ping.contains(&ip));
        ping.then(|| "a ping node".to_owned())
    }
}

/// The name of a cluster.
pub(super) fn check_cluster(text: &str) -> Result<String, String> {
    if is_name(text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{text:?} is no name: letters, digits, `-`, `_` and `.`, beginning with a letter or digit"
    ))
}

/// What is legal and hardly meant, as far as this machine can tell.
pub(super) fn doubts(cluster: &Cluster, here: &Here) -> Vec<String> {
    let mut doubts = Vec::new();
    let me = cluster.nodes.iter().find(|node| node.name == here.name);
    if me.is_none() {
        doubts.push(format!(
            "this machine is {}, none of the nodes: its own view of addresses could not be compared",
            here.name
        ));
    }
    for node in cluster.nodes.iter().filter(|node| node.name != here.name) {
        if let Some(own) = node.addresses.iter().find_map(|ip| here.own(*ip)) {
            doubts.push(format!(
                "{} is an address of this machine, whose host's name is {} and not {}: `lubdub run` looks for the \
                 host's name",
                own.ip, here.name, node.name
            ));
        }
    }
    let own: Vec<_> = me.into_iter().flat_map(|node| &node.addresses).collect();
    for (place, link) in cluster.links().iter().enumerate() {
        let Some(own) = own.get(place).and_then(|ip| here.own(**ip)) else { continue };
        let others = cluster.nodes.iter().filter_map(|node| node.addresses.get(place));
        doubts.extend(others.filter(|ip| !own.reaches(**ip)).map(|ip| {
            format!(
                "link {link}: {ip} is not in the network of {}/{}, so heartbeats go through a router",
                own.ip, own.prefix
            )
        }));
    }
    if let [first, second] = own.as_slice()
        && let Some(own) = here.own(**first)
        && own.reaches(**second)
    {
        doubts.push(format!(
            "both links are in the network of {}/{}: what breaks the one breaks the other",
            own.ip, own.prefix
        ));
    }
    if let Some(own) = here.own(cluster.address.0) {
        doubts.push(format!(
            "{} is on {} of this machine already: nothing but lubdub may put it there, at boot neither",
            own.ip, own.interface
        ));
    }
    doubts
}

/// Whether a host can have this name.
fn is_label(text: &str) -> bool {
    let inner = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let ends = !text.starts_with('-') && !text.ends_with('-');
    inner && ends && (1..=MAX_LABEL).contains(&text.len())
}

/// What an address is that belongs to a whole network.
fn no_machine(ip: IpAddr, prefix: u8) -> Option<&'static str> {
    let (IpAddr::V4(ip), ..=30) = (ip, prefix) else { return None };
    let hosts = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
    let network = Ipv4Addr::from_bits(ip.to_bits() & !hosts);
    let broadcast = Ipv4Addr::from_bits(ip.to_bits() | hosts);
    match ip {
        _ if ip == network => Some("a network itself"),
        _ if ip == broadcast => Some("the broadcast address of its network"),
        _ => None,
    }
}
