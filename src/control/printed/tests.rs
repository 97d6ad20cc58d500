//! `tests/golden/history/printed.jsonl`; `UPDATE_GOLDEN=1` rewrites it, read it before it is committed.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::agent::{Action, ExitCode};
use crate::cluster::event::Event;
use crate::cluster::io::Reject;
use crate::config::Section;
use crate::wire::{Incarnation, Mac, Term};

const TERM: Term = Term(452_409_753_600_001);
const MAC: Mac = Mac([2, 0, 0, 0, 0, 0x0a]);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn web() -> String {
    "web".to_owned()
}

fn alpha() -> String {
    "alpha".to_owned()
}

/// One of each kind with parts that have parts of their own, and some of the others.
#[expect(clippy::too_many_lines, reason = "a table")]
fn events() -> Vec<Event> {
    let group = web;
    let evidence = [
        Evidence::Guard {
            silence: ms(512),
            ping: Some(("10.0.0.254".parse().unwrap(), Duration::from_micros(540))),
            silent_probes: 3,
        },
        Evidence::Goodbye,
        Evidence::Operator { author: "root".into() },
    ];
    let failed = Outcome::Exited { code: ExitCode::NotRunning, reason: Some("gone".into()) };
    let doubts = [
        Doubt::AddressAnswers { address: "10.0.0.100".into(), mac: MAC },
        Doubt::PingSilent { silence: None },
        Doubt::GuardDiffers { section: Section::Guard },
    ];
    let reasons = [
        Reason::BestAble { instead_of: vec![(alpha(), Unable::NoPing)] },
        Reason::NobodyElse { because: Unable::Standby },
        Reason::Wished { author: "root".into() },
    ];
    let stops = [
        StopReason::Moves { to: alpha(), reason: Reason::Failback },
        StopReason::Isolated { silence: ms(395), ping_silence: Some(ms(400)) },
        StopReason::TooLate,
    ];
    let outcomes = [Outcome::TimedOut, Outcome::Signalled(9), failed];
    let agent_failed = |outcome| Event::AgentFailed {
        group: web(),
        resource: "nginx".into(),
        action: Action::ValidateAll,
        outcome,
        then: Recovery::Leave { able_again: Some(ms(60_000)) },
    };
    let change = KeysChange {
        added: vec!["2".parse().unwrap()],
        signs: Some(("1".parse().unwrap(), "2".parse().unwrap())),
        ..KeysChange::default()
    };
    let mut events = vec![
        Event::Started { node: alpha(), incarnation: Incarnation(u64::MAX) },
        Event::Joined { because: JoinReason::Initdead(ms(10_000)) },
        Event::PeerLost {
            peer: alpha(),
            silence: Duration::from_micros(512_900),
            deadtime: ms(500),
        },
        Event::Cleared { group: group(), evidence: evidence.map(|why| (alpha(), why)).into() },
        Event::GroupStarted { group: group(), term: TERM, took: ms(31) },
        Event::BothActive {
            group: group(),
            peer: alpha(),
            mine: TERM,
            theirs: Term(5),
            keep: true,
        },
        Event::AddressConflict { group: group(), address: "10.0.0.100".into(), mac: MAC },
        Event::ConfigDiffers { peer: alpha(), sections: vec![Section::Guard, Section::Groups] },
        Event::KeysChanged { author: "root".into(), change },
        Event::ClockOffset {
            peer: alpha(),
            offset_us: -1_200_000,
            warn_offset: ms(1000),
            apart: true,
        },
        Event::DatagramRefused { why: Reject::BadTag, source: "10.0.0.9:694".into(), count: 1 },
        Event::Leaving,
    ];
    events.extend(doubts.map(|why| Event::Refused { group: group(), peer: alpha(), why }));
    events.extend(reasons.map(|reason| Event::Placed { group: group(), node: None, reason }));
    events.extend(stops.map(|because| Event::GroupStopping { group: group(), because }));
    events.extend(outcomes.map(agent_failed));
    events
}

/// What `history --json` prints is a contract with other programs.
#[test]
fn records_keep_their_shape() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/history/printed.jsonl");
    let lines: String = events()
        .into_iter()
        .map(|event| PrintedRecord::from(&Record::new(1_767_323_045_678, event)))
        .map(|record| serde_json::to_string(&record).unwrap() + "\n")
        .collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &lines).unwrap();
    }
    assert_eq!(lines, std::fs::read_to_string(&path).unwrap_or_default());
}

#[test]
fn no_duration_without_its_unit_and_no_name_twice() {
    let own = ["time", "unix_ms", "severity", "event", "sentence"];
    for event in events() {
        let record = PrintedRecord::from(&Record::new(0, event.clone()));
        let line = serde_json::to_string(&record).unwrap();
        assert!(!line.contains("\"secs\""), "{line}");
        assert_eq!(record.sentence, event.to_string());
        let names: BTreeSet<&str> =
            own.into_iter().chain(record.parts.keys().map(String::as_str)).collect();
        assert_eq!(names.len(), own.len() + record.parts.len(), "{line}");
    }
}

#[test]
fn kinds_are_words_in_small_letters() {
    assert_eq!(kind(&Outcome::CannotExecute("x".into())), "cannot_execute");
    assert_eq!(kind(&crate::wire::Run::Started), "started");
    assert_eq!(kind(&Doubt::JustPaused), "just_paused");
    assert_eq!(event_kind(&Event::Leaving), "leaving");
}
