//! Multicast and broadcast, between the two ends of a cable in a namespace: each test sees what the kernel does.

use std::fs;
use std::net::SocketAddrV6;

use super::*;
use crate::config::{Address, AgentName, Group, Resource, Timeouts};
use crate::wire::GroupTag;

const V4: &str = "239.192.7.94";
const V6: &str = "ff12::8000:694";

/// Everything that a link can be besides unicast.
fn casts() -> [Transport; 4] {
    [
        multicast(V4),
        multicast(V6),
        multicast("ff15::8000:694"),
        Transport::Broadcast { addresses: vec![None; 2] },
    ]
}

fn multicast(group: &str) -> Transport {
    Transport::Multicast { group: group.parse().unwrap(), ttl: 1, addresses: vec![None; 2] }
}

fn is_ipv6(transport: &Transport) -> bool {
    matches!(transport, Transport::Multicast { group: IpAddr::V6(_), .. })
}

fn is_broadcast(transport: &Transport) -> bool {
    matches!(transport, Transport::Broadcast { .. })
}

/// Node 0 is at `lan0`, node 1 at `lan1`: the two ends of one cable. One machine holds both, so it has to believe that its
/// own addresses may come in from outside.
fn cable() {
    fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").unwrap();
    fs::write("/proc/sys/net/ipv6/conf/default/dad_transmits", "0").unwrap();
    fs::write("/proc/sys/net/ipv4/conf/default/accept_local", "1").unwrap();
    fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "0").unwrap();
    fs::write("/proc/sys/net/ipv4/conf/default/rp_filter", "0").unwrap();
    plug();
}

fn plug() {
    ip("link add lan0 type veth peer name lan1");
    for end in 0..2 {
        ip(&format!("addr add 192.0.2.{}/24 dev lan{end}", end + 1));
        ip(&format!("link set lan{end} up"));
    }
}

/// The pair as node `me` sees it, on this one link.
fn pair(transport: Transport, me: u8) -> Config {
    let mut config = config(&loopback(1, 2), me);
    config.links[0].transport = transport;
    config.links[0].interface = Some(format!("lan{me}"));
    config
}

fn open_pair(transport: &Transport) -> [Links; 2] {
    [0, 1].map(|me| {
        let mut links = open(&pair(transport.clone(), me));
        becomes(&mut links, &LinkState::Up);
        links
    })
}

/// Looks again until the link is like this: carrier and addresses of IPv6 come a moment after what brings them.
fn becomes(links: &mut Links, wanted: &LinkState) {
    for _ in 0..5_000 {
        if links.ends.iter().all(|end| end.state() == *wanted) {
            links.changes();
            return;
        }
        // As good a pause as any: a look at the kernel.
        ip("link show lo");
        links.retry();
    }
    let states: Vec<LinkState> = links.ends.iter().map(End::state).collect();
    panic!("never {wanted:?}: {states:?}");
}

fn waiting(why: &str) -> LinkState {
    LinkState::Waiting(why.to_owned())
}

