//! `[heartbeat]`: times, and the port that links have unless they say otherwise.

use std::time::Duration;

use super::read::Table;
use super::types::Timing;

/// Interval between heartbeats where none is given: Heartbeat's own, and 0.03 s of processor time a minute.
const KEEPALIVE: Duration = Duration::from_secs(1);

/// deadtime where none is given, in keepalives. With the default keepalive that is 10 s, above the pauses that users of
/// such programs have reported: 2.8 s for a virtual machine moved or snapshotted, 7 s for one that was not scheduled.
/// Whoever wants to be quicker measures first (`lubdub status` shows the worst silence) and writes it down.
const DEADTIME_IN_KEEPALIVES: u32 = 10;

/// warntime where none is given, as part of deadtime: late enough to be worth a line, early enough to be read.
const WARNTIME_OF_DEADTIME: u32 = 2;

/// initdead where none is given: twice deadtime, as Heartbeat has it, but at least the 10 s below which Heartbeat warns,
/// since switch ports and interfaces take seconds to come up with a machine.
const INITDEAD_IN_DEADTIMES: u32 = 2;
/// See [`INITDEAD_IN_DEADTIMES`].
const MIN_DEFAULT_INITDEAD: Duration = Duration::from_secs(10);

/// Below this a loop that shares its machine cannot keep its word: the best timers measured oversleep by a millisecond
/// or two even under `SCHED_FIFO`.
const MIN_KEEPALIVE: Duration = Duration::from_millis(10);

/// Three of the shortest keepalives.
const MIN_DEADTIME: Duration = Duration::from_millis(30);

/// Times travel in heartbeats as 32 bits of microseconds, which end at 71 minutes.
const MAX_TIME: Duration = Duration::from_secs(3600);

/// warn_offset where none is given: further apart, logs of two nodes are hard to compare, and what compares times between
/// them (certificates, tokens, replication) begins to fail.
pub(super) const WARN_OFFSET: Duration = Duration::from_secs(1);

/// Below this a warning would tell of the network.
const MIN_WARN_OFFSET: Duration = Duration::from_millis(1);

/// UDP port where none is given (IANA `ha-cluster`).
const PORT: u16 = 694;

pub(super) const KEYS: &[&str] =
    &["keepalive", "warntime", "deadtime", "initdead", "warn_offset", "port", "links"];

/// The times, with what is left out filled in. `None`: one of them is wrong, and that was noted.
pub(super) fn timing(table: &Table<'_>) -> Option<Timing> {
    let read = |key| table.get(key).map_or(Some(None), |item| item.duration().map(Some));
    // All are read before any is given up.
    let given = (read("keepalive"), read("warntime"), read("deadtime"), read("initdead"));
    let (Some(keepalive), Some(warntime), Some(deadtime), Some(initdead)) = given else {
        return None;
    };
    let keepalive = keepalive.unwrap_or(KEEPALIVE);
    let deadtime = deadtime.unwrap_or_else(|| keepalive.saturating_mul(DEADTIME_IN_KEEPALIVES));
    let initdead = initdead.unwrap_or_else(|| {
        deadtime.saturating_mul(INITDEAD_IN_DEADTIMES).clamp(MIN_DEFAULT_INITDEAD, MAX_TIME)
    });
    let warntime = warntime.unwrap_or(deadtime / WARNTIME_OF_DEADTIME);
    let timing = Timing { keepalive, warntime, deadtime, initdead };
    in_bounds(table, &timing).then(|| check_nesting(table, &timing))?;
    Some(timing)
}

fn in_bounds(table: &Table<'_>, timing: &Timing) -> bool {
    let Timing { keepalive, warntime, deadtime, initdead } = *timing;
    let mut fine = true;
    for (key, value, least) in [
        ("keepalive", keepalive, MIN_KEEPALIVE),
        ("warntime", warntime, MIN_KEEPALIVE),
        ("deadtime", deadtime, MIN_DEADTIME),
        ("initdead", initdead, MIN_DEADTIME),
    ] {
        if value < least || value > MAX_TIME {
            let bounds = format!("write at least {least:?} and at most {MAX_TIME:?}");
            table.error_at(key, format!("{key} {value:?} is out of bounds; {bounds}"));
            fine = false;
        }
    }
    fine
}

/// keepalive < warntime < deadtime <= initdead, and room for the guard in deadtime.
///
/// A holder that hears neither its peer nor a ping node lets go after deadtime - keepalive - stop budget of silence: the
/// two sides' silences differ by at most one keepalive, so it is done before the other side acts. For one lost heartbeat
/// to cost nothing, that moment has to come after one keepalive: deadtime > 2 x keepalive + stop budget. The rule holds
/// at every level of the guard, since a peer that one lost datagram makes look lost is never what was meant.
fn check_nesting(table: &Table<'_>, timing: &Timing) {
    let Timing { keepalive, warntime, deadtime, initdead } = *timing;
    let budget = timing.stop_budget();
    let too_short = deadtime <= keepalive * 2 + budget;
    if too_short {
        table.error_at(
            "deadtime",
            format!(
                "deadtime {deadtime:?} is too short for keepalive {keepalive:?}: a holder that is cut off lets go \
                 after deadtime - keepalive - stop budget = {deadtime:?} - {keepalive:?} - {budget:?} = {:?} of \
                 silence, which must be more than one keepalive; write deadtime = \"{:?}\" or more, or a shorter \
                 keepalive",
                deadtime.saturating_sub(keepalive + budget),
                keepalive * 3,
            ),
        );
    }
    if table.get("warntime").is_some() && (warntime <= keepalive || warntime >= deadtime) {
        let text = format!(
            "warntime {warntime:?} is not between keepalive {keepalive:?} and deadtime {deadtime:?}"
        );
        // What fits into a deadtime that has to become another one is not known yet.
        let hint = if too_short {
            "mend deadtime first, then leave warntime out or write something between them"
                .to_owned()
        } else {
            format!(
                "leave it out, or write \"{:?}\"",
                whole_millis(deadtime / WARNTIME_OF_DEADTIME)
            )
        };
        table.error_at("warntime", format!("{text}; {hint}"));
    }
    if initdead < deadtime {
        let text = format!(
            "initdead {initdead:?} is below deadtime {deadtime:?}; write \"{deadtime:?}\" or more"
        );
        table.error_at("initdead", text);
    }
}

/// To be written down: nobody counts in parts of a millisecond.
fn whole_millis(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// How far wall clocks may be apart. `None`: it is wrong, and that was noted.
pub(super) fn warn_offset(table: &Table<'_>) -> Option<Duration> {
    let Some(item) = table.get("warn_offset") else { return Some(WARN_OFFSET) };
    let given = item.duration()?;
    if given < MIN_WARN_OFFSET || given > MAX_TIME {
        item.error(format!(
            "{given:?} is out of bounds; write at least {MIN_WARN_OFFSET:?} and at most {MAX_TIME:?}"
        ));
        return None;
    }
    Some(given)
}

/// The UDP port for links that name none.
pub(super) fn port(table: &Table<'_>) -> Option<u16> {
    table.get("port").map_or(Some(PORT), |item| item.port())
}
