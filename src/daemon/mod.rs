//! Everything that touches the world: event loop, sockets, netlink, processes, disk. Decides nothing: each input goes to
//! the core, each output is carried out.

pub mod address;
mod carry;
pub mod clock;
mod event_loop;
pub mod exec;
pub mod icmp;
pub mod link;
pub mod log;
mod metrics;
#[cfg(test)]
mod namespace;
pub mod netlink;
pub mod notify;
pub mod packet;
mod readiness;
pub mod realtime;
mod reload;
pub mod store;
pub mod survey;

use std::io;
use std::path::PathBuf;

use nix::sys::signal::SigSet;
use thiserror::Error;

use crate::agent::Agents;
use crate::config::{self, ConfigErrors};
use crate::control::{BindError, Server};
use crate::wire::{Keys, LoadError};
use clock::Clock;
use event_loop::EventLoop;
use reload::Files;

/// What `lubdub run` is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// The configuration.
    pub config: PathBuf,
    /// Which node of it this machine is; `None`: the one with the host's name.
    pub node: Option<String>,
    /// The keys.
    pub authkeys: PathBuf,
    /// Where terms, wishes and history are kept.
    pub state: PathBuf,
    /// Where the command line finds the daemon.
    pub socket: PathBuf,
    /// How the log is written.
    pub log: log::Format,
}

/// Why the daemon does not start, or had to end. Nothing was started or stopped by it then.
#[derive(Debug, Error)]
pub enum RunError {
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] LoadError),
    /// No socket for the command line.
    #[error(transparent)]
    Socket(#[from] BindError),
    /// Another daemon has the state directory.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// No agents can be run.
    #[error(transparent)]
    Agents(#[from] exec::StartError),
    /// The ping nodes cannot be asked.
    #[error("ping nodes cannot be asked: {0}")]
    Ping(#[from] icmp::PingerError),
    /// Addresses cannot be looked after.
    #[error("addresses cannot be looked after: {0}")]
    Address(#[from] address::IpError),
    /// No news of interfaces and addresses.
    #[error("changes of interfaces and addresses cannot be watched: {0}")]
    Watch(#[from] netlink::NetlinkError),
    /// The thread that serves metrics cannot be made.
    #[error(
        "metrics cannot be served: {0}; take [metrics] out, or look at the limits on threads and open files"
    )]
    Metrics(#[source] io::Error),
    /// The kernel gave no random numbers.
    #[error("the kernel has no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// A call that should not fail did.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> RunError {
    move |source| RunError::System { what, source }
}

/// Runs the daemon until it is told to end (SIGTERM, SIGINT) and has handed over what it ran.
///
/// # Errors
///
/// A [`RunError`]; the file and line stand in it where there is one.
pub fn run(options: &Options) -> Result<(), RunError> {
    // Whoever started this process may have blocked signals, SIGCHLD among them.
    SigSet::empty()
        .thread_set_mask()
        .map_err(|errno| system("cannot unblock signals")(errno.into()))?;
    exec::close_inherited_descriptors().map_err(system("cannot look at inherited descriptors"))?;
    let log = log::Log::start(options.log).map_err(system("cannot start the log"))?;
    let files = files(options)?;
    let config = config::load(&files.config, &files.node)?;
    let keys = Keys::load(&files.authkeys)?;
    let program = std::env::current_exe().map_err(system("cannot find the lubdub program"))?;
    let agents =
        Agents::of_program(&program, std::env::var_os(crate::agent::AGENTS_VARIABLE).as_deref());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        // They look up users and read files: nothing that may run before everything else.
        .on_thread_start(realtime::lower)
        .build()
        .map_err(system("cannot start the event loop"))?;
    let ended = runtime.block_on(async {
        let clock = Clock::start();
        // The one who has the control socket is the one daemon of this machine.
        let server = Server::bind(&options.socket)?;
        let parts = event_loop::Parts { config, keys, files, agents, program, clock, log, server };
        EventLoop::new(parts, &options.state)?.run().await
    });
    // A file that is still being read, or a user looked up, holds nobody up.
    runtime.shutdown_background();
    ended
}

fn files(options: &Options) -> Result<Files, RunError> {
    let node = match &options.node {
        Some(name) => name.clone(),
        None => host_name()?,
    };
    Ok(Files { config: options.config.clone(), node, authkeys: options.authkeys.clone() })
}

/// The host's name up to its first dot: the node that this machine is unless told otherwise.
///
/// # Errors
///
/// The system has none.
pub fn host_name() -> Result<String, RunError> {
    let name = nix::unistd::gethostname()
        .map_err(|errno| system("cannot read the host's name")(errno.into()))?;
    let name = name.to_string_lossy();
    Ok(name.split('.').next().unwrap_or_default().to_owned())
}
