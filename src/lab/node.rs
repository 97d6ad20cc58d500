//! A node of the laboratory: a machine of its own as far as the daemon can tell, with a switch for its power.
#![expect(
    clippy::disallowed_methods,
    reason = "the laboratory starts processes; the daemon never comes here"
)]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, PipeWriter};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::enter::{init_command, pid_of, tie};
use super::error::{LabError, file, refused};
use super::furniture::Disk;
use super::room::Room;
use super::tool;
use super::{Moment, Switch, wait_for};
use crate::cluster::event::Event;
use crate::control::{Answer, Client, DEFAULT_SOCKET, Record, Request, Status, kept};

/// Records of a history that are looked at: more than a daemon writes while anybody watches it.
const HISTORY: u32 = 1000;

/// A node.
#[derive(Debug)]
pub struct Node {
    name: String,
    index: usize,
    program: PathBuf,
    disk: Disk,
    power: RefCell<Option<Machine>>,
}

/// A node that has power.
#[derive(Debug)]
struct Machine {
    daemon: Option<Child>,
    init: Child,
    _alive: PipeWriter,
    /// Last, so that its thread, the parent of all, ends last.
    room: Room,
}

/// A process of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id in the namespaces of the caller.
    pub pid: Pid,
    /// Its command line, words separated by spaces.
    pub command: String,
}

/// Something that a daemon wrote into its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// When, by the daemon's wall clock, to the millisecond.
    pub moment: Moment,
    /// What.
    pub event: Event,
}

