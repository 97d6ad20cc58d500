//! What happened and why, with the numbers that decided it: one event, one line in the log and in the history (P8).

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::guard::{Doubt, Evidence};
use super::placement::Reason;
use crate::agent::{Action, Outcome};
use crate::config::Section;
use crate::wire::{Incarnation, KeyId, KeysChange, Mac, Term};

/// How loud an event is: the levels of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A minor condition.
    Debug,
    /// A change that a user would notice.
    Info,
    /// Worth waking somebody.
    Warn,
    /// Broken: a human is needed.
    Error,
}

/// Something happened. Names are those of the configuration, so that a history outlives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The core began.
    Started {
        /// This node.
        node: String,
        /// Its life.
        incarnation: Incarnation,
    },
    /// The node takes part from now on.
    Joined {
        /// What ended the waiting.
        because: JoinReason,
    },
    /// This daemon stood still.
    Paused {
        /// For how long.
        gap: Duration,
    },
    /// A peer is heard, and hears this node.
    PeerUp {
        /// Which.
        peer: String,
        /// Its life.
        incarnation: Incarnation,
        /// How long it had been silent, if it had been heard before.
        after: Option<Duration>,
    },
    /// Past warntime.
    PeerLate {
        /// Which.
        peer: String,
        /// For how long no round trip.
        silence: Duration,
        /// The bound that it passed.
        warntime: Duration,
    },
    /// A late heartbeat came after all.
    PeerPunctual {
        /// Which.
        peer: String,
        /// The longest silence.
        silence: Duration,
        /// What it stayed below.
        deadtime: Duration,
    },
    /// Past deadtime.
    PeerLost {
        /// Which.
        peer: String,
        /// For how long no round trip.
        silence: Duration,
        /// The bound that it passed.
        deadtime: Duration,
    },
    /// It said that it runs nothing and ends.
    PeerLeft {
        /// Which.
        peer: String,
    },
    /// Its daemon ends in maintenance: what runs there goes on.
    PeerLeavesRunning {
        /// Which.
        peer: String,
    },
    /// The operator vouched for it.
    PeerConfirmedDead {
        /// Which.
        peer: String,
        /// Who did.
        author: String,
    },
    /// Two machines run under one name, or no longer.
    Namesakes {
        /// That name.
        node: String,
        /// Where the other one is, if that is this node's own.
        source: Option<String>,
        /// Whether both live.
        lives: bool,
    },
    /// A link to a peer works, or no longer does.
    LinkChanged {
        /// The link.
        link: String,
        /// The peer.
        peer: String,
        /// Heard on it.
        heard: bool,
        /// Heard by the peer on it.
        hears: bool,
    },
    /// This node's own end of a link changed; `None`: it works.
    LinkWaiting {
        /// The link.
        link: String,
        /// What it waits for.
        waiting: Option<String>,
    },
    /// The ping nodes answer again, or no longer do.
    PingChanged {
        /// Whether any of them answers.
        answers: bool,
        /// The one that answered last.
        target: Option<IpAddr>,
    },
    /// The guard vouches for a lost peer, or the operator or the peer itself did: takeover may begin.
    Cleared {
        /// The group.
        group: String,
        /// Each peer that could have run it, and why it cannot.
        evidence: Vec<(String, Evidence)>,
    },
    /// The guard refuses a takeover.
    Refused {
        /// The group.
        group: String,
        /// The peer that may still run it.
        peer: String,
        /// Why.
        why: Doubt,
    },
    /// A place for a group was decided on.
    Placed {
        /// The group.
        group: String,
        /// Where, if anywhere.
        node: Option<String>,
        /// Why.
        reason: Reason,
    },
    /// Start of a group began here.
    GroupStarting {
        /// The group.
        group: String,
        /// Its term.
        term: Term,
    },
    /// All of a group runs here.
    GroupStarted {
        /// The group.
        group: String,
        /// Its term.
        term: Term,
        /// How long the start took.
        took: Duration,
    },
    /// All of a group runs here again, after something of it had failed and was started again in place.
    GroupRestored {
        /// The group.
        group: String,
        /// How long after the failure was seen.
        took: Duration,
    },
    /// A group was found running here after a restart, and is kept.
    GroupAdopted {
        /// The group.
        group: String,
        /// Its term.
        term: Term,
    },
    /// Stop of a group began here.
    GroupStopping {
        /// The group.
        group: String,
        /// Why.
        because: StopReason,
    },
    /// Nothing of a group runs here any more.
    GroupStopped {
        /// The group.
        group: String,
        /// How long the stop took.
        took: Duration,
    },
    /// A stop failed: a human is needed.
    GroupBlocked {
        /// The group.
        group: String,
        /// The resource that did not stop.
        resource: String,
        /// What came of its stop.
        outcome: Outcome,
    },
    /// A blocked group was seen stopped.
    GroupUnblocked {
        /// The group.
        group: String,
    },
    /// A peer took a group, seen from here.
    PeerRuns {
        /// The group.
        group: String,
        /// The peer.
        peer: String,
        /// Its term.
        term: Term,
    },
    /// Two nodes run a group.
    BothActive {
        /// The group.
        group: String,
        /// The other node.
        peer: String,
        /// This node's term.
        mine: Term,
        /// The other's.
        theirs: Term,
        /// Whether this node keeps it.
        keep: bool,
    },
    /// An agent failed at something.
    AgentFailed {
        /// The group.
        group: String,
        /// The resource.
        resource: String,
        /// What it was to do.
        action: Action,
        /// What came of it.
        outcome: Outcome,
        /// What is done about it.
        then: Recovery,
    },
    /// An agent has something to say though it succeeded, or no longer has.
    AgentRemarked {
        /// The group.
        group: String,
        /// The resource.
        resource: String,
        /// Its words.
        remark: Option<String>,
    },
    /// A monitor took too long once: it has to repeat before it counts.
    MonitorSlow {
        /// The group.
        group: String,
        /// The resource.
        resource: String,
        /// What it took at least.
        timeout: Duration,
    },
    /// Somebody removed an address, and it was put back.
    AddressPutBack {
        /// The group.
        group: String,
        /// The address.
        address: String,
    },
    /// An address could not be renewed.
    AddressFailed {
        /// The group.
        group: String,
        /// The address.
        address: String,
        /// Why.
        why: String,
    },
    /// Another machine has an address of ours.
    AddressConflict {
        /// The group.
        group: String,
        /// The address.
        address: String,
        /// That machine.
        mac: Mac,
    },
    /// An operator's wish.
    Wished {
        /// What, in words.
        wish: String,
        /// Who asked.
        author: String,
        /// On which other node.
        #[serde(default)]
        on: Option<String>,
    },
    /// What an operator wished of maintenance is agreed: every node has it on its disk.
    Maintenance {
        /// It is in force, or over.
        on: bool,
    },
    /// The daemon ends in maintenance, and leaves these groups running.
    LeftRunning {
        /// Which.
        groups: Vec<String>,
    },
    /// A group is found in maintenance that is not this node's, or not whole: it is left alone until that is over.
    LeftAlone {
        /// The group.
        group: String,
        /// Resources that were found running.
        resources: Vec<String>,
    },
    /// An operator's move ends before it was made: the node that should have taken the group is down.
    MoveGivenUp {
        /// The group.
        group: String,
        /// That node.
        to: String,
    },
    /// A section of a peer's configuration differs, or agrees again.
    ConfigDiffers {
        /// The peer.
        peer: String,
        /// Which; none: all agree.
        sections: Vec<Section>,
    },
    /// A peer signs with another key than before.
    PeerKey {
        /// Which.
        peer: String,
        /// The id of the key that signs now.
        key: KeyId,
        /// The one before.
        before: KeyId,
    },
    /// This node read its keys again, and uses others from now on.
    KeysChanged {
        /// Who asked.
        author: String,
        /// What is otherwise.
        change: KeysChange,
    },
    /// The wall clock of a peer is further from this node's than it should be, or no longer. Nothing follows from it.
    ClockOffset {
        /// The peer.
        peer: String,
        /// Its clock ahead of this node's, microseconds.
        offset_us: i64,
        /// The bound.
        warn_offset: Duration,
        /// Whether it is further apart.
        apart: bool,
    },
    /// A datagram was refused; told at the first, the tenth, the hundredth of a kind.
    DatagramRefused {
        /// Why.
        why: super::io::Reject,
        /// Where from.
        source: String,
        /// How many of the kind so far.
        count: u64,
    },
    /// What should be kept on disk could not be written, or can again.
    DiskChanged {
        /// What went wrong.
        error: Option<String>,
    },
    /// The daemon was told to end.
    Leaving,
}

