//! The command line's grammar.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};

use super::init::Service;
use crate::agent::Action;
use crate::config::{cidr, is_name, parse_duration, parse_ip};
use crate::control::DEFAULT_SOCKET;
use crate::daemon::log::Format;
use crate::daemon::store::DEFAULT_DIR;
use crate::wire::KeyId;
use crate::{import, lab};

const EXIT_CODES: &str = "Exit codes: 0 fine, 1 failed, 2 usage or configuration, 3 the cluster is degraded (status), \
                          4 no daemon to talk to. `agent run` and `ip` end with the codes of the OCF agent API.";

const KEYGEN_STEPS: &str = "To change the key of a running cluster, on every node, each step on all before the next:\n  \
                            1. lubdub keygen --add on one, copy the file to the others, then lubdub reload\n  \
                            2. lubdub keygen --use 2, lubdub reload   (the id that --add told)\n  \
                            3. lubdub keygen --drop 1, lubdub reload  (once lubdub status shows that nobody signs with it)";

const INIT_HELP: &str = "\
What no flag says is asked for, where there is a terminal; each answer is checked when it is given. Two nodes that meet on \
two networks, without a question:

  lubdub init --cluster web --address 10.10.10.100/24 --ping 10.10.10.254 --service nginx \\
      --node alpha=10.10.10.11,192.168.9.1 --node beta=10.10.10.12,192.168.9.2

Neither file is written over another one, and neither without the other. What comes next is printed: copy both files to \
the other nodes, `lubdub check --peer`, start.

Exit codes: 0 both files were written; 1 they were not: one is there already, say; 2 an answer or a flag is not right.";

const IMPORT_HELP: &str = "\
What became of each line is told on stderr: what it is now, that it is not needed, or why it is NOT CONVERTED and what to \
do instead. What cannot be known stands in the result as <...>, which `lubdub check` refuses until you have decided.

  lubdub import /etc/ha.d > cluster.toml
  lubdub import /etc/ha.d --peer alpha=10.0.0.11 --output /etc/lubdub
  lubdub import alpha=alpha/keepalived.conf beta=beta/keepalived.conf
  lubdub import alpha=/etc/keepalived/keepalived.conf --peer beta

Exit codes: 0 something was made, complete or not; 1 it could not be written; 2 a source cannot be read or understood.";

/// Keeps a service running on exactly one of a few Linux nodes.
#[derive(Debug, Parser)]
#[command(name = "lubdub", version, about, after_help = EXIT_CODES)]
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
    /// Write cluster.toml and authkeys of a new cluster, by asking, or by flags
    #[command(after_help = INIT_HELP)]
    Init(InitArgs),
    /// Check the configuration, the keys, the agents that it names and their parameters; with --peer the other nodes too
    Check(CheckArgs),
    /// Write an authkeys file with a fresh random key, or take a step of a change of keys
    Keygen(KeygenArgs),
    /// Have the daemon read its keys again, and say what differs
    #[command(
        after_help = "Keys are taken up at once. One file that is not right, or keys without which a peer would be \
                            lost, and nothing is changed. What changed in cluster.toml is named; for that the daemon \
                            has to be restarted. `systemctl reload lubdub` and SIGHUP do the same."
    )]
    Reload,
    /// Make cluster.toml of Heartbeat's configuration, or of the VRRP part of keepalived.conf
    #[command(after_help = IMPORT_HELP)]
    Import(ImportArgs),
    /// Show nodes, links, guard and groups: what is, what should be, and why
    #[command(
        after_help = "Ends with 3 when a group has no holder or two, is blocked or less guarded than asked for, \
                            a peer is not up, or nobody could take a group over."
    )]
    Status {
        /// All of it as one line of JSON
        #[arg(long)]
        json: bool,
        /// Go on showing it, live, until q is pressed; where stdout is no terminal, what happens, a line each
        #[arg(long, conflicts_with = "json")]
        watch: bool,
    },
    /// Show what happened, when and why, oldest first
    History {
        /// One record a line as JSON
        #[arg(long)]
        json: bool,
        /// At most so many, the newest ones; from 1
        #[arg(short = 'n', value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(1..))]
        limit: u32,
        /// Where the daemon keeps it; read where no daemon answers
        #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
        state: PathBuf,
    },
    /// Move a group to another node, and wait until it runs there
    Switchover {
        /// A group, by its name in cluster.toml
        group: String,
        /// Where to; by default the best other node
        #[arg(long, value_name = "NODE")]
        to: Option<String>,
        #[command(flatten)]
        patience: Patience,
    },
    /// Let a node (this one by default) give up its groups and take none
    Standby {
        /// A node, by its name in cluster.toml; by default this one
        node: Option<String>,
        #[command(flatten)]
        patience: Patience,
    },
    /// Let a node (this one by default) take part again
    Online {
        /// A node, by its name in cluster.toml; by default this one
        node: Option<String>,
        #[command(flatten)]
        patience: Patience,
    },
    /// Leave everything as it is on all nodes, whatever stops or falls silent (on), or look after it again (off)
    Maintenance {
        /// `on`: nothing is started, stopped, moved or monitored, and a daemon that ends leaves running what runs
        #[arg(value_name = "on|off")]
        switch: Switch,
        #[command(flatten)]
        patience: Patience,
    },
    /// Vouch that a lost node runs nothing, so that its groups may be taken over
    ConfirmDead {
        /// The lost node, by its name in cluster.toml
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
    /// Break a real pair in network namespaces of this machine, key by key, and watch it fail over
    Demo(lab::demo::Args),
    #[command(flatten)]
    Lab(lab::Helper),
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
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
    /// How the log is written; `auto` is the journal where stderr leads there (fields such as GROUP=web, PEER=beta,
    /// EVENT=peer_lost), else text on stderr
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = formats())]
    pub(super) log: Format,
}

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The cluster's name: clusters that share a network are told apart by it
    #[arg(long, value_name = "NAME")]
    pub(super) cluster: Option<String>,
    /// A node by its host's name, with its address on the network of the clients and, better, on a second network that
    /// shares nothing with the first; once for each node, the preferred one first
    #[arg(long = "node", value_name = "NAME=ADDRESS[,ADDRESS]")]
    pub(super) nodes: Vec<String>,
    /// The address that the clients use and that moves, with the prefix of its network
    #[arg(long, value_name = "ADDRESS/PREFIX")]
    pub(super) address: Option<String>,
    /// The interface of that address, of all nodes or, repeated, of each; only needed where the nodes have no address of
    /// its network
    #[arg(long = "interface", value_name = "[NODE=]NAME")]
    pub(super) interfaces: Vec<String>,
    /// A ping node, which tells a node whether it is itself cut off: a router, say; may be repeated. Or `none`
    #[arg(long, value_name = "ADDRESS")]
    pub(super) ping: Vec<String>,
    /// Without the arp guard, in networks that answer for addresses themselves, as those of clouds do
    #[arg(long)]
    pub(super) no_arp: bool,
    /// What runs behind the address
    #[arg(long, value_enum)]
    pub(super) service: Option<Service>,
    /// Where both files are written
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIRECTORY)]
    pub(super) directory: PathBuf,
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
    /// How long the other nodes are waited for: 500ms, 10s or 2m; a bare number is seconds
    #[arg(long, requires = "peer", value_name = "TIME", default_value = "60s", value_parser = time)]
    pub(super) wait: Duration,
}

