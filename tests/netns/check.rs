//! `lubdub check --peer`: what it finds before the first start, and that a running half never learns of it.
#![expect(
    clippy::disallowed_methods,
    reason = "test code: it starts the program as an operator does"
)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use lubdub::cluster::event::Event;
use lubdub::cluster::io::Reject;
use lubdub::lab::{
    Carrier, LAN, Lab, LabError, Moment, Node, PATIENCE, PRIVATE, Plan, stays, wait_for,
};

use crate::support::{
    SLACK, assert_never_moved, assert_never_two, assert_outage, in_lab, pair, sight,
};

/// How long a peer is waited for.
const WAIT: &str = "15s";

/// The kernel's own lease on an address has whole seconds and ends up to a third of one late.
const KERNEL_LEASE: Duration = Duration::from_millis(1340);

/// A check under way on a node.
struct Check {
    output: PathBuf,
    code: PathBuf,
}

impl Check {
    /// Starts it in the background of the node: it lives on there, whatever the test does.
    fn start(node: &Node, wait: &str) -> Result<Self, LabError> {
        let file = |name: &str| node.daemon_log().with_file_name(name);
        let check = Self { output: file("check.out"), code: file("check.code") };
        for old in [&check.output, &check.code] {
            drop(fs::remove_file(old));
        }
        let mut command = Command::new("sh");
        command.args(["-c", &format!(
            "cd /var/log/lubdub; {{ lubdub check --peer --node {} --wait {wait}; echo $? > code; mv code check.code; }} \
             > check.out 2>&1 &",
            node.name()
        )]);
        assert!(node.run(command)?.status.success());
        Ok(check)
    }

    fn has_ended(&self) -> bool {
        self.code.exists()
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// Waits for its end: its exit code, and all that it said.
    fn end(&self) -> Result<(String, String), LabError> {
        wait_for("the check ends", PATIENCE * 2, || Ok(self.has_ended()))?;
        let code = fs::read_to_string(&self.code)
            .map_err(|source| LabError::File { path: self.code.clone(), source })?;
        Ok((code.trim().to_owned(), self.said()))
    }
}

/// Runs it on both nodes at the same time: what each ended with and said.
pub(crate) fn both(lab: &Lab) -> Result<[(String, String); 2], LabError> {
    let checks = [Check::start(lab.node("alpha")?, WAIT)?, Check::start(lab.node("beta")?, WAIT)?];
    let [alpha, beta] = checks;
    Ok([alpha.end()?, beta.end()?])
}

/// It failed, and said each of these.
#[track_caller]
fn assert_names((code, text): &(String, String), expected: &[&str]) {
    assert_eq!(code, "1", "{text}");
    // Lines are broken where they are too long.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in expected {
        assert!(text.contains(words), "{words:?} is not in:\n{text}");
    }
}

#[test]
fn a_pair_that_is_well_is_fine_on_both_and_nothing_is_started() {
    in_lab("check::a_pair_that_is_well_is_fine_on_both_and_nothing_is_started", pair(), |lab| {
        for (code, text) in both(lab)? {
            assert_eq!(code, "0", "{text}");
            for words in [
                "link lan: ↔",
                "link private: ↔",
                "no daemon yet · same configuration · keys 1, signs with 1 · same clock",
                "ping node 10.77.0.254: answers",
                "address 10.77.0.100/24 (web/vip): free",
                "all fine; next, on alpha and on beta: systemctl enable --now lubdub",
            ] {
                assert!(text.contains(words), "{words:?} is not in:\n{text}");
            }
        }
        assert!(lab.kernels().holds().is_empty() && lab.web_runs_on()?.is_empty());
        for node in lab.nodes() {
            assert_eq!(fs::read_dir(node.state()).unwrap().count(), 0, "nothing is kept");
        }
        // The ports are free again.
        drop(lab.begin()?);
        Ok(())
    });
}

