//! From text to [`Config`]: only valid values can exist. Touches no network; driven by the command line and the daemon.

mod ids;
mod types;

pub use ids::{GroupId, LinkId, NodeId, ResourceId};
pub use types::*;
