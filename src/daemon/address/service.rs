//! The loop's part: everything that the core asks about addresses, carried out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::unix::AsyncFd;

use super::held::Holdings;
use super::probe::{Probe, Probes};
use super::{IpError, locate, put_in_time, remove};
use crate::cluster::io::{AddressNotice, OpId, ProbeOutcome, RenewOutcome};
use crate::cluster::time::Instant;
use crate::config::{Address, ResourceId};
use crate::daemon::netlink::{
    Interface, InterfaceAddress, InterfaceId, Lifetime, Netlink, NetlinkError, News, Put,
    on_same_network,
};
use crate::daemon::packet::{Claim, Family, PacketSocket, Port};
use crate::daemon::readiness::readable;
use crate::wire::Mac;

/// Frames read in one turn, so that a flood of them cannot keep the loop from its timers.
const BATCH: usize = 32;
/// More small frames than a default receive buffer holds (277): all that was there before a deadline is read.
const DRAIN: usize = 512;
/// Known neighbours that are asked beside the gateway and the ping nodes: enough that one of them is alive, few enough
/// that a probe makes no noise.
const KNOWN_NEIGHBOURS: usize = 3;
/// An address that goes sooner is no fit sender of questions: it is a leased one, and others may hold it next.
const SENDER_LIFETIME: u32 = 60;

/// Something that came from the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A probe ended before its deadline.
    Probed(OpId, ProbeOutcome),
    /// Something happened to an address that is held.
    Noticed(ResourceId, AddressNotice),
}

/// Machines whose answers do not show that a silent one would be heard: the other nodes.
#[derive(Debug, Clone, Copy, Default)]
pub struct NotCounted<'a> {
    /// By their addresses, where those are known.
    pub ips: &'a [IpAddr],
    /// By their hardware addresses.
    pub macs: &'a [Mac],
}

/// The addresses of this machine's groups, and the questions about those of others.
///
/// It has no timer and reads no clock: the loop calls [`Addresses::expire`] at [`Addresses::deadline`], and hands on what
/// a [`Watcher`](crate::daemon::netlink::Watcher) tells. Calls that ask the kernel are over in well under a millisecond.
pub struct Addresses {
    netlink: Netlink,
    ears: BTreeMap<Family, AsyncFd<PacketSocket>>,
    ports: BTreeMap<InterfaceId, Port>,
    /// Hardware addresses of this machine; `None`: to be asked for.
    own: Option<BTreeSet<Mac>>,
    probes: Probes,
    holdings: Holdings,
    /// The addresses of all groups, held or not.
    watched: Vec<(ResourceId, IpAddr)>,
    findings: VecDeque<Finding>,
    /// The latest moment that a caller told: as good a clock as the limit on conflicts needs.
    told: Instant,
}

impl Addresses {
    /// Nothing held, nothing asked. Packet sockets are opened when they are first needed.
    pub fn new() -> Result<Self, IpError> {
        Ok(Self {
            netlink: Netlink::open()?,
            ears: BTreeMap::new(),
            ports: BTreeMap::new(),
            own: None,
            probes: Probes::default(),
            holdings: Holdings::default(),
            watched: Vec::new(),
            findings: VecDeque::new(),
            told: Instant::ZERO,
        })
    }

    /// From now on tells when one of these comes to this machine, which does not hold it.
    pub fn watch(&mut self, addresses: impl IntoIterator<Item = (ResourceId, IpAddr)>) {
        self.watched = addresses.into_iter().collect();
    }

    /// Asks the network who has an address, once, and beside it whoever can show that the question was heard: those of
    /// `neighbours` that are on the same network, the default gateway, and a few known neighbours, but never one of
    /// `not_counted`. Ends once, through [`Addresses::next`] or [`Addresses::expire`]. Inside a tokio runtime only.
    pub fn probe(
        &mut self,
        op: OpId,
        address: &Address,
        neighbours: &[IpAddr],
        not_counted: NotCounted<'_>,
        deadline: Instant,
    ) {
        match self.ask(address, neighbours, not_counted, deadline) {
            Ok(probe) => self.probes.start(op, probe),
            Err(error) => {
                let failed = ProbeOutcome::Failed(format!("cannot probe {address}: {error}"));
                self.findings.push_back(Finding::Probed(op, failed));
            }
        }
    }

