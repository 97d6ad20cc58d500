//! Where this node's end of a link belongs: from what the configuration says and what the kernel has, the address, the
//! interface and the group that its sockets are bound to. Asked again and again, since interfaces and addresses come and go.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::obstacle::Obstacle;
use super::socket::{Cast, Device, Local};
use crate::config::{Config, LinkId, Transport};
use crate::daemon::netlink::{Interface, Netlink, NetlinkError, Source};

/// What the configuration says of this node's end.
#[derive(Debug)]
pub(super) struct Site {
    way: Way,
    port: u16,
    interface: Option<String>,
    /// Addresses that move with a group: what is sent from one today comes from another machine tomorrow.
    moving: Vec<IpAddr>,
}

/// How datagrams travel.
#[derive(Debug)]
enum Way {
    Unicast {
        own: IpAddr,
    },
    Multicast {
        group: IpAddr,
        ttl: u8,
        own: Option<IpAddr>,
    },
    Broadcast {
        own: Option<IpAddr>,
    },
    /// The configuration has no place for this node on this link, which cannot be.
    Nowhere,
}

/// Where it is now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) local: Local,
    /// What keeps datagrams from going anywhere, though sockets can be opened.
    pub(super) idle: Option<Obstacle>,
}

impl Site {
    pub(super) fn new(config: &Config, id: LinkId) -> Self {
        let link = config.link(id);
        let own = link.transport.address(config.me);
        let way = match &link.transport {
            Transport::Unicast { .. } => own.map_or(Way::Nowhere, |own| Way::Unicast { own }),
            Transport::Multicast { group, ttl, .. } => {
                Way::Multicast { group: *group, ttl: *ttl, own }
            }
            Transport::Broadcast { .. } => Way::Broadcast { own },
        };
        let resources = config.groups.iter().flat_map(|group| &group.resources);
        let moving = resources.filter_map(|resource| Some(resource.address.as_ref()?.ip));
        Self { way, port: link.port, interface: link.interface.clone(), moving: moving.collect() }
    }

    /// Looks where the end belongs now.
    pub(super) fn locate(&self, kernel: &mut Netlink) -> Result<Found, Obstacle> {
        match &self.way {
            Way::Unicast { own } => {
                let interface = self.named(kernel)?;
                let local = Local {
                    address: SocketAddr::new(*own, self.port),
                    device: interface.as_ref().map(device),
                    cast: Cast::Unicast,
                };
                Ok(Found { local, idle: interface.as_ref().and_then(idle) })
            }
            Way::Multicast { group, ttl, own } => {
                let interface = self.interface(kernel, *own)?;
                let source = self.source(kernel, &interface, *own, *group, *ttl)?;
                let address = match group {
                    IpAddr::V4(group) => SocketAddrV4::new(*group, self.port).into(),
                    // A group of the link's own scope is another one on each interface.
                    IpAddr::V6(group) => {
                        SocketAddrV6::new(*group, self.port, 0, interface.id.0).into()
                    }
                };
                let cast = Cast::Multicast { ttl: *ttl, source: source.ip };
                let local = Local { address, device: Some(device(&interface)), cast };
                Ok(Found { local, idle: idle(&interface) })
            }
            Way::Broadcast { own } => {
                let everybody = Ipv4Addr::BROADCAST;
                let interface = self.interface(kernel, *own)?;
                let source = self.source(kernel, &interface, *own, everybody.into(), 1)?;
                let address = source.broadcast.unwrap_or(everybody);
                let local = Local {
                    address: SocketAddr::new(address.into(), self.port),
                    device: Some(device(&interface)),
                    cast: Cast::Broadcast { source: source.ip },
                };
                Ok(Found { local, idle: idle(&interface) })
            }
            Way::Nowhere => Err(Obstacle::NoPlace),
        }
    }

    /// Whether the interface is to blame where nothing can be sent. Asked only then, as where no name is configured all
    /// addresses have to be looked through.
    pub(super) fn blame(&self, kernel: &mut Netlink) -> Option<Obstacle> {
        let (Way::Unicast { own }, None) = (&self.way, &self.interface) else { return None };
        let sources = kernel.sources(None).ok()?;
        let id = sources.iter().find(|source| source.ip == *own)?.interface;
        kernel.interface(id).ok()?.as_ref().and_then(idle)
    }

    /// The interface that the configuration names. The name counts, whichever interface has it now.
    fn named(&self, kernel: &mut Netlink) -> Result<Option<Interface>, Obstacle> {
        let Some(name) = &self.interface else { return Ok(None) };
        let found = kernel.interface_named(name).map_err(untold)?;
        let missing = || Obstacle::NoInterface { interface: name.clone() };
        found.ok_or_else(missing).map(Some)
    }

    /// The interface of a link that needs one: by its name, or by this node's address on it.
    fn interface(&self, kernel: &mut Netlink, own: Option<IpAddr>) -> Result<Interface, Obstacle> {
        if let Some(interface) = self.named(kernel)? {
            return Ok(interface);
        }
        let address = own.ok_or(Obstacle::NoPlace)?;
        let sources = kernel.sources(None).map_err(untold)?;
        let source = sources.iter().find(|source| source.ip == address);
        let id = source.ok_or(Obstacle::NoAddress { address })?.interface;
        kernel.interface(id).map_err(untold)?.ok_or(Obstacle::NoAddress { address })
    }

    /// The address that datagrams to `target` come from: always the same, so that peers know whose buffer they fill.
    fn source(
        &self,
        kernel: &mut Netlink,
        interface: &Interface,
        own: Option<IpAddr>,
        target: IpAddr,
        ttl: u8,
    ) -> Result<Source, Obstacle> {
        let mut fit = kernel.sources(Some(interface.id)).map_err(untold)?;
        fit.retain(|source| {
            source.interface == interface.id && source.ip.is_ipv4() == target.is_ipv4()
        });
        if let Some(address) = own {
            let here = fit.into_iter().find(|source| source.ip == address);
            return here.ok_or(Obstacle::NoAddress { address });
        }
        fit.retain(|source| !self.moving.contains(&source.ip));
        // Every interface with IPv6 has a link-local address, but no router passes on what comes from it.
        let goes_far = ttl > 1 && !is_link_local(target);
        let misfit = |source: &Source| source.ip.is_ipv6() && is_link_local(source.ip) == goes_far;
        let best = fit.iter().copied().min_by_key(misfit);
        best.ok_or_else(|| Obstacle::NoSource {
            interface: interface.name.clone(),
            family: if target.is_ipv4() { "IPv4" } else { "IPv6" },
        })
    }
}

fn device(interface: &Interface) -> Device {
    Device { index: interface.id.0, name: interface.name.clone() }
}

fn idle(interface: &Interface) -> Option<Obstacle> {
    (!interface.carrier).then(|| Obstacle::NoCarrier { interface: interface.name.clone() })
}

fn untold(error: NetlinkError) -> Obstacle {
    Obstacle::Untold { why: error.to_string() }
}

/// Whether an address means something on its own link only: `fe80::/10`, `ff02::/16` with any flags.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => {
            ip.is_unicast_link_local() || ip.is_multicast() && ip.segments()[0] & 0xf == 2
        }
    }
}
