//! What this machine is and has: the defaults of the questions, and a touchstone for the answers. Asks, changes nothing.

use std::net::IpAddr;
use std::path::PathBuf;

use super::Service;
use crate::cli::exit::Failure;
use crate::daemon::host_name;
use crate::daemon::netlink::{InterfaceAddress, Netlink, NetlinkError, on_same_network};

/// Interfaces that lead to guests of this machine alone, by what their names begin with.
const OF_GUESTS: [&str; 9] =
    ["br-", "cni", "docker", "flannel", "lxc", "lxd", "podman", "veth", "virbr"];

/// Where programs lie that the PATH of an ordinary user lacks.
const ADMIN_DIRECTORIES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// This machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Here {
    /// The node that it is, unless it is told otherwise.
    pub(super) name: String,
    /// Its addresses that a link may use, the likeliest first.
    pub(super) own: Vec<Own>,
    /// The web server that is installed.
    pub(super) service: Service,
    /// The unit of its Apache: distributions differ.
    pub(super) httpd_unit: &'static str,
}

/// An address of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) ip: IpAddr,
    pub(super) prefix: u8,
    pub(super) interface: String,
    /// The default gateway on that interface.
    pub(super) gateway: Option<IpAddr>,
}

impl Own {
    /// Whether an address is on this one's network.
    pub(super) fn reaches(&self, ip: IpAddr) -> bool {
        on_same_network(self.ip, self.prefix, ip)
    }
}

impl Here {
    /// Asks the kernel and looks for programs.
    pub(super) fn look() -> Result<Self, Failure> {
        let failed = |error: NetlinkError| Failure::Failed(error.to_string());
        let name = host_name().map_err(|error| Failure::Failed(error.to_string()))?;
        let service = match () {
            () if is_installed("nginx") => Service::Nginx,
            () if is_installed("apache2") || is_installed("httpd") => Service::Httpd,
            () => Service::None,
        };
        let red_hat = is_installed("httpd") && !is_installed("apache2");
        let httpd_unit = if red_hat { "httpd" } else { "apache2" };
        Ok(Self { name, own: own_addresses().map_err(failed)?, service, httpd_unit })
    }

    /// An address, if it is one of this machine.
    pub(super) fn own(&self, ip: IpAddr) -> Option<&Own> {
        self.own.iter().find(|own| own.ip == ip)
    }

    /// What makes it unlikely that an address is a node's.
    pub(super) fn doubt(&self, node: &str, ip: IpAddr) -> Option<String> {
        match (node == self.name, self.own(ip)) {
            (true, None) => Some(format!("this machine has no address {ip}")),
            (false, Some(own)) => Some(format!(
                "{ip} is this machine's own ({}), whose host's name is {} and not {node}",
                own.interface, self.name
            )),
            (true, Some(_)) | (false, None) => None,
        }
    }

    /// The likeliest address that is on another interface than one of this machine's.
    pub(super) fn apart_from(&self, ip: IpAddr) -> Option<&Own> {
        let interface = &self.own(ip)?.interface;
        self.own.iter().find(|own| own.interface != *interface)
    }

    /// The default gateway: on the interface of this address if it is one of this machine, else on any.
    pub(super) fn gateway(&self, of: Option<IpAddr>) -> Option<IpAddr> {
        let there = of.and_then(|ip| self.own(ip)).and_then(|own| own.gateway);
        there.or_else(|| self.own.iter().find_map(|own| own.gateway))
    }
}

/// Addresses that a link may use: those towards the default gateway first, IPv4 before IPv6.
fn own_addresses() -> Result<Vec<Own>, NetlinkError> {
    let mut netlink = Netlink::open()?;
    let interfaces = netlink.interfaces()?;
    let rows = netlink.addresses(None)?;
    let mut own = Vec::new();
    for source in netlink.sources(None)? {
        let Some(interface) = interfaces.iter().find(|known| known.id == source.interface) else {
            continue;
        };
        let of_guests = OF_GUESTS.iter().any(|prefix| interface.name.starts_with(prefix));
        let link_local = matches!(source.ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        if source.ip.is_loopback() || link_local || of_guests {
            continue;
        }
        let is_row =
            |row: &&InterfaceAddress| (row.interface, row.ip) == (source.interface, source.ip);
        let Some(row) = rows.iter().find(is_row) else { continue };
        own.push(Own {
            ip: source.ip,
            prefix: row.prefix,
            interface: interface.name.clone(),
            gateway: netlink.gateway(source.interface, source.ip)?,
        });
    }
    // Stable: otherwise as the kernel lists them, which is by interface.
    own.sort_by_key(|own| (own.gateway.is_none(), own.ip.is_ipv6()));
    Ok(own)
}

/// Whether a program is somewhere on the search path.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(ADMIN_DIRECTORIES.map(PathBuf::from));
    directories.into_iter().any(|directory| directory.join(program).is_file())
}
