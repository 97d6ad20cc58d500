//! What one node's keepalived.conf says, in words of its own; what becomes of most lines shows only beside the files of the
//! other nodes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::instance;
use super::told::Scope;
use super::tree::Statement;
use crate::import::report::{Place, Report};
use crate::import::value::perhaps;

/// A file.
#[derive(Debug, Default)]
pub(super) struct File {
    /// The node, where it was told.
    pub(super) owner: Option<String>,
    /// How the file was named to us.
    pub(super) name: String,
    pub(super) router_id: Option<(Place, String)>,
    pub(super) instances: Vec<Instance>,
    pub(super) sync_groups: Vec<SyncGroup>,
    /// `vrrp_script` and `vrrp_track_process`, by name.
    pub(super) checks: BTreeMap<String, Statement>,
}

/// `vrrp_instance`
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) at: Place,
    pub(super) name: String,
    pub(super) router: Option<u8>,
    pub(super) interface: Option<(Place, String)>,
    pub(super) state: State,
    pub(super) state_at: Option<Place>,
    pub(super) priority: u8,
    pub(super) priority_at: Option<Place>,
    pub(super) advert: Duration,
    pub(super) advert_at: Option<Place>,
    pub(super) down_adverts: u32,
    pub(super) down_adverts_at: Option<Place>,
    pub(super) nopreempt: Option<Place>,
    pub(super) source: Option<(Place, IpAddr)>,
    pub(super) peers: Vec<(Place, IpAddr)>,
    pub(super) addresses: Vec<Vip>,
    /// Lines where an address should be, and none was understood.
    pub(super) unread: Vec<(Place, String)>,
    pub(super) needs: Needs,
}

/// The state that an instance begins in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Master,
    Backup,
}

impl Instance {
    /// Whether `nopreempt` counts: in state MASTER Keepalived ignores it.
    pub(super) fn stays(&self) -> bool {
        self.nopreempt.is_some() && self.state == State::Backup
    }

    /// Whether its addresses are IPv4; `None`: it has none.
    pub(super) fn is_ipv4(&self) -> Option<bool> {
        self.addresses.first().map(|vip| vip.ip.is_ipv4())
    }
}

/// What a group needs besides addresses.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Scripts and processes that are watched.
    pub(super) watched: Vec<(Place, String)>,
    /// Scripts that are told of changes, routes, rules.
    pub(super) lost: Vec<Lost>,
}

/// Something that lubdub has no agent for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) at: Place,
    pub(super) text: String,
    pub(super) kind: LostKind,
}

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LostKind {
    Notify,
    Routes,
    Rules,
}

/// An address that moves.
#[derive(Debug, Clone)]
pub(super) struct Vip {
    pub(super) at: Place,
    pub(super) text: String,
    pub(super) ip: IpAddr,
    pub(super) prefix: u8,
    pub(super) device: Option<String>,
    /// Words of the line that mean nothing to lubdub.
    pub(super) ignored: String,
}

/// `vrrp_sync_group`
#[derive(Debug)]
pub(super) struct SyncGroup {
    pub(super) at: Place,
    pub(super) name: String,
    pub(super) members: Vec<(Place, String)>,
    pub(super) needs: Needs,
}

/// Reads the statements of a file.
pub(super) fn read(
    statements: &[Statement],
    name: String,
    owner: Option<&str>,
    report: &mut Report,
) -> File {
    let mut file = File { owner: owner.map(str::to_owned), name, ..File::default() };
    for statement in statements {
        match statement.word(0) {
            "global_defs" => globals(&mut file, statement, report),
            "vrrp_instance" => vrrp_instance(&mut file, statement, report),
            "vrrp_sync_group" => sync_group(&mut file, statement, report),
            "vrrp_script" | "vrrp_track_process" => check(&mut file, statement, report),
            _ => told(Scope::Top, statement, report),
        }
    }
    file
}

/// Tells what became of a statement of which nothing is made.
pub(super) fn told(scope: Scope, statement: &Statement, report: &mut Report) {
    let word = statement.word(0);
    match scope.told(word) {
        // What they hold is secret, or nobody reads it anyway.
        Some((verdict, says)) => {
            let secret = ["authentication", "auth_hmac"].contains(&word);
            let text = if secret { word.to_owned() } else { statement.text() };
            report.entry(statement.at, verdict, text, says.to_owned());
        }
        None => {
            let says =
                format!("keepalived has no such keyword here; {}", perhaps(word, scope.known()));
            report.not_converted(statement.at, word, says);
        }
    }
}

fn globals(file: &mut File, statement: &Statement, report: &mut Report) {
    for inner in statement.inside() {
        if inner.word(0) == "router_id" && !inner.word(1).is_empty() {
            file.router_id = Some((inner.at, inner.word(1).to_owned()));
        } else {
            told(Scope::Global, inner, report);
        }
    }
}

fn vrrp_instance(file: &mut File, statement: &Statement, report: &mut Report) {
    let name = statement.word(1);
    if name.is_empty() || statement.block.is_none() {
        report.not_converted(
            statement.at,
            statement.text(),
            "it has no name or no block, and does nothing",
        );
        return;
    }
    if file.instances.iter().any(|other| other.name == name) {
        let says = "an instance of this name is there already; its addresses move with one group";
        report.not_converted(statement.at, statement.text(), says);
        return;
    }
    file.instances.push(instance::read(statement, name, report));
}

fn sync_group(file: &mut File, statement: &Statement, report: &mut Report) {
    let name = statement.word(1).to_owned();
    let mut group =
        SyncGroup { at: statement.head(), name, members: Vec::new(), needs: Needs::default() };
    for inner in statement.inside() {
        match inner.word(0) {
            "group" => {
                let names = inner.inside().iter();
                group.members.extend(names.map(|member| (member.at, member.word(0).to_owned())));
            }
            "track_script" | "track_process" => instance::watch(&mut group.needs, inner),
            word if word.starts_with("notify") && word != "notify_priority_changes" => {
                instance::lose(&mut group.needs, inner, LostKind::Notify);
            }
            word if inner.words.len() == 1 && Scope::Sync.told(word).is_none() => {
                // Before 1.2 the members stood here without `group`.
                group.members.push((inner.at, word.to_owned()));
            }
            _ => told(Scope::Sync, inner, report),
        }
    }
    let twice = file.sync_groups.iter().any(|other| other.name == group.name);
    if twice || group.name.is_empty() || group.members.is_empty() {
        let says = "it has no name, no members, or a name that is there already";
        report.not_converted(statement.at, statement.text(), says);
        return;
    }
    file.sync_groups.push(group);
}

fn check(file: &mut File, statement: &Statement, report: &mut Report) {
    let name = statement.word(1);
    if name.is_empty() || file.checks.contains_key(name) {
        let says = "it has no name, or one that is there already";
        report.not_converted(statement.at, statement.text(), says);
        return;
    }
    file.checks.insert(name.to_owned(), statement.clone());
}