impl Node {
    /// A node without power, its disk empty.
    pub(super) fn new(name: &str, index: usize, program: &Path) -> Result<Self, LabError> {
        Ok(Self {
            name: name.to_owned(),
            index,
            program: program.to_path_buf(),
            disk: Disk::new(name)?,
            power: RefCell::new(None),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `/etc/lubdub` of the node, seen from outside.
    #[must_use]
    pub fn etc(&self) -> PathBuf {
        self.disk.etc()
    }

    /// `/var/lib/lubdub` of the node, seen from outside: a small file system of its own.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.disk.state()
    }

    /// What its daemons of all lives have written to stdout and stderr.
    #[must_use]
    pub fn daemon_log(&self) -> PathBuf {
        self.disk.log().join("daemon.log")
    }

    /// Boots it and plugs it in. No daemon runs yet.
    pub(super) fn power_on(&self, switch: &Switch) -> Result<(), LabError> {
        if self.power.borrow().is_some() {
            return Err(self.problem("it has power already"));
        }
        let namespaces = CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWPID;
        let room = Room::open(&self.name, namespaces)?;
        let (disk, name, program) = (self.disk.clone(), self.name.clone(), self.program.clone());
        let (init, alive) = room.within(move || {
            disk.furnish(&name)?;
            let (init, alive) = start_init(&program)?;
            settle_network()?;
            Ok::<_, LabError>((init, alive))
        })??;
        switch.plug_node(&self.name, self.index, &room)?;
        *self.power.borrow_mut() = Some(Machine { daemon: None, init, _alive: alive, room });
        Ok(())
    }

    /// Takes its power away: its ports go down, everything on it is killed, its cards disappear. The moment is that after
    /// which nothing of it can be heard.
    pub(super) fn power_off(&self, switch: &Switch) -> Result<Moment, LabError> {
        let mut machine = self.power.take().ok_or_else(|| self.problem("it has no power"))?;
        switch.cut_all(&self.name)?;
        let off = Moment::now();
        machine.init.kill().map_err(file(Path::new("PID 1")))?;
        // The kernel ends a PID namespace with its PID 1, which is gone once all others are, dead children of ours too.
        if let Some(mut daemon) = machine.daemon {
            daemon.wait().map_err(file(Path::new("daemon")))?;
        }
        machine.init.wait().map_err(file(Path::new("PID 1")))?;
        // Before its room ends: the kernel takes its time to remove the cards of a network namespace that nobody has.
        switch.unplug_node(&self.name)?;
        Ok(off)
    }

    /// Plugs a card of it into a link again.
    pub(super) fn plug_card(&self, switch: &Switch, link: &str) -> Result<(), LabError> {
        self.with_machine(|machine| switch.plug_card(&self.name, self.index, link, &machine.room))?
    }

    /// Whether it has power.
    #[must_use]
    pub fn has_power(&self) -> bool {
        self.power.borrow().is_some()
    }

    /// Starts the daemon.
    ///
    /// # Errors
    /// Without power, or if one runs already.
    pub fn start_daemon(&self) -> Result<(), LabError> {
        self.launch(&self.name, &[])
    }

    /// Starts the daemon under a name that need not be its own.
    ///
    /// # Errors
    /// Without power, or if one runs already.
    pub fn start_daemon_as(&self, name: &str) -> Result<(), LabError> {
        self.launch(name, &[])
    }

    /// Starts the daemon with these arguments more.
    ///
    /// # Errors
    /// Without power, or if one runs already.
    pub fn start_daemon_with(&self, arguments: &[&str]) -> Result<(), LabError> {
        self.launch(&self.name, arguments)
    }

    fn launch(&self, name: &str, arguments: &[&str]) -> Result<(), LabError> {
        if self.daemon_runs()? {
            return Err(self.problem("its daemon runs already"));
        }
        let log = self.daemon_log();
        let out = File::options().create(true).append(true).open(&log).map_err(file(&log))?;
        let err = out.try_clone().map_err(file(&log))?;
        let mut command = self.own_command();
        command.args(["run", "--config", "/etc/lubdub/cluster.toml", "--node", name]);
        command.args(arguments);
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        let daemon = self.inside(move || command.spawn().map_err(tool::cannot_run(&command)))??;
        self.with_machine(|machine| machine.daemon = Some(daemon))
    }

    /// Whether the daemon runs, stopped by a signal or not.
    ///
    /// # Errors
    /// Without power.
    pub fn daemon_runs(&self) -> Result<bool, LabError> {
        self.with_machine(|machine| match &mut machine.daemon {
            Some(daemon) => daemon.try_wait().map(|ended| ended.is_none()),
            None => Ok(false),
        })?
        .map_err(file(Path::new("daemon")))
    }

    /// Kills the daemon, and nothing that it started.
    ///
    /// # Errors
    /// If none runs.
    pub fn kill_daemon(&self) -> Result<(), LabError> {
        self.signal_daemon(Signal::SIGKILL)?;
        self.with_machine(|machine| machine.daemon.take().map(|mut daemon| daemon.wait()))?
            .transpose()
            .map(drop)
            .map_err(file(Path::new("daemon")))
    }

    /// Freezes the daemon (SIGSTOP).
    ///
    /// # Errors
    /// If none runs.
    pub fn freeze_daemon(&self) -> Result<(), LabError> {
        self.signal_daemon(Signal::SIGSTOP)
    }

    /// Lets a frozen daemon go on (SIGCONT).
    ///
    /// # Errors
    /// If none runs.
    pub fn thaw_daemon(&self) -> Result<(), LabError> {
        self.signal_daemon(Signal::SIGCONT)
    }

    /// Has the daemon read its files again (SIGHUP).
    ///
    /// # Errors
    /// If none runs.
    pub fn hang_up_daemon(&self) -> Result<(), LabError> {
        self.signal_daemon(Signal::SIGHUP)
    }

    /// Asks the daemon to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// If none runs, or it takes longer than this.
    pub fn stop_daemon(&self, within: Duration) -> Result<(), LabError> {
        self.signal_daemon(Signal::SIGTERM)?;
        wait_for(&format!("the daemon on {} ends", self.name), within, || Ok(!self.daemon_runs()?))
    }

    /// Runs commands of `ip` on it, one a line.
    ///
    /// # Errors
    /// Without power, or if `ip` refuses.
    pub fn ip(&self, lines: &str) -> Result<(), LabError> {
        let lines = format!("{lines}\n");
        self.inside(move || tool::ip(&lines))?
    }

    /// What its daemon says of everything.
    ///
    /// # Errors
    /// If the daemon does not answer, or not with a status.
    pub fn status(&self) -> Result<Status, LabError> {
        match self.ask(&Request::Status)? {
            Answer::Status(status) => Ok(*status),
            other @ (Answer::History(_)
            | Answer::Reload(_)
            | Answer::Command(_)
            | Answer::Error { .. }) => Err(self.unexpected("status", &other)),
        }
    }

    /// Runs lubdub's command line on it.
    ///
    /// # Errors
    /// If it could not be started. That it failed is in the output.
    pub fn lubdub(&self, arguments: &[&str]) -> Result<Output, LabError> {
        let mut command = self.own_command();
        command.args(arguments);
        self.run(command)
    }

    /// Where its daemon listens for commands, seen from outside. Another path after each boot.
    ///
    /// # Errors
    /// Without power.
    pub fn control_socket(&self) -> Result<PathBuf, LabError> {
        let init = self.with_machine(|machine| machine.init.id())?;
        let inside = DEFAULT_SOCKET.trim_start_matches('/');
        Ok(Path::new("/proc").join(init.to_string()).join("root").join(inside))
    }

    /// Asks its daemon, as the command line does on the node itself.
    ///
    /// # Errors
    /// Without power, or if the daemon does not answer.
    pub fn ask(&self, request: &Request) -> Result<Answer, LabError> {
        let asked =
            Client::connect(&self.control_socket()?).and_then(|mut client| client.call(request));
        asked.map_err(|error| LabError::Failed {
            command: format!("a request to the daemon of {}", self.name),
            status: "no answer".to_owned(),
            stderr: error.to_string(),
        })
    }

    /// What its daemon's history tells, oldest first; where none answers, what was kept of it.
    ///
    /// # Errors
    /// If there is none.
    pub fn history(&self) -> Result<Vec<Happening>, LabError> {
        let records = match self.ask(&Request::History { limit: HISTORY }) {
            Ok(Answer::History(records)) => records,
            Ok(
                other @ (Answer::Status(_)
                | Answer::Reload(_)
                | Answer::Command(_)
                | Answer::Error { .. }),
            ) => return Err(self.unexpected("history", &other)),
            Err(no_answer) => match kept(&self.state(), HISTORY) {
                Ok(Some(kept)) => kept.records,
                Ok(None) | Err(_) => return Err(no_answer),
            },
        };
        let wall = Moment::wall();
        let happening = |Record { unix_ms, event, .. }| Happening {
            moment: Moment::from_unix_millis(unix_ms, wall),
            event,
        };
        Ok(records.into_iter().map(happening).collect())
    }

    fn unexpected(&self, what: &str, answer: &Answer) -> LabError {
        LabError::Failed {
            command: format!("a question for the {what} of {}", self.name),
            status: "another answer".to_owned(),
            stderr: format!("{answer:?}"),
        }
    }

    /// All processes on it but PID 1.
    ///
    /// # Errors
    /// Without power.
    pub fn processes(&self) -> Result<Vec<Process>, LabError> {
        let init = self.with_machine(|machine| machine.init.id())?;
        let here = pid_namespace(init);
        let proc = Path::new("/proc");
        let entries = fs::read_dir(proc).map_err(file(proc))?;
        Ok(entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
            // A process that ends meanwhile has no namespace and no command line any more: it does not count.
            .filter(|pid| *pid != init && here.is_some() && pid_namespace(*pid) == here)
            .filter_map(|pid| {
                let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
                let command =
                    String::from_utf8_lossy(&line).replace('\0', " ").trim_end().to_owned();
                // A zombie has an empty one.
                (!command.is_empty())
                    .then_some(Process { pid: Pid::from_raw(i32::try_from(pid).ok()?), command })
            })
            .collect())
    }

    /// Kills all processes whose command line contains this; returns how many.
    ///
    /// # Errors
    /// Without power.
    pub fn kill_matching(&self, pattern: &str) -> Result<usize, LabError> {
        let victims: BTreeSet<Pid> = self
            .processes()?
            .into_iter()
            .filter(|process| process.command.contains(pattern))
            .map(|p| p.pid)
            .collect();
        for pid in &victims {
            match kill(*pid, Signal::SIGKILL) {
                // Some end when their parent does.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(refused(format!("kill {pid} on {}", self.name))(errno)),
            }
        }
        Ok(victims.len())
    }

    /// Runs a command on it to its end.
    ///
    /// # Errors
    /// Without power, or if it could not be started. That it failed is in the output.
    pub fn run(&self, mut command: Command) -> Result<Output, LabError> {
        command.stdin(Stdio::null());
        self.equip(&mut command);
        self.inside(move || command.output().map_err(tool::cannot_run(&command)))?
    }

    /// Does something in its namespaces.
    ///
    /// # Errors
    /// Without power.
    pub fn inside<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, LabError> {
        self.with_machine(|machine| machine.room.within(work))?
    }

    /// This program, as the daemon and the operator find it on a node.
    fn own_command(&self) -> Command {
        let mut command = Command::new(&self.program);
        self.equip(&mut command);
        command
    }

    /// Gives a command the environment of a node on which this program is installed.
    fn equip(&self, command: &mut Command) {
        let mut path = OsString::new();
        if let Some(directory) = self.program.parent() {
            path.push(directory);
            path.push(":");
        }
        path.push(tool::search_path());
        command.env("PATH", path).env("LUBDUB_AGENTS", "/etc/lubdub/agents");
    }

    fn signal_daemon(&self, signal: Signal) -> Result<(), LabError> {
        if !self.daemon_runs()? {
            return Err(self.problem("its daemon does not run"));
        }
        let id = self.with_machine(|machine| machine.daemon.as_ref().map(Child::id))?;
        let pid = pid_of(id.ok_or_else(|| self.problem("its daemon does not run"))?)?;
        kill(pid, signal).map_err(refused(format!("send {signal} to the daemon of {}", self.name)))
    }

    fn with_machine<R>(&self, work: impl FnOnce(&mut Machine) -> R) -> Result<R, LabError> {
        self.power.borrow_mut().as_mut().map(work).ok_or_else(|| self.problem("it has no power"))
    }

    fn problem(&self, problem: &'static str) -> LabError {
        LabError::Node { node: self.name.clone(), problem }
    }
}

fn start_init(program: &Path) -> Result<(Child, PipeWriter), LabError> {
    let mut command = init_command(program);
    let alive = tie(&mut command)?;
    command.stdout(Stdio::piped());
    let mut init = command.spawn().map_err(tool::cannot_run(&command))?;
    let mut line = String::new();
    if let Some(stdout) = init.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).map_err(file(Path::new("PID 1")))?;
    }
    if line.trim() == "ready" {
        return Ok((init, alive));
    }
    let status = init.wait().map_err(file(Path::new("PID 1")))?;
    Err(LabError::Failed {
        command: "lubdub lab-init".to_owned(),
        status: status.to_string(),
        stderr: "see above".to_owned(),
    })
}

/// Sets what a machine's boot sets: no IPv6 (its own packets would be counted as ours), and ping sockets for root.
pub(super) fn settle_network() -> Result<(), LabError> {
    for (key, value) in [
        ("ipv6/conf/all/disable_ipv6", "1"),
        ("ipv6/conf/default/disable_ipv6", "1"),
        ("ipv4/ping_group_range", "0 0"),
    ] {
        let path = Path::new("/proc/sys/net").join(key);
        match fs::write(&path, value) {
            // A kernel without IPv6 needs no switching off.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            result => result.map_err(file(&path))?,
        }
    }
    Ok(())
}

fn pid_namespace(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}
