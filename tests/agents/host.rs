//! A host of namespaces, in which one agent is tried: its own network, processes and mounts, and a single user, as an
//! ordinary user of the machine can make it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use lubdub::agent::{Action, Call, Environment};
use lubdub::config::{AgentName, Resource, Timeouts};
use lubdub::wire::Term;
use tempfile::TempDir;

/// A host. Everything in it ends with it.
pub(crate) struct Host {
    /// `unshare`, the parent of the host's first process.
    parent: Child,
    /// The host's first process, which reaps nobody: what is killed stays a zombie.
    init: String,
    /// For files; the agents' state lies in `state` below it.
    pub(crate) dir: TempDir,
}

/// What came of a program.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

#[expect(clippy::disallowed_methods, reason = "tests start processes")]
fn command(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

impl Host {
    pub(crate) fn new() -> Self {
        let mut parent = command("unshare")
            .args([
                "--user",
                "--map-root-user",
                "--net",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
            ])
            // It ends with its input: when this process does.
            .args(["sh", "-c", "ip link set lo up && echo up && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is there (package util-linux)");
        let mut said = [0; 3];
        let up = parent.stdout.as_mut().unwrap().read_exact(&mut said);
        let pid = parent.id();
        let init =
            fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let host = Self { parent, init: init.trim().to_owned(), dir: tempfile::tempdir().unwrap() };
        assert!(
            up.is_ok() && said == *b"up\n" && !host.init.is_empty(),
            "no namespaces here: allow user namespaces (sysctl kernel.unprivileged_userns_clone, \
             kernel.apparmor_restrict_unprivileged_userns) or run the tests as root"
        );
        host
    }

    /// Runs a program in the host.
    pub(crate) fn run(&self, program: &Path, args: &[&str], environment: &Environment) -> Ran {
        let output = command("nsenter")
            .args([
                "--user",
                "--preserve-credentials",
                "--net",
                "--pid",
                "--mount",
                "--target",
                &self.init,
            ])
            .args(["timeout", "60"])
            .arg(program)
            .args(args)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs a line of bash, which has to succeed; its output.
    pub(crate) fn bash(&self, line: &str) -> String {
        let environment = BTreeMap::from([("PATH".to_owned(), env::var_os("PATH").unwrap())]);
        let ran = self.run(Path::new("bash"), &["-c", line], &environment);
        assert_eq!(ran.code, Some(0), "{line}: {ran:?}");
        ran.stdout
    }

    /// Waits until a line of bash succeeds.
    pub(crate) fn until(&self, line: &str) {
        self.bash(&format!("for i in $(seq 1000); do {{ {line}; }} && exit; sleep 0.01; done; echo 'never: {line}'; exit 1"));
    }

    /// One HTTP request, which has to be answered at once; the last line of the answer.
    pub(crate) fn asked(&self, port: u16, path: &str) -> String {
        self.bash(&format!(
            "exec 3<>/dev/tcp/127.0.0.1/{port} && printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3 && tail -n 1 <&3"
        ))
    }

    /// SIGKILL to one process alone; what it leaves behind lives on.
    pub(crate) fn kill_alone(&self, pid: &str) {
        self.bash(&format!("kill -KILL {pid}"));
        self.until(&format!("grep -q '^State:.Z' /proc/{pid}/status"));
    }

    /// Process ids of all that are in a session and not zombies.
    pub(crate) fn session(&self, session: &str) -> Vec<String> {
        let list = self.bash(&format!(
            "sed -E 's/^([0-9]+) \\(.*\\) (.) [0-9]+ [0-9]+ ([0-9]+) .*/\\1 \\2 \\3/' /proc/[0-9]*/stat 2>/dev/null | \
             awk '$2 != \"Z\" && $3 == {session} {{print $1}}'"
        ));
        list.lines().map(str::to_owned).collect()
    }

    /// A file in the host's directory.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// The same, for everybody to run.
    pub(crate) fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // `--kill-child`: the host's first process dies with its parent, and all its processes with that.
        let _ = self.parent.kill();
        let _ = self.parent.wait();
    }
}

/// A resource on a host.
pub(crate) struct Subject<'a> {
    pub(crate) host: &'a Host,
    pub(crate) resource: Resource,
    pub(crate) program: PathBuf,
    pub(crate) lease: Option<Duration>,
    pub(crate) not_after: Option<Duration>,
    /// Programs that are found before all others.
    pub(crate) bin: Option<PathBuf>,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(host: &'a Host, agent: &str, name: &str, params: &[(&str, &str)]) -> Self {
        let patience = Duration::from_secs(20);
        let resource = Resource {
            name: name.to_owned(),
            agent: AgentName(agent.to_owned()),
            params: params
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            monitor: None,
            timeout: Timeouts { start: patience, stop: patience, monitor: patience },
            address: None,
        };
        let program = source("tests/agents/stand-in.sh");
        Self { host, resource, program, lease: None, not_after: None, bin: None }
    }

    /// The environment that the daemon gives, with this test's own PATH and libraries.
    pub(crate) fn environment(&self, action: Action) -> Environment {
        let call = Call {
            group: "web",
            resource: &self.resource,
            action,
            timeout: self.resource.timeout.stop,
            term: Term(1),
            lease: self.lease,
            not_after: self.not_after,
            state_dir: &self.host.dir.path().join("state"),
            program: &self.program,
        };
        let mut environment = call.environment();
        for name in ["PATH", "LD_LIBRARY_PATH"] {
            environment.extend(env::var_os(name).map(|value| (name.to_owned(), value)));
        }
        if let (Some(bin), Some(path)) = (&self.bin, environment.get_mut("PATH")) {
            let dirs = std::iter::once(bin.clone()).chain(env::split_paths(path));
            *path = env::join_paths(dirs).unwrap();
        }
        environment
    }

    pub(crate) fn run(&self, action: Action) -> Ran {
        let path = source("resource-agents").join(&self.resource.agent.0);
        self.host.run(&path, &[action.word()], &self.environment(action))
    }

    /// Runs an action, which has to end with this code; what it said on stderr.
    #[track_caller]
    pub(crate) fn expect(&self, action: Action, code: i32) -> String {
        let ran = self.run(action);
        assert_eq!(ran.code, Some(code), "{action}: {ran:?}");
        ran.stderr
    }

    /// The same, and it has to give a reason with these words.
    #[track_caller]
    pub(crate) fn expect_reason(&self, action: Action, code: i32, words: &str) {
        let said = self.expect(action, code);
        let reason = lubdub::agent::reason(said.as_bytes()).unwrap_or_default();
        assert!(reason.contains(words), "{words:?} in {reason:?}");
    }
}

/// A file of this source tree.
pub(crate) fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A program from PATH that only tests need. Without it the test fails.
pub(crate) fn tool(name: &str, package: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap();
    let mut places = env::split_paths(&path).map(|dir| dir.join(name));
    places.find(|place| place.is_file()).unwrap_or_else(|| {
        panic!("{name} is missing: tests/run.sh fetches it and sets PATH, or install the package {package}")
    })
}
