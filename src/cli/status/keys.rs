//! Keys: who signs with which, and where a change of keys stands. Pure.

use super::finding::Finding;
use crate::cli::view;
use crate::control::Status;
use crate::wire::KeyId;

/// Peers that are heard, each with the key that it signs with.
fn heard(status: &Status) -> impl Iterator<Item = (&str, KeyId)> {
    let heard = status.snapshot.nodes.iter().filter(|node| view::is_heard(node));
    heard.filter_map(|node| Some((node.name.as_str(), node.peer.as_ref()?.key?)))
}

/// A peer that signs with another key than this node.
pub(super) fn differing(status: &Status) -> Vec<Finding> {
    let own = status.daemon.keys.sending;
    let differ = heard(status).filter(|(_, key)| *key != own);
    differ
        .map(|(peer, key)| {
            Finding::warning(format!("{peer} signs with key {key}, this node with key {own}"))
                .todo("keep both keys on all nodes until all sign with the same one")
                .todo(format!(
                    "if {peer} does not hear this node: it has no key {own} yet; copy authkeys to it, then there: lubdub reload"
                ))
                .todo(format!(
                    "where the former one still signs: lubdub keygen --use ID, then lubdub reload \
                     (ID {own} or {key}, whichever is new)"
                ))
        })
        .collect()
}

/// What is known of keys that this node accepts and does not sign with; `None`: there are none.
pub(super) fn spare(status: &Status) -> Option<String> {
    let keys = &status.daemon.keys;
    let used: Vec<KeyId> = heard(status).map(|(_, key)| key).chain([keys.sending]).collect();
    let spare: Vec<String> = keys
        .accepted
        .iter()
        .filter(|id| !used.contains(id))
        .map(|id| format!("key {id}"))
        .collect();
    if spare.is_empty() {
        return None;
    }
    let nodes = &status.snapshot.nodes;
    let unheard: Vec<&str> = nodes
        .iter()
        .filter(|node| node.name != status.snapshot.node && !view::is_heard(node))
        .map(|node| node.name.as_str())
        .collect();
    Some(if unheard.is_empty() {
        format!(
            "accepts {} too, which no node signs with: it may sign next (lubdub keygen --use), or be dropped \
             on every node (--drop)",
            spare.join(", ")
        )
    } else {
        format!(
            "accepts {} too, which no node that is heard signs with; drop none before {} is heard",
            spare.join(", "),
            unheard.join(", ")
        )
    })
}
