//! Random faults, one after the other, each with its own end. What is drawn depends on the seed and the state of the
//! world only.

use std::time::Duration;

use lubdub::cluster::io::{Command, Reject};
use lubdub::config::{LinkId, NodeId, ResourceId};

use crate::hands::Undo;
use crate::machine::Temper;
use crate::network::{Broken, Weather};
use crate::options::NAMES;
use crate::rng::Rng;
use crate::time::Moment;
use crate::world::{Happening, World};

/// A sort of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    PowerOff,
    Blackout,
    KillDaemon,
    Freeze,
    Suspend,
    CutWay,
    CutLink,
    CutPair,
    Isolate,
    CutInterface,
    CutPing,
    PingNodeDies,
    CutService,
    SplitService,
    Storm,
    Replay,
    Garbage,
    AgentTurns,
    ResourceDies,
    AddressRemoved,
    Stranger,
    DiskRefuses,
    DiskLost,
    WallStep,
    Operator,
    Terminate,
}

/// Every sort, how often it comes, and its name in reports.
pub const FAULTS: [(u64, Fault, &str); 26] = [
    (10, Fault::PowerOff, "power off"),
    (2, Fault::Blackout, "blackout"),
    (10, Fault::KillDaemon, "daemon killed"),
    (8, Fault::Freeze, "daemon frozen"),
    (6, Fault::Suspend, "machine suspended"),
    (6, Fault::CutWay, "one way cut"),
    (4, Fault::CutLink, "link cut"),
    (9, Fault::CutPair, "pair cut"),
    (8, Fault::Isolate, "node isolated"),
    (3, Fault::CutInterface, "interface lost"),
    (6, Fault::CutPing, "ping node cut off"),
    (3, Fault::PingNodeDies, "ping node died"),
    (4, Fault::CutService, "service network cut"),
    (3, Fault::SplitService, "service network split"),
    (8, Fault::Storm, "storm"),
    (7, Fault::Replay, "replay"),
    (2, Fault::Garbage, "garbage"),
    (9, Fault::AgentTurns, "agent turned"),
    (5, Fault::ResourceDies, "resource died"),
    (3, Fault::AddressRemoved, "address removed"),
    (2, Fault::Stranger, "stranger"),
    (4, Fault::DiskRefuses, "disk refused"),
    (2, Fault::DiskLost, "disk lost"),
    (3, Fault::WallStep, "wall clock stepped"),
    (12, Fault::Operator, "operator"),
    (7, Fault::Terminate, "terminated"),
];

impl World {
    /// Random faults from now on, for as long as the options say.
    pub fn unleash(&mut self) -> Moment {
        self.chaos_until = self.now + self.options.chaos;
        self.after(Duration::ZERO, Happening::Chaos);
        self.chaos_until
    }

    /// One fault, and the moment of the next.
    pub fn next_fault(&mut self) {
        if self.now >= self.chaos_until {
            return;
        }
        let mut chaos = self.chaos.clone();
        let table: Vec<_> =
            FAULTS.iter().map(|(weight, fault, name)| (*weight, (*fault, *name))).collect();
        let (fault, name) = chaos.weighted(&table);
        self.chaos = chaos;
        let (fault, name) =
            if self.options.peaceful { (Fault::Operator, "operator") } else { (fault, name) };
        if self.strike(fault) {
            self.tally.count(name);
        }
        let wait = self.chaos.duration(Duration::from_millis(5), self.options.pace);
        self.after(wait, Happening::Chaos);
    }

    fn any_node(&mut self) -> NodeId {
        NodeId(u8::try_from(self.chaos.below(u64::from(self.options.nodes))).unwrap())
    }

    /// Two nodes, where there are two.
    fn any_pair(&mut self) -> Option<(NodeId, NodeId)> {
        let others = u64::from(self.options.nodes).checked_sub(1).filter(|others| *others > 0)?;
        let a = self.any_node();
        let step = u8::try_from(self.chaos.between(1, others)).unwrap();
        Some((a, NodeId((a.0 + step) % self.options.nodes)))
    }

    fn any_link(&mut self) -> LinkId {
        LinkId(u8::try_from(self.chaos.below(u64::from(self.options.links))).unwrap())
    }

    fn any_resource(&mut self) -> ResourceId {
        let resources = self.resources();
        *self.chaos.pick(&resources)
    }

