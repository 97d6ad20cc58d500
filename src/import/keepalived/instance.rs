//! One `vrrp_instance`.

use std::time::Duration;

use super::file::{Instance, Lost, LostKind, Needs, State, Vip, told};
use super::told::Scope;
use super::tree::Statement;
use crate::config::parse_ip;
use crate::import::report::Report;
use crate::import::value;

/// Keepalived's own defaults.
const PRIORITY: u8 = 100;
/// See [`PRIORITY`].
const ADVERT: Duration = Duration::from_secs(1);
/// See [`PRIORITY`].
const DOWN_ADVERTS: u32 = 3;

/// Reads an instance of this name.
pub(super) fn read(statement: &Statement, name: &str, report: &mut Report) -> Instance {
    let mut instance = Instance {
        at: statement.head(),
        name: name.to_owned(),
        router: None,
        interface: None,
        state: State::Backup,
        state_at: None,
        priority: PRIORITY,
        priority_at: None,
        advert: ADVERT,
        advert_at: None,
        down_adverts: DOWN_ADVERTS,
        down_adverts_at: None,
        nopreempt: None,
        source: None,
        peers: Vec::new(),
        addresses: Vec::new(),
        unread: Vec::new(),
        needs: Needs::default(),
    };
    for inner in statement.inside() {
        take(&mut instance, inner, report);
    }
    instance
}

fn take(instance: &mut Instance, inner: &Statement, report: &mut Report) {
    match inner.word(0) {
        "state" => {
            instance.state_at = Some(inner.at);
            if inner.word(1) == "MASTER" {
                instance.state = State::Master;
            }
        }
        "interface" => match value::interface(inner.word(1)) {
            Some(interface) => instance.interface = Some((inner.at, interface.to_owned())),
            None => report.not_converted(inner.at, inner.text(), "it is no interface"),
        },
        "virtual_router_id" => {
            instance.router = inner.word(1).parse().ok();
            told(Scope::Instance, inner, report);
        }
        "priority" => match inner.word(1).parse() {
            Ok(priority) if priority > 0 => {
                instance.priority = priority;
                instance.priority_at = Some(inner.at);
            }
            Ok(_) | Err(_) => {
                let says = format!("it is no number from 1 to 255; {PRIORITY} is taken");
                report.not_converted(inner.at, inner.text(), says);
            }
        },
        "advert_int" => match value::time(inner.word(1)).filter(|time| !time.is_zero()) {
            Some(time) => {
                instance.advert = time;
                instance.advert_at = Some(inner.at);
            }
            None => report.not_converted(inner.at, inner.text(), "it is no time; 1s is taken"),
        },
        "down_timer_adverts" => match inner.word(1).parse() {
            Ok(number @ 1..=100) => {
                instance.down_adverts = number;
                instance.down_adverts_at = Some(inner.at);
            }
            Ok(_) | Err(_) => {
                let says = format!("it is no number from 1 to 100; {DOWN_ADVERTS} is taken");
                report.not_converted(inner.at, inner.text(), says);
            }
        },
        "nopreempt" => instance.nopreempt = Some(inner.at),
        "unicast_src_ip" => match parse_ip(inner.word(1)) {
            Ok(ip) => instance.source = Some((inner.at, ip)),
            Err(why) => report.not_converted(inner.at, inner.text(), why),
        },
        "unicast_peer" => peers(instance, inner, report),
        "virtual_ipaddress" | "virtual_ipaddress_excluded" => addresses(instance, inner, report),
        "virtual_routes" => lose(&mut instance.needs, inner, LostKind::Routes),
        "virtual_rules" => lose(&mut instance.needs, inner, LostKind::Rules),
        "track_script" | "track_process" => watch(&mut instance.needs, inner),
        "notify_priority_changes" => told(Scope::Instance, inner, report),
        word if word.starts_with("notify") => {
            lose(&mut instance.needs, inner, LostKind::Notify);
        }
        _ => told(Scope::Instance, inner, report),
    }
}

fn peers(instance: &mut Instance, block: &Statement, report: &mut Report) {
    for peer in block.inside() {
        match parse_ip(peer.word(0)) {
            Ok(ip) => instance.peers.push((peer.at, ip)),
            Err(why) => report.not_converted(peer.at, peer.text(), why),
        }
    }
}

/// `ADDRESS[/PREFIX] [dev NAME] [label NAME] [scope NAME] ...`
fn addresses(instance: &mut Instance, block: &Statement, report: &mut Report) {
    for statement in block.inside() {
        let (ip, prefix) = match value::address(statement.word(0)) {
            Ok(address) => address,
            // VRRP over IPv6 wants one of these first, whether anybody uses it or not.
            Err(_) if statement.word(0).starts_with("fe80:") => {
                let says = "no link-local address moves; hosts that have it as their router need another one";
                report.not_converted(statement.at, statement.text(), says);
                continue;
            }
            Err(why) => {
                report.not_converted(statement.at, statement.text(), why);
                instance.unread.push((statement.at, statement.text()));
                continue;
            }
        };
        let mut options = statement.words.iter().skip(1);
        let mut device = None;
        let mut ignored: Vec<&str> = Vec::new();
        while let Some(word) = options.next() {
            if word == "dev" {
                device = options.next().and_then(|name| value::interface(name)).map(str::to_owned);
            } else {
                ignored.push(word);
            }
        }
        let ignored = ignored.join(" ");
        // Keepalived adds an address without a prefix for itself alone.
        let prefix = prefix.unwrap_or_else(|| if ip.is_ipv4() { 32 } else { 128 });
        let text = statement.text();
        instance.addresses.push(Vip { at: statement.at, text, ip, prefix, device, ignored });
    }
}

/// Each statement of a block names a script or a process.
pub(super) fn watch(needs: &mut Needs, block: &Statement) {
    let names = block.inside().iter();
    needs.watched.extend(names.map(|check| (check.at, check.word(0).to_owned())));
}

/// A line, or each line of a block, that lubdub has no agent for.
pub(super) fn lose(needs: &mut Needs, statement: &Statement, kind: LostKind) {
    match &statement.block {
        None => needs.lost.push(Lost { at: statement.at, text: statement.text(), kind }),
        Some(block) => {
            let lines = block.iter();
            needs.lost.extend(lines.map(|line| Lost { at: line.at, text: line.text(), kind }));
        }
    }
}
