//! `lubdub check --peer`: what the nodes hear of each other before a daemon runs, or while one runs on the other side.
//!
//! It speaks on the sockets, ports and links that the daemon would use, in datagrams of its own kind (`wire::Survey`),
//! which no daemon takes for a heartbeat: its own core does not exist, and that of the peer never learns of the visit
//! (see `answer`). It opens no socket where a daemon runs, and gives them up when one is started. Driven by the command
//! line; the daemon uses `answer` alone.

pub(in crate::daemon) mod answer;
mod inquiry;
mod sight;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use self::inquiry::Inquiries;
use self::sight::Sights;
use super::address::IpError;
use super::clock::{Alarm, Clock};
use super::icmp::PingerError;
use super::link::{Datagram, Links};
use super::netlink::{Netlink, NetlinkError};
use crate::cluster::io::{Destination, LinkState, Reject};
use crate::cluster::time::Instant;
use crate::config::{Address, Config, LinkId, NodeId, Section};
use crate::wire::{
    self, Incarnation, Keys, Mac, NodeTag, OwnCheck, Survey, SurveyRole, is_survey, seal_survey,
};

/// Between two surveys to a peer on a link.
const INTERVAL: Duration = Duration::from_millis(200);

/// How often links that wait are tried again, and it is looked whether a daemon was started.
const LOOK: Duration = Duration::from_secs(1);

/// Datagrams that are read in one go.
const BATCH: usize = 64;

/// What is to be found out.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The configuration of this node.
    pub config: &'a Config,
    /// The keys.
    pub keys: &'a Keys,
    /// Where a daemon of this node would answer.
    pub socket: &'a Path,
    /// How long peers are waited for.
    pub wait: Duration,
    /// What was found on this machine, which peers are told.
    pub own_check: OwnCheck,
}

/// How far it is: told once a second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// How long peers are still waited for.
    pub left: Duration,
    /// Those of which nothing came yet.
    pub unmet: Vec<String>,
}

/// Everything that was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// The other nodes.
    pub peers: Vec<PeerFinding>,
    /// Another machine speaks under this node's name, from there.
    pub namesake: Option<String>,
    /// The ping nodes.
    pub ping: Vec<(IpAddr, PingFinding)>,
    /// The addresses of groups, each with its place in the configuration.
    pub addresses: Vec<(String, Address, AddressFinding)>,
}

/// What was found out about a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerFinding {
    /// Its name.
    pub name: String,
    /// What it says of itself; `None`: nothing authentic came.
    pub facts: Option<PeerFacts>,
    /// Each link to it.
    pub links: Vec<LinkFinding>,
}

/// What a peer says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerFacts {
    /// Whether a daemon runs there.
    pub daemon_runs: bool,
    /// Version of its program, where it is known.
    pub version: Option<String>,
    /// The key that it signs with, and those that it accepts, where they are known.
    pub keys: Option<(u8, Vec<u8>)>,
    /// What it found on its own machine.
    pub own_check: OwnCheck,
    /// Sections of its configuration that differ.
    pub differs: Vec<Section>,
    /// Its wall clock ahead of this node's, microseconds.
    pub clock_offset_us: Option<i64>,
}

/// One link to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkFinding {
    /// Its name.
    pub name: String,
    /// UDP port.
    pub port: u16,
    /// The peer's address on it, where the configuration has one.
    pub peer_address: Option<IpAddr>,
    /// What this node's own end waits for.
    pub own_end: Option<String>,
    /// This node's interface, and whether it has carrier.
    pub carrier: Option<(String, bool)>,
    /// This node hears the peer on it.
    pub heard: bool,
    /// The peer hears this node on it.
    pub hears: bool,
    /// The shortest round trip on it.
    pub round_trip: Option<Duration>,
    /// Whether the peer's address answered a ping; `None`: it was not asked.
    pub answers_ping: Option<bool>,
    /// What came on it from the peer's address and could not be taken.
    pub refused: BTreeMap<Reject, u64>,
}

/// What was found out about a ping node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PingFinding {
    /// It answers.
    Answers,
    /// It does not.
    Silent,
    /// It cannot be asked, with the reason.
    Failed(String),
}