/// Takes datagrams in as the loop does; how many of them were somebody's heartbeats.
fn take_in(links: &mut Links, me: u8) -> usize {
    let config = pair(multicast(V4), me);
    let mut count = 0;
    for datagram in links.receive(64) {
        let (link, source) = (datagram.link, datagram.source);
        match datagram.into_input(&config, Incarnation(1), &keys(), 0) {
            Some(Input::Received { from, .. }) => {
                links.came_from(link, from, source);
                count += 1;
            }
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }
    count
}

/// Where the kernel takes in which groups.
fn memberships(interface: &str) -> String {
    let v4 = fs::read_to_string("/proc/thread-self/net/igmp").unwrap();
    let v6 = fs::read_to_string("/proc/thread-self/net/igmp6").unwrap();
    let mut shown = String::new();
    let mut here = false;
    for line in v4.lines() {
        if !line.starts_with('\t') {
            here = line.contains(&format!("\t{interface} "));
        } else if here {
            shown.push_str(line.split_whitespace().next().unwrap_or_default());
            shown.push('\n');
        }
    }
    let columns = v6.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    shown.extend(
        columns.filter(|row| row.get(1) == Some(&interface)).map(|row| format!("{}\n", row[2])),
    );
    shown
}

/// A group as `/proc/net/igmp` and `igmp6` write it.
fn as_listed(group: &str) -> String {
    match group.parse().unwrap() {
        IpAddr::V4(group) => format!("{:08X}", group.to_bits().swap_bytes()),
        IpAddr::V6(group) => format!("{:032x}", group.to_bits()),
    }
}

#[test]
fn nodes_hear_each_other_without_addresses() {
    in_namespace(|| {
        runtime().block_on(async {
            cable();
            for transport in casts() {
                let [mut zero, mut one] = open_pair(&transport);
                assert_eq!(sockets_of(&mut one), 1, "nobody is known yet");
                zero.send(LAN, Destination::All, &heartbeat("n0", 1));
                let first = receive(&mut one, 1).await;
                assert_eq!(first.len(), 1);
                assert_eq!(first[0].source.port(), port(), "{transport:?}");
                one.came_from(LAN, NodeId(0), first[0].source);
                assert_eq!(
                    sockets_of(&mut one),
                    2,
                    "one of its own for the peer that is known now"
                );
                // Whatever it is for: each comes once, by the peer's own socket.
                for (sequence, to) in [(2, Destination::All), (3, Destination::Node(NodeId(1)))] {
                    let sent = heartbeat("n0", sequence);
                    zero.send(LAN, to, &sent);
                    let mut came = vec![];
                    for (link, inlet) in one.ends[0].peer_inlets() {
                        inlet.read(link, 64, &mut came);
                    }
                    assert_eq!(came.len(), 1, "{transport:?}");
                    assert_eq!((came[0].source, &came[0].bytes), (first[0].source, &sent));
                    assert_eq!(one.receive(64), [], "the copy is not told");
                }
                assert_eq!(one.drops(), Drops::default());
                // The kernel hands a broadcast back to its sender; a heartbeat of this very life is passed over.
                let back = zero.receive(64);
                assert_eq!(back.len(), if is_broadcast(&transport) { 3 } else { 0 });
                for datagram in back {
                    let config = pair(transport.clone(), 0);
                    let (mine, other) = (Incarnation(1), Incarnation(2));
                    let input = datagram.clone().into_input(&config, mine, &keys(), 0);
                    assert_eq!(input, None);
                    let input = datagram.into_input(&config, other, &keys(), 0);
                    assert!(
                        matches!(input, Some(Input::Namesake { link: LAN, .. })),
                        "another machine has this node's name: {input:?}"
                    );
                }
            }
        });
    });
}

#[test]
fn links_of_all_kinds_share_interface_and_port() {
    in_namespace(|| {
        runtime().block_on(async {
            cable();
            let with = |me: u8| {
                let mut config = pair(multicast(V4), me);
                let unicast = [1, 2].map(|host| IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)));
                let more = [
                    multicast("239.192.7.95"),
                    multicast(V6),
                    Transport::Broadcast { addresses: vec![None; 2] },
                    Transport::Unicast { addresses: unicast.to_vec() },
                ];
                for (number, transport) in more.into_iter().enumerate() {
                    let link = config.links[0].clone();
                    config.links.push(Link { name: format!("l{number}"), transport, ..link });
                }
                config
            };
            let mut ends = [0, 1].map(|me| open(&with(me)));
            for links in &mut ends {
                becomes(links, &LinkState::Up);
            }
            let [zero, one] = &mut ends;
            for link in (0..5).map(LinkId) {
                zero.send(link, Destination::All, &heartbeat("n0", 1));
                let came: Vec<LinkId> =
                    receive(one, 1).await.iter().map(|datagram| datagram.link).collect();
                assert_eq!(came, [link], "each kind comes on its own link, and on no other");
                assert_eq!(one.receive(64), []);
            }
        });
    });
}

#[test]
fn another_interface_is_another_link() {
    in_namespace(|| {
        runtime().block_on(async {
            cable();
            ip("link add far0 type veth peer name far1");
            ip("addr add 192.0.2.77/24 dev far0");
            ip("link set far0 up");
            ip("link set far1 up");
            for transport in casts() {
                let [_, mut one] = open_pair(&transport);
                let mut config = pair(transport.clone(), 0);
                config.links[0].interface = Some("far0".to_owned());
                let mut far = open(&config);
                becomes(&mut far, &LinkState::Up);
                far.send(LAN, Destination::All, &heartbeat("n0", 1));
                assert_eq!(one.receive(64), [], "{transport:?}");
            }
        });
    });
}

