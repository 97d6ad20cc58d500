//! Asking the daemon of this node, and names that the operator mistyped.

use std::path::Path;

use super::exit::Failure;
use crate::cluster::io::{Command, Response};
use crate::cluster::snapshot::Snapshot;
use crate::control::{Answer, Client, Record, Reload, Request, Status};

/// A connection to the daemon of this node.
#[derive(Debug)]
pub(super) struct Daemon {
    client: Client,
}

impl Daemon {
    /// Connect.
    pub(super) fn connect(socket: &Path) -> Result<Self, Failure> {
        Ok(Self { client: Client::connect(socket)? })
    }

    /// How everything is.
    pub(super) fn status(&mut self) -> Result<Status, Failure> {
        match self.client.call(&Request::Status)? {
            Answer::Status(status) => Ok(*status),
            other @ (Answer::History(_)
            | Answer::Reload(_)
            | Answer::Command(_)
            | Answer::Error { .. }) => Err(unexpected(other)),
        }
    }

    /// What happened, oldest first.
    pub(super) fn history(&mut self, limit: u32) -> Result<Vec<Record>, Failure> {
        match self.client.call(&Request::History { limit })? {
            Answer::History(records) => Ok(records),
            other @ (Answer::Status(_)
            | Answer::Reload(_)
            | Answer::Command(_)
            | Answer::Error { .. }) => Err(unexpected(other)),
        }
    }

    /// Read keys and configuration again.
    pub(super) fn reload(&mut self) -> Result<Reload, Failure> {
        match self.client.call(&Request::Reload)? {
            Answer::Reload(outcome) => Ok(outcome),
            other @ (Answer::Status(_)
            | Answer::History(_)
            | Answer::Command(_)
            | Answer::Error { .. }) => Err(unexpected(other)),
        }
    }

    /// Ask for something: what will happen, and where a switchover goes to.
    pub(super) fn command(
        &mut self,
        command: Command,
    ) -> Result<(String, Option<String>), Failure> {
        match self.client.call(&Request::Command(command))? {
            Answer::Command(Response::Accepted { message, to }) => Ok((message, to)),
            Answer::Command(Response::Refused { message }) => Err(Failure::Failed(message)),
            other @ (Answer::Status(_)
            | Answer::History(_)
            | Answer::Reload(_)
            | Answer::Error { .. }) => Err(unexpected(other)),
        }
    }
}

fn unexpected(answer: Answer) -> Failure {
    match answer {
        Answer::Error { message } => Failure::Failed(message),
        Answer::Status(_) | Answer::History(_) | Answer::Reload(_) | Answer::Command(_) => {
            Failure::Failed(
                "the daemon answered another question: are command and daemon of the same version?"
                    .to_owned(),
            )
        }
    }
}

/// Check that a node has this name.
pub(super) fn known_node(snapshot: &Snapshot, name: &str) -> Result<(), Failure> {
    known("node", name, snapshot.nodes.iter().map(|node| node.name.as_str()))
}

/// Check that a group has this name.
pub(super) fn known_group(snapshot: &Snapshot, name: &str) -> Result<(), Failure> {
    known("group", name, snapshot.groups.iter().map(|group| group.name.as_str()))
}

/// Check that a name is one of those that exist; otherwise say which one was perhaps meant.
pub(super) fn known<'a>(
    kind: &str,
    name: &str,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), Failure> {
    let names: Vec<&str> = names.collect();
    if names.contains(&name) {
        return Ok(());
    }
    let hint = match nearest(name, &names) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => format!("there is no {kind} at all"),
        None => format!("there is: {}", names.join(", ")),
    };
    Err(Failure::Usage(format!("no {kind} is called `{name}`; {hint}")))
}

/// The name that is most like the given one: at most two slips of the finger away, and not every letter of it.
fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    const SLIPS: usize = 2;
    let slips =
        |known: &str| strsim::damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase());
    let (distance, known) = names.iter().map(|known| (slips(known), *known)).min()?;
    (distance <= SLIPS.min(name.chars().count().saturating_sub(1))).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyped_names_are_recognised() {
        let names = ["alpha", "beta", "gamma"];
        for (name, near) in
            [("alhpa", Some("alpha")), ("Beta", Some("beta")), ("gama", Some("gamma")), ("x", None)]
        {
            assert_eq!(nearest(name, &names), near, "{name}");
        }
        let text = known("node", "bta", names.into_iter()).unwrap_err().to_string();
        assert_eq!(text, "no node is called `bta`; did you mean `beta`?");
        let text = known("node", "zzz", names.into_iter()).unwrap_err().to_string();
        assert_eq!(text, "no node is called `zzz`; there is: alpha, beta, gamma");
        assert!(known("node", "beta", names.into_iter()).is_ok());
    }
}
