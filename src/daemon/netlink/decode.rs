//! From the kernel's messages to what this crate calls interfaces, addresses, routes and neighbours.

use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_core::{
    DecodeError, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload, Parseable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourState};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteType};

use super::{Interface, InterfaceAddress, InterfaceId, Lifetime, Source};
use crate::wire::Mac;

/// The messages of one read. One that cannot be decoded is an error in its place.
pub(super) fn messages(
    buffer: &[u8],
) -> impl Iterator<Item = (NetlinkHeader, Result<NetlinkPayload<RouteNetlinkMessage>, DecodeError>)>
{
    let mut rest = buffer;
    std::iter::from_fn(move || {
        let outer = NetlinkBuffer::new_checked(rest).ok()?;
        let header = NetlinkHeader::parse(&outer).ok()?;
        let length = usize::try_from(header.length).ok()?;
        let message = rest.get(..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((header, NetlinkMessage::deserialize(message).map(|message| message.into_parts().1)))
    })
}

pub(super) fn to_interface(message: RouteNetlinkMessage) -> Option<Interface> {
    let RouteNetlinkMessage::NewLink(message) = message else { return None };
    read_interface(message)
}

pub(super) fn read_interface(message: LinkMessage) -> Option<Interface> {
    let ethernet = message.header.link_layer_type == LinkLayerType::Ether;
    let mut interface = Interface {
        id: InterfaceId(message.header.index),
        name: String::new(),
        mac: None,
        carrier: message
            .header
            .flags
            .contains(LinkFlags::Up | LinkFlags::Running | LinkFlags::LowerUp),
        carrier_changes: 0,
    };
    for attribute in message.attributes {
        if let LinkAttribute::IfName(name) = attribute {
            interface.name = name;
        } else if let LinkAttribute::CarrierChanges(count) = attribute {
            interface.carrier_changes = count;
        } else if let LinkAttribute::Address(bytes) = attribute {
            interface.mac = bytes.try_into().ok().filter(|_| ethernet).map(Mac);
        }
    }
    (!interface.name.is_empty()).then_some(interface)
}

pub(super) fn to_address(message: RouteNetlinkMessage) -> Option<InterfaceAddress> {
    let RouteNetlinkMessage::NewAddress(message) = message else { return None };
    read_address(&message)
}

pub(super) fn read_address(message: &AddressMessage) -> Option<InterfaceAddress> {
    let mut local = None;
    let mut peer = None;
    let mut lifetime = Lifetime::Forever;
    for attribute in &message.attributes {
        if let AddressAttribute::Local(ip) = attribute {
            local = Some(*ip);
        } else if let AddressAttribute::Address(ip) = attribute {
            peer = Some(*ip);
        } else if let AddressAttribute::CacheInfo(info) = attribute {
            lifetime = Lifetime::of(info.ifa_valid);
        }
    }
    Some(InterfaceAddress {
        interface: InterfaceId(message.header.index),
        // IPv6 has its own address in `Address`; on a point-to-point IPv4 link that is the other end's.
        ip: local.or(peer)?,
        prefix: message.header.prefix_len,
        lifetime,
    })
}

pub(super) fn to_source(message: RouteNetlinkMessage) -> Option<Source> {
    let RouteNetlinkMessage::NewAddress(message) = message else { return None };
    let InterfaceAddress { interface, ip, prefix, .. } = read_address(&message)?;
    let unfit = AddressHeaderFlags::Tentative
        | AddressHeaderFlags::Dadfailed
        | AddressHeaderFlags::Deprecated;
    // The kernel has one bit for a second address of a network (IPv4) and for a temporary one (IPv6).
    let temporary = ip.is_ipv6() && message.header.flags.contains(AddressHeaderFlags::Secondary);
    if message.header.flags.intersects(unfit) || temporary {
        return None;
    }
    let told = message.attributes.iter().find_map(|attribute| {
        if let AddressAttribute::Broadcast(broadcast) = attribute { Some(*broadcast) } else { None }
    });
    let broadcast = match ip {
        // The kernel takes the last address of a network for its broadcast address, whether it was told so or not.
        IpAddr::V4(ip) => told.or_else(|| last_of(ip, prefix)),
        IpAddr::V6(_) => None,
    };
    Some(Source { interface, ip, broadcast })
}

/// The last address of a network, where that is not one of its two machines (RFC 3021).
fn last_of(ip: Ipv4Addr, prefix: u8) -> Option<Ipv4Addr> {
    let hosts = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
    (prefix < 31).then(|| Ipv4Addr::from_bits(ip.to_bits() | hosts))
}

/// Where a packet would go.
pub(super) struct Route {
    pub(super) interface: InterfaceId,
    pub(super) gateway: Option<IpAddr>,
}

pub(super) fn to_route(message: RouteNetlinkMessage) -> Option<Route> {
    let RouteNetlinkMessage::NewRoute(message) = message else { return None };
    if message.header.kind != RouteType::Unicast {
        return None;
    }
    let mut interface = None;
    let mut gateway = None;
    for attribute in message.attributes {
        if let RouteAttribute::Oif(id) = attribute {
            interface = Some(InterfaceId(id));
        } else if let RouteAttribute::Gateway(RouteAddress::Inet(ip)) = attribute {
            gateway = Some(IpAddr::V4(ip));
        } else if let RouteAttribute::Gateway(RouteAddress::Inet6(ip)) = attribute {
            gateway = Some(IpAddr::V6(ip));
        }
    }
    Some(Route { interface: interface?, gateway })
}

/// A neighbour that answered once.
pub(super) struct Neighbour {
    /// How long ago that was, in ticks of the kernel.
    pub(super) age: u32,
    pub(super) ip: IpAddr,
    pub(super) mac: Option<Mac>,
}

pub(super) fn to_neighbour(message: RouteNetlinkMessage) -> Option<Neighbour> {
    let RouteNetlinkMessage::NewNeighbour(message) = message else { return None };
    let answered = matches!(
        message.header.state,
        NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::Permanent
    );
    if !answered {
        return None;
    }
    let mut ip = None;
    let mut mac = None;
    let mut age = u32::MAX;
    for attribute in message.attributes {
        if let NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) = attribute {
            ip = Some(IpAddr::V4(v4));
        } else if let NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) = attribute {
            ip = Some(IpAddr::V6(v6));
        } else if let NeighbourAttribute::LinkLayerAddress(bytes) = attribute {
            mac = bytes.try_into().ok().map(Mac);
        } else if let NeighbourAttribute::CacheInfo(info) = attribute {
            age = info.confirmed;
        }
    }
    ip.filter(|ip| !ip.is_multicast()).map(|ip| Neighbour { age, ip, mac })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_a_last_address_unless_it_is_too_small() {
        let last =
            |text: &str, prefix| last_of(text.parse().unwrap(), prefix).map(|ip| ip.to_string());
        assert_eq!(last("192.0.2.9", 24).as_deref(), Some("192.0.2.255"));
        assert_eq!(last("10.77.3.1", 8).as_deref(), Some("10.255.255.255"));
        assert_eq!(last("192.0.2.9", 30).as_deref(), Some("192.0.2.11"));
        assert_eq!(last("192.0.2.9", 31), None);
        assert_eq!(last("192.0.2.9", 32), None);
        assert_eq!(last("192.0.2.9", 0).as_deref(), Some("255.255.255.255"));
    }

    #[test]
    fn a_read_is_cut_into_messages_and_never_past_its_end() {
        let mut one = NetlinkMessage::new(
            NetlinkHeader::default(),
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(LinkMessage::default())),
        );
        one.finalize();
        let mut bytes = vec![0; one.buffer_len()];
        one.serialize(&mut bytes);
        let two = [bytes.clone(), bytes.clone()].concat();
        assert_eq!(messages(&two).count(), 2);
        assert_eq!(messages(&two[..two.len() - 1]).count(), 1);
        assert_eq!(messages(&[]).count(), 0);
        // A length of zero would never come to an end.
        assert_eq!(messages(&[0; 64]).count(), 0);
    }
}
