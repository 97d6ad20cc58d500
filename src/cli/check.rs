//! `lubdub check`: the configuration as every node reads it, the keys, and on the machine that is one of the nodes its
//! agents, interfaces and addresses too; with `--peer` what the nodes hear of each other.

mod advice;
mod peer;

use std::io;
use std::path::Path;

use super::agent::Installed;
use super::args::{CheckArgs, DEFAULT_AUTHKEYS, DEFAULT_CONFIG};
use super::exit::{Exit, Failure};
use super::output;
use crate::cluster::guard::GuardLevel;
use crate::config::{self, Address, Config, Draft, Group, Guard, Link, Resource, Transport};
use crate::daemon::host_name;
use crate::daemon::netlink::{Netlink, NetlinkError};
use crate::wire::{Keys, LoadError, OwnCheck};

/// Check everything, and tell all that is wrong at once.
pub(super) fn check(args: &CheckArgs, socket: &Path) -> Result<Exit, Failure> {
    let wrong = |error: config::ConfigErrors| Failure::Usage(error.to_string());
    let name = args.config.display();
    let found = config::look(&args.config);
    if let Ok(file) = &found.file {
        for warning in file.warnings() {
            let line = warning.line.map_or_else(String::new, |line| format!("{line}:"));
            output::say(&format!("{name}:{line} warning: {}", warning.text));
        }
    }
    let node = args.node.clone().or_else(|| own_node(&found));
    let nodes = found.nodes().collect::<Vec<_>>().join(", ");
    if node.is_none() && args.peer && found.file.is_ok() {
        return Err(Failure::Usage(format!(
            "this machine is none of the nodes ({nodes}): say with --node which one it is"
        )));
    }
    if node.is_none() && !nodes.is_empty() {
        output::say(&format!(
            "this machine is none of the nodes ({nodes}), so its agents were not asked; --node says which one it is"
        ));
    }
    let mut problems: Vec<String> = keys(args).into_iter().collect();
    if let Some(node) = &node {
        let drafts = found.drafts(node).iter();
        let resources = drafts.map(|Draft { group, resource }| (group.as_str(), resource));
        let of_agents = agent_problems(resources, &Installed::find()?);
        problems.extend(of_agents.into_iter().map(|problem| format!("{name}: {problem}")));
    }
    let file = match found.file {
        Ok(file) => file,
        Err(errors) => {
            problems.insert(0, errors.to_string());
            return Err(Failure::Usage(problems.join("\n")));
        }
    };
    let Some(node) = node else {
        let first = file.nodes().next().unwrap_or_default().to_owned();
        return report(&args.config, &file.for_node(&first).map_err(wrong)?, &problems);
    };
    let config = file.for_node(&node).map_err(wrong)?;
    let elsewhere = not_here(&config).map_err(|error| Failure::Failed(error.to_string()))?;
    for warning in elsewhere {
        output::say(&format!("{name}: warning: {warning}"));
    }
    if !args.peer {
        return report(&args.config, &config, &problems);
    }
    // What keeps nobody from being heard is told, and the other nodes are not kept waiting for it.
    let (here, own_check) = match report(&args.config, &config, &problems) {
        Err(Failure::Usage(text)) => {
            output::say(&text);
            (Exit::Usage, OwnCheck::Failed)
        }
        here => (here?, OwnCheck::Passed),
    };
    let keys = Keys::load(&args.authkeys).map_err(|error| Failure::Usage(error.to_string()))?;
    let peers = peer::check(&config, &keys, socket, args.wait, own_check)?;
    Ok(if here == Exit::Fine { peers } else { here })
}

/// What `lubdub run` would say of the keys. Where another configuration than this machine's own is checked there may be
/// none beside it; where there is no configuration either, `lubdub init` writes both, and would not after `keygen`.
fn keys(args: &CheckArgs) -> Option<String> {
    let error = Keys::load(&args.authkeys).err()?;
    let missing = matches!(&error, LoadError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound);
    let needed =
        args.config == Path::new(DEFAULT_CONFIG) || args.authkeys != Path::new(DEFAULT_AUTHKEYS);
    if missing && !args.config.exists() {
        return None;
    }
    if missing && !needed {
        output::say(&format!("warning: {error}"));
        return None;
    }
    Some(error.to_string())
}

/// The node that has this host's name, as `lubdub run` takes it.
fn own_node(found: &config::Findings) -> Option<String> {
    let host = host_name().ok()?;
    found.nodes().find(|node| *node == host).map(ToOwned::to_owned)
}

