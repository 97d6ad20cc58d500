//! How the program ends: exit codes and errors, each error with what to do next.

use std::io;
use std::process::ExitCode;

use crate::control::ClientError;

/// Exit codes of every subcommand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Exit {
    /// 0: fine.
    Fine,
    /// 1: what was asked for did not happen.
    Failed,
    /// 2: usage or configuration.
    Usage,
    /// 3: the cluster is degraded (`status`).
    Degraded,
    /// 4: no daemon to talk to.
    NoDaemon,
    /// The code of the agent (`agent run`).
    Agent(u8),
    /// As the laboratory ended (its helpers and `demo`).
    Lab(ExitCode),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Fine => 0.into(),
            Exit::Failed => 1.into(),
            Exit::Usage => 2.into(),
            Exit::Degraded => 3.into(),
            Exit::NoDaemon => 4.into(),
            Exit::Agent(code) => code.into(),
            Exit::Lab(code) => code,
        }
    }
}

/// Why a subcommand ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// What was asked for did not happen.
    #[error("{0}")]
    Failed(String),
    /// It cannot be asked so.
    #[error("{0}")]
    Usage(String),
    /// The daemon cannot be asked.
    #[error(transparent)]
    Daemon(#[from] ClientError),
    /// The result could not be printed.
    #[error("cannot print the result: {0}")]
    Print(#[source] io::Error),
}

impl Failure {
    /// How the program ends because of it. A reader that has gone (`| head`) had what it wanted.
    #[must_use]
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Failed(_) => Exit::Failed,
            Self::Usage(_) => Exit::Usage,
            Self::Daemon(ClientError::NoDaemon { .. } | ClientError::Silent { .. }) => {
                Exit::NoDaemon
            }
            Self::Daemon(
                ClientError::Denied { .. }
                | ClientError::Broken { .. }
                | ClientError::Foreign { .. },
            ) => Exit::Failed,
            Self::Print(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Fine,
            Self::Print(_) => Exit::Failed,
        }
    }
}
