//! What the snapshot tells beside what is decided upon: keys and counts.

use super::*;
use crate::cluster::counts::PeerCounts;
use crate::cluster::keys::KeyConflict;
use crate::wire::KeysChange;

fn key(id: u8) -> KeyId {
    KeyId::from(NonZeroU8::new(id).unwrap())
}

/// The key that this node sees its peer sign with.
fn key_of_peer(pair: &Pair, node: usize) -> Option<KeyId> {
    let snapshot = pair.nodes[node].snapshot(pair.now);
    snapshot.nodes.into_iter().find_map(|node| node.peer)?.key
}

#[test]
fn each_node_knows_what_the_other_signs_with_and_when_that_changed() {
    let mut pair = Pair::new();
    pair.run(1000);
    assert_eq!((key_of_peer(&pair, 0), key_of_peer(&pair, 1)), (Some(key(1)), Some(key(1))));
    pair.keys[0] = NonZeroU8::new(2).unwrap();
    let change = KeysChange { signs: Some((key(1), key(2))), ..KeysChange::default() };
    pair.tell(0, Input::KeysChanged { author: "root".into(), change: change.clone() });
    // At once, not with the next heartbeat.
    pair.run(0);
    assert_eq!((key_of_peer(&pair, 0), key_of_peer(&pair, 1)), (Some(key(1)), Some(key(2))));
    pair.run(1000);
    let told: Vec<(usize, Event)> = pair
        .events
        .iter()
        .filter(|(_, _, event)| matches!(event, Event::PeerKey { .. } | Event::KeysChanged { .. }))
        .map(|(node, _, event)| (*node, event.clone()))
        .collect();
    assert_eq!(
        told,
        [
            (0, Event::KeysChanged { author: "root".into(), change }),
            (1, Event::PeerKey { peer: "alpha".into(), key: key(2), before: key(1) }),
        ]
    );
    assert_eq!(pair.holders(), [0], "{}", pair.story());
}

#[test]
fn keys_are_in_use_while_their_peer_is_heard() {
    let mut pair = Pair::new();
    pair.run(1000);
    let dropped = KeysChange { dropped: vec![key(1)], ..KeysChange::default() };
    let in_use = KeyConflict::StillSigns { peer: "beta".into(), key: key(1) };
    assert_eq!(pair.nodes[0].key_conflicts(&dropped), [in_use]);
    pair.dead.insert(1);
    pair.run(1000);
    assert_eq!(pair.nodes[0].key_conflicts(&dropped), []);
}

#[test]
fn what_is_told_is_counted() {
    let mut pair = Pair::new();
    pair.run(1030);
    let start = pair.nodes[0].snapshot(pair.now).counts;
    assert_eq!(start.groups["web"].started, 1);
    assert!(start.peers.is_empty(), "{start:?}");
    pair.dead.insert(0);
    pair.run(1000);
    let counts = pair.nodes[1].snapshot(pair.now).counts;
    assert_eq!(counts.peers["alpha"], PeerCounts { late: 1, lost: 1 });
    assert_eq!((counts.groups["web"].started, counts.groups["web"].stopped), (1, 0));
    let failure = Outcome::Exited { code: ExitCode::Generic, reason: None };
    pair.broken.insert((1, 0, Action::Monitor), failure);
    pair.run(3000);
    let counts = pair.nodes[1].snapshot(pair.now).counts;
    let failures = &counts.groups["web"].failures["vip"];
    assert!(failures[&Action::Monitor] > 0, "{counts:?}");
    let told = pair.events.iter().filter(|(node, _, event)| {
        *node == 1 && matches!(event, Event::AgentFailed { action: Action::Monitor, .. })
    });
    assert_eq!(failures[&Action::Monitor], u64::try_from(told.count()).unwrap());
}
