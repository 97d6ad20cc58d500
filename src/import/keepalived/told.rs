//! Keywords of keepalived.conf of which there is only to tell what became of them (keepalived.conf(5), version 2.3).

use crate::import::report::Verdict::{self, NotConverted, NotNeeded};

/// Keywords that share one answer.
type Row = (&'static [&'static str], Verdict, &'static str);

const LVS: &str =
    "virtual services are not converted yet; go on with what directs them, beside lubdub";
const MAIL: &str =
    "lubdub sends no mail: watch the exit code of `lubdub status`, or `lubdub history --json`";
const HOOKS: &str = "lubdub runs no scripts on changes yet: watch the exit code of `lubdub status`, or `lubdub history --json`";
const MONITORING: &str = "`lubdub status --json` is what monitoring can ask";
const ANNOUNCED: &str =
    "the agent IPaddr announces its address on a back-off, after conflicts, and again now and then";
const SCHEDULING: &str =
    "lubdub locks its memory and runs its loop in real time by itself where the machine allows it";
const AGENTS: &str = "agents run as root, and only if nobody but root can change them";
const WIRE: &str = "lubdub does not speak VRRP; its datagrams are its own";
const SYSTEM: &str =
    "what does not move with a group belongs into the system's own network configuration";
const PROGRAM: &str = "for keepalived's own processes and files";
const WEIGHTS: &str = "there are no files and sessions that change a priority; an agent whose monitor fails moves its group";

/// At the top of the file.
const TOP: &[Row] = &[
    (&["virtual_server", "virtual_server_group", "SSL"], NotConverted, LVS),
    (&["static_ipaddress", "static_routes", "static_rules", "track_group"], NotConverted, SYSTEM),
    (&["garp_group"], NotNeeded, ANNOUNCED),
    (
        &["linkbeat_interfaces", "linkbeat_use_polling", "interface_up_down_delays"],
        NotNeeded,
        "the kernel tells lubdub what happens to interfaces; silence is measured by deadtime",
    ),
    (&["bfd_instance", "vrrp_track_file", "track_file"], NotConverted, WEIGHTS),
    (
        &["net_namespace", "net_namespace_ipvs"],
        NotConverted,
        "start the daemon in that namespace: `NetworkNamespacePath=` in its unit",
    ),
    (&["instance", "use_pid_dir", "child_wait_time", "namespace_with_ipsets"], NotNeeded, PROGRAM),
];

/// At the top of the file, and read.
const READ: &[&str] =
    &["global_defs", "vrrp_script", "vrrp_track_process", "vrrp_sync_group", "vrrp_instance"];

