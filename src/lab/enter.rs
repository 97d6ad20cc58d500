//! The way into the laboratory: new namespaces around a command, and its end whatever happens.
//!
//! ```text
//! whoever asks ─► lab-enter ─► lab-init (PID 1 of the outer namespaces) ─► the command: demo or test
//!                                                                           ├─► lab-init (PID 1 of node alpha) …
//! ```
//!
//! Each is killed with the one before it, and the kernel kills everything in a PID namespace with its PID 1: so nothing
//! is left behind after Ctrl-C, a panic or `kill -9` of any of them.
#![expect(
    clippy::disallowed_methods,
    reason = "the laboratory starts processes; the daemon never comes here"
)]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, PipeWriter, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::{set_child_subreaper, set_pdeathsig};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getegid, geteuid};

use super::error::{LabError, file, refused};
use super::tool;

/// How namespaces may be had on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// With root's own rights.
    Root,
    /// In a user namespace, in which anybody is root.
    UserNamespace,
}

/// A command that is to run inside the outer namespaces.
#[derive(Debug)]
pub struct Inside {
    command: Command,
    /// Closed with this process: a child that starts too late to be told of our death finds it closed.
    _alive: PipeWriter,
}

impl Inside {
    /// Finds a way to make namespaces, by trying it with a veth pair, and prepares a command for it. `program` is this
    /// very program: it helps itself.
    ///
    /// # Errors
    /// [`LabError::NoNamespaces`] says what was tried and what the kernel answered.
    pub fn new(program: &Path, command: &[OsString]) -> Result<Self, LabError> {
        // Some systems let a user make namespaces but do nothing in them (Ubuntu 24.04): only a try tells.
        let try_out = ["ip", "link", "add", "try0", "type", "veth", "peer", "name", "try1"]
            .map(OsString::from);
        let ways: &[Way] = if geteuid().is_root() {
            &[Way::Root, Way::UserNamespace]
        } else {
            &[Way::UserNamespace]
        };
        let mut reasons = String::new();
        for way in ways {
            let output = Self::by(*way, program, &try_out)?.output()?;
            if output.status.success() {
                return Self::by(*way, program, command);
            }
            let reason = String::from_utf8_lossy(&output.stderr);
            reasons.push_str(&format!("\n  {way:?}: {}", reason.trim()));
        }
        Err(LabError::NoNamespaces(reasons))
    }

    fn by(way: Way, program: &Path, inner: &[OsString]) -> Result<Self, LabError> {
        let mut command = Command::new(program);
        command.arg("lab-enter");
        match way {
            Way::Root => {}
            Way::UserNamespace => {
                command.arg("--user-namespace");
            }
        }
        command.arg("--").args(inner);
        let alive = tie(&mut command)?;
        Ok(Self { command, _alive: alive })
    }

    /// Runs it to its end, with this process's output, and ends as it ends. A signal that asks this process to end ends
    /// it at once. Either way nothing of it is left when this returns.
    ///
    /// # Errors
    /// If it could not be started.
    pub fn run(mut self) -> Result<ExitCode, LabError> {
        // What loses its parent becomes our child, so that it can be waited for.
        set_child_subreaper(true).map_err(refused("become the parent of orphans"))?;
        let mut signals = SigSet::empty();
        [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT]
            .iter()
            .for_each(|signal| signals.add(*signal));
        signals.thread_block().map_err(refused("block signals"))?;
        let mut child = self.command.spawn().map_err(tool::cannot_run(&self.command))?;
        let gone = |error| file(Path::new("lab-enter"))(error);
        let code = loop {
            if let Some(status) = child.try_wait().map_err(gone)? {
                break exit_code(status.code());
            }
            let signal = signals.wait().map_err(refused("wait for signals"))?;
            if signal != Signal::SIGCHLD {
                child.kill().and_then(|()| child.wait()).map_err(gone)?;
                // As a shell tells of it.
                break exit_code(Some(128 + signal as i32));
            }
        };
        // PID 1 of the namespaces is gone once everything in them is.
        while waitpid(None, None).is_ok() {}
        Ok(code)
    }

    /// Runs it to its end and keeps what it printed.
    ///
    /// # Errors
    /// If it could not be started.
    pub fn output(mut self) -> Result<Output, LabError> {
        self.command.output().map_err(tool::cannot_run(&self.command))
    }
}

