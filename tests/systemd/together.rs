//! The package on a pair: what becomes of nginx when a daemon crashes, is stopped, upgraded or removed.

use crate::client::Fate;
use crate::machine::{Machine, inside, newer_package, package};
use crate::pair::{Pair, answered, nginx, runs_nothing};

#[test]
fn a_crashed_daemon_comes_back_and_nginx_never_noticed() {
    inside("together::a_crashed_daemon_comes_back_and_nginx_never_noticed", || {
        let pair = Pair::begin();
        let alpha = &pair.alpha;
        let (daemon, web) = (alpha.property("MainPID"), nginx(alpha));
        // As agents may have it: what is in a cgroup below the unit's stays there, whatever systemd does.
        alpha.shell(&format!(
            "cd /sys/fs/cgroup/system.slice/lubdub.service && mkdir web && echo {web} > web/cgroup.procs
             systemctl daemon-reload"
        ));
        alpha.shell(&format!("kill -KILL {daemon}"));
        let other = format!("[ $(systemctl show --value --property=MainPID lubdub) != {daemon} ]");
        alpha.until("the daemon runs again", &format!("systemctl is-active lubdub && {other}"));
        pair.wait_whole();
        assert_eq!(alpha.property("NRestarts"), "1");
        assert_eq!(nginx(alpha), web, "nginx was started again");
        let cgroup = alpha.shell(&format!("tail -n 1 /proc/{web}/cgroup"));
        assert_eq!(cgroup, "0::/system.slice/lubdub.service/web");
        let fates = pair.client.take();
        assert!(fates.iter().all(|fate| fate.as_deref() == Ok("alpha")), "{}", told(&fates));

        // It was adopted, not left over: the daemon stops it.
        alpha.shell("systemctl stop lubdub");
        pair.served_by("beta");
        runs_nothing(alpha);
    });
}

#[test]
fn a_stopped_daemon_hands_over_and_comes_back_as_the_standby() {
    inside("together::a_stopped_daemon_hands_over_and_comes_back_as_the_standby", || {
        let pair = Pair::begin();
        pair.alpha.shell("systemctl stop lubdub");
        // systemctl waits for the end: everything was stopped by then.
        runs_nothing(&pair.alpha);
        pair.served_by("beta");
        assert_handed_over(&pair.beta, "alpha");
        pair.alpha.shell("systemctl start lubdub");
        pair.wait_whole();
        let fates = pair.client.take();
        assert_eq!(answered(&fates), ["alpha", "beta"], "{}", told(&fates));
        runs_nothing(&pair.alpha);
    });
}

#[test]
fn a_pair_is_upgraded_one_node_at_a_time() {
    inside("together::a_pair_is_upgraded_one_node_at_a_time", || {
        let pair = Pair::begin();
        let directory = tempfile::tempdir().unwrap();
        let newer = newer_package(directory.path());

        // The standby first: nobody notices.
        let web = nginx(&pair.alpha);
        upgrade(&pair.beta, &newer);
        pair.wait_whole();
        assert_eq!(nginx(&pair.alpha), web);
        let fates = pair.client.take();
        assert!(fates.iter().all(|fate| fate.as_deref() == Ok("alpha")), "{}", told(&fates));

        // Then the active one: it hands over, as for any stop, and takes part again as the standby.
        upgrade(&pair.alpha, &newer);
        pair.served_by("beta");
        pair.wait_whole();
        assert_handed_over(&pair.beta, "alpha");
        runs_nothing(&pair.alpha);
        let fates = pair.client.take();
        assert_eq!(answered(&fates), ["alpha", "beta"], "{}", told(&fates));
    });
}

#[test]
fn a_pair_is_upgraded_in_maintenance_and_no_client_notices() {
    inside("together::a_pair_is_upgraded_in_maintenance_and_no_client_notices", || {
        let pair = Pair::begin();
        let Pair { alpha, beta, client } = &pair;
        let directory = tempfile::tempdir().unwrap();
        let newer = newer_package(directory.path());
        let web = nginx(alpha);
        let lifetime = || alpha.shell("ip -o address show to 10.77.0.100");
        alpha.shell("lubdub maintenance on");
        assert!(lifetime().contains("valid_lft forever"), "{}", lifetime());
        for machine in [alpha, beta] {
            upgrade(machine, &newer);
            pair.wait_whole();
            assert_eq!(nginx(alpha), web);
        }
        // Nor when both are away, for as long as that takes.
        for machine in [alpha, beta] {
            machine.shell("systemctl stop lubdub");
        }
        let told = alpha.shell("journalctl --unit=lubdub --no-pager");
        assert!(told.contains("left running here: web"), "{told}");
        for machine in [beta, alpha] {
            machine.shell("systemctl start lubdub");
        }
        pair.wait_whole();
        assert_eq!(alpha.property("StatusText"), "in maintenance; web runs here");
        beta.shell("lubdub maintenance off");
        alpha.until(
            "the address is leased again",
            "! ip -o address show to 10.77.0.100 | grep -q forever",
        );
        pair.wait_whole();
        assert_eq!(nginx(alpha), web);
        let fates = client.take();
        assert!(fates.iter().all(|fate| fate.as_deref() == Ok("alpha")), "{}", self::told(&fates));

        // All is looked after again.
        alpha.shell(&format!("kill -KILL {web} $(pgrep --parent {web})"));
        alpha.until(
            "nginx is another one",
            &format!("[ -e /run/nginx.pid ] && [ $(cat /run/nginx.pid) != {web} ]"),
        );
        pair.served_by("alpha");
    });
}

