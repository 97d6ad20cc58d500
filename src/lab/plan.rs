//! What a laboratory is built from: its nodes, their addresses, their configuration.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::web::WebServer;

/// The service network: nodes, client, ping node. All of 10.77.0.0/24.
pub const LAN: &str = "lan";
/// The heartbeat network: nodes only. All of 10.77.1.0/24.
pub const PRIVATE: &str = "private";
/// A second heartbeat network: nodes only, and idle unless a plan takes it for a link. All of 10.77.2.0/24.
pub const SPARE: &str = "spare";
/// All networks, in the order of a node's cards.
pub(super) const NETWORKS: [&str; 3] = [LAN, PRIVATE, SPARE];
/// The usual links, in the configuration's order: the service network and another.
pub const LINKS: [&str; 2] = [LAN, PRIVATE];
/// Links that carry nothing but heartbeats: both can fail while the service network works.
pub const APART: [&str; 2] = [PRIVATE, SPARE];
/// The address that moves.
pub const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
/// The client's address.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 200);
/// The ping node.
pub const PING_NODE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);
/// Port of the heartbeats.
pub const PORT: u16 = 694;
/// The group of multicast links.
const GROUP_V4: &str = "239.192.7.94";
/// The same for IPv6.
const GROUP_V6: &str = "ff12::8000:694";
/// The one group.
pub const GROUP: &str = "web";

/// How a link of the laboratory carries heartbeats. Only the unicast ones tell the nodes each other's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// IPv4, to each node's address.
    Unicast,
    /// IPv6, to each node's address.
    UnicastV6,
    /// IPv4, to a group.
    Multicast,
    /// IPv6, to a group.
    MulticastV6,
    /// IPv4, to everybody.
    Broadcast,
}

impl Carrier {
    /// Whether its cards need IPv6.
    fn is_ipv6(self) -> bool {
        match self {
            Self::UnicastV6 | Self::MulticastV6 => true,
            Self::Unicast | Self::Multicast | Self::Broadcast => false,
        }
    }

    /// What the configuration says of such a link, on this card.
    fn toml(self, link: &str, card: usize) -> String {
        let how = match self {
            Self::Unicast | Self::UnicastV6 => "transport = \"unicast\"".to_owned(),
            Self::Multicast => group_toml(GROUP_V4, card),
            Self::MulticastV6 => group_toml(GROUP_V6, card),
            Self::Broadcast => format!("transport = \"broadcast\", interface = \"eth{card}\""),
        };
        format!("{{ name = \"{link}\", {how} }}")
    }

    /// A node's address on such a link, where the configuration has to give one.
    fn address(self, card: usize, index: usize) -> Option<IpAddr> {
        match self {
            Self::Unicast => addresses(index).get(card).copied().map(IpAddr::V4),
            Self::UnicastV6 => Some(IpAddr::V6(address_v6(card, index))),
            Self::Multicast | Self::MulticastV6 | Self::Broadcast => None,
        }
    }
}

fn group_toml(group: &str, card: usize) -> String {
    format!("transport = \"multicast\", group = \"{group}\", interface = \"eth{card}\"")
}

/// A laboratory to be built. Every node gets the same `cluster.toml`.
#[derive(Debug, Clone)]
pub struct Plan {
    /// This very program: daemon, command line and helpers.
    pub program: PathBuf,
    /// Directory of lubdub's own agents.
    pub agents: PathBuf,
    /// Names of the nodes, the preferred one first; at most 9, each of at most 7 letters (an interface has 15).
    pub nodes: Vec<String>,
    /// Interval between heartbeats.
    pub keepalive: Duration,
    /// Silence that is lost.
    pub deadtime: Duration,
    /// Patience after a node's own start.
    pub initdead: Duration,
    /// The networks that carry heartbeats.
    pub links: [&'static str; 2],
    /// How each of these links carries them.
    pub carriers: [Carrier; 2],
    /// What the group is made of.
    pub service: Service,
    /// What answers the client.
    pub web: WebServer,
    /// Interval between monitors of the web server.
    pub monitor: Duration,
}

/// What the group is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The web server, started on the holder, then the address.
    ColdWeb,
    /// The address; the web server runs on every node, all the time.
    Address,
}

impl Plan {
    /// A pair, alpha and beta, at the usual 100/500 ms.
    #[must_use]
    pub fn pair(program: PathBuf, agents: PathBuf) -> Self {
        Self {
            program,
            agents,
            nodes: vec!["alpha".to_owned(), "beta".to_owned()],
            keepalive: Duration::from_millis(100),
            deadtime: Duration::from_millis(500),
            initdead: Duration::from_secs(5),
            links: LINKS,
            carriers: [Carrier::Unicast; 2],
            service: Service::ColdWeb,
            web: WebServer::find(),
            monitor: Duration::from_millis(200),
        }
    }

    /// Where the client sends its requests.
    #[must_use]
    pub fn target(&self) -> SocketAddr {
        SocketAddr::from((SERVICE, 80))
    }

