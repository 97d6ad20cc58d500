//! Programs of the machine that the laboratory runs: `ip` (iproute2) for the network, `nft` (nftables) for loss and
//! one-way cuts.
#![expect(
    clippy::disallowed_methods,
    reason = "the laboratory starts processes; the daemon never comes here"
)]

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use super::error::LabError;

/// Directories in which tools of the administrator lie, which the `PATH` of other users may lack.
const ADMIN_DIRECTORIES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// `PATH`, and where tools of the administrator lie.
pub(super) fn search_path() -> OsString {
    let own = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&own).chain(ADMIN_DIRECTORIES.map(PathBuf::from));
    std::env::join_paths(directories).unwrap_or(own)
}

/// Where a program is, if it is on the machine.
#[must_use]
pub(super) fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&search_path())
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

/// A command that finds its program in the administrator's directories too.
pub(super) fn command(program: impl Into<OsString>) -> Command {
    let mut command = Command::new(program.into());
    command.env("PATH", search_path());
    command
}

/// Runs commands of `ip`, one a line, in the namespaces of the calling thread.
pub(super) fn ip(lines: &str) -> Result<(), LabError> {
    feed("ip", &["-batch", "-"], lines).map_err(missing(
        "ip",
        "iproute2",
        "the laboratory's network",
    ))
}

/// Loads nftables rules in the namespaces of the calling thread.
pub(super) fn nft(rules: &str) -> Result<(), LabError> {
    feed("nft", &["-f", "-"], rules).map_err(missing(
        "nft",
        "nftables",
        "faults that hit part of the traffic (loss, one-way cuts, cut heartbeats)",
    ))
}

/// Runs a command to its end; its output, if it succeeded.
pub(super) fn finish(mut command: Command) -> Result<Output, LabError> {
    let output = command.stdin(Stdio::null()).output().map_err(cannot_run(&command))?;
    succeeded(&command, output)
}

fn feed(program: &'static str, arguments: &[&str], input: &str) -> Result<(), LabError> {
    let mut command = command(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(cannot_run(&command))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that gives up before it has read everything says why on stderr.
        match stdin.write_all(input.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(cannot_run(&command)(error));
            }
            _ => {}
        }
    }
    let output = child.wait_with_output().map_err(cannot_run(&command))?;
    succeeded(&command, output).map(drop)
}

fn succeeded(command: &Command, output: Output) -> Result<Output, LabError> {
    if output.status.success() {
        return Ok(output);
    }
    Err(LabError::Failed {
        command: line(command),
        status: output.status.to_string(),
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// Turns a failed start into an error that names the program.
pub(super) fn cannot_run(command: &Command) -> impl FnOnce(io::Error) -> LabError + use<> {
    let program = command.get_program().to_string_lossy().into_owned();
    move |source| LabError::CannotRun { program, source }
}

/// Says which package a tool is in, where it is the tool itself that is missing.
fn missing(
    tool: &'static str,
    package: &'static str,
    purpose: &str,
) -> impl FnOnce(LabError) -> LabError {
    let purpose = purpose.to_owned();
    move |error| {
        if matches!(&error, LabError::CannotRun { source, .. } if source.kind() == io::ErrorKind::NotFound)
        {
            return LabError::ToolMissing { tool, purpose, package };
        }
        error
    }
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_names_its_package() {
        let error = feed("no-such-tool-at-all", &[], "")
            .map_err(missing("nft", "nftables", "loss"))
            .unwrap_err();
        assert_eq!(error.to_string(), "nft is needed for loss: install the package nftables");
    }

    #[test]
    fn a_failed_command_shows_its_own_words() {
        let mut command = command("sh");
        command.args(["-c", "echo broken >&2; exit 3"]);
        let error = finish(command).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.ends_with("broken"), "{error}");
    }
}
