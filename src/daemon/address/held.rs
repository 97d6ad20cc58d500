//! Addresses that this machine holds for its groups, and what others do to them. Without sockets.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::cluster::io::AddressNotice;
use crate::cluster::time::Instant;
use crate::config::ResourceId;
use crate::daemon::netlink::{Interface, InterfaceId};
use crate::daemon::packet::Claim;
use crate::wire::Mac;

/// Two machines that defend one address against each other must not do so as fast as they can (RFC 5227, section 2.4, asks
/// for ten seconds; we want to know sooner).
const CONFLICT_INTERVAL: Duration = Duration::from_secs(1);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) ip: IpAddr,
    pub(super) interface: InterfaceId,
    pub(super) carrier: bool,
    mac: Option<Mac>,
    /// Conflicts are told again from then on.
    quiet_until: Instant,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Holdings(BTreeMap<ResourceId, Held>);

impl Holdings {
    /// This one is here now; whether that is new.
    pub(super) fn hold(&mut self, resource: ResourceId, ip: IpAddr, interface: &Interface) -> bool {
        let there = |held: &Held| held.ip == ip && held.interface == interface.id;
        if self.0.get(&resource).is_some_and(there) {
            return false;
        }
        let held = Held {
            ip,
            interface: interface.id,
            carrier: interface.carrier,
            mac: interface.mac,
            quiet_until: Instant::ZERO,
        };
        self.0.insert(resource, held);
        true
    }

    /// This one is no longer watched; whether it was.
    pub(super) fn release(&mut self, resource: ResourceId) -> bool {
        self.0.remove(&resource).is_some()
    }

    /// Whether this one is held, with this address.
    pub(super) fn holds(&self, resource: ResourceId, ip: IpAddr) -> bool {
        self.0.get(&resource).is_some_and(|held| held.ip == ip)
    }

    pub(super) fn interface_of(&self, resource: ResourceId) -> Option<InterfaceId> {
        self.0.get(&resource).map(|held| held.interface)
    }

    pub(super) fn ips(&self) -> Vec<IpAddr> {
        self.0.values().map(|held| held.ip).collect()
    }

    /// Another machine says something.
    pub(super) fn hear(&mut self, claim: &Claim, now: Instant) -> Vec<(ResourceId, AddressNotice)> {
        let mut notices = Vec::new();
        for (resource, held) in &mut self.0 {
            if held.ip == claim.ip && held.interface == claim.interface && held.quiet_until <= now {
                held.quiet_until = now + CONFLICT_INTERVAL;
                notices
                    .push((*resource, AddressNotice::Conflict { mac: claim.mac, here: held.mac }));
            }
        }
        notices
    }

    /// An address went from an interface.
    pub(super) fn removed(
        &self,
        interface: InterfaceId,
        ip: IpAddr,
    ) -> Vec<(ResourceId, AddressNotice)> {
        let gone = |held: &Held| held.interface == interface && held.ip == ip;
        self.0
            .iter()
            .filter(|(_, held)| gone(held))
            .map(|(id, _)| (*id, AddressNotice::Removed))
            .collect()
    }

    /// The addresses that are to be on this machine and are not among `there`.
    pub(super) fn missing(
        &self,
        there: &[(InterfaceId, IpAddr)],
    ) -> Vec<(ResourceId, AddressNotice)> {
        let missing = |held: &Held| !there.contains(&(held.interface, held.ip));
        self.0
            .iter()
            .filter(|(_, held)| missing(held))
            .map(|(id, _)| (*id, AddressNotice::Removed))
            .collect()
    }

    /// An interface has carrier now, or not.
    pub(super) fn link(
        &mut self,
        interface: InterfaceId,
        carrier: bool,
    ) -> Vec<(ResourceId, AddressNotice)> {
        let mut notices = Vec::new();
        for (resource, held) in self.0.iter_mut().filter(|(_, held)| held.interface == interface) {
            if carrier && !held.carrier {
                notices.push((*resource, AddressNotice::LinkUp));
            }
            held.carrier = carrier;
        }
        notices
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GroupId;

    const VIP: ResourceId = ResourceId { group: GroupId(0), index: 1 };
    const ETH0: InterfaceId = InterfaceId(2);
    const HERE: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 2]);

    fn ip() -> IpAddr {
        "10.0.0.100".parse().unwrap()
    }

    fn holdings() -> Holdings {
        let interface = Interface {
            id: ETH0,
            name: "eth0".to_owned(),
            mac: Some(HERE),
            carrier: true,
            carrier_changes: 1,
        };
        let mut holdings = Holdings::default();
        assert!(holdings.hold(VIP, ip(), &interface));
        assert!(!holdings.hold(VIP, ip(), &interface));
        holdings
    }

    #[test]
    fn conflicts_are_told_at_most_once_a_second() {
        let mut holdings = holdings();
        let claim = Claim { interface: ETH0, ip: ip(), mac: OTHER, answers: None };
        let mut told = |micros| holdings.hear(&claim, Instant::from_micros(micros));
        let conflict = [(VIP, AddressNotice::Conflict { mac: OTHER, here: Some(HERE) })];
        assert_eq!(told(10), conflict);
        assert_eq!(told(10), []);
        assert_eq!(told(1_000_009), []);
        assert_eq!(told(1_000_010), conflict);
        let elsewhere = Claim { interface: InterfaceId(3), ..claim };
        assert_eq!(holdings.hear(&elsewhere, Instant::from_millis(9_000)), []);
    }

    #[test]
    fn removal_is_told_of_this_address_on_this_interface_while_it_is_held() {
        let mut holdings = holdings();
        assert_eq!(holdings.removed(ETH0, ip()), [(VIP, AddressNotice::Removed)]);
        assert_eq!(holdings.removed(InterfaceId(3), ip()), []);
        assert_eq!(holdings.missing(&[]), [(VIP, AddressNotice::Removed)]);
        assert_eq!(holdings.missing(&[(ETH0, ip())]), []);
        assert!(holdings.release(VIP));
        assert!(!holdings.release(VIP));
        assert_eq!(holdings.removed(ETH0, ip()), []);
    }

    #[test]
    fn carrier_that_comes_back_is_told_once() {
        let mut holdings = holdings();
        assert_eq!(holdings.link(ETH0, true), []);
        assert_eq!(holdings.link(ETH0, false), []);
        assert_eq!(holdings.link(InterfaceId(3), true), []);
        assert_eq!(holdings.link(ETH0, true), [(VIP, AddressNotice::LinkUp)]);
        assert_eq!(holdings.link(ETH0, true), []);
    }
}
