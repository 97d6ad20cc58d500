//! The operator's wishes: registers in which the highest stamp wins, so that all nodes come to agree in any order.

use std::collections::{BTreeMap, VecDeque};

use crate::wire::{
    GroupTag, MAX_AUTHOR, MAX_STAMP, MAX_WISHES_PER_PAGE, NodeTag, Wish, WishSubject,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Standby(NodeTag),
    Location(GroupTag),
    Maintenance,
}

fn key(subject: &WishSubject) -> Key {
    match subject {
        WishSubject::Standby { node, .. } => Key::Standby(*node),
        WishSubject::Location { group, .. } => Key::Location(*group),
        WishSubject::Maintenance { .. } => Key::Maintenance,
    }
}

/// A wish for maintenance, or for its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct MaintenanceWish<'a> {
    pub(super) stamp: u64,
    pub(super) on: bool,
    pub(super) author: &'a str,
}

/// All wishes that are known.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    known: BTreeMap<Key, Wish>,
    /// The order in which they are told; what changed goes first.
    turn: VecDeque<Key>,
}

impl Wishes {
    /// Take in a wish. Whether it is news.
    pub(super) fn merge(&mut self, wish: &Wish) -> bool {
        let key = key(&wish.subject);
        let known = self.known.get(&key).is_some_and(|known| known.stamp >= wish.stamp);
        if known || wish.stamp > MAX_STAMP {
            return false;
        }
        self.known.insert(key, wish.clone());
        self.turn.retain(|other| *other != key);
        self.turn.push_front(key);
        true
    }

    /// A new wish, with a stamp above the one that it replaces.
    pub(super) fn wish(
        &mut self,
        subject: WishSubject,
        author: &str,
        unix_ms: u64,
        node_index: u8,
    ) -> Wish {
        let former = self.known.get(&key(&subject)).map_or(0, |known| known.stamp >> 8);
        let stamp = (unix_ms.max(former + 1) << 8) | u64::from(node_index);
        let mut author = author.to_owned();
        while author.len() > MAX_AUTHOR {
            author.pop();
        }
        let wish = Wish { subject, stamp, author };
        self.merge(&wish);
        wish
    }

    /// Who put a node in standby, if it is.
    pub(super) fn standby(&self, node: NodeTag) -> Option<&str> {
        let wish = self.known.get(&Key::Standby(node))?;
        match wish.subject {
            WishSubject::Standby { standby: true, .. } => Some(&wish.author),
            WishSubject::Standby { standby: false, .. }
            | WishSubject::Location { .. }
            | WishSubject::Maintenance { .. } => None,
        }
    }

    /// Where a group was moved to, and by whom.
    pub(super) fn location(&self, group: GroupTag) -> Option<(NodeTag, &str)> {
        let wish = self.known.get(&Key::Location(group))?;
        match wish.subject {
            WishSubject::Location { node: Some(node), .. } => Some((node, &wish.author)),
            WishSubject::Location { node: None, .. }
            | WishSubject::Standby { .. }
            | WishSubject::Maintenance { .. } => None,
        }
    }

    /// The newest wish for maintenance, or for its end, and who had it.
    pub(super) fn maintenance(&self) -> Option<MaintenanceWish<'_>> {
        let wish = self.known.get(&Key::Maintenance)?;
        match wish.subject {
            WishSubject::Maintenance { on } => {
                Some(MaintenanceWish { stamp: wish.stamp, on, author: &wish.author })
            }
            WishSubject::Standby { .. } | WishSubject::Location { .. } => None,
        }
    }

    /// The next few to tell.
    pub(super) fn page(&mut self) -> Vec<Wish> {
        let page: Vec<Key> = self.turn.iter().take(MAX_WISHES_PER_PAGE).copied().collect();
        if self.turn.len() > MAX_WISHES_PER_PAGE {
            self.turn.rotate_left(MAX_WISHES_PER_PAGE);
        }
        page.iter().filter_map(|key| self.known.get(key).cloned()).collect()
    }

    /// All of them, to be kept.
    pub(super) fn all(&self) -> Vec<Wish> {
        self.known.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_stamp_wins_in_any_order() {
        let node = NodeTag::of("alpha");
        let wish = |standby, stamp| Wish {
            subject: WishSubject::Standby { node, standby },
            stamp,
            author: "root".to_owned(),
        };
        let mut forward = Wishes::default();
        assert!(forward.merge(&wish(true, 10)));
        assert!(forward.merge(&wish(false, 11)));
        let mut backward = Wishes::default();
        assert!(backward.merge(&wish(false, 11)));
        assert!(!backward.merge(&wish(true, 10)));
        assert_eq!(forward.standby(node), None);
        assert_eq!(forward.all(), backward.all());
    }

    #[test]
    fn a_new_wish_replaces_one_from_a_clock_ahead() {
        let (node, mut wishes) = (NodeTag::of("alpha"), Wishes::default());
        wishes.wish(WishSubject::Standby { node, standby: true }, "root", 5_000, 0);
        wishes.wish(WishSubject::Standby { node, standby: false }, "root", 1_000, 1);
        assert_eq!(wishes.standby(node), None);
    }

    #[test]
    fn every_wish_gets_its_turn() {
        let mut wishes = Wishes::default();
        for name in ["a", "b", "c", "d", "e", "f"] {
            wishes.wish(
                WishSubject::Standby { node: NodeTag::of(name), standby: true },
                "root",
                1,
                0,
            );
        }
        let mut told: Vec<Wish> = wishes.page();
        told.extend(wishes.page());
        told.sort_by_key(|wish| match wish.subject {
            WishSubject::Standby { node, .. } => node,
            WishSubject::Location { .. } | WishSubject::Maintenance { .. } => NodeTag(0),
        });
        told.dedup();
        assert_eq!(told.len(), 6);
    }
}
