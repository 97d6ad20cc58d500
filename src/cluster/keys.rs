//! What other keys would do to the peers that are heard, and what is said of a change of keys. Which keys there are is the
//! daemon's knowledge; which of them a peer signs with came with its datagrams.

use std::fmt;

use crate::wire::{KeyId, KeysChange};

/// Why keys may not change so: a peer that is heard would be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyConflict {
    /// It signs with a key that would be gone.
    StillSigns {
        /// Which peer.
        peer: String,
        /// With which key.
        key: KeyId,
    },
    /// Another key under an id that is in use: nodes cannot change to it one after the other.
    Replaced {
        /// That id.
        key: KeyId,
        /// Peers that are heard.
        peers: Vec<String>,
    },
}

/// What stands against a change of keys, as long as these peers are heard, each with the key that it signs with.
pub(super) fn conflicts(heard: &[(String, KeyId)], change: &KeysChange) -> Vec<KeyConflict> {
    let still_signs = heard.iter().filter(|(_, key)| change.dropped.contains(key));
    let still_signs =
        still_signs.map(|(peer, key)| KeyConflict::StillSigns { peer: peer.clone(), key: *key });
    let peers: Vec<String> = heard.iter().map(|(peer, _)| peer.clone()).collect();
    let replaced = change.replaced.iter().filter(|_| !peers.is_empty());
    let replaced = replaced.map(|key| KeyConflict::Replaced { key: *key, peers: peers.clone() });
    still_signs.chain(replaced).collect()
}

impl fmt::Display for KeyConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StillSigns { peer, key } => write!(
                f,
                "{peer} still signs with key {key}, which would be gone: make {peer} sign with another one first \
                 (there: lubdub keygen --use ID, then lubdub reload)"
            ),
            Self::Replaced { key, peers } => write!(
                f,
                "key {key} would be another one than {} has: put the former one back, and give the new one an id of its \
                 own (lubdub keygen --add)",
                peers.join(", ")
            ),
        }
    }
}

impl fmt::Display for KeysChange {
    /// The rest of a sentence about this node.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |ids: &[KeyId], one: &str, more: &str| match ids {
            [] => None,
            [id] => Some(format!("key {id} is {one}")),
            ids => {
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                Some(format!("keys {} are {more}", ids.join(", ")))
            }
        };
        let parts = [
            told(&self.added, "accepted too", "accepted too"),
            told(&self.replaced, "another one", "others"),
            self.signs.map(|(before, now)| {
                format!("this node signs with key {now} now, no longer with key {before}")
            }),
            told(&self.dropped, "no longer accepted", "no longer accepted"),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(if parts.is_empty() { "the same as before" } else { "" })?;
        f.write_str(&parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: &str) -> KeyId {
        id.parse().unwrap()
    }

    #[test]
    fn a_peer_that_is_heard_is_not_given_up() {
        let heard = [("beta".to_owned(), id("1")), ("gamma".to_owned(), id("2"))];
        let drop_both = KeysChange { dropped: vec![id("1"), id("3")], ..KeysChange::default() };
        let [only] = conflicts(&heard, &drop_both).try_into().unwrap();
        assert_eq!(only, KeyConflict::StillSigns { peer: "beta".into(), key: id("1") });
        assert_eq!(conflicts(&[], &drop_both), []);
        let other = KeysChange { replaced: vec![id("9")], ..KeysChange::default() };
        let peers = vec!["beta".to_owned(), "gamma".to_owned()];
        assert_eq!(conflicts(&heard, &other), [KeyConflict::Replaced { key: id("9"), peers }]);
        assert_eq!(conflicts(&[], &other), []);
        let harmless = KeysChange {
            added: vec![id("3")],
            signs: Some((id("1"), id("2"))),
            ..KeysChange::default()
        };
        assert_eq!(conflicts(&heard, &harmless), []);
    }

    #[test]
    fn a_change_is_one_sentence() {
        assert_eq!(KeysChange::default().to_string(), "the same as before");
        let all = KeysChange {
            added: vec![id("3")],
            dropped: vec![id("1"), id("2")],
            replaced: vec![id("7")],
            signs: Some((id("1"), id("3"))),
        };
        assert_eq!(
            all.to_string(),
            "key 3 is accepted too; key 7 is another one; this node signs with key 3 now, no longer with key 1; \
             keys 1, 2 are no longer accepted"
        );
    }
}
