//! What instances talk over becomes links: unicast where they name peers, else multicast.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Joint;
use super::file::Instance;
use crate::import::addresses::{self, LinkAddresses, Peer};
use crate::import::draft::{ByNode, Link, Names, Slot, Transport};
use crate::import::report::Report;

/// Heartbeats are UDP and no VRRP, so they have a group of their own, of those that stay in an organisation (RFC 2365).
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 192, 7, 94);

/// The same where there are only IPv6 addresses: not assigned (RFC 3307, section 4.3), and of one link.
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0x8000, 0x694);

/// IANA `ha-cluster`.
const PORT: u16 = 694;

/// Links of a cluster: heartbeats carry one bit for each.
const MAX_LINKS: usize = 8;

/// A link, as far as it is known.
struct Path {
    name: String,
    /// Of each node.
    interfaces: Vec<Option<String>>,
    way: Way,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Multicast,
    /// Whether to IPv4 addresses.
    Unicast {
        v4: bool,
    },
}

/// The links, and for the unicast ones among them the addresses that are on them.
pub(super) fn links(
    joints: &[Joint<'_>],
    names: &[Slot],
    peers: &[Peer],
    report: &mut Report,
) -> (Vec<Link>, Vec<LinkAddresses>) {
    let mut paths: Vec<Path> = Vec::new();
    let mut addresses: Vec<LinkAddresses> = Vec::new();
    let mut path_names = Names::default();
    for joint in joints {
        let interfaces = interfaces(joint, names.len());
        let first_peer = joint.instances().find_map(|(_, it)| it.peers.first());
        let way = match first_peer {
            Some((_, ip)) => Way::Unicast { v4: ip.is_ipv4() },
            None => Way::Multicast,
        };
        let known =
            paths.iter().position(|path| path.way == way && is_same(&path.interfaces, &interfaces));
        let at = match known {
            Some(at) => at,
            None if paths.len() == MAX_LINKS => {
                left_out(joint, report);
                continue;
            }
            None => {
                let base = interfaces.iter().flatten().next().map_or("lan", String::as_str);
                let name = path_names.free(base);
                if way != Way::Multicast {
                    addresses.push(LinkAddresses::new(name.clone(), names.len()));
                }
                paths.push(Path { name, interfaces: vec![None; names.len()], way });
                paths.len() - 1
            }
        };
        let Some(path) = paths.get_mut(at) else { continue };
        for (place, interface) in path.interfaces.iter_mut().zip(interfaces) {
            *place = place.take().or(interface);
        }
        for (node, instance) in joint.instances() {
            let link = addresses.iter_mut().find(|link| link.link == path.name);
            tell(path, node, instance, link, report);
        }
    }
    let files = joints.first().map_or(0, |joint| joint.by_node.len());
    own(&mut addresses, names, files, peers, report);
    let any_v4 =
        joints.iter().flat_map(Joint::instances).any(|(_, it)| it.is_ipv4() != Some(false));
    let group = if any_v4 { IpAddr::V4(GROUP) } else { IpAddr::V6(GROUP_V6) };
    let link = |path: Path| Link {
        name: path.name,
        transport: match path.way {
            Way::Multicast => Transport::Multicast { group, ttl: 1 },
            Way::Unicast { .. } => Transport::Unicast,
        },
        interface: ByNode::of(names, &path.interfaces),
        port: PORT,
    };
    (paths.into_iter().map(link).collect(), addresses)
}

fn interfaces(joint: &Joint<'_>, nodes: usize) -> Vec<Option<String>> {
    let mut interfaces = vec![None; nodes];
    for (node, instance) in joint.instances() {
        if let (Some(place), Some((_, interface))) = (interfaces.get_mut(node), &instance.interface)
        {
            *place = Some(interface.clone());
        }
    }
    interfaces
}

/// Whether two sets of interfaces are one path: no node has two, and some node has one of both.
fn is_same(one: &[Option<String>], other: &[Option<String>]) -> bool {
    let both = || one.iter().zip(other).filter_map(|(a, b)| Some((a.as_ref()?, b.as_ref()?)));
    let none = one.iter().chain(other).all(Option::is_none);
    none || (both().next().is_some() && both().all(|(a, b)| a == b))
}

fn left_out(joint: &Joint<'_>, report: &mut Report) {
    for (_, instance) in joint.instances() {
        if let Some((at, interface)) = &instance.interface {
            let says = format!(
                "{MAX_LINKS} links are the most; no heartbeats on this one, its addresses move all the same"
            );
            report.not_converted(*at, format!("interface {interface}"), says);
        }
    }
}

/// Takes the addresses of one node's instance in, and tells what became of its lines.
fn tell(
    path: &Path,
    node: usize,
    instance: &Instance,
    link: Option<&mut LinkAddresses>,
    report: &mut Report,
) {
    let name = &path.name;
    if let Some((at, interface)) = &instance.interface {
        let way = if link.is_some() { "unicast" } else { "multicast" };
        let says = format!("link {name}: {way}; addresses without `dev` go to the interface, too");
        report.converted(*at, format!("interface {interface}"), says);
    }
    let Some(link) = link else {
        if let Some((at, ip)) = instance.source {
            let says = format!(
                "there is no unicast_peer, so it is a multicast link; if it was meant to be unicast, write transport = \
                 \"unicast\" and an address of each node on {name}"
            );
            report.not_converted(at, format!("unicast_src_ip {ip}"), says);
        }
        return;
    };
    if let Some((at, ip)) = instance.source {
        let text = format!("unicast_src_ip {ip}");
        match link.owned.get(node).copied().flatten() {
            Some(other) if other != ip => {
                let says = format!("the node has {other} on link {name} already; one is enough");
                report.not_needed(at, text, says);
            }
            Some(_) => {
                report.not_needed(at, text, format!("the node has it on link {name} already"));
            }
            None => {
                link.own(node, ip);
                report.converted(at, text, format!("the address of this node on link {name}"));
            }
        }
    }
    for (at, ip) in &instance.peers {
        let known = link.loose.contains(ip) || link.owned.contains(&Some(*ip));
        link.mention(*ip);
        link.exclude(node, *ip);
        let text = format!("unicast_peer {ip}");
        if known {
            report.not_needed(*at, text, format!("it is on link {name} already"));
        } else {
            report.converted(*at, text, format!("the address of another node on link {name}"));
        }
    }
}

/// Whose address is whose.
fn own(
    links: &mut [LinkAddresses],
    names: &[Slot],
    files: usize,
    peers: &[Peer],
    report: &mut Report,
) {
    let index = |name: &str| names.iter().position(|node| node.value() == Some(name));
    for peer in peers {
        let (Some(node), Some(ip)) = (index(&peer.name), peer.address) else { continue };
        if let Err(why) = addresses::claim(links, node, ip) {
            report.fault_of(&format!("--peer {}={ip}", peer.name), why);
        }
    }
    let nameless = |node: &usize| names.get(*node).is_some_and(|name| name.value().is_none());
    let alike: Vec<usize> = (files..names.len()).filter(nameless).collect();
    addresses::settle(links, &alike);
}
