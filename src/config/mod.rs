//! From text to [`Config`]: only valid values can exist. Touches no network; driven by the command line and the daemon.
//!
//! [`parse`] tells everything that is wrong with a file in one run, and takes it only if it is right on every node of it;
//! [`File::for_node`] is the [`Config`] of one of them.

mod addresses;
mod digest;
mod duration;
mod file;
mod group;
mod guard;
mod heartbeat;
mod ids;
mod links;
mod metrics;
mod problem;
mod read;
#[cfg(test)]
mod tests;
mod types;

pub use duration::parse as parse_duration;
pub use file::{File, Findings, load, look, parse};
pub(crate) use group::cidr;
pub use ids::{GroupId, LinkId, NodeId, ResourceId};
pub use problem::{ConfigErrors, Problem};
pub(crate) use read::{hint, is_interface, is_name, nearest, parse_ip};
pub use types::*;
