//! `lubdub status`: who has it, is the other one fine, why is it there, in one look. Text and `--json` are made from the
//! same [`Status`].

mod finding;
mod json;
mod keys;
mod maintenance;
mod page;
mod watch;

pub(super) use self::maintenance::waiting;
pub(super) use self::watch::watch;
use super::daemon::Daemon;
use super::exit::{Exit, Failure};
use super::output::{self, Paint};
use crate::control::Status;

/// Print how everything is. [`Exit::Degraded`] when a group has no holder or two, is blocked or less guarded than asked
/// for, a peer is not up, or nobody could take a group over.
pub(super) fn status(daemon: &mut Daemon, json: bool) -> Result<Exit, Failure> {
    let status = daemon.status()?;
    if json {
        output::json(&json::Printed::of(&status))?;
    } else {
        print(&status)?;
    }
    Ok(exit(&status))
}

fn print(status: &Status) -> Result<(), Failure> {
    output::result(&page::render(status, Paint::for_stdout()))
}

fn exit(status: &Status) -> Exit {
    if finding::findings(status).iter().any(|finding| finding.grade == finding::Grade::Degraded) {
        Exit::Degraded
    } else {
        Exit::Fine
    }
}

#[cfg(test)]
mod tests;
