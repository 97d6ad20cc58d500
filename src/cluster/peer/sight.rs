//! What one node sees of one link to a peer. Judged by the peer that it belongs to.

use std::time::Duration;

use crate::cluster::loss::Share;
use crate::cluster::time::Instant;

/// One link to a peer.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::cluster) struct LinkSight {
    pub(super) heard_at: Option<Instant>,
    /// When something authentic came of a life that has not proved itself.
    pub(super) glimpsed_at: Option<Instant>,
    /// Heartbeats of this life that counted; answers are none.
    pub(in crate::cluster) heartbeats: u64,
    pub(in crate::cluster) answered_at: Option<Instant>,
    pub(in crate::cluster) heard: bool,
    pub(in crate::cluster) hears: bool,
    /// What of its heartbeats comes.
    pub(in crate::cluster) way_in: Share,
    /// How many asks are answered.
    pub(in crate::cluster) answers: Share,
    /// Since when it is as it is.
    pub(super) since: Instant,
    /// It was last told to be broken.
    pub(super) told_broken: bool,
}

impl LinkSight {
    pub(super) fn works(&self) -> bool {
        self.heard && self.hears
    }

    /// When it is to be told that it broke, if it goes on like this: one direction may lag behind the other for a while.
    pub(super) fn broken_from(&self, deadtime: Duration) -> Option<Instant> {
        (!self.works() && !self.told_broken).then(|| self.since + deadtime)
    }
}
