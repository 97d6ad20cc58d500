//! `lubdub import`: the result on stdout or into files, what became of each line on stderr.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::args::ImportArgs;
use super::exit::{Exit, Failure};
use super::keygen::{self, Access, Over};
use super::output;
use crate::import::{self, Entry, Import, Verdict};
use crate::wire::Keys;

/// Import, print or write, and tell what is left to do.
pub(super) fn import(args: &ImportArgs) -> Result<Exit, Failure> {
    let made = import::import(&args.sources, &args.peers)
        .map_err(|errors| Failure::Usage(errors.to_string()))?;
    let written = match &args.output {
        Some(directory) => Some(write_both(directory, &made.cluster_toml)?),
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

/// What was written.
struct Files {
    cluster: PathBuf,
    keys: PathBuf,
}

/// Both files or none, and none over another one.
fn write_both(directory: &Path, cluster_toml: &str) -> Result<Files, Failure> {
    let files = Files { cluster: directory.join("cluster.toml"), keys: directory.join("authkeys") };
    let keys = Keys::generate()
        .map_err(|error| Failure::Failed(format!("the kernel has no random numbers: {error}")))?;
    // Looked at before, so that what is there already is told without a trace.
    let there =
        [&files.cluster, &files.keys].into_iter().filter(|file| file.symlink_metadata().is_ok());
    let there: Vec<String> = there.map(|file| file.display().to_string()).collect();
    if !there.is_empty() {
        return Err(Failure::Failed(format!(
            "{} there already, and nothing is overwritten; name another directory with --output",
            match there.as_slice() {
                [one] => format!("{one} is"),
                both => format!("{} are", both.join(" and ")),
            }
        )));
    }
    write(&files.keys, Access::Owner, &keys)?;
    if let Err(failure) = write(&files.cluster, Access::All, cluster_toml) {
        // Just made, by us.
        drop(fs::remove_file(&files.keys));
        return Err(failure);
    }
    Ok(files)
}

fn write(file: &Path, access: Access, text: &str) -> Result<(), Failure> {
    keygen::write(file, Over::Nothing, access, text)
        .map_err(|error| Failure::Failed(format!("{}: cannot be written: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(file: &Path) -> u32 {
        fs::metadata(file).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn both_files_are_written_or_none() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("new/lubdub");
        let files = write_both(&directory, "cluster = 'a'\n").unwrap();
        assert_eq!(mode(&files.keys), 0o600);
        assert_eq!(mode(&files.cluster), 0o644);
        assert!(Keys::load(&files.keys).is_ok());
        let keys = fs::read_to_string(&files.keys).unwrap();
        let refused = write_both(&directory, "other").err().unwrap().to_string();
        assert!(refused.contains("authkeys are there already"), "{refused}");
        assert_eq!(fs::read_to_string(&files.keys).unwrap(), keys);
        assert_eq!(fs::read_to_string(&files.cluster).unwrap(), "cluster = 'a'\n");
        // One of the two is enough to refuse, and the other one is not made.
        for kept in ["cluster.toml", "authkeys"] {
            let directory = scratch.path().join(kept);
            fs::create_dir(&directory).unwrap();
            fs::write(directory.join(kept), "mine").unwrap();
            assert!(write_both(&directory, "other").is_err());
            assert_eq!(fs::read_to_string(directory.join(kept)).unwrap(), "mine");
            assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        }
        let file = scratch.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(matches!(write_both(&file, "other"), Err(Failure::Failed(_))));
    }
}
