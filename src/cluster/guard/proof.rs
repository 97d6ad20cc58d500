//! The only way to take over: a [`Proof`] for each peer that could run the group. Made here, and nowhere else.

use super::Evidence;
use crate::cluster::time::Instant;
use crate::config::{GroupId, NodeId};
use crate::wire::Term;

/// Why one peer does not run a group, and will not before `until`. Cannot be made outside the guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cluster) struct Proof {
    pub(super) peer: NodeId,
    pub(super) evidence: Evidence,
    pub(super) until: Instant,
}

impl Proof {
    /// What it rests on.
    pub(in crate::cluster) fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// About whom.
    pub(in crate::cluster) fn peer(&self) -> NodeId {
        self.peer
    }
}

/// The right to start one group: a proof for every other node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cluster) struct Permit {
    group: GroupId,
    term: Term,
    until: Instant,
}

impl Permit {
    /// Put together from the proofs about all other nodes. `None`: somebody is missing. `alone_until` bounds the right
    /// where there is nobody else.
    pub(super) fn from_proofs(
        group: GroupId,
        term: Term,
        peers: impl IntoIterator<Item = NodeId>,
        proofs: &[Proof],
        alone_until: Instant,
    ) -> Option<Self> {
        for peer in peers {
            proofs.iter().find(|proof| proof.peer == peer)?;
        }
        let until = proofs.iter().map(|proof| proof.until).min().unwrap_or(alone_until);
        Some(Self { group, term, until })
    }

    /// For what this very node was given before its daemon's restart, and still runs under the kernel's lease: no peer
    /// takes over what still answers, so this takes nothing from anybody.
    pub(in crate::cluster) fn adopted(group: GroupId, term: Term, until: Instant) -> Self {
        Self { group, term, until }
    }

    /// The same right under another number, which nobody's consent rests on.
    pub(in crate::cluster) fn renumbered(self, term: Term) -> Self {
        Self { term, ..self }
    }

    /// Which group.
    pub(in crate::cluster) fn group(&self) -> GroupId {
        self.group
    }

    /// Which claim.
    pub(in crate::cluster) fn term(&self) -> Term {
        self.term
    }

    /// A start must have taken effect before.
    pub(in crate::cluster) fn until(&self) -> Instant {
        self.until
    }
}
