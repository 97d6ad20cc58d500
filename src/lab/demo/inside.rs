//! The way of the demo into its namespaces, and the terminal's way back out.
#![expect(
    clippy::disallowed_methods,
    reason = "it starts itself again, inside or as root; the daemon never comes here"
)]

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use nix::unistd::geteuid;

use super::super::enter::own_program;
use super::super::error::{LabError, file};
use super::super::{Inside, complain, tool};
use super::Mode;
use crate::screen::Guard;

/// Starts this very command again inside the namespaces; where only root can make some, as root.
pub(super) fn go(mode: Mode) -> Result<ExitCode, LabError> {
    let program = own_program()?;
    let again: Vec<OsString> = std::iter::once(program.clone().into_os_string())
        .chain(std::env::args_os().skip(1))
        .chain([OsString::from("--inside")])
        .collect();
    match Inside::new(&program, &again) {
        Ok(inside) => {
            let guard = match mode {
                Mode::Screen => Some(Guard::new().map_err(file(Path::new("/dev/tty")))?),
                Mode::All | Mode::One(_) | Mode::Figures(_) => None,
            };
            let ended = inside.run();
            if guard.is_some_and(Guard::give_back) {
                complain("the demo was killed; nothing of it is left");
            }
            ended
        }
        Err(error @ LabError::NoNamespaces(_))
            if !geteuid().is_root() && tool::find("sudo").is_some() =>
        {
            complain(&format!("{error}\nlubdub: trying again as root, with sudo"));
            let mut sudo = Command::new("sudo");
            sudo.arg("--").arg(&program).args(["lab-enter", "--"]).args(again);
            match mode {
                // Keys are read from the terminal that sudo gives it.
                Mode::Screen => {}
                Mode::All | Mode::One(_) | Mode::Figures(_) => {
                    sudo.stdin(Stdio::null());
                }
            }
            Err(tool::cannot_run(&sudo)(sudo.exec()))
        }
        Err(error) => Err(error),
    }
}
