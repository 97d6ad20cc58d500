//! Commands that need no daemon: keygen, check, agent.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

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
        ran.stderr
            .contains("web/vip: there is no parameter 'interfase'; did you mean `interface`?"),
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

/// One run tells all: an error in the file hides nothing that is wrong with keys and agents.
#[test]
fn an_error_in_the_file_hides_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("none");
    let text = CLUSTER
        .replace("arp = true", "arp = 1")
        .replace("{ ip =", "{ interfase = \"eth0\", ip =")
        .replace("agent = \"IPaddr\"", "agent = \"IPaddr\"\nmonitor = 5");
    let ran = check(&text, &["--node", "alpha", "--authkeys", keys.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    for words in [
        "cluster.toml:21: arp: ",
        ": monitor: a duration needs a unit",
        "`lubdub keygen` makes one",
        "web/vip: there is no parameter 'interfase'; did you mean `interface`?",
    ] {
        assert!(ran.stderr.contains(words), "{words:?} in {ran:?}");
    }
    let broken = check("cluster = ", &["--authkeys", keys.to_str().unwrap()]);
    assert_eq!(broken.code, Some(2), "{broken:?}");
    assert!(broken.stderr.contains("cluster.toml:1:"), "{broken:?}");
    assert!(broken.stderr.contains("`lubdub keygen` makes one"), "{broken:?}");
}

#[test]
fn a_file_that_is_not_there_is_told_with_both_ways_to_name_one() {
    let ran = lubdub(&["check", "/nonexistent/cluster.toml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(ran.stderr.contains("lubdub check FILE, lubdub run --config FILE"), "{ran:?}");
}

/// The agent that README shows, in a directory of its own.
fn agent_of_readme() -> tempfile::TempDir {
    let readme = include_str!("../../README.md");
    let from = readme.find("#!/bin/sh\n# ctl:").unwrap();
    let script = &readme[from..][..readme[from..].find("```").unwrap()];
    let directory = tempfile::tempdir().unwrap();
    write_script(&directory.path().join("ctl"), script);
    directory
}

fn write_script(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A service with a start/stop script, in a directory; ended with the test.
struct App(tempfile::TempDir);

impl App {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let pidfile = directory.path().join("pid");
        let text = format!(
            "#!/bin/sh\ncase $1 in\nstart) setsid sleep 600 >/dev/null 2>&1 & echo $! >{0} ;;\n\
             stop) kill \"$(cat {0})\"; rm {0} ;;\nesac\n",
            pidfile.display()
        );
        write_script(&directory.path().join("app"), &text);
        Self(directory)
    }

    fn parameter(&self, name: &str, file: &str) -> String {
        format!("{name}={}", self.0.path().join(file).display())
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let pid = std::fs::read_to_string(self.0.path().join("pid"));
        if let Some(pid) = pid.ok().and_then(|pid| pid.trim().parse().ok()) {
            // A test that ended well has stopped it.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

#[test]
fn the_agent_in_readme_does_what_readme_says() {
    let (agents, app) = (agent_of_readme(), App::new());
    let parameters = [app.parameter("script", "app"), app.parameter("pidfile", "pid")];
    let run = |action: &str| {
        let [script, pidfile] = &parameters;
        let mut command = program(&["agent", "run", "ctl", action, "-p", script, "-p", pidfile]);
        command.env("LUBDUB_AGENTS", agents.path());
        Ran::of(command)
    };
    for (action, code, word) in [
        ("validate-all", 0, "success"),
        ("monitor", 7, "not running"),
        ("stop", 0, "success"),
        ("start", 0, "success"),
        ("start", 0, "success"),
        ("monitor", 0, "success"),
        ("stop", 0, "success"),
        ("stop", 0, "success"),
        ("monitor", 7, "not running"),
    ] {
        let ran = run(action);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{action}: {ran:?}");
        let last = ran.stderr.lines().next_back();
        assert_eq!(last, Some(format!("ctl {action}: exit {code} ({word})").as_str()), "{ran:?}");
    }
    let meta = run("meta-data");
    assert!(lubdub::agent::MetaData::parse(&meta.stdout).is_ok(), "{meta:?}");
    std::fs::remove_file(app.0.path().join("app")).unwrap();
    let gone = run("start");
    assert_eq!(gone.code, Some(5), "{gone:?}");
    assert!(gone.stderr.contains("app is not there"), "{gone:?}");
}

#[test]
fn where_agents_were_looked_for_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = program(&["agent", "list"]);
    command.env("LUBDUB_AGENTS", directory.path());
    let empty = Ran::of(command);
    let place = directory.path().display().to_string();
    assert_eq!((empty.code, empty.stdout.as_str()), (Some(0), ""), "{empty:?}");
    assert!(empty.stderr.contains(&format!("there are no agents in {place}")), "{empty:?}");
    for verb in [&["agent", "describe", "IPadr"][..], &["agent", "run", "IPadr", "monitor"]] {
        let ran = lubdub(verb);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("resource-agents; did you mean `IPaddr`?"), "{ran:?}");
    }
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
    assert!(wrong.stderr.ends_with("IPaddr validate-all: exit 6 (not configured)\n"), "{wrong:?}");
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
