//! What a status finds about maintenance: whether it is in force, whom it waits for, and who may not know of its end.

use super::finding::Finding;
use crate::cluster::snapshot::{MaintenanceView, Snapshot, Wait};

pub(super) fn finding(snapshot: &Snapshot) -> Option<Finding> {
    let view = snapshot.maintenance.as_ref()?;
    let by = &view.author;
    let waits = view.waits_for.iter();
    let why = waits.clone().map(|(node, wait)| waiting(view, node, *wait));
    let silent = waits.filter(|(_, wait)| *wait == Wait::Silent).map(|(node, _)| node);
    Some(match (view.on, view.in_force) {
        (true, true) => Finding::warning(format!(
            "maintenance is in force ({by} asked for it): nothing is started, stopped, moved or monitored, on any node"
        ))
        .todo("when the work is done: lubdub maintenance off"),
        (true, false) => silent
            .fold(
                Finding::degraded(format!(
                    "maintenance is not in force yet ({by} asked for it), and nothing is taken over"
                ))
                .because(why),
                |finding, node| finding.todo(format!("start lubdub on {node}, or mend its links")),
            )
            .todo("until then, stop no daemon: it would stop what it runs")
            .todo("to give it up: lubdub maintenance off"),
        (false, _) => silent.fold(
            Finding::degraded(format!(
                "maintenance is over here ({by} asked for that), and not every node knows"
            ))
            .because(why),
            |finding, node| {
                finding
                    .todo(format!("start lubdub on {node}"))
                    .todo(format!("if {node} is really off: lubdub confirm-dead {node}"))
            },
        ),
    })
}

/// What a node keeps the others waiting for.
pub(in crate::cli) fn waiting(view: &MaintenanceView, node: &str, wait: Wait) -> String {
    match (wait, view.on) {
        (Wait::Silent, true) => format!("{node} is not heard"),
        (Wait::Silent, false) => {
            format!(
                "{node} is not heard: what it ran is not taken over, for it keeps that until it knows"
            )
        }
        (Wait::Word, _) => format!("{node} has not said that it knows"),
        (Wait::Disk, _) => format!("{node} has not got it on its disk"),
        (Wait::Groups, true) => format!("{node} is not at rest yet"),
        (Wait::CutOff, _) => {
            format!("{node} is cut off, and keeps what it runs until it hears somebody")
        }
        (Wait::Groups, false) => format!("{node} still looks at what runs on it"),
    }
}
