//! Links fail, all nodes live.

use std::time::Duration;

use lubdub::cluster::event::Event;
use lubdub::lab::{Happening, LAN, LINKS, Moment, PATIENCE, PRIVATE, stays, wait_for};

use crate::support::{
    SLACK, assert_never_moved, assert_never_two, assert_outage, in_lab, is_told, page, pair, sight,
};

/// A node that loses the service network is seen on the private one: it hands over after a whole deadtime without the ping
/// node, and that takes its agents' time twice.
#[test]
fn a_node_off_the_service_network_hands_over() {
    in_lab("network::a_node_off_the_service_network_hands_over", pair(), |lab| {
        let client = lab.begin()?;
        let fault = Moment::now();
        lab.switch().cut("alpha", LAN)?;
        lab.wait_served(&client, "beta")?;
        wait_for("alpha stops everything", PATIENCE, || Ok(lab.web_runs_on()? == ["beta"]))?;
        lab.switch().heal("alpha", LAN)?;
        stays("beta keeps the group", lab.plan().deadtime * 4, || {
            Ok(lab.kernels().only_holder_is("beta") && client.served_by("beta"))
        })?;
        assert_outage(&sight(client, fault)?, fault, lab.plan().deadtime * 2 + SLACK);
        assert_never_two(lab)
    });
}

#[test]
fn an_isolated_node_lets_go_before_the_other_takes_over() {
    in_lab("network::an_isolated_node_lets_go_before_the_other_takes_over", pair(), |lab| {
        let client = lab.begin()?;
        let fault = Moment::now();
        for link in LINKS {
            lab.switch().cut("alpha", link)?;
        }
        lab.wait_served(&client, "beta")?;
        lab.power_off("alpha")?;
        stays("beta keeps the group", lab.plan().deadtime * 2, || {
            Ok(lab.kernels().only_holder_is("beta") && client.served_by("beta"))
        })?;
        assert_outage(&sight(client, fault)?, fault, lab.plan().deadtime + SLACK);
        assert_never_two(lab)
    });
}

#[test]
fn the_private_link_alone_is_not_missed() {
    in_lab("network::the_private_link_alone_is_not_missed", pair(), |lab| {
        let client = lab.begin()?;
        let fault = Moment::now();
        lab.switch().cut("alpha", PRIVATE)?;
        stays("alpha keeps the group", lab.plan().deadtime * 4, || {
            Ok(lab.kernels().only_holder_is("alpha"))
        })?;
        assert_eq!(sight(client, fault)?.failed, 0);
        assert_never_moved(lab, "alpha");
        Ok(())
    });
}

#[test]
fn without_heartbeats_nothing_moves_until_the_power_goes_too() {
    in_lab("network::without_heartbeats_nothing_moves_until_the_power_goes_too", pair(), |lab| {
        let client = lab.begin()?;
        lab.switch().cut_heartbeats("alpha", "beta")?;
        stays("alpha keeps the group", lab.plan().deadtime * 6, || {
            Ok(lab.kernels().only_holder_is("alpha") && client.served_by("alpha"))
        })?;
        assert_never_moved(lab, "alpha");
        let fault = lab.power_off("alpha")?;
        lab.wait_served(&client, "beta")?;
        assert_outage(&sight(client, fault)?, fault, lab.plan().deadtime + SLACK);
        assert_never_two(lab)
    });
}

