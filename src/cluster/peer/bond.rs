//! What a peer keeps to of maintenance, as far as it said so. Judged by the node.

use crate::wire::MaintenanceWord;

#[derive(Debug, Clone, Copy, Default)]
pub(in crate::cluster) struct Bond {
    /// What it said last.
    pub(in crate::cluster) word: Option<MaintenanceWord>,
    /// Stamp of the newest end of maintenance that it said it knew of while it was up.
    pub(in crate::cluster) over: u64,
    /// It may go on with what it ran, whatever the guard sees: it may not know that maintenance is over.
    pub(in crate::cluster) may_keep: bool,
}
