//! `lubdub import`: the result on stdout or into files, what became of each line on stderr.

use std::collections::{BTreeMap, BTreeSet};

use super::args::ImportArgs;
use super::exit::{Exit, Failure};
use super::fresh::Files;
use super::output;
use crate::import::{self, Entry, Import, Verdict};

/// Import, print or write, and tell what is left to do.
pub(super) fn import(args: &ImportArgs) -> Result<Exit, Failure> {
    let made = import::import(&args.sources, &args.peers)
        .map_err(|errors| Failure::Usage(errors.to_string()))?;
    let written = match &args.output {
        Some(directory) => {
            let files = Files::of(directory);
            files.write(&made.cluster_toml, "name another directory with --output")?;
            Some(files)
        }
        None => None,
    };
    if args.json {
        output::json(&made)?;
    } else {
        if written.is_none() {
            output::result(&made.cluster_toml)?;
        }
        output::say(&report(&made, written.as_ref()));
    }
    Ok(Exit::Fine)
}

/// What became of each line, what is left to decide, what comes next.
fn report(made: &Import, written: Option<&Files>) -> String {
    let file = written
        .map_or_else(|| "cluster.toml".to_owned(), |files| files.cluster.display().to_string());
    let mut lines = by_line(&made.lines);
    let count =
        |verdict| made.lines.iter().filter(|entry| entry.verdict == verdict).count().to_string();
    lines.push(format!(
        "\n{} converted, {} not needed, {} not converted",
        count(Verdict::Converted),
        count(Verdict::NotNeeded),
        count(Verdict::NotConverted)
    ));
    if made.complete {
        lines.push(format!("\n{file} is complete: nothing is left to decide"));
    } else {
        lines.push(format!("\n{file} is not complete; yours to decide:"));
        let open = made.open.iter();
        lines.extend(open.map(|remark| format!("{file}:{}: {}", remark.line, remark.text)));
    }
    if !made.warnings.is_empty() {
        lines.push("\nworth a thought:".to_owned());
        let warnings = made.warnings.iter();
        lines.extend(warnings.map(|remark| format!("{file}:{}: {}", remark.line, remark.text)));
    }
    let keys = match written {
        Some(files) => format!(
            "wrote {file}, and {} with a fresh key (mode 0600): both belong on every node",
            files.keys.display()
        ),
        None => "keys: `lubdub keygen` makes them, once for all nodes".to_owned(),
    };
    lines.push(format!(
        "\n{keys}\nnext: `lubdub check {file}` on every node; stop and disable {} on all of them before lubdub starts on any",
        made.program
    ));
    lines.join("\n")
}

/// One line for each entry. Of a further node's file, what is the same as in the first is told by its number alone.
fn by_line(entries: &[Entry]) -> Vec<String> {
    let key = |entry: &Entry| (entry.text.clone(), entry.verdict, entry.says.clone());
    let first: BTreeSet<_> = entries.iter().filter(|entry| entry.source == 0).map(key).collect();
    let mut lines = Vec::new();
    let mut again: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in entries {
        if entry.source > 0 && first.contains(&key(entry)) {
            *again.entry(&entry.file).or_default() += 1;
        } else {
            lines.push(entry.to_string());
        }
    }
    lines.extend(again.into_iter().map(|(file, count)| {
        format!("{file}: {count} more became what the same lines before them did (--json tells them all)")
    }));
    lines
}