/// What was found out about an address of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressFinding {
    /// Nobody has it; `witnessed`: somebody else on that network answered meanwhile.
    Free {
        /// So that silence means something.
        witnessed: bool,
    },
    /// It is on this very machine.
    Here {
        /// On this interface.
        interface: String,
    },
    /// Somebody has it.
    Taken {
        /// The hardware address.
        mac: Mac,
    },
    /// It could not be asked for, with the reason.
    Failed(String),
}

/// Why nothing could be found out.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// A daemon was started here.
    #[error(
        "a daemon was started on this node meanwhile, so the links are its own now; run `lubdub check --peer` again, \
         which asks it"
    )]
    DaemonCame,
    /// The ping nodes cannot be asked.
    #[error("ping nodes cannot be asked: {0}")]
    Ping(#[from] PingerError),
    /// Addresses cannot be asked for.
    #[error("addresses cannot be asked for: {0}")]
    Address(#[from] IpError),
    /// The interfaces are not known.
    #[error("the interfaces of this machine are not known: {0}")]
    Netlink(#[from] NetlinkError),
    /// The kernel gave no random numbers.
    #[error("the kernel has no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// The event loop does not work.
    #[error("the event loop does not work: {0}")]
    Loop(#[from] io::Error),
}

/// Finds it out. Takes as long as the peers take to come, at most `wait` and a few seconds.
///
/// # Errors
/// A [`SurveyError`]; what is wrong with links and peers is a finding.
pub fn survey(
    question: Question<'_>,
    progress: impl FnMut(&Progress),
) -> Result<Findings, SurveyError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Run::new(question)?.finish(progress).await })
}

/// One run.
struct Run<'a> {
    question: Question<'a>,
    clock: Clock,
    alarm: Alarm,
    links: Links,
    life: Incarnation,
    sights: Sights,
    inquiries: Inquiries,
    namesake: Option<String>,
    waits: BTreeMap<LinkId, String>,
}

impl<'a> Run<'a> {
    fn new(question: Question<'a>) -> Result<Self, SurveyError> {
        let clock = Clock::start();
        let life = Incarnation(getrandom::u64()?.max(1));
        Ok(Self {
            question,
            clock,
            alarm: Alarm::new(clock)?,
            links: Links::open(question.config)?,
            life,
            sights: Sights::new(question.config, life),
            inquiries: Inquiries::new(question.config)?,
            namesake: None,
            waits: BTreeMap::new(),
        })
    }

    async fn finish(
        mut self,
        mut progress: impl FnMut(&Progress),
    ) -> Result<Findings, SurveyError> {
        let deadline = self.clock.now() + self.question.wait;
        let (mut next_beat, mut next_look) = (Instant::ZERO, Instant::ZERO);
        loop {
            self.receive();
            let now = self.clock.now();
            self.inquiries.tick(now);
            if now >= next_look {
                next_look = now + LOOK;
                // A daemon has the better right to the ports, and finds them free within its own second.
                if std::os::unix::net::UnixStream::connect(self.question.socket).is_ok() {
                    return Err(SurveyError::DaemonCame);
                }
                self.links.retry();
                progress(&self.progress(deadline - now));
            }
            if now >= next_beat {
                next_beat = now + INTERVAL;
                self.speak();
                if self.sights.is_over(now, deadline) && self.inquiries.are_answered() {
                    break;
                }
            }
            for (link, state) in self.links.changes() {
                match state {
                    LinkState::Up => self.waits.remove(&link),
                    LinkState::Waiting(why) => self.waits.insert(link, why),
                };
            }
            let next = [Some(next_beat), Some(next_look), self.inquiries.deadline()];
            let next = next.into_iter().flatten().min().unwrap_or(next_beat);
            tokio::select! {
                ready = self.links.ready() => ready?,
                timer = self.alarm.until(next) => timer?,
                () = self.inquiries.next() => {}
            }
        }
        self.findings()
    }

    fn progress(&self, left: Duration) -> Progress {
        let name = |id| self.question.config.node(id).name.clone();
        Progress { left, unmet: self.sights.unmet().map(name).collect() }
    }

