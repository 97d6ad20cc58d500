//! Over loopback: each node has an address in 127.0.0.0/8, so that one machine holds a cluster. Each test has a /24 of
//! its own. The
//! kernel's rules that the module stands on are tested, not believed.

mod cast;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

use super::*;
use crate::config::{Digests, Guard, Link, Node, NodeId, Timing, Transport};
use crate::wire::{
    Body, Flags, Header, Heartbeat, Incarnation, MAX_DATAGRAM, NodeTag, Phase, Report, Sequence,
    seal,
};

const LAN: LinkId = LinkId(0);
const KEYS: &str =
    "auth 1\n1 sha256 f05a1dc3b3f9e2b6c8b35a7f4fb1adf6f2a8f2ca34c7c6f6b0d4a5b1e60cb4d9";

/// Two runs of these tests on one machine do not meet.
fn port() -> u16 {
    10_000 + u16::try_from(std::process::id() % 20_000).unwrap()
}

/// A cluster on one link, as node `me` sees it.
fn config(addresses: &[IpAddr], me: u8) -> Config {
    let ms = Duration::from_millis;
    let node = |index: usize| {
        let name = format!("n{index}");
        Node { tag: NodeTag::of(&name), name }
    };
    Config {
        cluster: "web".to_owned(),
        me: NodeId(me),
        timing: Timing {
            keepalive: ms(100),
            warntime: ms(200),
            deadtime: ms(500),
            initdead: ms(2_000),
        },
        warn_offset: Duration::from_secs(1),
        links: vec![Link {
            name: "lan".to_owned(),
            transport: Transport::Unicast { addresses: addresses.to_vec() },
            port: port(),
            interface: None,
        }],
        nodes: (0..addresses.len()).map(node).collect(),
        guard: Guard { ping: vec![], arp: false },
        groups: vec![],
        metrics: None,
        digests: Digests([0; 4]),
    }
}

/// Addresses 127.1.`net`.1 and on.
fn loopback(net: u8, count: u8) -> Vec<IpAddr> {
    (1..=count).map(|host| IpAddr::V4(Ipv4Addr::new(127, 1, net, host))).collect()
}

fn keys() -> Keys {
    Keys::parse(KEYS).unwrap()
}

fn heartbeat(sender: &str, sequence: u64) -> Vec<u8> {
    let header = Header {
        sender: NodeTag::of(sender),
        incarnation: Incarnation(1),
        sequence: Sequence(sequence),
        sent_us: 0,
        wall_us: 0,
        flags: Flags::default(),
        keepalive_us: 100_000,
        deadtime_us: 500_000,
        echoes: vec![],
        records: vec![],
    };
    let report = Report {
        phase: Phase::Active,
        digests: [0; 4],
        macs: vec![],
        groups: vec![],
        wishes: vec![],
    };
    let heartbeat = Heartbeat { header, body: Body::Known(report) };
    seal(&heartbeat, 0, &keys(), config(&[], 0).cluster_tag()).unwrap()
}

