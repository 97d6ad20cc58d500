//! Against a real shell script, `tests/agents/fixture.sh`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use tokio::time::{sleep, timeout};

use super::*;
use crate::agent::ExitCode;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn executor() -> Executor {
    Executor::start(Orphans::Leave, || Instant::ZERO).unwrap()
}

fn fixture(op: u64, what: &str) -> Request {
    Request {
        op: OpId(op),
        path: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agents/fixture.sh"),
        action: Action::Monitor,
        environment: [("OCF_RESKEY_do", what), ("PATH", "/usr/bin:/bin")]
            .map(|(name, value)| (name.to_owned(), value.into()))
            .into(),
        timeout: PATIENCE,
        not_after: None,
    }
}

/// The same, with a file for what the fixture has to tell.
fn fixture_with_file(op: u64, what: &str, file: &Path) -> Request {
    let mut request = fixture(op, what);
    request.environment.insert("OCF_RESKEY_file".to_owned(), file.into());
    request
}

async fn answer(executor: &mut Executor) -> (OpId, Outcome) {
    timeout(PATIENCE, executor.next()).await.expect("an answer")
}

async fn outcome_of(request: Request) -> Outcome {
    let mut executor = executor();
    let op = request.op;
    executor.run(request);
    let (answered, outcome) = answer(&mut executor).await;
    assert_eq!(answered, op);
    outcome
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

/// The process whose id is written in a file.
async fn process_in(file: &Path) -> Pid {
    let read = || fs::read_to_string(file).unwrap_or_default().trim().parse().ok();
    until("the fixture wrote its child's process id", || read().is_some()).await;
    Pid::from_raw(read().unwrap())
}

/// State and parent as in proc_pid_stat(5), while the process is there.
fn look_at(pid: Pid) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn runs(pid: Pid) -> bool {
    look_at(pid).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

fn exited(code: ExitCode, reason: Option<&str>) -> Outcome {
    Outcome::Exited { code, reason: reason.map(str::to_owned) }
}

#[tokio::test]
async fn an_agent_that_ends_is_answered_with_its_code_and_its_reason() {
    assert_eq!(outcome_of(fixture(1, "succeed")).await, exited(ExitCode::Success, None));
    assert_eq!(
        outcome_of(fixture(2, "fail")).await,
        exited(ExitCode::Generic, Some("it is broken"))
    );
    assert_eq!(
        outcome_of(fixture(3, "murmur")).await,
        exited(ExitCode::NotRunning, Some("last words"))
    );
    assert_eq!(outcome_of(fixture(4, "?")).await, exited(ExitCode::Arguments, Some("unknown: ?")));
}

#[tokio::test]
async fn an_agent_that_hangs_is_timed_out_with_its_deaf_children() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("child");
    let mut executor = executor();
    let mut request = fixture_with_file(1, "deaf", &file);
    request.timeout = Duration::from_millis(500);
    executor.run(request);
    let child = process_in(&file).await;
    assert!(runs(child));
    assert_eq!(answer(&mut executor).await, (OpId(1), Outcome::TimedOut));
    until("the deaf child was killed", || !runs(child)).await;
}

#[tokio::test]
async fn what_is_killed_is_answered_once_and_only_that_is_killed() {
    let mut executor = executor();
    for op in 1..=3 {
        executor.run(fixture(op, "hang"));
    }
    executor.kill(OpId(9));
    executor.kill(OpId(2));
    executor.kill(OpId(2));
    assert_eq!(answer(&mut executor).await, (OpId(2), Outcome::Killed));
    executor.kill(OpId(2));
    executor.kill(OpId(1));
    assert_eq!(answer(&mut executor).await, (OpId(1), Outcome::Killed));
    executor.run(fixture(4, "succeed"));
    assert_eq!(answer(&mut executor).await.0, OpId(4));
    executor.kill(OpId(3));
    assert_eq!(answer(&mut executor).await, (OpId(3), Outcome::Killed));
    assert!(executor.under_way.is_empty());
}

#[tokio::test]
async fn a_flood_is_kept_only_at_its_end() {
    let mut executor = executor();
    executor.run(fixture(1, "flood"));
    let (_, finished) = timeout(PATIENCE, executor.finished.recv()).await.unwrap().unwrap();
    assert_eq!(finished.outcome, exited(ExitCode::Generic, Some("after the flood")));
    assert_eq!(finished.stdout, vec![b'x'; CAPTURE_MAX]);
    assert_eq!(finished.stderr.len(), CAPTURE_MAX);
}

#[tokio::test]
async fn a_child_that_holds_the_output_open_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("child");
    assert_eq!(
        outcome_of(fixture_with_file(1, "leave", &file)).await,
        exited(ExitCode::Success, None)
    );
    let child = process_in(&file).await;
    let lives = runs(child);
    kill(child, Signal::SIGKILL).unwrap();
    assert!(lives, "what an agent leaves behind is its service, and goes on");
}

