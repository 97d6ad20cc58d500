//! The package on one machine: what it installs and starts, how the daemon and what it starts run, and what becomes of
//! nginx where nobody can take it over.

use crate::machine::{Machine, inside, newer_package, package};
use crate::pair::{answered, ask, boot, configure, lay_networks, nginx, runs_nothing, served_by};

#[test]
fn an_installed_package_starts_nothing_and_a_purged_one_leaves_nothing() {
    inside("alone::an_installed_package_starts_nothing_and_a_purged_one_leaves_nothing", || {
        let machine = Machine::boot("alpha");
        let before = files(&machine);
        machine.install(&package());
        assert_eq!(machine.shell_output("systemctl is-enabled lubdub").0, "disabled\n");
        assert_eq!(machine.shell_output("systemctl is-active lubdub").0, "inactive\n");
        assert_eq!(machine.shell("ls -A /etc/lubdub"), "");
        machine.shell("getent group lubdub");
        machine.shell(
            "lubdub --version && lubdub agent list && systemd-analyze verify --man=no lubdub.service",
        );

        // What it brings works where it lies.
        machine.shell(
            "lubdub keygen && mkdir -p /etc/nginx && echo 'events {}' > /etc/nginx/nginx.conf",
        );
        let checked =
            machine.shell("lubdub check /usr/share/doc/lubdub/examples/cluster.toml 2>&1");
        assert!(checked.contains("ok, cluster web"), "{checked}");
        machine.shell("bash -n /usr/share/bash-completion/completions/lubdub");
        let pages = machine.shell("ls /usr/share/man/man8/lubdub*.8.gz").lines().count();
        assert!(pages > 15, "{pages} man pages");
        machine.shell("rm -r /etc/nginx");
        machine.shell("cd / && lubdub demo --scenario power-off");

        // Somebody starts it too early: it says why, once.
        let (said, fine) = machine.shell_output("systemctl enable --now lubdub");
        assert!(!fine && said.contains("journalctl"), "{said}");
        machine.until("it has given up", "systemctl is-failed lubdub");
        let log = machine.shell("journalctl --unit=lubdub --no-pager");
        assert_eq!(log.matches("cluster.toml: cannot be read").count(), 1, "{log}");
        assert_eq!(machine.property("NRestarts"), "0");

        machine.shell("dpkg --no-triggers --purge lubdub");
        assert_eq!(files(&machine), before);
        machine.shell("systemctl reset-failed; systemctl daemon-reload");
        assert_eq!(machine.property("LoadState"), "not-found");
    });
}

#[test]
fn the_daemon_has_privileges_and_nginx_has_none_of_them() {
    inside("alone::the_daemon_has_privileges_and_nginx_has_none_of_them", || {
        let machine = serving();
        let (daemon, web) = (machine.property("MainPID"), nginx(&machine));
        let both = |what: &str| [&daemon, &web].map(|pid| machine.shell(&what.replace("PID", pid)));
        // What systemd gives to any service: only root without CAP_SYS_RESOURCE, as in some containers, cannot give it all.
        machine.write(
            "/run/systemd/system/usual.service",
            "[Service]\nType=oneshot\nOOMScoreAdjust=-900\n\
             ExecStart=cp /proc/self/oom_score_adj /proc/self/limits /tmp\n",
        );
        machine.shell("systemctl daemon-reload && systemctl start usual");
        let granted = machine.shell("cat /tmp/oom_score_adj");
        assert_eq!(both("cat /proc/PID/oom_score_adj"), [granted.as_str(), "0"]);
        let [ours, theirs] = both("chrt --all-tasks --pid PID");
        assert!(ours.contains("SCHED_FIFO") && !theirs.contains("SCHED_FIFO"), "{ours}\n{theirs}");
        let [ours, theirs] = both("grep VmLck /proc/PID/status");
        assert!(!ours.ends_with("\t       0 kB") && theirs.ends_with(" 0 kB"), "{ours}\n{theirs}");
        assert_eq!(both("cat /proc/PID/limits")[1], machine.shell("cat /tmp/limits"));
        let [_, theirs] = both("ls -l /proc/PID/fd");
        assert!(!theirs.contains("/run/lubdub"), "{theirs}");

        let unit = ["Type", "NotifyAccess", "KillMode", "Delegate", "Restart", "ActiveState"];
        assert_eq!(
            unit.map(|name| machine.property(name)),
            ["notify", "main", "process", "yes", "always", "active"]
        );
        assert_eq!(machine.property("StatusText"), "beta was never heard; web runs here");
        let log = machine.shell("journalctl --unit=lubdub --no-pager");
        assert!(log.contains("memory is locked; the loop runs under SCHED_FIFO"), "{log}");
    });
}

#[test]
fn where_nobody_takes_over_nginx_is_stopped_in_order_and_started_again() {
    inside("alone::where_nobody_takes_over_nginx_is_stopped_in_order_and_started_again", || {
        let machine = serving();
        let client = ask();
        served_by(&client, "alpha");
        let directory = tempfile::tempdir().unwrap();

        let web = nginx(&machine);
        machine.install(&newer_package(directory.path()));
        machine.until(
            "nginx is another one",
            &format!("kill -0 $(cat /run/nginx.pid) && [ $(cat /run/nginx.pid) != {web} ]"),
        );
        served_by(&client, "alpha");

        machine.shell("systemctl stop lubdub");
        runs_nothing(&machine);
        machine.shell("systemctl start lubdub");
        served_by(&client, "alpha");

        machine.shell("dpkg --no-triggers --remove lubdub");
        runs_nothing(&machine);
        assert_eq!(answered(&client.take()), ["alpha"]);
    });
}

/// One machine of a pair, the other one absent, that runs the group.
fn serving() -> Machine {
    lay_networks();
    let machine = boot("alpha", 11);
    machine.install(&package());
    configure(&machine, &machine);
    machine.shell("systemctl start lubdub");
    machine.until(
        "nginx and the address are there",
        "test -e /run/nginx.pid && ip -o address show to 10.77.0.100 | grep -q .",
    );
    machine
}

/// Everything that was ever written to the machine's disk, but for what others keep: dpkg's and systemd's lists, and the
/// group, which stays.
fn files(machine: &Machine) -> String {
    machine.shell(
        "cd / && { find etc var run/lubdub -xdev; find .layers ! -type d; } 2> /dev/null |
         grep -v -e ^var/log/journal -e ^var/log/dpkg.log -e ^var/lib/dpkg -e ^.layers/var/lib/dpkg -e ^var/lib/systemd \
              -e '^etc/[a-z]*-$' -e ^etc/.pwd.lock -e ^etc/gshadow -e ^etc/shadow | sort",
    )
}
