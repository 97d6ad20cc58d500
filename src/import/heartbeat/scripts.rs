//! The scripts that haresources names, and what of lubdub's stands for them.

/// What stands for a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    /// An address.
    Address,
    /// A file system, with the parameters of OCF's agent of that name.
    Filesystem,
    /// An agent of ours.
    Agent(&'static str),
    /// Nothing, and nothing is lost.
    NotNeeded(&'static str),
    /// Nothing; nothing that clients need is lost.
    Left(&'static str),
    /// Nothing, and the group does not work without it: what it does, what to do.
    Missing(&'static str, &'static str),
}

const STORAGE: &str = "no agent of lubdub looks after storage: name an OCF agent that does, linked into /usr/lib/ocf/resource.d/lubdub, or take the \
     block out";
const SERVICE: &str = "no agent of lubdub runs it: name an OCF agent that does, linked into /usr/lib/ocf/resource.d/lubdub, or take the block out \
     and let systemd run it on every node";
const NETWORK: &str = "no agent of lubdub does it: name an OCF agent that does, linked into /usr/lib/ocf/resource.d/lubdub, or take the block out";
const LVS: &str = "lubdub does not direct virtual services yet: let systemd run it on every node, and take the block out, or wait";
const MAIL: &str =
    "lubdub sends no messages: watch the exit code of `lubdub status`, or `lubdub history --json`";
const CLOCK: &str = "a clock daemon belongs on every node all the time: `systemctl enable` it there. The agent ntp lets a group run only \
     where the clock is right";

/// What stands for the script of this name, in whatever case.
pub(super) fn script(name: &str) -> Script {
    match name.to_ascii_lowercase().as_str() {
        "ipaddr" | "ipaddr2" | "ipv6addr" => Script::Address,
        "filesystem" => Script::Filesystem,
        "nginx" => Script::Agent("nginx"),
        "apache" | "apache2" | "httpd" => Script::Agent("httpd"),
        "dummy" => Script::Agent("Dummy"),
        "sendarp" => {
            Script::NotNeeded("the agent IPaddr announces its address itself, again and again")
        }
        "delay" => Script::NotNeeded("each resource starts when the one before it has started"),
        "mailto" | "winpopup" | "audiblealarm" => Script::Left(MAIL),
        "ntp" | "ntpd" | "ntpsec" | "openntpd" | "chrony" | "chronyd" => Script::Left(CLOCK),
        "ldirectord" => Script::Missing("runs ldirectord", LVS),
        "lvssyncdaemonswap" => Script::Missing("runs the LVS sync daemon", LVS),
        "drbddisk" | "drbdupper" => Script::Missing("makes a DRBD resource primary", STORAGE),
        "lvm" => Script::Missing("activates a volume group", STORAGE),
        "raid1" | "serveraid" | "icp" | "linuxscsi" => Script::Missing("takes over disks", STORAGE),
        "ipsrcaddr" => Script::Missing("sets the source address of routes", NETWORK),
        "portblock" => Script::Missing("blocks a port during a takeover", NETWORK),
        _ => Script::Missing("", SERVICE),
    }
}

/// What is to be done about a file system.
pub(super) const FILESYSTEM: &str = STORAGE;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_known_in_any_case() {
        assert_eq!(script("IPAddr"), Script::Address);
        assert_eq!(script("apache2"), Script::Agent("httpd"));
        assert_eq!(script("mysql"), Script::Missing("", SERVICE));
    }
}
