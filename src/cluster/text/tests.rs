use std::net::Ipv4Addr;

use super::*;
use crate::agent::{Action, ExitCode, Outcome};
use crate::cluster::guard::Doubt;
use crate::wire::{Incarnation, KeysChange, Mac, Term};

const ALPHA: Mac = Mac([2, 0, 0, 0, 0, 0x0a]);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn spans_have_the_unit_that_fits() {
    for (micros, text) in [
        (0, "0 ms"),
        (99, "0.0 ms"),
        (340, "0.3 ms"),
        (1_999, "1 ms"),
        (512_900, "512 ms"),
        (9_999_999, "9999 ms"),
        (10_000_000, "10 s"),
        (12_590_000, "12.5 s"),
        (3_600_000_000, "3600 s"),
    ] {
        assert_eq!(Span(Duration::from_micros(micros)).to_string(), text);
    }
}

#[test]
fn ages_have_two_units_at_most() {
    for (millis, text) in [
        (43, "43 ms"),
        (3_600, "3 s"),
        (119_000, "119 s"),
        (120_000, "2 min"),
        (11_520_000, "3 h 12 min"),
        (1_051_200_000, "12 d 4 h"),
    ] {
        assert_eq!(Age(ms(millis)).to_string(), text);
    }
    for (micros, text) in [
        (-1_200, "1 ms behind"),
        (0, "0 ms ahead"),
        (2_300_000, "2300 ms ahead"),
        (-61_500_000, "61.5 s behind"),
        (31_557_600_000_000, "365 d 6 h ahead"),
        (i64::MIN, "106751991 d 4 h behind"),
    ] {
        assert_eq!(ClockOffset(micros).to_string(), text);
    }
}

fn group() -> String {
    "web".to_owned()
}

