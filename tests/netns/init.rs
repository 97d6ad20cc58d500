//! `lubdub init`: what it writes makes a real pair, whether it was told by flags or asked on a terminal.
#![expect(clippy::unwrap_used, reason = "a test that fails, panics")]

use std::fs;
use std::path::Path;

use lubdub::lab::{Lab, Moment, Plan, Service};

use crate::check;
use crate::support::{PROGRAM, assert_never_two, in_lab, pair, sight};
use crate::tmux::Tmux;

const FLAGS: [&str; 13] = [
    "init",
    "--cluster",
    "web",
    "--node",
    "alpha=10.77.0.1,10.77.1.1",
    "--node",
    "beta=10.77.0.2,10.77.1.2",
    "--address",
    "10.77.0.100/24",
    "--ping",
    "10.77.0.254",
    "--service",
    "none",
];

/// A pair whose web server runs on both all the time, and which nobody has configured.
fn unconfigured() -> Plan {
    Plan { service: Service::Address, ..pair() }
}

fn forget_configuration(lab: &Lab) {
    for node in lab.nodes() {
        for file in ["cluster.toml", "authkeys"] {
            fs::remove_file(node.etc().join(file)).unwrap();
        }
    }
}

/// Does what the line says that was printed for it.
fn copy(lab: &Lab, printed: &str) {
    let line = printed.lines().map(str::trim).find(|line| line.starts_with("scp -p ")).unwrap();
    let files = line.trim_start_matches("scp -p ").strip_suffix(" root@10.77.0.2:/etc/lubdub/");
    let (alpha, beta) = (lab.node("alpha").unwrap().etc(), lab.node("beta").unwrap().etc());
    for file in files.unwrap().split(' ') {
        let name = Path::new(file).strip_prefix("/etc/lubdub").unwrap();
        fs::copy(alpha.join(name), beta.join(name)).unwrap();
    }
}

#[test]
fn files_of_flags_make_a_pair_that_fails_over() {
    in_lab("init::files_of_flags_make_a_pair_that_fails_over", unconfigured(), |lab| {
        forget_configuration(lab);
        let made = lab.node("alpha")?.lubdub(&FLAGS)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(made.status.success(), "{}", text(&made.stderr));
        assert_eq!(text(&made.stderr), "", "nothing is doubtful");
        copy(lab, &text(&made.stdout));
        for node in lab.nodes() {
            // The node is found by the host's name.
            let checked = node.lubdub(&["check"])?;
            assert!(checked.status.success(), "{}", text(&checked.stderr));
            assert_eq!(text(&checked.stderr), "");
        }
        for (code, said) in check::both(lab)? {
            assert_eq!(code, "0", "{said}");
            assert!(said.contains("all fine; next, on alpha and on beta"), "{said}");
        }
        let client = lab.begin()?;
        let fault = Moment::now();
        lab.power_off("alpha")?;
        lab.wait_served(&client, "beta")?;
        sight(client, fault)?;
        assert_never_two(lab)
    });
}

#[test]
fn a_terminal_is_asked_and_offers_what_the_machine_has() {
    in_lab("init::a_terminal_is_asked_and_offers_what_the_machine_has", unconfigured(), |lab| {
        forget_configuration(lab);
        let alpha = lab.node("alpha")?;
        alpha.ip("route add default via 10.77.0.254")?;
        let tmux = alpha.inside(|| {
            Tmux::open((160, 40), &[("LUBDUB_AGENTS", "/etc/lubdub/agents"), ("LUBDUB", PROGRAM)])
        })?;
        // Whoever has enough of it leaves nothing behind.
        tmux.start(&format!("{PROGRAM} init"));
        tmux.wait("it asks", |text| text.contains("Name of the cluster [web]:"));
        tmux.press("C-d");
        assert_eq!(tmux.ended(), 1);
        assert!(!alpha.etc().join("cluster.toml").exists());

        tmux.start(&format!("{PROGRAM} init"));
        for (question, answer) in [
            ("Name of the cluster [web]:", ""),
            ("Name of this node, which is its host's [alpha]:", ""),
            ("Address of alpha on the network of the clients [10.77.0.1]:", ""),
            ("shares nothing with the first, or none [10.77.1.1]:", ""),
            ("Name of the other node, as `hostname -s` says it there:", "beta"),
            ("Address of beta on the network of the clients:", "10.77.0.1"),
            ("10.77.0.1 is the address of alpha already", "10.77.0.2"),
            ("Address of beta on the second network:", "10.77.1.2"),
            ("Name of a further node [none]:", ""),
            ("with its prefix (/24 on eth0):", "10.77.0.100/24"),
            ("or none [10.77.0.254]:", ""),
            ("What runs behind that address: nginx, httpd or none [", "none"),
        ] {
            tmux.wait(question, |text| text.contains(question));
            tmux.enter(answer);
        }
        tmux.wait("the next steps are told", |text| text.contains("systemctl enable --now lubdub"));
        assert_eq!(tmux.ended(), 0);
        copy(lab, &tmux.text());
        let asked = fs::read_to_string(alpha.etc().join("cluster.toml")).unwrap();
        let mut flags = FLAGS.to_vec();
        flags.extend(["--directory", "/var/log/lubdub/flags"]);
        assert!(alpha.lubdub(&flags)?.status.success());
        let told = alpha.daemon_log().with_file_name("flags/cluster.toml");
        assert_eq!(asked, fs::read_to_string(told).unwrap());
        for (code, said) in check::both(lab)? {
            assert_eq!(code, "0", "{said}");
        }
        Ok(())
    });
}
