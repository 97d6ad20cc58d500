//! The figures that lubdub is held to, each beside what the same probe shows without lubdub in the same run: these
//! machines stall, and a figure alone says little. Started by `benches/run.sh`, which brings the programs.
//!
//! All is judged from outside: by a client that opens a connection every 2 ms, and by each kernel's own addresses.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "figures are printed")]
#![expect(
    clippy::disallowed_methods,
    reason = "the floor and Keepalived are processes on the nodes"
)]

mod flood;
mod idle;
mod keepalived;
mod loss;
mod never_two;
mod outage;
mod planned;
mod table;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use lubdub::lab::{Inside, Lab, LabError, Plan, Service, stays, wait_for};

use keepalived::Vrrp;

/// Nothing here that goes well takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The figures that lubdub is held to.
#[derive(Debug, Parser)]
struct Arguments {
    /// Sections; without one, all.
    sections: Vec<Section>,
    /// Runs of each outage.
    #[arg(long, default_value_t = 20)]
    runs: usize,
    /// One run, in namespaces that are made already; prints its figures.
    #[arg(long, hide = true)]
    probe: Option<Probe>,
    /// At which part of a keepalive that run cuts the power, 0 to 1; at random where it is left out.
    #[arg(long, hide = true)]
    phase: Option<f64>,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Section {
    /// Power of the holder cut: how long a client goes without answers. Keepalived too.
    Outage,
    /// Planned moves: how long a client goes without answers. The same steps by a shell too.
    Planned,
    /// Heartbeats cut, daemon killed, daemon frozen: for how long two nodes hold the address.
    NeverTwo,
    /// Ten of a hundred frames lost for a minute at 10/30 ms: does anybody lose anybody.
    Loss,
    /// 200,000 datagrams a second of a stranger, and as many as it can send: does anybody lose anybody.
    Flood,
    /// Memory and processor time while nothing happens.
    Idle,
}

/// One run: a laboratory of its own, which ends with its process.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Probe {
    Floor,
    ColdWeb,
    Address,
    FastAddress,
    Vrrp100,
    Vrrp10,
    ByHand,
    Switchover,
    HeartbeatsCut,
    DaemonKilled,
    DaemonFrozen,
    Loss,
    FloodForeign,
    FloodSpoofed,
    TorrentForeign,
    TorrentSpoofed,
    Idle,
}

impl Probe {
    /// Its figures, in the order in which its section reads them.
    fn run(self, phase: Option<f64>) -> Result<Vec<f64>, LabError> {
        match self {
            Self::Floor => outage::floor(),
            Self::ColdWeb => outage::lubdub(Service::ColdWeb, 100, 500, phase),
            Self::Address => outage::lubdub(Service::Address, 100, 500, phase),
            Self::FastAddress => outage::lubdub(Service::Address, 10, 30, phase),
            Self::Vrrp100 => outage::peer(Vrrp { interval: 100 }),
            Self::Vrrp10 => outage::peer(Vrrp { interval: 10 }),
            Self::ByHand => planned::by_hand(),
            Self::Switchover => planned::switchover(),
            Self::HeartbeatsCut => never_two::cut_heartbeats(),
            Self::DaemonKilled => never_two::lose_daemon(lubdub::lab::Node::kill_daemon),
            Self::DaemonFrozen => never_two::lose_daemon(lubdub::lab::Node::freeze_daemon),
            Self::Loss => loss::run(),
            Self::FloodForeign => flood::run(flood::Source::Foreign, Some(flood::PACE)),
            Self::FloodSpoofed => flood::run(flood::Source::Peer, Some(flood::PACE)),
            Self::TorrentForeign => flood::run(flood::Source::Foreign, None),
            Self::TorrentSpoofed => flood::run(flood::Source::Peer, None),
            Self::Idle => idle::run(),
        }
    }

    /// Its figures, from a process in namespaces of its own.
    fn run_inside(self, phase: Option<f64>) -> Result<Vec<f64>, LabError> {
        let file = |source| LabError::File { path: PathBuf::from("this program"), source };
        let name =
            self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let program_itself = std::env::current_exe().map_err(file)?.into_os_string();
        let mut command = vec![program_itself, "--probe".into(), OsString::from(&name)];
        command.extend(phase.map(|phase| OsString::from(format!("--phase={phase}"))));
        let output = Inside::new(&program(), &command)?.output()?;
        if !output.status.success() {
            return Err(LabError::Failed {
                command: format!("run {name}"),
                status: output.status.to_string(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
        // What a run has to say beside its figures.
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout)
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect())
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.probe {
        Some(probe) => probe.run(arguments.phase).map(|figures| {
            figures.iter().for_each(|figure| println!("{figure}"));
            true
        }),
        None => report(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("figures: {error}");
            ExitCode::FAILURE
        }
    }
}

/// All sections that were asked for; `true` if lubdub kept every bound.
fn report(arguments: &Arguments) -> Result<bool, LabError> {
    let all = Section::value_variants();
    let sections = if arguments.sections.is_empty() { all } else { &arguments.sections };
    let mut kept = true;
    for section in sections {
        kept &= match section {
            Section::Outage => outage::section(arguments.runs)?,
            Section::Planned => planned::section(arguments.runs)?,
            Section::NeverTwo => never_two::section()?,
            Section::Loss => loss::section()?,
            Section::Flood => flood::section()?,
            Section::Idle => idle::section()?,
        };
    }
    Ok(kept)
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_lubdub"))
}

/// A pair with these times. Without a web server in the group it runs on both nodes, all the time.
fn pair(service: Service, keepalive: u64, deadtime: u64) -> Plan {
    let agents = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/resource-agents"));
    let mut plan = Plan::pair(program(), agents);
    plan.service = service;
    plan.keepalive = Duration::from_millis(keepalive);
    plan.deadtime = Duration::from_millis(deadtime);
    plan
}

/// A laboratory in which lubdub runs and alpha has held the group for a second.
fn settled(plan: Plan) -> Result<Lab, LabError> {
    let lab = Lab::new(plan)?;
    lab.start_daemons()?;
    holds(&lab, "alpha")?;
    Ok(lab)
}

/// Waits until only this node holds the address, and has for a second.
fn holds(lab: &Lab, node: &str) -> Result<(), LabError> {
    let only = || Ok(lab.kernels().only_holder_is(node));
    wait_for(&format!("{node} holds the address"), PATIENCE, only)?;
    stays(&format!("{node} holds the address"), Duration::from_secs(1), only)
}