fn refused(why: Doubt) -> Event {
    Event::Refused { group: group(), peer: "alpha".into(), why }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn events_are_sentences_with_their_numbers() {
    let guard = Evidence::Guard {
        silence: ms(512),
        ping: Some((Ipv4Addr::new(10, 0, 0, 254).into(), ms(20))),
        silent_probes: 3,
    };
    let failed =
        Outcome::Exited { code: ExitCode::Generic, reason: Some("configuration is broken".into()) };
    for (event, level, text) in [
        (
            Event::PeerLost { peer: "alpha".into(), silence: ms(512), deadtime: ms(500) },
            Level::Warn,
            "silence 512 ms > deadtime 500 ms: alpha is lost",
        ),
        (
            refused(Doubt::AddressAnswers { address: "10.0.0.100".into(), mac: ALPHA }),
            Level::Warn,
            "web is not taken over: heartbeat lost, but 10.0.0.100 still answers from alpha's 02:00:00:00:00:0a",
        ),
        (
            refused(Doubt::PingSilent { silence: Some(ms(800)) }),
            Level::Warn,
            "web is not taken over: alpha is silent, but no ping node answered for 800 ms: this node may be the one \
             that is cut off",
        ),
        (
            Event::Cleared { group: group(), evidence: vec![("alpha".into(), guard)] },
            Level::Warn,
            "web may start here: alpha is silent for 512 ms, ping node 10.0.0.254 answered 20 ms ago, 3 probes of its \
             addresses stayed silent",
        ),
        (
            Event::Placed {
                group: group(),
                node: Some("beta".into()),
                reason: Reason::BestAble { instead_of: vec![("alpha".into(), Unable::Standby)] },
            },
            Level::Info,
            "web belongs on beta: best able node (alpha is in standby)",
        ),
        (
            Event::GroupBlocked {
                group: group(),
                resource: "nginx".into(),
                outcome: Outcome::TimedOut,
            },
            Level::Error,
            "web is blocked: stop of nginx: took longer than `timeout` allows, and was killed; it starts nowhere else until nginx is stopped \
             by hand on this node",
        ),
        (
            Event::AgentFailed {
                group: group(),
                resource: "nginx".into(),
                action: Action::Start,
                outcome: failed,
                then: Recovery::Leave { able_again: Some(ms(60_000)) },
            },
            Level::Warn,
            "web: start of nginx failed: exit 1 (failed): configuration is broken; the group leaves this node, which \
             may have it again after 60 s",
        ),
        (
            Event::GroupStopping {
                group: group(),
                because: StopReason::Isolated { silence: ms(395), ping_silence: None },
            },
            Level::Warn,
            "web stops here: cut off: no peer for 395 ms, and no ping node ever answered; a peer may take it over soon",
        ),
        (
            Event::GroupStarted { group: group(), term: Term(0x0501), took: ms(31) },
            Level::Info,
            "web runs here, started in 31 ms (term 5.1)",
        ),
        (
            Event::Placed {
                group: group(),
                node: Some("alpha".into()),
                reason: Reason::Maintenance { author: "root".into() },
            },
            Level::Info,
            "web belongs on alpha: in maintenance (root asked for it): nothing moves",
        ),
        (
            Event::LeftRunning { groups: vec!["web".into(), "db".into()] },
            Level::Warn,
            "this daemon ends in maintenance; left running here: web, db",
        ),
        (
            refused(Doubt::Maintenance),
            Level::Warn,
            "web is not taken over: alpha is silent, and was in maintenance: it keeps what it ran until it hears of the end; if it \
             is off, lubdub confirm-dead alpha",
        ),
        (
            Event::GroupRestored { group: group(), took: ms(45) },
            Level::Info,
            "web runs here again, 45 ms after the failure was seen",
        ),
        (
            Event::GroupStopping {
                group: group(),
                because: StopReason::Leftover { resources: vec!["vip".into()] },
            },
            Level::Warn,
            "web stops here: vip was found running, though it does not belong here",
        ),
        (
            Event::Started { node: "alpha".into(), incarnation: Incarnation(0xfeed) },
            Level::Info,
            "the daemon of alpha started (incarnation 000000000000feed)",
        ),
        (
            Event::LinkChanged {
                link: "lan".into(),
                peer: "beta".into(),
                heard: false,
                hears: true,
            },
            Level::Warn,
            "link lan works one way: beta hears this node, but is not heard",
        ),
        (
            Event::ConfigDiffers {
                peer: "beta".into(),
                sections: vec![Section::Guard, Section::Groups],
            },
            Level::Warn,
            "the configuration of beta differs in [guard], [[group]]; copy one cluster.toml to all nodes",
        ),
        (
            Event::PeerKey {
                peer: "beta".into(),
                key: "2".parse().unwrap(),
                before: "1".parse().unwrap(),
            },
            Level::Info,
            "beta signs with key 2 now, no longer with key 1",
        ),
        (
            Event::KeysChanged {
                author: "root".into(),
                change: KeysChange { added: vec!["2".parse().unwrap()], ..KeysChange::default() },
            },
            Level::Info,
            "root had the keys read again: key 2 is accepted too",
        ),
        (
            Event::ClockOffset {
                peer: "beta".into(),
                offset_us: -31_557_600_000_000,
                warn_offset: ms(1000),
                apart: true,
            },
            Level::Warn,
            "the clock of beta is 365 d 6 h behind, seen from here (more than 1000 ms): synchronise both",
        ),
        (
            Event::ClockOffset {
                peer: "beta".into(),
                offset_us: 700,
                warn_offset: ms(1000),
                apart: false,
            },
            Level::Info,
            "the clock of beta is within 1000 ms again, seen from here",
        ),
        (
            Event::AgentRemarked {
                group: group(),
                resource: "clock".into(),
                remark: Some("the clock is 2 s off".into()),
            },
            Level::Warn,
            "web: clock works, and says: the clock is 2 s off",
        ),
        (
            Event::AgentRemarked { group: group(), resource: "clock".into(), remark: None },
            Level::Info,
            "web: clock works, and has nothing more to say",
        ),
        (
            Event::DatagramRefused {
                why: Reject::BadTag,
                source: "10.0.0.9:694".into(),
                count: 10,
            },
            Level::Warn,
            "refused a datagram from 10.0.0.9:694: signed with another key (so far 10); copy one authkeys file to all \
             nodes, then lubdub reload; if they agree, someone forges",
        ),
    ] {
        assert_eq!(event.to_string(), text);
        assert_eq!(event.level(), level, "{text}");
    }
}

#[test]
fn good_news_is_not_a_warning() {
    let cleared = |why| Event::Cleared { group: group(), evidence: vec![("alpha".into(), why)] };
    assert_eq!(cleared(Evidence::Consent).level(), Level::Info);
    assert_eq!(cleared(Evidence::Goodbye).level(), Level::Info);
    let unguarded = Evidence::Unguarded { silence: ms(512) };
    assert_eq!(cleared(unguarded.clone()).level(), Level::Warn);
    let both = Event::Cleared {
        group: group(),
        evidence: vec![("alpha".into(), Evidence::Goodbye), ("gamma".into(), unguarded)],
    };
    assert_eq!(both.level(), Level::Warn);
    let link =
        Event::LinkChanged { link: "lan".into(), peer: "beta".into(), heard: true, hears: true };
    assert_eq!(link.level(), Level::Info);
    assert_eq!(Event::DiskChanged { error: None }.level(), Level::Info);
    assert_eq!(Event::PingChanged { answers: true, target: None }.level(), Level::Info);
    let starting = Event::Placed { group: group(), node: None, reason: Reason::Starting };
    assert_eq!(starting.level(), Level::Info);
}
