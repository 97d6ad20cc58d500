//! The switch: bridges in a namespace of their own, and the faults. A fault never happens inside a node, since a packet
//! socket there would pass it by.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::error::{LabError, file};
use super::plan::{CLIENT, LAN, LINKS, NETWORKS, PING_NODE, PORT, address_v6, addresses};
use super::room::Room;
use super::tool;

/// The switch in the namespaces of the calling process: a bridge for each network.
#[derive(Debug)]
pub struct Switch {
    /// What the filter drops now.
    losses: RefCell<BTreeSet<Loss>>,
    /// Whether the cards on each network have IPv6 too.
    ipv6: [bool; 3],
    /// Ports that are down: network and node.
    cut: RefCell<BTreeSet<(String, String)>>,
    /// Networks that are switched off.
    stopped: RefCell<BTreeSet<String>>,
}

/// Something that the switch drops.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Loss {
    /// Heartbeats from one node to another on one link.
    Heartbeats {
        /// The link.
        link: String,
        /// Their sender.
        from: String,
        /// Their receiver.
        to: String,
    },
    /// Heartbeats from one node to another on one link, at random.
    Some {
        /// The link.
        link: String,
        /// Their sender.
        from: String,
        /// Their receiver.
        to: String,
        /// Of a hundred.
        percent: u8,
    },
    /// Frames on one link, at random.
    Percent {
        /// The link.
        link: String,
        /// Of a hundred frames.
        percent: u8,
    },
}

impl Switch {
    /// Makes the bridges.
    pub(super) fn new(ipv6: [bool; 3]) -> Result<Self, LabError> {
        let mut lines = "link set lo up\n".to_owned();
        for network in NETWORKS {
            // A simple switch; with STP its ports would wait for half a minute.
            let _ = write!(
                lines,
                "link add {network} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\nlink set {network} up\n"
            );
        }
        tool::ip(&lines)?;
        Ok(Self {
            losses: RefCell::default(),
            ipv6,
            cut: RefCell::default(),
            stopped: RefCell::default(),
        })
    }

    /// Plugs a node in: `eth0` on the service network, `eth1` and `eth2` on the heartbeat networks. Its cards keep their
    /// addresses, so that a node that comes back is the same machine to its neighbours.
    pub(super) fn plug_node(&self, node: &str, index: usize, room: &Room) -> Result<(), LabError> {
        room.within(|| tool::ip("link set lo up\n"))??;
        NETWORKS.into_iter().try_for_each(|network| self.plug_card(node, index, network, room))
    }

    /// Plugs one card of a node in, new or again.
    pub(super) fn plug_card(
        &self,
        node: &str,
        index: usize,
        network: &str,
        room: &Room,
    ) -> Result<(), LabError> {
        let host = index + 1;
        let cards = NETWORKS.into_iter().zip(addresses(index)).zip(self.ipv6).enumerate();
        for (number, ((_, address), ipv6)) in cards.filter(|(_, ((name, _), _))| *name == network) {
            let card = format!("eth{number}");
            plug(network, node, &card, &format!("02:77:00:00:0{number}:0{host}"), room)?;
            let mut inner = format!("addr add {address}/24 brd + dev {card}\nlink set {card} up\n");
            if ipv6 {
                let address = address_v6(number, index);
                let _ = writeln!(inner, "addr add {address}/64 dev {card} nodad");
            }
            room.within(move || {
                if ipv6 {
                    allow_ipv6(&card)?;
                }
                tool::ip(&inner)
            })??;
        }
        Ok(())
    }

    /// Pulls one card out of a node: the interface is gone.
    pub(super) fn pull_card(&self, node: &str, link: &str) -> Result<(), LabError> {
        tool::ip(&format!("link del {link}.{node}\n"))
    }

    /// Lets the switch look into IGMP and MLD on a link, and, as a querier, ask who listens to which group.
    ///
    /// # Errors
    /// If `ip` refuses.
    pub fn snoop(&self, link: &str, querier: bool) -> Result<(), LabError> {
        let querier = u8::from(querier);
        // A new querier lets everything pass for as long as answers to its first query may take: 3 s. Its second one is sent
        // after half a second and wants answers within 0.2 s, so that on a busy machine too all have come by then.
        tool::ip(&format!(
            "link set {link} type bridge mcast_snooping 1 mcast_query_response_interval 300 \
             mcast_startup_query_interval 50\n\
             link set {link} type bridge mcast_querier {querier}\n\
             link set {link} type bridge mcast_query_response_interval 20\n"
        ))
    }