/// A stranger's socket on a free port of this address.
fn stranger(address: IpAddr) -> UdpSocket {
    UdpSocket::bind((address, 0)).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Reads until so many datagrams came. Loopback delivers within the send, so the deadline is for failures only.
async fn receive(links: &mut Links, count: usize) -> Vec<Datagram> {
    let mut all = vec![];
    let reading = async {
        while all.len() < count {
            links.ready().await.unwrap();
            all.extend(links.receive(64));
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(5), reading).await;
    assert!(in_time.is_ok(), "{count} datagrams expected, came: {all:?}");
    all
}

fn open(config: &Config) -> Links {
    Links::open(config).expect("rtnetlink works")
}

fn sockets_of(links: &mut Links) -> usize {
    links.ends.iter().flat_map(End::sockets).count()
}

#[test]
fn nodes_hear_each_other() {
    runtime().block_on(async {
        let addresses = loopback(1, 3);
        let mut nodes: Vec<Links> = (0..3).map(|me| open(&config(&addresses, me))).collect();
        for node in &mut nodes {
            assert_eq!(node.changes(), UP);
            assert_eq!(node.changes(), []);
            assert_eq!(sockets_of(node), 3, "one of its own, one for each peer");
        }
        nodes[0].send(LAN, Destination::All, b"to all");
        nodes[0].send(LAN, Destination::Node(NodeId(2)), b"to n2");
        let source = SocketAddr::new(addresses[0], port());
        let datagram = |bytes: &[u8]| Datagram { link: LAN, source, bytes: bytes.to_vec() };
        // They reached the socket of the peer, but the filter lets nothing through that is no heartbeat.
        assert_eq!(nodes[1].receive(64), []);
        let (one, two) = (heartbeat("n0", 1), heartbeat("n0", 2));
        nodes[0].send(LAN, Destination::All, &one);
        nodes[0].send(LAN, Destination::Node(NodeId(2)), &two);
        assert_eq!(receive(&mut nodes[1], 1).await, [datagram(&one)]);
        assert_eq!(receive(&mut nodes[2], 2).await, [datagram(&one), datagram(&two)]);
        assert_eq!(nodes[1].drops(), Drops { peers: 1, strangers: 0 });
        assert_eq!(nodes[2].drops(), Drops { peers: 2, strangers: 0 });
        assert_eq!(nodes[0].receive(64), [], "nobody hears itself");
    });
}

#[test]
fn ipv6_works_too() {
    runtime().block_on(async {
        let address = IpAddr::V6(Ipv6Addr::LOCALHOST);
        // One machine has one loopback address of IPv6: this node is its own peer, and hears what it sends.
        let mut links = open(&config(&[address, address], 0));
        assert_eq!(links.changes(), UP);
        let sent = heartbeat("n1", 1);
        links.send(LAN, Destination::Node(NodeId(1)), &sent);
        let came = receive(&mut links, 1).await;
        assert_eq!((came[0].source, &came[0].bytes), (SocketAddr::new(address, port()), &sent));
    });
}

/// Where each datagram goes: a peer's to its own socket, all others to the node's own.
#[test]
fn only_the_peer_reaches_its_socket() {
    runtime().block_on(async {
        let addresses = loopback(2, 2);
        let mut links = open(&config(&addresses, 0));
        let here = SocketAddr::new(addresses[0], port());
        let peer = UdpSocket::bind((addresses[1], port())).unwrap();
        // Many, since where the kernel may choose it chooses by a hash of both ends.
        let other_ports = [(); 50].map(|()| stranger(addresses[1]));
        let other_addresses = [(); 50].map(|()| stranger(loopback(2, 3)[2]));
        for socket in other_ports.iter().chain(&other_addresses) {
            socket.send_to(&heartbeat("n1", 1), here).unwrap();
        }
        peer.send_to(&heartbeat("n1", 1), here).unwrap();
        let end = &mut links.ends[0];
        let (mut peers, mut strangers) = (vec![], vec![]);
        for (link, inlet) in end.peer_inlets() {
            inlet.read(link, 64, &mut peers);
        }
        end.read_strangers(200, &mut strangers);
        assert_eq!(peers.len(), 1);
        assert_eq!(peers[0].source, SocketAddr::new(addresses[1], port()));
        assert_eq!(strangers.len(), 100);
    });
}

/// What the filter refuses is not in the peer's buffer, whoever sent it. Another cluster's name is not for the filter to
/// judge: an operator who mistyped it has to be told.
#[test]
fn the_filter_knows_magic_and_length() {
    runtime().block_on(async {
        let addresses = loopback(3, 2);
        let mut links = open(&config(&addresses, 0));
        let peer = UdpSocket::bind((addresses[1], port())).unwrap();
        let here = SocketAddr::new(addresses[0], port());
        let good = heartbeat("n1", 1);
        let mut refused = vec![vec![], good[..MIN - 1].to_vec()];
        refused.push([good.as_slice(), &[0; MAX_DATAGRAM]].concat()[..=MAX_DATAGRAM].to_vec());
        for byte in 0..4 {
            let mut changed = good.clone();
            changed[byte] ^= 1;
            refused.push(changed);
        }
        for datagram in &refused {
            peer.send_to(datagram, here).unwrap();
        }
        assert_eq!(links.receive(64), []);
        let longest = [good.as_slice(), &[0; MAX_DATAGRAM]].concat()[..MAX_DATAGRAM].to_vec();
        let mut foreign = good.clone();
        foreign[4] ^= 1;
        for datagram in [&good[..MIN].to_vec(), &longest, &good, &foreign] {
            peer.send_to(datagram, here).unwrap();
        }
        let lengths: Vec<usize> =
            links.receive(64).iter().map(|datagram| datagram.bytes.len()).collect();
        assert_eq!(lengths, [MIN, MAX_DATAGRAM, good.len(), good.len()]);
        assert_eq!(links.drops().peers, refused.len() as u64);
    });
}

const MIN: usize = wire::MIN_DATAGRAM;

/// A flood from elsewhere fills another buffer, is read in small shares, and is counted; the peer loses nothing.
#[test]
fn a_flood_of_strangers_takes_nothing_from_a_peer() {
    runtime().block_on(async {
        let addresses = loopback(4, 2);
        let mut links = open(&config(&addresses, 0));
        let peer = UdpSocket::bind((addresses[1], port())).unwrap();
        let here = SocketAddr::new(addresses[0], port());
        let flood = stranger(loopback(4, 3)[2]);
        for sequence in 1..=100 {
            for _ in 0..100 {
                flood.send_to(&[0; MAX_DATAGRAM], here).unwrap();
            }
            peer.send_to(&heartbeat("n1", sequence), here).unwrap();
        }
        let batch = links.receive(64);
        assert!(batch.iter().all(|datagram| datagram.source == peer.local_addr().unwrap()));
        assert_eq!(batch.len(), 64, "peers come first");
        let batch = links.receive(64);
        let of_peer =
            batch.iter().filter(|datagram| datagram.source == peer.local_addr().unwrap()).count();
        assert_eq!(
            (of_peer, batch.len()),
            (36, 36 + 16),
            "a quarter for strangers; fewer than 64: peers are read"
        );
        while !links.receive(64).is_empty() {}
        flood.send_to(b"tells the count", here).unwrap();
        assert_eq!(links.receive(64).len(), 1);
        assert!(links.drops().strangers > 5_000, "{:?}", links.drops());
        assert_eq!(links.drops().peers, 0);
    });
}

/// A peer that floods (or somebody in its name) does not keep another from being read.
#[test]
fn peers_take_turns() {
    runtime().block_on(async {
        let addresses = loopback(5, 3);
        let mut links = open(&config(&addresses, 0));
        let here = SocketAddr::new(addresses[0], port());
        let [loud, quiet] =
            [1, 2].map(|node: usize| UdpSocket::bind((addresses[node], port())).unwrap());
        for sequence in 1..=300 {
            loud.send_to(&heartbeat("n1", sequence), here).unwrap();
        }
        quiet.send_to(&heartbeat("n2", 1), here).unwrap();
        for _ in 0..2 {
            let batch = links.receive(16);
            assert_eq!(batch.len(), 16, "the bound holds");
            if batch.iter().any(|datagram| datagram.source.ip() == addresses[2]) {
                return;
            }
        }
        panic!("the quiet peer was not read");
    });
}

/// P5: datagrams that came while the loop stood still are read without asking the runtime first.
#[test]
fn what_is_in_the_sockets_is_read_without_waiting() {
    runtime().block_on(async {
        let addresses = loopback(6, 2);
        let mut links = open(&config(&addresses, 0));
        let peer = UdpSocket::bind((addresses[1], port())).unwrap();
        for sequence in 1..=3 {
            peer.send_to(&heartbeat("n1", sequence), (addresses[0], port())).unwrap();
            assert_eq!(links.receive(64).len(), 1, "no await in between");
        }
        // The runtime does not miss the next.
        peer.send_to(&heartbeat("n1", 4), (addresses[0], port())).unwrap();
        assert_eq!(receive(&mut links, 1).await.len(), 1);
        // The runtime may say "ready" once for what is already read, and then has to wait.
        let spins = async {
            for _ in 0..3 {
                links.ready().await.unwrap();
                assert_eq!(links.receive(64), []);
                tokio::task::yield_now().await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_millis(50), spins).await.is_err());
    });
}

/// A second daemon must not get every other datagram in silence.
#[test]
fn a_second_daemon_waits_until_the_first_is_gone() {
    runtime().block_on(async {
        let addresses = loopback(7, 2);
        let first = open(&config(&addresses, 0));
        let mut second = open(&config(&addresses, 0));
        let [(LAN, LinkState::Waiting(why))] = &second.changes()[..] else {
            panic!("it must wait")
        };
        assert!(why.contains(" is taken by another program"), "{why}");
        drop(first);
        second.retry();
        assert_eq!(second.changes(), UP);
        assert_eq!(sockets_of(&mut second), 2);
    });
}

/// An ICMP error (nobody listens at the peer) neither stops the link nor swallows what is sent next.
#[test]
fn a_peer_that_does_not_listen_is_no_trouble() {
    runtime().block_on(async {
        let addresses = loopback(8, 2);
        let mut links = open(&config(&addresses, 0));
        let datagram = heartbeat("n0", 1);
        for _ in 0..3 {
            links.send(LAN, Destination::All, &datagram);
            assert_eq!(links.receive(64), []);
        }
        assert_eq!(links.changes(), UP);
        let peer = UdpSocket::bind((addresses[1], port())).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        links.send(LAN, Destination::All, &datagram);
        let mut buffer = [0; MAX_DATAGRAM];
        assert_eq!(peer.recv(&mut buffer).unwrap(), datagram.len());
        peer.send_to(&heartbeat("n1", 1), (addresses[0], port())).unwrap();
        assert_eq!(receive(&mut links, 1).await.len(), 1);
    });
}

#[test]
fn what_is_missing_is_waited_for() {
    runtime().block_on(async {
        let nowhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let mut links = open(&config(&[nowhere, loopback(9, 1)[0]], 0));
        assert_eq!(links.changes(), waits("address 192.0.2.1 is not on this machine"));
        links.retry();
        links.send(LAN, Destination::All, b"nothing happens");
        assert_eq!((links.changes(), links.receive(64)), (vec![], vec![]));

        let mut config = config(&loopback(9, 2), 0);
        config.links[0].interface = Some("nosuch0".to_owned());
        assert_eq!(open(&config).changes(), waits("interface nosuch0 is not on this machine"));
        config.links[0].interface = Some("lo".to_owned());
        assert_eq!(open(&config).changes(), UP);
    });
}

/// A socket on a loopback address cannot send to the world: the link says so, once, and is well again a retry after
/// sending works.
#[test]
fn a_failure_to_send_is_a_state_and_not_a_stream_of_news() {
    runtime().block_on(async {
        let mut addresses = loopback(10, 2);
        addresses.push(IpAddr::V4(Ipv4Addr::BROADCAST));
        let mut links = open(&config(&addresses, 0));
        let [(LAN, LinkState::Waiting(why))] = &links.changes()[..] else { panic!("it must wait") };
        assert!(why.starts_with("nothing can be sent to 255.255.255.255: "), "{why}");
        for round in 0..3 {
            links.send(LAN, Destination::All, &heartbeat("n0", 1));
            links.retry();
            assert_eq!(links.changes(), [], "round {round}");
        }
        let _listens = UdpSocket::bind((addresses[1], port())).unwrap();
        links.send(LAN, Destination::Node(NodeId(1)), &heartbeat("n0", 1));
        links.retry();
        assert_eq!(links.changes(), [], "that one peer is reached says nothing of the other");
    });
}

/// Runs a test in a network namespace of its own, which vanishes with it.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        let unshared = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET);
        assert_eq!(
            unshared,
            Ok(()),
            "a network namespace needs root: run the tests under `unshare -r`"
        );
        ip("link set lo up");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn ip(arguments: &str) {
    #[expect(clippy::disallowed_methods, reason = "a test changes the namespace that it made")]
    let output = std::process::Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {output:?}");
}

/// Addresses of documentation (RFC 5737) on a pair of interfaces, as a machine that is being set up.
fn with_interface() -> Config {
    ip("link add lan0 type veth peer name lan1");
    ip("link set lan0 up");
    ip("link set lan1 up");
    let addresses = [1, 2].map(|host| IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)));
    config(&addresses, 0)
}

