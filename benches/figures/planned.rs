//! The group is moved while nothing is wrong: how long a client goes without answers.

use std::process::Command;
use std::time::Duration;

use lubdub::lab::{
    Attempt, Client, Lab, LabError, Moment, SERVICE, Service, Sight, stays, wait_for,
};

use crate::table::{Bound, figure, millis, p99, row, title};
use crate::{PATIENCE, Probe, holds, pair, settled};

/// What lubdub may add to the slowest that a shell does, ms.
const MOVE: f64 = 60.0;
/// A client that tries again within this is served.
const RETRY: Duration = Duration::from_millis(100);

/// Planned moves beside the same steps by a shell; `true` if each bound was kept.
pub(crate) fn section(runs: usize) -> Result<bool, LabError> {
    title(&format!("planned move of address and cold nginx, longest gap: ms, {runs} runs"));
    let (mut floor, mut gaps, mut unserved) = (Vec::new(), Vec::new(), 0.0);
    for _ in 0..runs {
        floor.extend(Probe::ByHand.run_inside(None)?);
        let figures = Probe::Switchover.run_inside(None)?;
        gaps.extend(figures.first());
        unserved += figures.get(1).copied().unwrap_or(f64::INFINITY);
    }
    row("floor: the same steps by a shell", &floor, None);
    let most = p99(&floor) + MOVE;
    let quick = row("lubdub switchover", &gaps, Some(Bound { median: most, worst: most }));
    let served =
        figure("requests that a retry would not serve", Some(&unserved), "requests", Some(0.0));
    Ok(quick && served)
}

/// The longest gap, and requests that failed and would have again within [`RETRY`].
pub(crate) fn switchover() -> Result<Vec<f64>, LabError> {
    let lab = settled(pair(Service::ColdWeb, 100, 500))?;
    moved(&lab, || lab.node("alpha")?.lubdub(&["switchover", "web", "--to", "beta"]).map(drop))
}

/// The same by a shell on each node, one after the other.
pub(crate) fn by_hand() -> Result<Vec<f64>, LabError> {
    let lab = Lab::new(pair(Service::ColdWeb, 100, 500))?;
    let shell = |node: &str, script: String| {
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        lab.node(node)?.run(command).map(drop)
    };
    let start = format!(
        "nginx -c /etc/lubdub/nginx.conf && ip addr add {SERVICE}/24 dev eth0 && arping -q -U -c 1 -I eth0 {SERVICE}"
    );
    let stop =
        format!("ip addr del {SERVICE}/24 dev eth0; nginx -c /etc/lubdub/nginx.conf -s stop");
    shell("alpha", start.clone())?;
    holds(&lab, "alpha")?;
    moved(&lab, || {
        shell("alpha", stop)?;
        shell("beta", start)
    })
}

fn moved(lab: &Lab, act: impl FnOnce() -> Result<(), LabError>) -> Result<Vec<f64>, LabError> {
    let client = lab.start_client()?;
    wait_for("alpha answers", PATIENCE, || Ok(client.served_by("alpha")))?;
    let second = Duration::from_secs(1);
    stays("alpha holds the address", second, || Ok(lab.kernels().only_holder_is("alpha")))?;
    let begin = Moment::now();
    act()?;
    lab.wait_served(&client, "beta")?;
    stays("beta holds the address", second, || Ok(lab.kernels().only_holder_is("beta")))?;
    judged(client, begin)
}

fn judged(client: Client, begin: Moment) -> Result<Vec<f64>, LabError> {
    let attempts = client.finish()?;
    let served = |attempt: &Attempt| attempt.result.is_ok();
    let retried = |failed: &&Attempt| {
        !attempts.iter().any(|other| {
            served(other) && other.sent > failed.ended && other.sent <= failed.ended + RETRY
        })
    };
    let unserved = attempts.iter().filter(|attempt| !served(attempt)).filter(retried).count();
    let gap = Sight::of(&attempts, begin).longest_gap;
    Ok(vec![millis(gap), f64::from(u32::try_from(unserved).unwrap_or(u32::MAX))])
}
