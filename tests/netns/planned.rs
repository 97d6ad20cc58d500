//! Nothing fails: an operator moves the group, or ends a daemon, or a crashed one comes back at once.

use lubdub::lab::{GROUP, LabError, Moment, PATIENCE, Service, stays, wait_for};

use crate::support::{assert_never_moved, assert_never_two, in_lab, is_told, page, pair, sight};

#[test]
fn a_switchover_is_quicker_than_a_takeover() {
    in_lab("planned::a_switchover_is_quicker_than_a_takeover", pair(), |lab| {
        let client = lab.begin()?;
        let fault = Moment::now();
        ask(lab, "beta", &["switchover", GROUP, "--to", "beta"])?;
        lab.wait_served(&client, "beta")?;
        wait_for("alpha stops everything", PATIENCE, || Ok(lab.web_runs_on()? == ["beta"]))?;
        let sight = sight(client, fault)?;
        assert!(sight.longest_gap < lab.plan().deadtime, "{sight:?}");
        assert_never_two(lab)
    });
}

#[test]
fn a_daemon_that_is_told_to_end_hands_over() {
    in_lab("planned::a_daemon_that_is_told_to_end_hands_over", pair(), |lab| {
        let client = lab.begin()?;
        let fault = Moment::now();
        lab.node("alpha")?.stop_daemon(PATIENCE)?;
        lab.wait_served(&client, "beta")?;
        assert_eq!(lab.web_runs_on()?, ["beta"]);
        let sight = sight(client, fault)?;
        assert!(sight.longest_gap < lab.plan().deadtime, "{sight:?}");
        assert_never_two(lab)
    });
}

#[test]
fn a_crashed_daemon_that_comes_back_at_once_keeps_what_it_ran() {
    in_lab("planned::a_crashed_daemon_that_comes_back_at_once_keeps_what_it_ran", pair(), |lab| {
        let client = lab.begin()?;
        let alpha = lab.node("alpha")?;
        let before = web(lab)?;
        let fault = Moment::now();
        alpha.kill_daemon()?;
        alpha.start_daemon()?;
        // Longer than the kernel would keep an address that nobody renews.
        stays("alpha keeps the group", lab.plan().deadtime * 6, || {
            Ok(lab.kernels().only_holder_is("alpha") && client.served_by("alpha"))
        })?;
        assert_eq!(sight(client, fault)?.failed, 0);
        assert_eq!(web(lab)?, before, "the web server was started again");
        assert_never_moved(lab, "alpha");
        Ok(())
    });
}

#[test]
fn in_maintenance_daemons_end_and_come_back_and_no_request_fails() {
    in_lab(
        "planned::in_maintenance_daemons_end_and_come_back_and_no_request_fails",
        pair(),
        |lab| {
            let client = lab.begin()?;
            let (alpha, beta) = (lab.node("alpha")?, lab.node("beta")?);
            let before = web(lab)?;
            let fault = Moment::now();
            ask(lab, "beta", &["maintenance", "on"])?;
            let refused = alpha.lubdub(&["switchover", GROUP])?;
            let words = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(
                !refused.status.success() && words.contains("lubdub maintenance off"),
                "{words}"
            );
            for nodes in [&[beta][..], &[alpha], &[alpha, beta]] {
                for node in nodes {
                    node.stop_daemon(PATIENCE)?;
                }
                // Longer than the kernel would keep an address that nobody renews, and than a takeover takes.
                stays("alpha goes on", lab.plan().deadtime * 6, || {
                    Ok(lab.kernels().only_holder_is("alpha") && client.served_by("alpha"))
                })?;
                for node in nodes {
                    node.start_daemon()?;
                }
                is_told(lab, "alpha", "maintenance is in force (root asked for it)")?;
                is_told(lab, "beta", "maintenance is in force (root asked for it)")?;
            }
            ask(lab, "alpha", &["maintenance", "off"])?;
            wait_for("beta knows too", PATIENCE, || {
                Ok(!page(lab, "beta")?.contains("maintenance is"))
            })?;
            stays("alpha goes on", lab.plan().deadtime * 6, || {
                Ok(lab.kernels().only_holder_is("alpha") && client.served_by("alpha"))
            })?;
            assert_eq!(web(lab)?, before, "the web server was started again");
            assert_never_moved(lab, "alpha");
            let sight = sight(client, fault)?;
            assert_eq!(sight.failed, 0, "{sight:?}");

            // All is looked after again: nobody is left to renew the address.
            alpha.kill_daemon()?;
            wait_for("beta takes over", PATIENCE, || Ok(lab.kernels().only_holder_is("beta")))?;
            assert_never_two(lab)
        },
    );
}

#[test]
fn a_group_of_an_address_alone_moves_too() {
    let mut plan = pair();
    plan.service = Service::Address;
    in_lab("planned::a_group_of_an_address_alone_moves_too", plan, |lab| {
        let client = lab.begin()?;
        ask(lab, "alpha", &["standby"])?;
        lab.wait_served(&client, "beta")?;
        assert_never_two(lab)
    });
}

fn ask(lab: &lubdub::lab::Lab, node: &str, command: &[&str]) -> Result<(), LabError> {
    let output = lab.node(node)?.lubdub(command)?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn web(lab: &lubdub::lab::Lab) -> Result<Vec<String>, LabError> {
    let all = lab.node("alpha")?.processes()?;
    let pattern = lab.plan().web.pattern();
    Ok(all
        .into_iter()
        .filter(|process| process.command.contains(pattern))
        .map(|process| format!("{} {}", process.pid, process.command))
        .collect())
}
