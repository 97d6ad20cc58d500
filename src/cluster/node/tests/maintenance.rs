//! Maintenance, as one node sees it. Whole stories are in `tests/sim/maintenance.rs`.

use super::*;
use crate::cluster::io::Response;
use crate::cluster::snapshot::Wait;
use crate::wire::MaintenanceState;

fn asks(pair: &mut Pair, node: usize, on: bool) {
    pair.command(node, Command::Maintenance { on });
    pair.run(200);
}

fn said(pair: &Pair, node: usize) -> Option<MaintenanceState> {
    pair.nodes[node].maintenance.word.map(|word| word.state)
}

fn in_maintenance() -> Pair {
    let mut pair = Pair::new();
    pair.run(1000);
    asks(&mut pair, 1, true);
    for node in 0..2 {
        assert_eq!(said(&pair, node), Some(MaintenanceState::InForce), "{}", pair.story());
    }
    pair
}

#[test]
fn nothing_is_asked_of_any_agent_and_nobody_is_kept_awake() {
    let mut pair = in_maintenance();
    let (before, woken) = (pair.outputs.len(), pair.woken[0]);
    pair.running.clear();
    pair.run(10_000);
    let asked: Vec<_> = pair.outputs[before..]
        .iter()
        .filter(|(_, output)| {
            matches!(
                output,
                Output::RunAgent { .. } | Output::RenewAddress { .. } | Output::DropAddress { .. }
            )
        })
        .collect();
    assert!(asked.is_empty(), "{asked:?}");
    let wakes = pair.woken[0] - woken;
    assert!(wakes <= 111, "{wakes}");
}

#[test]
fn moves_are_refused_and_standby_too() {
    let mut pair = in_maintenance();
    let before = pair.outputs.len();
    pair.switchover(0);
    pair.command(1, Command::Standby { node: None });
    pair.run(500);
    let refused = pair.outputs[before..].iter().filter(|(_, output)| {
        matches!(output, Output::Reply { response: Response::Refused { message }, .. }
            if message.contains("lubdub maintenance off"))
    });
    assert_eq!(refused.count(), 2);
    assert_eq!(pair.holders(), [0]);
}

#[test]
fn its_end_is_said_only_when_addresses_are_leased_again() {
    let mut pair = in_maintenance();
    pair.renewals_hang = true;
    asks(&mut pair, 1, false);
    pair.run(1000);
    assert_eq!(said(&pair, 0), Some(MaintenanceState::InForce), "{}", pair.story());
    let waits = |pair: &Pair, node: usize| {
        let view = pair.nodes[node].maintenance_view();
        view.map(|view| view.waits_for).unwrap_or_default()
    };
    assert_eq!(waits(&pair, 0).first(), Some(&("alpha".to_owned(), Wait::Groups)));
    assert_eq!(waits(&pair, 1), [("alpha".to_owned(), Wait::Word)]);
    // So it is not taken for dead, whatever is silent.
    pair.dead.insert(0);
    pair.run(5000);
    assert!(pair.holders().is_empty(), "{}", pair.story());
    pair.dead.remove(&0);

    let asked = pair.outputs.iter().rev().find_map(|output| {
        if let (0, Output::RenewAddress { op, .. }) = output { Some(*op) } else { None }
    });
    pair.tell(0, Input::AddressRenewed { op: asked.unwrap(), outcome: RenewOutcome::Kept });
    pair.renewals_hang = false;
    pair.run(5000);
    for node in 0..2 {
        assert_eq!(said(&pair, node), Some(MaintenanceState::Over), "{}", pair.story());
        assert_eq!(pair.nodes[node].maintenance_view(), None);
    }
    assert_eq!(pair.holders(), [0], "{}", pair.story());
}

#[test]
fn the_kernel_keeps_addresses_without_a_lease_only_while_it_is_in_force() {
    let mut pair = Pair::new();
    pair.run(1000);
    let mut leases = Vec::new();
    for on in [true, false] {
        let before = pair.outputs.len();
        asks(&mut pair, 0, on);
        pair.run(2000);
        let asked = pair.outputs[before..].iter().filter_map(|output| {
            let (node, Output::RenewAddress { lease, .. }) = output else { return None };
            Some((*node, *lease))
        });
        leases.push(asked.collect::<Vec<_>>());
    }
    assert_eq!(leases[0].last(), Some(&(0, None)), "{leases:?}");
    let second = Some(Duration::from_secs(1));
    assert!(
        leases[1].len() > 2 && leases[1].iter().all(|lease| *lease == (0, second)),
        "{leases:?}"
    );
}
