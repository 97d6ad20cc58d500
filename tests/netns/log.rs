//! What a real daemon logs, as journald and as a program that reads JSON see it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "test code: it panics where a test has to fail"
)]

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use lubdub::lab::{Lab, LabError, PATIENCE, wait_for};

use crate::support::{in_lab, pair};

/// A journald that a test plays: the node finds it where the real one is.
#[test]
fn the_journal_gets_entries_with_fields() {
    in_lab("log::the_journal_gets_entries_with_fields", pair(), |lab| {
        let alpha = lab.node("alpha")?;
        // The directory of the log is the same inside and outside.
        let log = alpha.daemon_log();
        let journald = UnixDatagram::bind(log.with_file_name("journal")).unwrap();
        journald.set_read_timeout(Some(PATIENCE)).unwrap();
        alpha
            .inside(|| {
                fs::create_dir_all("/run/systemd/journal")?;
                std::os::unix::fs::symlink("/var/log/lubdub/journal", "/run/systemd/journal/socket")
            })?
            .unwrap();
        begin(lab, &["--log", "journal"])?;
        let started = loop {
            let entry = received(&journald);
            if entry.contains("EVENT=group_started\n") {
                break entry;
            }
        };
        for field in
            ["GROUP=web", "PRIORITY=6", "SYSLOG_IDENTIFIER=lubdub", "MESSAGE=web runs here, "]
        {
            assert!(started.lines().any(|line| line.starts_with(field)), "{field} in {started}");
        }
        assert_eq!(fs::read_to_string(log).unwrap(), "", "nothing is said twice");
        Ok(())
    });
}

#[test]
fn without_a_journal_a_daemon_that_was_told_to_use_it_says_so() {
    in_lab("log::without_a_journal_a_daemon_that_was_told_to_use_it_says_so", pair(), |lab| {
        let alpha = lab.node("alpha")?;
        alpha.start_daemon_with(&["--log", "journal"])?;
        wait_for("the daemon ends", PATIENCE, || Ok(!alpha.daemon_runs()?))?;
        let log = fs::read_to_string(alpha.daemon_log()).unwrap();
        assert!(
            log.contains("/run/systemd/journal/socket: ") && log.contains("--log text"),
            "{log}"
        );
        Ok(())
    });
}

#[test]
fn json_lines_are_records_with_level_and_message() {
    in_lab("log::json_lines_are_records_with_level_and_message", pair(), |lab| {
        begin(lab, &["--log", "json"])?;
        let lines = lines_with(lab.node("alpha")?.daemon_log().as_path(), "group_started")?;
        let mut events = Vec::new();
        for line in &lines {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            for key in ["time", "unix_ms", "level", "message"] {
                assert!(value.get(key).is_some(), "{key} in {line}");
            }
            events.extend(value.get("event").cloned());
            if value["event"] == "group_started" {
                assert!(value["took_ms"].is_u64() && value["term"].is_string(), "{line}");
            }
        }
        assert!(events.iter().any(|event| event == "group_started"), "{lines:?}");
        assert!(lines.len() > events.len(), "the daemon itself says something too: {lines:?}");
        Ok(())
    });
}

#[test]
fn lines_for_a_person_have_time_and_level() {
    in_lab("log::lines_for_a_person_have_time_and_level", pair(), |lab| {
        begin(lab, &[])?;
        for line in lines_with(lab.node("alpha")?.daemon_log().as_path(), "web runs here")? {
            let (time, rest) = line.split_once(' ').unwrap();
            assert!(time.starts_with("20") && time.ends_with('Z') && time.len() == 24, "{line}");
            assert!(
                ["INFO  ", "WARN  ", "ERROR "].iter().any(|level| rest.starts_with(level)),
                "{line}"
            );
        }
        Ok(())
    });
}

/// Starts a pair, the first node with these arguments, until it has the group.
fn begin(lab: &Lab, arguments: &[&str]) -> Result<(), LabError> {
    lab.node("alpha")?.start_daemon_with(arguments)?;
    lab.node("beta")?.start_daemon()?;
    wait_for("alpha has the address", PATIENCE, || Ok(lab.kernels().only_holder_is("alpha")))
}

/// The whole lines of a log, once one of them has this word.
fn lines_with(log: &Path, word: &str) -> Result<Vec<String>, LabError> {
    let mut text = String::new();
    wait_for(&format!("the log tells of {word}"), PATIENCE, || {
        text = fs::read_to_string(log).unwrap();
        Ok(text.contains(word) && text.ends_with('\n'))
    })?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn received(journald: &UnixDatagram) -> String {
    let mut buffer = vec![0; 1 << 16];
    let length = journald.recv(&mut buffer).expect("the daemon logs to the journal");
    buffer.truncate(length);
    String::from_utf8_lossy(&buffer).into_owned()
}
