//! The web server fails on a node that is well.

use lubdub::lab::{Lab, LabError, Moment, PATIENCE, Plan, WebServer, wait_for};
use nix::unistd::Pid;

use crate::support::{SLACK, assert_never_moved, assert_outage, in_lab, pair, sight};

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
