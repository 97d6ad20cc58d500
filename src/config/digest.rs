//! A digest of each section over what it says for every node (P9).
//!
//! Hashed are the effective values, each under its key, so that comments, the order of keys, defaults written out and
//! other ways to write a time change nothing. The order of nodes, links, preferences and resources has a meaning and
//! counts; that of groups and ping nodes has none. A key of a later version may enter only where it is not at its
//! default, or a pair could not be upgraded one node at a time.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::heartbeat::WARN_OFFSET;
use super::types::{Config, Digests, Group, Resource, Section, Transport};

/// The digests of a file, from the configurations of all its nodes.
pub(super) fn of(configs: &[Config]) -> Digests {
    Digests(Section::ALL.map(|section| {
        let mut hash = Canon(Sha256::new());
        // What nodes see alike is taken from the first; the rest from each.
        if let Some(config) = configs.first() {
            match section {
                Section::Heartbeat => heartbeat(&mut hash, config, configs),
                Section::Nodes => nodes(&mut hash, config),
                Section::Guard => guard(&mut hash, config),
                Section::Groups => groups(&mut hash, config, configs),
            }
        }
        let [a, b, c, d, ..] = <[u8; 32]>::from(hash.0.finalize());
        u32::from_be_bytes([a, b, c, d])
    }))
}

/// Keys and values, each with its length before it, so that no two lists of them hash alike.
struct Canon(Sha256);

impl Canon {
    fn put(&mut self, key: &str, value: &str) {
        for part in [key, value] {
            self.0.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            self.0.update(part);
        }
    }

    fn time(&mut self, key: &str, value: Duration) {
        self.put(key, &value.as_micros().to_string());
    }
}

fn heartbeat(hash: &mut Canon, config: &Config, configs: &[Config]) {
    hash.time("keepalive", config.timing.keepalive);
    hash.time("warntime", config.timing.warntime);
    hash.time("deadtime", config.timing.deadtime);
    hash.time("initdead", config.timing.initdead);
    if config.warn_offset != WARN_OFFSET {
        hash.time("warn_offset", config.warn_offset);
    }
    for (at, link) in config.links.iter().enumerate() {
        hash.put("link", &link.name);
        hash.put("transport", link.transport.word());
        match &link.transport {
            Transport::Unicast { .. } | Transport::Broadcast { .. } => {}
            Transport::Multicast { group, ttl, .. } => {
                hash.put("group", &group.to_string());
                hash.put("ttl", &ttl.to_string());
            }
        }
        hash.put("port", &link.port.to_string());
        for interface in configs
            .iter()
            .map(|config| config.links.get(at).and_then(|link| link.interface.as_deref()))
        {
            hash.put("interface", interface.unwrap_or_default());
        }
    }
}

fn nodes(hash: &mut Canon, config: &Config) {
    for id in config.node_ids() {
        hash.put("node", &config.node(id).name);
        for link in &config.links {
            let address = link.transport.address(id).map(|address| address.to_string());
            hash.put(&link.name, &address.unwrap_or_default());
        }
    }
}

/// With the keys of `[guard]` what its promise rests on: both times that nest inside one another, and who takes part, in
/// the order that makes terms unique.
fn guard(hash: &mut Canon, config: &Config) {
    hash.time("keepalive", config.timing.keepalive);
    hash.time("deadtime", config.timing.deadtime);
    for node in &config.nodes {
        hash.put("node", &node.name);
    }
    let mut ping = config.guard.ping.clone();
    ping.sort_unstable();
    for target in ping {
        hash.put("ping", &target.to_string());
    }
    hash.put("arp", &config.guard.arp.to_string());
}

fn groups(hash: &mut Canon, config: &Config, configs: &[Config]) {
    let mut sorted: Vec<(usize, &Group)> = config.groups.iter().enumerate().collect();
    sorted.sort_unstable_by_key(|(_, group)| &group.name);
    for (at, group) in sorted {
        hash.put("group", &group.name);
        for node in &group.nodes {
            hash.put("node", &config.node(*node).name);
        }
        hash.put("auto_failback", &group.auto_failback.to_string());
        for (place, resource) in group.resources.iter().enumerate() {
            put_resource(hash, resource);
            for config in configs {
                let resource = config.groups.get(at).and_then(|group| group.resources.get(place));
                hash.put("on", &config.node(config.me).name);
                for (name, value) in resource.iter().flat_map(|resource| &resource.params) {
                    hash.put(name, value);
                }
            }
        }
    }
}

fn put_resource(hash: &mut Canon, resource: &Resource) {
    hash.put("resource", &resource.name);
    hash.put("agent", &resource.agent.0);
    hash.put("monitor", &resource.monitor.map_or(0, |interval| interval.as_micros()).to_string());
    hash.time("start", resource.timeout.start);
    hash.time("stop", resource.timeout.stop);
    hash.time("timeout", resource.timeout.monitor);
}
