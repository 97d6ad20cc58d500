//! A machine: systemd and dpkg on a disk in memory, in namespaces and a cgroup of its own.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lubdub::lab::{Inside, wait_for};
use tempfile::TempDir;

/// A service manager on a machine that is busy with something else takes its time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const PROGRAM: &str = env!("CARGO_BIN_EXE_lubdub");
const INSIDE: &str = "LUBDUB_TEST_INSIDE";
/// Where the package lies.
const PACKAGE: &str = "LUBDUB_TEST_PACKAGE";
/// How the cgroups of all our machines begin: those of a run that was killed are found by it.
const CGROUP: &str = "lubdub-test-";

/// Machines of two tests would slow each other down.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[expect(clippy::disallowed_methods, reason = "tests start processes")]
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

/// Runs a test in namespaces of its own: starts this test binary again inside them, for this test alone. `test` is its
/// full name.
pub(crate) fn inside(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let all_ids = "0          0 4294967295";
    assert!(
        fs::read_to_string("/proc/self/uid_map").unwrap().trim() == all_ids,
        "systemd as PID 1 takes root's own rights: run tests/run.sh systemd as root, or let it ask sudo"
    );
    let mut arguments = vec!["env".into(), format!("{INSIDE}=1").into()];
    arguments.push(std::env::current_exe().unwrap().into());
    arguments.extend([test, "--exact", "--nocapture", "--test-threads=1"].map(Into::into));
    let output = Inside::new(Path::new(PROGRAM), &arguments).and_then(Inside::output).unwrap();
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(
        output.status.success() && said[0].contains("1 passed"),
        "{test} failed inside:\n{}\n{}",
        said[0],
        said[1]
    );
}

/// The package as it was built.
pub(crate) fn package() -> PathBuf {
    let path = std::env::var_os(PACKAGE).expect("tests/run.sh systemd builds the package first");
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The same package under a higher version, in a directory.
pub(crate) fn newer_package(directory: &Path) -> PathBuf {
    let (tree, newer) = (directory.join("tree"), directory.join("newer.deb"));
    succeed(command("dpkg-deb").arg("-R").arg(package()).arg(&tree));
    let control = tree.join("DEBIAN/control");
    let text = fs::read_to_string(&control).unwrap();
    assert!(text.contains("\nVersion: "));
    fs::write(&control, text.replace("\nVersion: ", "\nVersion: 99:")).unwrap();
    succeed(command("dpkg-deb").args(["-Znone", "-b"]).arg(&tree).arg(&newer));
    newer
}

/// Runs a command, which has to succeed; what it printed.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{text}\n{said}", output.status);
    text
}

/// A running machine. It ends with this.
pub(crate) struct Machine {
    name: &'static str,
    /// `unshare`, which takes PID 1 with it.
    parent: Child,
    /// PID 1 of the machine, as this process sees it.
    init: String,
    cgroup: PathBuf,
    /// Its root is mounted below it, where nobody but the machine sees it.
    _root: TempDir,
}

impl Machine {
    /// Boots, until systemd has nothing left to do.
    pub(crate) fn boot(name: &'static str) -> Self {
        let cgroup = fresh_cgroup(name);
        let root = tempfile::tempdir().unwrap();
        let parent = command("unshare")
            .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systemd/machine.sh"))
            .arg(name)
            .args([root.path(), &cgroup])
            .spawn()
            .expect("unshare is there (package util-linux)");
        let mut machine = Self { name, parent, init: String::new(), cgroup, _root: root };
        let mut state = String::new();
        wait_for(&format!("{name} boots"), PATIENCE, || {
            machine.find_init();
            state = machine.shell_output("systemctl is-system-running").0;
            Ok(state.trim() == "running" || state.trim() == "degraded")
        })
        .unwrap();
        assert_eq!(state.trim(), "running", "{}", machine.shell("systemctl --failed"));
        machine
    }

