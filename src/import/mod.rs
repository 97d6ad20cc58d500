//! Other programs' configurations become lubdub's: Heartbeat's `ha.cf`, `haresources` and `authkeys`, and the VRRP part of
//! `keepalived.conf`.
//!
//! It owns what those files mean. Each line is converted, or named with the reason why not and what to do instead; what
//! cannot be known stands in the result as a mark that `lubdub check` refuses. It reads the files that it is told of and
//! what they include, and writes none; it asks no machine and no network, so that it can run anywhere. Driven by
//! `lubdub import`.

mod addresses;
mod draft;
mod heartbeat;
mod keepalived;
mod report;
mod source;
mod value;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use addresses::Peer;
pub use report::{Entry, Fault, ImportErrors, Verdict};

use crate::config;
use draft::Draft;
use report::Report;

/// What is named to be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The node whose file it is, where that is told.
    pub owner: Option<String>,
    /// A directory, or a file.
    pub path: PathBuf,
}

/// The program whose configuration it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// Linux-HA Heartbeat, with haresources.
    Heartbeat,
    /// Keepalived, the VRRP part.
    Keepalived,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Heartbeat => "heartbeat",
            Self::Keepalived => "keepalived",
        })
    }
}

/// Something about a line of the result.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Remark {
    /// From 1.
    pub line: usize,
    /// What there is to decide, or to know.
    pub text: String,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Import {
    /// Of whose configuration.
    pub program: Program,
    /// The text of cluster.toml.
    pub cluster_toml: String,
    /// Whether `lubdub check` takes it as it is.
    pub complete: bool,
    /// What became of each line of the sources, in their order.
    pub lines: Vec<Entry>,
    /// What is left to decide before it is complete.
    pub open: Vec<Remark>,
    /// What is legal and yet worth a thought.
    pub warnings: Vec<Remark>,
}

/// Imports a configuration: Heartbeat's from one source, Keepalived's from those of one or more nodes.
///
/// # Errors
///
/// A source cannot be read or understood; all that is wrong is told at once.
pub fn import(sources: &[Source], peers: &[Peer]) -> Result<Import, ImportErrors> {
    let mut report = Report::default();
    let made = make(sources, peers, &mut report);
    let ((program, draft), lines) = report.finish(made)?;
    Ok(finish(program, &draft, lines))
}

fn make(sources: &[Source], peers: &[Peer], report: &mut Report) -> Option<(Program, Draft)> {
    let mut kinds = Vec::new();
    for source in sources {
        match kind(&source.path) {
            Ok((program, path)) => kinds.push((source.owner.clone(), program, path)),
            Err(why) => report.fault_of(&source.path.display().to_string(), why),
        }
    }
    each_once(&kinds, report);
    if report.has_faults() {
        return None;
    }
    let (_, program, first) = kinds.first()?;
    if let Some((_, other, path)) = kinds.iter().find(|(_, other, _)| other != program) {
        report.fault_of(
            &path.display().to_string(),
            format!(
                "is {other}'s, but {} is {program}'s; import one of the two at a time",
                first.display()
            ),
        );
        return None;
    }
    let draft = match program {
        Program::Heartbeat if kinds.len() > 1 => {
            report.fault_of(
                &first.display().to_string(),
                "Heartbeat's files are the same on every node: name those of one; addresses that they do not tell are \
                 given with --peer NAME=ADDRESS",
            );
            return None;
        }
        Program::Heartbeat => heartbeat::import(first, kinds.first()?.0.as_deref(), peers, report)?,
        Program::Keepalived => {
            let files: Vec<_> =
                kinds.iter().map(|(owner, _, path)| (owner.as_deref(), path.as_path())).collect();
            keepalived::import(&files, peers, report)?
        }
    };
    Some((*program, draft))
}

/// No node, and no file of nobody, is named twice.
fn each_once(kinds: &[(Option<String>, Program, PathBuf)], report: &mut Report) {
    for (index, (owner, _, path)) in kinds.iter().enumerate() {
        let before = kinds.iter().take(index);
        let twice = match owner {
            Some(owner) => before.into_iter().any(|(other, ..)| other.as_ref() == Some(owner)),
            None => before.into_iter().any(|(.., other)| other == path),
        };
        if twice {
            let what = owner.as_ref().map_or("this file", String::as_str);
            report.fault_of(
                &path.display().to_string(),
                format!("{what} is named twice; name it once"),
            );
        }
    }
}

/// Whose configuration a path is, and the file that is read first.
fn kind(path: &Path) -> Result<(Program, PathBuf), String> {
    let path = if path.is_dir() { in_directory(path)? } else { path.to_owned() };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if ["haresources", "authkeys"].contains(&name.as_str()) {
        return Err("is read beside ha.cf; name ha.cf, or the directory of both".to_owned());
    }
    let text = source::read(&path)?;
    if text.trim().is_empty() {
        return Err("is empty; is it the right file?".to_owned());
    }
    match name.as_str() {
        "ha.cf" => return Ok((Program::Heartbeat, path)),
        "keepalived.conf" => return Ok((Program::Keepalived, path)),
        _ => {}
    }
    let words = text.lines().filter_map(|line| {
        line.split(['#', '!']).next()?.split([' ', '\t', '{', ',']).find(|word| !word.is_empty())
    });
    let program = words.into_iter().find_map(|word| {
        let is_keepalived = keepalived::is_section(word);
        let is_heartbeat = heartbeat::known_directives().any(|known| known == word);
        match (is_keepalived, is_heartbeat) {
            (true, _) => Some(Program::Keepalived),
            (false, true) => Some(Program::Heartbeat),
            (false, false) => None,
        }
    });
    program.map(|program| (program, path)).ok_or_else(|| {
        "is neither an ha.cf nor a keepalived.conf: no line begins with a word of theirs".to_owned()
    })
}

fn in_directory(path: &Path) -> Result<PathBuf, String> {
    let (ha_cf, keepalived) = (path.join("ha.cf"), path.join("keepalived.conf"));
    match (ha_cf.exists(), keepalived.exists()) {
        (true, false) => Ok(ha_cf),
        (false, true) => Ok(keepalived),
        (true, true) => Err("holds both ha.cf and keepalived.conf; name one of the two".to_owned()),
        (false, false) => Err(
            "holds neither ha.cf nor keepalived.conf; Heartbeat's are in /etc/ha.d, Keepalived's in /etc/keepalived"
                .to_owned(),
        ),
    }
}

/// Writes the draft, and tries the text as `lubdub check` would.
fn finish(program: Program, draft: &Draft, lines: Vec<Entry>) -> Import {
    let written = write::write(draft);
    let mut open: Vec<Remark> =
        written.open.into_iter().map(|(line, text)| Remark { line, text }).collect();
    let mut warnings = Vec::new();
    let remark = |problem: &config::Problem| Remark {
        line: problem.line.unwrap_or(1),
        text: problem.text.clone(),
    };
    match config::parse(&written.trial, "cluster.toml") {
        Ok(file) => {
            let of_text = file.warnings().iter().map(remark);
            warnings.extend(of_text.filter(|remark| !written.marked.contains(&remark.line)));
        }
        Err(errors) => open.extend(errors.problems.iter().map(remark)),
    }
    open.sort();
    Import { program, cluster_toml: written.text, complete: open.is_empty(), lines, open, warnings }
}
