//! What is no configuration: a clear line with its place, nothing on stdout, nothing written, exit code 2.

use std::path::Path;

use crate::golden::arguments;
use crate::{case, import};

/// Imports what `write` makes in an empty directory; stderr.
fn refused(files: &[(&str, &str)], arguments: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let mut all = arguments.to_vec();
    all.extend(["--output", "made"]);
    let ran = import(directory.path(), &all);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(!directory.path().join("made").exists(), "{ran:?}");
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    ran.stderr
}

const NODES: &str = "bcast eth0\nnode a b\n";
const INSTANCE: &str =
    "vrrp_instance x {\n interface eth0\n virtual_ipaddress {\n 10.0.0.1/24\n }\n}\n";

#[test]
fn nonsense_is_refused_with_its_place() {
    for (files, arguments, wanted) in [
        (&[][..], &["nothing"][..], "lubdub: nothing: cannot be read: No such file"),
        (&[("d/x", "x")], &["d"], "d: holds neither ha.cf nor keepalived.conf"),
        (&[("d/haresources", NODES)], &["d"], "d: holds neither ha.cf nor"),
        (
            &[("ha.cf", NODES), ("keepalived.conf", INSTANCE)],
            &["."],
            ".: holds both ha.cf and keepalived.conf",
        ),
        (&[("haresources", "a 10.0.0.1\n")], &["haresources"], "haresources: is read beside ha.cf"),
        (&[("ha.cf", "")], &["ha.cf"], "ha.cf: is empty"),
        (&[("ha.cf", "\0\u{1}node a b\n")], &["."], ".: is not text but binary"),
        (&[("ha.cf", "# only\n# comments\n")], &["ha.cf"], "ha.cf: names no node"),
        (&[("ha.cf", "bcast eth0\n")], &["."], "./ha.cf: names no node"),
        (&[("x", "GIF89a of words\n")], &["x"], "x: is neither an ha.cf nor a keepalived.conf"),
        (&[("keepalived.conf", "# none\n")], &["."], "./keepalived.conf: holds no vrrp_instance"),
        (
            &[("k", "virtual_server 10.0.0.1 80 {\n}\n")],
            &["k"],
            "k: holds no vrrp_instance, so there is nothing",
        ),
        (
            &[("k", "\nvrrp_instance x {\n interface eth0\n")],
            &["k"],
            "k:2: the block of `vrrp_instance` is never closed",
        ),
        (&[("k", "vrrp_instance x {\n}\n}\n")], &["k"], "k:3: this `}` closes nothing"),
        (&[("k", "vrrp_instance x {\n notify \"y\n}\n")], &["k"], "k:2: a quote is not closed"),
        (
            &[("k", "vrrp_instance x {\n @a priority 1\n}\n")],
            &["k"],
            "k:2: `@a` holds for some nodes only; say whose file it is: a=FILE",
        ),
        (&[("k", "include k\nvrrp_instance x {\n}\n")], &["k"], "k:1: k includes itself"),
        (
            &[("k", "vrrp_instance x {\n}\ninclude i\n"), ("i", "\0")],
            &["k"],
            "i: is not text but binary",
        ),
        (&[("k", INSTANCE)], &["k", "k"], "k: this file is named twice"),
        (&[("k", INSTANCE), ("l", INSTANCE)], &["a=k", "a=l"], "l: a is named twice"),
        (&[("k", INSTANCE), ("ha.cf", NODES)], &["k", "ha.cf"], "ha.cf: is heartbeat's, but k is"),
        (
            &[("d/ha.cf", NODES), ("e/ha.cf", NODES)],
            &["a=d", "b=e"],
            "d/ha.cf: Heartbeat's files are the same on every node",
        ),
        (&[("ha.cf", NODES)], &["c=ha.cf"], "names no node c; its nodes are a, "),
        (
            &[("ha.cf", NODES)],
            &["ha.cf", "--peer", "b=10.0.0.2"],
            "--peer b=10.0.0.2: no link wants an address of this node",
        ),
    ] {
        let told = refused(files, arguments);
        assert!(told.contains(wanted), "{told}\n--- wanted {wanted}");
    }
}

/// All that is wrong is told at once.
#[test]
fn all_faults_are_told() {
    let told = refused(
        &[("k", "a \"b\nc {\n d;\n}\n}\n"), ("ha.cf", "")],
        &["a=k", "b=keepalived.conf", "ha.cf"],
    );
    assert!(told.contains("keepalived.conf: cannot be read"), "{told}");
    assert!(told.contains("ha.cf: is empty"), "{told}");
    assert!(told.contains("k: is neither"), "{told}");
    let told = refused(&[("keepalived.conf", "a \"b\nc {\n d;\n}\n}\n")], &["."]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 3, "{told}");
    for (line, place) in lines.iter().zip(["conf:1: ", "conf:3: ", "conf:5: "]) {
        assert!(line.contains(place), "{told}");
    }
}

/// Bytes of all kinds, cut anywhere, make a result or a refusal, and never a panic.
#[test]
fn no_text_makes_it_fall() {
    let directory = tempfile::tempdir().unwrap();
    let whole = std::fs::read(case("director").join("keepalived.conf")).unwrap();
    let ha_cf = std::fs::read(case("sloppy").join("ha.cf")).unwrap();
    let path = directory.path().join("ha.cf");
    for (text, file) in [(&whole, "keepalived.conf"), (&ha_cf, "ha.cf")] {
        for at in (0..text.len()).step_by(97) {
            std::fs::write(directory.path().join(file), &text[..at]).unwrap();
            let ran = import(directory.path(), &[file]);
            assert!(matches!(ran.code, Some(0 | 2)), "{file} up to {at}: {ran:?}");
        }
        std::fs::remove_file(directory.path().join(file)).unwrap();
    }
    for line in [
        "ucast",
        "mcast a",
        "bcast ,",
        "node",
        "node \u{fffd}",
        "ping ,,",
        "respawn",
        "udpport 99999",
    ] {
        std::fs::write(&path, format!("{line}\nnode a b\n")).unwrap();
        let ran = import(directory.path(), &["ha.cf"]);
        assert_eq!(ran.code, Some(0), "{line}: {ran:?}");
    }
}

/// Files that are there already stay as they are, and nothing is left of the attempt.
#[test]
fn nothing_is_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let made = directory.path().join("made");
    let output = made.to_str().unwrap();
    let all_known = case("all-known");
    let arguments = arguments("all-known");
    let mut all: Vec<&str> = arguments.iter().map(String::as_str).collect();
    all.extend(["--output", output]);
    let ran = import(&all_known, &all);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
    let text = std::fs::read_to_string(made.join("cluster.toml")).unwrap();
    assert_eq!(text, std::fs::read_to_string(all_known.join("expected.toml")).unwrap());
    assert!(lubdub::wire::Keys::load(&made.join("authkeys")).is_ok());
    let modified = |path: &Path| path.metadata().unwrap().modified().unwrap();
    let before = modified(&made.join("authkeys"));
    let again = import(&all_known, &all);
    assert_eq!((again.code, again.stdout.as_str()), (Some(1), ""), "{again:?}");
    assert!(again.stderr.contains("there already, and nothing is overwritten"), "{again:?}");
    assert_eq!(modified(&made.join("authkeys")), before);
}
