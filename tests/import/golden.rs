//! Each case: what is printed, that nothing of the sources is passed over, and that `lubdub check` refuses what is left to
//! decide and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lubdub::config;

use crate::{case, import};

/// Lines of keepalived.conf that only hold others.
const HOLDERS: &[&str] = &[
    "global_defs",
    "group",
    "track_script",
    "track_process",
    "unicast_peer",
    "virtual_ipaddress",
    "virtual_ipaddress_excluded",
    "virtual_routes",
];

fn cases() -> Vec<String> {
    let entries = std::fs::read_dir(case("")).unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<String> = entries
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub(crate) fn arguments(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(case(name).join("arguments")).unwrap();
    text.split_whitespace().map(str::to_owned).collect()
}

fn run(name: &str, more: &[&str]) -> crate::Ran {
    let arguments = arguments(name);
    let mut all: Vec<&str> = arguments.iter().map(String::as_str).collect();
    all.extend(more);
    let ran = import(&case(name), &all);
    assert_eq!(ran.code, Some(0), "{name}: {ran:?}");
    ran
}

#[test]
fn each_case_becomes_what_it_became() {
    let names = cases();
    assert!(names.len() >= 10, "{names:?}");
    let mut wrong = Vec::new();
    for name in names {
        let ran = run(&name, &[]);
        for (file, found) in [("expected.toml", &ran.stdout), ("expected.txt", &ran.stderr)] {
            let path = case(&name).join(file);
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::write(&path, found).unwrap();
            }
            let expected = std::fs::read_to_string(&path).unwrap_or_default();
            if *found != expected {
                wrong.push(format!("{name}/{file} differs; UPDATE_GOLDEN=1 rewrites it\n{found}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The lines of a file that say something.
fn spoken(path: &Path) -> Vec<(usize, String)> {
    let text = std::fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines = text.lines().enumerate().map(|(index, line)| {
        let line = line.split(['#', '!']).next().unwrap_or_default();
        (index + 1, line.trim().trim_end_matches('\\').trim().to_owned())
    });
    let holder = |line: &str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        line.ends_with('{') && HOLDERS.contains(&word)
    };
    lines.filter(|(_, line)| line.chars().any(|c| !"{}".contains(c)) && !holder(line)).collect()
}

#[test]
fn no_line_is_passed_over() {
    for name in cases() {
        let ran = run(&name, &["--json"]);
        let made: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let mut told: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for entry in made["lines"].as_array().unwrap() {
            let number = |key: &str| usize::try_from(entry[key].as_u64().unwrap()).unwrap();
            let lines = told.entry(entry["file"].as_str().unwrap().to_owned()).or_default();
            lines.extend(number("line")..=number("last_line"));
            assert!(!entry["says"].as_str().unwrap().is_empty(), "{entry}");
        }
        let read = told.into_iter().filter(|(_, lines)| !lines.contains(&0));
        let read: Vec<_> = read.collect();
        assert!(!read.is_empty(), "{name}");
        for (file, lines) in read {
            for (line, text) in spoken(&case(&name).join(&file)) {
                assert!(lines.contains(&line), "{name}: nobody tells of {file}:{line}: {text}");
            }
        }
    }
}

/// What is complete, passes; what is not, is refused where the report says so.
#[test]
fn check_refuses_what_is_left_to_decide_and_nothing_else() {
    let mut complete = 0;
    for name in cases() {
        let ran = run(&name, &["--json"]);
        let made: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let text = made["cluster_toml"].as_str().unwrap();
        let open: BTreeSet<Option<usize>> = made["open"]
            .as_array()
            .unwrap()
            .iter()
            .map(|remark| usize::try_from(remark["line"].as_u64().unwrap()).ok())
            .collect();
        match config::parse(text, "cluster.toml") {
            Ok(_) => {
                assert!(open.is_empty(), "{name}: {open:?}");
                assert_eq!(made["complete"], true, "{name}");
                complete += 1;
            }
            Err(errors) => {
                assert_eq!(made["complete"], false, "{name}: {errors}");
                // One mark may stand in several lines: it is told of where it stands first.
                let is_mark = |line: Option<usize>| {
                    let line = text.lines().nth(line.unwrap_or(1) - 1).unwrap_or_default();
                    line.contains('<')
                };
                for problem in &errors.problems {
                    // What follows from all names being marks.
                    if problem.text.starts_with("no node has a name") {
                        continue;
                    }
                    let known = open.contains(&problem.line) || is_mark(problem.line);
                    assert!(known, "{name}: {problem:?} is not told of: {open:?}");
                }
            }
        }
    }
    assert!(complete >= 1, "no case is complete");
}

/// Passwords of the old configuration appear nowhere.
#[test]
fn no_password_is_shown() {
    for (name, secrets) in [
        ("drbd-mysql", &["6f1d2a0c8b7e4d39f5a1c0de"][..]),
        ("directors", &["opensesame"]),
        ("sloppy", &["notheartbeats"]),
        ("active-active", &["swordfish"]),
        ("director", &["4hunter2"]),
        ("one-for-both", &["in clear"]),
        ("dual-stack", &["000102030405"]),
    ] {
        for more in [&[][..], &["--json"]] {
            let ran = run(name, more);
            for secret in secrets {
                let shown = ran.stdout.contains(secret) || ran.stderr.contains(secret);
                assert!(!shown, "{name} shows {secret}");
            }
        }
    }
}
