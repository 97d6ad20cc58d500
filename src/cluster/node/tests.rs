//! A pair in a kind world: everything arrives, every agent works. The unkind one is `tests/sim`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU8;
use std::time::Duration;

use super::*;
use crate::agent::{Action, ExitCode, Outcome};
use crate::cluster::event::Level;
use crate::cluster::io::{ClientId, Command, OpId, PingOutcome, ProbeOutcome, RenewOutcome};
use crate::cluster::placement::Reason;
use crate::config::{
    Address, AgentName, Digests, Group, Guard as GuardConfig, Link, LinkId, Node as NodeConfig,
    Resource, ResourceId, Timeouts, Timing, Transport,
};
use crate::wire::{Body, Flags, Header, Heartbeat, KeyId, NodeTag, Run, Sequence};

mod adversity;
mod agents;
mod clocks;
mod maintenance;
mod namesake;
mod told;

fn config(me: u8) -> Config {
    let ms = Duration::from_millis;
    let node = |name: &str| NodeConfig { name: name.to_owned(), tag: NodeTag::of(name) };
    let addresses = vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
    let seconds = Duration::from_secs(20);
    Config {
        cluster: "test".to_owned(),
        me: NodeId(me),
        timing: Timing {
            keepalive: ms(100),
            warntime: ms(250),
            deadtime: ms(500),
            initdead: ms(2000),
        },
        warn_offset: Duration::from_secs(1),
        links: vec![Link {
            name: "lan".to_owned(),
            transport: Transport::Unicast { addresses },
            port: 694,
            interface: None,
        }],
        nodes: vec![node("alpha"), node("beta")],
        guard: GuardConfig { ping: vec!["10.0.0.254".parse().unwrap()], arp: true },
        groups: vec![Group {
            name: "web".to_owned(),
            tag: GroupTag::of("web"),
            nodes: vec![NodeId(0), NodeId(1)],
            auto_failback: false,
            resources: vec![Resource {
                name: "vip".to_owned(),
                agent: AgentName("IPaddr".to_owned()),
                params: BTreeMap::new(),
                monitor: Some(ms(1000)),
                timeout: Timeouts { start: seconds, stop: seconds, monitor: seconds },
                address: Some(Address {
                    ip: "10.0.0.100".parse().unwrap(),
                    prefix: 24,
                    interface: None,
                }),
            }],
        }],
        metrics: None,
        digests: Digests([1, 2, 3, 4]),
    }
}

/// What a node with a fault does to its own heartbeats.
type Fault = fn(&mut Heartbeat);

/// Two nodes, or three; whoever is in `dead` neither sends nor hears. Two of three may have one name.
struct Pair {
    now: Instant,
    nodes: Vec<Node>,
    running: BTreeSet<(usize, ResourceId)>,
    dead: BTreeSet<usize>,
    cut: bool,
    /// Ways, from and to, on which everything is lost.
    lost: BTreeSet<(usize, usize)>,
    ping: [bool; 3],
    arp: bool,
    inbox: VecDeque<(usize, Input)>,
    events: Vec<(usize, Instant, Event)>,
    exited: BTreeSet<usize>,
    /// Agents that do not work.
    broken: BTreeMap<(usize, u16, Action), Outcome>,
    /// Agents that take until somebody lets them finish, and their requests.
    slow: BTreeSet<(usize, u16, Action)>,
    waiting: Vec<(usize, OpId)>,
    /// The address is held by somebody who is not heard.
    elsewhere: bool,
    /// Renewals get no answer.
    renewals_hang: bool,
    /// What a node with a fault makes of its own heartbeats.
    faulty: Option<(usize, Fault)>,
    /// All outputs but datagrams, and how many of these.
    outputs: Vec<(usize, Output)>,
    sent: usize,
    /// How often each was woken by its own deadline.
    woken: [u32; 3],
    /// The id of the key that each signs with.
    keys: [NonZeroU8; 3],
    /// How far each wall clock is off, microseconds.
    wall_offset_us: [i64; 3],
}

impl Pair {
    fn new() -> Self {
        Self::with([config(0), config(1)])
    }