/// A flood fills the strangers' buffer, whatever it is made of; a peer that is known by now loses nothing.
#[test]
fn a_flood_on_the_group_takes_nothing_from_a_known_peer() {
    in_namespace(|| {
        runtime().block_on(async {
            cable();
            for transport in casts() {
                let [mut zero, mut one] = open_pair(&transport);
                zero.send(LAN, Destination::All, &heartbeat("n0", 1));
                assert_eq!(take_in(&mut one, 1), 1);
                let group = zero.ends[0].target_of_all().unwrap();
                let domain = socket2::Domain::for_address(group);
                let flood = socket2::Socket::new(domain, socket2::Type::DGRAM, None).unwrap();
                flood.bind_device(Some(b"lan0")).unwrap();
                flood.set_broadcast(true).unwrap();
                // A true heartbeat of the peer that somebody recorded: the filter cannot tell.
                let recorded = heartbeat("n0", 1);
                for sequence in 2..=101 {
                    for _ in 0..100 {
                        flood.send_to(&recorded, &group.into()).unwrap();
                    }
                    zero.send(LAN, Destination::All, &heartbeat("n0", sequence));
                }
                let batch = one.receive(64);
                assert_eq!(batch.len(), 64, "{transport:?}: the peer's come first");
                let from = batch[0].source;
                assert!(batch.iter().all(|datagram| datagram.source == from));
                let batch = one.receive(64);
                let of_peer = batch.iter().filter(|datagram| datagram.source == from).count();
                assert_eq!(of_peer, 36, "{transport:?}: all of them are there");
                assert!(batch.len() <= 36 + 16, "a quarter for strangers");
                while !one.receive(64).is_empty() {}
                flood.send_to(b"tells the count", &group.into()).unwrap();
                one.receive(64);
                assert_eq!(one.drops().peers, 0, "{transport:?}");
                assert!(one.drops().strangers > 5_000, "{transport:?}: {:?}", one.drops());
            }
        });
    });
}

#[test]
fn a_peer_that_moves_is_followed_and_a_replay_is_not() {
    in_namespace(|| {
        runtime().block_on(async {
            cable();
            let [mut zero, mut one] = open_pair(&multicast(V4));
            let mut sequence = 0;
            let mut beat = |zero: &mut Links, one: &mut Links| {
                sequence += 1;
                zero.send(LAN, Destination::All, &heartbeat("n0", sequence));
                take_in(one, 1)
            };
            assert_eq!(beat(&mut zero, &mut one), 1);
            let known = one.ends[0].address_of(NodeId(0));
            assert_eq!(known.map(|known| known.ip()), Some("192.0.2.1".parse().unwrap()));
            // Somebody plays it again from elsewhere, while the peer goes on.
            for _ in 0..3 {
                one.came_from(LAN, NodeId(0), "192.0.2.66:694".parse().unwrap());
                assert_eq!(beat(&mut zero, &mut one), 1);
                one.retry();
                assert_eq!(one.ends[0].address_of(NodeId(0)), known);
            }
            ip("addr add 192.0.2.9/24 dev lan0");
            ip("addr del 192.0.2.1/24 dev lan0");
            fs::write("/proc/sys/net/ipv4/conf/lan0/promote_secondaries", "1").unwrap();
            ip("addr replace 192.0.2.9/24 dev lan0");
            zero.retry();
            // A process that another test is about to start may have the old socket for a moment.
            becomes(&mut zero, &LinkState::Up);
            for _ in 0..3 {
                assert_eq!(beat(&mut zero, &mut one), 1, "nothing is lost meanwhile");
                one.retry();
            }
            let now = one.ends[0].address_of(NodeId(0));
            assert_eq!(now.map(|now| now.ip()), Some("192.0.2.9".parse().unwrap()));
            assert_eq!(sockets_of(&mut one), 2);
        });
    });
}