/// What ended a node's waiting after its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinReason {
    /// Every other node is heard.
    AllHeard,
    /// initdead is over.
    Initdead(Duration),
}

/// Why a group is stopped here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// It belongs on another node now.
    Moves {
        /// Which.
        to: String,
        /// Why.
        reason: Reason,
    },
    /// This daemon ends.
    Leaving,
    /// Neither peer nor ping node was heard: the peer may act soon.
    Isolated {
        /// No round trip for so long.
        silence: Duration,
        /// No answer from a ping node for so long; `None`: never.
        ping_silence: Option<Duration>,
    },
    /// This node stood still for so long that its peer may have acted.
    Paused {
        /// For how long.
        gap: Duration,
    },
    /// Another node runs it with a better right.
    BothActive {
        /// Which.
        peer: String,
    },
    /// Another machine came to its address too, very likely a node that is not heard: one of the two has to let go.
    AddressTwice {
        /// The address.
        address: String,
        /// That machine.
        mac: Mac,
    },
    /// A resource of it failed.
    Failed {
        /// Which.
        resource: String,
    },
    /// The right to start it ended before it could be used.
    TooLate,
    /// Parts of it were found running, though it is not this node's.
    Leftover {
        /// Resources that were found running.
        resources: Vec<String>,
    },
}

/// What is done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recovery {
    /// It is started again here.
    RestartHere,
    /// The group leaves this node; it is able again after this time (`None`: only after the daemon's restart).
    Leave {
        /// After how long.
        able_again: Option<Duration>,
    },
    /// This node cannot have the group until the agent can be executed, which is tried now and then.
    AwaitAgent,
    /// It goes on as it is: its monitor cannot be executed.
    Unwatched,
    /// Nothing can be done without a human.
    Block,
}
