//! `[guard]`: what stands between a silent peer and split brain. Nothing must be asked for by name.

use std::net::IpAddr;

use super::addresses::Addresses;
use super::read::{Item, Table};
use super::types::Guard;

pub(super) const KEYS: &[&str] = &["ping", "arp", "level"];

const WAYS: &str =
    "`ping = [\"10.10.10.254\"]`, `arp = true`, both, or `level = \"none\"` for no guard at all";

/// The guard of a cluster of `nodes` nodes. `None`: something is wrong, and that was noted.
pub(super) fn guard(top: &Table<'_>, nodes: usize, addresses: &mut Addresses) -> Option<Guard> {
    let Some(item) = top.get("guard") else {
        if nodes > 1 {
            top.error(format!(
                "[guard] is missing: without one, nodes that do not hear each other both run everything; add [guard] \
                 with {WAYS}"
            ));
        }
        return Some(Guard { ping: Vec::new(), arp: false });
    };
    let table = item.table(KEYS)?;
    let ping = table.get("ping").map_or(Some(Vec::new()), |item| ping(&item, addresses));
    let arp = table.get("arp").map_or(Some(false), |item| item.flag());
    let none = table.get("level").map(|item| level(&item));
    let guard = Guard { ping: ping?, arp: arp? };
    let guarded = !guard.ping.is_empty() || guard.arp;
    match none {
        None if !guarded => table.error(format!("[guard] guards nothing; write {WAYS}")),
        Some(Some(())) if guarded => table.error_at(
            "level",
            "level = \"none\" contradicts `ping` or `arp`; take one of them out",
        ),
        Some(Some(())) if nodes > 1 => {
            table.warn("level = \"none\": nodes that do not hear each other both run everything");
        }
        None if nodes > 1 && guard.ping.is_empty() => table.warn(
            "no ping node: a node that is cut off from everybody cannot know it and keeps what it runs; name a router \
             or switch in `ping`",
        ),
        None | Some(_) => {}
    }
    Some(guard)
}

fn ping(item: &Item<'_>, addresses: &mut Addresses) -> Option<Vec<IpAddr>> {
    let targets = item.list("[\"10.10.10.254\"]")?;
    let read = targets.iter().map(|target| {
        let ip = target.ip()?;
        addresses.claim(target, ip, "a ping node").then_some(ip)
    });
    read.collect::<Vec<_>>().into_iter().collect()
}

/// `None`: a word that is no level, which was noted.
fn level(item: &Item<'_>) -> Option<()> {
    let word = item.text("\"none\"")?;
    if word == "none" {
        return Some(());
    }
    item.error(format!(
        "no level {word:?} can be set; the level follows from the other keys: write {WAYS}"
    ));
    None
}