#[tokio::test]
async fn an_agent_that_is_killed_from_elsewhere_is_told_by_the_signal() {
    assert_eq!(outcome_of(fixture(1, "die")).await, Outcome::Signalled(9));
    let outcome = outcome_of(fixture(2, "die-of-realtime")).await;
    let Outcome::Exited { code: ExitCode::Generic, reason: Some(reason) } = outcome else {
        panic!("{outcome}")
    };
    assert!(reason.contains("status was lost"), "{reason}");
}

#[tokio::test]
async fn what_cannot_be_executed_is_told_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("plain"), "").unwrap();
    for (name, text) in [
        ("strange", "#!/no/such -x\n"),
        ("windows", "#!/bin/sh\r\nexit 0\r\n"),
        ("no-script", "exit 0\n"),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for (name, words) in [
        ("none", "No such file"),
        ("plain", "Permission denied"),
        (
            "strange",
            "its first line, `#!/no/such -x`, names /no/such, which is not there; install that",
        ),
        ("windows", "Windows"),
        ("no-script", "begins with a line such as #!/bin/sh"),
    ] {
        let path = dir.path().join(name);
        let outcome = outcome_of(Request { path: path.clone(), ..fixture(1, "") }).await;
        let Outcome::CannotExecute(why) = outcome else { panic!("{outcome}") };
        assert!(why.contains(words) && why.contains(&path.display().to_string()), "{why}");
    }
    let mut request = fixture(1, "succeed");
    request.environment.insert("OCF_RESKEY_ip".to_owned(), "a\0b".into());
    assert!(matches!(outcome_of(request).await, Outcome::CannotExecute(_)));
}

#[tokio::test]
async fn a_right_to_start_ends_at_its_very_moment() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("child");
    let now = Instant::from_millis(100);
    let mut executor = Executor::start(Orphans::Leave, move || now).unwrap();
    let mut request = fixture_with_file(1, "leave", &file);
    request.not_after = Some(now);
    executor.run(request);
    assert_eq!(answer(&mut executor).await, (OpId(1), Outcome::TooLate));
    assert!(!file.exists(), "nothing was done");
    let mut request = fixture(2, "succeed");
    request.not_after = Some(now + Duration::from_micros(1));
    executor.run(request);
    assert_eq!(answer(&mut executor).await, (OpId(2), exited(ExitCode::Success, None)));
}

/// The clock is read where the process is made, not where it was asked for.
#[tokio::test]
async fn a_right_that_ends_in_the_queue_is_not_used() {
    let reads = AtomicU64::new(0);
    let now = move || Instant::from_millis(reads.fetch_add(1, Ordering::SeqCst));
    let mut executor = Executor::start(Orphans::Leave, now).unwrap();
    for op in 1..=3 {
        executor
            .run(Request { not_after: Some(Instant::from_millis(2)), ..fixture(op, "succeed") });
    }
    let mut outcomes = BTreeMap::new();
    for _ in 1..=3 {
        outcomes.extend([answer(&mut executor).await]);
    }
    assert_eq!(outcomes.remove(&OpId(3)), Some(Outcome::TooLate));
    assert!(outcomes.values().all(Outcome::is_success), "{outcomes:?}");
}

#[tokio::test]
async fn too_much_at_once_is_refused_and_a_dead_thread_is_told() {
    let mut executor = executor();
    for op in 0..=UNDER_WAY_MAX {
        executor.under_way.insert(OpId(op as u64), Asked::Run);
    }
    executor.run(fixture(9_999, "succeed"));
    assert!(matches!(answer(&mut executor).await, (OpId(9_999), Outcome::CannotExecute(_))));

    let (orders, _) = mpsc::channel(1);
    let (_, finished) = mpsc::channel(1);
    let under_way = BTreeMap::from([(OpId(1), Asked::Run)]);
    let mut executor = Executor { orders, finished, under_way, refused: VecDeque::new() };
    executor.run(fixture(2, "succeed"));
    assert_eq!(answer(&mut executor).await, (OpId(2), gone()));
    assert_eq!(answer(&mut executor).await, (OpId(1), gone()));
}

#[tokio::test]
async fn what_runs_is_killed_when_the_executor_goes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("child");
    let mut executor = executor();
    executor.run(fixture_with_file(1, "deaf", &file));
    let child = process_in(&file).await;
    drop(executor);
    until("the child was killed", || !runs(child)).await;
}

#[test]
fn an_agent_inherits_nothing() {
    alone("alone_inherits_nothing");
}

