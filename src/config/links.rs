//! The links: how datagrams travel on each, and where its ends are on every node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::addresses::Addresses;
use super::file::NodeEntry;
use super::group::View;
use super::heartbeat;
use super::read::{Item, Table, hint};
use super::types::{Link, Transport};

/// Links of a cluster: heartbeats carry one bit for each.
const MAX_LINKS: usize = 8;

/// How many networks multicast may pass where nothing is said: it stays on its own.
const TTL: u8 = 1;

pub(super) const KEYS: &[&str] = &["name", "transport", "interface", "port", "group", "ttl"];

const TRANSPORTS: [&str; 3] = ["unicast", "multicast", "broadcast"];

/// Groups that are free for everybody: of the organisation-local scope (RFC 2365), and of the link-local scope, not
/// assigned by IANA (RFC 4291, RFC 3307).
const EXAMPLES: &str = "\"239.192.7.94\" or \"ff12::8000:694\"";

/// A link as it stands in the file. `None` in it: that is wrong, and was noted.
struct Entry<'a> {
    name: Option<&'a str>,
    kind: Option<Kind>,
    port: Option<u16>,
    interface: Option<Option<&'a str>>,
}

/// How datagrams travel on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unicast,
    Multicast { group: IpAddr, ttl: u8 },
    Broadcast,
}

impl Entry<'_> {
    fn label(&self) -> &str {
        self.name.unwrap_or("?")
    }

    /// Whether every node has to have an address on it.
    fn needs_address(&self) -> bool {
        match self.kind {
            Some(Kind::Unicast) => true,
            Some(Kind::Multicast { .. } | Kind::Broadcast) => self.interface == Some(None),
            None => false,
        }
    }

    /// To whom datagrams go where that is not each peer's address: a group, or everybody.
    fn cast(&self) -> Option<Option<IpAddr>> {
        match self.kind? {
            Kind::Unicast => None,
            Kind::Multicast { group, .. } => Some(Some(group)),
            Kind::Broadcast => Some(None),
        }
    }

    /// Whether both would hear the same datagrams. Two unicast links differ in their addresses.
    fn is_same_path(&self, other: &Self) -> bool {
        let named = self.interface.is_some_and(|interface| interface.is_some());
        let same =
            (self.cast(), self.interface, self.port) == (other.cast(), other.interface, other.port);
        self.cast().is_some() && named && same
    }
}

/// The links, with every node's address where there is one. `None`: something is wrong, and that was noted.
pub(super) fn links(
    heartbeat: &Table<'_>,
    nodes: &[NodeEntry<'_>],
    view: View<'_>,
    addresses: &mut Addresses,
) -> Option<Vec<Link>> {
    let tables = match heartbeat.get("links") {
        Some(item) => item.tables(KEYS)?,
        None => Vec::new(),
    };
    check_count(heartbeat, tables.len(), nodes.len());
    let default_port = heartbeat::port(heartbeat);
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for table in tables {
        let entry = entry(&table, view, default_port, &entries);
        entries.push(entry);
    }
    let read: Vec<_> = nodes.iter().map(|node| node_addresses(node, &entries, addresses)).collect();
    let by_node = read.into_iter().collect::<Option<Vec<_>>>()?;
    let build = entries.iter().enumerate().map(|(at, entry)| {
        let addresses: Vec<Option<IpAddr>> =
            by_node.iter().map(|node| node.get(at).copied().flatten()).collect();
        check_family(entry, nodes, &addresses);
        Some(Link {
            name: entry.name?.to_owned(),
            transport: transport(entry.kind?, addresses)?,
            port: entry.port?,
            interface: entry.interface?.map(str::to_owned),
        })
    });
    build.collect::<Vec<_>>().into_iter().collect()
}

fn check_count(heartbeat: &Table<'_>, links: usize, nodes: usize) {
    if links == 0 && nodes > 1 {
        heartbeat.error_at(
            "links",
            "nodes need a link to hear each other; write links = [{ name = \"lan\" }]",
        );
    } else if links > MAX_LINKS {
        let text = format!("{links} links are too many; at most {MAX_LINKS} are watched");
        heartbeat.error_at("links", text);
    } else if links == 1 && nodes > 1 {
        heartbeat.warn(
            "one link only: when it fails, nodes lose sight of each other; add a second path to `links`",
        );
    }
}

fn entry<'a>(
    table: &Table<'a>,
    view: View<'_>,
    default_port: Option<u16>,
    before: &[Entry<'a>],
) -> Entry<'a> {
    let name = table.need("name", "name = \"lan\"").and_then(|item| {
        let name = item.name()?;
        if before.iter().any(|other| other.name == Some(name)) {
            item.error(format!("there is a link `{name}` already; give each its own name"));
        }
        Some(name)
    });
    let interface = match table.get("interface") {
        Some(item) => {
            item.for_node(view.nodes, view.me).and_then(|item| item.interface()).map(Some)
        }
        None => Some(None),
    };
    let port = table.get("port").map_or(default_port, |item| item.port());
    let entry = Entry { name, kind: kind(table), port, interface };
    if let Some(other) = before.iter().find(|other| other.is_same_path(&entry)) {
        table.error(format!(
            "links `{}` and `{}` are one and the same path; give one of them another interface, or take it out",
            other.label(),
            entry.label(),
        ));
    }
    entry
}

