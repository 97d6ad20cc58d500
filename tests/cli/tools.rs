//! Commands that need no daemon: keygen, check, agent.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::player::{Ran, program};

const CLUSTER: &str = r#"
cluster = "web"

[heartbeat]
keepalive = "100ms"
warntime = "250ms"
deadtime = "500ms"
initdead = "5s"
links = [{ name = "lan", transport = "unicast" }, { name = "private", transport = "unicast" }]

[[node]]
name = "alpha"
address = { lan = "192.0.2.1", private = "198.51.100.1" }

[[node]]
name = "beta"
address = { lan = "192.0.2.2", private = "198.51.100.2" }

[guard]
ping = ["192.0.2.254"]
arp = true

[[group]]
name = "web"
prefer = ["alpha", "beta"]

[[group.resource]]
name = "vip"
agent = "IPaddr"
params = { ip = "192.0.2.100/24" }
"#;

/// Run the program with the agents of this source tree.
fn lubdub(arguments: &[&str]) -> Ran {
    let mut command = program(arguments);
    command.env("LUBDUB_AGENTS", Path::new(env!("CARGO_MANIFEST_DIR")).join("resource-agents"));
    Ran::of(command)
}

fn check(text: &str, arguments: &[&str]) -> Ran {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cluster.toml");
    std::fs::write(&file, text).unwrap();
    let mut all = vec!["check", file.to_str().unwrap()];
    all.extend(arguments);
    lubdub(&all)
}

#[test]
fn a_good_configuration_is_ok_with_its_guard() {
    let ran = check(CLUSTER, &["--node", "alpha"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stdout.contains("cluster.toml: ok, cluster web\n  group web: guard ping+arp\n"),
        "{ran:?}"
    );
}

/// The keys are checked as `lubdub run` does; only the keys of another machine's configuration may be missing.
#[test]
fn keys_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("authkeys");
    let with_keys = || check(CLUSTER, &["--node", "alpha", "--authkeys", keys.to_str().unwrap()]);
    let missing = with_keys();
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert!(missing.stderr.contains("`lubdub keygen` makes one"), "{missing:?}");
    assert_eq!(lubdub(&["keygen", keys.to_str().unwrap()]).code, Some(0));
    assert_eq!(with_keys().code, Some(0));
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = with_keys();
    assert_eq!((open.code, open.stdout.as_str()), (Some(2), ""), "{open:?}");
    assert!(open.stderr.contains("chmod 600"), "{open:?}");
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&keys, "auth 1\n1 hunter2\n").unwrap();
    let garbage = with_keys();
    assert_eq!(garbage.code, Some(2), "{garbage:?}");
    assert!(
        garbage.stderr.contains("line 2") && !garbage.stderr.contains("hunter2"),
        "{garbage:?}"
    );
}

#[test]
fn what_this_machine_does_not_have_is_a_warning() {
    let text = CLUSTER
        .replace("{ name = \"private\",", "{ name = \"private\", interface = \"nope0\",")
        .replace("{ ip =", "{ interface = \"nope1\", ip =");
    let ran = check(&text, &["--node", "alpha"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for warning in [
        "link lan: this machine has no address 192.0.2.1",
        "link private: this machine has no interface nope0",
        "web/vip: this machine has no interface nope1",
    ] {
        assert!(ran.stderr.contains(warning), "{warning}: {ran:?}");
    }
}

#[test]
fn on_another_machine_agents_are_not_asked() {
    let ran = check(&CLUSTER.replace("agent = \"IPaddr\"", "agent = \"nobodys\""), &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("none of the nodes (alpha, beta)"), "{ran:?}");
}

#[test]
fn a_missing_agent_is_found() {
    let ran =
        check(&CLUSTER.replace("agent = \"IPaddr\"", "agent = \"nobodys\""), &["--node", "beta"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(ran.stderr.contains("web/vip: there is no agent 'nobodys'"), "{ran:?}");
}

#[test]
fn a_mistyped_parameter_is_found_with_the_nearest() {
    let ran =
        check(&CLUSTER.replace("{ ip =", "{ interfase = \"eth0\", ip ="), &["--node", "alpha"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(
        ran.stderr.contains("web/vip: there is no parameter 'interfase'; 'interface' is near"),
        "{ran:?}"
    );
}

#[test]
fn all_mistakes_of_a_file_are_told_with_their_lines() {
    let text = CLUSTER.replace("arp = true", "arp = 1").replace("cluster = \"web\"", "cluster = 7");
    let ran = check(&text, &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(
        ran.stderr.contains("cluster.toml:2:") && ran.stderr.contains("cluster.toml:21:"),
        "{ran:?}"
    );
}

#[test]
fn agents_can_be_listed_described_and_run() {
    let list = lubdub(&["agent", "list"]);
    assert_eq!(list.code, Some(0), "{list:?}");
    assert!(list.stdout.lines().any(|line| line.starts_with("IPaddr ")), "{list:?}");
    let page = lubdub(&["agent", "describe", "IPaddr"]);
    assert!(page.stdout.starts_with("IPaddr 1.0: "), "{page:?}");
    assert!(page.stdout.contains("\nparameters\n  ip         "), "{page:?}");
    let wrong = lubdub(&["agent", "run", "IPaddr", "validate-all"]);
    assert_eq!(wrong.code, Some(6), "{wrong:?}");
    assert!(wrong.stderr.contains("parameter 'ip' is missing"), "{wrong:?}");
    let none = lubdub(&["agent", "describe", "IPadr"]);
    assert_eq!(none.code, Some(1), "{none:?}");
    assert!(none.stderr.contains("there is no agent 'IPadr'"), "{none:?}");
}

#[test]
fn keygen_writes_keys_that_the_daemon_takes() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("authkeys");
    let file = file.to_str().unwrap();
    assert_eq!(lubdub(&["keygen", file]).code, Some(0));
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let keys = lubdub::wire::Keys::load(Path::new(file)).unwrap();
    assert_eq!(keys.sending_id().get(), 1);
    let again = lubdub(&["keygen", file]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("--force"), "{again:?}");
    let shown = lubdub(&["keygen", "-"]);
    assert!(lubdub::wire::Keys::parse(&shown.stdout).is_ok(), "{shown:?}");
    assert_ne!(shown.stdout, lubdub(&["keygen", "-"]).stdout);
}

#[test]
fn ip_ends_with_the_codes_of_the_agent_api() {
    let here = lubdub(&["ip", "show", "127.0.0.1/8"]);
    assert_eq!((here.code, here.stdout.as_str()), (Some(0), "127.0.0.1/8 on lo\n"), "{here:?}");
    assert_eq!(lubdub(&["ip", "show", "192.0.2.77/24"]).code, Some(7));
    assert_eq!(lubdub(&["ip", "show", "192.0.2.77/24", "--interface", "nope"]).code, Some(5));
    let bare = lubdub(&["ip", "add", "192.0.2.77"]);
    assert_eq!(bare.code, Some(2));
    assert!(bare.stderr.contains("has no prefix"), "{bare:?}");
}
