//! The way of a test into the laboratory, and what the tests ask of it.
#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "test code: it panics where a test has to fail, and shows why"
)]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lubdub::lab::{Client, Inside, Lab, LabError, Moment, PATIENCE, Plan, Sight, wait_for};

/// What a test may take longer on a machine that is busy with something else. The exact figures are the benchmark's.
pub(crate) const SLACK: Duration = Duration::from_millis(400);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_lubdub");
const INSIDE: &str = "LUBDUB_TEST_INSIDE";

/// Two laboratories at once would measure each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs a test in a laboratory of its own: starts this test binary again inside new namespaces, for this test alone.
/// `test` is its full name.
pub(crate) fn in_lab(test: &str, plan: Plan, body: impl FnOnce(&Lab) -> Result<(), LabError>) {
    if std::env::var_os(INSIDE).is_some() {
        let lab = Lab::new(plan).unwrap();
        let _logs = ShowLogs(&lab);
        return body(&lab).unwrap();
    }
    let _turn = alone();
    let mut command = ["env".to_owned(), format!("{INSIDE}=1")].map(OsString::from).to_vec();
    command.push(std::env::current_exe().unwrap().into());
    command.extend([test, "--exact", "--nocapture", "--test-threads=1"].map(OsString::from));
    let output = Inside::new(Path::new(PROGRAM), &command).and_then(Inside::output).unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success() && out.contains("1 passed"),
        "{test} failed inside:\n{out}\n{err}"
    );
}

/// Waits for the only laboratory of this test program.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A pair at the usual 100/500 ms.
pub(crate) fn pair() -> Plan {
    Plan::pair(
        PathBuf::from(PROGRAM),
        Path::new(env!("CARGO_MANIFEST_DIR")).join("resource-agents"),
    )
}

/// Ends the client's work and adds up what it saw; not a single request may have failed before the fault.
pub(crate) fn sight(client: Client, fault: Moment) -> Result<Sight, LabError> {
    let sight = Sight::of(&client.finish()?, fault);
    assert_eq!(sight.failed_before, 0, "the fault was not the first: {sight:?}");
    Ok(sight)
}

/// The address was on one node at a time, always.
pub(crate) fn assert_never_two(lab: &Lab) -> Result<(), LabError> {
    assert_eq!(lab.kernels().both_held()?, Duration::ZERO, "{:?}", lab.kernels().holds());
    Ok(())
}

/// The client had an answer again within this time after the fault.
pub(crate) fn assert_outage(sight: &Sight, fault: Moment, at_most: Duration) {
    let end = sight.outage.as_ref().and_then(|outage| outage.end.as_ref());
    let end = end.map(|(moment, _)| moment.millis_after(fault));
    assert!(
        end.is_some_and(|end| end <= at_most.as_secs_f64() * 1000.0),
        "first answer after {end:?} ms, expected within {at_most:?}: {sight:?}"
    );
}

/// The address has been on this node alone, without a break.
pub(crate) fn assert_never_moved(lab: &Lab, node: &str) {
    let holds = lab.kernels().holds();
    assert!(holds.len() == 1 && lab.kernels().only_holder_is(node), "{holds:?}");
}

/// What `lubdub status` prints on a node holds these words.
pub(crate) fn is_told(lab: &Lab, node: &str, words: &str) -> Result<(), LabError> {
    wait_for(&format!("status of {node} tells: {words}"), PATIENCE, || {
        Ok(page(lab, node)?.contains(words.trim_end()))
    })
}

/// What `lubdub status` prints on a node, as one line.
pub(crate) fn page(lab: &Lab, node: &str) -> Result<String, LabError> {
    let output = lab.node(node)?.lubdub(&["status"])?;
    let page = String::from_utf8_lossy(&output.stdout);
    Ok(page.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Shows what the daemons wrote if the test fails.
struct ShowLogs<'a>(&'a Lab);

impl Drop for ShowLogs<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for node in self.0.nodes() {
            eprintln!(
                "---- {} ----\n{}",
                node.name(),
                fs::read_to_string(node.daemon_log()).unwrap_or_default()
            );
        }
    }
}