#[test]
fn each_fault_is_named() {
    in_lab("check::each_fault_is_named", pair(), |lab| {
        let (etc, alphas) = (lab.node("beta")?.etc(), lab.node("alpha")?.etc());
        lab.switch().cut("beta", PRIVATE)?;
        let [alpha, beta] = both(lab)?;
        assert_names(
            &alpha,
            &[
                "link lan: ↔",
                "link private: down",
                "nothing passes on link private",
                "not even pings reach 10.77.1.2",
            ],
        );
        assert_names(
            &beta,
            &["link private: eth1 on this node is down, or has no carrier", "ip link set eth1 up"],
        );
        lab.switch().heal("beta", PRIVATE)?;

        lab.switch().cut_heartbeats_one_way("alpha", "beta")?;
        let [alpha, beta] = both(lab)?;
        assert_names(&alpha, &["link lan: ← only", "one-way: beta does not hear alpha on it"]);
        assert_names(
            &beta,
            &["alpha is not heard on any link", "10.77.0.1 answers pings", "a firewall drops UDP"],
        );
        lab.switch().lose_nothing()?;

        assert!(lab.node("beta")?.lubdub(&["keygen", "--force"])?.status.success());
        for checked in both(lab)? {
            assert_names(
                &checked,
                &["link lan: refused", "signed with another key", "authkeys differs"],
            );
        }
        fs::copy(alphas.join("authkeys"), etc.join("authkeys")).unwrap();

        let config = fs::read_to_string(etc.join("cluster.toml")).unwrap();
        let other = config.replace("deadtime = \"500ms\"", "deadtime = \"700ms\"");
        assert_ne!(other, config);
        fs::write(etc.join("cluster.toml"), other).unwrap();
        for checked in both(lab)? {
            assert_names(
                &checked,
                &[
                    "link lan: ↔",
                    "another configuration",
                    "says something else in [heartbeat], [guard]",
                ],
            );
        }
        fs::write(etc.join("cluster.toml"), config).unwrap();

        lab.switch().cut("ping", LAN)?;
        for checked in both(lab)? {
            assert_names(&checked, &["link lan: ↔", "ping node 10.77.0.254 does not answer"]);
        }
        Ok(())
    });
}

#[test]
fn an_address_that_is_in_use_and_a_peer_that_is_off_are_named() {
    in_lab("check::an_address_that_is_in_use_and_a_peer_that_is_off_are_named", pair(), |lab| {
        let mut leftover = Command::new("ip");
        leftover.args(["addr", "add", "10.77.0.100/24", "dev", "eth0"]);
        assert!(lab.node("beta")?.run(leftover)?.status.success());
        let [alpha, beta] = both(lab)?;
        assert_names(&alpha, &["10.77.0.100/24 (web/vip) is in use already, by 02:77:00:00:00:02"]);
        assert_names(&beta, &["10.77.0.100/24 (web/vip) is on eth0 of this machine already"]);
        lab.power_off("beta")?;
        let checked = Check::start(lab.node("alpha")?, "2s")?.end()?;
        assert_names(
            &checked,
            &["beta is not heard on any link", "is beta on, is 10.77.0.2 or 10.77.1.2 its address"],
        );
        Ok(())
    });
}