fn waits(why: &str) -> Vec<(LinkId, LinkState)> {
    vec![(LAN, LinkState::Waiting(why.to_owned()))]
}

const UP: [(LinkId, LinkState); 1] = [(LAN, LinkState::Up)];

#[test]
fn an_address_comes_and_goes() {
    in_namespace(|| {
        runtime().block_on(async {
            let config = with_interface();
            let mut links = open(&config);
            assert_eq!(links.changes(), waits("address 192.0.2.1 is not on this machine"));
            for noticed_by_sending in [false, true] {
                ip("addr add 192.0.2.1/24 dev lan0");
                links.retry();
                assert_eq!(links.changes(), UP);
                assert_eq!(sockets_of(&mut links), 2);
                ip("addr del 192.0.2.1/24 dev lan0");
                if noticed_by_sending {
                    links.send(LAN, Destination::All, &heartbeat("n0", 1));
                } else {
                    links.retry();
                }
                assert_eq!(links.changes(), waits("address 192.0.2.1 is not on this machine"));
                assert_eq!(sockets_of(&mut links), 0);
            }
        });
    });
}

/// A new interface of the same name is another one: sockets that are bound to the old are opened again.
#[test]
fn an_interface_comes_and_goes() {
    in_namespace(|| {
        runtime().block_on(async {
            let mut config = with_interface();
            config.links[0].interface = Some("lan0".to_owned());
            ip("addr add 192.0.2.1/24 dev lan0");
            let mut links = open(&config);
            assert_eq!(links.changes(), UP);
            ip("link del lan0");
            with_interface();
            ip("addr add 192.0.2.1/24 dev lan0");
            let datagram = heartbeat("n0", 1);
            links.send(LAN, Destination::All, &datagram);
            assert_eq!(links.changes(), [], "that one was lost, and the next goes the new way");
            links.send(LAN, Destination::All, &datagram);
            assert_eq!(links.changes(), []);
            ip("link set lan0 name lan9");
            links.retry();
            assert_eq!(links.changes(), waits("interface lan0 is not on this machine"));
            assert_eq!(sockets_of(&mut links), 0, "the name in the file counts");
            ip("link set lan9 name lan0");
            links.retry();
            assert_eq!(links.changes(), UP);
        });
    });
}