#[test]
#[ignore = "run in a process of its own by an_agent_inherits_nothing"]
fn alone_inherits_nothing() {
    close_inherited_descriptors().unwrap();
    // A thread of its own, since it becomes what the event loop's thread is.
    let printed = std::thread::spawn(|| {
        use thread_priority::{RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};
        // Where one of them is not allowed there is nothing to inherit either.
        let _ = fs::write("/proc/self/oom_score_adj", "-500");
        let _ = thread_priority::set_thread_priority_and_policy(
            thread_priority::thread_native_id(),
            ThreadPriority::Min,
            ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo),
        );
        let mut blocked = SigSet::empty();
        blocked.add(Signal::SIGTERM);
        blocked.thread_block().unwrap();
        let mut request = fixture(1, "inheritance");
        request.environment.insert("A".to_owned(), "b".into());
        let finished = run_once(request, || Instant::ZERO).unwrap();
        assert!(finished.outcome.is_success(), "{}", finished.outcome);
        String::from_utf8(finished.stdout).unwrap()
    });
    let printed = printed.join().unwrap();
    let lines: Vec<_> = printed.lines().collect();
    for expected in [
        "policy=0 nice=0",
        "group=1",
        "cwd=/ umask=0022",
        "SigBlk:\t0000000000000000",
        "stdin=/dev/null",
        "A=b",
    ] {
        assert!(lines.contains(&expected), "{expected:?} in {printed}");
    }
    assert!(!printed.contains("oom=-"), "the out-of-memory killer may take it: {printed}");
    let sigpipe = 1 << (Signal::SIGPIPE as u32 - 1);
    let ignored = lines.iter().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & sigpipe, 0, "SIGPIPE has its default");
    assert!(!printed.contains("CARGO"), "the environment is clean: {printed}");
    // A shell keeps its script open, dash as 10 and bash as 255; `alone` gave this process a 9.
    let fds = lines
        .iter()
        .filter_map(|line| line.strip_prefix("fd="))
        .filter(|fd| !["10", "255"].contains(fd));
    assert_eq!(fds.collect::<Vec<_>>(), ["0", "1", "2"], "{printed}");
}

#[test]
fn a_single_action_is_answered_with_what_it_printed() {
    let finished = run_once(fixture(1, "murmur"), || Instant::ZERO).unwrap();
    let expected = Finished {
        outcome: exited(ExitCode::NotRunning, Some("last words")),
        stdout: b"on stdout\n".to_vec(),
        stderr: b"last words\n".to_vec(),
    };
    assert_eq!(finished, expected);
    let missing = Request { path: "/none".into(), ..fixture(1, "") };
    assert!(matches!(
        run_once(missing, || Instant::ZERO).unwrap().outcome,
        Outcome::CannotExecute(_)
    ));
}

/// Runs a test in a process of its own, with a descriptor 9 that it inherits: such tests reap every child of their
/// process, close its descriptors or count them.
#[expect(clippy::disallowed_methods, reason = "starts this very test program")]
fn alone(test: &str) {
    let name = format!("daemon::exec::tests::{test}");
    let output = std::process::Command::new("sh")
        .args(["-c", "exec \"$0\" \"$@\" 9</dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--include-ignored", "--nocapture"])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}\n{said}");
}

#[test]
fn what_agents_leave_behind_is_adopted_and_reaped() {
    alone("alone_adopts_and_reaps");
}

#[tokio::test]
#[ignore = "run in a process of its own by what_agents_leave_behind_is_adopted_and_reaped"]
async fn alone_adopts_and_reaps() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("child");
    let mut executor = Executor::new(|| Instant::ZERO).unwrap();
    executor.run(fixture_with_file(1, "leave", &file));
    assert_eq!(answer(&mut executor).await, (OpId(1), exited(ExitCode::Success, None)));
    let child = process_in(&file).await;
    let me = i32::try_from(std::process::id()).unwrap();
    assert_eq!(look_at(child).map(|(_, parent)| parent), Some(me), "the orphan is ours");
    kill(child, Signal::SIGKILL).unwrap();
    until("the orphan was reaped", || look_at(child).is_none()).await;
    executor.run(fixture(2, "die-of-realtime"));
    assert!(matches!(
        answer(&mut executor).await,
        (OpId(2), Outcome::Exited { code: ExitCode::Generic, .. })
    ));
}

#[test]
fn a_thousand_actions_leave_nothing_behind() {
    alone("alone_runs_a_thousand");
}

#[tokio::test]
#[ignore = "run in a process of its own by a_thousand_actions_leave_nothing_behind"]
async fn alone_runs_a_thousand() {
    const AT_ONCE: u64 = 20;
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let me = i32::try_from(std::process::id()).unwrap();
    let children = || {
        let processes = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        processes
            .filter(|pid| look_at(Pid::from_raw(*pid)).is_some_and(|(_, parent)| parent == me))
            .count()
    };
    let mut executor = Executor::new(|| Instant::ZERO).unwrap();
    let before = descriptors();
    let words = ["succeed", "fail", "orphan", "die", "hang"];
    for round in 0..50 {
        let ops = round * AT_ONCE..(round + 1) * AT_ONCE;
        for (op, what) in ops.clone().zip(words.iter().cycle()) {
            executor.run(fixture(op, what));
            if *what == "hang" {
                executor.kill(OpId(op));
            }
        }
        let mut answered = BTreeMap::new();
        for _ in ops.clone() {
            answered.extend([answer(&mut executor).await]);
        }
        assert!(answered.keys().copied().eq(ops.map(OpId)), "each is answered once: {answered:?}");
    }
    until("all descriptors were closed", || descriptors() == before).await;
    until("all children were reaped", || children() == 0).await;
}