#[test]
fn an_upgrade_that_would_not_start_leaves_the_old_daemon_alone() {
    inside("together::an_upgrade_that_would_not_start_leaves_the_old_daemon_alone", || {
        let pair = Pair::begin();
        let directory = tempfile::tempdir().unwrap();
        let alpha = &pair.alpha;
        let (daemon, web) = (alpha.property("MainPID"), nginx(alpha));
        alpha.shell("sed -i s/deadtime/deathtime/ /etc/lubdub/cluster.toml");
        let said = alpha.install(&newer_package(directory.path()));
        assert!(said.contains("did you mean `deadtime`?"), "{said}");
        assert!(said.contains("the daemon of the last version goes on"), "{said}");
        assert_eq!((alpha.property("MainPID"), nginx(alpha)), (daemon.clone(), web));

        // The one command that it names puts things right.
        alpha.shell("sed -i s/deathtime/deadtime/ /etc/lubdub/cluster.toml");
        alpha.shell("systemctl restart lubdub");
        assert_ne!(alpha.property("MainPID"), daemon);
        pair.served_by("beta");
        pair.wait_whole();
    });
}

#[test]
fn a_removed_package_hands_over_and_a_purged_one_leaves_nothing() {
    inside("together::a_removed_package_hands_over_and_a_purged_one_leaves_nothing", || {
        let pair = Pair::begin();
        let alpha = &pair.alpha;
        alpha.shell("dpkg --no-triggers --remove lubdub");
        runs_nothing(alpha);
        pair.served_by("beta");
        assert_handed_over(&pair.beta, "alpha");
        assert_eq!(processes(alpha), "");
        assert_eq!(
            alpha.shell(
                "cd / && find etc/lubdub run/lubdub var/lib/lubdub -maxdepth 1 2> /dev/null | sort"
            ),
            "etc/lubdub\netc/lubdub/authkeys\netc/lubdub/cluster.toml\nvar/lib/lubdub\nvar/lib/lubdub/history.jsonl\n\
             var/lib/lubdub/state.json"
        );

        // It comes back as it was, when somebody says so.
        alpha.install(&package());
        assert_eq!(alpha.shell("systemctl is-enabled lubdub"), "enabled");
        assert_eq!(processes(alpha), "");
        alpha.shell("systemctl start lubdub");
        pair.wait_whole();
        let fates = pair.client.take();
        assert_eq!(answered(&fates), ["alpha", "beta"], "{}", told(&fates));

        alpha.shell("dpkg --no-triggers --purge lubdub");
        assert_eq!(processes(alpha), "");
        let left =
            alpha.shell_output("cd / && ls -d etc/lubdub run/lubdub var/lib/lubdub usr/bin/lubdub");
        assert!(!left.0.contains("\n/") && !left.1, "{}", left.0);
        assert_eq!(alpha.shell("find /etc/systemd /.layers -name '*lubdub*' -not -type c"), "");
    });
}

/// Installs a newer version over the one that runs: afterwards the daemon is another process, of the new program.
fn upgrade(machine: &Machine, newer: &std::path::Path) {
    let daemon = machine.property("MainPID");
    machine.install(newer);
    let version =
        machine.shell("dpkg-query --show --showformat='${Version} ${db:Status-Status}' lubdub");
    assert!(version.starts_with("99:") && version.ends_with(" installed"), "{version}");
    let now = machine.property("MainPID");
    assert_ne!(now, daemon);
    assert_eq!(machine.shell(&format!("readlink /proc/{now}/exe")), "/usr/bin/lubdub");
}

/// The other one said goodbye; it was not found silent.
#[track_caller]
fn assert_handed_over(machine: &Machine, other: &str) {
    let history = machine.shell("lubdub history --json -n 1000");
    let of = |event: &str| {
        let event = format!("\"event\":\"{event}\"");
        history.lines().filter(|line| line.contains(&event)).collect::<Vec<_>>()
    };
    assert!(!of("peer_left").is_empty(), "{other} did not say goodbye: {history}");
    assert_eq!(of("peer_lost"), [""; 0]);
}

/// The processes of lubdub's own program.
fn processes(machine: &Machine) -> String {
    machine.shell_output("pgrep --list-full lubdub").0
}

/// What the client saw, short: how many requests in a row had each fate.
fn told(fates: &[Fate]) -> String {
    let rows = fates.chunk_by(|one, next| one == next);
    rows.map(|row| format!("{} x {:?}", row.len(), row.first())).collect::<Vec<_>>().join(", ")
}
