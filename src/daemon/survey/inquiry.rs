//! What is asked beside the peers: ping nodes, the peers' addresses (to tell a firewall from a cable), and whether anybody
//! has the addresses of groups.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::{AddressFinding, PingFinding, SurveyError, address_of};
use crate::cluster::io::{OpId, PingOutcome, ProbeOutcome};
use crate::cluster::time::Instant;
use crate::config::{Address, Config, ResourceId};
use crate::daemon::address::{Addresses, Finding, NotCounted};
use crate::daemon::icmp::Pinger;
use crate::daemon::netlink::{Netlink, NetlinkError};

/// How long one answer is waited for, and how often it is asked for.
const PATIENCE: Duration = Duration::from_millis(500);

/// Questions that stay unanswered before somebody counts as silent: a neighbour has to be found first.
const TRIES: u32 = 4;

/// One question that is asked again until it is answered.
#[derive(Debug)]
struct Inquiry<T> {
    op: Option<OpId>,
    asked: u32,
    next: Instant,
    answer: Option<T>,
    /// What the last try came to.
    last: Option<T>,
}

impl<T> Inquiry<T> {
    fn new() -> Self {
        Self { op: None, asked: 0, next: Instant::ZERO, answer: None, last: None }
    }

    /// Whether it was asked often enough. A peer may come later, so that it is asked on.
    fn is_over(&self) -> bool {
        self.answer.is_some() || (self.asked >= TRIES && self.last.is_some())
    }

    /// When it is to be asked next.
    fn due(&self) -> Option<Instant> {
        (self.op.is_none() && self.answer.is_none()).then_some(self.next)
    }

    fn ask(&mut self, now: Instant, op: OpId) {
        (self.op, self.asked, self.next) = (Some(op), self.asked + 1, now + PATIENCE);
    }
}

/// Whether anybody has an address of a group.
type Probe = (Address, Inquiry<AddressFinding>);

/// All questions of one run.
pub(super) struct Inquiries {
    pinger: Pinger,
    addresses: Addresses,
    last_op: u64,
    pings: BTreeMap<IpAddr, Inquiry<PingFinding>>,
    probes: BTreeMap<ResourceId, Probe>,
    ping_nodes: Vec<IpAddr>,
    nodes: Vec<IpAddr>,
}

impl Inquiries {
    pub(super) fn new(config: &Config) -> Result<Self, SurveyError> {
        let at = |link, node| address_of(config, link, node);
        let of = |nodes: Vec<_>| -> BTreeSet<IpAddr> {
            let pairs = config
                .link_ids()
                .flat_map(|link| nodes.iter().map(move |node| (link, *node)).collect::<Vec<_>>());
            pairs.filter_map(|(link, node)| at(link, node)).collect()
        };
        let peers = of(config.peers().collect());
        let ping_nodes = config.guard.ping.clone();
        let pinged = ping_nodes.iter().copied().chain(peers.iter().copied());
        let mut inquiries = Self {
            pinger: Pinger::new()?,
            addresses: Addresses::new()?,
            last_op: 0,
            pings: pinged.map(|ip| (ip, Inquiry::new())).collect(),
            probes: BTreeMap::new(),
            ping_nodes,
            nodes: of(config.node_ids().collect()).into_iter().collect(),
        };
        let here = here()?;
        for group in config.group_ids() {
            for id in config.resource_ids(group) {
                let Some(address) = &config.resource(id).address else { continue };
                let mut inquiry = Inquiry::new();
                inquiry.answer = here
                    .get(&address.ip)
                    .map(|interface| AddressFinding::Here { interface: interface.clone() });
                inquiries.probes.insert(id, (address.clone(), inquiry));
            }
        }
        Ok(inquiries)
    }

    /// Asks what is due, and ends what was waited for long enough.
    pub(super) fn tick(&mut self, now: Instant) {
        for (op, outcome) in self.pinger.expire(now) {
            self.pinged(op, outcome);
        }
        for (op, outcome) in self.addresses.expire(now) {
            self.probed(op, outcome);
        }
        let (deadline, is_due) =
            (now + PATIENCE, |due: Option<Instant>| due.is_some_and(|at| now >= at));
        for (target, inquiry) in self.pings.iter_mut().filter(|(_, inquiry)| is_due(inquiry.due()))
        {
            self.last_op += 1;
            inquiry.ask(now, OpId(self.last_op));
            self.pinger.ping(OpId(self.last_op), *target, deadline);
        }
        let probes = self.probes.values_mut().filter(|(_, inquiry)| is_due(inquiry.due()));
        for (address, inquiry) in probes {
            self.last_op += 1;
            inquiry.ask(now, OpId(self.last_op));
            let op = OpId(self.last_op);
            // Before anything was heard nobody's hardware address is known.
            let not_counted = NotCounted { ips: &self.nodes, macs: &[] };
            self.addresses.probe(op, address, &self.ping_nodes, not_counted, deadline);
        }
    }

