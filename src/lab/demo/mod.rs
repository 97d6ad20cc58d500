//! `lubdub demo`: a real pair on this machine, faults, and what comes of them. On a terminal it is a live screen on which
//! each key is a fault; elsewhere it plays every scenario and tells them as lines; `--scenario` plays one.
//!
//! The outcome is what the client and the kernels saw; the nodes' own histories tell why.

mod ending;
mod inside;
mod live;
mod report;
mod scenario;
mod story;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

pub use self::scenario::Scenario;
use self::story::Part;
use super::complain;
use super::enter::own_program;
use super::error::{LabError, file};
use super::laboratory::Lab;
use super::plan::{APART, Plan, SERVICE, Service};
use super::web::WebServer;
use crate::agent::{AGENTS_VARIABLE, Agents};
use crate::config::{AgentName, parse_duration};
use crate::screen;

/// Lines of a daemon's log that are shown when the demo fails.
const LOG_TAIL: usize = 20;

/// Arguments of `lubdub demo`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Args {
    /// Plays this one and tells its story, instead of the live screen.
    #[arg(long, value_enum)]
    scenario: Option<Scenario>,
    /// Prints the figures as JSON instead of the story.
    #[arg(long, requires = "scenario")]
    json: bool,
    /// Plays all scenarios and tells them as lines, on a terminal too.
    #[arg(long, conflicts_with = "scenario")]
    lines: bool,
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

/// How it is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The live screen.
    Screen,
    /// All scenarios, as lines.
    All,
    /// One, as lines.
    One(Scenario),
    /// One, as JSON.
    Figures(Scenario),
}

impl Args {
    fn mode(&self) -> Mode {
        match self.scenario {
            Some(scenario) if self.json => Mode::Figures(scenario),
            Some(scenario) => Mode::One(scenario),
            None if !self.lines && screen::is_usable() => Mode::Screen,
            None => Mode::All,
        }
    }

    fn plan(&self) -> Result<Plan, LabError> {
        let mut plan = Plan::pair(own_program()?, agents(self)?);
        plan.keepalive = self.keepalive;
        plan.deadtime = self.deadtime;
        plan.initdead = plan.initdead.max(self.deadtime * 2);
        plan.service = Service::ColdWeb;
        // So that all heartbeats can be lost, and nothing else.
        plan.links = APART;
        Ok(plan)
    }
}

/// Plays it. To be called before the process has a second thread (see [`super::Helper::run`]).
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let mode = args.mode();
    let done = if args.inside { play(args, mode) } else { inside::go(mode) };
    done.unwrap_or_else(|error| {
        complain(&error.to_string());
        ExitCode::FAILURE
    })
}

fn play(args: &Args, mode: Mode) -> Result<ExitCode, LabError> {
    let plan = args.plan()?;
    let config = plan.cluster_toml();
    match mode {
        Mode::Screen => live::show(plan)?,
        Mode::Figures(scenario) => {
            return story::tell(plan, &[scenario], |part| match part {
                Part::Begins(_) => Ok(()),
                Part::Ended(report) => say(&report.to_json()),
            });
        }
        Mode::One(scenario) => {
            say(&introduction(&plan))?;
            let told = story::tell(plan, &[scenario], say_part)?;
            say(&format!("Other scenarios: {}", scenario.others()))?;
            return Ok(told);
        }
        Mode::All => {
            say(&introduction(&plan))?;
            story::tell(plan, &story::ALL, say_part)?;
        }
    }
    say(&ending::text(&config))?;
    Ok(ExitCode::SUCCESS)
}

fn say_part(part: Part) -> Result<(), LabError> {
    match part {
        Part::Begins(what) => say(&format!("{what}\n")),
        Part::Ended(report) => say(&format!("{}\n", report.to_text())),
    }
}

/// Where lubdub's agents are: as told, or where this program finds the one for addresses.
fn agents(args: &Args) -> Result<PathBuf, LabError> {
    if let Some(directory) = &args.agents {
        return Ok(directory.clone());
    }
    let variable = std::env::var_os(AGENTS_VARIABLE);
    let agents = Agents::of_program(&own_program()?, variable.as_deref());
    let mut path = agents.find(&AgentName("IPaddr".to_owned()))?;
    path.pop();
    Ok(path)
}

fn introduction(plan: &Plan) -> String {
    let web = match &plan.web {
        WebServer::Nginx(program) => format!("the web server is {}", program.display()),
        WebServer::BuiltIn => {
            "nginx is not installed here: a small built-in web server stands in for it".to_owned()
        }
    };
    format!(
        "Two nodes, alpha and beta, a client and a ping node, each in namespaces on this machine; {web}.\n\
         keepalive {} ms, deadtime {} ms, guard ping + arp; the group is a web server and the address {SERVICE}.\n\
         The client opens a new connection every 2 ms.\n",
        plan.keepalive.as_millis(),
        plan.deadtime.as_millis(),
    )
}

/// The end of each daemon's log, for when something went wrong.
fn logs(lab: &Lab) -> String {
    let mut text = String::new();
    for node in lab.nodes() {
        let log = fs::read_to_string(node.daemon_log())
            .unwrap_or_else(|error| format!("no log: {error}"));
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(LOG_TAIL)..).unwrap_or_default();
        text.push_str(&format!(
            "the end of the log of {}:\n  {}\n",
            node.name(),
            tail.join("\n  ")
        ));
    }
    text
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
