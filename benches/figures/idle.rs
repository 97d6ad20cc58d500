//! What lubdub takes while nothing happens.

use std::fs;
use std::path::Path;
use std::time::Duration;

use lubdub::lab::{Lab, LabError, Service, stays};

use crate::table::figure;
use crate::{Probe, pair, settled};

const LONG: Duration = Duration::from_secs(60);

/// Memory and processor time; `true` if both keep their bounds.
pub(crate) fn section() -> Result<bool, LabError> {
    println!("\nidle for 60 s, keepalive 1 s, two links, ping guard, address held, monitor 10 s");
    let figures = Probe::Idle.run_inside(None)?;
    let memory = figure("memory (PSS)", figures.first(), "MiB", Some(4.0));
    let daemon = figure("processor, daemon", figures.get(1), "s/min", Some(0.03));
    let agents = figure("processor, agents", figures.get(2), "s/min", None);
    Ok(memory && daemon && agents)
}

/// Of the holder's daemon: memory in MiB, processor seconds of its own, and of what it ran.
pub(crate) fn run() -> Result<Vec<f64>, LabError> {
    let mut plan = pair(Service::Address, 1_000, 5_000);
    plan.monitor = Duration::from_secs(10);
    let lab = settled(plan)?;
    let before = Usage::of_daemon(&lab)?;
    stays("alpha holds the address", LONG, || Ok(lab.kernels().only_holder_is("alpha")))?;
    let after = Usage::of_daemon(&lab)?;
    Ok(vec![after.mebibytes, after.seconds - before.seconds, after.children - before.children])
}

/// What a process has used, as its kernel counts it (proc(5)).
#[derive(Debug)]
struct Usage {
    mebibytes: f64,
    /// Of all its threads.
    seconds: f64,
    /// Of its children that have ended.
    children: f64,
}

impl Usage {
    fn of_daemon(lab: &Lab) -> Result<Self, LabError> {
        let alpha = lab.node("alpha")?;
        let daemon = alpha
            .processes()?
            .into_iter()
            .find(|process| process.command.contains(" run --config "));
        let nobody =
            || LabError::Node { node: "alpha".to_owned(), problem: "no daemon runs on it" };
        let daemon = daemon.ok_or_else(nobody)?;
        let process = Path::new("/proc").join(daemon.pid.to_string());
        let memory = read(&process.join("smaps_rollup"))?;
        let pss =
            memory.lines().find_map(|line| line.strip_prefix("Pss:")).map_or(0.0, first_number);
        // After the name in parentheses: 13 fields on stand the children's ticks, a hundredth of a second each.
        let stat = read(&process.join("stat"))?;
        let fields: Vec<f64> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .map(first_number)
            .collect();
        Ok(Self {
            mebibytes: pss / 1024.0,
            seconds: nanoseconds(&process.join("task"))? / 1e9,
            children: fields.iter().skip(13).take(2).sum::<f64>() / 100.0,
        })
    }
}

/// Time on a processor of all threads in `/proc/PID/task`.
fn nanoseconds(tasks: &Path) -> Result<f64, LabError> {
    let entries = fs::read_dir(tasks)
        .map_err(|source| LabError::File { path: tasks.to_path_buf(), source })?;
    entries.flatten().map(|task| Ok(first_number(&read(&task.path().join("schedstat"))?))).sum()
}

fn read(path: &Path) -> Result<String, LabError> {
    fs::read_to_string(path).map_err(|source| LabError::File { path: path.to_path_buf(), source })
}

fn first_number(text: &str) -> f64 {
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}