    /// The next thing that came from the network. Waits for ever if nothing does; dropping the future loses nothing.
    pub async fn next(&mut self) -> Finding {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// When [`Addresses::expire`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.probes.deadline()
    }

    /// Ends the probes whose deadline has come, after reading what is already in the sockets: a daemon that stood still
    /// must not take that for silence.
    pub fn expire(&mut self, now: Instant) -> Vec<(OpId, ProbeOutcome)> {
        self.told = self.told.max(now);
        if self.probes.deadline().is_none_or(|deadline| deadline > now) {
            return Vec::new();
        }
        self.drain();
        let due = self.probes.take_due(now);
        due.into_iter().map(|(op, probe)| (op, self.silence(&probe))).collect()
    }

    /// Renews the kernel's lease of an address (`None`: has it kept until somebody removes it), and puts the address back if it is gone, while the right to hold it lasts:
    /// `clock` is read at the effect. From then on it is watched.
    pub fn renew(
        &mut self,
        resource: ResourceId,
        address: &Address,
        lease: Option<Duration>,
        not_after: Instant,
        clock: impl Fn() -> Instant,
    ) -> RenewOutcome {
        self.told = self.told.max(clock());
        let lifetime = lease.map_or(Lifetime::Forever, Lifetime::lease);
        let may = || clock() <= not_after;
        // Every second, so the kernel is asked for no more than has to be known: where it is held, unless that is gone.
        let held = self.holdings.interface_of(resource).filter(|_| address.interface.is_none());
        let held =
            held.and_then(|id| put_in_time(&mut self.netlink, id, address, lifetime, may).ok());
        let renewed = held.map_or_else(|| self.put_anew(resource, address, lifetime, may), Ok);
        match renewed {
            Ok(Some(Put::Renewed)) => RenewOutcome::Kept,
            Ok(Some(Put::Added)) => RenewOutcome::PutBack,
            Ok(None) => RenewOutcome::TooLate,
            Err(error) => {
                // Where it belongs is found anew next time.
                self.release(resource);
                RenewOutcome::Failed(format!("cannot renew {address}: {error}"))
            }
        }
    }

    fn put_anew(
        &mut self,
        resource: ResourceId,
        address: &Address,
        lifetime: Lifetime,
        may: impl Fn() -> bool,
    ) -> Result<Option<Put>, IpError> {
        let interface = self.interface_for(resource, address)?;
        let put = put_in_time(&mut self.netlink, interface.id, address, lifetime, may)?;
        if put.is_some() && self.holdings.hold(resource, address.ip, &interface) {
            self.hear_claims(address);
        }
        Ok(put)
    }

    /// Removes an address from this machine, now. From then on it is not watched.
    pub fn drop_now(&mut self, resource: ResourceId, address: &Address) -> Result<(), IpError> {
        self.release(resource);
        remove(&mut self.netlink, address).map(|_| ())
    }

    /// Watches an address no longer: its agent is about to remove it.
    pub fn release(&mut self, resource: ResourceId) {
        if self.holdings.release(resource) {
            self.limit_ears();
        }
    }

    /// Tells the network that an address is here, once. On an interface without hardware addresses nobody has to be told.
    /// Inside a tokio runtime only.
    pub fn announce(&mut self, address: &Address) -> Result<(), IpError> {
        let interface = locate(&mut self.netlink, address)?;
        let Some(mac) = interface.mac else { return Ok(()) };
        let port = self.port(&interface, mac)?;
        let socket = self.listen(Family::of(address.ip))?;
        for frame in port.announcements(address.ip) {
            socket
                .get_ref()
                .send(&port, &frame)
                .map_err(|source| IpError::Packet { what: "announce an address", source })?;
        }
        Ok(())
    }

