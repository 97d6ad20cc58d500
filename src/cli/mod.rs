//! Arguments, and rendering of what the daemon answers: text and `--json` from the same snapshot.
//!
//! It owns all that is printed, and the exit codes. It must not know the core's insides, nor decide anything: whatever
//! changes the cluster is asked of the daemon. Driven by `main`, by agents (`lubdub ip`), and by people.

mod agent;
mod args;
mod check;
mod daemon;
mod exit;
mod fresh;
mod history;
mod import;
mod init;
mod ip;
mod keygen;
mod output;
mod reload;
mod status;
mod view;
mod wait;
mod wish;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Arguments, Switch, Verb};
use daemon::Daemon;
use exit::{Exit, Failure};

use crate::daemon::{Options, RunError};
use crate::lab;

/// Does what the command line asks for, and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error).into(),
    };
    let exit = perform(arguments).unwrap_or_else(|failure| {
        let exit = failure.exit();
        if exit != Exit::Fine {
            output::say(&format!("lubdub: {failure}"));
        }
        exit
    });
    exit.into()
}

/// The grammar of the command line, of which man pages and completions are made.
#[must_use]
pub fn grammar() -> clap::Command {
    Arguments::command()
}

/// The daemon: it ends when it is told to.
fn run(args: args::RunArgs, socket: PathBuf) -> Result<Exit, Failure> {
    let args::RunArgs { config, node, authkeys, state, log } = args;
    let options = Options { config, node, authkeys, state, socket, log };
    match crate::daemon::run(&options) {
        Ok(()) => Ok(Exit::Fine),
        Err(error @ (RunError::Config(_) | RunError::Keys(_))) => {
            Err(Failure::Usage(error.to_string()))
        }
        Err(error) => Err(Failure::Failed(error.to_string())),
    }
}

/// Help and version are results; everything else that the parser stops for is a mistake.
fn usage(error: &clap::Error) -> Exit {
    let printed = error.print();
    match (error.use_stderr(), printed) {
        (true, _) => Exit::Usage,
        (false, Ok(())) => Exit::Fine,
        (false, Err(error)) => Failure::Print(error).exit(),
    }
}

fn perform(arguments: Arguments) -> Result<Exit, Failure> {
    let connect = || Daemon::connect(&arguments.socket);
    match arguments.verb {
        Verb::Status { watch: true, .. } => status::watch(&arguments.socket),
        Verb::Status { json, watch: false } => status::status(&mut connect()?, json),
        Verb::History { json, limit, state } => {
            history::history(&arguments.socket, &state, limit, json)
        }
        Verb::Switchover { group, to, patience } => {
            wish::switchover(&mut connect()?, group, to, patience.timeout)
        }
        Verb::Standby { node, patience } => wish::standby(&mut connect()?, node, patience.timeout),
        Verb::Online { node, patience } => wish::online(&mut connect()?, node, patience.timeout),
        Verb::Maintenance { switch, patience } => {
            wish::maintenance(&mut connect()?, switch == Switch::On, patience.timeout)
        }
        Verb::ConfirmDead { node, yes, patience } => {
            wish::confirm_dead(&mut connect()?, node, yes, patience.timeout)
        }
        Verb::Init(args) => init::init(&args),
        Verb::Check(args) => check::check(&args, &arguments.socket),
        Verb::Keygen(args) => keygen::keygen(&args),
        Verb::Reload => reload::reload(&mut connect()?),
        Verb::Import(args) => import::import(&args),
        Verb::Agent(verb) => agent::agent(verb),
        Verb::Lab(helper) => Ok(Exit::Lab(helper.run())),
        Verb::Ip(verb) => ip::ip(verb),
        Verb::Demo(args) => Ok(Exit::Lab(lab::demo::run(&args))),
        Verb::Run(args) => run(args, arguments.socket),
    }
}
