//! The vocabulary of the core's door: what goes in, what comes out. Plain data without behaviour, so that a run can be
//! recorded and replayed.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::time::Instant;
use crate::agent::{Action, Outcome};
use crate::config::{Address, LinkId, NodeId, ResourceId};
use crate::wire::{GroupTag, Heartbeat, KeyId, KeysChange, Mac, Term, Wish};

/// Names one request of the core. Answered exactly once; never used twice in one life of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OpId(pub u64);

/// Names one connection of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClientId(pub u64);

/// What the world tells the core.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// What was kept from former lives. At most once, before anything else.
    Restored(Memory),
    /// A datagram that is authentic, of this cluster and well formed.
    Received {
        /// The link it came on.
        link: LinkId,
        /// Its sender: never this node.
        from: NodeId,
        /// The key that signed it. Only for status and history.
        key: KeyId,
        /// This node's wall clock at its arrival, microseconds since the Unix epoch. Only for the offset in status.
        wall_us: u64,
        /// What it says.
        heartbeat: Box<Heartbeat>,
    },
    /// A datagram that is authentic, and comes under this node's own name from another life.
    Namesake {
        /// The link it came on.
        link: LinkId,
        /// Where it came from, as text.
        source: String,
        /// What it says.
        heartbeat: Box<Heartbeat>,
    },
    /// A datagram that is none of these. It changes nothing but a counter.
    Rejected {
        /// The link it came on.
        link: LinkId,
        /// Why.
        why: Reject,
        /// Where it came from, as text.
        source: String,
    },
    /// A link's own socket works, or waits for its interface or address.
    LinkChanged {
        /// Which.
        link: LinkId,
        /// How it is.
        state: LinkState,
    },
    /// The hardware addresses of this machine, at the start and whenever they change.
    OwnMacs(Vec<Mac>),
    /// Answer to [`Output::Ping`].
    PingFinished {
        /// Which.
        op: OpId,
        /// What came of it.
        outcome: PingOutcome,
    },
    /// Answer to [`Output::Probe`].
    ProbeFinished {
        /// Which.
        op: OpId,
        /// What came of it.
        outcome: ProbeOutcome,
    },
    /// Answer to [`Output::RunAgent`].
    AgentFinished {
        /// Which.
        op: OpId,
        /// What came of it.
        outcome: Outcome,
    },
    /// Answer to [`Output::RenewAddress`].
    AddressRenewed {
        /// Which.
        op: OpId,
        /// What came of it.
        outcome: RenewOutcome,
    },
    /// Answer to [`Output::DropAddress`].
    AddressDropped {
        /// Which.
        op: OpId,
        /// `None`: it is gone (or was not there).
        error: Option<String>,
    },
    /// Something happened to an address of a group on this machine, unasked.
    AddressNoticed {
        /// Which.
        resource: ResourceId,
        /// What.
        notice: AddressNotice,
    },
    /// An operator asks for something.
    Command {
        /// Who is to have the answer.
        client: ClientId,
        /// The user, as the system names him.
        author: String,
        /// Unix time in milliseconds, for the stamp of the wish.
        unix_ms: u64,
        /// What.
        command: Command,
    },
    /// This node uses other keys from now on.
    KeysChanged {
        /// Who had them read again, as the system names the user; `SIGHUP` for the signal.
        author: String,
        /// What is otherwise.
        change: KeysChange,
    },
    /// The daemon was told to end (SIGTERM).
    Shutdown,
    /// A write of [`Output::Remember`] came to an end, or the disk fails or works again.
    Remembered {
        /// The newest that is on disk; zero: none of this life is.
        newest: u64,
        /// What went wrong.
        error: Option<String>,
    },
}

/// What the core asks of the world. Everything with an `op` is answered exactly once, on deadline, kill and loss too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Send this, once. Lost datagrams are not missed.
    Send {
        /// On which link.
        link: LinkId,
        /// To whom.
        to: Destination,
        /// What; its wall clock is filled in at the socket.
        heartbeat: Box<Heartbeat>,
    },
    /// Ask a ping node (ICMP echo) and wait until the deadline.
    Ping {
        /// Named so.
        op: OpId,
        /// Whom.
        target: IpAddr,
        /// Silent if unanswered then.
        deadline: Instant,
    },
    /// Ask the service network who has an address (ARP, neighbour solicitation), and beside it the neighbours that show
    /// that somebody can answer at all.
    Probe {
        /// Named so.
        op: OpId,
        /// The address asked for.
        address: Address,
        /// Addresses that are asked beside it, where they are on the same network.
        neighbours: Vec<IpAddr>,
        /// Hardware addresses of the other nodes, which are no such neighbours.
        nodes: Vec<Mac>,
        /// Until then answers are gathered. An answer for the address itself ends the probe at once.
        deadline: Instant,
    },
    /// Run an agent.
    RunAgent {
        /// Named so.
        op: OpId,
        /// On which resource.
        resource: ResourceId,
        /// What it is to do.
        action: Action,
        /// Killed with its children if it takes longer.
        timeout: Duration,
        /// The right to start ends then: tested again where the effect is. `None` for what needs no right.
        not_after: Option<Instant>,
        /// Term of the group, for the agent's environment.
        term: Term,
        /// How long the kernel keeps an address that this start adds: `None` for resources without one.
        lease: Option<Duration>,
    },
    /// Kill a running agent with its children. Its own answer still comes.
    KillAgent {
        /// Which.
        op: OpId,
    },
    /// Renew the kernel's lease of an address; if somebody removed it, put it back.
    RenewAddress {
        /// Named so.
        op: OpId,
        /// The resource that has it.
        resource: ResourceId,
        /// For how long (whole seconds); `None`: until somebody removes it.
        lease: Option<Duration>,
        /// The right to hold it ends then: tested again where the effect is.
        not_after: Instant,
    },
    /// Remove an address from this machine, now, without its agent.
    DropAddress {
        /// Named so.
        op: OpId,
        /// The resource that has it.
        resource: ResourceId,
    },
    /// Tell the network that the address is here (gratuitous ARP, unsolicited neighbour advertisement).
    Announce {
        /// The resource that has it.
        resource: ResourceId,
    },
    /// Answer an operator.
    Reply {
        /// Which connection.
        client: ClientId,
        /// What.
        response: Response,
    },
    /// Log it, and keep it in the history.
    Emit(Event),
    /// Keep this on disk, off the loop; answered by [`Input::Remembered`]. One that waits gives way to a newer one.
    Remember {
        /// Rises with each, from 1.
        number: u64,
        /// What is to be kept.
        memory: Memory,
    },
    /// The last output: nothing runs here any more, peers know it, the daemon ends.
    Exit,
}

