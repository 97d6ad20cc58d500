//! Every kind of link: a pair fails over on it, what works in one direction only is named, and an interface may come and
//! go. The client and the kernels judge whether a pair fails over; that a link is named for what it is can only be read
//! from what lubdub says.

use std::fs;

use lubdub::lab::{
    Carrier, LAN, LINKS, Lab, LabError, Moment, PATIENCE, PRIVATE, Plan, stays, wait_for,
};

use crate::support::{
    SLACK, assert_never_moved, assert_never_two, assert_outage, in_lab, is_told, page, pair, sight,
};

fn pair_over(carriers: [Carrier; 2]) -> Plan {
    Plan { carriers, ..pair() }
}

#[test]
fn a_pair_over_multicast() {
    fails_over("links::a_pair_over_multicast", [Carrier::Multicast; 2]);
}

#[test]
fn a_pair_over_ipv6_multicast() {
    fails_over("links::a_pair_over_ipv6_multicast", [Carrier::MulticastV6; 2]);
}

#[test]
fn a_pair_over_broadcast() {
    fails_over("links::a_pair_over_broadcast", [Carrier::Broadcast; 2]);
}

#[test]
fn a_pair_over_ipv6_unicast() {
    fails_over("links::a_pair_over_ipv6_unicast", [Carrier::UnicastV6; 2]);
}

#[test]
fn a_pair_over_links_of_two_kinds() {
    fails_over("links::a_pair_over_links_of_two_kinds", [Carrier::Broadcast, Carrier::MulticastV6]);
}

/// One direction of one link is lost: both nodes name it, nothing moves. Then the power of the active one is cut.
fn fails_over(test: &str, carriers: [Carrier; 2]) {
    in_lab(test, pair_over(carriers), |lab| {
        let client = lab.begin()?;
        both_directions(lab)?;
        lab.switch().cut_link_one_way(PRIVATE, "alpha", "beta")?;
        is_seen(lab, "beta", PRIVATE, Sight { heard: false, hears: true })?;
        is_seen(lab, "alpha", PRIVATE, Sight { heard: true, hears: false })?;
        is_seen(lab, "beta", LAN, Sight { heard: true, hears: true })?;
        is_told(
            lab,
            "beta",
            "link private to alpha is one-way: alpha hears this node on it, but is not heard",
        )?;
        is_told(
            lab,
            "alpha",
            "link private to beta is one-way: beta is heard on it, but does not hear this node",
        )?;
        lab.switch().lose_nothing()?;
        both_directions(lab)?;
        assert_never_moved(lab, "alpha");
        let fault = lab.power_off("alpha")?;
        lab.wait_served(&client, "beta")?;
        assert_outage(&sight(client, fault)?, fault, lab.plan().deadtime + SLACK);
        assert_never_two(lab)
    });
}

/// All heartbeats of one node are lost and those of the other are not: one sees silence, the other knows better.
#[test]
fn a_pair_that_is_half_dead_says_so() {
    let plan = pair_over([Carrier::Multicast, Carrier::Unicast]);
    in_lab("links::a_pair_that_is_half_dead_says_so", plan, |lab| {
        let _client = lab.begin()?;
        lab.switch().cut_heartbeats_one_way("alpha", "beta")?;
        is_told(lab, "alpha", "beta is heard (link lan, private), but does not hear this node")?;
        is_told(lab, "beta", "alpha is lost")?;
        // A daemon that begins so has never been part of a round trip, and knows it all the same.
        lab.node("alpha")?.stop_daemon(PATIENCE)?;
        lab.node("alpha")?.start_daemon()?;
        is_told(lab, "alpha", "beta is heard (link lan, private), but does not hear this node")?;
        lab.switch().lose_nothing()?;
        both_directions(lab)?;
        assert_never_two(lab)
    });
}

