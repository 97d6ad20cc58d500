//! Why: reasons of placement, and what the guard says of a peer.

use std::fmt;

use super::{Span, unable};
use crate::cluster::guard::{Doubt, Evidence};
use crate::cluster::placement::{Reason, Unable};

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preferred => f.write_str("preferred node"),
            Self::StaysPut => f.write_str("it ran there already and stays"),
            Self::Wished { author } => write!(f, "moved there by {author}"),
            Self::BestAble { instead_of } if instead_of.is_empty() => f.write_str("best able node"),
            Self::BestAble { instead_of } => write!(f, "best able node ({})", unable(instead_of)),
            Self::Failback => f.write_str("goes back to the better node (auto_failback)"),
            Self::Came { because } => write!(f, "it stays (came there: {because})"),
            Self::NobodyElse { because } => {
                write!(f, "no other node is able, though this one {because}")
            }
            Self::Blocked { node } => write!(f, "blocked: a stop failed on {node}"),
            Self::NobodyAble { nodes } => write!(f, "no node is able ({})", unable(nodes)),
            Self::Maintenance { author } => {
                write!(f, "in maintenance ({author} asked for it): nothing moves")
            }
            Self::Starting => f.write_str("this node is still starting"),
        }
    }
}

impl fmt::Display for Unable {
    /// The rest of a sentence that begins with the node's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NeverHeard => "was never heard",
            Self::Lost => "is lost",
            Self::Dead => "is dead",
            Self::Left => "left",
            Self::Starting => "is starting",
            Self::Leaving => "is leaving",
            Self::Standby => "is in standby",
            Self::NoPing => "does not see the ping node",
            Self::PingReturning => "did not see the ping node a short time ago",
            Self::Failed => "failed to run it a short time ago",
            Self::Unfit => "cannot run it",
            Self::NoAgent => "has an agent of it that cannot be executed",
            Self::Excluded => "has no such group",
            Self::OtherVersion => "runs another version",
        })
    }
}

impl fmt::Display for Evidence {
    /// The rest of a sentence that begins with the peer's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consent => f.write_str("consents"),
            Self::Goodbye => f.write_str("said goodbye"),
            Self::Operator { author } => write!(f, "is dead, says {author}"),
            Self::Guard { silence, ping, silent_probes } => {
                write!(f, "is silent for {}", Span(*silence))?;
                if let Some((target, age)) = ping {
                    write!(f, ", ping node {target} answered {} ago", Span(*age))?;
                }
                if *silent_probes > 0 {
                    write!(f, ", {silent_probes} probes of its addresses stayed silent")?;
                }
                Ok(())
            }
            Self::Unguarded { silence } => {
                write!(f, "is silent for {}, and no guard was asked for", Span(*silence))
            }
        }
    }
}

/// What a doubt says of one peer: a whole sentence, `heartbeat lost, but 10.0.0.100 still answers from alpha's 02:…`.
#[derive(Debug, Clone, Copy)]
pub struct DoubtAbout<'a>(pub &'a str, pub &'a Doubt);

impl fmt::Display for DoubtAbout<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(peer, doubt) = self;
        match doubt {
            Doubt::NoConsent => write!(f, "{peer} is up and has not agreed yet"),
            Doubt::RunsThere => write!(f, "{peer} is up and runs it"),
            Doubt::GuardDiffers { section } => write!(
                f,
                "{section} of {peer}'s configuration differs: nothing moves until both files say the same"
            ),
            Doubt::StopFailed => write!(
                f,
                "a stop failed on {peer} before it fell silent: some of it may still run there, whatever the guard says"
            ),
            Doubt::NotLostYet { silence } => {
                write!(f, "{peer} is silent for {}, not lost yet", Span(*silence))
            }
            Doubt::PingSilent { silence: Some(silence) } => write!(
                f,
                "{peer} is silent, but no ping node answered for {}: this node may be the one that is cut off",
                Span(*silence)
            ),
            Doubt::PingSilent { silence: None } => write!(
                f,
                "{peer} is silent, but no ping node ever answered: this node may be the one that is cut off"
            ),
            Doubt::PingTooNew { answers_for } => write!(
                f,
                "{peer} is silent, but the ping node answers only for {}: it has to for a whole deadtime",
                Span(*answers_for)
            ),
            Doubt::Probing { address, silent_probes } => write!(
                f,
                "{peer} is silent; whether {address} still answers is being asked (silent so far: {silent_probes})"
            ),
            Doubt::AddressAnswers { address, mac } => {
                write!(f, "heartbeat lost, but {address} still answers from {peer}'s {mac}")
            }
            Doubt::AddressConflict { address, mac } => {
                write!(
                    f,
                    "address conflict: {address} answers from {mac}, which no node that is heard has"
                )
            }
            Doubt::Unwitnessed { address, why } => {
                write!(
                    f,
                    "{peer} is silent, but nobody on the network of {address} answers, so its silence proves nothing"
                )?;
                why.as_ref().map_or(Ok(()), |why| write!(f, " ({why})"))
            }
            Doubt::Maintenance => write!(
                f,
                "{peer} is silent, and was in maintenance: it keeps what it ran until it hears of the end; if it is off, lubdub confirm-dead {peer}"
            ),
            Doubt::Namesakes => {
                write!(
                    f,
                    "two machines run under the name {peer}, and the word of one does not bind the other"
                )
            }
            Doubt::JustPaused => write!(
                f,
                "this node stood still: it has to hear {peer} or wait a deadtime before it takes over"
            ),
        }
    }
}