/// A node that only looks round is no peer: whoever runs the group goes on alone, and its history tells nothing.
#[test]
fn a_running_half_is_asked_and_not_disturbed() {
    in_lab("check::a_running_half_is_asked_and_not_disturbed", pair(), |lab| {
        let (alpha, beta) = (lab.node("alpha")?, lab.node("beta")?);
        alpha.start_daemon()?;
        wait_for("alpha has the address", PATIENCE, || Ok(lab.kernels().only_holder_is("alpha")))?;
        let client = lab.start_client()?;
        lab.wait_served(&client, "alpha")?;
        let begun = Moment::now();
        let (happened, status) = (alpha.history()?.len(), || alpha.lubdub(&["status", "--json"]));

        let (code, text) = Check::start(beta, WAIT)?.end()?;
        assert_eq!(code, "0", "{text}");
        for words in [
            "alpha: lubdub",
            "its daemon runs · same configuration",
            "link lan: ↔",
            "link private: ↔",
            "address 10.77.0.100/24 (web/vip): answers from 02:77:00:00:00:01",
            "all fine; next, on beta: systemctl enable --now lubdub",
        ] {
            assert!(text.contains(words), "{words:?} is not in:\n{text}");
        }
        // One that ends without a word, and one whose key is another.
        let killed = Check::start(beta, WAIT)?;
        wait_for("it asks", PATIENCE, || Ok(killed.said().contains("at the same time")))?;
        beta.kill_matching("check --peer")?;
        assert!(beta.lubdub(&["keygen", "--force"])?.status.success());
        let checked = Check::start(beta, "2s")?.end()?;
        assert_names(&checked, &["signed with another key"]);

        stays("alpha keeps the group", lab.plan().deadtime * 4, || {
            Ok(lab.kernels().only_holder_is("alpha") && client.served_by("alpha"))
        })?;
        let json = String::from_utf8(status()?.stdout).unwrap();
        assert!(json.contains(r#""name":"beta","state":"unknown""#), "{json}");
        let history = alpha.history()?;
        let news: Vec<_> =
            history.iter().skip(happened).map(|happening| &happening.event).collect();
        // To the core a survey would be a malformed heartbeat.
        let forged =
            |event: &&Event| matches!(event, Event::DatagramRefused { why: Reject::BadTag, .. });
        assert!(!news.is_empty() && news.iter().all(forged), "{news:?}");
        assert!(!json.contains("malformed"), "{json}");
        assert_eq!(sight(client, begun)?.failed, 0);
        assert_never_moved(lab, "alpha");
        Ok(())
    });
}

/// Where everybody hears everybody: a machine that would be a second alpha is told so before it starts.
#[test]
fn a_name_that_another_machine_has_is_told() {
    let plan = Plan { carriers: [Carrier::Multicast, Carrier::Multicast], ..pair() };
    in_lab("check::a_name_that_another_machine_has_is_told", plan, |lab| {
        lab.node("alpha")?.start_daemon()?;
        wait_for("alpha has the address", PATIENCE, || Ok(lab.kernels().only_holder_is("alpha")))?;
        let as_alpha = ["check", "--peer", "--node", "alpha", "--wait", "3s"];
        let output = lab.node("beta")?.lubdub(&as_alpha)?;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("calls itself alpha too"), "{text}");
        assert_eq!(output.status.code(), Some(1), "{text}");
        Ok(())
    });
}

/// The one that asks is the very node whose daemon has just died: its asking is no word on what still runs there.
#[test]
fn asking_on_a_dead_node_neither_hastens_nor_delays_its_replacement() {
    in_lab(
        "check::asking_on_a_dead_node_neither_hastens_nor_delays_its_replacement",
        pair(),
        |lab| {
            let client = lab.begin()?;
            let alpha = lab.node("alpha")?;
            let fault = Moment::now();
            alpha.kill_daemon()?;
            let check = Check::start(alpha, WAIT)?;
            lab.wait_served(&client, "beta")?;
            assert_outage(
                &sight(client, fault)?,
                fault,
                KERNEL_LEASE + lab.plan().deadtime + SLACK,
            );
            let (_, text) = check.end()?;
            assert!(text.contains("its daemon runs"), "{text}");
            assert_never_two(lab)
        },
    );
}

/// A daemon that is started finds its ports free soon.
#[test]
fn a_check_makes_way_for_a_daemon() {
    in_lab("check::a_check_makes_way_for_a_daemon", pair(), |lab| {
        let check = Check::start(lab.node("alpha")?, "60s")?;
        wait_for("it waits", PATIENCE, || Ok(check.said().contains("on beta at the same time")))?;
        drop(lab.begin()?);
        let (code, text) = check.end()?;
        assert_eq!(code, "1", "{text}");
        assert!(text.contains("a daemon was started on this node meanwhile"), "{text}");
        // Now it is asked.
        let (code, text) = Check::start(lab.node("alpha")?, WAIT)?.end()?;
        assert_eq!(code, "0", "{text}");
        assert!(text.contains("a daemon runs on this node, so it is asked"), "{text}");
        assert!(text.contains("link private: ↔"), "{text}");
        Ok(())
    });
}
