//! `[[group]]` and `[[group.resource]]`: what runs, where, and how it is looked after.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::NodeId;
use super::addresses::Addresses;
use super::read::{Item, Table, hint, parse_ip};
use super::types::{Address, AgentName, Draft, Group, Resource, Timeouts};
use crate::wire::GroupTag;

/// The agent whose resources are addresses.
const ADDRESS_AGENT: &str = "IPaddr";

/// How long an action may take where nothing is said: what Pacemaker gives, and what OCF agents are written for.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The same for each of them.
const TIMEOUTS: Timeouts = Timeouts { start: TIMEOUT, stop: TIMEOUT, monitor: TIMEOUT };

/// Interval between monitors where none is given: what most OCF agents advertise.
const MONITOR: Duration = Duration::from_secs(10);

/// An agent is a process: more often than this it would do little else than start.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// A day: what takes or waits longer was not meant.
const MAX_INTERVAL: Duration = Duration::from_secs(86_400);

pub(super) const KEYS: &[&str] = &["name", "prefer", "auto_failback", "resource"];
pub(super) const RESOURCE_KEYS: &[&str] = &["name", "agent", "monitor", "timeout", "params"];
pub(super) const TIMEOUT_KEYS: &[&str] = &["start", "stop", "monitor"];

/// Nodes as groups see them: names in file order, and the one whose view is read.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) nodes: &'a [&'a str],
    pub(super) me: &'a str,
}

/// One group, as far as it can be read.
pub(super) struct Read {
    /// `None`: something is wrong, and that was noted.
    pub(super) group: Option<Group>,
    /// Those of its resources whose agent and parameters are right.
    pub(super) drafts: Vec<Draft>,
}

pub(super) fn group(table: &Table<'_>, view: View<'_>, addresses: &mut Addresses) -> Read {
    let mut drafts = Vec::new();
    let group = whole(table, view, addresses, &mut drafts);
    Read { group, drafts }
}

fn whole(
    table: &Table<'_>,
    view: View<'_>,
    addresses: &mut Addresses,
    drafts: &mut Vec<Draft>,
) -> Option<Group> {
    let name = table.need("name", "name = \"web\"").and_then(|item| item.name());
    let nodes = match table.get("prefer") {
        Some(item) => prefer(&item, view.nodes),
        None => order(view.nodes, &[]),
    };
    let auto_failback = table.get("auto_failback").map_or(Some(false), |item| item.flag());
    if auto_failback == Some(true) && view.nodes.len() < 2 {
        table.warn("auto_failback does nothing with one node; take it out");
    }
    let resources = table.need("resource", "[[group.resource]]")?.tables(RESOURCE_KEYS)?;
    if resources.is_empty() {
        table.error("a group needs a resource; add [[group.resource]]");
    }
    let mut names = BTreeSet::new();
    let read: Vec<_> = resources
        .iter()
        .map(|table| {
            let (resource, draft) = resource(table, view, &mut names, addresses);
            let group = name.unwrap_or_default().to_owned();
            drafts.extend(draft.map(|resource| Draft { group, resource }));
            resource
        })
        .collect();
    let resources = read.into_iter().collect::<Option<Vec<_>>>()?;
    warn_of_order(table, &resources);
    let name = name?.to_owned();
    let tag = GroupTag::of(&name);
    Some(Group { name, tag, nodes: nodes?, auto_failback: auto_failback?, resources })
}

/// The preferred nodes, then the others in file order.
fn prefer(item: &Item<'_>, nodes: &[&str]) -> Option<Vec<NodeId>> {
    let mut preferred: Vec<&str> = Vec::new();
    for choice in item.list("[\"alpha\", \"beta\"]")? {
        let Some(name) = choice.text("\"alpha\"") else { continue };
        if !nodes.contains(&name) {
            choice.error(format!("no node `{name}`; {}", hint(name, nodes.iter().copied())));
        } else if preferred.contains(&name) {
            choice.error(format!("`{name}` is named twice; name it once"));
        } else {
            preferred.push(name);
        }
    }
    order(nodes, &preferred)
}

fn order(nodes: &[&str], preferred: &[&str]) -> Option<Vec<NodeId>> {
    let others = nodes.iter().filter(|name| !preferred.contains(name));
    let id = |name: &&str| {
        nodes.iter().position(|other| other == name).and_then(|at| u8::try_from(at).ok())
    };
    preferred.iter().chain(others).map(|name| id(name).map(NodeId)).collect()
}

/// A resource, if all of it is right; and if agent and parameters are, with defaults for what is not.
fn resource<'a>(
    table: &Table<'a>,
    view: View<'_>,
    names: &mut BTreeSet<&'a str>,
    addresses: &mut Addresses,
) -> (Option<Resource>, Option<Resource>) {
    let name = table.need("name", "name = \"nginx\"").and_then(|item| {
        let name = item.name()?;
        if !names.insert(name) {
            item.error(format!(
                "the group has a resource `{name}` already; give each its own name"
            ));
        }
        Some(name.to_owned())
    });
    let agent = table.need("agent", "agent = \"nginx\"").and_then(|item| agent(&item));
    let monitor = table.get("monitor").map_or(Some(Some(MONITOR)), |item| monitor(&item));
    let timeout = match table.get("timeout") {
        Some(item) => timeouts(&item),
        None => Some(TIMEOUTS),
    };
    let params = table.get("params").map_or(Some(BTreeMap::new()), |item| params(&item, view));
    let address = match agent {
        Some(ADDRESS_AGENT) => address(table, view, addresses).map(Some),
        Some(_) | None => Some(None),
    };
    let draft = agent.zip(params).map(|(agent, params)| Resource {
        name: name.clone().unwrap_or_else(|| agent.to_owned()),
        agent: AgentName(agent.to_owned()),
        params,
        monitor: monitor.unwrap_or(Some(MONITOR)),
        timeout: timeout.unwrap_or(TIMEOUTS),
        address: address.clone().flatten(),
    });
    let right = name.is_some() && monitor.is_some() && timeout.is_some() && address.is_some();
    (draft.clone().filter(|_| right), draft)
}

