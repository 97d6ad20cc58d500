//! Faults after which two nodes could hold the address: for how long they do.

use std::time::Duration;

use lubdub::lab::{LabError, Moment, Node, Service, stays, wait_for};

use crate::outage::first_answer;
use crate::table::{figure, millis};
use crate::{PATIENCE, Probe, pair, settled};

/// Longer than every time at which a daemon could act.
const LONG: Duration = Duration::from_secs(5);

/// Each fault, with the time for which both nodes held the address; `true` if that is none.
pub(crate) fn section() -> Result<bool, LabError> {
    println!("\nboth nodes hold the address, lubdub 100/500 ms, level ping+arp");
    let mut kept = true;
    for (probe, name, then) in [
        (
            Probe::HeartbeatsCut,
            "heartbeat links cut for 5 s",
            "  then power cut: to beta's first answer",
        ),
        (Probe::DaemonKilled, "daemon killed", "  until beta holds it"),
        (Probe::DaemonFrozen, "daemon frozen", "  until beta holds it"),
    ] {
        let figures = probe.run_inside(None)?;
        kept &= figure(name, figures.first(), "ms", Some(0.0));
        kept &= figure(then, figures.get(1), "ms", None);
    }
    Ok(kept)
}

/// The heartbeat links are cut while the service network works: nothing moves. Then the holder's power is cut. Time with
/// two holders, and time until the survivor answers.
pub(crate) fn cut_heartbeats() -> Result<Vec<f64>, LabError> {
    let lab = settled(pair(Service::ColdWeb, 100, 500))?;
    let client = lab.start_client()?;
    wait_for("alpha answers", PATIENCE, || Ok(client.served_by("alpha")))?;
    lab.switch().cut_heartbeats("alpha", "beta")?;
    stays("alpha holds the address", LONG, || Ok(lab.kernels().only_holder_is("alpha")))?;
    let both = lab.kernels().both_held()?;
    let off = lab.power_off("alpha")?;
    Ok(vec![millis(both), first_answer(client, off)?])
}

/// Something happens to the holder's daemon alone: the other node waits for the kernel's lease to end. Time with two
/// holders, and time until the other one holds it.
pub(crate) fn lose_daemon(fault: fn(&Node) -> Result<(), LabError>) -> Result<Vec<f64>, LabError> {
    let lab = settled(pair(Service::ColdWeb, 100, 500))?;
    let begin = Moment::now();
    fault(lab.node("alpha")?)?;
    wait_for("beta holds the address", PATIENCE, || Ok(lab.kernels().only_holder_is("beta")))?;
    let moved = Moment::now() - begin;
    stays("beta holds the address", LONG, || Ok(lab.kernels().only_holder_is("beta")))?;
    Ok(vec![millis(lab.kernels().both_held()?), millis(moved)])
}
