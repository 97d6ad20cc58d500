//! Nothing fails: an operator moves the group, or ends a daemon, or a crashed one comes back at once.

use lubdub::lab::{GROUP, LabError, Moment, PATIENCE, Service, stays, wait_for};

use crate::support::{assert_never_moved, assert_never_two, in_lab, pair, sight};

#[test]
fn a_switchover_is_quicker_than_a_takeover() {
    in_lab("planned::a_switchover_is_quicker_than_a_takeover", pair(), |lab| {
        let client = lab.begin()?;
        let fault = Moment::now();
        let output = lab.node("beta")?.lubdub(&["switchover", GROUP, "--to", "beta"])?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
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
fn a_group_of_an_address_alone_moves_too() {
    let mut plan = pair();
    plan.service = Service::Address;
    in_lab("planned::a_group_of_an_address_alone_moves_too", plan, |lab| {
        let client = lab.begin()?;
        let output = lab.node("alpha")?.lubdub(&["standby"])?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        lab.wait_served(&client, "beta")?;
        assert_never_two(lab)
    });
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