/// Some heartbeats of one node are lost on one link: both name the link and the direction, and only that.
#[test]
fn a_link_that_loses_much_is_named() {
    let plan = pair_over([Carrier::Unicast, Carrier::Multicast]);
    in_lab("links::a_link_that_loses_much_is_named", plan, |lab| {
        let _client = lab.begin()?;
        lab.switch().lose_one_way(PRIVATE, "alpha", "beta", 60)?;
        is_told(lab, "beta", "% of what alpha sends on it does not reach beta")?;
        is_told(lab, "alpha", "% of what alpha sends on it does not reach beta")?;
        for node in lab.nodes() {
            let page = page(lab, node.name())?;
            assert!(page.contains("link private to"), "{page}");
            assert!(!page.contains("link lan to"), "{page}");
            assert!(!page.contains("of what beta sends"), "{page}");
        }
        lab.switch().lose_nothing()?;
        for node in lab.nodes() {
            wait_for(&format!("{} sees no loss", node.name()), PATIENCE, || {
                Ok(!page(lab, node.name())?.contains("half-dead"))
            })?;
        }
        assert_never_moved(lab, "alpha");
        Ok(())
    });
}

#[test]
fn a_unicast_link_survives_its_interface() {
    survives_its_interface("links::a_unicast_link_survives_its_interface", Carrier::Unicast);
}

#[test]
fn a_multicast_link_survives_its_interface() {
    survives_its_interface("links::a_multicast_link_survives_its_interface", Carrier::Multicast);
}

#[test]
fn an_ipv6_multicast_link_survives_its_interface() {
    survives_its_interface(
        "links::an_ipv6_multicast_link_survives_its_interface",
        Carrier::MulticastV6,
    );
}

#[test]
fn a_broadcast_link_survives_its_interface() {
    survives_its_interface("links::a_broadcast_link_survives_its_interface", Carrier::Broadcast);
}

/// The interface of a link is taken away and comes again, in every way; nobody does anything for lubdub.
fn survives_its_interface(test: &str, carrier: Carrier) {
    in_lab(test, pair_over([Carrier::Unicast, carrier]), |lab| {
        let client = lab.begin()?;
        both_directions(lab)?;
        let fault = Moment::now();
        let beta = lab.node("beta")?;

        lab.pull_card("beta", PRIVATE)?;
        waits_for_something(lab)?;
        broken(lab)?;
        lab.plug_card("beta", PRIVATE)?;
        both_directions(lab)?;

        beta.ip("link set eth1 down\nlink set eth1 name old1\nlink set old1 up")?;
        // By its address a link is found under any name.
        if carrier != Carrier::Unicast {
            is_told(
                lab,
                "beta",
                "link private cannot be used on this node: interface eth1 is not on this machine",
            )?;
            broken(lab)?;
        }
        beta.ip("link set old1 down\nlink set old1 name eth1\nlink set eth1 up")?;
        both_directions(lab)?;

        lab.switch().cut("beta", PRIVATE)?;
        if carrier != Carrier::Unicast {
            is_told(
                lab,
                "beta",
                "link private cannot be used on this node: interface eth1 has no carrier",
            )?;
        }
        broken(lab)?;
        lab.switch().heal("beta", PRIVATE)?;
        both_directions(lab)?;

        // An interface of that name, but another one: made so quickly that no look falls in between.
        lab.pull_card("beta", PRIVATE)?;
        lab.plug_card("beta", PRIVATE)?;
        both_directions(lab)?;

        assert_eq!(sight(client, fault)?.failed, 0);
        assert_never_moved(lab, "alpha");
        Ok(())
    });
}

/// A switch that looks into IGMP and MLD: with a querier it knows who listens, without one it has to let everything pass.
#[test]
fn multicast_passes_a_snooping_switch() {
    let plan = pair_over([Carrier::Multicast, Carrier::MulticastV6]);
    in_lab("links::multicast_passes_a_snooping_switch", plan, |lab| {
        let _client = lab.begin()?;
        for querier in [false, true] {
            for link in LINKS {
                lab.switch().snoop(link, querier)?;
            }
            both_directions(lab)?;
            stays("links work in both directions", lab.plan().deadtime * 8, || works(lab))?;
        }
        assert_never_moved(lab, "alpha");
        Ok(())
    });
}

