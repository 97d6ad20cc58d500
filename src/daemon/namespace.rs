//! For tests: the same test once more, in namespaces of its own.

use std::env;
use std::process::Command;

/// Set for the test that runs inside.
const INSIDE: &str = "LUBDUB_TEST_INSIDE";

/// True inside. Outside, runs the test named `test` of the module `module` inside namespaces that `unshare(1)` makes
/// with these flags, fails if it fails, and gives false: the caller returns.
#[expect(clippy::disallowed_methods, reason = "a test that starts itself again is no agent")]
pub(super) fn inside(module: &str, test: &str, flags: &[&str]) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let (_, module) = module.split_once("::").expect("a module of this crate");
    let output = Command::new("unshare")
        .args(flags)
        .arg(env::current_exe().expect("the test binary has a path"))
        .args(["--exact", &format!("{module}::{test}"), "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare (util-linux) is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "inside {flags:?}:\n{text}{errors}"
    );
    false
}