/// To whom a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// To every other node.
    All,
    /// To one.
    Node(NodeId),
}

/// Why a datagram was refused. Each kind has its counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reject {
    /// Too short, too long, wrong magic, or a field that makes no sense.
    Malformed,
    /// Of another cluster.
    ForeignCluster,
    /// Signed with a key id that authkeys does not have.
    UnknownKey,
    /// Signed with another key: forged, or a key that differs.
    BadTag,
    /// From a node that the configuration does not name.
    UnknownNode,
    /// From this node's own name: two machines with one name, or a replay of a former life.
    OwnName,
    /// Of the living incarnation, but seen before or too old.
    Replayed,
    /// Of another incarnation that has not proved itself.
    Unproven,
}

/// How a link's own end is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkState {
    /// It can send.
    Up,
    /// It waits, with the reason.
    Waiting(String),
}

/// What came of a ping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PingOutcome {
    /// It answered.
    Answered,
    /// It did not, until the deadline.
    Silent,
    /// It could not be asked, with the reason.
    Failed(String),
}

/// What came of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProbeOutcome {
    /// Somebody has the address.
    Answered {
        /// This one.
        mac: Mac,
    },
    /// Nobody said so until the deadline.
    Silent {
        /// Whether the interface had carrier all the time and another neighbour answered meanwhile.
        witnessed: bool,
    },
    /// It could not be asked, with the reason.
    Failed(String),
}

/// What came of renewing an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RenewOutcome {
    /// It was there and is renewed.
    Kept,
    /// It had been removed, and is there again.
    PutBack,
    /// The right to hold it was over; nothing was done.
    TooLate,
    /// It could not be renewed, with the reason.
    Failed(String),
}

/// What happened to an address, unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AddressNotice {
    /// Somebody removed it.
    Removed,
    /// Another machine says that it has it.
    Conflict {
        /// That one.
        mac: Mac,
        /// Of this machine, where the address is; `None`: not known.
        here: Option<Mac>,
    },
    /// Its interface came up again.
    LinkUp,
    /// It came to this machine, which does not hold it.
    Appeared,
}

/// What is kept across lives of the daemon and the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Unix time in milliseconds at this daemon's start (for new terms; filled in when it is read).
    #[serde(default)]
    pub unix_ms: u64,
    /// Highest term known for each group.
    #[serde(default)]
    pub terms: Vec<(GroupTag, Term)>,
    /// The operator's wishes.
    #[serde(default)]
    pub wishes: Vec<Wish>,
    /// What all nodes were known to keep to of maintenance.
    #[serde(default)]
    pub agreed: Option<Agreed>,
}

/// A wish for maintenance, or for its end, that every node has on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    /// Stamp of the wish.
    pub stamp: u64,
    /// Digest of the nodes that it was agreed with.
    pub nodes: u32,
}

/// What an operator may ask of the core.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// A node gives up its groups. `None`: the node that is asked.
    Standby {
        /// Which.
        node: Option<String>,
    },
    /// A node takes part again.
    Online {
        /// Which.
        node: Option<String>,
    },
    /// A planned move. Without a node: to the best other one.
    Switchover {
        /// Which group.
        group: String,
        /// Where to.
        to: Option<String>,
    },
    /// Nothing is started, stopped or moved on any node, or things are looked after again.
    Maintenance {
        /// Which of the two.
        on: bool,
    },
    /// The operator vouches that a lost node runs nothing.
    ConfirmDead {
        /// Which.
        node: String,
    },
}

/// The core's answer to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// It is under way; what to watch for stands in the snapshot.
    Accepted {
        /// What will happen, for the operator.
        message: String,
        /// The node that a switchover goes to.
        to: Option<String>,
    },
    /// It was not done.
    Refused {
        /// Why, and what to do next.
        message: String,
    },
}