/// A third machine that was given a copy of everything but one word, on the group of a pair.
fn with_intruder(test: &str, carrier: Carrier, change: (&str, &str), name: &str, told: &str) {
    let mut plan = pair_over([carrier; 2]);
    plan.nodes.push("gamma".to_owned());
    in_lab(test, plan, |lab| {
        let pair = pair_over([carrier; 2]).cluster_toml();
        for node in lab.nodes() {
            let text = if node.name() == "gamma" {
                pair.replace(change.0, change.1)
            } else {
                pair.clone()
            };
            let path = node.etc().join("cluster.toml");
            fs::write(&path, text).map_err(|source| LabError::File { path, source })?;
        }
        let (alpha, beta, gamma) = (lab.node("alpha")?, lab.node("beta")?, lab.node("gamma")?);
        alpha.start_daemon()?;
        beta.start_daemon()?;
        wait_for("alpha has the address", PATIENCE, || Ok(lab.kernels().only_holder_is("alpha")))?;
        let client = lab.start_client()?;
        lab.wait_served(&client, "alpha")?;
        let fault = Moment::now();
        gamma.start_daemon_as(name)?;
        wait_for(&format!("alpha's history tells: {told}"), PATIENCE, || {
            let history = alpha.lubdub(&["history", "-n", "1000"])?;
            Ok(String::from_utf8_lossy(&history.stdout).contains(told))
        })?;
        stays("alpha keeps the group", lab.plan().initdead * 2, || {
            Ok(lab.kernels().only_holder_is("alpha"))
        })?;
        assert_eq!(sight(client, fault)?.failed, 0);
        assert_never_moved(lab, "alpha");
        Ok(())
    });
}

#[test]
fn two_clusters_on_one_group_do_not_mix() {
    with_intruder(
        "links::two_clusters_on_one_group_do_not_mix",
        Carrier::Multicast,
        ("cluster = \"demo\"", "cluster = \"other\""),
        "alpha",
        "of another cluster",
    );
}

#[test]
fn a_node_that_the_file_does_not_name_is_told_of() {
    with_intruder(
        "links::a_node_that_the_file_does_not_name_is_told_of",
        Carrier::Broadcast,
        ("\"beta\"", "\"delta\""),
        "delta",
        "from a node that is not in the configuration",
    );
}

#[test]
fn two_nodes_with_one_name_are_told_of() {
    with_intruder(
        "links::two_nodes_with_one_name_are_told_of",
        Carrier::Multicast,
        ("", ""),
        "alpha",
        "two machines run lubdub under the name alpha",
    );
}

/// What a node sees of a link to its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sight {
    heard: bool,
    hears: bool,
}

/// What a node of a pair sees of a link now; `None`: its peer is not up, or its daemon does not answer.
fn sees(lab: &Lab, node: &str, link: &str) -> Result<Option<Sight>, LabError> {
    let Ok(status) = lab.node(node)?.status() else { return Ok(None) };
    let peer = status.snapshot.nodes.into_iter().find(|other| other.name != node);
    let links = peer.and_then(|peer| peer.peer).map(|peer| peer.links).unwrap_or_default();
    let link = links.into_iter().find(|view| view.name == link);
    Ok(link.map(|view| Sight { heard: view.heard, hears: view.hears }))
}

fn is_seen(lab: &Lab, node: &str, link: &str, wanted: Sight) -> Result<(), LabError> {
    wait_for(&format!("{node} sees link {link} as {wanted:?}"), PATIENCE, || {
        Ok(sees(lab, node, link)? == Some(wanted))
    })
}

fn works(lab: &Lab) -> Result<bool, LabError> {
    for node in lab.nodes() {
        for link in LINKS {
            if sees(lab, node.name(), link)? != Some(Sight { heard: true, hears: true }) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn both_directions(lab: &Lab) -> Result<(), LabError> {
    wait_for("all links work in both directions", PATIENCE, || works(lab))
}

/// Nothing passes the private link any more.
fn broken(lab: &Lab) -> Result<(), LabError> {
    is_seen(lab, "alpha", PRIVATE, Sight { heard: false, hears: false })
}

/// Beta says that its end of the private link waits, whatever for.
fn waits_for_something(lab: &Lab) -> Result<(), LabError> {
    is_told(lab, "beta", "link private cannot be used on this node: ")
}
