//! The power of the holder is cut at a random moment: how long until the survivor answers.

use std::process::Command;
use std::time::{Duration, Instant};

use lubdub::lab::{Client, Lab, LabError, Moment, SERVICE, Service, Sight, stays, wait_for};

use crate::keepalived::{self, Vrrp};
use crate::table::{Bound, millis, row, title};
use crate::{PATIENCE, Probe, holds, pair, settled};

/// What a cold start of nginx may add to the median, ms.
const COLD_WEB: f64 = 30.0;
/// What moving the address may add to the median, ms.
const ADDRESS: f64 = 8.0;
/// What may be added to deadtime in the worst run, ms.
const WORST: f64 = 40.0;

/// All outages, one row each; `true` if each bound was kept.
pub(crate) fn section(runs: usize) -> Result<bool, LabError> {
    title(&format!("power of the holder cut, to the survivor's first answer: ms, {runs} runs"));
    // The fault comes at any moment between two heartbeats: on average half of one is over.
    let bound = |keepalive, deadtime, work| Bound {
        median: deadtime - keepalive / 2.0 + work,
        worst: deadtime + WORST,
    };
    let fast = Bound { median: 38.0, worst: 30.0 + WORST };
    let mut kept = true;
    for (probe, name, bound) in [
        (Probe::Floor, "floor: a shell, address and cold nginx", None),
        (
            Probe::ColdWeb,
            "lubdub 100/500 ms, address and cold nginx",
            Some(bound(100.0, 500.0, COLD_WEB)),
        ),
        (Probe::Address, "lubdub 100/500 ms, address", Some(bound(100.0, 500.0, ADDRESS))),
        (Probe::Vrrp100, "keepalived VRRPv3 100 ms, address", None),
        (Probe::FastAddress, "lubdub 10/30 ms, address", Some(fast)),
        (Probe::Vrrp10, "keepalived VRRPv3 10 ms, address", None),
    ] {
        let mut times = Vec::new();
        for run in 0..runs {
            match probe.run_inside(Some(phase(run, runs))) {
                Ok(figures) => times.extend(figures),
                // Half an hour of figures is not thrown away for it, and it is not passed over.
                Err(error) => {
                    eprintln!("figures: {name}: a run came to nothing: {error}");
                    kept = false;
                }
            }
        }
        kept &= row(name, &times, bound);
    }
    Ok(kept)
}

/// A random moment in this run's own part of a keepalive: so all parts come equally often, and a median of twenty runs is
/// not a matter of luck.
#[expect(clippy::cast_precision_loss, reason = "runs are few")]
fn phase(run: usize, runs: usize) -> f64 {
    (run as f64 + random()) / runs as f64
}

pub(crate) fn lubdub(
    service: Service,
    keepalive: u64,
    deadtime: u64,
    phase: Option<f64>,
) -> Result<Vec<f64>, LabError> {
    let lab = settled(pair(service, keepalive, deadtime))?;
    let keepalive = Duration::from_millis(keepalive);
    cut(
        &lab,
        || {
            let (asked, age) = (Instant::now(), last_round_trip(&lab)?);
            // Whole keepalives are added until the moment is still to come.
            let mut moment = keepalive.mul_f64(phase.unwrap_or_else(random));
            while moment < age + asked.elapsed() {
                moment += keepalive;
            }
            std::thread::sleep(moment.saturating_sub(age + asked.elapsed()));
            Ok(())
        },
        || Ok(()),
    )
}

/// How long ago beta's last round trip with alpha began: from then it counts the silence.
fn last_round_trip(lab: &Lab) -> Result<Duration, LabError> {
    let nodes = lab.node("beta")?.status()?.snapshot.nodes;
    let silence = nodes.iter().find_map(|node| node.peer.as_ref().map(|peer| peer.silence));
    silence.ok_or_else(|| LabError::Failed {
        command: "read the status of beta".to_owned(),
        status: "no peer".to_owned(),
        stderr: format!("{nodes:?}"),
    })
}

pub(crate) fn peer(vrrp: Vrrp) -> Result<Vec<f64>, LabError> {
    let lab = Lab::new(pair(Service::Address, 100, 500))?;
    keepalived::start(&lab, vrrp)?;
    holds(&lab, "alpha")?;
    cut(&lab, || at_random(vrrp.interval), || Ok(()))
}

/// What the same steps cost without anybody who has to find out: a shell does them as soon as the power is off.
pub(crate) fn floor() -> Result<Vec<f64>, LabError> {
    let lab = Lab::new(pair(Service::ColdWeb, 100, 500))?;
    let script = format!(
        "ip addr add {SERVICE}/24 dev eth0 && nginx -c /etc/lubdub/nginx.conf && arping -q -U -c 1 -I eth0 {SERVICE}"
    );
    let take = |node: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        lab.node(node)?.run(command).map(drop)
    };
    take("alpha")?;
    holds(&lab, "alpha")?;
    cut(&lab, || at_random(100), || take("beta"))
}

/// Cuts alpha's power at this moment; milliseconds until beta answers.
fn cut(
    lab: &Lab,
    moment: impl FnOnce() -> Result<(), LabError>,
    then: impl FnOnce() -> Result<(), LabError>,
) -> Result<Vec<f64>, LabError> {
    let client = lab.start_client()?;
    wait_for("alpha answers", PATIENCE, || Ok(client.served_by("alpha")))?;
    let second = Duration::from_secs(1);
    stays("alpha holds the address", second, || Ok(lab.kernels().only_holder_is("alpha")))?;
    moment()?;
    let off = lab.power_off("alpha")?;
    then()?;
    Ok(vec![first_answer(client, off)?])
}

/// Milliseconds from a fault until the first answer of beta to a request that was sent after one that failed.
pub(crate) fn first_answer(client: Client, fault: Moment) -> Result<f64, LabError> {
    wait_for("beta answers", PATIENCE, || Ok(client.served_by("beta")))?;
    let sight = Sight::of(&client.finish()?, fault);
    // A failure before the fault would be a false alarm, and make the outage look short.
    if sight.failed_before > 0 {
        eprintln!("figures: {} requests failed before the fault", sight.failed_before);
    }
    let end = sight.outage.and_then(|outage| outage.end);
    // Nothing failed: then nothing was missed for longer than this.
    Ok(end.map_or_else(|| millis(sight.longest_gap), |(answered, _)| answered.millis_after(fault)))
}

/// Waits for a part of an interval.
#[expect(clippy::unnecessary_wraps, reason = "the moments of others can fail")]
fn at_random(interval_ms: u64) -> Result<(), LabError> {
    std::thread::sleep(Duration::from_millis(interval_ms).mul_f64(random()));
    Ok(())
}

/// From 0 to 1, evenly spread; the middle if the kernel has no randomness.
fn random() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}
