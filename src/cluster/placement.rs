//! Where each group belongs: a pure function of what is known, with a reason for each.

use serde::{Deserialize, Serialize};

/// Why a group is where it is, or should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its first choice, and able.
    Preferred,
    /// It runs there, and `auto_failback` is off or nothing better is there.
    StaysPut,
    /// An operator moved it there.
    Wished {
        /// Who.
        author: String,
    },
    /// The best of those that are able; each better one with what is wrong with it.
    BestAble {
        /// Better nodes.
        instead_of: Vec<(String, Unable)>,
    },
    /// It goes back to a better node.
    Failback,
    /// It runs there, though that node should give it up: no other is able.
    NobodyElse {
        /// What is wrong with its holder.
        because: Unable,
    },
    /// A stop failed there: a human is needed.
    Blocked {
        /// Where.
        node: String,
    },
    /// No node is able; each with what is wrong with it.
    NobodyAble {
        /// All of them.
        nodes: Vec<(String, Unable)>,
    },
    /// This node has not looked round yet.
    Starting,
}

/// Why a node cannot run a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unable {
    /// Not heard since this node started.
    NeverHeard,
    /// Silent past deadtime.
    Lost,
    /// Proven dead, by the operator.
    Dead,
    /// It said goodbye.
    Left,
    /// It has not looked round yet.
    Starting,
    /// It is told to end.
    Leaving,
    /// An operator put it in standby.
    Standby,
    /// It does not see the ping node, and another node does.
    NoPing,
    /// Its agents failed a short time ago.
    Failed,
    /// Its agents cannot work there.
    Unfit,
    /// Its own configuration has no such group.
    Excluded,
    /// It runs a version whose groups this one cannot read.
    OtherVersion,
}