    /// This machine's hardware addresses, without duplicates: first those of the interfaces that these addresses belong
    /// on, in their order, then the others.
    pub fn own_macs<'a>(
        &mut self,
        first: impl IntoIterator<Item = &'a Address>,
    ) -> Result<Vec<Mac>, IpError> {
        let mut macs: Vec<Mac> = Vec::new();
        for address in first {
            // An interface that is not there yet has no hardware address to tell.
            let interface = locate(&mut self.netlink, address).ok();
            macs.extend(
                interface.and_then(|interface| interface.mac).filter(|mac| !macs.contains(mac)),
            );
        }
        for mac in self.own()? {
            if !macs.contains(mac) {
                macs.push(*mac);
            }
        }
        Ok(macs)
    }

    /// Takes in a change on this machine, and tells what it means for the addresses that are held.
    pub fn handle_news(&mut self, news: &News) -> Vec<(ResourceId, AddressNotice)> {
        match news {
            News::Link(interface) => {
                self.forget(interface.id);
                self.holdings.link(interface.id, interface.carrier)
            }
            News::LinkGone { id, .. } => {
                self.forget(*id);
                self.holdings.link(*id, false)
            }
            News::AddressAdded { ip, .. } => self.appeared(&[*ip]),
            News::AddressRemoved { interface, ip } => self.holdings.removed(*interface, *ip),
            News::LookAgain => {
                self.own = None;
                self.ports.clear();
                self.look_again().unwrap_or_else(|error| {
                    tracing::warn!(%error, "cannot look at this machine's addresses again; the next renewal will");
                    Vec::new()
                })
            }
        }
    }

    fn look_again(&mut self) -> Result<Vec<(ResourceId, AddressNotice)>, NetlinkError> {
        let there = self.netlink.addresses(None)?;
        let there: Vec<_> =
            there.into_iter().map(|address| (address.interface, address.ip)).collect();
        let mut notices = self.holdings.missing(&there);
        notices.extend(self.appeared(&there.iter().map(|(_, ip)| *ip).collect::<Vec<_>>()));
        for interface in self.netlink.interfaces()? {
            notices.extend(self.holdings.link(interface.id, interface.carrier));
        }
        Ok(notices)
    }

    /// What is watched and not held of these addresses of this machine.
    fn appeared(&self, there: &[IpAddr]) -> Vec<(ResourceId, AddressNotice)> {
        let strange = |(resource, ip): &&(ResourceId, IpAddr)| {
            there.contains(ip) && !self.holdings.holds(*resource, *ip)
        };
        let strange = self.watched.iter().filter(strange);
        strange.map(|(resource, _)| (*resource, AddressNotice::Appeared)).collect()
    }

    /// What is kept about an interface may have changed.
    fn forget(&mut self, id: InterfaceId) {
        self.own = None;
        self.ports.remove(&id);
    }

    fn ask(
        &mut self,
        address: &Address,
        neighbours: &[IpAddr],
        not_counted: NotCounted<'_>,
        deadline: Instant,
    ) -> Result<Probe, IpError> {
        let interface = locate(&mut self.netlink, address)?;
        let Some(mac) = interface.mac else {
            return Err(IpError::NoHardwareAddress { name: interface.name });
        };
        let port = self.port(&interface, mac)?;
        let local = self.netlink.addresses(Some(interface.id))?;
        let neighbours = self.witnesses(&interface, address, neighbours, not_counted, &local)?;
        let socket = self.listen(Family::of(address.ip))?;
        let send =
            |target| socket.get_ref().send(&port, &port.question(target, sender(&local, target)));
        send(address.ip).map_err(|source| IpError::Packet { what: "send a question", source })?;
        for neighbour in &neighbours {
            // One witness fewer: the probe counts for less, and says so.
            if let Err(error) = send(*neighbour) {
                tracing::debug!(%neighbour, %error, "cannot ask a neighbour");
            }
        }
        Ok(Probe {
            ip: address.ip,
            interface: interface.id,
            mac,
            carrier: interface.carrier.then_some(interface.carrier_changes),
            neighbours,
            not_counted: not_counted.macs.iter().copied().collect(),
            witnessed: false,
            deadline,
        })
    }

    /// Whom to ask beside an address.
    fn witnesses(
        &mut self,
        interface: &Interface,
        address: &Address,
        neighbours: &[IpAddr],
        not_counted: NotCounted<'_>,
        local: &[InterfaceAddress],
    ) -> Result<BTreeSet<IpAddr>, NetlinkError> {
        let reachable = |ip: &IpAddr| {
            on_same_network(address.ip, address.prefix, *ip)
                || local.iter().any(|address| address.reaches(*ip))
        };
        let counted = |ip: &IpAddr| {
            *ip != address.ip
                && !not_counted.ips.contains(ip)
                && local.iter().all(|address| address.ip != *ip)
        };
        let mut witnesses: BTreeSet<IpAddr> = neighbours
            .iter()
            .copied()
            .filter(|ip| ip.is_ipv4() == address.ip.is_ipv4() && reachable(ip))
            .collect();
        witnesses.extend(self.netlink.gateway(interface.id, address.ip)?);
        witnesses.retain(counted);
        let known = self.netlink.neighbours(interface.id, address.ip)?;
        let is_node = |mac: Option<Mac>| mac.is_some_and(|mac| not_counted.macs.contains(&mac));
        let more: Vec<IpAddr> = known
            .into_iter()
            .filter(|(ip, mac)| counted(ip) && !is_node(*mac) && !witnesses.contains(ip))
            .map(|(ip, _)| ip)
            .take(KNOWN_NEIGHBOURS)
            .collect();
        witnesses.extend(more);
        Ok(witnesses)
    }

    /// The outcome of a probe that nobody answered.
    fn silence(&mut self, probe: &Probe) -> ProbeOutcome {
        match self.netlink.interface(probe.interface) {
            Ok(interface) => probe.silence(interface.as_ref()),
            Err(error) => ProbeOutcome::Failed(format!(
                "cannot tell whether {} had carrier: {error}",
                probe.ip
            )),
        }
    }

    /// The interface of an address that is held, or the one that it belongs on.
    fn interface_for(
        &mut self,
        resource: ResourceId,
        address: &Address,
    ) -> Result<Interface, IpError> {
        if address.interface.is_none()
            && let Some(id) = self.holdings.interface_of(resource)
            && let Some(interface) = self.netlink.interface(id)?
        {
            return Ok(interface);
        }
        locate(&mut self.netlink, address)
    }

    fn port(&mut self, interface: &Interface, mac: Mac) -> Result<Port, IpError> {
        if let Some(port) = self.ports.get(&interface.id).filter(|port| port.mac() == mac) {
            return Ok(*port);
        }
        let found = Port::find(interface.id, mac)
            .map_err(|source| IpError::Packet { what: "find an interface's port", source })?;
        let port =
            found.ok_or_else(|| IpError::UnknownInterface { name: interface.name.clone() })?;
        self.ports.insert(interface.id, port);
        Ok(port)
    }

    fn own(&mut self) -> Result<&BTreeSet<Mac>, NetlinkError> {
        let own = match self.own.take() {
            Some(own) => own,
            None => self
                .netlink
                .interfaces()?
                .into_iter()
                .filter_map(|interface| interface.mac)
                .collect(),
        };
        Ok(self.own.insert(own))
    }

    /// The socket that hears and speaks a protocol.
    fn listen(&mut self, family: Family) -> Result<&AsyncFd<PacketSocket>, IpError> {
        let ear = match self.ears.remove(&family) {
            Some(ear) => ear,
            None => PacketSocket::listen(family, &self.holdings.ips())
                .and_then(readable)
                .map_err(|source| IpError::Packet { what: "listen to the neighbours", source })?,
        };
        Ok(self.ears.entry(family).or_insert(ear))
    }

    /// Hears from now on also who claims this address. Without that it is held all the same.
    fn hear_claims(&mut self, address: &Address) {
        match self.listen(Family::of(address.ip)) {
            Ok(_) => self.limit_ears(),
            Err(error) => {
                tracing::warn!(%address, %error, "conflicts over this address will not be noticed");
            }
        }
    }

    /// Lets through what is held now. Should that fail, more is let through than is needed, or a conflict is told late.
    fn limit_ears(&self) {
        let held = self.holdings.ips();
        for (family, ear) in &self.ears {
            if let Err(error) = ear.get_ref().hear(*family, &held) {
                tracing::warn!(?family, %error, "cannot set the filter for conflicting addresses");
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Finding> {
        for _ in 0..BATCH {
            if let Some(finding) = self.findings.pop_front() {
                return Poll::Ready(finding);
            }
            let claim = ready!(self.poll_read(cx));
            self.take_in(claim);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// One read from whichever socket has something.
    fn poll_read(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Claim>>> {
        for (family, ear) in &self.ears {
            while let Poll::Ready(readiness) = ear.poll_read_ready(cx) {
                match readiness.map(|mut guard| guard.try_io(|ear| ear.get_ref().receive(*family)))
                {
                    Ok(Ok(claim)) => return Poll::Ready(claim),
                    // Not readable after all: `poll_read_ready` now waits.
                    Ok(Err(_)) => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
        }
        Poll::Pending
    }

    fn drain(&mut self) {
        let families: Vec<Family> = self.ears.keys().copied().collect();
        for family in families {
            for _ in 0..DRAIN {
                let Some(ear) = self.ears.get(&family) else { break };
                match ear.get_ref().receive(family) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    claim => self.take_in(claim),
                }
            }
        }
    }

    fn take_in(&mut self, claim: io::Result<Option<Claim>>) {
        let claim = match claim {
            Ok(Some(claim)) => claim,
            Ok(None) => return,
            Err(error) => return tracing::warn!(%error, "cannot hear the neighbours"),
        };
        match self.own() {
            // This machine's own words, come back by another of its interfaces.
            Ok(own) if own.contains(&claim.mac) => return,
            Ok(_) => {}
            // Better an answer too many than one too few.
            Err(error) => {
                tracing::warn!(%error, "cannot tell this machine's own hardware addresses");
            }
        }
        let probed =
            self.probes.hear(&claim).into_iter().map(|(op, outcome)| Finding::Probed(op, outcome));
        self.findings.extend(probed);
        let noticed = self
            .holdings
            .hear(&claim, self.told)
            .into_iter()
            .map(|(id, notice)| Finding::Noticed(id, notice));
        self.findings.extend(noticed);
    }
}

/// This machine's own address that asks for another one: it lives on that network, and will for a while.
fn sender(local: &[InterfaceAddress], target: IpAddr) -> Option<IpAddr> {
    let lasting = |lifetime| match lifetime {
        Lifetime::Forever => true,
        Lifetime::Seconds(seconds) => seconds.get() >= SENDER_LIFETIME,
    };
    let fit = |address: &&InterfaceAddress| address.ip != target && lasting(address.lifetime);
    let reaching = local.iter().filter(fit).find(|address| address.reaches(target));
    // An IPv6 neighbour answers a link-local address whatever network the target is on.
    let link_local = || {
        let is = |ip: IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        local.iter().filter(fit).find(|address| target.is_ipv6() && is(address.ip))
    };
    reaching.or_else(link_local).map(|address| address.ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_come_from_a_lasting_address_of_the_same_network() {
        let at = |text: &str, prefix, seconds: Option<u64>| InterfaceAddress {
            interface: InterfaceId(2),
            ip: text.parse().unwrap(),
            prefix,
            lifetime: seconds
                .map_or(Lifetime::Forever, |seconds| Lifetime::lease(Duration::from_secs(seconds))),
        };
        let local = [
            at("10.0.0.100", 24, Some(2)),
            at("192.168.0.1", 24, None),
            at("10.0.0.1", 24, Some(3600)),
            at("fd00::1", 64, Some(1)),
            at("fe80::1", 64, None),
        ];
        let from = |target: &str| sender(&local, target.parse().unwrap()).map(|ip| ip.to_string());
        assert_eq!(from("10.0.0.7"), Some("10.0.0.1".to_owned()));
        assert_eq!(from("10.0.0.1"), None);
        assert_eq!(from("172.16.0.1"), None);
        assert_eq!(from("fd00::7"), Some("fe80::1".to_owned()));
        assert_eq!(from("fe80::7"), Some("fe80::1".to_owned()));
    }
}
