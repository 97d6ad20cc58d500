//! Multicast and broadcast links.

use super::*;

/// The pair, whose second link is this; beta has no address on it, and alpha has `alpha`.
fn with_link(link: &str, alpha: &str) -> String {
    PAIR.replace("{ name = \"private\" }", link)
        .replace(", private = \"10.1.0.1\"", alpha)
        .replace(", private = \"10.1.0.2\"", "")
}

#[test]
fn a_group_link_needs_no_addresses_where_the_interface_is_given() {
    let multicast = |group: &str, ttl| Transport::Multicast {
        group: group.parse().unwrap(),
        ttl,
        addresses: vec![None; 2],
    };
    for (link, transport, interface) in [
        (
            "{ name = 'private', transport = 'multicast', group = '239.192.7.94', interface = 'eth1' }",
            multicast("239.192.7.94", 1),
            "eth1",
        ),
        (
            "{ name = 'private', transport = 'multicast', group = 'ff12::8000:694', ttl = 3, \
             interface = { alpha = 'eth2', beta = 'eth1' } }",
            multicast("ff12::8000:694", 3),
            "eth2",
        ),
        (
            "{ name = 'private', transport = 'broadcast', interface = 'eth1' }",
            Transport::Broadcast { addresses: vec![None; 2] },
            "eth1",
        ),
    ] {
        let config = config(&with_link(link, ""));
        assert_eq!(config.links[1].transport, transport);
        assert_eq!(config.links[1].interface.as_deref(), Some(interface));
        assert!(matches!(config.links[0].transport, Transport::Unicast { .. }));
    }
}