    /// Each link: the number of its card, its network, how it carries heartbeats.
    fn carried(&self) -> impl Iterator<Item = (usize, &'static str, Carrier)> + '_ {
        self.links.into_iter().zip(self.carriers).filter_map(|(link, carrier)| {
            Some((NETWORKS.iter().position(|network| *network == link)?, link, carrier))
        })
    }

    /// Whether the cards on each of [`NETWORKS`] need IPv6.
    pub(super) fn needs_ipv6(&self) -> [bool; 3] {
        NETWORKS.map(|network| {
            self.carried().any(|(_, link, carrier)| link == network && carrier.is_ipv6())
        })
    }

    /// The configuration that all nodes get.
    #[must_use]
    pub fn cluster_toml(&self) -> String {
        let mut text = format!(
            "cluster = \"demo\"\n\n[heartbeat]\nkeepalive = \"{}\"\nwarntime = \"{}\"\ndeadtime = \"{}\"\n\
             initdead = \"{}\"\nlinks = [\n",
            millis(self.keepalive),
            millis((self.keepalive + self.deadtime) / 2),
            millis(self.deadtime),
            millis(self.initdead),
        );
        for (card, link, carrier) in self.carried() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {},", carrier.toml(link, card));
        }
        text.push_str("]\n");
        for (index, name) in self.nodes.iter().enumerate() {
            let addresses: Vec<String> = self
                .carried()
                .filter_map(|(card, link, carrier)| {
                    Some(format!("{link} = \"{}\"", carrier.address(card, index)?))
                })
                .collect();
            let _ = write!(text, "\n[[node]]\nname = \"{name}\"\n");
            if !addresses.is_empty() {
                let _ = writeln!(text, "address = {{ {} }}", addresses.join(", "));
            }
        }
        let prefer =
            self.nodes.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let _ = write!(
            text,
            "\n[guard]\nping = [\"{PING_NODE}\"]\narp = true\n\n\
             [[group]]\nname = \"{GROUP}\"\nprefer = [{prefer}]\nauto_failback = false\n"
        );
        match self.service {
            Service::ColdWeb => text.push_str(&self.web.resource_toml(self.monitor)),
            Service::Address => {}
        }
        let _ = write!(
            text,
            "\n[[group.resource]]\nname = \"vip\"\nagent = \"IPaddr\"\nparams = {{ ip = \"{SERVICE}/24\" }}\n"
        );
        text
    }
}

/// Addresses of a node on all [`NETWORKS`].
pub(super) fn addresses(index: usize) -> [Ipv4Addr; 3] {
    let host = u8::try_from(index + 1).unwrap_or(u8::MAX);
    [0, 1, 2].map(|network| Ipv4Addr::new(10, 77, network, host))
}

/// IPv6 address of a node on a card.
pub(super) fn address_v6(card: usize, index: usize) -> Ipv6Addr {
    let number = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
    Ipv6Addr::new(0xfd77, 0, 0, number(card), 0, 0, 0, number(index + 1))
}

/// A time as the configuration takes it.
pub(super) fn millis(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn its_configuration_is_valid_on_every_node() {
        let nginx = WebServer::Nginx(PathBuf::from("/usr/sbin/nginx"));
        for (service, resources, links) in [
            (Service::ColdWeb, 2, LINKS),
            (Service::Address, 1, LINKS),
            (Service::ColdWeb, 2, APART),
        ] {
            for web in [WebServer::BuiltIn, nginx.clone()] {
                let pair = Plan::pair(PathBuf::new(), PathBuf::new());
                let plan = Plan { service, web, links, ..pair };
                let file = parse(&plan.cluster_toml(), "cluster.toml").unwrap();
                for node in &plan.nodes {
                    let config = file.for_node(node).unwrap();
                    assert_eq!(config.timing.deadtime, plan.deadtime);
                    let names: Vec<&str> =
                        config.links.iter().map(|link| link.name.as_str()).collect();
                    assert_eq!(names, links);
                    assert_eq!(config.groups[0].resources.len(), resources);
                }
            }
        }
    }

    #[test]
    fn every_carrier_makes_a_valid_link() {
        for (carrier, word) in [
            (Carrier::Unicast, "unicast"),
            (Carrier::UnicastV6, "unicast"),
            (Carrier::Multicast, "multicast"),
            (Carrier::MulticastV6, "multicast"),
            (Carrier::Broadcast, "broadcast"),
        ] {
            let pair = Plan::pair(PathBuf::new(), PathBuf::new());
            let plan = Plan { carriers: [Carrier::Unicast, carrier], ..pair };
            let config =
                parse(&plan.cluster_toml(), "cluster.toml").unwrap().for_node("beta").unwrap();
            assert_eq!(config.links[1].transport.word(), word);
            let address = config.links[1].transport.address(config.me);
            assert_eq!(address, carrier.address(1, 1));
        }
    }
}
