//! Ids: places in the lists of one [`Config`](super::Config). They never leave the machine; the wire has tags.

use serde::{Deserialize, Serialize};

/// A node: its place in `Config::nodes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId(pub u8);

/// A link: its place in `Config::links`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LinkId(pub u8);

/// A group: its place in `Config::groups`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GroupId(pub u16);

/// A resource: its group and its place in `Group::resources`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ResourceId {
    /// The group.
    pub group: GroupId,
    /// The place in it.
    pub index: u16,
}
