//! `lubdub init` without a terminal: flags, what is refused, and that both files are what the other commands take.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lubdub::wire::Keys;

use crate::player::{Ran, program};

const PAIR: [&str; 12] = [
    "--cluster",
    "web",
    "--node",
    "alpha=192.0.2.1,198.51.100.1",
    "--node",
    "beta=192.0.2.2,198.51.100.2",
    "--address",
    "192.0.2.100/24",
    "--ping",
    "192.0.2.254",
    "--service",
    "none",
];

fn lubdub(arguments: &[&str]) -> Ran {
    let mut command = program(arguments);
    command.env("LUBDUB_AGENTS", Path::new(env!("CARGO_MANIFEST_DIR")).join("resource-agents"));
    Ran::of(command)
}

/// With the flags of a pair, each flag that is named here with another value, or left out.
fn init(directory: &Path, other: &[(&str, Option<&str>)]) -> Ran {
    let mut arguments = vec!["init", "--directory", directory.to_str().unwrap()];
    for pair in PAIR.chunks(2) {
        match other.iter().find(|(flag, _)| *flag == pair[0]) {
            Some((flag, Some(value))) => arguments.extend([*flag, *value]),
            Some((_, None)) => {}
            None => arguments.extend(pair),
        }
    }
    lubdub(&arguments)
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().next().is_none()
}

#[test]
fn flags_write_both_files_and_check_takes_them() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("etc/lubdub");
    let ran = init(&directory, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let (config, keys) = (directory.join("cluster.toml"), directory.join("authkeys"));
    let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&config), mode(&keys)), (0o644, 0o600));
    assert!(Keys::load(&keys).is_ok());
    let (config, keys) = (config.to_str().unwrap(), keys.to_str().unwrap());
    for command in [
        format!("scp -p {config} {keys} root@192.0.2.2:/etc/lubdub/"),
        "lubdub check --peer".to_owned(),
        "systemctl enable --now lubdub".to_owned(),
    ] {
        assert!(ran.stdout.contains(&command), "{command} is not in {}", ran.stdout);
    }
    for node in ["alpha", "beta"] {
        let checked = lubdub(&["check", config, "--authkeys", keys, "--node", node]);
        assert_eq!(checked.code, Some(0), "{checked:?}");
        assert!(checked.stdout.contains("group address: guard ping+arp"), "{checked:?}");
    }
    // Keys differ from one cluster to the next.
    let another = scratch.path().join("another");
    assert_eq!(init(&another, &[]).code, Some(0));
    let text = |file: &Path| fs::read_to_string(file).unwrap();
    assert_ne!(text(&another.join("authkeys")), text(Path::new(keys)));
    assert_eq!(text(&another.join("cluster.toml")), text(Path::new(config)));
}

#[test]
fn nothing_is_overwritten() {
    for kept in ["cluster.toml", "authkeys"] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(kept), "mine").unwrap();
        let ran = init(directory.path(), &[]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
        for words in [kept, "there already, and nothing is overwritten", "--directory"] {
            assert!(ran.stderr.contains(words), "{words}: {ran:?}");
        }
        assert_eq!(fs::read_to_string(directory.path().join(kept)).unwrap(), "mine");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}

#[test]
fn what_is_missing_is_named_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let ran = init(directory.path(), &[("--node", None), ("--ping", None)]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert_eq!(
        ran.stderr,
        "lubdub: there is no terminal to ask on, so these are needed:\n  \
         --node NAME=ADDRESS[,ADDRESS]   for each node, two at least\n  --ping ADDRESS, or --ping none\n"
    );
    assert!(is_empty(directory.path()));
}

#[test]
fn a_bad_flag_is_named_and_nothing_written() {
    let directory = tempfile::tempdir().unwrap();
    for (flag, value, words) in [
        ("--address", "192.0.2.2/24", "192.0.2.2 is the address of beta already"),
        ("--address", "203.0.113.7/24", "in the network of no link"),
        ("--ping", "192.0.2.1", "192.0.2.1 is the address of alpha"),
        ("--cluster", "we/b", "is no name"),
        ("--service", "tomcat", "[possible values: nginx, httpd, none]"),
    ] {
        let ran = init(directory.path(), &[(flag, Some(value))]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        assert!(ran.stderr.contains(flag) && ran.stderr.contains(value), "{ran:?}");
        assert!(ran.stderr.contains(words), "{words}: {ran:?}");
    }
    assert!(is_empty(directory.path()));
}

#[test]
fn what_cannot_be_written_leaves_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    fs::write(&file, "x").unwrap();
    let ran = init(&file.join("below"), &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.stderr.contains("cannot be written"), "{ran:?}");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
}

#[test]
fn doubts_are_warnings() {
    let directory = tempfile::tempdir().unwrap();
    let mut arguments = vec!["init", "--directory", directory.path().to_str().unwrap()];
    arguments.extend(["--cluster", "web", "--node", "alpha=192.0.2.1", "--node", "beta=192.0.2.2"]);
    arguments.extend([
        "--address",
        "192.0.2.100/24",
        "--ping",
        "none",
        "--no-arp",
        "--service",
        "none",
    ]);
    let ran = lubdub(&arguments);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for words in ["warning: one link only", "warning: level = \"none\"", "none of the nodes"] {
        assert!(ran.stderr.contains(words), "{words}: {ran:?}");
    }
}