#[test]
fn a_link_recovers_when_sending_works_again() {
    in_namespace(|| {
        runtime().block_on(async {
            let config = with_interface();
            ip("addr add 192.0.2.1/24 dev lan0");
            let mut links = open(&config);
            assert_eq!(links.changes(), UP);
            ip("route add unreachable 192.0.2.2/32");
            let datagram = heartbeat("n0", 1);
            links.send(LAN, Destination::All, &datagram);
            assert_eq!(
                links.changes(),
                waits("nothing can be sent to 192.0.2.2: No route to host")
            );
            ip("route del unreachable 192.0.2.2/32");
            links.retry();
            assert_eq!(links.changes(), [], "nothing was sent yet");
            links.send(LAN, Destination::All, &datagram);
            assert_eq!(links.changes(), [], "a retry decides");
            links.retry();
            assert_eq!(links.changes(), UP);
        });
    });
}

#[test]
fn an_interface_that_is_down_is_named() {
    in_namespace(|| {
        runtime().block_on(async {
            let config = with_interface();
            ip("addr add 192.0.2.1/24 dev lan0");
            ip("link set lan0 down");
            let mut links = open(&config);
            let down =
                waits("interface lan0 has no carrier: is it up, and what is at its other end?");
            assert_eq!(links.changes(), down);
            ip("link set lan0 up");
            links.retry();
            assert_eq!(links.changes(), UP);
            ip("link set lan0 down");
            links.send(LAN, Destination::All, &heartbeat("n0", 1));
            assert_eq!(links.changes(), down);
        });
    });
}

