//! Frames are lost at random on both links for a minute at 10/30 ms: nobody may lose anybody.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use lubdub::cluster::event::Event;
use lubdub::lab::{Happening, LINKS, Lab, LabError, Service, stays};

use crate::table::{figure, millis};
use crate::{Probe, pair, settled};

const LONG: Duration = Duration::from_secs(60);
/// Frames of a hundred.
const LOST: u8 = 10;
/// Whoever sleeps this much longer than it wanted to is missing for half of the deadtime.
const PAUSE: Duration = Duration::from_millis(15);

/// How often anybody lost anybody, and how often the address moved; `true` if both is never.
pub(crate) fn section() -> Result<bool, LabError> {
    println!("\n{LOST} % of all frames lost on both links for 60 s, lubdub 10/30 ms, address only");
    let figures = Probe::Loss.run_inside(None)?;
    figure("floor: a thread that sleeps is 15 ms late", figures.get(2), "times", None);
    figure("floor: the latest", figures.get(3), "ms", None);
    let lost = figure("peer lost", figures.first(), "times", Some(0.0));
    let moved = figure("address taken or given up", figures.get(1), "times", Some(0.0));
    Ok(lost && moved)
}

/// Losses of the peer, beginnings and ends of a hold, and what the machine took from a program that only sleeps: how often
/// it was late by [`PAUSE`], and the longest of it in milliseconds.
pub(crate) fn run() -> Result<Vec<f64>, LabError> {
    let lab = settled(pair(Service::Address, 10, 30))?;
    let (lost, changed) = (times_lost(&lab)?, changes(&lab));
    LINKS.iter().try_for_each(|link| lab.switch().lose(link, LOST))?;
    let (end, ended) = mpsc::channel::<()>();
    let sleeper = thread::spawn(move || {
        let (mut pauses, mut latest) = (0, Duration::ZERO);
        let nap = Duration::from_millis(1);
        loop {
            let asleep = Instant::now();
            if ended.recv_timeout(nap) != Err(RecvTimeoutError::Timeout) {
                return (pauses, latest);
            }
            let late = asleep.elapsed().saturating_sub(nap);
            pauses += usize::from(late >= PAUSE);
            latest = latest.max(late);
        }
    });
    // Watched to the end: what happens meanwhile is counted below.
    stays("the minute", LONG, || Ok(true))?;
    drop(end);
    let (pauses, latest) = sleeper.join().unwrap_or_default();
    lab.switch().lose_nothing()?;
    let (lost, changed) = (times_lost(&lab)? - lost, changes(&lab) - changed);
    Ok(vec![count(lost), count(changed), count(pauses), millis(latest)])
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
