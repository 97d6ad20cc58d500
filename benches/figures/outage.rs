//! The power of the holder is cut at a random moment: how long until the survivor answers.

use std::process::Command;
use std::time::Duration;

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
        for _ in 0..runs {
            times.extend(probe.run_inside()?);
        }
        kept &= row(name, &times, bound);
    }
    Ok(kept)
}

pub(crate) fn lubdub(
    service: Service,
    keepalive: u64,
    deadtime: u64,
) -> Result<Vec<f64>, LabError> {
    let lab = settled(pair(service, keepalive, deadtime))?;
    cut(&lab, keepalive, || Ok(()))
}

pub(crate) fn peer(vrrp: Vrrp) -> Result<Vec<f64>, LabError> {
    let lab = Lab::new(pair(Service::Address, 100, 500))?;
    keepalived::start(&lab, vrrp)?;
    holds(&lab, "alpha")?;
    cut(&lab, vrrp.interval, || Ok(()))
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
    cut(&lab, 100, || take("beta"))
}

/// Cuts alpha's power at a random moment within a keepalive; milliseconds until beta answers.
fn cut(
    lab: &Lab,
    keepalive: u64,
    then: impl FnOnce() -> Result<(), LabError>,
) -> Result<Vec<f64>, LabError> {
    let client = lab.start_client()?;
    wait_for("alpha answers", PATIENCE, || Ok(client.served_by("alpha")))?;
    let phase = Duration::from_secs(1) + random_below(Duration::from_millis(keepalive));
    stays("alpha holds the address", phase, || Ok(lab.kernels().only_holder_is("alpha")))?;
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

/// A time below this, evenly spread; its middle if the kernel has no randomness.
fn random_below(most: Duration) -> Duration {
    let parts = getrandom::u32().unwrap_or(u32::MAX / 2);
    most.mul_f64(f64::from(parts) / f64::from(u32::MAX))
}