    /// To each peer on each link.
    fn speak(&mut self) {
        let Question { config, keys, own_check, .. } = self.question;
        for peer in config.peers() {
            let (now, wall_us) = (self.clock.now(), self.clock.unix_us());
            let (role, heard) = self.sights.tell(now, peer);
            let survey = Survey {
                role,
                receiver: config.node(peer).tag,
                life: self.life,
                sent_us: now.as_micros(),
                wall_us,
                heard,
                own_check,
                ..facts_of(config, keys)
            };
            let datagram = seal_survey(&survey, keys, config.cluster_tag());
            for link in config.link_ids() {
                self.links.send(link, Destination::Node(peer), &datagram);
            }
        }
    }

    fn receive(&mut self) {
        for datagram in self.links.receive(BATCH) {
            self.take(&datagram);
        }
    }

    fn take(&mut self, datagram: &Datagram) {
        let Question { config, keys, .. } = self.question;
        let (now, link) = (self.clock.now(), datagram.link);
        let refused = if is_survey(&datagram.bytes) {
            match answer::read(datagram, config, keys, self.life) {
                Ok(None) => return,
                Ok(Some((_, survey))) if survey.receiver != config.node(config.me).tag => return,
                Ok(Some((from, survey))) => {
                    let wall_us = self.clock.unix_us();
                    return self.sights.take(now, wall_us, (from, link), config, &survey);
                }
                Err(why) => why,
            }
        } else {
            // The other side's daemon runs: its heartbeats show as much as its answers.
            match wire::open(&datagram.bytes, keys, config.cluster_tag()) {
                Ok(opened) => match config.node_by_tag(opened.heartbeat.header.sender) {
                    Some(from) if from != config.me => {
                        return self.sights.heartbeat(now, from, link);
                    }
                    Some(_) => Reject::OwnName,
                    None => Reject::UnknownNode,
                },
                Err(error) => error.into(),
            }
        };
        if refused == Reject::OwnName {
            self.namesake = Some(datagram.source.ip().to_string());
        }
        if let Some(peer) = sight::peer_at(config, link, datagram.source.ip()) {
            self.sights.refused(now, peer, link, refused);
        }
    }

    fn findings(self) -> Result<Findings, SurveyError> {
        let config = self.question.config;
        let ids: Vec<NodeId> = config.peers().collect();
        let mut peers = self.sights.findings(config);
        for (id, peer) in ids.into_iter().zip(&mut peers) {
            for (link, finding) in config.link_ids().zip(&mut peer.links) {
                finding.peer_address = address_of(config, link, id);
                finding.own_end = self.waits.get(&link).cloned();
                finding.answers_ping =
                    finding.peer_address.and_then(|address| self.inquiries.answers(address));
                finding.carrier = carrier(config, link)?;
            }
        }
        let ping = self.inquiries.ping_findings();
        let addresses = self.inquiries.address_findings(config);
        Ok(Findings { peers, namesake: self.namesake, ping, addresses })
    }
}

/// What a node says of itself in every survey.
fn facts_of(config: &Config, keys: &Keys) -> Survey {
    Survey {
        role: SurveyRole::Asks,
        sender: config.node(config.me).tag,
        receiver: NodeTag(0),
        life: Incarnation(1),
        sent_us: 0,
        wall_us: 0,
        digests: config.digests.0,
        sending: keys.sending_id().get(),
        accepted: keys.ids().map(wire::KeyId::get).collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        heard: Vec::new(),
        own_check: OwnCheck::Passed,
    }
}

/// A node's address on a link.
#[must_use]
pub fn address_of(config: &Config, link: LinkId, node: NodeId) -> Option<IpAddr> {
    config.link(link).transport.address(node)
}

/// This node's interface on a link, and whether it has carrier; `None`: there is none, which the link's own end says.
///
/// # Errors
/// The kernel cannot be asked.
pub fn carrier(config: &Config, link: LinkId) -> Result<Option<(String, bool)>, NetlinkError> {
    let mut kernel = Netlink::open()?;
    let interface = match &config.link(link).interface {
        Some(name) => kernel.interface_named(name)?,
        None => {
            let own = address_of(config, link, config.me);
            let all = kernel.addresses(None)?;
            match all.iter().find(|there| Some(there.ip) == own) {
                Some(there) => kernel.interface(there.interface)?,
                None => None,
            }
        }
    };
    Ok(interface.map(|interface| (interface.name, interface.carrier)))
}