/// By a wrong multicast group on one of them, say. Each has seen the address silent; one lets go when it sees it elsewhere.
#[test]
fn two_that_start_at_once_and_never_hear_each_other_become_one_holder() {
    let test = "network::two_that_start_at_once_and_never_hear_each_other_become_one_holder";
    in_lab(test, pair(), |lab| {
        lab.switch().cut_heartbeats("alpha", "beta")?;
        lab.start_daemons()?;
        let brought_up =
            |happening: &Happening| matches!(happening.event, Event::GroupStarted { .. });
        wait_for("one of them has started the group", PATIENCE, || {
            let mut nodes = lab.nodes().iter();
            Ok(nodes.any(|node| node.history().is_ok_and(|all| all.iter().any(brought_up))))
        })?;
        let mut holder = String::new();
        wait_for("one holder is left", PATIENCE, || {
            let settled = |node: &&str| {
                page(lab, node).is_ok_and(|page| page.contains("address conflict: 10."))
            };
            let holders = lab.kernels().holders();
            holder = holders.first().cloned().unwrap_or_default();
            Ok(holders.len() == 1 && ["alpha", "beta"].iter().any(settled))
        })?;
        stays("it keeps the group", lab.plan().deadtime * 10, || {
            Ok(lab.kernels().only_holder_is(&holder))
        })?;
        assert_eq!(lab.web_runs_on()?, [holder.as_str()]);
        let other = if holder == "alpha" { "beta" } else { "alpha" };
        is_told(lab, other, "compare [heartbeat] links (group, port, interface)")?;
        lab.switch().lose_nothing()?;
        is_told(lab, other, &format!("{holder} up"))?;
        stays("it keeps the group", lab.plan().deadtime * 4, || {
            Ok(lab.kernels().only_holder_is(&holder))
        })
    });
}

/// First the heartbeats, then the holder's cable to the ping node and the clients, at several phases of pings and probes.
#[test]
fn a_node_that_is_isolated_in_two_steps_lets_go_before_the_other_takes_over() {
    let test = "network::a_node_that_is_isolated_in_two_steps_lets_go_before_the_other_takes_over";
    in_lab(test, pair(), |lab| {
        let client = lab.begin()?;
        for phase in 0..6 {
            let (holder, other) =
                if phase % 2 == 0 { ("alpha", "beta") } else { ("beta", "alpha") };
            lab.switch().cut_heartbeats("alpha", "beta")?;
            let time = lab.plan().deadtime * 2 + Duration::from_millis(11) * phase;
            stays("the holder keeps the group", time, || Ok(lab.kernels().only_holder_is(holder)))?;
            lab.switch().cut(holder, LAN)?;
            lab.wait_served(&client, other)?;
            lab.switch().heal(holder, LAN)?;
            lab.switch().lose_nothing()?;
            wait_for("the former holder has nothing left", PATIENCE, || {
                Ok(lab.web_runs_on()? == [other])
            })?;
            wait_for("both are a place for the group", PATIENCE, || {
                let status = lab.node(other)?.status()?;
                Ok(status.snapshot.groups.iter().all(|group| group.unable.is_empty()))
            })?;
        }
        assert_never_two(lab)
    });
}

#[test]
fn a_standby_that_hears_nothing_does_not_take_over() {
    one_way("network::a_standby_that_hears_nothing_does_not_take_over", "alpha", "beta");
}

#[test]
fn a_holder_that_hears_nothing_keeps_the_group() {
    one_way("network::a_holder_that_hears_nothing_keeps_the_group", "beta", "alpha");
}

#[test]
fn a_third_of_all_frames_lost_moves_nothing() {
    in_lab("network::a_third_of_all_frames_lost_moves_nothing", pair(), |lab| {
        let client = lab.begin()?;
        for link in LINKS {
            lab.switch().lose(link, 30)?;
        }
        stays("alpha keeps the group", Duration::from_secs(10), || {
            Ok(lab.kernels().only_holder_is("alpha"))
        })?;
        lab.switch().lose_nothing()?;
        lab.wait_served(&client, "alpha")?;
        assert_never_moved(lab, "alpha");
        Ok(())
    });
}

/// Heartbeats from one node to the other are lost, those back are not: nothing moves, then or when they pass again.
fn one_way(test: &str, from: &str, to: &str) {
    in_lab(test, pair(), |lab| {
        let client = lab.begin()?;
        let fault = Moment::now();
        lab.switch().cut_heartbeats_one_way(from, to)?;
        stays("alpha keeps the group", lab.plan().deadtime * 4, || {
            Ok(lab.kernels().only_holder_is("alpha"))
        })?;
        lab.switch().lose_nothing()?;
        stays("alpha keeps the group", lab.plan().deadtime * 2, || {
            Ok(lab.kernels().only_holder_is("alpha"))
        })?;
        assert_eq!(sight(client, fault)?.failed, 0);
        assert_never_moved(lab, "alpha");
        Ok(())
    });
}
