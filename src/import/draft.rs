//! The configuration that is being made, with marks where a value is not known.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::value::name_of;

/// A value; or the mark `<...>` that stands for it, which `lubdub check` refuses, until somebody has written it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slot {
    /// It is known.
    Known(String),
    /// It is not.
    Open(Mark),
}

/// What stands for a value that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// What is written, `<...>` and all.
    pub(super) shown: String,
    /// A value of the right kind, with which the rest of the file can be tried.
    pub(super) stand_in: String,
    /// What there is to decide.
    pub(super) todo: String,
}

impl Slot {
    pub(super) fn known(value: impl Into<String>) -> Self {
        Self::Known(value.into())
    }

    /// The value, if it is known.
    pub(super) fn value(&self) -> Option<&str> {
        match self {
            Self::Known(value) => Some(value),
            Self::Open(_) => None,
        }
    }

    /// What is written for it.
    pub(super) fn shown(&self) -> &str {
        match self {
            Self::Known(value) => value,
            Self::Open(mark) => &mark.shown,
        }
    }

    /// What is tried for it.
    pub(super) fn trial(&self) -> &str {
        match self {
            Self::Known(value) => value,
            Self::Open(mark) => &mark.stand_in,
        }
    }
}

/// A value that may differ between nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ByNode {
    /// It is left out.
    None,
    /// The same on all.
    Same(String),
    /// One for each node.
    Each(Vec<(Slot, String)>),
}

impl ByNode {
    /// From the values of the nodes, of which some may not be known: if those that are known agree, it is the same on all.
    pub(super) fn of(nodes: &[Slot], values: &[Option<String>]) -> Self {
        let mut known = values.iter().flatten();
        let Some(first) = known.next() else { return Self::None };
        if known.all(|value| value == first) {
            return Self::Same(first.clone());
        }
        let each = nodes
            .iter()
            .zip(values)
            .map(|(node, value)| (node.clone(), value.clone().unwrap_or_else(|| first.clone())));
        Self::Each(each.collect())
    }
}

/// The whole file.
#[derive(Debug)]
pub(super) struct Draft {
    /// Where it comes from, for people.
    pub(super) origin: String,
    pub(super) cluster: String,
    pub(super) times: Times,
    pub(super) links: Vec<Link>,
    pub(super) nodes: Vec<Node>,
    pub(super) ping: Vec<IpAddr>,
    pub(super) groups: Vec<Group>,
}

/// `[heartbeat]`; `None`: left out.
#[derive(Debug)]
pub(super) struct Times {
    pub(super) keepalive: Duration,
    pub(super) warntime: Option<Duration>,
    pub(super) deadtime: Duration,
    pub(super) initdead: Option<Duration>,
    /// What there is to say about some of them, by key.
    pub(super) comments: Vec<(&'static str, &'static str)>,
}

/// A path for heartbeats.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) transport: Transport,
    pub(super) interface: ByNode,
    pub(super) port: u16,
}

/// How datagrams travel on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// To the address of each node.
    Unicast,
    /// To a group, with this time to live.
    Multicast { group: IpAddr, ttl: u8 },
    /// To everybody on the interface's network.
    Broadcast,
}

/// A node, with its addresses by link.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: Slot,
    pub(super) addresses: Vec<(String, Slot)>,
}

/// `[[group]]`
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    /// Where it comes from.
    pub(super) comment: String,
    pub(super) prefer: Vec<Slot>,
    pub(super) auto_failback: bool,
    pub(super) resources: Vec<Resource>,
}

/// `[[group.resource]]`
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) name: String,
    /// Lines of comment above it.
    pub(super) comment: Vec<String>,
    pub(super) agent: Slot,
    pub(super) monitor: Option<Duration>,
    /// How long a monitor may take.
    pub(super) timeout: Option<Duration>,
    pub(super) params: Vec<(&'static str, Param)>,
}

/// A parameter of a resource.
#[derive(Debug)]
pub(super) enum Param {
    /// The same on all nodes.
    One(Slot),
    /// Perhaps not.
    ByNode(ByNode),
}

impl Resource {
    /// What an agent of ours runs.
    pub(super) fn of_agent(name: String, agent: &str) -> Self {
        Self {
            name,
            comment: Vec::new(),
            agent: Slot::known(agent),
            monitor: None,
            timeout: None,
            params: Vec::new(),
        }
    }

    /// An address.
    pub(super) fn address(
        name: String,
        ip: IpAddr,
        prefix: Option<u8>,
        interface: ByNode,
        at: &str,
    ) -> Self {
        let written = prefix.map_or_else(
            || {
                let longest = if ip.is_ipv4() { 32 } else { 128 };
                Slot::Open(Mark {
                    shown: format!("{ip}/<prefix>"),
                    stand_in: format!("{ip}/{longest}"),
                    todo: format!(
                        "the prefix of {ip} ({at} has none, Heartbeat took that of the route): `ip address` shows it for \
                         the network that {ip} is in"
                    ),
                })
            },
            |prefix| Slot::known(format!("{ip}/{prefix}")),
        );
        let mut resource = Self::of_agent(name, "IPaddr");
        resource.params.push(("ip", Param::One(written)));
        if interface != ByNode::None {
            resource.params.push(("interface", Param::ByNode(interface)));
        }
        resource
    }

    /// An address that could not be read; `number` tells it from others of its kind.
    pub(super) fn unread_address(name: String, text: &str, at: &str, number: usize) -> Self {
        let mut resource = Self::of_agent(name, "IPaddr");
        let slot = Slot::Open(Mark {
            shown: format!("<address: {text}>"),
            stand_in: format!("198.19.{}.{}/24", number / 250, number % 250 + 1),
            todo: format!(
                "the address of resource `{}`, or take its block out (see {at})",
                resource.name
            ),
        });
        resource.params.push(("ip", Param::One(slot)));
        resource
    }

    /// What ran or was watched, and what lubdub has no agent for. The file is refused until somebody has decided: a group
    /// that moves without a part of it looks right until the day it is needed.
    pub(super) fn without_agent(name: String, does: &str, at: &str) -> Self {
        let mut resource = Self::of_agent(name, "");
        resource.agent = Slot::Open(Mark {
            shown: format!("<an agent that {does}>"),
            stand_in: "Dummy".to_owned(),
            todo: format!(
                "the agent of resource `{}`, or take its block out (see {at})",
                resource.name
            ),
        });
        resource
    }
}

/// Names of which each is given once.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// A name that is free: this one, made fit for a name, or with a number behind it.
    pub(super) fn free(&mut self, base: &str) -> String {
        let base = name_of(base);
        let numbered = (2_u32..).map(|number| format!("{base}-{number}"));
        let mut candidates = std::iter::once(base.clone()).chain(numbered);
        let name = candidates.find(|name| !self.0.contains(name)).unwrap_or(base);
        self.0.insert(name.clone());
        name
    }
}
