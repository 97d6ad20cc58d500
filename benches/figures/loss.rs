//! Frames are lost at random on both links for a minute at 10/30 ms: nobody may lose anybody.

use std::time::Duration;

use lubdub::cluster::event::Event;
use lubdub::lab::{Happening, LINKS, Lab, LabError, Service, stays};

use crate::table::figure;
use crate::{Probe, pair, settled};

const LONG: Duration = Duration::from_secs(60);
/// Frames of a hundred.
const LOST: u8 = 10;

/// How often anybody lost anybody, and how often the address moved; `true` if both is never.
pub(crate) fn section() -> Result<bool, LabError> {
    println!("\n{LOST} % of all frames lost on both links for 60 s, lubdub 10/30 ms, address only");
    let figures = Probe::Loss.run_inside(None)?;
    let lost = figure("peer lost", figures.first(), "times", Some(0.0));
    let moved = figure("address taken or given up", figures.get(1), "times", Some(0.0));
    Ok(lost && moved)
}

/// Losses of the peer, and beginnings and ends of a hold.
pub(crate) fn run() -> Result<Vec<f64>, LabError> {
    let lab = settled(pair(Service::Address, 10, 30))?;
    let (lost, changed) = (times_lost(&lab)?, changes(&lab));
    LINKS.iter().try_for_each(|link| lab.switch().lose(link, LOST))?;
    // Watched to the end: what happens meanwhile is counted below.
    stays("the minute", LONG, || Ok(true))?;
    lab.switch().lose_nothing()?;
    Ok(vec![count(times_lost(&lab)? - lost), count(changes(&lab) - changed)])
}

/// How often a node began or ceased to hold the address.
pub(crate) fn changes(lab: &Lab) -> usize {
    lab.kernels().holds().iter().map(|hold| 1 + usize::from(hold.until.is_some())).sum()
}

/// How often any node lost the other, as both nodes' histories say.
pub(crate) fn times_lost(lab: &Lab) -> Result<usize, LabError> {
    lab.nodes()
        .iter()
        .map(|node| {
            let lost = |it: &Happening| matches!(it.event, Event::PeerLost { .. });
            Ok(node.history()?.iter().filter(|it| lost(it)).count())
        })
        .sum()
}

pub(crate) fn count(times: usize) -> f64 {
    f64::from(u32::try_from(times).unwrap_or(u32::MAX))
}
