//! What a seed decides before anything happens: the size of the cluster, its configuration, the temper of its network,
//! machines and agents. Drawn at random too ("swarm"), because a fixed configuration hides whole classes of faults.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lubdub::config::{
    Address, AgentName, Config, Digests, Group, Guard, Link, Node, NodeId, Resource, Timeouts,
    Timing, Transport,
};
use lubdub::wire::{GroupTag, NodeTag};

use crate::rng::Rng;

/// Names of nodes, by place.
pub const NAMES: [&str; 5] = ["alpha", "beta", "gamma", "delta", "epsilon"];

/// The ping node of every world that has one.
pub const PING_NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 254));

/// What an agent controls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A process.
    Plain,
    /// An address that the kernel holds by a lease.
    Address,
}

/// Everything about a world that does not change.
#[derive(Debug, Clone)]
pub struct Options {
    pub seed: u64,
    pub nodes: u8,
    pub links: u8,
    pub timing: Timing,
    /// Whether the `ping` guard is on.
    pub ping: bool,
    /// Whether the `arp` guard is on.
    pub arp: bool,
    /// Resources of each group, in start order.
    pub groups: Vec<Vec<Sort>>,
    pub auto_failback: bool,
    pub monitor: Option<Duration>,
    /// One way on a link, at most, while no fault is on.
    pub latency: Duration,
    /// From the moment at which something is due to the moment at which a daemon attends to it, at most.
    pub lateness: Duration,
    /// What a plain agent takes to start or stop, at most.
    pub agent: Duration,
    /// Rates of clocks differ from true time by at most this, in millionths.
    pub drift_ppm: u64,
    /// Wall clocks are stepped by up to an hour now and then. Not together with `disk_trouble`: when all that remember a
    /// term are gone, only a clock that goes forward keeps terms rising.
    pub wall_steps: bool,
    /// Disks refuse writes or are lost now and then.
    pub disk_trouble: bool,
    /// Operators put the cluster in maintenance now and then. No disk is lost then: a node that forgets what it promised
    /// is what no rule among nodes can mend.
    pub maintenance: bool,
    /// For how long faults go on.
    pub chaos: Duration,
    /// The longest time between two faults.
    pub pace: Duration,
    /// Nothing is wrong with this world but its operators.
    pub peaceful: bool,
}

/// Pairs of keepalive and deadtime, milliseconds, each with how often it is drawn.
const TIMINGS: [(u64, (u64, u64)); 8] = [
    (1, (10, 30)),
    (1, (10, 40)),
    (2, (20, 100)),
    (3, (50, 200)),
    (6, (100, 500)),
    (3, (250, 1000)),
    (3, (1000, 5000)),
    (3, (100, 1000)),
];

impl Options {
    /// A quiet pair with the default timing and level `ping+arp`, one group of a service and an address.
    pub fn pair(seed: u64) -> Self {
        let timing = timing(100, 500, Duration::from_secs(2));
        Self {
            seed,
            nodes: 2,
            links: 2,
            timing,
            ping: true,
            arp: true,
            groups: vec![vec![Sort::Plain, Sort::Address]],
            auto_failback: false,
            monitor: Some(Duration::from_secs(1)),
            latency: Duration::from_millis(1),
            lateness: Duration::from_micros(200),
            agent: Duration::from_millis(20),
            drift_ppm: 50,
            wall_steps: false,
            disk_trouble: false,
            maintenance: false,
            chaos: Duration::ZERO,
            pace: Duration::from_secs(3),
            peaceful: false,
        }
    }

