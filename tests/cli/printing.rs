//! What is printed where, and with which exit code.

use std::process::Stdio;
use std::time::Duration;

use lubdub::cluster::event::Event;
use lubdub::cluster::snapshot::NodeState;
use lubdub::control::{Answer, Record, Request};
use serde_json::Value;

use crate::player::{Player, Ran, fine, program};

#[test]
fn status_is_text_or_json_on_stdout() {
    let player = Player::showing(fine());
    let text = player.lubdub(&["status"]);
    assert_eq!((text.code, text.stderr.as_str()), (Some(0), ""));
    assert_eq!(text.stdout, include_str!("../golden/status/fine.txt"));
    let json = player.lubdub(&["status", "--json"]);
    assert_eq!(json.code, Some(0));
    assert_eq!(json.stdout.lines().count(), 1);
    let golden = include_str!("../golden/status/fine_printed.json");
    let [printed, golden] =
        [&json.stdout, golden].map(|text| serde_json::from_str::<Value>(text).unwrap());
    assert_eq!(printed, golden);
    assert_eq!(printed["verdict"], "works");
}

#[test]
fn a_degraded_cluster_is_exit_code_3_in_both_forms() {
    let mut status = fine();
    status.snapshot.nodes[1].state = NodeState::Lost;
    let player = Player::showing(status);
    let text = player.lubdub(&["status"]);
    let json = player.lubdub(&["status", "--json"]);
    assert_eq!((text.code, json.code), (Some(3), Some(3)));
    let printed: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(printed["verdict"], "degraded");
    assert_eq!(printed["degraded"][0]["sentence"], "beta is lost: silent for 43 ms");
    assert!(text.stdout.contains("beta is lost: silent for 43 ms"), "{text:?}");
}

#[test]
fn no_colour_but_on_a_terminal() {
    let player = Player::showing(fine());
    assert!(!player.lubdub(&["status"]).stdout.contains('\x1b'));
}

fn happened() -> Vec<Record> {
    let lost = Event::PeerLost {
        peer: "beta".into(),
        silence: Duration::from_millis(512),
        deadtime: Duration::from_millis(500),
    };
    vec![Record::new(1_767_323_045_678, lost), Record::new(1_767_323_045_700, Event::Leaving)]
}

#[test]
fn history_is_one_line_a_record() {
    let player = Player::new(|_| Answer::History(happened()));
    let text = player.lubdub(&["history", "-n", "7"]);
    assert_eq!(text.code, Some(0));
    assert_eq!(
        text.stdout,
        "2026-01-02 03:04:05.678Z  WARN   silence 512 ms > deadtime 500 ms: beta is lost\n\
         2026-01-02 03:04:05.700Z         the daemon was told to end: it hands over what it runs\n"
    );
    let json = player.lubdub(&["history", "--json"]);
    assert_eq!(
        json.stdout.lines().next(),
        Some(
            "{\"time\":\"2026-01-02T03:04:05.678Z\",\"unix_ms\":1767323045678,\"severity\":\"warn\",\
             \"event\":\"peer_lost\",\"sentence\":\"silence 512 ms > deadtime 500 ms: beta is lost\",\
             \"deadtime_ms\":500,\"peer\":\"beta\",\"silence_ms\":512}"
        )
    );
    assert_eq!(player.asked(), [Request::History { limit: 7 }, Request::History { limit: 50 }]);
}

/// Asking for nothing is a slip, such as of a script whose variable is empty.
#[test]
fn no_records_cannot_be_asked_for() {
    let ran = Ran::of(program(&["history", "-n", "0", "--socket", "/nonexistent/c.sock"]));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(ran.stderr.contains("0 is not in 1.."), "{ran:?}");
}

#[test]
fn without_a_daemon_history_comes_from_its_files() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().to_str().unwrap();
    let history = |n: &str| {
        Ran::of(program(&["history", "-n", n, "--socket", "/nonexistent/c.sock", "--state", state]))
    };
    assert_eq!(history("9").code, Some(4), "neither daemon nor files");
    let lines: Vec<String> =
        happened().iter().map(|record| serde_json::to_string(record).unwrap()).collect();
    std::fs::write(directory.path().join("history.jsonl.1"), format!("{}\n", lines[0])).unwrap();
    std::fs::write(directory.path().join("history.jsonl"), format!("{}\n{{\"ti", lines[1]))
        .unwrap();
    let all = history("9");
    assert_eq!((all.code, all.stdout.lines().count()), (Some(0), 2), "{all:?}");
    assert!(all.stdout.contains("beta is lost"), "{all:?}");
    assert!(all.stderr.contains("no daemon answers; from the files in "), "{all:?}");
    let newest = history("1");
    assert!(
        newest.stdout.lines().count() == 1 && newest.stdout.contains("told to end"),
        "{newest:?}"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let many = (0..5_000).map(|n| Record::new(n, Event::Leaving)).collect::<Vec<_>>();
    let player = Player::new(move |_| Answer::History(many.clone()));
    let mut command = program(&["history", "--socket"]);
    let mut child =
        command.arg(player.socket()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn without_a_daemon_4_and_what_to_do() {
    let ran = Ran::of(program(&["status", "--socket", "/nonexistent/control.sock"]));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(4), ""));
    assert!(
        ran.stderr.contains("no daemon answers on /nonexistent/control.sock"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("systemctl start lubdub"), "{}", ran.stderr);
}

#[test]
fn mistakes_are_2_and_help_is_a_result() {
    for mistake in [&["statsu"][..], &["switchover"], &["standby", "--timeout", "soon"], &[]] {
        let ran = Ran::of(program(mistake));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{mistake:?}");
        assert!(!ran.stderr.is_empty(), "{mistake:?}");
    }
    let help = Ran::of(program(&["--help"]));
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    assert!(help.stdout.contains("Exit codes: 0 fine"), "{}", help.stdout);
}