/// At boot the address may be there before the route: the peer gets its socket later, and is heard already.
#[test]
fn a_peer_without_a_route_gets_its_socket_later() {
    in_namespace(|| {
        runtime().block_on(async {
            let config = with_interface();
            ip("addr add 192.0.2.1/32 dev lan0");
            let mut links = open(&config);
            assert_eq!(
                links.changes(),
                waits("nothing can be sent to 192.0.2.2: Network is unreachable")
            );
            assert_eq!(sockets_of(&mut links), 1);
            ip("addr add 192.0.2.2/32 dev lo");
            let peer = UdpSocket::bind(("192.0.2.2", port())).unwrap();
            let receives = |links: &mut Links| {
                peer.send_to(&heartbeat("n1", 1), ("192.0.2.1", port())).unwrap();
                links.receive(64).len()
            };
            assert_eq!(receives(&mut links), 1, "among the strangers");
            links.retry();
            assert_eq!(sockets_of(&mut links), 2);
            assert_eq!(links.changes(), UP);
            assert_eq!(receives(&mut links), 1, "by its own socket");
        });
    });
}

#[test]
fn each_refusal_reaches_the_core_with_its_kind() {
    let config = config(&loopback(11, 2), 0);
    let source = SocketAddr::new(loopback(11, 2)[1], port());
    let input = |bytes: &[u8]| {
        Datagram { link: LAN, source, bytes: bytes.to_vec() }
            .into_input(&config, Incarnation(9), &keys(), 77)
            .expect("it is not this node's own")
    };
    let from = format!("{source} on link lan");
    let rejected = |why| Input::Rejected { link: LAN, why, source: from.clone() };
    let good = heartbeat("n1", 5);
    let flipped = |byte: usize| {
        let mut bytes = good.clone();
        bytes[byte] ^= 0x80;
        bytes
    };
    assert_eq!(input(b"GET / HTTP/1.0"), rejected(Reject::Malformed));
    let tag = config.cluster_tag().0.map(|byte| format!("{byte:02x}")).concat();
    let other = format!("{:02x}{}", config.cluster_tag().0[0] ^ 0x80, &tag[2..16]);
    assert_eq!(
        input(&flipped(4)),
        Input::Rejected {
            link: LAN,
            why: Reject::ForeignCluster,
            source: format!("{from} (cluster tag {other}…)")
        }
    );
    assert_eq!(input(&flipped(20)), rejected(Reject::UnknownKey));
    assert_eq!(input(&flipped(40)), rejected(Reject::BadTag));
    assert!(matches!(
        input(&heartbeat("n0", 1)),
        Input::Namesake { link: LAN, source, .. } if source == from
    ));
    let back = Datagram { link: LAN, source, bytes: heartbeat("n0", 1) };
    assert_eq!(back.into_input(&config, Incarnation(1), &keys(), 77), None, "its own, reflected");
    assert_eq!(input(&heartbeat("n9", 1)), rejected(Reject::UnknownNode));
    let Input::Received { link: LAN, from: NodeId(1), key, wall_us: 77, heartbeat } = input(&good)
    else {
        panic!("it is good")
    };
    assert_eq!(key, keys().sending_id());
    assert_eq!(heartbeat.header.sequence, Sequence(5));
}
