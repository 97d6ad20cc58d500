//! What can go wrong in the laboratory.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use crate::agent::FindError;

/// Something in the laboratory did not work. Each says where, what, and what to do next.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Neither root's rights nor a user namespace is to be had here.
    #[error(
        "this machine lets nobody make network namespaces here:{0}\nRun it as root (sudo), or allow user namespaces."
    )]
    NoNamespaces(String),
    /// A tool of the machine is missing.
    #[error("{tool} is needed for {purpose}: install the package {package}")]
    ToolMissing {
        /// The program.
        tool: &'static str,
        /// What for.
        purpose: String,
        /// Debian's and Ubuntu's package that has it.
        package: &'static str,
    },
    /// lubdub's own agents are not to be found.
    #[error(transparent)]
    Agents(#[from] FindError),
    /// A program could not be started.
    #[error("cannot run {program}: {source}")]
    CannotRun {
        /// Which.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A program failed.
    #[error("{command} failed ({status}): {stderr}")]
    Failed {
        /// Its command line.
        command: String,
        /// How it ended.
        status: String,
        /// Its own words.
        stderr: String,
    },
    /// The kernel refused something.
    #[error("{what}: {errno}")]
    Refused {
        /// What was asked of it.
        what: String,
        /// Its answer.
        errno: Errno,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no such node, or it is in the wrong state for what was asked.
    #[error("node {node}: {problem}")]
    Node {
        /// Which.
        node: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A thread of the laboratory ended early.
    #[error("the thread of {0} ended before its work was done")]
    ThreadEnded(String),
    /// A condition was not met in time.
    #[error("{what}: not within {within:?}")]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        within: Duration,
    },
    /// A condition that was to last did not.
    #[error("{what}: no longer so after {after:?}")]
    Broken {
        /// What was to last.
        what: String,
        /// How long it lasted.
        after: Duration,
    },
}

/// Turns a kernel's refusal into an error that says what was asked.
pub(super) fn refused(what: impl Into<String>) -> impl FnOnce(Errno) -> LabError {
    let what = what.into();
    move |errno| LabError::Refused { what, errno }
}

/// Turns a failed access to a file into an error that names it.
pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> LabError {
    let path = path.to_path_buf();
    move |source| LabError::File { path, source }
}