#[test]
fn a_group_link_may_be_found_by_address() {
    for transport in ["'multicast', group = '239.192.7.94'", "'broadcast'"] {
        let link = format!("{{ name = \"private\", transport = {transport} }}");
        let link =
            config(&PAIR.replace("{ name = \"private\" }", &link)).links.pop().expect("two links");
        assert_eq!(link.interface, None);
        assert_eq!(link.transport.address(NodeId(1)), Some("10.1.0.2".parse().unwrap()));
        let with_interface =
            format!("{{ name = \"private\", transport = {transport}, interface = 'eth1' }}");
        let mixed = config(&with_link(&with_interface, ", private = \"10.1.0.1\"")).links;
        assert_eq!(mixed[1].transport.address(NodeId(0)), Some("10.1.0.1".parse().unwrap()));
        assert_eq!(mixed[1].transport.address(NodeId(1)), None);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table: a file and what is wrong with it")]
fn what_is_wrong_with_a_group_link_is_told() {
    for (link, alpha, wanted) in [
        (
            "{ name = 'private', transport = 'multicast', interface = 'eth1' }",
            "",
            &["3: `group` is missing; write group = \"239.192.7.94\""][..],
        ),
        (
            "{ name = 'private', transport = 'multicast', group = '10.1.0.9', interface = 'eth1' }",
            "",
            &["3: group: \"10.1.0.9\" is no multicast address ... as in \"239.192.7.94\""],
        ),
        (
            "{ name = 'private', transport = 'multicast', group = 'ff02::694%eth1', interface = 'eth1' }",
            "",
            &["3: group: ... names an interface; write the group alone"],
        ),
        (
            "{ name = 'private', transport = 'multicast', group = 'ff11::694', interface = 'eth1' }",
            "",
            &["3: group: ff11::694 is of the interface's own scope and never leaves this machine"],
        ),
        (
            "{ name = 'private', transport = 'multicast', group = 'ff10::694', interface = 'eth1' }",
            "",
            &["3: group: ff10::694 is of a reserved scope"],
        ),
        (
            "{ name = 'private', transport = 'multicast', group = '239.192.7.94', ttl = 0, interface = 'eth1' }",
            "",
            &["3: ttl: 0 is no TTL; 1 keeps ... write a number from 1 to 255"],
        ),
        (
            "{ name = 'private', transport = 'multicast', group = '239.192.7.94', ttl = 256, interface = 'eth1' }",
            "",
            &["3: ttl: 256 is no TTL"],
        ),
        (
            "{ name = 'private', transport = 'multicast', group = '239.192.7.94', ttl = '1', interface = 'eth1' }",
            "",
            &["3: ttl: found a string; write a number from 1 to 255"],
        ),
        (
            "{ name = 'private', transport = 'multicast', group = '239.192.7.94' }",
            "",
            &[
                "6: `alpha` has neither an address nor an interface on link `private` ... interface = \"eth1\"",
                "9: `beta` has neither",
            ],
        ),
        (
            "{ name = 'private', transport = 'multicast', group = 'ff12::8000:694', interface = 'eth1' }",
            ", private = '10.1.0.1'",
            &["6: link `private` mixes IPv4 and IPv6: 10.1.0.1 and its group ff12::8000:694"],
        ),
        (
            "{ name = 'private', transport = 'broadcast', interface = 'eth1' }",
            ", private = 'fd00::1'",
            &["6: IPv6 has no broadcast, so fd00::1 ... transport = \"multicast\""],
        ),
        (
            "{ name = 'private', transport = 'broadcast', ttl = 1, group = '239.1.1.1', interface = 'eth1' }",
            "",
            &["3: ttl: a broadcast link has none", "3: group: a broadcast link has none"],
        ),
        (
            "{ name = 'private', group = '239.192.7.94' }",
            ", private = '10.1.0.1'",
            &[
                "3: group: a unicast link has none; write transport = \"multicast\"",
                "9: `beta` has no address on link `private`",
            ],
        ),
        (
            "{ name = 'private', transport = 'broadcast', interface = 'eth1' }, \
             { name = 'again', transport = 'broadcast', interface = 'eth1' }",
            "",
            &["3: links `private` and `again` are one and the same path"],
        ),
    ] {
        assert_errors(&with_link(link, alpha), wanted);
    }
    // Other groups, ports and interfaces are other paths.
    let first = "transport = 'multicast', group = '239.192.7.94', interface = 'eth1'";
    for second in [
        "transport = 'multicast', group = '239.192.7.95', interface = 'eth1'",
        "transport = 'multicast', group = '239.192.7.94', interface = 'eth2'",
        "transport = 'multicast', group = '239.192.7.94', interface = 'eth1', port = 6940",
        "transport = 'broadcast', interface = 'eth1'",
    ] {
        let links = format!("{{ name = 'private', {first} }}, {{ name = 'again', {second} }}");
        assert_eq!(config(&with_link(&links, "")).links.len(), 3, "{second}");
    }
}

#[test]
fn groups_that_are_a_bad_choice_are_warned_of() {
    for (group, wanted) in [
        ("224.0.0.18", Some("protocols of routers and hosts themselves use (RFC 5771")),
        ("224.0.1.5", Some("IANA gives to other protocols")),
        ("232.1.2.3", Some("named senders only")),
        ("239.128.0.9", Some("Ethernet address of a group of 224.0.0.0/24")),
        ("239.0.0.9", Some("Ethernet address of a group of 224.0.0.0/24")),
        ("239.192.0.9", None),
        ("239.192.7.94", None),
        ("ff02::1", Some("ff02::1 is every host")),
        ("ff02::1:ff00:5", Some("solicited-node")),
        ("ff35::1", Some("named senders only")),
        ("ff02::8000:694", None),
        ("ff05::1234:694", None),
        ("ff12::8000:694", None),
        ("ff15::8000:694", None),
    ] {
        let link = format!(
            "{{ name = 'private', transport = 'multicast', group = '{group}', interface = 'eth1' }}"
        );
        let found = warnings(&format!("{}{GROUP}", with_link(&link, "")));
        match (found.as_slice(), wanted) {
            ([], None) => {}
            ([warning], Some(wanted)) => {
                assert_eq!(warning.line, Some(3));
                assert!(warning.text.starts_with(&format!("group: {group} ")), "{warning:?}");
                assert!(warning.text.contains(wanted), "{warning:?}");
            }
            (found, _) => panic!("{group}: {found:?}"),
        }
    }
}

#[test]
fn the_digest_of_a_group_link_follows_group_and_ttl() {
    let digests = |link: &str, alpha: &str| config(&with_link(link, alpha)).digests.0;
    let multicast = |more: &str| {
        format!("{{ name = 'private', transport = 'multicast', interface = 'eth1', {more} }}")
    };
    let base = digests(&multicast("group = '239.192.7.94'"), "");
    assert_eq!(digests(&multicast("group = '239.192.7.94', ttl = 1"), ""), base);
    let table =
        multicast("group = '239.192.7.94'").replace("'eth1'", "{ alpha = 'eth1', beta = 'eth1' }");
    assert_eq!(digests(&table, ""), base, "only the effective value counts");
    for other in [
        multicast("group = '239.192.7.95'"),
        multicast("group = '239.192.7.94', ttl = 2"),
        "{ name = 'private', transport = 'broadcast', interface = 'eth1' }".to_owned(),
    ] {
        let [heartbeat, rest @ ..] = digests(&other, "");
        assert_ne!(heartbeat, base[0], "{other}");
        assert_eq!(rest, base[1..], "{other}");
    }
    let [heartbeat, nodes, ..] =
        digests(&multicast("group = '239.192.7.94'"), ", private = '10.1.0.1'");
    assert_eq!(heartbeat, base[0]);
    assert_ne!(nodes, base[1]);
}
