//! `lubdub demo`: a real pair on this machine, a fault, and the story of it. The outcome is what the client and the
//! kernels saw; the nodes' own histories tell why.
#![expect(
    clippy::disallowed_methods,
    reason = "it starts itself again, inside or as root; the daemon never comes here"
)]

mod report;
mod scenario;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::unistd::geteuid;

use self::report::{Figures, Report};
use self::scenario::Played;
pub use self::scenario::Scenario;
use super::enter::{exit_code, own_program};
use super::error::{LabError, file};
use super::figures::Sight;
use super::laboratory::{Lab, stays};
use super::plan::{Plan, SERVICE, Service};
use super::web::WebServer;
use super::{Inside, complain, tool};
use crate::config::parse_duration;

/// Lines of a daemon's log that are shown when the demo fails.
const LOG_TAIL: usize = 20;

/// Arguments of `lubdub demo`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Args {
    /// What goes wrong.
    #[arg(long, value_enum, default_value_t = Scenario::PowerOff)]
    scenario: Scenario,
    /// Prints the figures as JSON instead of the story.
    #[arg(long)]
    json: bool,
    /// Interval between heartbeats.
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = duration)]
    keepalive: Duration,
    /// Silence after which a node is lost.
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = duration)]
    deadtime: Duration,
    /// Directory of lubdub's agents.
    #[arg(long, value_name = "DIR")]
    agents: Option<PathBuf>,
    /// Set by the demo itself, once it is inside the namespaces.
    #[arg(long, hide = true)]
    inside: bool,
}

/// Plays a scenario. To be called before the process has a second thread (see [`super::Helper::run`]).
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let done = if args.inside { play(args) } else { go_inside() };
    done.unwrap_or_else(|error| {
        complain(&error.to_string());
        ExitCode::FAILURE
    })
}

/// Starts this very command again inside the namespaces; where only root can make some, as root.
fn go_inside() -> Result<ExitCode, LabError> {
    let program = own_program()?;
    let again: Vec<OsString> = std::iter::once(program.clone().into_os_string())
        .chain(std::env::args_os().skip(1))
        .chain([OsString::from("--inside")])
        .collect();
    match Inside::new(&program, &again) {
        Ok(inside) => Ok(exit_code(inside.status()?.code())),
        Err(error @ LabError::NoNamespaces(_))
            if !geteuid().is_root() && tool::find("sudo").is_some() =>
        {
            complain(&format!("{error}\nlubdub: trying again as root, with sudo"));
            let mut sudo = Command::new("sudo");
            sudo.arg("--").arg(&program).args(["lab-enter", "--"]).args(again).stdin(Stdio::null());
            Err(tool::cannot_run(&sudo)(sudo.exec()))
        }
        Err(error) => Err(error),
    }
}

fn play(args: &Args) -> Result<ExitCode, LabError> {
    args.scenario.check_tools()?;
    let mut plan = Plan::pair(own_program()?, agents(args)?);
    plan.keepalive = args.keepalive;
    plan.deadtime = args.deadtime;
    plan.initdead = plan.initdead.max(args.deadtime * 2);
    plan.service = Service::ColdWeb;
    if !args.json {
        say(&introduction(args, &plan.web))?;
    }
    let lab = Lab::new(plan)?;
    let report = match perform(&lab, args.scenario) {
        Ok(report) => report,
        Err(error) => {
            show_logs(&lab);
            return Err(error);
        }
    };
    say(&if args.json { report.to_json() } else { report.to_text() })?;
    Ok(ExitCode::SUCCESS)
}

/// Plays it to its end; an error if the group does not end on exactly the node on which it belongs.
fn perform(lab: &Lab, scenario: Scenario) -> Result<Report, LabError> {
    let client = lab.begin()?;
    let Played { fault, acts, ends_on } = scenario.play(lab, &client)?;
    stays(
        &format!("{ends_on} alone has the group and serves the client"),
        lab.plan().deadtime,
        || {
            Ok(lab.kernels().only_holder_is(ends_on)
                && client.served_by(ends_on)
                && lab.web_runs_on()? == [ends_on])
        },
    )?;
    let records = lab
        .nodes()
        .iter()
        .filter(|node| node.has_power())
        .map(|node| Ok((node.name().to_owned(), node.history()?)))
        .collect::<Result<Vec<_>, LabError>>()?;
    let figures = Figures::new(
        scenario,
        &lab.plan().web,
        fault,
        &Sight::of(&client.finish()?, fault),
        lab.kernels().both_held()?,
        ends_on,
    );
    Ok(Report::new(figures, fault, &acts, &lab.kernels().holds(), &records))
}

/// Where lubdub's agents are: as told, by the environment, beside the program, or where the sources lie around it.
fn agents(args: &Args) -> Result<PathBuf, LabError> {
    if let Some(directory) = &args.agents {
        return Ok(directory.clone());
    }
    if let Some(directory) = std::env::var_os("LUBDUB_AGENTS") {
        return Ok(PathBuf::from(directory));
    }
    let program = own_program()?;
    program
        .ancestors()
        .map(|directory| directory.join("resource-agents"))
        .find(|directory| directory.join("IPaddr").is_file())
        .ok_or_else(|| {
            file(Path::new("resource-agents"))(io::Error::other(
                "not found: name it with --agents DIR",
            ))
        })
}

fn introduction(args: &Args, web: &WebServer) -> String {
    let web = match web {
        WebServer::Nginx(program) => format!("the web server is {}", program.display()),
        WebServer::BuiltIn => {
            "nginx is not installed here: a small built-in web server stands in for it".to_owned()
        }
    };
    format!(
        "Two nodes, alpha and beta, a client and a ping node, each in namespaces on this machine; {web}.\n\
         keepalive {} ms, deadtime {} ms, guard ping + arp; the group is a web server and the address {SERVICE}.\n\
         The client opens a new connection every 2 ms. {}\n",
        args.keepalive.as_millis(),
        args.deadtime.as_millis(),
        args.scenario.what_happens(),
    )
}

/// Shows the end of each daemon's log on stderr.
fn show_logs(lab: &Lab) {
    for node in lab.nodes() {
        let log = fs::read_to_string(node.daemon_log())
            .unwrap_or_else(|error| format!("no log: {error}"));
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(LOG_TAIL)..).unwrap_or_default();
        complain(&format!("the end of the log of {}:\n  {}", node.name(), tail.join("\n  ")));
    }
}

fn say(text: &str) -> Result<(), LabError> {
    let mut stdout = io::stdout();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        // Whoever read has had enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(file(Path::new("stdout"))),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "a time looks like 100ms or 1.5s".to_owned())
}
