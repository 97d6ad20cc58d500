//! A machine and what is really true on it: processes that run, addresses that its kernel has, a disk, a clock. The
//! daemon is one guest of it and may die alone.

use std::collections::BTreeMap;

use lubdub::cluster::io::Memory;
use lubdub::config::{Config, GroupId, NodeId, ResourceId};
use lubdub::wire::Mac;

use crate::daemon::{Life, Who};
use crate::options::Options;
use crate::rng::Rng;
use crate::time::Moment;
use crate::world::Happening;

/// What is true of one resource on one machine.
#[derive(Debug, Clone)]
pub struct State {
    /// It runs, or the kernel has the address.
    pub runs: bool,
    /// It is an address, removed when its lease ends.
    pub is_address: bool,
    /// Number of its newest lease: the end of an older one means nothing.
    pub lease: u64,
    /// How its agent behaves here.
    pub temper: Temper,
}

/// How an agent behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temper {
    Well,
    /// start ends with this code; `leaves`: having started it all the same.
    StartFails {
        code: u8,
        leaves: bool,
    },
    /// start does nothing until it is killed.
    StartHangs,
    /// stop ends with 1 and changes nothing.
    StopFails,
    /// stop does nothing until it is killed.
    StopHangs,
    /// monitor says the contrary of what is true.
    MonitorLies,
    /// monitor does nothing until it is killed.
    MonitorHangs,
    /// Everything takes a second longer.
    Slow,
}

/// One machine.
#[derive(Debug)]
pub struct Machine {
    pub id: NodeId,
    pub mac: Mac,
    /// It has power.
    pub on: bool,
    /// It stands still as a whole, as a virtual machine can: agents and kernel too. Its clock goes on.
    pub suspended: bool,
    /// Since when it, or its daemon, stands still.
    pub still_since: Option<Moment>,
    /// What would have happened on it meanwhile.
    pub parked: Vec<Happening>,
    /// How much faster than true time its clock goes, in millionths.
    pub ppm: i64,
    /// Its wall clock against the world's, microseconds.
    pub wall_offset_us: i64,
    /// What its disk keeps.
    pub disk: Memory,
    pub states: BTreeMap<ResourceId, State>,
    pub life: Option<Life>,
    pub lives: u32,
    /// The last moment at which an agent of a dead daemon may have been at work, or an agent did not do what it said:
    /// processes (not addresses) may run unknown to any daemon from then on.
    pub unruly: Option<Moment>,
}

/// Wall time at the beginning of the world: a day in 2025, microseconds since the Unix epoch.
const WALL_START_US: u64 = 1_750_000_000_000_000;

impl Machine {
    pub fn new(config: &Config, options: &Options, rng: &mut Rng) -> Self {
        let drift = i64::try_from(rng.below(2 * options.drift_ppm + 1)).unwrap();
        let states =
            config.group_ids().flat_map(|group| config.resource_ids(group)).map(|resource| {
                let is_address = config.resource(resource).address.is_some();
                (resource, State { runs: false, is_address, lease: 0, temper: Temper::Well })
            });
        Self {
            id: config.me,
            mac: Mac([2, 0, 0, 0, 0, config.me.0 + 1]),
            on: false,
            suspended: false,
            still_since: None,
            parked: Vec::new(),
            ppm: drift - i64::try_from(options.drift_ppm).unwrap(),
            wall_offset_us: i64::try_from(rng.below(4000)).unwrap(),
            disk: Memory::default(),
            states: states.collect(),
            life: None,
            lives: 0,
            unruly: None,
        }
    }

    /// What its wall clock shows, microseconds since the Unix epoch.
    pub fn wall_us(&self, now: Moment) -> u64 {
        (WALL_START_US + now.as_micros()).checked_add_signed(self.wall_offset_us).unwrap()
    }

    /// Its wall clock is so near the world's that no two such are too far apart.
    pub fn clock_is_right(&self) -> bool {
        self.wall_offset_us.abs() < 400_000
    }

    pub fn state(&self, resource: ResourceId) -> &State {
        &self.states[&resource]
    }

    pub fn state_mut(&mut self, resource: ResourceId) -> &mut State {
        self.states.get_mut(&resource).unwrap()
    }

    /// Its daemon, as an address for answers.
    pub fn who(&self) -> Option<Who> {
        self.life.as_ref().map(|life| Who { node: self.id, life: life.number })
    }

    /// It has power and does not stand still.
    pub fn awake(&self) -> bool {
        self.on && !self.suspended
    }

    /// A daemon is at work on it.
    pub fn attends(&self) -> bool {
        self.awake() && self.life.as_ref().is_some_and(|life| !life.frozen)
    }

    /// It answers for an address of this group, or runs it where it has none.
    pub fn holds(&self, group: GroupId) -> bool {
        let mut own = self
            .states
            .iter()
            .filter(|(resource, _)| resource.group == group)
            .map(|(_, state)| state);
        let has_address = own.clone().any(|state| state.is_address);
        self.awake() && own.any(|state| state.runs && state.is_address == has_address)
    }

    /// All of a group really runs here.
    pub fn runs_all(&self, group: GroupId) -> bool {
        self.awake()
            && self
                .states
                .iter()
                .filter(|(resource, _)| resource.group == group)
                .all(|(_, state)| state.runs)
    }

    /// Anything of a group really runs here.
    pub fn runs_any(&self, group: GroupId) -> bool {
        self.awake()
            && self.states.iter().any(|(resource, state)| resource.group == group && state.runs)
    }
}
