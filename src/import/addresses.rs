//! Whose address is whose: what the files tell, what the operator tells, and what follows from both.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::draft::{Mark, Node, Slot};

/// A node that the files do not name, or an address that they do not give to anybody (`--peer`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// An address of it.
    pub address: Option<IpAddr>,
}

/// The addresses on one unicast link.
#[derive(Debug)]
pub(super) struct LinkAddresses {
    pub(super) link: String,
    /// Of each node, where it is known.
    pub(super) owned: Vec<Option<IpAddr>>,
    /// Those of which only the link is known.
    pub(super) loose: Vec<IpAddr>,
    /// What is known not to belong together.
    excluded: BTreeSet<(usize, IpAddr)>,
}

impl LinkAddresses {
    pub(super) fn new(link: String, nodes: usize) -> Self {
        Self { link, owned: vec![None; nodes], loose: Vec::new(), excluded: BTreeSet::new() }
    }

    /// An address of a node.
    pub(super) fn own(&mut self, node: usize, ip: IpAddr) {
        self.loose.retain(|loose| *loose != ip);
        if let Some(place) = self.owned.get_mut(node) {
            *place = Some(ip);
        }
    }

    /// An address of some node.
    pub(super) fn mention(&mut self, ip: IpAddr) {
        if !self.loose.contains(&ip) && !self.owned.contains(&Some(ip)) {
            self.loose.push(ip);
        }
    }

    fn known(&self) -> impl Iterator<Item = IpAddr> {
        self.owned.iter().flatten().chain(&self.loose).copied()
    }

    /// How many leading bits an address shares with those that are known; `None`: it is of the other family.
    fn nearness(&self, ip: IpAddr) -> Option<u32> {
        let shared = |other: IpAddr| match (ip, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => Some((a.to_bits() ^ b.to_bits()).leading_zeros()),
            (IpAddr::V6(a), IpAddr::V6(b)) => Some((a.to_bits() ^ b.to_bits()).leading_zeros()),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
        };
        let mut known = self.known().peekable();
        if known.peek().is_none() { Some(0) } else { known.filter_map(shared).max() }
    }

    /// An address that is not this node's: the node's own file names it as another's.
    pub(super) fn exclude(&mut self, node: usize, ip: IpAddr) {
        self.excluded.insert((node, ip));
    }

    /// The nodes that may have an address of which only the link is known.
    fn candidates(&self, ip: IpAddr) -> Vec<usize> {
        let lacking = self.owned.iter().enumerate().filter(|(_, owned)| owned.is_none());
        let lacking = lacking.map(|(node, _)| node);
        lacking.filter(|node| !self.excluded.contains(&(*node, ip))).collect()
    }
}

/// Gives a node the address that the operator named, on the link where it was mentioned, else on the one that lacks an
/// address of this node and whose others are nearest to it.
pub(super) fn claim(links: &mut [LinkAddresses], node: usize, ip: IpAddr) -> Result<(), String> {
    for link in links.iter() {
        let owner = link.owned.iter().position(|owned| *owned == Some(ip));
        match owner {
            Some(owner) if owner == node => return Ok(()),
            Some(_) => return Err(format!("{ip} is the address of another node already")),
            None => {}
        }
    }
    if let Some(link) = links.iter_mut().find(|link| link.loose.contains(&ip)) {
        link.own(node, ip);
        return Ok(());
    }
    let lacking = links.iter_mut().filter(|link| link.owned.get(node).is_some_and(Option::is_none));
    let near = lacking.filter_map(|link| Some((link.nearness(ip)?, link)));
    // Of two that are equally near the first one.
    match near.min_by_key(|(nearness, _)| std::cmp::Reverse(*nearness)) {
        Some((_, link)) => {
            link.own(node, ip);
            Ok(())
        }
        None => Err(format!(
            "no link wants an address of this node that {ip} could be (multicast and broadcast links need none): give \
             the name alone"
        )),
    }
}

/// What follows: an address that only one node can have is its own, unless there are two of them. `alike` are nodes of which
/// nothing is known, so that each is as good as the other.
pub(super) fn settle(links: &mut [LinkAddresses], alike: &[usize]) {
    let only_link = links.len() == 1;
    for link in links {
        loop {
            let mut sure: BTreeMap<usize, Vec<IpAddr>> = BTreeMap::new();
            for ip in &link.loose {
                match link.candidates(*ip).as_slice() {
                    [node] => sure.entry(*node).or_default().push(*ip),
                    // On several links it matters which of them has which.
                    [first, rest @ ..]
                        if only_link
                            && alike.contains(first)
                            && rest.iter().all(|node| alike.contains(node)) =>
                    {
                        sure.insert(*first, vec![*ip]);
                        break;
                    }
                    [..] => {}
                }
            }
            let found = sure.iter().find_map(|(node, ips)| match ips.as_slice() {
                [ip] => Some((*node, *ip)),
                [..] => None,
            });
            let Some((node, ip)) = found else { break };
            link.own(node, ip);
        }
    }
}

