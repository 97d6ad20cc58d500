//! The web server fails on a node that is well.

use std::fs;

use lubdub::cluster::event::{Event, StopReason};
use lubdub::lab::{GROUP, Lab, LabError, Moment, Node, PATIENCE, Plan, WebServer, wait_for};
use nix::unistd::Pid;

use crate::support::{
    SLACK, assert_never_moved, assert_outage, in_lab, is_told, page, pair, sight,
};

#[test]
fn a_killed_web_server_is_started_again_in_place() {
    in_lab("service::a_killed_web_server_is_started_again_in_place", pair(), |lab| {
        let client = lab.begin()?;
        let fault = Moment::now();
        let killed = lab.node("alpha")?.kill_matching(lab.plan().web.pattern())?;
        assert!(killed > 0, "no web server ran");
        wait_for("the client sees a failure", PATIENCE, || Ok(!client.served_by("alpha")))?;
        lab.wait_served(&client, "alpha")?;
        assert_outage(&sight(client, fault)?, fault, lab.plan().monitor + SLACK * 2);
        assert_never_moved(lab, "alpha");
        let told = lab.node("alpha")?.history()?;
        let restored = |event: &Event| matches!(event, Event::GroupRestored { .. });
        assert_eq!(told.iter().filter(|told| restored(&told.event)).count(), 1, "{told:?}");
        Ok(())
    });
}

/// Its workers go on serving and hold the port, so that a new master could not bind.
#[test]
fn a_master_killed_alone_is_replaced_with_its_workers() {
    in_lab("service::a_master_killed_alone_is_replaced_with_its_workers", with_nginx(), |lab| {
        let client = lab.begin()?;
        let before = nginx(lab)?;
        assert_eq!(lab.node("alpha")?.kill_matching("nginx: master")?, 1);
        wait_for("none of the old processes is left, and new ones serve", PATIENCE, || {
            let now = nginx(lab)?;
            Ok(!now.is_empty()
                && now.iter().all(|pid| !before.contains(pid))
                && client.served_by("alpha"))
        })?;
        assert_never_moved(lab, "alpha");
        Ok(())
    });
}

/// Somebody tries the agent by hand on the standby, or types the address in: two machines would answer for it.
#[test]
fn an_address_put_on_the_standby_by_hand_is_taken_off() {
    in_lab("service::an_address_put_on_the_standby_by_hand_is_taken_off", pair(), |lab| {
        let client = lab.begin()?;
        let beta = lab.node("beta")?;
        for by_hand in [
            vec!["ip", "add", "10.77.0.100/24"],
            vec!["agent", "run", "IPaddr", "start", "-p", "ip=10.77.0.100/24"],
        ] {
            let output = beta.lubdub(&by_hand)?;
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            wait_for("alpha alone has the address", PATIENCE, || {
                Ok(lab.kernels().only_holder_is("alpha") && !has_address(beta)?)
            })?;
        }
        lab.wait_served(&client, "alpha")?;
        let told = lab.node("beta")?.history()?;
        let leftover = |event: &Event| {
            matches!(event, Event::GroupStopping { because: StopReason::Leftover { .. }, .. })
        };
        assert!(told.iter().any(|told| leftover(&told.event)), "{told:?}");
        // Nobody is led to a machine that does not have it.
        let output = beta.lubdub(&["ip", "announce", "10.77.0.100/24"])?;
        assert!(!output.status.success());
        Ok(())
    });
}

/// As its own kernel has it.
fn has_address(node: &Node) -> Result<bool, LabError> {
    Ok(node.lubdub(&["ip", "show", "10.77.0.100/24"])?.status.success())
}

/// An agent is deleted under a running group, and on the standby before.
#[test]
fn a_missing_agent_ends_nothing_and_is_told_of() {
    in_lab("service::a_missing_agent_ends_nothing_and_is_told_of", pair(), |lab| {
        let _client = lab.begin()?;
        for node in lab.nodes() {
            let agent = node.etc().join("agents/IPaddr");
            fs::rename(&agent, node.etc().join("IPaddr.away")).unwrap();
        }
        is_told(lab, "alpha", "vip on alpha: monitor: cannot be run")?;
        assert_never_moved(lab, "alpha");
        lab.node("beta")?.stop_daemon(PATIENCE)?;
        lab.node("beta")?.start_daemon()?;
        is_told(lab, "alpha", "beta has an agent of it that cannot be executed")?;
        let output = lab.node("alpha")?.lubdub(&["switchover", GROUP])?;
        assert!(!output.status.success());
        for node in lab.nodes() {
            let agent = node.etc().join("agents/IPaddr");
            fs::rename(node.etc().join("IPaddr.away"), &agent).unwrap();
        }
        wait_for(
            "beta can take over",
            PATIENCE,
            || Ok(!page(lab, "alpha")?.contains("cannot be")),
        )?;
        assert_never_moved(lab, "alpha");
        Ok(())
    });
}

fn with_nginx() -> Plan {
    let plan = pair();
    assert!(
        matches!(plan.web, WebServer::Nginx(_)),
        "this test is about nginx, which is not in PATH: the README's test command fetches it"
    );
    plan
}

fn nginx(lab: &Lab) -> Result<Vec<Pid>, LabError> {
    let all = lab.node("alpha")?.processes()?;
    Ok(all
        .into_iter()
        .filter(|process| process.command.contains("nginx: "))
        .map(|process| process.pid)
        .collect())
}