    /// Plugs the client and the ping node into the service network.
    pub(super) fn plug_strangers(&self, client: &Room, ping_node: &Room) -> Result<(), LabError> {
        for (name, room, address) in [("client", client, CLIENT), ("ping", ping_node, PING_NODE)] {
            let [.., host] = address.octets();
            plug(LAN, name, "eth0", &format!("02:77:00:00:00:{host:02x}"), room)?;
            let inner =
                format!("link set lo up\naddr add {address}/24 brd + dev eth0\nlink set eth0 up\n");
            room.within(move || tool::ip(&inner))??;
        }
        Ok(())
    }

    /// Takes a node's ports away; its cards go with them.
    pub(super) fn unplug_node(&self, node: &str) -> Result<(), LabError> {
        self.cut.borrow_mut().retain(|(_, owner)| owner != node);
        tool::ip(&NETWORKS.map(|network| format!("link del {network}.{node}\n")).concat())
    }

    /// Cuts a node off all networks at once.
    pub(super) fn cut_all(&self, node: &str) -> Result<(), LabError> {
        tool::ip(&NETWORKS.map(|network| format!("link set {network}.{node} down\n")).concat())
    }

    /// Switches networks off: nothing on them reaches anybody any more, while every card keeps its carrier. No node can
    /// tell that from a peer that is dead.
    ///
    /// # Errors
    /// If `ip` refuses.
    pub fn stop(&self, networks: &[&str]) -> Result<(), LabError> {
        // A bridge that is down forwards nothing; its ports stay up.
        let lines: String =
            networks.iter().map(|network| format!("link set {network} down\n")).collect();
        self.stopped.borrow_mut().extend(networks.iter().map(|network| (*network).to_owned()));
        tool::ip(&lines)
    }

    /// Heals every port that was cut and switches every network on again; what it did, a sentence each.
    ///
    /// # Errors
    /// If `ip` refuses.
    pub fn restore(&self) -> Result<Vec<String>, LabError> {
        let (stopped, cut) = (self.stopped.take(), self.cut.take());
        let mut done = Vec::new();
        if !stopped.is_empty() {
            let names: Vec<&str> = stopped.iter().map(String::as_str).collect();
            done.push(format!("the networks {} carry frames again", names.join(" and ")));
        }
        let mut lines: String =
            stopped.iter().map(|network| format!("link set {network} up\n")).collect();
        for (link, node) in cut {
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "link set {link}.{node} up");
            done.push(format!("the port of {node} on {link} comes up again"));
        }
        tool::ip(&lines)?;
        Ok(done)
    }

    /// Cuts a node's port on one link.
    ///
    /// # Errors
    /// If `ip` refuses.
    pub fn cut(&self, node: &str, link: &str) -> Result<(), LabError> {
        self.cut.borrow_mut().insert((link.to_owned(), node.to_owned()));
        tool::ip(&format!("link set {link}.{node} down\n"))
    }

    /// Heals a port that was cut.
    ///
    /// # Errors
    /// If `ip` refuses.
    pub fn heal(&self, node: &str, link: &str) -> Result<(), LabError> {
        self.cut.borrow_mut().remove(&(link.to_owned(), node.to_owned()));
        tool::ip(&format!("link set {link}.{node} up\n"))
    }

    /// Whether a node's port on a link is cut.
    #[must_use]
    pub fn is_cut(&self, node: &str, link: &str) -> bool {
        self.cut.borrow().contains(&(link.to_owned(), node.to_owned()))
    }

    /// Drops heartbeats between two nodes, both ways and on the usual links, while everything else goes through.
    ///
    /// # Errors
    /// [`LabError::ToolMissing`] without `nft`.
    pub fn cut_heartbeats(&self, one: &str, other: &str) -> Result<(), LabError> {
        self.drop_also(
            LINKS
                .iter()
                .flat_map(|link| [heartbeats(link, one, other), heartbeats(link, other, one)]),
        )
    }

    /// Drops heartbeats one way.
    ///
    /// # Errors
    /// [`LabError::ToolMissing`] without `nft`.
    pub fn cut_heartbeats_one_way(&self, from: &str, to: &str) -> Result<(), LabError> {
        self.drop_also(LINKS.iter().map(|link| heartbeats(link, from, to)))
    }

    /// Drops heartbeats one way on one link.
    ///
    /// # Errors
    /// [`LabError::ToolMissing`] without `nft`.
    pub fn cut_link_one_way(&self, link: &str, from: &str, to: &str) -> Result<(), LabError> {
        self.drop_also([heartbeats(link, from, to)])
    }

    /// Drops so many of a hundred frames on a link, whoever sent them.
    ///
    /// # Errors
    /// [`LabError::ToolMissing`] without `nft`.
    pub fn lose(&self, link: &str, percent: u8) -> Result<(), LabError> {
        self.drop_also([Loss::Percent { link: link.to_owned(), percent }])
    }

    /// Drops so many of a hundred heartbeats one way on one link.
    ///
    /// # Errors
    /// [`LabError::ToolMissing`] without `nft`.
    pub fn lose_one_way(
        &self,
        link: &str,
        from: &str,
        to: &str,
        percent: u8,
    ) -> Result<(), LabError> {
        let [link, from, to] = [link, from, to].map(str::to_owned);
        self.drop_also([Loss::Some { link, from, to, percent }])
    }

    /// Ends all loss. Ports that were cut stay cut.
    ///
    /// # Errors
    /// [`LabError::ToolMissing`] without `nft`.
    pub fn lose_nothing(&self) -> Result<(), LabError> {
        self.losses.borrow_mut().clear();
        self.load()
    }

    fn drop_also(&self, losses: impl IntoIterator<Item = Loss>) -> Result<(), LabError> {
        self.losses.borrow_mut().extend(losses);
        self.load()
    }

    /// Replaces the whole filter in one transaction.
    fn load(&self) -> Result<(), LabError> {
        tool::nft(&ruleset(&self.losses.borrow()))
    }
}