/// The file name of an agent.
fn agent<'a>(item: &Item<'a>) -> Option<&'a str> {
    let text = item.text("\"nginx\"")?;
    if text.contains([':', '/']) {
        item.error(format!(
            "{text:?} is no agent of lubdub's own; `lubdub agent list` shows which there are"
        ));
        return None;
    }
    item.name()
}

fn interval(item: &Item<'_>) -> Option<Duration> {
    let duration = item.duration()?;
    if (MIN_INTERVAL..=MAX_INTERVAL).contains(&duration) {
        return Some(duration);
    }
    item.error(format!("{duration:?} is out of bounds; write at least {MIN_INTERVAL:?} and at most {MAX_INTERVAL:?}"));
    None
}

/// `Some(None)`: not monitored.
fn monitor(item: &Item<'_>) -> Option<Option<Duration>> {
    if item.as_text() == Some("off") {
        return Some(None);
    }
    interval(item).map(Some)
}

/// One time for all actions, or a table with some of them.
fn timeouts(item: &Item<'_>) -> Option<Timeouts> {
    if !item.is_table() {
        let all = interval(item)?;
        return Some(Timeouts { start: all, stop: all, monitor: all });
    }
    let table = item.table(TIMEOUT_KEYS)?;
    let read = |key| table.get(key).map_or(Some(TIMEOUT), |item| interval(&item));
    let (start, stop, monitor) = (read("start"), read("stop"), read("monitor"));
    Some(Timeouts { start: start?, stop: stop?, monitor: monitor? })
}

/// Parameters as one node has them. A name becomes part of an environment variable (`OCF_RESKEY_name`).
fn params(item: &Item<'_>, view: View<'_>) -> Option<BTreeMap<String, String>> {
    let read =
        item.entries("{ configfile = \"/etc/nginx/nginx.conf\" }")?.into_iter().map(|param| {
            let name = param.key;
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                param.error("no agent has such a parameter; use letters, digits and `_`");
                return None;
            }
            let value = param.for_node(view.nodes, view.me)?.param()?;
            Some((name.to_owned(), value))
        });
    read.collect::<Vec<_>>().into_iter().collect()
}

/// What an address resource controls: `params.ip`, and `params.interface` where it is given.
fn address(table: &Table<'_>, view: View<'_>, addresses: &mut Addresses) -> Option<Address> {
    const EXAMPLE: &str = "{ ip = \"10.10.10.100/24\" }";
    let params = table.need("params", &format!("params = {EXAMPLE}"))?.entries(EXAMPLE)?;
    let find = |key| params.iter().find(|param| param.key == key);
    let Some(item) = find("ip") else {
        table.error_at("params", format!("params.ip is missing; write params = {EXAMPLE}"));
        return None;
    };
    if item.is_table() {
        item.error(
            "an address that moves is the same on every node; write ip = \"10.10.10.100/24\"",
        );
        return None;
    }
    let text = item.text("\"10.10.10.100/24\"")?;
    let (ip, prefix) = match cidr(text) {
        Ok(parsed) => parsed,
        Err(why) => {
            item.error(why);
            return None;
        }
    };
    let interface = match find("interface") {
        Some(item) => Some(item.for_node(view.nodes, view.me)?.interface()?.to_owned()),
        None => None,
    };
    addresses.claim(item, ip, "an address of a group").then_some(Address { ip, prefix, interface })
}

/// An address with the length of its network's prefix in bits.
pub(crate) fn cidr(text: &str) -> Result<(IpAddr, u8), String> {
    let Some((ip, length)) = text.split_once('/') else {
        return Err(format!(
            "{text:?} has no prefix; write the network's too, as in \"10.10.10.100/24\""
        ));
    };
    let ip = parse_ip(ip)?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let digits = length.bytes().all(|byte| byte.is_ascii_digit());
    match length.parse::<u8>() {
        Ok(prefix) if digits && (1..=most).contains(&prefix) => Ok((ip, prefix)),
        Ok(_) | Err(_) => {
            Err(format!("/{length} is no prefix of {ip}; write a number of bits from 1 to {most}"))
        }
    }
}

/// Clients of an address that is there before the service behind it meet a closed port.
fn warn_of_order(table: &Table<'_>, resources: &[Resource]) {
    let after_address = resources.iter().skip_while(|resource| resource.address.is_none());
    let Some(service) = after_address.clone().find(|resource| resource.address.is_none()) else {
        return;
    };
    if let Some(address) = after_address.clone().next() {
        table.warn(format!(
            "address `{}` starts before `{}`: clients meet a closed port meanwhile; put addresses last, unless the \
             service has to bind to them",
            address.name, service.name
        ));
    }
}