#[derive(Debug, Args)]
#[command(after_help = KEYGEN_STEPS)]
pub(super) struct KeygenArgs {
    /// The file; `-`: a fresh one to stdout
    #[arg(value_name = "FILE", default_value = DEFAULT_AUTHKEYS)]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) step: KeygenStep,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct KeygenStep {
    /// Write a fresh file over one that exists
    #[arg(long)]
    pub(super) force: bool,
    /// Add a random key to the file; nothing signs with it yet
    #[arg(long)]
    pub(super) add: bool,
    /// Let this key of the file sign
    #[arg(long = "use", value_name = "ID")]
    pub(super) sign_with: Option<KeyId>,
    /// Take this key out of the file
    #[arg(long = "drop", value_name = "ID")]
    pub(super) drop_key: Option<KeyId>,
}

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Heartbeat's directory (or the ha.cf in it), or keepalived.conf; with NAME= the node whose file it is
    #[arg(value_name = "[NAME=]PATH", required = true, value_parser = import_source)]
    pub(super) sources: Vec<import::Source>,
    /// A node that the files do not name, or an address that they give to nobody; may be repeated
    #[arg(long = "peer", value_name = "NAME[=ADDRESS]", value_parser = import_peer)]
    pub(super) peers: Vec<import::Peer>,
    /// Write cluster.toml there, and authkeys with a fresh key, instead of printing; nothing is overwritten
    #[arg(long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
    /// The text and what became of each line, as one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Patience {
    /// How long to wait until it has happened: 500ms, 10s or 2m; a bare number is seconds. What was asked for goes on
    /// after that
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time)]
    pub(super) timeout: Duration,
}

#[derive(Debug, Subcommand)]
pub(super) enum AgentVerb {
    /// List the agents that are installed
    List,
    /// Show what an agent does and its parameters
    Describe {
        /// An agent, by its name in `lubdub agent list`
        agent: String,
    },
    /// Run one action of an agent, as the daemon does, with its output; what came of it is the last line on stderr
    #[command(
        after_help = "Ends with the agent's exit code: 0 success, 1 failed, 2 bad arguments, 3 no such action, 4 not \
                            permitted, 5 not installed, 6 not configured, 7 not running; and with 1 if it was killed or \
                            could not be run. OCF_RESOURCE_INSTANCE is AGENT@by-hand."
    )]
    Run {
        /// An agent, by its name in `lubdub agent list`
        agent: String,
        /// What it is to do
        #[arg(value_parser = actions())]
        action: Action,
        /// A parameter; may be repeated
        #[arg(short = 'p', value_name = "KEY=VALUE", value_parser = parameter)]
        params: Vec<(String, String)>,
        /// How long it may take until it is killed: 500ms, 10s or 2m; a bare number is seconds
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time)]
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