    /// Waits for the next answer. May be dropped at any time.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            (op, outcome) = self.pinger.next() => self.pinged(op, outcome),
            finding = self.addresses.next() => match finding {
                Finding::Probed(op, outcome) => self.probed(op, outcome),
                // Nothing is held here.
                Finding::Noticed(..) => {}
            },
        }
    }

    /// When [`tick`](Self::tick) is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let pings = self.pings.values().filter_map(Inquiry::due);
        let probes = self.probes.values().filter_map(|(_, inquiry)| inquiry.due());
        let open = [self.pinger.deadline(), self.addresses.deadline()].into_iter().flatten();
        open.chain(pings).chain(probes).min()
    }

    /// Whether every answer is there, or was waited for.
    pub(super) fn are_answered(&self) -> bool {
        self.pings.values().all(Inquiry::is_over)
            && self.probes.values().all(|(_, inquiry)| inquiry.is_over())
    }

    /// Whether an address that was asked answered.
    pub(super) fn answers(&self, ip: IpAddr) -> Option<bool> {
        Some(self.pings.get(&ip)?.answer == Some(PingFinding::Answers))
    }

    /// What came of the ping nodes.
    pub(super) fn ping_findings(&self) -> Vec<(IpAddr, PingFinding)> {
        let found = |target: &IpAddr| {
            let inquiry = self.pings.get(target)?;
            inquiry.answer.clone().or_else(|| inquiry.last.clone())
        };
        let nodes = self.ping_nodes.iter();
        nodes.map(|target| (*target, found(target).unwrap_or(PingFinding::Silent))).collect()
    }

    /// What came of the addresses of groups.
    pub(super) fn address_findings(
        &self,
        config: &Config,
    ) -> Vec<(String, Address, AddressFinding)> {
        let silent = AddressFinding::Free { witnessed: false };
        let finding = |(id, (address, inquiry)): (&ResourceId, &Probe)| {
            let place = format!("{}/{}", config.group(id.group).name, config.resource(*id).name);
            let found = inquiry.answer.clone().or_else(|| inquiry.last.clone());
            (place, address.clone(), found.unwrap_or_else(|| silent.clone()))
        };
        self.probes.iter().map(finding).collect()
    }

    fn pinged(&mut self, op: OpId, outcome: PingOutcome) {
        let Some(inquiry) = self.pings.values_mut().find(|inquiry| inquiry.op == Some(op)) else {
            return;
        };
        inquiry.op = None;
        match outcome {
            PingOutcome::Answered => inquiry.answer = Some(PingFinding::Answers),
            PingOutcome::Silent => inquiry.last = Some(PingFinding::Silent),
            PingOutcome::Failed(why) => inquiry.last = Some(PingFinding::Failed(why)),
        }
    }

    fn probed(&mut self, op: OpId, outcome: ProbeOutcome) {
        let mut probes = self.probes.values_mut().map(|(_, inquiry)| inquiry);
        let Some(inquiry) = probes.find(|inquiry| inquiry.op == Some(op)) else { return };
        inquiry.op = None;
        match outcome {
            ProbeOutcome::Answered { mac } => {
                inquiry.answer = Some(AddressFinding::Taken { mac });
            }
            ProbeOutcome::Silent { witnessed } => {
                let before = inquiry.last == Some(AddressFinding::Free { witnessed: true });
                inquiry.last = Some(AddressFinding::Free { witnessed: witnessed || before });
            }
            ProbeOutcome::Failed(why) => inquiry.last = Some(AddressFinding::Failed(why)),
        }
    }
}

/// The addresses of this machine, each with its interface.
fn here() -> Result<BTreeMap<IpAddr, String>, NetlinkError> {
    let mut kernel = Netlink::open()?;
    let names: BTreeMap<_, _> =
        kernel.interfaces()?.into_iter().map(|interface| (interface.id, interface.name)).collect();
    let all = kernel.addresses(None)?.into_iter();
    Ok(all.filter_map(|there| Some((there.ip, names.get(&there.interface)?.clone()))).collect())
}