    /// A fault's length: about deadtime is where the difficult ones are.
    fn length(&mut self) -> Duration {
        let deadtime = self.options.timing.deadtime;
        let (low, high) =
            self.chaos.weighted(&[(3, (5, 90)), (4, (80, 150)), (4, (150, 600)), (1, (600, 2000))]);
        self.chaos.duration(deadtime * low / 100, deadtime * high / 100)
    }

    /// Like `length`, for what takes a machine or a daemon to come back.
    fn absence(&mut self) -> Duration {
        let length = self.length();
        length + self.chaos.millis(1, 2500)
    }

    fn cut(&mut self, broken: Vec<Broken>) -> bool {
        self.break_(&broken);
        let length = self.length();
        self.undo_after(length, Undo::Mend(broken));
        true
    }

    /// Whether it could be done.
    fn strike(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::PowerOff
            | Fault::Blackout
            | Fault::KillDaemon
            | Fault::Freeze
            | Fault::Suspend
            | Fault::Terminate => self.strike_machine(fault),
            Fault::CutWay
            | Fault::CutLink
            | Fault::CutPair
            | Fault::Isolate
            | Fault::CutInterface
            | Fault::CutPing
            | Fault::PingNodeDies
            | Fault::CutService
            | Fault::SplitService => self.strike_cable(fault),
            Fault::Storm => self.storm(),
            Fault::Replay => {
                let (count, spread) = (self.chaos.between(1, 300), self.length());
                self.replay(count, spread);
                true
            }
            Fault::Garbage => {
                let node = self.any_node();
                let why = [
                    Reject::Malformed,
                    Reject::ForeignCluster,
                    Reject::BadTag,
                    Reject::UnknownKey,
                    Reject::OwnName,
                ];
                let why = *self.chaos.pick(&why);
                self.garbage(node, why);
                true
            }
            Fault::AgentTurns | Fault::ResourceDies | Fault::AddressRemoved | Fault::Stranger => {
                self.strike_resource(fault)
            }
            Fault::DiskRefuses => {
                let node = self.any_node();
                self.options.disk_trouble && self.cut(vec![Broken::Disk { node }])
            }
            Fault::DiskLost => {
                let node = self.any_node();
                let loses = self.options.disk_trouble && !self.options.maintenance;
                if loses {
                    self.lose_disk(node);
                }
                loses
            }
            Fault::WallStep => {
                let node = self.any_node();
                if self.options.wall_steps {
                    let hour = 3_600_000_000;
                    let by = i64::try_from(self.chaos.below(2 * hour)).unwrap()
                        - i64::try_from(hour).unwrap();
                    self.step_wall_clock(node, by);
                }
                self.options.wall_steps
            }
            Fault::Operator => self.operator(),
        }
    }

    fn strike_machine(&mut self, fault: Fault) -> bool {
        let node = self.any_node();
        let (length, absence) = (self.length(), self.absence());
        let (on, lives) = (self.machine(node).on, self.machine(node).attends());
        match fault {
            Fault::PowerOff if on => {
                self.power_off(node);
                self.undo_after(absence, Undo::PowerOn(node));
            }
            Fault::Blackout => {
                for node in self.nodes() {
                    self.power_off(node);
                    let skew = self.chaos.millis(0, 50);
                    self.undo_after(absence + skew, Undo::PowerOn(node));
                }
            }
            Fault::KillDaemon if lives => {
                self.kill_daemon(node);
                self.undo_after(absence, Undo::Start(node));
            }
            Fault::Freeze if lives => {
                self.freeze(node);
                self.undo_after(length, Undo::Thaw(node));
            }
            Fault::Suspend if lives => {
                self.suspend(node);
                self.undo_after(length, Undo::Wake(node));
            }
            Fault::Terminate if lives => {
                self.terminate(node);
                // Whoever started it does so again; a daemon that is still there by then is left alone.
                self.undo_after(absence * 3, Undo::Start(node));
            }
            _ => return false,
        }
        true
    }

    fn strike_cable(&mut self, fault: Fault) -> bool {
        let (node, link) = (self.any_node(), self.any_link());
        let broken = match fault {
            Fault::CutPing => vec![Broken::PingPath { node }],
            Fault::PingNodeDies => vec![Broken::PingNode],
            Fault::CutService => vec![Broken::Service { node }],
            Fault::SplitService => vec![Broken::ServiceSplit],
            Fault::Isolate => self.all_cables(node),
            Fault::CutInterface => vec![Broken::Interface { node, link }],
            _ => {
                let Some((a, b)) = self.any_pair() else { return false };
                let (there, back) =
                    (Broken::Way { link, from: a, to: b }, Broken::Way { link, from: b, to: a });
                match fault {
                    // Half of the time on every link: one-way loss that hides nothing behind another link.
                    Fault::CutWay if self.chaos.chance(500) => (0..self.options.links)
                        .map(|link| Broken::Way { link: LinkId(link), from: a, to: b })
                        .collect(),
                    Fault::CutWay => vec![there],
                    Fault::CutLink => vec![there, back],
                    _ => self.ways_between(a, b),
                }
            }
        };
        self.cut(broken)
    }

    fn storm(&mut self) -> bool {
        let rng = &mut self.chaos;
        let lost = rng.weighted(&[(3, 0), (3, 100), (2, 300), (1, 700)]);
        let weather = Weather {
            lost,
            pings_lost: if rng.chance(300) { lost } else { 0 },
            doubled: rng.weighted(&[(1, 0), (1, 300)]),
            held_up: rng.weighted(&[(2, 0), (2, 100), (1, 600)]),
            held_up_for: self.options.timing.deadtime * u32::try_from(rng.between(1, 30)).unwrap()
                / 10,
        };
        self.set_weather(weather);
        let length = self.length() * 2;
        self.undo_after(length, Undo::Weather);
        true
    }

    fn strike_resource(&mut self, fault: Fault) -> bool {
        let (node, resource) = (self.any_node(), self.any_resource());
        let length = self.length();
        let state = self.machine(node).state(resource).clone();
        match fault {
            Fault::AgentTurns if state.temper == Temper::Well => {
                let temper = any_temper(&mut self.chaos);
                // The agent for addresses is our own and asks the kernel: others may lie.
                if temper == Temper::MonitorLies && state.is_address {
                    return false;
                }
                self.set_temper(node, resource, temper);
                let seconds = self.chaos.millis(100, 6000);
                self.undo_after(length + seconds, Undo::Temper(node, resource));
            }
            // Nobody finds out where nobody looks.
            Fault::ResourceDies
                if state.runs && !state.is_address && self.options.monitor.is_some() =>
            {
                self.end_resource(node, resource, "it died");
            }
            Fault::AddressRemoved if state.runs && state.is_address => {
                self.end_resource(node, resource, "somebody removed it");
            }
            Fault::Stranger
                if state.is_address
                    && !self.machines.iter().any(|machine| machine.state(resource).runs) =>
            {
                self.add_stranger(resource);
                self.undo_after(length, Undo::Stranger(resource));
            }
            _ => return false,
        }
        true
    }

    fn operator(&mut self) -> bool {
        let (node, other) = (self.any_node(), self.any_node());
        let name = NAMES[usize::from(other.0)].to_owned();
        let groups: Vec<String> =
            self.configs[0].groups.iter().map(|group| group.name.clone()).collect();
        let group = self.chaos.pick(&groups).clone();
        let to = self.chaos.chance(600).then(|| name.clone());
        let command = match self.chaos.below(if self.options.maintenance { 15 } else { 10 }) {
            0..5 => Command::Switchover { group, to },
            5..7 => Command::Standby { node: Some(name) },
            7..9 => Command::Online { node: Some(name) },
            _ if self.options.maintenance && self.chaos.chance(800) => {
                Command::Maintenance { on: self.chaos.chance(600) }
            }
            _ if !self.machine(other).on => Command::ConfirmDead { node: name },
            _ => return false,
        };
        self.command(node, command);
        true
    }
}

fn any_temper(rng: &mut Rng) -> Temper {
    // Hard errors take a node out until its daemon starts again, so they are few.
    let code = rng.weighted(&[(9, 1), (1, 5)]);
    rng.weighted(&[
        (4, Temper::StartFails { code, leaves: false }),
        (2, Temper::StartFails { code: 1, leaves: true }),
        (2, Temper::StartHangs),
        (2, Temper::StopFails),
        (1, Temper::StopHangs),
        (2, Temper::MonitorLies),
        (2, Temper::MonitorHangs),
        (3, Temper::Slow),
    ])
}