pub(super) const DEFAULT_DIRECTORY: &str = "/etc/lubdub";
pub(super) const DEFAULT_CONFIG: &str = "/etc/lubdub/cluster.toml";
pub(super) const DEFAULT_AUTHKEYS: &str = "/etc/lubdub/authkeys";

/// A duration as the configuration writes it, or seconds without a unit: `500ms`, `60s`, `60`.
fn time(text: &str) -> Result<Duration, String> {
    let bare = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let read = if bare { parse_duration(&format!("{text}s")) } else { parse_duration(text) };
    read.ok_or_else(|| "no duration; write 500ms, 10s or 2m; a bare number is seconds".to_owned())
}

/// Known to completions and man pages, as the next one.
fn formats() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(["auto", "text", "json", "journal"]).try_map(|word| word.parse())
}

fn actions() -> impl TypedValueParser<Value = Action> {
    let all = [Action::Start, Action::Stop, Action::Monitor, Action::ValidateAll, Action::MetaData];
    PossibleValuesParser::new(all.map(Action::word)).try_map(move |word| {
        all.into_iter().find(|action| action.word() == word).ok_or("no such action")
    })
}

fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("write it as KEY=VALUE, such as ip=10.0.0.100/24".to_owned()),
    }
}

/// `PATH`, or `NAME=PATH`. What stands before a `=` and is no name is part of the path.
fn import_source(text: &str) -> Result<import::Source, String> {
    match text.split_once('=') {
        Some((name, path)) if is_name(name) && !path.is_empty() => {
            Ok(import::Source { owner: Some(name.to_owned()), path: path.into() })
        }
        Some(_) | None => Ok(import::Source { owner: None, path: text.into() }),
    }
}

/// `NAME`, or `NAME=ADDRESS`.
fn import_peer(text: &str) -> Result<import::Peer, String> {
    let (name, address) = match text.split_once('=') {
        Some((name, address)) => (name, Some(parse_ip(address)?)),
        None => (text, None),
    };
    if !is_name(name) {
        return Err(format!(
            "{name:?} is no node's name; write NAME or NAME=ADDRESS, such as beta=10.0.0.12"
        ));
    }
    Ok(import::Peer { name: name.to_owned(), address })
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
    fn ids_of_keys() {
        for (id, fine) in [("1", true), ("255", true), ("0", false), ("256", false), ("x", false)] {
            let parsed = Arguments::try_parse_from(["lubdub", "keygen", "--use", id]);
            assert_eq!(parsed.is_ok(), fine, "{id}: {parsed:?}");
        }
        assert!(Arguments::try_parse_from(["lubdub", "keygen", "--add", "--drop", "1"]).is_err());
    }

    #[test]
    fn values() {
        for (text, millis) in
            [("60s", Some(60_000)), ("5", Some(5_000)), ("500ms", Some(500)), ("2m", Some(120_000))]
        {
            assert_eq!(time(text).ok(), millis.map(Duration::from_millis), "{text}");
        }
        for text in ["a minute", "", "-1", "1h", "5 s"] {
            assert!(time(text).is_err(), "{text}");
        }
        assert_eq!(parameter("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(parameter("=b").is_err() && parameter("b").is_err());
    }

    #[test]
    fn words_of_a_list() {
        let actions = ["start", "stop", "monitor", "validate-all", "meta-data", "promote"];
        let formats = ["auto", "text", "json", "journal", "xml"];
        let action = actions.map(|word| ["lubdub", "agent", "run", "Dummy", word].to_vec());
        let format = formats.map(|word| ["lubdub", "run", "--log", word].to_vec());
        for words in action.into_iter().chain(format) {
            let fine = !words.ends_with(&["promote"]) && !words.ends_with(&["xml"]);
            assert_eq!(Arguments::try_parse_from(&words).is_ok(), fine, "{words:?}");
        }
    }

    #[test]
    fn sources_and_peers() {
        for (text, owner, path) in [
            ("/etc/ha.d", None, "/etc/ha.d"),
            ("alpha=/etc/ha.d", Some("alpha"), "/etc/ha.d"),
            ("/tmp/a=b/ha.d", None, "/tmp/a=b/ha.d"),
            ("alpha=", None, "alpha="),
        ] {
            let source = import_source(text).unwrap();
            assert_eq!((source.owner.as_deref(), source.path), (owner, path.into()), "{text}");
        }
        let peer = import_peer("beta=10.0.0.2").unwrap();
        assert_eq!((peer.name.as_str(), peer.address), ("beta", "10.0.0.2".parse().ok()));
        assert_eq!(import_peer("beta").unwrap().address, None);
        for text in ["beta=x", "be ta", "=10.0.0.2", "beta=", "beta=10.0.0.2/24"] {
            assert!(import_peer(text).is_err(), "{text}");
        }
    }
}
