//! The command line's grammar.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::agent::Action;
use crate::config::cidr;
use crate::control::DEFAULT_SOCKET;
use crate::daemon::store::DEFAULT_DIR;
use crate::lab;

const EXIT_CODES: &str = "Exit codes: 0 fine, 1 failed, 2 usage or configuration, 3 the cluster is degraded (status), \
                          4 no daemon to talk to. `agent run` and `ip` end with the codes of the OCF agent API.";

/// Keeps a service running on exactly one of a few Linux nodes.
#[derive(Debug, Parser)]
#[command(name = "lubdub", version, about, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub(super) struct Arguments {
    /// Socket on which the daemon of this node listens
    #[arg(long, global = true, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub(super) socket: PathBuf,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run the daemon in the foreground
    Run(RunArgs),
    /// Check the configuration, the keys, the agents that it names and their parameters; with --peer the other nodes too
    Check(CheckArgs),
    /// Write an authkeys file with a fresh random key
    Keygen(KeygenArgs),
    /// Show nodes, links, guard and groups: what is, what should be, and why
    #[command(
        after_help = "Ends with 3 when a group has no holder or two, is blocked or less guarded than asked for, \
                            a peer is not up, or nobody could take a group over."
    )]
    Status {
        /// All of it as one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what happened, when and why, oldest first
    History {
        /// One record a line as JSON
        #[arg(long)]
        json: bool,
        /// At most so many, the newest ones
        #[arg(short = 'n', value_name = "N", default_value_t = 50)]
        limit: u32,
        /// Where the daemon keeps it; read where no daemon answers
        #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
        state: PathBuf,
    },
    /// Move a group to another node, and wait until it runs there
    Switchover {
        group: String,
        /// Where to; by default the best other node
        #[arg(long, value_name = "NODE")]
        to: Option<String>,
        #[command(flatten)]
        patience: Patience,
    },
    /// Let a node (this one by default) give up its groups and take none
    Standby {
        node: Option<String>,
        #[command(flatten)]
        patience: Patience,
    },
    /// Let a node (this one by default) take part again
    Online {
        node: Option<String>,
        #[command(flatten)]
        patience: Patience,
    },
    /// Vouch that a lost node runs nothing, so that its groups may be taken over
    ConfirmDead {
        node: String,
        /// Do not ask back
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        patience: Patience,
    },
    /// Look at agents, or run one by hand
    #[command(subcommand)]
    Agent(AgentVerb),
    /// Add, remove, show or announce an address; what the agent IPaddr uses
    #[command(subcommand)]
    Ip(IpVerb),
    /// Play a failure on a pair in network namespaces of this machine, with a real web server
    Demo(lab::demo::Args),
    #[command(flatten)]
    Lab(lab::Helper),
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The cluster's configuration
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(super) config: PathBuf,
    /// Which node of it this machine is; by default the one with the host's name
    #[arg(long, value_name = "NAME")]
    pub(super) node: Option<String>,
    /// The shared keys
    #[arg(long, value_name = "FILE", default_value = DEFAULT_AUTHKEYS)]
    pub(super) authkeys: PathBuf,
    /// Where terms, wishes and history are kept
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    pub(super) state: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The cluster's configuration
    #[arg(value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(super) config: PathBuf,
    /// Which node of it this machine is: its agents, interfaces and addresses are looked at too; by default the one
    /// with the host's name
    #[arg(long, value_name = "NAME")]
    pub(super) node: Option<String>,
    /// The shared keys
    #[arg(long, value_name = "FILE", default_value = DEFAULT_AUTHKEYS)]
    pub(super) authkeys: PathBuf,
    /// Before the first start, on all nodes at about the same time: test links, keys, clocks, ping nodes and addresses.
    /// Nothing is started, and a daemon that runs on another node does nothing about it but answer
    #[arg(long)]
    pub(super) peer: bool,
    /// How long the other nodes are waited for
    #[arg(long, requires = "peer", value_name = "SECONDS", default_value = "60s", value_parser = seconds)]
    pub(super) wait: Duration,
}

#[derive(Debug, Args)]
pub(super) struct KeygenArgs {
    /// Where to write it; `-`: stdout
    #[arg(value_name = "FILE", default_value = DEFAULT_AUTHKEYS)]
    pub(super) file: PathBuf,
    /// Replace a file that exists
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, Args)]
pub(super) struct Patience {
    /// How long to wait until it has happened
    #[arg(long, value_name = "SECONDS", default_value = "60s", value_parser = seconds)]
    pub(super) timeout: Duration,
}

#[derive(Debug, Subcommand)]
pub(super) enum AgentVerb {
    /// List the agents that are installed
    List,
    /// Show what an agent does and its parameters
    Describe { agent: String },
    /// Run one action of an agent, with its output, and end with its exit code
    Run {
        agent: String,
        /// start, stop, monitor, validate-all or meta-data
        #[arg(value_parser = action)]
        action: Action,
        /// A parameter; may be repeated
        #[arg(short = 'p', value_name = "KEY=VALUE", value_parser = parameter)]
        params: Vec<(String, String)>,
        /// How long it may take until it is killed
        #[arg(long, value_name = "SECONDS", default_value = "60s", value_parser = seconds)]
        timeout: Duration,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum IpVerb {
    /// Add an address, or renew its lease
    Add {
        #[command(flatten)]
        at: IpArgs,
        /// Seconds after which the kernel removes it unless it is renewed; by default never
        #[arg(long, value_name = "SECONDS")]
        lease: Option<u32>,
        /// CLOCK_BOOTTIME in microseconds after which it must not be added any more
        #[arg(long, value_name = "MICROSECONDS")]
        not_after: Option<u64>,
    },
    /// Remove an address; fine if it is not there
    Del(IpArgs),
    /// Show whether an address is there: 0 if it is, 7 if not
    Show(IpArgs),
    /// Tell the network that an address is here
    Announce(IpArgs),
}

#[derive(Debug, Args)]
pub(super) struct IpArgs {
    /// The address with the length of its prefix, such as 10.0.0.100/24
    #[arg(value_name = "ADDRESS/PREFIX", value_parser = cidr)]
    pub(super) address: (IpAddr, u8),
    /// Its interface; by default the one that is connected to its network
    #[arg(long, value_name = "NAME")]
    pub(super) interface: Option<String>,
}

pub(super) const DEFAULT_CONFIG: &str = "/etc/lubdub/cluster.toml";
pub(super) const DEFAULT_AUTHKEYS: &str = "/etc/lubdub/authkeys";

/// Seconds, with the unit or without: `60`, `60s`.
fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text);
    number
        .parse()
        .map(Duration::from_secs)
        .map_err(|error| format!("{error}; write seconds, such as 60"))
}

fn action(text: &str) -> Result<Action, String> {
    let all = [Action::Start, Action::Stop, Action::Monitor, Action::ValidateAll, Action::MetaData];
    all.into_iter()
        .find(|action| action.word() == text)
        .ok_or_else(|| format!("no such action; there is: {}", all.map(Action::word).join(", ")))
}

fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("write it as KEY=VALUE, such as ip=10.0.0.100/24".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn values() {
        assert_eq!(seconds("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(seconds("5"), Ok(Duration::from_secs(5)));
        assert!(seconds("a minute").is_err());
        assert_eq!(action("validate-all"), Ok(Action::ValidateAll));
        assert!(action("promote").is_err());
        assert_eq!(parameter("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(parameter("=b").is_err() && parameter("b").is_err());
    }
}