/// The nodes with their addresses, and marks for those that nobody told.
pub(super) fn nodes(names: &[Slot], links: &[LinkAddresses]) -> Vec<Node> {
    let address = |node: usize, name: &Slot, at: usize, link: &LinkAddresses| match link
        .owned
        .get(node)
        .copied()
        .flatten()
    {
        Some(ip) => Slot::known(ip.to_string()),
        None => Slot::Open(mark(node, name, at, link)),
    };
    let node = |(node, name): (usize, &Slot)| Node {
        name: name.clone(),
        addresses: links
            .iter()
            .enumerate()
            .map(|(at, link)| (link.link.clone(), address(node, name, at, link)))
            .collect(),
    };
    names.iter().enumerate().map(node).collect()
}

fn mark(node: usize, name: &Slot, at: usize, link: &LinkAddresses) -> Mark {
    let loose: Vec<String> = link.loose.iter().map(ToString::to_string).collect();
    let (choice, question) = match loose.as_slice() {
        [] => (String::new(), String::new()),
        some => {
            let list = some.join(" or ");
            (format!(": {list}"), format!(" ({list}?)"))
        }
    };
    // `<name of the other node>` becomes `the other node`.
    let whose = name.shown().trim_start_matches("<name of ").trim_end_matches('>');
    let again = name.value().unwrap_or("NAME");
    // Networks for benchmarks (RFC 2544, RFC 5180): nobody's own.
    let stand_in = if link.known().any(|ip| ip.is_ipv6()) {
        format!("2001:2::{:x}:{:x}", at + 1, node + 1)
    } else {
        format!("198.18.{}.{}", at + 1, node + 1)
    };
    Mark {
        shown: format!("<address of {whose} on {}{choice}>", link.link),
        stand_in,
        todo: format!(
            "the address of {whose} on link {}{question}; or import again with --peer {again}=ADDRESS",
            link.link
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn link(name: &str, loose: &[&str]) -> LinkAddresses {
        let mut link = LinkAddresses::new(name.to_owned(), 2);
        loose.iter().for_each(|text| link.mention(ip(text)));
        link
    }

    #[test]
    fn one_word_of_the_operator_settles_a_pair() {
        let mut links = [link("eth0", &["10.0.0.1", "10.0.0.2"])];
        settle(&mut links, &[]);
        assert_eq!(links[0].owned, [None, None]);
        assert_eq!(claim(&mut links, 1, ip("10.0.0.2")), Ok(()));
        settle(&mut links, &[]);
        assert_eq!(links[0].owned, [Some(ip("10.0.0.1")), Some(ip("10.0.0.2"))]);
        assert!(claim(&mut links, 0, ip("10.0.0.2")).unwrap_err().contains("another node"));
        assert!(claim(&mut links, 0, ip("10.0.0.9")).unwrap_err().contains("no link"));
        assert_eq!(claim(&mut links, 0, ip("10.0.0.1")), Ok(()));
    }

    #[test]
    fn an_address_goes_to_the_nearest_link() {
        let mut links = [
            link("eth0", &["10.0.0.2"]),
            link("eth1", &["192.168.1.2"]),
            link("six", &["fd00::2"]),
        ];
        for text in ["192.168.1.1", "10.0.0.1", "fd00::1"] {
            assert_eq!(claim(&mut links, 0, ip(text)), Ok(()), "{text}");
        }
        settle(&mut links, &[]);
        for (at, addresses) in
            [["10.0.0.1", "10.0.0.2"], ["192.168.1.1", "192.168.1.2"], ["fd00::1", "fd00::2"]]
                .iter()
                .enumerate()
        {
            assert_eq!(links[at].owned, addresses.map(|text| Some(ip(text))));
        }
    }

    /// The file of one of three nodes: its own address is not among those of its peers.
    #[test]
    fn peers_of_a_node_are_others() {
        let three = || {
            let mut link = LinkAddresses::new("eth0".to_owned(), 3);
            for text in ["10.0.0.2", "10.0.0.3"] {
                link.mention(ip(text));
                link.exclude(0, ip(text));
            }
            link
        };
        let mut links = [three()];
        settle(&mut links, &[]);
        assert_eq!(links[0].owned, [None, None, None]);
        assert_eq!(claim(&mut links, 1, ip("10.0.0.3")), Ok(()));
        settle(&mut links, &[]);
        assert_eq!(links[0].owned, [None, Some(ip("10.0.0.3")), Some(ip("10.0.0.2"))]);
        let mut links = [three()];
        settle(&mut links, &[1, 2]);
        assert_eq!(links[0].owned, [None, Some(ip("10.0.0.2")), Some(ip("10.0.0.3"))]);
    }

    #[test]
    fn two_addresses_for_one_place_are_left_open() {
        let mut links = [link("eth0", &["10.0.0.2", "10.0.0.3"])];
        links[0].own(0, ip("10.0.0.1"));
        settle(&mut links, &[]);
        assert_eq!(links[0].owned, [Some(ip("10.0.0.1")), None]);
    }

    #[test]
    fn what_nobody_told_is_marked() {
        let names = [Slot::known("alpha"), Slot::known("beta")];
        let nodes = nodes(&names, &[link("eth0", &["10.0.0.1", "10.0.0.2"])]);
        let (_, Slot::Open(mark)) = &nodes[1].addresses[0] else { panic!("it is open") };
        assert_eq!(mark.shown, "<address of beta on eth0: 10.0.0.1 or 10.0.0.2>");
        assert_eq!(mark.stand_in, "198.18.1.2");
        assert!(mark.todo.contains("--peer beta=ADDRESS"), "{}", mark.todo);
    }
}
