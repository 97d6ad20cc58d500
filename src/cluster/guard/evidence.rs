//! Why a peer may be treated as dead, or why not, as data for events and status. A value of these types is no right
//! to anything: that is a `Proof`, which only the guard can make.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Section;
use crate::wire::Mac;

/// What the guard of a group promises, weakest first. Later levels stand above these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum GuardLevel {
    /// Nothing: silence is taken for death.
    #[serde(rename = "none")]
    None,
    /// Never two, as long as at most one node reaches the ping node.
    #[serde(rename = "ping")]
    Ping,
    /// Addresses that still answer are not taken over.
    #[serde(rename = "arp")]
    Arp,
    /// Both of them.
    #[serde(rename = "ping+arp")]
    PingArp,
}

impl fmt::Display for GuardLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Ping => "ping",
            Self::Arp => "arp",
            Self::PingArp => "ping+arp",
        })
    }
}

/// Why a peer cannot run a group any more, or agrees that it does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// It is up and consents.
    Consent,
    /// It said goodbye and was not heard since.
    Goodbye,
    /// The operator vouched for it.
    Operator {
        /// Who.
        author: String,
    },
    /// The guard vouches for it.
    Guard {
        /// No round trip for so long.
        silence: Duration,
        /// The ping node that answered all the while, and how long ago it did last.
        ping: Option<(IpAddr, Duration)>,
        /// Probes of the group's addresses that stayed silent.
        silent_probes: u32,
    },
    /// `level = "none"`: nothing vouches, silence alone counts.
    Unguarded {
        /// No round trip for so long.
        silence: Duration,
    },
}

/// Why a silent peer may still run a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// It is up and has not consented (yet).
    NoConsent,
    /// It is up, and runs it.
    RunsThere,
    /// Its configuration differs in what the guard rests on.
    GuardDiffers {
        /// In this section.
        section: Section,
    },
    /// It is silent, and a stop failed there before.
    StopFailed,
    /// It is not lost yet.
    NotLostYet {
        /// No round trip for so long.
        silence: Duration,
    },
    /// No ping node answers: this node may be the one that is cut off.
    PingSilent {
        /// Since the newest answer; `None`: there never was one.
        silence: Option<Duration>,
    },
    /// The ping node has not answered for a whole deadtime yet.
    PingTooNew {
        /// It answers for so long.
        answers_for: Duration,
    },
    /// Probes are under way.
    Probing {
        /// This address.
        address: String,
        /// So many were silent in a row.
        silent_probes: u32,
    },
    /// Its holder is alive: heartbeat lost, address still answers.
    AddressAnswers {
        /// This address.
        address: String,
        /// From this hardware address, one of the peer's own.
        mac: Mac,
    },
    /// A machine outside the cluster has the address.
    AddressConflict {
        /// This address.
        address: String,
        /// That machine.
        mac: Mac,
    },
    /// Nobody on the service network answers, neighbours neither: silence proves nothing.
    Unwitnessed {
        /// This address.
        address: String,
        /// What went wrong, where that is known.
        why: Option<String>,
    },
    /// It may keep what it ran: it was in maintenance, and has not said that it knows of its end.
    Maintenance,
    /// Two machines run under its name.
    Namesakes,
    /// This node stood still and must first hear a peer or wait a deadtime.
    JustPaused,
}