    fn with(configs: impl IntoIterator<Item = Config>) -> Self {
        let node = |(place, config): (u64, Config)| {
            Node::new(config, Incarnation(100 + place), 7, Instant::ZERO)
        };
        Self {
            now: Instant::ZERO,
            nodes: (0..).zip(configs).map(node).collect(),
            running: BTreeSet::new(),
            dead: BTreeSet::new(),
            cut: false,
            lost: BTreeSet::new(),
            ping: [true; 3],
            arp: true,
            inbox: VecDeque::new(),
            events: Vec::new(),
            exited: BTreeSet::new(),
            broken: BTreeMap::new(),
            slow: BTreeSet::new(),
            waiting: Vec::new(),
            elsewhere: false,
            renewals_hang: false,
            faulty: None,
            outputs: Vec::new(),
            sent: 0,
            woken: [0; 3],
            keys: [NonZeroU8::MIN; 3],
            wall_offset_us: [0; 3],
        }
    }

    fn wall_us(&self, node: usize) -> u64 {
        let noon = 1_767_225_600_000_000 + self.now.as_micros();
        noon.checked_add_signed(self.wall_offset_us[node]).unwrap()
    }

    fn drain(&mut self) {
        loop {
            for me in 0..self.nodes.len() {
                while let Some(output) = self.nodes[me].poll_output() {
                    if !self.dead.contains(&me) {
                        self.carry_out(me, output);
                    }
                }
            }
            let Some((node, input)) = self.inbox.pop_front() else { return };
            if !self.dead.contains(&node) {
                self.nodes[node].handle_input(self.now, input);
            }
        }
    }

    fn tell(&mut self, node: usize, input: Input) {
        self.inbox.push_back((node, input));
    }

    fn carry_out(&mut self, me: usize, output: Output) {
        if !matches!(output, Output::Send { .. }) {
            self.outputs.push((me, output.clone()));
        }
        match output {
            Output::Send { link, mut heartbeat, .. } => {
                self.sent += 1;
                heartbeat.header.wall_us = self.wall_us(me);
                if let Some((_, fault)) = self.faulty.filter(|(node, _)| *node == me) {
                    fault(&mut heartbeat);
                }
                let (from, key) = (self.nodes[me].config.me, KeyId::from(self.keys[me]));
                for other in 0..self.nodes.len() {
                    if other == me || self.cut || self.lost.contains(&(me, other)) {
                        continue;
                    }
                    let (heartbeat, wall_us) = (heartbeat.clone(), self.wall_us(other));
                    let input = if self.nodes[other].config.me == from {
                        Input::Namesake { link, source: format!("machine {me}"), heartbeat }
                    } else {
                        Input::Received { link, from, key, wall_us, heartbeat }
                    };
                    self.tell(other, input);
                }
            }
            Output::Ping { op, .. } => {
                let outcome =
                    if self.ping[me] { PingOutcome::Answered } else { PingOutcome::Silent };
                self.tell(me, Input::PingFinished { op, outcome });
            }
            Output::Probe { op, .. } => {
                let held =
                    self.running.iter().any(|(node, _)| *node != me && !self.dead.contains(node));
                let outcome = match (held && self.arp) || self.elsewhere {
                    true => ProbeOutcome::Answered { mac: Mac([2, 0, 0, 0, 0, 9]) },
                    false => ProbeOutcome::Silent { witnessed: true },
                };
                self.tell(me, Input::ProbeFinished { op, outcome });
            }
            Output::RunAgent { op, resource, action, not_after, .. } => {
                self.run_agent(me, op, (resource, action), not_after);
            }
            Output::RenewAddress { .. } if self.renewals_hang => {}
            Output::RenewAddress { op, .. } => {
                self.tell(me, Input::AddressRenewed { op, outcome: RenewOutcome::Kept });
            }
            Output::DropAddress { op, resource } => {
                self.running.remove(&(me, resource));
                self.tell(me, Input::AddressDropped { op, error: None });
            }
            Output::Emit(event) => self.events.push((me, self.now, event)),
            Output::Exit => {
                self.exited.insert(me);
            }
            Output::Remember { number, .. } => {
                self.tell(me, Input::Remembered { newest: number, error: None });
            }
            Output::KillAgent { .. } | Output::Announce { .. } | Output::Reply { .. } => {}
        }
    }