/// In `global_defs`.
const GLOBAL: &[Row] = &[
    (
        &[
            "notification_email",
            "notification_email_from",
            "smtp_server",
            "smtp_helo_name",
            "smtp_connect_timeout",
            "smtp_alert",
            "smtp_alert_vrrp",
            "smtp_alert_checker",
            "no_email_faults",
            "no_checker_emails",
        ],
        NotConverted,
        MAIL,
    ),
    (
        &[
            "notify_fifo",
            "notify_fifo_script",
            "vrrp_notify_fifo",
            "vrrp_notify_fifo_script",
            "vrrp_notify_priority_changes",
            "fifo_write_vrrp_states_on_reload",
            "lvs_notify_fifo",
            "lvs_notify_fifo_script",
        ],
        NotConverted,
        HOOKS,
    ),
    (
        &["startup_script", "startup_script_timeout", "shutdown_script", "shutdown_script_timeout"],
        NotConverted,
        "`ExecStartPre=` and `ExecStopPost=` in lubdub's unit do it",
    ),
    (
        &["script_user", "enable_script_security", "use_symlink_paths", "set_supplementary_groups"],
        NotNeeded,
        AGENTS,
    ),
    (
        &[
            "snmp_socket",
            "enable_traps",
            "enable_snmp_vrrp",
            "enable_snmp_keepalived",
            "enable_snmp_rfc",
            "enable_snmp_rfcv2",
            "enable_snmp_rfcv3",
            "enable_snmp_checker",
            "snmp_vs_stats_update_interval",
            "snmp_rs_stats_update_interval",
            "enable_dbus",
            "dbus_service_name",
            "dbus_no_interface_name",
        ],
        NotConverted,
        MONITORING,
    ),
    (
        &[
            "vrrp_garp_master_delay",
            "vrrp_garp_master_repeat",
            "vrrp_garp_master_refresh",
            "vrrp_garp_master_refresh_repeat",
            "vrrp_garp_lower_prio_delay",
            "vrrp_garp_lower_prio_repeat",
            "vrrp_garp_interval",
            "vrrp_gna_interval",
            "vrrp_min_garp",
            "vrrp_garp_extra_if",
            "vrrp_vmac_garp_intvl",
        ],
        NotNeeded,
        ANNOUNCED,
    ),
    (
        &[
            "vrrp_mcast_group4",
            "vrrp_mcast_group6",
            "vrrp_version",
            "vrrp_strict",
            "vrrp_skip_check_adv_addr",
            "vrrp_check_unicast_src",
            "vrrp_lower_prio_no_advert",
            "vrrp_higher_prio_send_advert",
            "vrrp_down_timer_adverts",
            "vrrp_owner_ignore_adverts",
            "vrrp_iptables",
            "vrrp_ipsets",
            "nftables",
            "nftables_priority",
            "nftables_ifindex",
            "nftables_counters",
            "v3_checksum_as_v2",
            "disable_local_igmp",
            "log_unknown_vrids",
            "max_auto_priority",
            "min_auto_priority_delay",
            "vmac_prefix",
            "vmac_addr_prefix",
        ],
        NotNeeded,
        WIRE,
    ),
    (
        &[
            "vrrp_priority",
            "vrrp_no_swap",
            "vrrp_rt_priority",
            "vrrp_cpu_affinity",
            "vrrp_rlimit_rttime",
            "vrrp_rlimit_rtime",
            "checker_priority",
            "checker_no_swap",
            "checker_rt_priority",
            "checker_cpu_affinity",
            "checker_rlimit_rttime",
            "checker_rlimit_rtime",
            "bfd_priority",
            "bfd_no_swap",
            "bfd_rt_priority",
            "bfd_cpu_affinity",
            "bfd_rlimit_rttime",
            "bfd_rlimit_rtime",
        ],
        NotNeeded,
        SCHEDULING,
    ),
    (
        &["vrrp_startup_delay", "vrrp_delay_after_boot"],
        NotConverted,
        "`initdead` says how long a node waits for its peer after its own start",
    ),
    (
        &[
            "lvs_timeouts",
            "lvs_flush",
            "lvs_flush_on_stop",
            "lvs_flush_onstop",
            "lvs_sync_daemon",
            "lvs_netlink_cmd_rcv_bufs",
            "lvs_netlink_cmd_rcv_bufs_force",
            "lvs_netlink_monitor_rcv_bufs",
            "lvs_netlink_monitor_rcv_bufs_force",
            "nftables_ipvs",
            "nftables_ipvs_priority",
            "nftables_ipvs_start_fwmark",
            "rs_init_notifies",
            "checker_log_all_failures",
        ],
        NotConverted,
        LVS,
    ),
    (
        &[
            "process_names",
            "process_name",
            "vrrp_process_name",
            "checker_process_name",
            "lvs_process_name",
            "bfd_process_name",
            "default_interface",
            "dynamic_interfaces",
            "vrrp_netlink_cmd_rcv_bufs",
            "vrrp_netlink_cmd_rcv_bufs_force",
            "vrrp_netlink_monitor_rcv_bufs",
            "vrrp_netlink_monitor_rcv_bufs_force",
            "process_monitor_rcv_bufs",
            "process_monitor_rcv_bufs_force",
            "vrrp_rx_bufs_policy",
            "vrrp_rx_bufs_multiplier",
            "umask",
            "random_seed",
            "reload_check_config",
            "reload_time_file",
            "reload_repeat",
            "reload_file",
            "include_check",
            "config_save_dir",
            "tmp_config_directory",
            "data_use_instance",
            "json_version",
            "iproute_usr_dir",
            "iproute_etc_dir",
            "state_dump_file",
            "stats_dump_file",
            "json_dump_file",
        ],
        NotNeeded,
        PROGRAM,
    ),
];

