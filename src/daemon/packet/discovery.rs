//! Neighbour discovery on Ethernet (RFC 4861): who has an IPv6 address.
//!
//! ```text
//!  0 destination  6 source  12 type 86dd
//! 14 60000000  18 payload length  20 next header 58 (ICMPv6)  21 hop limit 255  22 source address  38 destination address
//! 54 type  55 code 0  56 checksum  58 flags R S O and zeros  62 target address
//! 78 options: type, length in eights of bytes, value                                           (sections 4.3, 4.4, 4.6.1)
//! ```

use std::net::{IpAddr, Ipv6Addr};

use super::{Claim, InterfaceId, bytes, checksum};
use crate::wire::Mac;

const ETHERTYPE: [u8; 2] = [0x86, 0xdd];
const ICMPV6: u8 = 58;
/// A router would have lowered it: the packet comes from this network (section 7.1).
const HOP_LIMIT: u8 = 255;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const FLAG_SOLICITED: u8 = 0x40;
const FLAG_OVERRIDE: u8 = 0x20;
const SOURCE_MAC: u8 = 1;
const TARGET_MAC: u8 = 2;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// What a packet of neighbour discovery is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Solicitation,
    Advertisement { solicited: bool },
}

/// A neighbour solicitation or advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discovery {
    kind: Kind,
    /// The frame's sender, or whom the packet names instead.
    mac: Mac,
    /// The frame's receiver.
    to: Mac,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    target: Ipv6Addr,
}

impl Discovery {
    /// Asks who has `target`.
    #[must_use]
    pub fn question(mac: Mac, sender: Ipv6Addr, target: Ipv6Addr) -> Self {
        let destination = solicited_node(target);
        Self {
            kind: Kind::Solicitation,
            mac,
            to: multicast_mac(destination),
            source: sender,
            destination,
            target,
        }
    }

    /// Tells that `ip` is here (section 7.2.6).
    #[must_use]
    pub fn announcement(mac: Mac, ip: Ipv6Addr) -> Self {
        let kind = Kind::Advertisement { solicited: false };
        Self {
            kind,
            mac,
            to: multicast_mac(ALL_NODES),
            source: ip,
            destination: ALL_NODES,
            target: ip,
        }
    }

    /// The whole Ethernet frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (kind, flags, option) = match self.kind {
            // Who asks without an address must not name his hardware address either (section 4.3).
            Kind::Solicitation => {
                (SOLICITATION, 0, (!self.source.is_unspecified()).then_some(SOURCE_MAC))
            }
            Kind::Advertisement { solicited } => (
                ADVERTISEMENT,
                FLAG_OVERRIDE | if solicited { FLAG_SOLICITED } else { 0 },
                Some(TARGET_MAC),
            ),
        };
        let mut rest = vec![flags, 0, 0, 0];
        rest.extend(self.target.octets());
        if let Some(option) = option {
            rest.extend([option, 1]);
            rest.extend(self.mac.0);
        }
        let length = if option.is_some() { 32u8 } else { 24 };
        let sum = checksum(&[&self.pseudo_header(length), &[kind, 0, 0, 0], &rest]);

        let mut frame = Vec::with_capacity(86);
        frame.extend(self.to.0);
        frame.extend(self.mac.0);
        frame.extend(ETHERTYPE);
        frame.extend([0x60, 0, 0, 0, 0, length, ICMPV6, HOP_LIMIT]);
        frame.extend(self.source.octets());
        frame.extend(self.destination.octets());
        frame.extend([kind, 0]);
        frame.extend(sum.to_be_bytes());
        frame.extend(rest);
        frame
    }

    /// Reads an Ethernet frame; `None`: it is neither of the two, or not valid by section 7.1.
    #[must_use]
    pub fn decode(frame: &[u8]) -> Option<Self> {
        let [version, _, _, _, high, length, next, hops] = bytes(frame, 14)?;
        if bytes(frame, 12)? != ETHERTYPE
            || version >> 4 != 6
            || high != 0
            || next != ICMPV6
            || hops != HOP_LIMIT
        {
            return None;
        }
        let message = frame.get(54..54 + usize::from(length))?;
        let [kind, code, _, _, flags, _, _, _] = bytes(message, 0)?;
        let (kind, wanted) = match kind {
            SOLICITATION => (Kind::Solicitation, SOURCE_MAC),
            ADVERTISEMENT => {
                (Kind::Advertisement { solicited: flags & FLAG_SOLICITED != 0 }, TARGET_MAC)
            }
            _ => return None,
        };
        let named = find_mac(message.get(24..)?, wanted).ok()?;
        let discovery = Self {
            kind,
            mac: named.unwrap_or(Mac(bytes(frame, 6)?)),
            to: Mac(bytes(frame, 0)?),
            source: Ipv6Addr::from(bytes::<16>(frame, 22)?),
            destination: Ipv6Addr::from(bytes::<16>(frame, 38)?),
            target: Ipv6Addr::from(bytes::<16>(message, 8)?),
        };
        let sound = checksum(&[&discovery.pseudo_header(length), message]) == 0;
        (code == 0 && sound && !discovery.target.is_multicast()).then_some(discovery)
    }

    /// What it says of its sender; `None`: a question that claims nothing. A question without a source is duplicate
    /// address detection: somebody is about to take the address (RFC 4862, section 5.4.3).
    pub(super) fn claim(&self, interface: InterfaceId) -> Option<Claim> {
        let answers = match self.kind {
            Kind::Solicitation if self.source.is_unspecified() => None,
            Kind::Solicitation => return None,
            Kind::Advertisement { solicited } => solicited.then_some(self.to),
        };
        Some(Claim { interface, ip: IpAddr::V6(self.target), mac: self.mac, answers })
    }

    /// What the checksum covers beside the message (RFC 8200, section 8.1).
    fn pseudo_header(&self, length: u8) -> Vec<u8> {
        let mut header = Vec::with_capacity(40);
        header.extend(self.source.octets());
        header.extend(self.destination.octets());
        header.extend([0, 0, 0, length, 0, 0, 0, ICMPV6]);
        header
    }
}