/// Makes new namespaces, then runs a command in them under a PID 1 of its own, and ends as it ends.
pub(super) fn enter(user_namespace: bool, command: &[OsString]) -> Result<ExitCode, LabError> {
    let (user, group) = (geteuid(), getegid());
    let mut namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    namespaces.set(CloneFlags::CLONE_NEWUSER, user_namespace);
    unshare(namespaces).map_err(refused("make namespaces"))?;
    if user_namespace {
        write("/proc/self/setgroups", "deny")?;
        write("/proc/self/uid_map", &format!("0 {user} 1"))?;
        write("/proc/self/gid_map", &format!("0 {group} 1"))?;
    }
    die_with_parent()?;
    let mut init = init_command(&own_program()?);
    init.arg("--").args(command);
    let _alive = tie(&mut init)?;
    let status = init.status().map_err(tool::cannot_run(&init))?;
    Ok(exit_code(status.code()))
}

/// PID 1 of a PID namespace: its own `/proc`, and no zombies. With a command it ends as the command ends, without one it
/// says `ready` on stdout and stays.
pub(super) fn init(command: &[OsString]) -> Result<ExitCode, LabError> {
    die_with_parent()?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .map_err(refused("make the mounts private"))?;
    mount(
        Some("proc"),
        "/proc",
        Some("proc"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        None::<&str>,
    )
    .map_err(refused("mount /proc"))?;
    let mut ended = SigSet::empty();
    ended.add(Signal::SIGCHLD);
    ended.thread_block().map_err(refused("block SIGCHLD"))?;
    let main = match command {
        [] => {
            let mut stdout = io::stdout();
            stdout
                .write_all(b"ready\n")
                .and_then(|()| stdout.flush())
                .map_err(file(Path::new("stdout")))?;
            None
        }
        [program, arguments @ ..] => Some(start(program, arguments)?),
    };
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if Some(pid) == main => {
                return Ok(exit_code(Some(code)));
            }
            Ok(WaitStatus::Signaled(pid, _, _)) if Some(pid) == main => return Ok(exit_code(None)),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => {
                ended.wait().map_err(refused("wait for SIGCHLD"))?;
            }
            Ok(_) => {}
            Err(errno) => return Err(refused("wait for children")(errno)),
        }
    }
}

/// The command for PID 1 of a node; see [`init`].
pub(super) fn init_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("lab-init");
    command
}

/// Gives a command one end of a pipe as its stdin; the other closes with this process, or earlier.
pub(super) fn tie(command: &mut Command) -> Result<PipeWriter, LabError> {
    let (reader, writer) = io::pipe().map_err(file(Path::new("pipe")))?;
    command.stdin(Stdio::from(reader));
    Ok(writer)
}

/// This very program.
pub(super) fn own_program() -> Result<std::path::PathBuf, LabError> {
    std::env::current_exe().map_err(file(Path::new("/proc/self/exe")))
}

fn start(program: &OsStr, arguments: &[OsString]) -> Result<Pid, LabError> {
    let mut command = tool::command(program);
    command.args(arguments).stdin(Stdio::null());
    let child = command.spawn().map_err(tool::cannot_run(&command))?;
    pid_of(child.id())
}

/// A process id as std has it, as nix has it.
pub(super) fn pid_of(id: u32) -> Result<Pid, LabError> {
    i32::try_from(id).map(Pid::from_raw).map_err(|_out_of_range| LabError::Refused {
        what: format!("use {id} as a process id"),
        errno: Errno::ERANGE,
    })
}

/// The kernel kills this process as soon as its parent ends. A parent that ended before has closed our stdin (see
/// [`tie`]).
fn die_with_parent() -> Result<(), LabError> {
    set_pdeathsig(Signal::SIGKILL).map_err(refused("ask for a signal at the parent's death"))?;
    let stdin = io::stdin();
    let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO).map_err(refused("look at stdin"))?;
    let [stdin] = fds;
    if stdin.revents().is_some_and(|events| events.contains(PollFlags::POLLHUP)) {
        return Err(LabError::Refused {
            what: "find the parent alive".to_owned(),
            errno: Errno::ESRCH,
        });
    }
    Ok(())
}

fn write(path: &str, text: &str) -> Result<(), LabError> {
    fs::write(path, text).map_err(file(Path::new(path)))
}

/// A command that was killed counts as failed.
pub(super) fn exit_code(code: Option<i32>) -> ExitCode {
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