/// `LINK.OWNER` in the switch, joined to the bridge `LINK`; its other end is a card in the room.
fn plug(link: &str, owner: &str, card: &str, mac: &str, room: &Room) -> Result<(), LabError> {
    tool::ip(&format!(
        "link add {link}.{owner} type veth peer name {card} address {mac} netns {}\n\
         link set {link}.{owner} master {link}\nlink set {link}.{owner} up\n",
        room.tid()
    ))
}

fn heartbeats(link: &str, from: &str, to: &str) -> Loss {
    Loss::Heartbeats { link: link.to_owned(), from: from.to_owned(), to: to.to_owned() }
}

/// Gives a card IPv6 in the namespaces of the calling thread. Its own address is ready at once: nobody else has it.
fn allow_ipv6(card: &str) -> Result<(), LabError> {
    for (key, value) in [("accept_dad", "0"), ("disable_ipv6", "0")] {
        let path = Path::new("/proc/sys/net/ipv6/conf").join(card).join(key);
        fs::write(&path, value).map_err(file(&path))?;
    }
    Ok(())
}

fn ruleset(losses: &BTreeSet<Loss>) -> String {
    let mut text =
        "table bridge lab {}\ndelete table bridge lab\ntable bridge lab {\n  chain forward {\n    \
                    type filter hook forward priority 0; policy accept;\n"
            .to_owned();
    for loss in losses {
        // Writing to a string cannot fail.
        let _ = match loss {
            Loss::Heartbeats { link, from, to } => writeln!(
                text,
                "    iifname \"{link}.{from}\" oifname \"{link}.{to}\" udp dport {PORT} drop"
            ),
            Loss::Some { link, from, to, percent } => writeln!(
                text,
                "    iifname \"{link}.{from}\" oifname \"{link}.{to}\" udp dport {PORT} numgen random mod 100 < {percent} drop"
            ),
            Loss::Percent { link, percent } => {
                writeln!(text, "    iifname \"{link}.*\" numgen random mod 100 < {percent} drop")
            }
        };
    }
    text.push_str("  }\n}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::super::plan::PRIVATE;
    use super::*;

    #[test]
    fn the_filter_names_ports_on_both_links() {
        let losses = BTreeSet::from([
            heartbeats(LAN, "alpha", "beta"),
            heartbeats(PRIVATE, "alpha", "beta"),
            Loss::Percent { link: PRIVATE.to_owned(), percent: 30 },
        ]);
        let text = ruleset(&losses);
        for rule in [
            "iifname \"lan.alpha\" oifname \"lan.beta\" udp dport 694 drop",
            "iifname \"private.alpha\" oifname \"private.beta\" udp dport 694 drop",
            "iifname \"private.*\" numgen random mod 100 < 30 drop",
        ] {
            assert!(text.contains(rule), "{rule} in\n{text}");
        }
    }
}