/// What is wrong with the agents of this machine and their parameters.
pub(super) fn agent_problems<'a>(
    resources: impl IntoIterator<Item = (&'a str, &'a Resource)>,
    installed: &Installed,
) -> Vec<String> {
    resources
        .into_iter()
        .flat_map(|(group, resource)| {
            let place = format!("{group}/{}", resource.name);
            let wrong = installed.problems(group, resource);
            wrong.into_iter().map(move |why| format!("{place}: {why}"))
        })
        .collect()
}

/// What the configuration says of this machine and the machine does not have: it may come later, so it is no error.
pub(super) fn not_here(config: &Config) -> Result<Vec<String>, NetlinkError> {
    let mut netlink = Netlink::open()?;
    let own = netlink.addresses(None)?;
    let mut missing = Vec::new();
    for link in &config.links {
        let here = match &link.interface {
            Some(interface) => not_on(&mut netlink, link, interface)?,
            None => None,
        };
        missing.extend(here.map(|why| format!("link {}: {why}", link.name)));
        if let Some(address) = link.transport.address(config.me)
            && !own.iter().any(|here| here.ip == address)
        {
            missing.push(format!("link {}: this machine has no address {address}", link.name));
        }
    }
    for group in &config.groups {
        for resource in &group.resources {
            let Some(Address { ip, interface, .. }) = &resource.address else { continue };
            let place = format!("{}/{}", group.name, resource.name);
            match interface {
                Some(interface) if netlink.interface_named(interface)?.is_none() => {
                    missing.push(format!("{place}: this machine has no interface {interface}"));
                }
                None if !own.iter().any(|here| here.ip == *ip)
                    && netlink.connected(*ip)?.is_none() =>
                {
                    missing.push(format!(
                        "{place}: {ip} is on no network of this machine, so it has no interface here"
                    ));
                }
                Some(_) | None => {}
            }
        }
    }
    Ok(missing)
}

/// What a link's interface lacks.
fn not_on(netlink: &mut Netlink, link: &Link, name: &str) -> Result<Option<String>, NetlinkError> {
    let Some(interface) = netlink.interface_named(name)? else {
        return Ok(Some(format!("this machine has no interface {name}")));
    };
    let family = match &link.transport {
        Transport::Unicast { .. } => return Ok(None),
        Transport::Multicast { group, .. } if group.is_ipv6() => "IPv6",
        Transport::Multicast { .. } | Transport::Broadcast { .. } => "IPv4",
    };
    let sources = netlink.sources(Some(interface.id))?;
    let fits = sources.iter().any(|source| {
        source.interface == interface.id && source.ip.is_ipv6() == (family == "IPv6")
    });
    Ok((!fits).then(|| format!("interface {name} has no {family} address to send from")))
}

fn report(file: &Path, config: &Config, problems: &[String]) -> Result<Exit, Failure> {
    if !problems.is_empty() {
        return Err(Failure::Usage(problems.join("\n")));
    }
    let name = file.display();
    output::result(&format!("{name}: ok, cluster {}", config.cluster))?;
    for group in &config.groups {
        let level = promised(&config.guard, group);
        output::result(&format!("  group {}: guard {level}", group.name))?;
        if level == GuardLevel::None && config.nodes.len() > 1 {
            output::say(&format!("{name}: warning: {}", unguarded(&config.guard, group)));
        }
    }
    Ok(Exit::Fine)
}

fn unguarded(guard: &Guard, group: &Group) -> String {
    let name = &group.name;
    if guard.ping.is_empty() && !guard.arp {
        format!(
            "{name} has no guard: if the nodes lose sight of each other, both run it; set `ping` and `arp`"
        )
    } else {
        format!(
            "{name} has no address, so the guard can promise nothing for it; give it one with the agent IPaddr"
        )
    }
}

/// What the guard promises for a group while everything works. A group without an address cannot be let go of in time.
fn promised(guard: &Guard, group: &Group) -> GuardLevel {
    let addressed = group.resources.iter().any(|resource| resource.address.is_some());
    match (addressed && !guard.ping.is_empty(), addressed && guard.arp) {
        (false, false) => GuardLevel::None,
        (true, false) => GuardLevel::Ping,
        (false, true) => GuardLevel::Arp,
        (true, true) => GuardLevel::PingArp,
    }
}