#[test]
fn a_second_daemon_on_the_group_waits() {
    in_namespace(|| {
        runtime().block_on(async {
            cable();
            for transport in casts() {
                let mut first = open(&pair(transport.clone(), 0));
                becomes(&mut first, &LinkState::Up);
                let mut second = open(&pair(transport.clone(), 0));
                let [(LAN, LinkState::Waiting(why))] = &second.changes()[..] else {
                    panic!("{transport:?}: it must wait")
                };
                assert!(why.contains(" is taken by another program"), "{why}");
                drop(first);
                becomes(&mut second, &LinkState::Up);
            }
        });
    });
}

/// Membership ends with the interface, and begins anew with the next one of its name.
#[test]
fn an_interface_is_made_again_renamed_and_loses_its_carrier() {
    in_namespace(|| {
        runtime().block_on(async {
            cable();
            for transport in casts() {
                let [mut zero, mut one] = open_pair(&transport);
                let works = |zero: &mut Links, one: &mut Links| {
                    zero.send(LAN, Destination::All, &heartbeat("n0", 1));
                    take_in(one, 1) == 1
                };
                let listed = match &transport {
                    Transport::Multicast { group, .. } => Some(as_listed(&group.to_string())),
                    Transport::Broadcast { .. } | Transport::Unicast { .. } => None,
                };
                let is_member =
                    || listed.as_ref().is_none_or(|group| memberships("lan1").contains(group));
                assert!(works(&mut zero, &mut one) && is_member(), "{transport:?}");

                ip("link del lan0");
                for (links, name) in [(&mut zero, "lan0"), (&mut one, "lan1")] {
                    links.retry();
                    let gone = format!("interface {name} is not on this machine");
                    assert_eq!(links.changes(), waits(&gone));
                    assert_eq!(sockets_of(links), 0);
                }
                plug();
                for links in [&mut zero, &mut one] {
                    links.retry();
                    becomes(links, &LinkState::Up);
                }
                assert!(works(&mut zero, &mut one) && is_member(), "{transport:?}: made again");

                // Made again between two looks: only sending tells.
                ip("link del lan0");
                plug();
                zero.send(LAN, Destination::All, &heartbeat("n0", 1));
                one.retry();
                if is_ipv6(&transport) {
                    becomes(&mut zero, &LinkState::Up);
                    becomes(&mut one, &LinkState::Up);
                }
                assert_eq!((zero.changes(), one.changes()), (vec![], vec![]));
                assert!(
                    works(&mut zero, &mut one) && is_member(),
                    "{transport:?}: made again at once"
                );

                ip("link set lan1 name lan9");
                one.retry();
                assert_eq!(one.changes(), waits("interface lan1 is not on this machine"));
                assert!(!works(&mut zero, &mut one), "{transport:?}: the name in the file counts");
                ip("link set lan9 name lan1");
                one.retry();
                becomes(&mut one, &LinkState::Up);
                assert!(works(&mut zero, &mut one) && is_member(), "{transport:?}: renamed back");

                ip("link set lan0 down");
                let why = "interface lan1 has no carrier: is it up, and what is at its other end?";
                becomes(&mut one, &waiting(why));
                ip("link set lan0 up");
                for links in [&mut zero, &mut one] {
                    links.retry();
                    becomes(links, &LinkState::Up);
                }
                assert!(
                    works(&mut zero, &mut one) && is_member(),
                    "{transport:?}: carrier is back"
                );
            }
        });
    });
}

#[test]
fn an_address_is_waited_for_and_one_that_moves_is_none() {
    in_namespace(|| {
        runtime().block_on(async {
            cable();
            ip("addr flush dev lan0");
            let mut config = pair(multicast(V4), 0);
            config.groups = vec![group_with("192.0.2.100")];
            let mut zero = open(&config);
            let why = "interface lan0 has no IPv4 address of its own that is ready to send from";
            assert_eq!(zero.changes(), waits(why));
            ip("addr add 192.0.2.100/24 dev lan0");
            zero.retry();
            assert_eq!(zero.changes(), [], "that address belongs to a group");
            ip("addr add 192.0.2.1/24 dev lan0");
            zero.retry();
            assert_eq!(zero.changes(), UP);
            let mut one = open(&pair(multicast(V4), 1));
            zero.send(LAN, Destination::All, &heartbeat("n0", 1));
            let came = receive(&mut one, 1).await;
            assert_eq!(came[0].source.ip(), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));

            ip("-6 addr flush dev lan0");
            let mut six = open(&pair(multicast(V6), 0));
            assert_ne!(six.changes(), UP, "its addresses were flushed");
            ip("addr add fe80::77/64 dev lan0 nodad");
            becomes(&mut six, &LinkState::Up);
            let mut one = open(&pair(multicast(V6), 1));
            becomes(&mut one, &LinkState::Up);
            six.send(LAN, Destination::All, &heartbeat("n0", 1));
            let came = receive(&mut one, 1).await;
            let SocketAddr::V6(source) = came[0].source else { panic!("IPv6") };
            assert_eq!(*source.ip(), "fe80::77".parse::<Ipv6Addr>().unwrap());
            assert_ne!(SocketAddrV6::scope_id(&source), 0);
        });
    });
}