/// Reads `transport`, and what belongs to it.
fn kind(table: &Table<'_>) -> Option<Kind> {
    let word = match table.get("transport") {
        Some(item) => {
            let word = item.text("\"unicast\"")?;
            if !TRANSPORTS.contains(&word) {
                item.error(format!("no transport {word:?}; {}", hint(word, TRANSPORTS)));
                return None;
            }
            word
        }
        None => "unicast",
    };
    if word == "multicast" {
        let group = table.need("group", &format!("group = {EXAMPLES}")).and_then(|g| group(&g));
        let ttl = table.get("ttl").map_or(Some(TTL), |item| ttl(&item));
        return Some(Kind::Multicast { group: group?, ttl: ttl? });
    }
    for key in ["group", "ttl"] {
        if let Some(item) = table.get(key) {
            item.error(format!(
                "a {word} link has none; write transport = \"multicast\", or take `{key}` out"
            ));
        }
    }
    Some(if word == "broadcast" { Kind::Broadcast } else { Kind::Unicast })
}

fn ttl(item: &Item<'_>) -> Option<u8> {
    let what = "is no TTL; 1 keeps heartbeats on their own network, and is meant where none is written; write";
    u8::try_from(item.positive(u16::from(u8::MAX), what)?).ok()
}

/// A multicast group; one that is legal and yet a bad choice is warned of.
fn group(item: &Item<'_>) -> Option<IpAddr> {
    let text = item.text(EXAMPLES)?;
    if text.contains('%') {
        item.error(format!(
            "{text:?} names an interface; write the group alone, and interface = \"eth1\" beside it"
        ));
        return None;
    }
    let Some(group) = text.parse::<IpAddr>().ok().filter(IpAddr::is_multicast) else {
        item.error(format!(
            "{text:?} is no multicast address (224.0.0.0 to 239.255.255.255, or ff00::/8); write one that nobody \
             else uses on this network, as in {EXAMPLES}"
        ));
        return None;
    };
    let doubt = match group {
        IpAddr::V4(group) => doubt_v4(group),
        IpAddr::V6(group) => {
            if let Some(why) = unusable_v6(group) {
                item.error(format!("{text} {why}; write one as in \"ff12::8000:694\""));
                return None;
            }
            doubt_v6(group)
        }
    };
    if let Some(why) = doubt {
        item.warn(format!("{text} {why}; better is one as in {EXAMPLES}"));
    }
    Some(group)
}

/// Why an IPv4 group is a bad choice.
fn doubt_v4(group: Ipv4Addr) -> Option<&'static str> {
    match group.octets() {
        [224, 0, 0, _] => Some(
            "is of 224.0.0.0/24, which the protocols of routers and hosts themselves use (RFC 5771; 224.0.0.18 is \
             VRRP's): switches send it to every port",
        ),
        [224, ..] => Some("is of 224.0.0.0/8, which IANA gives to other protocols (RFC 5771)"),
        [232, ..] => {
            Some("is of 232.0.0.0/8, which routers serve to named senders only (RFC 4607)")
        }
        // Ethernet sees the last 23 bits only (RFC 1112).
        [_, 0 | 128, 0, _] => Some(
            "has the Ethernet address of a group of 224.0.0.0/24, which switches send to every port",
        ),
        _ => None,
    }
}

/// Why an IPv6 group can reach nobody (RFC 4291, RFC 7346).
fn unusable_v6(group: Ipv6Addr) -> Option<&'static str> {
    match group.segments()[0] & 0xf {
        0 | 0xf => Some("is of a reserved scope"),
        1 => Some("is of the interface's own scope and never leaves this machine"),
        _ => None,
    }
}

