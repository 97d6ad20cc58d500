//! ARP on Ethernet (RFC 826): who has an IPv4 address.
//!
//! ```text
//!  0 destination  6 source  12 type 0806
//! 14 hardware 1 (Ethernet)  16 protocol 0800 (IPv4)  18 lengths 6, 4  20 operation
//! 22 sender's hardware address  28 its IPv4 address  32 target's hardware address  38 its IPv4 address  42
//! ```

use std::net::{IpAddr, Ipv4Addr};

use super::{BROADCAST, Claim, InterfaceId, bytes};
use crate::wire::Mac;

const ETHERTYPE: [u8; 2] = [0x08, 0x06];
/// Hardware type Ethernet, protocol type IPv4, and the lengths of their addresses.
const KIND: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];
const NOBODY: Mac = Mac([0; 6]);

/// What an ARP packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Who has the target's address?
    Request,
    /// The sender has his address.
    Reply,
}

/// An ARP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arp {
    /// What it is for.
    pub operation: Operation,
    /// Who speaks.
    pub sender_mac: Mac,
    /// The address he says he has; unspecified: he says nothing.
    pub sender_ip: Ipv4Addr,
    /// To whom; nobody in requests.
    pub target_mac: Mac,
    /// The address it is about.
    pub target_ip: Ipv4Addr,
}

impl Arp {
    /// Asks who has `target`.
    #[must_use]
    pub fn question(mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Self {
        Self {
            operation: Operation::Request,
            sender_mac: mac,
            sender_ip: sender,
            target_mac: NOBODY,
            target_ip: target,
        }
    }

    /// Tells that `ip` is here, in both forms (RFC 5227, section 3; RFC 5944, section 4.6).
    #[must_use]
    pub fn announcements(mac: Mac, ip: Ipv4Addr) -> [Self; 2] {
        let request = Self::question(mac, ip, ip);
        [request, Self { operation: Operation::Reply, target_mac: BROADCAST, ..request }]
    }

    /// The whole Ethernet frame, without padding: the interface adds it.
    #[must_use]
    pub fn encode(&self, destination: Mac) -> Vec<u8> {
        let operation = match self.operation {
            Operation::Request => [0, 1],
            Operation::Reply => [0, 2],
        };
        let mut frame = Vec::with_capacity(42);
        frame.extend(destination.0);
        frame.extend(self.sender_mac.0);
        frame.extend(ETHERTYPE);
        frame.extend(KIND);
        frame.extend(operation);
        frame.extend(self.sender_mac.0);
        frame.extend(self.sender_ip.octets());
        frame.extend(self.target_mac.0);
        frame.extend(self.target_ip.octets());
        frame
    }

    /// Reads an Ethernet frame; `None`: it is not ARP for IPv4 on Ethernet, or cut short.
    #[must_use]
    pub fn decode(frame: &[u8]) -> Option<Self> {
        if bytes(frame, 12)? != ETHERTYPE || bytes(frame, 14)? != KIND {
            return None;
        }
        let operation = match bytes(frame, 20)? {
            [0, 1] => Operation::Request,
            [0, 2] => Operation::Reply,
            _ => return None,
        };
        Some(Self {
            operation,
            sender_mac: Mac(bytes(frame, 22)?),
            sender_ip: Ipv4Addr::from(bytes::<4>(frame, 28)?),
            target_mac: Mac(bytes(frame, 32)?),
            target_ip: Ipv4Addr::from(bytes::<4>(frame, 38)?),
        })
    }

    /// What it says of its sender; `None`: a probe, which says nothing.
    pub(super) fn claim(&self, interface: InterfaceId) -> Option<Claim> {
        let gratuitous = self.sender_ip == self.target_ip;
        (!self.sender_ip.is_unspecified()).then_some(Claim {
            interface,
            ip: IpAddr::V4(self.sender_ip),
            mac: self.sender_mac,
            answers: match self.operation {
                Operation::Reply if !gratuitous => Some(self.target_mac),
                Operation::Reply | Operation::Request => None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([0x02, 0, 0, 0, 0, 0xaa]);
    const ME: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);

    #[test]
    fn a_request_byte_by_byte() {
        #[rustfmt::skip]
        let expected = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff,  0x02, 0, 0, 0, 0, 0xaa,  0x08, 0x06,
            0, 1,  0x08, 0x00,  6, 4,  0, 1,
            0x02, 0, 0, 0, 0, 0xaa,  10, 0, 0, 1,
            0, 0, 0, 0, 0, 0,  10, 0, 0, 100,
        ];
        assert_eq!(Arp::question(MAC, ME, IP).encode(BROADCAST), expected);
        assert_eq!(Arp::decode(&expected), Some(Arp::question(MAC, ME, IP)));
    }

    #[test]
    fn announcements_name_the_address_twice_and_come_in_both_forms() {
        let [request, reply] = Arp::announcements(MAC, IP);
        let (request, reply) = (request.encode(BROADCAST), reply.encode(BROADCAST));
        assert_eq!((&request[20..22], &reply[20..22]), (&[0, 1][..], &[0, 2][..]));
        for frame in [request, reply] {
            assert_eq!(frame[..6], [0xff; 6]);
            assert_eq!(frame[22..28], MAC.0);
            assert_eq!(frame[28..32], frame[38..42]);
        }
    }

    #[test]
    fn a_reply_answers_its_target_and_a_probe_claims_nothing() {
        let here = InterfaceId(7);
        let answer = Arp {
            operation: Operation::Reply,
            sender_mac: MAC,
            sender_ip: IP,
            target_mac: Mac([4; 6]),
            target_ip: ME,
        };
        let claim =
            Claim { interface: here, ip: IpAddr::V4(IP), mac: MAC, answers: Some(Mac([4; 6])) };
        assert_eq!(answer.claim(here), Some(claim));
        assert_eq!(Arp::question(MAC, Ipv4Addr::UNSPECIFIED, IP).claim(here), None);
        for announcement in Arp::announcements(MAC, IP) {
            assert_eq!(announcement.claim(here), Some(Claim { answers: None, ..claim }));
        }
    }

    #[test]
    fn what_is_not_whole_arp_for_ipv4_is_nothing() {
        let good = Arp::question(MAC, ME, IP).encode(BROADCAST);
        for length in 0..good.len() {
            assert_eq!(Arp::decode(&good[..length]), None, "{length} bytes");
        }
        for place in [12, 13, 14, 15, 16, 17, 18, 19, 20, 21] {
            let mut bad = good.clone();
            bad[place] ^= 0x40;
            assert_eq!(Arp::decode(&bad), None, "byte {place}");
        }
        let padded = [good, vec![0; 18]].concat();
        assert!(Arp::decode(&padded).is_some());
    }
}
