//! Several nodes on one machine in network namespaces: `lubdub demo` and the tests stand on it. The daemon never needs it.
//!
//! It owns the nodes' namespaces, the switch between them and the faults in it, a client, and the view of each node's
//! kernel. It must not judge by what a daemon says: what counts is the client's answers and the kernels' own view. It is
//! driven by [`demo`], by `tests/netns` and by `benches`, all of which must run inside the outer namespaces that
//! [`Inside`] makes: there everything ends with the one process that asked for it, whatever happens, and nothing is
//! written to the machine.
//!
//! Needs `ip` (iproute2); where only part of the traffic on a network is to be lost, `nft` (nftables).

mod client;
pub mod demo;
mod enter;
mod error;
mod figures;
mod flood;
mod furniture;
mod kernels;
mod laboratory;
mod moment;
mod node;
mod plan;
mod room;
mod switch;
mod tool;
mod web;

use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

pub use client::{Attempt, Client, Failure, INTERVAL, Notes};
pub use enter::Inside;
pub use error::LabError;
pub use figures::{Outage, Sight};
pub use flood::{Flood, Flooded, Torrent};
pub use kernels::{Hold, Kernels};
pub use laboratory::{Lab, PATIENCE, stays, wait_for};
pub use moment::Moment;
pub use node::{Happening, Node, Process};
pub use plan::{
    APART, CLIENT, Carrier, GROUP, LAN, LINKS, PING_NODE, PORT, PRIVATE, Plan, SERVICE, SPARE,
    Service,
};
pub use switch::Switch;
pub use web::WebServer;

/// Hidden subcommands with which the laboratory helps itself.
#[derive(Debug, Clone, PartialEq, Eq, clap::Subcommand)]
pub enum Helper {
    /// Runs a command in new outer namespaces, and ends as it ends.
    #[command(name = "lab-enter", hide = true)]
    Enter {
        /// In a user namespace too.
        #[arg(long)]
        user_namespace: bool,
        /// The command.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// PID 1 of namespaces.
    #[command(name = "lab-init", hide = true)]
    Init {
        /// Ends as this command ends.
        #[arg(last = true)]
        command: Vec<OsString>,
    },
    /// The small web server.
    #[command(name = "lab-www", hide = true)]
    Www {
        /// Where it answers.
        #[arg(long)]
        listen: SocketAddr,
        /// What it answers.
        #[arg(long)]
        page: String,
        /// Where it writes its process id.
        #[arg(long)]
        pid_file: PathBuf,
    },
}

impl Helper {
    /// Does it. To be called before the process has a second thread: the kernel gives only such a process a user
    /// namespace.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let done = match self {
            Self::Enter { user_namespace, command } => enter::enter(*user_namespace, command),
            Self::Init { command } => enter::init(command),
            Self::Www { listen, page, pid_file } => web::serve(*listen, page, pid_file),
        };
        done.unwrap_or_else(|error| {
            complain(&error.to_string());
            ExitCode::FAILURE
        })
    }
}

/// Says something on stderr. If even that is gone, nobody is left to tell.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "lubdub: {text}");
}
