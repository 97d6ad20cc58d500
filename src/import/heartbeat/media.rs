//! The lines of `ha.cf` that name a way for heartbeats, and the links that they become.

use std::net::IpAddr;

use super::directives::Line;
use crate::config::parse_ip;
use crate::import::addresses::LinkAddresses;
use crate::import::draft::{ByNode, Link, Names, Transport};
use crate::import::report::{Place, Report};
use crate::import::value;

/// Heartbeat's port, and lubdub's (IANA `ha-cluster`).
pub(super) const PORT: u16 = 694;

/// Links of a cluster: heartbeats of lubdub carry one bit for each.
const MAX_LINKS: usize = 8;

/// A way for heartbeats.
#[derive(Debug)]
pub(super) struct Medium {
    at: Place,
    text: String,
    interface: String,
    port: u16,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Broadcast,
    Multicast {
        group: IpAddr,
        ttl: u8,
    },
    /// To one node.
    Unicast(IpAddr),
    /// To one node, of which there is only a host's name.
    Named(String),
}

/// Reads a line; `port` is the one of the last `udpport` above it.
pub(super) fn read(line: &Line<'_>, port: u16, report: &mut Report) -> Vec<Medium> {
    let media: Vec<Result<Medium, String>> = match line.word {
        "bcast" | "udp" => line.options.iter().map(|word| broadcast(line, word, port)).collect(),
        "mcast" | "mcast6" => vec![multicast(line, port)],
        _ => vec![unicast(line, port)],
    };
    if media.is_empty() {
        report.not_converted(line.at, line.text(), "it names no interface");
    }
    let good = media.into_iter().filter_map(|medium| {
        medium.map_err(|why| report.not_converted(line.at, line.text(), why)).ok()
    });
    good.collect()
}

fn interface(word: Option<&&str>) -> Result<String, String> {
    let word = word.ok_or("it names no interface")?;
    let name = value::interface(word).ok_or_else(|| format!("{word:?} is no interface"))?;
    Ok(name.to_owned())
}

fn broadcast(line: &Line<'_>, word: &str, port: u16) -> Result<Medium, String> {
    let interface = interface(Some(&word))?;
    let text = format!("{} {word}", line.word);
    Ok(Medium { at: line.at, text, interface, port, way: Way::Broadcast })
}

/// `mcast DEVICE GROUP PORT TTL LOOP`; what is left out at its end has the usual values.
fn multicast(line: &Line<'_>, port: u16) -> Result<Medium, String> {
    let interface = interface(line.options.first())?;
    let group = value::multicast_group(line.options.get(1).copied().unwrap_or_default())?;
    let number = |at: usize, otherwise: u16| {
        let Some(word) = line.options.get(at) else { return Ok(otherwise) };
        let number = word.parse().ok().filter(|number| *number > 0);
        number.ok_or_else(|| format!("{word:?} is no right number"))
    };
    let port = number(2, port)?;
    let ttl = u8::try_from(number(3, 1)?).map_err(|_large| "the time to live is over 255")?;
    let way = Way::Multicast { group, ttl };
    Ok(Medium { at: line.at, text: line.text(), interface, port, way })
}

/// `ucast DEVICE PEER`
fn unicast(line: &Line<'_>, port: u16) -> Result<Medium, String> {
    let interface = interface(line.options.first())?;
    let host = *line.options.get(1).ok_or("it names no peer")?;
    let way = match parse_ip(host) {
        Ok(ip) => Way::Unicast(ip),
        Err(_) if host.chars().any(|c| c.is_ascii_alphabetic()) && !host.contains(':') => {
            Way::Named(host.to_owned())
        }
        Err(why) => return Err(why),
    };
    Ok(Medium { at: line.at, text: line.text(), interface, port, way })
}

/// The links, and for the unicast ones among them the addresses that are on them.
pub(super) fn links(
    media: &[Medium],
    nodes: usize,
    report: &mut Report,
) -> (Vec<Link>, Vec<LinkAddresses>) {
    let mut links: Vec<Link> = Vec::new();
    let mut addresses: Vec<LinkAddresses> = Vec::new();
    let mut names = Names::default();
    for medium in media {
        let transport = match &medium.way {
            Way::Broadcast => Transport::Broadcast,
            Way::Multicast { group, ttl } => Transport::Multicast { group: *group, ttl: *ttl },
            Way::Unicast(_) | Way::Named(_) => Transport::Unicast,
        };
        let same = |link: &Link| is_same(link, medium, transport) && fits(link, medium, &addresses);
        let known = links.iter().find(|link| same(link)).map(|link| link.name.clone());
        let is_again = known.is_some();
        let name = match known {
            Some(name) => name,
            None if links.len() == MAX_LINKS => {
                let says = format!("{MAX_LINKS} links are the most; this one is left out");
                report.not_converted(medium.at, &medium.text, says);
                continue;
            }
            None => {
                let name = names.free(&base(medium, &links));
                let interface = ByNode::Same(medium.interface.clone());
                links.push(Link { name: name.clone(), transport, interface, port: medium.port });
                if transport == Transport::Unicast {
                    addresses.push(LinkAddresses::new(name.clone(), nodes));
                }
                name
            }
        };
        let link = addresses.iter_mut().find(|link| link.link == name);
        tell(medium, &name, is_again, link, report);
    }
    (links, addresses)
}

fn is_same(link: &Link, medium: &Medium, transport: Transport) -> bool {
    let interface = ByNode::Same(medium.interface.clone());
    link.transport == transport && link.interface == interface && link.port == medium.port
}

/// One address family to a link.
fn fits(link: &Link, medium: &Medium, addresses: &[LinkAddresses]) -> bool {
    let Way::Unicast(ip) = medium.way else { return true };
    let known = addresses.iter().find(|known| known.link == link.name);
    known.is_none_or(|known| known.loose.iter().all(|other| other.is_ipv4() == ip.is_ipv4()))
}

/// The interface is the best name for a link; a second one on the same interface says how it differs.
fn base(medium: &Medium, links: &[Link]) -> String {
    let interface = &medium.interface;
    if links.iter().all(|link| link.name != *interface) {
        return interface.clone();
    }
    let way = match medium.way {
        Way::Broadcast => "broadcast",
        Way::Multicast { .. } => "multicast",
        Way::Unicast(_) | Way::Named(_) => "unicast",
    };
    format!("{interface}-{way}")
}

fn tell(
    medium: &Medium,
    name: &str,
    is_again: bool,
    link: Option<&mut LinkAddresses>,
    report: &mut Report,
) {
    match &medium.way {
        Way::Unicast(ip) => {
            let again = link.as_ref().is_some_and(|link| link.loose.contains(ip));
            if again {
                report.not_needed(medium.at, &medium.text, "the address is there already");
                return;
            }
            if let Some(link) = link {
                link.mention(*ip);
            }
            report.converted(
                medium.at,
                &medium.text,
                format!("link {name}: unicast, an address on it"),
            );
        }
        Way::Named(host) => report.not_converted(
            medium.at,
            &medium.text,
            format!(
                "lubdub looks no names up: write the address of {host} (`getent hosts {host}` shows it) for its node on \
                 link {name}"
            ),
        ),
        Way::Broadcast | Way::Multicast { .. } if is_again => {
            report.not_needed(medium.at, &medium.text, format!("it is link {name} already"));
        }
        Way::Broadcast => {
            report.converted(medium.at, &medium.text, format!("link {name}: broadcast"));
        }
        Way::Multicast { .. } => {
            report.converted(medium.at, &medium.text, format!("link {name}: multicast"));
        }
    }
}