/// The options do not fit their own lengths.
struct Malformed;

/// The hardware address in an option of this kind, if there is one.
fn find_mac(mut options: &[u8], wanted: u8) -> Result<Option<Mac>, Malformed> {
    let mut found = None;
    while let [kind, eights, ..] = options {
        let length = usize::from(*eights) * 8;
        if length == 0 {
            return Err(Malformed);
        }
        let (option, rest) = options.split_at_checked(length).ok_or(Malformed)?;
        if *kind == wanted && *eights == 1 {
            found = bytes(option, 2).map(Mac);
        }
        options = rest;
    }
    if options.is_empty() { Ok(found) } else { Err(Malformed) }
}

/// The multicast group of everybody who may have an address (RFC 4291, section 2.7.1).
fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = target.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// Where a multicast group's frames go (RFC 2464, section 7).
fn multicast_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([0x02, 0, 0, 0, 0, 0xaa]);

    fn ip(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    /// An answer as Linux sends it, its checksum still zero.
    fn answer() -> Vec<u8> {
        let mut frame = vec![0x02, 0, 0, 0, 0, 0xaa, 0x02, 0, 0, 0, 0, 0xbb, 0x86, 0xdd];
        frame.extend([0x60, 0, 0, 0, 0, 32, 58, 255]);
        frame.extend(ip("fe80::b").octets());
        frame.extend(ip("fe80::a").octets());
        frame.extend([136, 0, 0, 0, 0x60, 0, 0, 0]);
        frame.extend(ip("fd00::64").octets());
        frame.extend([2, 1, 0x02, 0, 0, 0, 0, 0xbb]);
        frame
    }

    #[test]
    fn a_question_byte_by_byte() {
        let frame = Discovery::question(MAC, ip("fe80::a"), ip("fd00::1:2345:6789")).encode();
        assert_eq!(
            frame[..14],
            [0x33, 0x33, 0xff, 0x45, 0x67, 0x89, 0x02, 0, 0, 0, 0, 0xaa, 0x86, 0xdd]
        );
        assert_eq!(frame[14..22], [0x60, 0, 0, 0, 0, 32, 58, 255]);
        assert_eq!(frame[38..54], ip("ff02::1:ff45:6789").octets());
        assert_eq!(frame[54..56], [135, 0]);
        assert_eq!(frame[62..78], ip("fd00::1:2345:6789").octets());
        assert_eq!(frame[78..], [1, 1, 0x02, 0, 0, 0, 0, 0xaa]);
        assert!(Discovery::decode(&frame).is_some());
    }

    #[test]
    fn a_question_without_an_address_names_no_hardware_address() {
        let frame = Discovery::question(MAC, Ipv6Addr::UNSPECIFIED, ip("fd00::1")).encode();
        assert_eq!((frame.len(), frame[19]), (78, 24));
        let claim = Discovery::decode(&frame).unwrap().claim(InterfaceId(1)).unwrap();
        assert_eq!((claim.ip, claim.mac, claim.answers), (IpAddr::V6(ip("fd00::1")), MAC, None));
    }

    #[test]
    fn an_announcement_byte_by_byte() {
        let frame = Discovery::announcement(MAC, ip("fd00::64")).encode();
        assert_eq!(frame[..6], [0x33, 0x33, 0, 0, 0, 1]);
        assert_eq!(frame[22..38], ip("fd00::64").octets());
        assert_eq!(frame[38..54], ip("ff02::1").octets());
        assert_eq!((frame[54], frame[58]), (136, 0x20));
        assert_eq!(frame[78..], [2, 1, 0x02, 0, 0, 0, 0, 0xaa]);
        let claim = Discovery::decode(&frame).unwrap().claim(InterfaceId(3)).unwrap();
        assert_eq!(
            claim,
            Claim {
                interface: InterfaceId(3),
                ip: IpAddr::V6(ip("fd00::64")),
                mac: MAC,
                answers: None
            }
        );
    }

    #[test]
    fn an_answer_with_its_checksum_and_without() {
        // 2·fe80 + b + a + 20 + 3a + 8800 + 6000 + fd00 + 64 + 0201 + 0200 + 00bb = 3e78f: folded e792.
        let mut frame = answer();
        assert_eq!(Discovery::decode(&frame), None);
        frame[56..58].copy_from_slice(&(!0xe792u16).to_be_bytes());
        let claim = Discovery::decode(&frame).unwrap().claim(InterfaceId(1)).unwrap();
        assert_eq!((claim.mac, claim.answers), (Mac([0x02, 0, 0, 0, 0, 0xbb]), Some(MAC)));
    }

    #[test]
    fn what_section_7_1_calls_invalid_is_nothing() {
        let good = Discovery::announcement(MAC, ip("fd00::64")).encode();
        for length in 0..good.len() {
            assert_eq!(Discovery::decode(&good[..length]), None, "{length} bytes");
        }
        // Type, version, next header, hop limit, ICMP type, code, checksum, target, an option of no length.
        for (place, value) in [
            (12, 0x08),
            (14, 0x40),
            (20, 6),
            (21, 254),
            (54, 134),
            (55, 1),
            (56, 0xee),
            (70, 1),
            (79, 0),
        ] {
            let mut bad = good.clone();
            bad[place] = value;
            assert_eq!(Discovery::decode(&bad), None, "byte {place}");
        }
    }
}