    fn find_init(&mut self) {
        let pid = self.parent.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        children.unwrap_or_default().trim().clone_into(&mut self.init);
        assert!(
            self.parent.try_wait().unwrap().is_none(),
            "{} did not come up: see tests/systemd/machine.sh",
            self.name
        );
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// PID 1, by which its namespaces are found.
    pub(crate) fn init(&self) -> &str {
        &self.init
    }

    /// A file of it, seen from here.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.init))
    }

    /// Writes a file, with its directories.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn run(&self, line: &str) -> Output {
        command("nsenter")
            .args(["--target", &self.init, "--all", "env", "-i"])
            .args(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"])
            .args(["DEBIAN_FRONTEND=noninteractive", "timeout", "120", "sh", "-c"])
            .arg(format!("cd /\n{line}"))
            .output()
            .expect("nsenter is there (package util-linux)")
    }

    /// Runs a line of shell, which has to succeed; what it printed on stdout.
    #[track_caller]
    pub(crate) fn shell(&self, line: &str) -> String {
        let output = self.run(line);
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {line}: {}\n{out}\n{err}", self.name, output.status);
        out.trim_end().to_owned()
    }

    /// Runs a line of shell; what it printed on stdout and stderr together, and whether it succeeded.
    pub(crate) fn shell_output(&self, line: &str) -> (String, bool) {
        let output = self.run(&format!("{{ {line}\n}} 2>&1"));
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
    }

    /// Waits until a line of shell succeeds.
    pub(crate) fn until(&self, what: &str, line: &str) {
        wait_for(&format!("{}: {what}", self.name), PATIENCE, || {
            Ok(self.run(line).status.success())
        })
        .unwrap();
    }

    /// A property of the daemon's unit, as systemd has it.
    pub(crate) fn property(&self, name: &str) -> String {
        self.shell(&format!("systemctl show --value --property={name} lubdub"))
    }

    /// Installs a package as an operator does; what dpkg and the package's scripts said. The tests fetch systemd where
    /// the list of packages does not have it, and what other packages do about this one's man pages takes time.
    #[track_caller]
    pub(crate) fn install(&self, package: &Path) -> String {
        fs::copy(package, self.path("/tmp/lubdub.deb")).unwrap();
        let (said, fine) =
            self.shell_output("dpkg --ignore-depends=systemd --no-triggers -i /tmp/lubdub.deb");
        assert!(fine, "{}: {said}", self.name);
        said
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.init.is_empty() {
            let (log, _) =
                self.shell_output("journalctl --no-pager --lines=200 --output=short-precise");
            eprintln!("---- {} ----\n{log}", self.name);
        }
        // `--kill-child`: PID 1 dies with its parent, and all others with that.
        let _ = self.parent.kill();
        let _ = self.parent.wait();
        let gone = wait_for("the machine's processes end", PATIENCE, || {
            Ok(remove_cgroup(&self.cgroup).is_ok())
        });
        if let Err(error) = gone {
            eprintln!("{}: {error}", self.cgroup.display());
        }
    }
}

/// A cgroup for a machine, below the one of this process. Those of earlier runs are removed, should there be any.
fn fresh_cgroup(name: &str) -> PathBuf {
    // A mount of this test's own: over those of the machine something else may lie.
    let root = PathBuf::from("/run/cgroup2");
    if !root.join("cgroup.procs").exists() {
        fs::create_dir_all(&root).unwrap();
        succeed(command("mount").args(["-t", "cgroup2", "cgroup2"]).arg(&root));
    }
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    // A path from above what is mounted here cannot be found here.
    let below = [root.join(own), root].into_iter().find(|path| path.is_dir()).unwrap();
    for entry in fs::read_dir(&below).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(CGROUP)) {
            // One that has processes belongs to a run beside this one, and stays.
            let _ = remove_cgroup(&path);
        }
    }
    let cgroup = below.join(format!("{CGROUP}{}-{name}", uuid()));
    fs::create_dir(&cgroup).expect("cgroups can be made here (a container without --privileged?)");
    cgroup
}

/// Process ids repeat in namespaces.
fn uuid() -> String {
    fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap().trim().to_owned()
}

/// Removes a cgroup and those below it.
fn remove_cgroup(path: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_cgroup(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}
