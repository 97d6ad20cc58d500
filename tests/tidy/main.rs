//! Rules on the sources that no compiler checks: who may use what, how long files are, what the documents name.
//!
//! A rule is a function of one file's path and text to its findings, so that each can be shown a bad sample: see `bad`.

mod bad;
mod rules;
mod source;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::{fs, io};

use rules::{RULES, agent_mode, architecture, dependencies, rings};

#[test]
fn the_tree_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    walk(root, "", &mut paths).unwrap();
    // What is no text has no words.
    let files: Vec<(String, String)> = paths
        .iter()
        .filter_map(|path| Some((path.clone(), fs::read_to_string(root.join(path)).ok()?)))
        .collect();
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();

    let mut found: Vec<String> = files
        .iter()
        .flat_map(|(path, text)| RULES.iter().flat_map(move |rule| rule(path, text)))
        .collect();
    for path in &paths {
        found.extend(agent_mode(path, root.join(path).metadata().unwrap().permissions().mode()));
    }
    found.extend(architecture(&read("ARCHITECTURE.md"), |name| root.join(name).exists()));
    found.extend(dependencies(&read("Cargo.toml"), &files));
    found.extend(rings(&read("tests/run.sh"), &paths));
    assert!(files.len() > 20, "only {} files were found", files.len());
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// All files below `root`, as paths from there. What is built, fetched or git's own is left out.
fn walk(root: &Path, below: &str, paths: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if ["target", ".cache", ".git"].contains(&name.as_str()) {
            continue;
        }
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.file_type()?.is_dir() {
            walk(root, &path, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}
