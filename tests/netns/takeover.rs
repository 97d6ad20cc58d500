//! The active node, or its daemon, is no more.

use std::time::Duration;

use lubdub::lab::{Moment, PATIENCE, stays, wait_for};

use crate::support::{SLACK, assert_never_two, assert_outage, in_lab, pair, sight};

/// The kernel's own lease on an address has whole seconds and ends up to a third of one late.
const KERNEL_LEASE: Duration = Duration::from_millis(1340);

#[test]
fn a_node_without_power_is_replaced_after_deadtime() {
    in_lab("takeover::a_node_without_power_is_replaced_after_deadtime", pair(), |lab| {
        let client = lab.begin()?;
        let fault = lab.power_off("alpha")?;
        lab.wait_served(&client, "beta")?;
        let sight = sight(client, fault)?;
        assert_outage(&sight, fault, lab.plan().deadtime + SLACK);
        assert_never_two(lab)?;
        let taken = lab
            .kernels()
            .holds()
            .iter()
            .find(|hold| hold.node == "beta")
            .map(|hold| hold.from)
            .unwrap();
        // The last heartbeat may be a whole keepalive old when the power goes, and a few milliseconds late.
        let earliest = lab.plan().deadtime - lab.plan().keepalive - Duration::from_millis(20);
        assert!(
            taken >= fault + earliest,
            "taken over {} ms after the fault",
            taken.millis_after(fault)
        );
        Ok(())
    });
}

#[test]
fn a_node_that_comes_back_leaves_the_group_where_it_is() {
    in_lab("takeover::a_node_that_comes_back_leaves_the_group_where_it_is", pair(), |lab| {
        let client = lab.begin()?;
        lab.power_off("alpha")?;
        lab.wait_served(&client, "beta")?;
        lab.power_on("alpha")?;
        lab.node("alpha")?.start_daemon()?;
        stays("beta keeps the group", lab.plan().initdead + lab.plan().deadtime * 2, || {
            Ok(lab.kernels().only_holder_is("beta")
                && client.served_by("beta")
                && lab.web_runs_on()? == ["beta"])
        })?;
        assert_never_two(lab)
    });
}

#[test]
fn the_third_node_takes_over_from_the_second() {
    let mut plan = pair();
    plan.nodes.push("gamma".to_owned());
    in_lab("takeover::the_third_node_takes_over_from_the_second", plan, |lab| {
        let client = lab.begin()?;
        lab.power_off("alpha")?;
        lab.wait_served(&client, "beta")?;
        lab.power_off("beta")?;
        lab.wait_served(&client, "gamma")?;
        assert_never_two(lab)
    });
}

#[test]
fn a_killed_daemon_is_replaced_when_the_kernel_lets_the_address_go() {
    in_lab(
        "takeover::a_killed_daemon_is_replaced_when_the_kernel_lets_the_address_go",
        pair(),
        |lab| {
            let client = lab.begin()?;
            let alpha = lab.node("alpha")?;
            let fault = Moment::now();
            alpha.kill_daemon()?;
            lab.wait_served(&client, "beta")?;
            alpha.start_daemon()?;
            wait_for("alpha's new daemon ends what the old one left", PATIENCE, || {
                Ok(lab.web_runs_on()? == ["beta"])
            })?;
            stays("beta keeps the group", lab.plan().deadtime * 2, || {
                Ok(lab.kernels().only_holder_is("beta") && client.served_by("beta"))
            })?;
            assert_outage(
                &sight(client, fault)?,
                fault,
                KERNEL_LEASE + lab.plan().deadtime + SLACK,
            );
            assert_never_two(lab)
        },
    );
}

#[test]
fn a_frozen_daemon_is_replaced_and_accepts_that_when_it_thaws() {
    in_lab("takeover::a_frozen_daemon_is_replaced_and_accepts_that_when_it_thaws", pair(), |lab| {
        let client = lab.begin()?;
        let alpha = lab.node("alpha")?;
        let fault = Moment::now();
        alpha.freeze_daemon()?;
        lab.wait_served(&client, "beta")?;
        alpha.thaw_daemon()?;
        stays("beta keeps the group", lab.plan().deadtime * 4, || {
            Ok(lab.kernels().only_holder_is("beta") && client.served_by("beta"))
        })?;
        wait_for("alpha stops the rest of the group", PATIENCE, || {
            Ok(lab.web_runs_on()? == ["beta"])
        })?;
        assert_outage(&sight(client, fault)?, fault, KERNEL_LEASE + lab.plan().deadtime + SLACK);
        assert_never_two(lab)
    });
}