/// Why an IPv6 group is a bad choice.
fn doubt_v6(group: Ipv6Addr) -> Option<&'static str> {
    match group.segments() {
        [first, 0, ..] if first & 0xf0 == 0x30 => {
            Some("is of ff3x::/32, which routers serve to named senders only (RFC 4607)")
        }
        [_, 0, 0, 0, 0, 1, last, _] if last & 0xff00 == 0xff00 => {
            Some("is a solicited-node address, with which neighbours are looked for (RFC 4291)")
        }
        [first, 0, 0, 0, 0, 0, 0, _] if first & 0xf0 == 0 => Some(
            "is one that IANA gives to other protocols (ff02::1 is every host, ff02::12 VRRP's)",
        ),
        _ => None,
    }
}

/// A node's addresses, one for each link where it has one. `None`: one that it needs is not there, or is wrong.
fn node_addresses(
    node: &NodeEntry<'_>,
    links: &[Entry<'_>],
    addresses: &mut Addresses,
) -> Option<Vec<Option<IpAddr>>> {
    const EXAMPLE: &str = "{ lan = \"10.10.10.11\" }";
    let items = match node.table.get("address") {
        Some(item) => item.entries(EXAMPLE)?,
        None => Vec::new(),
    };
    let names = || links.iter().filter_map(|link| link.name);
    for item in items.iter().filter(|item| !names().any(|link| link == item.key)) {
        item.error(format!("no link `{}`; {}", item.key, hint(item.key, names())));
    }
    let read = links.iter().map(|link| {
        let name = link.name?;
        let Some(item) = items.iter().find(|item| item.key == name) else {
            if link.needs_address() {
                node.table.error_at("address", no_address(node.name, link));
                return None;
            }
            return Some(None);
        };
        let ip = item.ip()?;
        addresses.claim(item, ip, &format!("the address of `{}`", node.name)).then_some(Some(ip))
    });
    read.collect::<Vec<_>>().into_iter().collect()
}

fn no_address(node: &str, link: &Entry<'_>) -> String {
    let name = link.label();
    let address = format!("write address = {{ {name} = \"...\" }}");
    match link.kind {
        Some(Kind::Multicast { .. } | Kind::Broadcast) => format!(
            "`{node}` has neither an address nor an interface on link `{name}`; {address}, or interface = \"eth1\" in \
             the link"
        ),
        Some(Kind::Unicast) | None => {
            format!("`{node}` has no address on link `{name}`; {address}")
        }
    }
}

/// Notes each address that is not of the link's family: the group's, or that of the first node that has one.
fn check_family(link: &Entry<'_>, nodes: &[NodeEntry<'_>], addresses: &[Option<IpAddr>]) {
    let name = link.label();
    let (like, whose) = match link.kind {
        Some(Kind::Multicast { group, .. }) => (Some(group), "its group "),
        Some(Kind::Broadcast) => (Some(IpAddr::V4(Ipv4Addr::BROADCAST)), ""),
        Some(Kind::Unicast) | None => (addresses.iter().copied().flatten().next(), ""),
    };
    let Some(like) = like else { return };
    for (node, ip) in nodes.iter().zip(addresses) {
        let Some(ip) = ip.filter(|ip| ip.is_ipv4() != like.is_ipv4()) else { continue };
        let text = if link.kind == Some(Kind::Broadcast) {
            format!(
                "link `{name}`: IPv6 has no broadcast, so {ip} has no place on it; write an IPv4 address, or \
                 transport = \"multicast\""
            )
        } else {
            format!(
                "link `{name}` mixes IPv4 and IPv6: {ip} and {whose}{like}; use one of them on each link"
            )
        };
        node.table.error_at("address", text);
    }
}

/// `None`: an address is missing or of the wrong family, which was noted.
fn transport(kind: Kind, addresses: Vec<Option<IpAddr>>) -> Option<Transport> {
    Some(match kind {
        Kind::Unicast => {
            Transport::Unicast { addresses: addresses.into_iter().collect::<Option<_>>()? }
        }
        Kind::Multicast { group, ttl } => Transport::Multicast { group, ttl, addresses },
        Kind::Broadcast => {
            let v4 = |ip: Option<IpAddr>| match ip {
                Some(IpAddr::V4(ip)) => Some(Some(ip)),
                Some(IpAddr::V6(_)) => None,
                None => Some(None),
            };
            Transport::Broadcast {
                addresses: addresses.into_iter().map(v4).collect::<Option<_>>()?,
            }
        }
    })
}