    /// What a seed draws.
    pub fn swarm(seed: u64) -> Self {
        let mut rng = Rng::new(seed, "options");
        let nodes = rng.weighted(&[(2, 1), (64, 2), (18, 3), (9, 4), (7, 5)]);
        let (ping, arp) = rng.weighted(&[
            (8, (false, false)),
            (22, (true, false)),
            (14, (false, true)),
            (56, (true, true)),
        ]);
        let (keepalive, deadtime) = loop {
            let drawn = rng.weighted(&TIMINGS);
            // Deadtime has to leave room for three keepalives and the stop budget where the ping guard is on, and large
            // clusters with short keepalives only cost time.
            let fits = !ping || drawn.1 > 3 * drawn.0 + 2;
            if fits && (nodes <= 3 || drawn.0 >= 50) {
                break drawn;
            }
        };
        let patience = Duration::from_millis(rng.between(2 * deadtime, 6 * deadtime));
        let mut timing = timing(keepalive, deadtime, patience);
        let shares = [0, 250, 500, 750, 900];
        let share = shares[usize::try_from(Rng::new(seed, "warntime").between(0, 4)).unwrap()];
        timing.warntime += (timing.deadtime - timing.warntime) * share / 1000;
        let groups = (0..rng.weighted(&[(7, 1), (3, 2)])).map(|_| group_shape(&mut rng)).collect();
        let disk_trouble = rng.chance(300);
        Self {
            seed,
            nodes,
            links: rng.weighted(&[(3, 1), (5, 2), (2, 3)]),
            timing,
            ping,
            arp,
            groups,
            auto_failback: rng.chance(400),
            monitor: rng.chance(850).then(|| rng.millis(300, 3000)),
            latency: rng.duration(
                Duration::from_micros(60),
                (timing.keepalive / 20).min(Duration::from_millis(20)),
            ),
            lateness: rng.duration(Duration::from_micros(20), Duration::from_micros(300)),
            agent: rng.millis(4, 300),
            drift_ppm: rng.below(200),
            wall_steps: !disk_trouble && rng.chance(200),
            disk_trouble,
            maintenance: Rng::new(seed, "maintenance").chance(400),
            chaos: (timing.keepalive * 600).clamp(Duration::from_secs(20), Duration::from_secs(60)),
            pace: Duration::from_millis(400)
                + timing.deadtime * u32::try_from(rng.between(2, 8)).unwrap(),
            peaceful: false,
        }
    }

    /// The configuration of one node.
    pub fn config(&self, me: NodeId) -> Config {
        let nodes = (0..self.nodes).map(|place| {
            let name = NAMES[usize::from(place)];
            Node { name: name.to_owned(), tag: NodeTag::of(name) }
        });
        Config {
            cluster: "sim".to_owned(),
            me,
            timing: self.timing,
            warn_offset: Duration::from_secs(1),
            links: (0..self.links).map(|link| self.link(link)).collect(),
            nodes: nodes.collect(),
            guard: Guard {
                ping: if self.ping { vec![PING_NODE] } else { Vec::new() },
                arp: self.arp,
            },
            groups: (0_u8..)
                .zip(&self.groups)
                .map(|(place, shape)| self.group(place, shape))
                .collect(),
            metrics: None,
            digests: Digests([1, 2, 3, 4]),
        }
    }

    fn link(&self, link: u8) -> Link {
        let addresses = (0..self.nodes).map(|node| link_address(link, node)).collect();
        Link {
            name: ["lan", "private", "third"][usize::from(link)].to_owned(),
            transport: Transport::Unicast { addresses },
            port: 694,
            interface: None,
        }
    }

    fn group(&self, place: u8, shape: &[Sort]) -> Group {
        let name = match place {
            0 => "web".to_owned(),
            1 => "db".to_owned(),
            _ => format!("group{place}"),
        };
        let resources = (0_u8..).zip(shape).map(|(index, sort)| self.resource(place, index, *sort));
        Group {
            tag: GroupTag::of(&name),
            name,
            // Each group prefers another node.
            nodes: (0..self.nodes).map(|node| NodeId((node + place) % self.nodes)).collect(),
            auto_failback: self.auto_failback,
            resources: resources.collect(),
        }
    }

    fn resource(&self, group: u8, index: u8, sort: Sort) -> Resource {
        let (name, agent, address) = match sort {
            Sort::Plain => ("service", "Dummy", None),
            Sort::Address => {
                let ip = IpAddr::V4(Ipv4Addr::new(10, 0, group, 100 + index));
                ("vip", "IPaddr", Some(Address { ip, prefix: 24, interface: None }))
            }
        };
        Resource {
            name: format!("{name}{index}"),
            agent: AgentName(agent.to_owned()),
            params: BTreeMap::new(),
            monitor: self.monitor,
            timeout: Timeouts {
                start: Duration::from_secs(2),
                stop: Duration::from_secs(2),
                monitor: Duration::from_secs(1),
            },
            address,
        }
    }
}

/// A node's own address on a link. The first link is the service network.
pub fn link_address(link: u8, node: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, link, 0, node + 1))
}

fn timing(keepalive: u64, deadtime: u64, patience: Duration) -> Timing {
    Timing {
        keepalive: Duration::from_millis(keepalive),
        warntime: Duration::from_millis(keepalive + (deadtime - keepalive) / 4),
        deadtime: Duration::from_millis(deadtime),
        initdead: patience,
    }
}

fn group_shape(rng: &mut Rng) -> Vec<Sort> {
    rng.weighted::<&[Sort]>(&[
        (5, &[Sort::Plain, Sort::Address]),
        (2, &[Sort::Address]),
        (2, &[Sort::Plain, Sort::Plain, Sort::Address]),
        (1, &[Sort::Address, Sort::Plain]),
        (1, &[Sort::Plain, Sort::Address, Sort::Address]),
        (1, &[Sort::Plain]),
    ])
    .to_vec()
}