#[test]
fn a_link_without_interface_is_found_by_this_nodes_address() {
    in_namespace(|| {
        runtime().block_on(async {
            cable();
            ip("addr add 198.51.100.1/24 dev lan0");
            let own: Ipv4Addr = "198.51.100.1".parse().unwrap();
            for transport in [
                Transport::Multicast {
                    group: V4.parse().unwrap(),
                    ttl: 1,
                    addresses: vec![Some(own.into()), None],
                },
                Transport::Broadcast { addresses: vec![Some(own), None] },
            ] {
                let mut config = pair(transport.clone(), 0);
                config.links[0].interface = None;
                let mut zero = open(&config);
                assert_eq!(zero.changes(), UP);
                let target = zero.ends[0].target_of_all().unwrap().ip();
                if is_broadcast(&transport) {
                    assert_eq!(target, "198.51.100.255".parse::<IpAddr>().unwrap());
                    continue;
                }
                let mut one = open(&pair(multicast(V4), 1));
                zero.send(LAN, Destination::All, &heartbeat("n0", 1));
                assert_eq!(receive(&mut one, 1).await[0].source.ip(), IpAddr::V4(own));
            }
        });
    });
}

#[test]
fn broadcast_follows_the_address_of_the_interface() {
    in_namespace(|| {
        runtime().block_on(async {
            cable();
            let mut zero = open(&pair(Transport::Broadcast { addresses: vec![None; 2] }, 0));
            let target = |links: &mut Links| {
                links.retry();
                links.ends[0].target_of_all().map(|target| target.ip().to_string())
            };
            assert_eq!(target(&mut zero).as_deref(), Some("192.0.2.255"));
            ip("addr flush dev lan0");
            assert_eq!(target(&mut zero), None);
            ip("addr add 198.51.100.1/25 dev lan0");
            assert_eq!(target(&mut zero).as_deref(), Some("198.51.100.127"));
            ip("addr flush dev lan0");
            ip("addr add 198.51.100.1/24 brd 198.51.100.9 dev lan0");
            assert_eq!(target(&mut zero).as_deref(), Some("198.51.100.9"));
            ip("addr flush dev lan0");
            ip("addr add 198.51.100.0/31 dev lan0");
            assert_eq!(target(&mut zero).as_deref(), Some("255.255.255.255"));
            // The last one is heard as well, from the other machine of such a network.
            ip("addr flush dev lan1");
            ip("addr add 198.51.100.1/31 dev lan1");
            let mut one = open(&pair(Transport::Broadcast { addresses: vec![None; 2] }, 1));
            zero.send(LAN, Destination::All, &heartbeat("n0", 1));
            assert_eq!(receive(&mut one, 1).await.len(), 1);
        });
    });
}

fn group_with(ip: &str) -> Group {
    let second = Duration::from_secs(1);
    let address = Address { ip: ip.parse().unwrap(), prefix: 24, interface: None };
    Group {
        name: "web".to_owned(),
        tag: GroupTag::of("web"),
        nodes: vec![NodeId(0), NodeId(1)],
        auto_failback: false,
        resources: vec![Resource {
            name: "vip".to_owned(),
            agent: AgentName("IPaddr".to_owned()),
            params: std::collections::BTreeMap::new(),
            monitor: None,
            timeout: Timeouts { start: second, stop: second, monitor: second },
            address: Some(address),
        }],
    }
}
