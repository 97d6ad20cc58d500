//! Probes under way: what was asked, what was heard, and what follows from it. Without sockets and clocks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::cluster::io::{OpId, ProbeOutcome};
use crate::cluster::time::Instant;
use crate::daemon::netlink::{Interface, InterfaceId};
use crate::daemon::packet::Claim;
use crate::wire::Mac;

/// One question under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probe {
    /// The address asked for.
    pub(super) ip: IpAddr,
    /// Asked here.
    pub(super) interface: InterfaceId,
    /// By this hardware address.
    pub(super) mac: Mac,
    /// How often carrier had come or gone at the start; `None`: there was none.
    pub(super) carrier: Option<u32>,
    /// Whose answers show that somebody can answer at all.
    pub(super) neighbours: BTreeSet<IpAddr>,
    /// Whose answers do not, under whatever address.
    pub(super) not_counted: BTreeSet<Mac>,
    /// One of them answered.
    pub(super) witnessed: bool,
    /// Ends then.
    pub(super) deadline: Instant,
}

impl Probe {
    /// What silence means, by the state of the interface at the end. Carrier that went and came again is no carrier: what
    /// was asked or answered meanwhile is lost.
    pub(super) fn silence(&self, interface: Option<&Interface>) -> ProbeOutcome {
        let carrier = interface
            .filter(|interface| interface.carrier)
            .map(|interface| interface.carrier_changes);
        ProbeOutcome::Silent {
            witnessed: self.witnessed && carrier.is_some() && carrier == self.carrier,
        }
    }
}

/// All probes under way.
#[derive(Debug, Default)]
pub(super) struct Probes(BTreeMap<OpId, Probe>);

impl Probes {
    pub(super) fn start(&mut self, op: OpId, probe: Probe) {
        self.0.insert(op, probe);
    }

    /// Takes in what another machine says; the probes that this answers are over.
    pub(super) fn hear(&mut self, claim: &Claim) -> Vec<(OpId, ProbeOutcome)> {
        for probe in self.0.values_mut().filter(|probe| probe.interface == claim.interface) {
            // Only an answer to us shows that we are heard, too.
            probe.witnessed |= claim.answers == Some(probe.mac)
                && probe.neighbours.contains(&claim.ip)
                && !probe.not_counted.contains(&claim.mac);
        }
        let answered: Vec<OpId> = self
            .0
            .iter()
            .filter(|(_, probe)| probe.interface == claim.interface && probe.ip == claim.ip)
            .map(|(op, _)| *op)
            .collect();
        answered
            .into_iter()
            .filter(|op| self.0.remove(op).is_some())
            .map(|op| (op, ProbeOutcome::Answered { mac: claim.mac }))
            .collect()
    }

    /// When the next one ends.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.values().map(|probe| probe.deadline).min()
    }

    /// Those whose deadline has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(OpId, Probe)> {
        let due: Vec<OpId> =
            self.0.iter().filter(|(_, probe)| probe.deadline <= now).map(|(op, _)| *op).collect();
        due.into_iter().filter_map(|op| self.0.remove(&op).map(|probe| (op, probe))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETH0: InterfaceId = InterfaceId(2);
    const ME: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 2]);
    /// Another node of the cluster.
    const NODE: Mac = Mac([2, 0, 0, 0, 0, 3]);
    const OP: OpId = OpId(5);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn probe() -> Probe {
        Probe {
            ip: ip("10.0.0.100"),
            interface: ETH0,
            mac: ME,
            carrier: Some(1),
            neighbours: BTreeSet::from([ip("10.0.0.254")]),
            not_counted: BTreeSet::from([NODE]),
            witnessed: false,
            deadline: Instant::from_millis(30),
        }
    }

    fn interface(carrier: bool, carrier_changes: u32) -> Interface {
        Interface { id: ETH0, name: "eth0".to_owned(), mac: Some(ME), carrier, carrier_changes }
    }

    fn claim(text: &str, answers: Option<Mac>) -> Claim {
        Claim { interface: ETH0, ip: ip(text), mac: OTHER, answers }
    }

    fn started() -> Probes {
        let mut probes = Probes::default();
        probes.start(OP, probe());
        probes
    }

    #[test]
    fn an_answer_or_an_announcement_ends_it_at_once_and_once() {
        for answers in [Some(ME), None] {
            let mut probes = started();
            let answered = [(OP, ProbeOutcome::Answered { mac: OTHER })];
            assert_eq!(probes.hear(&claim("10.0.0.100", answers)), answered);
            assert_eq!(probes.hear(&claim("10.0.0.100", answers)), []);
            assert_eq!(probes.deadline(), None);
        }
    }

    #[test]
    fn only_a_neighbour_that_answers_us_is_a_witness() {
        let silence = |claim: &Claim| {
            let mut probes = started();
            assert_eq!(probes.hear(claim), []);
            probes.take_due(Instant::from_millis(30))[0].1.silence(Some(&interface(true, 1)))
        };
        let witnessed = |witnessed| ProbeOutcome::Silent { witnessed };
        assert_eq!(silence(&claim("10.0.0.254", Some(ME))), witnessed(true));
        assert_eq!(silence(&claim("10.0.0.254", Some(OTHER))), witnessed(false));
        assert_eq!(silence(&claim("10.0.0.254", None)), witnessed(false));
        assert_eq!(silence(&claim("10.0.0.253", Some(ME))), witnessed(false));
        let elsewhere = Claim { interface: InterfaceId(3), ..claim("10.0.0.254", Some(ME)) };
        assert_eq!(silence(&elsewhere), witnessed(false));
        let node = Claim { mac: NODE, ..claim("10.0.0.254", Some(ME)) };
        assert_eq!(silence(&node), witnessed(false));
    }

    #[test]
    fn carrier_must_have_been_there_all_the_time() {
        let silence = |carrier, end: Option<&Interface>| {
            Probe { witnessed: true, carrier, ..probe() }.silence(end)
        };
        let witnessed = |witnessed| ProbeOutcome::Silent { witnessed };
        assert_eq!(silence(Some(1), Some(&interface(true, 1))), witnessed(true));
        assert_eq!(silence(Some(1), Some(&interface(true, 3))), witnessed(false));
        assert_eq!(silence(Some(1), Some(&interface(false, 1))), witnessed(false));
        assert_eq!(silence(Some(1), None), witnessed(false));
        assert_eq!(silence(None, Some(&interface(true, 1))), witnessed(false));
    }

    #[test]
    fn it_ends_at_its_deadline_and_not_before() {
        let mut probes = started();
        assert_eq!(probes.deadline(), Some(Instant::from_millis(30)));
        assert_eq!(probes.take_due(Instant::from_micros(29_999)), []);
        assert_eq!(probes.take_due(Instant::from_millis(30)), [(OP, probe())]);
        assert_eq!(probes.take_due(Instant::from_millis(30)), []);
    }
}
