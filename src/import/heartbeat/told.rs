//! Directives of `ha.cf` of which there is only to tell what became of them.

use crate::import::report::Verdict::{self, NotConverted, NotNeeded};

/// What became of a directive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) verdict: Verdict,
    pub(super) says: &'static str,
    /// Whether the line may hold a password, and must not be shown.
    pub(super) secret: bool,
}

const LOGS: &str =
    "lubdub logs to the journal (`journalctl -u lubdub`) and keeps a history (`lubdub history`)";
const DATAGRAMS: &str = "lubdub has datagrams of its own, small and always signed";
const SCHEDULING: &str =
    "lubdub locks its memory and runs its loop in real time by itself where the machine allows it";
const SERIAL: &str =
    "for serial links only; there are none, and no relaying of messages from node to node";
const PACEMAKER: &str = "for Pacemaker only";
const FENCING: &str = "there is no fencing yet: a silent peer is dead when the guard says so, or by `lubdub confirm-dead`. Keep the device's \
     data for later";

const TABLE: &[(&str, Verdict, &str)] = &[
    (
        "apiauth",
        NotNeeded,
        "root and members of the group lubdub may command the daemon, nobody else",
    ),
    ("baud", NotNeeded, SERIAL),
    ("compression", NotNeeded, DATAGRAMS),
    ("compression_threshold", NotNeeded, DATAGRAMS),
    ("conn_logd_time", NotNeeded, LOGS),
    ("coredumps", NotNeeded, "the system decides about core dumps"),
    ("coreroot", NotNeeded, "the system decides about core dumps"),
    ("crm_daemon_dir", NotNeeded, PACEMAKER),
    ("crmd_spawns_pengine", NotNeeded, PACEMAKER),
    ("deadping", NotNeeded, "how long a ping node may be silent follows from deadtime"),
    ("debug", NotNeeded, LOGS),
    ("debugfile", NotNeeded, LOGS),
    ("enable_config_writes", NotNeeded, PACEMAKER),
    ("env", NotNeeded, "for programs of `respawn` only"),
    (
        "failfast",
        NotConverted,
        "lubdub reboots no machine when a program ends; what must run belongs into a group",
    ),
    (
        "hbaping",
        NotConverted,
        "only addresses can be ping nodes; name a router or switch in `ping`",
    ),
    (
        "hbgenmethod",
        NotNeeded,
        "each start of the daemon has a fresh random number; no file and no clock can be wrong",
    ),
    ("hopfudge", NotNeeded, SERIAL),
    ("log_badpack", NotNeeded, "foreign and broken datagrams are counted in `lubdub status`"),
    ("logfacility", NotNeeded, LOGS),
    ("logfile", NotNeeded, LOGS),
    ("max_rexmit_delay", NotNeeded, DATAGRAMS),
    ("memreserve", NotNeeded, SCHEDULING),
    ("msgfmt", NotNeeded, DATAGRAMS),
    ("normalpoll", NotNeeded, SCHEDULING),
    (
        "quorum_server",
        NotConverted,
        "there is no third voter yet; `ping` and `arp` in [guard] are what stands against split brain",
    ),
    ("realtime", NotNeeded, SCHEDULING),
    ("record_config_changes", NotNeeded, PACEMAKER),
    ("record_pengine_inputs", NotNeeded, PACEMAKER),
    ("rtprio", NotNeeded, SCHEDULING),
    (
        "serial",
        NotConverted,
        "there are no serial links; a cable between two network ports does its work: make it a link",
    ),
    ("stonith", NotConverted, FENCING),
    ("stonith_host", NotConverted, FENCING),
    ("syslogmsgfmt", NotNeeded, LOGS),
    ("traditional_compression", NotNeeded, DATAGRAMS),
    ("use_apphbd", NotConverted, "systemd starts a daemon that died again; see its unit"),
    ("use_logd", NotNeeded, LOGS),
    ("uuidfrom", NotNeeded, "nodes are known by their names"),
    (
        "watchdog",
        NotConverted,
        "there is no watchdog yet: addresses go away when the daemon dies, but nothing ends a machine that hangs",
    ),
];

/// Directives that something is made of.
const CONVERTED: &[&str] = &[
    "auto_failback",
    "autojoin",
    "bcast",
    "cluster",
    "crm",
    "deadtime",
    "initdead",
    "keepalive",
    "mcast",
    "mcast6",
    "nice_failback",
    "node",
    "ping",
    "ping6",
    "ping_group",
    "respawn",
    "ucast",
    "ucast6",
    "udp",
    "udpport",
    "warntime",
];

/// A directive that there is only to tell of.
pub(super) fn directive(word: &str) -> Option<Told> {
    let (name, verdict, says) = TABLE.iter().find(|(name, ..)| *name == word)?;
    Some(Told { verdict: *verdict, says, secret: name.starts_with("stonith") })
}

/// All directives of Heartbeat.
pub(in crate::import) fn known() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, ..)| *name).chain(CONVERTED.iter().copied())
}

/// `respawn USER PROGRAM ARGUMENTS`
pub(super) fn respawn(options: &[&str]) -> (Verdict, String) {
    let program = options.get(1).copied().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or(program);
    match name {
        "ipfail" | "pingd" => (
            NotNeeded,
            "the guard does its work, if a ping node is named: a node that does not reach it takes nothing over and lets go \
             of what it has"
                .to_owned(),
        ),
        "ccm" | "cib" | "cibmon" | "crmd" | "lrmd" | "stonithd" | "attrd" | "pengine" | "mgmtd" => {
            (NotNeeded, PACEMAKER.to_owned())
        }
        "dopd" => (
            NotConverted,
            "nothing tells DRBD that a peer's data are outdated; set up fencing in DRBD's own configuration".to_owned(),
        ),
        "" => (NotConverted, "it names no program".to_owned()),
        name => (
            NotConverted,
            format!("lubdub starts no programs beside its groups; make {name} a unit of systemd"),
        ),
    }
}