/// In `vrrp_instance`.
const INSTANCE: &[Row] = &[
    (
        &["virtual_router_id"],
        NotNeeded,
        "clusters are told apart by their names and keys, groups by their names",
    ),
    (
        &["authentication", "auth_hmac"],
        NotConverted,
        "no password is carried over: lubdub signs every datagram with the key in its authkeys",
    ),
    (
        &["use_vmac", "use_vmac_addr", "vmac_xmit_base", "use_ipvlan", "vrf"],
        NotConverted,
        "an address moves to the interface itself, and neighbours are told of its new hardware address",
    ),
    (
        &["no_accept", "strict_mode"],
        NotConverted,
        "a holder always answers for its address; refuse what it should not answer in the firewall",
    ),
    (
        &["preempt_delay"],
        NotConverted,
        "a group goes back as soon as its node is up; with auto_failback = false it waits for `lubdub switchover`",
    ),
    (&["track_file", "track_bfd"], NotConverted, WEIGHTS),
    (&["smtp_alert"], NotConverted, MAIL),
    (&["lvs_sync_daemon_interface"], NotConverted, LVS),
    (
        &[
            "garp_master_delay",
            "garp_master_repeat",
            "garp_master_refresh",
            "garp_master_refresh_repeat",
            "garp_lower_prio_delay",
            "garp_lower_prio_repeat",
            "garp_extra_if",
            "vmac_garp_intvl",
        ],
        NotNeeded,
        ANNOUNCED,
    ),
    (
        &[
            "version",
            "native_ipv6",
            "accept",
            "unicast_ttl",
            "unicast_fault_no_peer",
            "check_unicast_src",
            "old_unicast_checksum",
            "v3_checksum_as_v2",
            "mcast_dst_ip",
            "skip_check_adv_addr",
            "lower_prio_no_advert",
            "higher_prio_send_advert",
            "owner_ignore_adverts",
            "timer_expired_backup",
            "thread_timer_expired",
            "kernel_rx_buf_size",
        ],
        NotNeeded,
        WIRE,
    ),
    (
        &["mcast_src_ip"],
        NotNeeded,
        "a multicast link needs no addresses: nodes are known by their signed names",
    ),
    (&["notify_priority_changes"], NotConverted, HOOKS),
    (
        &[
            "dont_track_primary",
            "track_src_ip",
            "linkbeat_use_polling",
            "promote_secondaries",
            "no_virtual_ipaddress",
            "preempt",
            "debug",
        ],
        NotNeeded,
        "it is how lubdub goes about it anyway",
    ),
    (
        &["track_interface"],
        NotConverted,
        "no interface is tracked: name an address behind it in [guard] ping, so that a node that has lost it knows",
    ),
];

/// In `vrrp_instance`, and read.
const INSTANCE_READ: &[&str] = &[
    "state",
    "interface",
    "priority",
    "advert_int",
    "down_timer_adverts",
    "nopreempt",
    "unicast_src_ip",
    "unicast_peer",
    "virtual_ipaddress",
    "virtual_ipaddress_excluded",
    "virtual_routes",
    "virtual_rules",
    "track_script",
    "track_process",
    "notify",
    "notify_master",
    "notify_backup",
    "notify_fault",
    "notify_stop",
    "notify_deleted",
    "notify_master_rx_lower_pri",
];

/// In `vrrp_sync_group`.
const SYNC: &[Row] = &[
    (
        &["global_tracking", "sync_group_tracking_weight"],
        NotNeeded,
        "what is tracked belongs to the whole group",
    ),
    (&["track_file", "track_bfd"], NotConverted, WEIGHTS),
    (&["smtp_alert"], NotConverted, MAIL),
    (&["notify_priority_changes"], NotConverted, HOOKS),
    (
        &["track_interface"],
        NotConverted,
        "no interface is tracked: name an address behind it in [guard] ping, so that a node that has lost it knows",
    ),
];

/// In `vrrp_script` and `vrrp_track_process`.
const SCRIPT: &[Row] = &[
    (
        &["weight"],
        NotConverted,
        "there are no weights: a service that fails is restarted in place, and moves its group when that does not help",
    ),
    (
        &["rise", "fall", "quorum", "quorum_max", "delay", "terminate_delay", "fork_delay"],
        NotNeeded,
        "how often a service may fail before its group moves is settled: it is restarted in place first",
    ),
    (&["user"], NotNeeded, AGENTS),
    (&["init_fail"], NotNeeded, "a service counts as running once its agent has seen it"),
    (&["param_match", "full_command"], NotNeeded, "the agent knows its processes"),
];

/// Where a keyword stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Top,
    Global,
    Instance,
    Sync,
    Script,
}

impl Scope {
    fn rows(self) -> &'static [Row] {
        match self {
            Self::Top => TOP,
            Self::Global => GLOBAL,
            Self::Instance => INSTANCE,
            Self::Sync => SYNC,
            Self::Script => SCRIPT,
        }
    }

    /// What became of a keyword.
    pub(super) fn told(self, word: &str) -> Option<(Verdict, &'static str)> {
        let row = self.rows().iter().find(|(words, ..)| words.contains(&word));
        row.map(|(_, verdict, says)| (*verdict, *says))
    }

    /// All keywords that may stand here.
    pub(super) fn known(self) -> impl Iterator<Item = &'static str> {
        let read: &[&str] = match self {
            Self::Top => READ,
            Self::Global => &["router_id"],
            Self::Instance => INSTANCE_READ,
            Self::Sync => &["group", "track_script", "track_process", "notify"],
            Self::Script => &["script", "process", "interval", "timeout"],
        };
        self.rows().iter().flat_map(|(words, ..)| words.iter()).chain(read).copied()
    }
}

/// Whether a file with a line that begins so is a keepalived.conf. The keywords without `_` are words of other programs,
/// too.
pub(in crate::import) fn is_section(word: &str) -> bool {
    word.contains('_') && Scope::Top.known().any(|known| known == word)
}