    fn run_agent(
        &mut self,
        me: usize,
        op: OpId,
        (resource, action): (ResourceId, Action),
        not_after: Option<Instant>,
    ) {
        let key = (me, resource.index, action);
        if self.slow.contains(&key) {
            self.waiting.push((me, op));
            return;
        }
        let outcome = if let Some(broken) = self.broken.get(&key) {
            broken.clone()
        } else if not_after.is_some_and(|until| until < self.now) {
            Outcome::TooLate
        } else {
            let runs = self.running.contains(&(me, resource));
            let code = match action {
                Action::Start => {
                    self.running.insert((me, resource));
                    ExitCode::Success
                }
                Action::Stop => {
                    self.running.remove(&(me, resource));
                    ExitCode::Success
                }
                Action::Monitor | Action::ValidateAll | Action::MetaData if runs => {
                    ExitCode::Success
                }
                Action::Monitor | Action::ValidateAll | Action::MetaData => ExitCode::NotRunning,
            };
            Outcome::Exited { code, reason: None }
        };
        self.tell(me, Input::AgentFinished { op, outcome });
    }

    fn run(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        self.drain();
        loop {
            let live = (0..self.nodes.len()).filter(|node| !self.dead.contains(node));
            let Some((at, node)) =
                live.filter_map(|node| Some((self.nodes[node].poll_timeout()?.0, node))).min()
            else {
                break;
            };
            if at > end {
                break;
            }
            self.now = self.now.max(at);
            self.woken[node] += 1;
            self.nodes[node].handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// A new life of a node that has forgotten everything.
    fn restart(&mut self, node: usize, config: Config) {
        // Its clock starts with it; here all count from the same moment, so initdead is over.
        self.nodes[node] = Node::new(config, Incarnation(200 + node as u64), 8, self.now);
        self.dead.remove(&node);
    }

    fn holders(&self) -> Vec<usize> {
        self.running
            .iter()
            .map(|(node, _)| *node)
            .filter(|node| !self.dead.contains(node))
            .collect()
    }

    fn command(&mut self, node: usize, command: Command) {
        let (client, author) = (ClientId(1), "root".to_owned());
        self.tell(node, Input::Command { client, author, unix_ms: 5, command });
    }

    fn switchover(&mut self, node: usize) {
        self.command(node, Command::Switchover { group: "web".to_owned(), to: None });
    }

    fn count(&self, node: usize, which: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|(at, _, event)| *at == node && which(event)).count()
    }

    fn story(&self) -> String {
        self.events.iter().map(|(node, at, event)| format!("{at} {node} {event:?}\n")).collect()
    }
}

#[test]
fn both_start_and_the_preferred_one_holds() {
    let mut pair = Pair::new();
    pair.run(300);
    assert_eq!(pair.holders(), [0], "{}", pair.story());
    assert_eq!(pair.nodes[1].run_on(NodeId(0), GroupId(0)), Run::Started, "{}", pair.story());
}

#[test]
fn a_power_cut_is_taken_over_at_deadtime() {
    let mut pair = Pair::new();
    pair.run(1030);
    pair.dead.insert(0);
    pair.run(300);
    assert_eq!(pair.holders(), [0; 0], "{}", pair.story());
    pair.run(260);
    assert_eq!(pair.holders(), [1], "{}", pair.story());
}

#[test]
fn an_address_that_still_answers_is_not_taken_over() {
    let mut pair = Pair::new();
    pair.run(1000);
    pair.cut = true;
    pair.run(3000);
    assert_eq!(pair.holders(), [0], "{}", pair.story());
    pair.cut = false;
    pair.run(1000);
    assert_eq!(pair.holders(), [0], "{}", pair.story());
}

#[test]
fn an_isolated_holder_lets_go_before_the_other_acts() {
    let mut pair = Pair::new();
    pair.run(1000);
    pair.cut = true;
    pair.ping[0] = false;
    pair.arp = false;
    pair.run(290);
    assert_eq!(pair.holders(), [0], "{}", pair.story());
    pair.run(10);
    assert_eq!(pair.holders(), [0; 0], "{}", pair.story());
    pair.run(150);
    assert_eq!(pair.holders(), [1], "{}", pair.story());
}

#[test]
fn a_switchover_moves_the_group_and_it_stays() {
    let mut pair = Pair::new();
    pair.run(1000);
    pair.switchover(0);
    pair.run(50);
    assert_eq!(pair.holders(), [1], "{}", pair.story());
    pair.run(3000);
    assert_eq!(pair.holders(), [1], "{}", pair.story());
}

/// Whoever is lost is not told of as somebody who holds it still: the age is that of the hold that is seen.
#[test]
fn after_a_takeover_it_is_told_since_when() {
    let mut pair = Pair::new();
    pair.run(1000);
    pair.dead.insert(0);
    pair.run(3000);
    let snapshot = pair.nodes[1].snapshot(pair.now);
    let web = &snapshot.groups[0];
    assert_eq!(web.holders.len(), 2, "{web:?}");
    let came = |because: &str| because == "best able node (alpha is lost)";
    assert!(matches!(&web.reason, Reason::Came { because } if came(because)), "{:?}", web.reason);
    assert!(web.held.is_some_and(|held| held.as_secs() == 2), "{:?}", web.held);
}

#[test]
fn a_node_that_is_told_to_end_hands_over_and_says_goodbye() {
    let mut pair = Pair::new();
    pair.run(1000);
    pair.tell(0, Input::Shutdown);
    pair.run(200);
    assert_eq!(pair.holders(), [1], "{}", pair.story());
    assert!(pair.exited.contains(&0), "{}", pair.story());
    assert!(
        pair.events
            .iter()
            .any(|(node, _, event)| *node == 1 && matches!(event, Event::PeerLeft { .. }))
    );
}

/// What every start and every planned end bring is nothing that anybody has to be woken for.
#[test]
fn starts_and_planned_ends_are_not_told_as_warnings() {
    let mut pair = Pair::new();
    pair.run(1000);
    pair.tell(0, Input::Shutdown);
    pair.run(1000);
    pair.exited.clear();
    pair.restart(0, config(0));
    pair.run(3000);
    assert_eq!(pair.holders(), [1], "{}", pair.story());
    let loud: Vec<String> = pair
        .events
        .iter()
        .filter(|(_, _, event)| event.level() >= Level::Warn)
        .map(|(node, _, event)| format!("{node}: {event}"))
        .collect();
    assert_eq!(loud, [""; 0], "{}", pair.story());
}

/// A life that proves nothing and goes on, as when old datagrams are played again, is told once.
#[test]
fn unproven_datagrams_are_told_when_they_go_on() {
    let mut pair = Pair::new();
    pair.run(1000);
    let header = Header {
        sender: pair.nodes[0].config.node(NodeId(1)).tag,
        incarnation: Incarnation(77),
        sequence: Sequence(1),
        sent_us: 1,
        wall_us: 1,
        flags: Flags::default(),
        keepalive_us: 100_000,
        deadtime_us: 500_000,
        echoes: Vec::new(),
        records: Vec::new(),
    };
    let heartbeat = Box::new(Heartbeat { header, body: Body::Unknown { version: 7 } });
    let told = |pair: &Pair| {
        let refused = |event: &&Event| matches!(event, Event::DatagramRefused { .. });
        pair.events.iter().map(|(_, _, event)| event).filter(refused).count()
    };
    let key = KeyId::from(pair.keys[1]);
    for played in 0..20 {
        assert_eq!(told(&pair), usize::from(played > 7), "after {played}: {}", pair.story());
        let (from, wall_us) = (NodeId(1), pair.wall_us(0));
        let heartbeat = heartbeat.clone();
        pair.tell(0, Input::Received { link: LinkId(0), from, key, wall_us, heartbeat });
        pair.run(100);
    }
    assert_eq!(pair.nodes[0].snapshot(pair.now).refused.get(&Reject::Unproven), Some(&19));
    assert_eq!(pair.holders(), [0]);
}

#[test]
fn a_lone_node_waits_for_initdead() {
    let mut pair = Pair::new();
    pair.dead.insert(1);
    pair.run(1990);
    assert_eq!(pair.holders(), [0; 0], "{}", pair.story());
    pair.run(200);
    assert_eq!(pair.holders(), [0], "{}", pair.story());
}
