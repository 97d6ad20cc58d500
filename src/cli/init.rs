//! `lubdub init`: cluster.toml and authkeys of a new cluster, from answers to questions or from flags; and what comes next.
//!
//! Everything but [`here`] and the terminal is pure: `answers` checks, `text` writes, `steps` goes on.

mod answers;
mod ask;
mod flags;
mod here;
mod steps;
#[cfg(test)]
mod tests;
mod text;

use std::io::{self, IsTerminal};
use std::path::Path;

use clap::ValueEnum;
use nix::unistd::{AccessFlags, access};

use self::answers::{Cluster, doubts};
use self::ask::Dialogue;
use self::here::Here;
use super::agent::Installed;
use super::args::InitArgs;
use super::check;
use super::exit::{Exit, Failure};
use super::fresh::Files;
use super::output;
use crate::config;

/// What to do where a file is there already.
const INSTEAD: &str = "`lubdub check` says whether they are right; to begin anew move what is there away first, or name \
                       another directory with --directory";

/// What runs behind the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Service {
    /// nginx, by /etc/nginx/nginx.conf
    Nginx,
    /// Apache, under Debian's or Red Hat's names
    Httpd,
    /// The address alone: what answers there runs on every node all the time, or is added to cluster.toml
    None,
}

impl Service {
    /// As it is written.
    fn word(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Httpd => "httpd",
            Self::None => "none",
        }
    }
}

/// Ask for what the flags leave open, write both files, and say what comes next.
pub(super) fn init(args: &InitArgs) -> Result<Exit, Failure> {
    let files = Files::of(&args.directory);
    files.expect_none(INSTEAD)?;
    let here = Here::look()?;
    let mut answers =
        flags::answers(args, &here).map_err(|wrong| Failure::Usage(wrong.join("\n")))?;
    let missing = answers.missing();
    if !missing.is_empty() {
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(Failure::Usage(format!(
                "there is no terminal to ask on, so these are needed:\n  {}",
                missing.join("\n  ")
            )));
        }
        writable(&args.directory)?;
        Dialogue::new(io::stdin().lock(), output::questions()).complete(&mut answers, &here)?;
    }
    let Some(cluster) = answers.complete() else {
        return Err(Failure::Usage("not all was answered".into()));
    };
    write(&cluster, &here, &files)?;
    output::result(&steps::steps(&cluster, &here, &files))?;
    Ok(Exit::Fine)
}

/// What is written passes the parser first, and what `lubdub check` would say of this machine is said now.
fn write(cluster: &Cluster, here: &Here, files: &Files) -> Result<(), Failure> {
    let text = text::cluster_toml(cluster);
    let name = files.cluster.display().to_string();
    let file = config::parse(&text, &name).map_err(|errors| {
        Failure::Usage(format!("nothing was written, since lubdub would refuse it:\n{errors}"))
    })?;
    let mut warnings: Vec<String> =
        file.warnings().iter().map(|warning| warning.text.clone()).collect();
    warnings.extend(doubts(cluster, here));
    if let Ok(config) = file.for_node(&here.name) {
        let elsewhere = check::not_here(&config);
        warnings.extend(elsewhere.map_err(|error| Failure::Failed(error.to_string()))?);
        let resources = config.groups.iter().flat_map(|group| {
            group.resources.iter().map(move |resource| (group.name.as_str(), resource))
        });
        warnings.extend(check::agent_problems(resources, &Installed::find()?));
    }
    files.write(&text, INSTEAD)?;
    for warning in warnings {
        output::say(&format!("warning: {warning}"));
    }
    Ok(())
}

/// Whether both files could be written: better told before the questions than after them.
fn writable(directory: &Path) -> Result<(), Failure> {
    let absolute = std::path::absolute(directory);
    let directory = absolute.as_deref().unwrap_or(directory);
    let there = directory.ancestors().find(|ancestor| ancestor.exists());
    let refused = there.and_then(|there| access(there, AccessFlags::W_OK).err());
    match refused {
        Some(why) => Err(Failure::Failed(format!(
            "{} cannot be written to: {}; become root, or name another directory with --directory",
            directory.display(),
            io::Error::from(why)
        ))),
        None => Ok(()),
    }
}
