//! Configurations of the kinds that are found in the wild, each with what `lubdub import` makes of it: a directory has the
//! sources, `arguments` for the command line, `expected.toml` (stdout) and `expected.txt` (stderr). `UPDATE_GOLDEN=1`
//! rewrites the latter two.
#![expect(clippy::disallowed_methods, reason = "tests start the program")]
#![expect(clippy::unwrap_used, reason = "a test that fails, panics")]

mod golden;
mod nonsense;

use std::path::{Path, PathBuf};
use std::process::Command;

/// How the program ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// `lubdub import` in a directory.
pub(crate) fn import(directory: &Path, arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_lubdub"))
        .arg("import")
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The directory of a case.
pub(crate) fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import").join(name)
}
