//! Planted bugs. Production code has no hooks for them: each sits at the core's door, where inputs and outputs pass, or
//! in the world, where it undoes something that the core relies on. That an audit catches each of them is what makes
//! the silence of the audits mean something.

use std::collections::BTreeMap;
use std::iter;

use lubdub::agent::Action;
use lubdub::cluster::Node;
use lubdub::cluster::io::{Input, OpId, Output, PingOutcome, ProbeOutcome};
use lubdub::cluster::time::Instant;
use lubdub::config::{Config, NodeId};
use lubdub::wire::{
    Body, GroupTag, GuardRecord, Heard, Heartbeat, Incarnation, MAX_STAMP, MaintenanceState,
    MaintenanceWord, NodeTag, Run, Sequence, Term, WishSubject,
};

/// One planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// None.
    Sound,
    /// World: a right that ended is used all the same (`not_after` is not tested at the effect).
    RightsNeverEnd,
    /// World: the kernel keeps addresses for ever.
    LeasesNeverEnd,
    /// World: an address that is to be dropped stays, and is said to be gone.
    KeepsAddress,
    /// World: a stop that failed is said to have worked.
    StopLies,
    /// World: the daemon's clock does not count the time for which it, or its machine, stood still.
    HidesPauses,
    /// World: nothing is remembered from life to life, and the wall clock begins at zero each time.
    Amnesia,
    /// Door: every peer seems to consent to whatever this node claims.
    ForgesConsent,
    /// Door: every peer seems to have this node's wish for maintenance on its disk.
    ForgesNoted,
    /// Door: beta believes that every peer knows of the end of maintenance.
    ForgesOver,
    /// Door: the ping node seems to answer always.
    PingAlwaysAnswers,
    /// Door: no address ever seems to answer, and there is always a witness.
    ProbesAlwaysSilent,
    /// Door: any datagram of a peer, however old, seems to be its newest.
    BelievesReplays,
    /// Door: ids of requests are used twice.
    RepeatsIds,
    /// Door: the last resource of a group is started first.
    StartsBackwards,
    /// Door: every line of the log comes a hundred times.
    Chatters,
    /// Door: something comes after the last output.
    SpeaksAfterExit,
}

/// The core's door, with somebody who may tamper with what passes.
#[derive(Debug)]
pub struct Door {
    node: Node,
    mutant: Mutant,
    config: Config,
    incarnation: Incarnation,
    /// This node's newest datagram.
    said: Sequence,
    /// Stamp of the newest wish for maintenance that this node tells.
    maintenance: Option<u64>,
    /// What this node claims.
    claims: BTreeMap<GroupTag, Term>,
    /// The newest life and datagram of each peer.
    newest: BTreeMap<NodeId, (Incarnation, Sequence)>,
}

impl Door {
    pub fn new(config: Config, incarnation: Incarnation, seed: u64, mutant: Mutant) -> Self {
        let node = Node::new(config.clone(), incarnation, seed, Instant::ZERO);
        let (claims, newest) = (BTreeMap::new(), BTreeMap::new());
        let (said, maintenance) = (Sequence(0), None);
        Self { node, mutant, config, incarnation, said, maintenance, claims, newest }
    }

    /// Hand in one input, or the time, and take all that comes out.
    pub fn hand(&mut self, now: Instant, input: Option<Input>) -> Vec<Output> {
        // The very first outputs are there before any input.
        let mut outputs: Vec<Output> = iter::from_fn(|| self.node.poll_output()).collect();
        match input {
            Some(input) => {
                let input = self.bend_input(input);
                self.node.handle_input(now, input);
            }
            None => self.node.handle_timeout(now),
        }
        outputs.extend(iter::from_fn(|| self.node.poll_output()));
        if self.mutant == Mutant::Sound { outputs } else { self.bend_outputs(outputs) }
    }

    /// When the core wants to be woken.
    pub fn deadline(&self) -> Option<Instant> {
        self.node.poll_timeout().map(|(at, _)| at)
    }

    pub fn snapshot(&self, now: Instant) -> lubdub::cluster::snapshot::Snapshot {
        self.node.snapshot(now)
    }

    fn bend_input(&mut self, mut input: Input) -> Input {
        match (self.mutant, &mut input) {
            (Mutant::PingAlwaysAnswers, Input::PingFinished { outcome, .. }) => {
                *outcome = PingOutcome::Answered;
            }
            (Mutant::ProbesAlwaysSilent, Input::ProbeFinished { outcome, .. }) => {
                *outcome = ProbeOutcome::Silent { witnessed: true };
            }
            (Mutant::ForgesConsent, Input::Received { heartbeat, .. }) => {
                self.forge_consent(heartbeat);
            }
            (Mutant::ForgesNoted, Input::Received { heartbeat, .. }) => {
                if let Some(stamp) = self.maintenance {
                    forge_word(heartbeat, stamp, MaintenanceState::Noted);
                }
            }
            (Mutant::ForgesOver, Input::Received { heartbeat, .. }) if self.config.me.0 == 1 => {
                forge_word(heartbeat, MAX_STAMP, MaintenanceState::Over);
            }
            (Mutant::BelievesReplays, Input::Received { from, wall_us, heartbeat, .. }) => {
                // The clock that an old datagram shows would be seen first.
                heartbeat.header.wall_us = *wall_us;
                self.freshen(*from, heartbeat);
            }
            _ => {}
        }
        input
    }

    fn forge_consent(&self, heartbeat: &mut Heartbeat) {
        if let Body::Known(report) = &mut heartbeat.body {
            for group in &mut report.groups {
                group.consent = self.claims.get(&group.group).copied();
            }
        }
    }

    fn freshen(&mut self, from: NodeId, heartbeat: &mut Heartbeat) {
        let header = &mut heartbeat.header;
        let (incarnation, newest) =
            self.newest.entry(from).or_insert((header.incarnation, Sequence(0)));
        if header.incarnation == *incarnation {
            newest.0 = newest.0.max(header.sequence.0);
        }
        newest.0 += 1;
        (header.incarnation, header.sequence) = (*incarnation, *newest);
        let me = NodeTag::of(&self.config.node(self.config.me).name);
        for echo in header.echoes.iter_mut().filter(|echo| echo.node == me) {
            echo.heard = Some(Heard {
                incarnation: self.incarnation,
                sequence: self.said,
                hold_us: 0,
                links: 1,
            });
        }
    }

    fn bend_outputs(&mut self, outputs: Vec<Output>) -> Vec<Output> {
        let mut bent = Vec::new();
        for mut output in outputs {
            if let Output::Send { heartbeat, .. } = &output {
                self.listen(heartbeat);
            }
            match (self.mutant, &mut output) {
                (Mutant::RepeatsIds, Output::RunAgent { op, .. }) => *op = OpId(1),
                // An answer at the deadline itself would be too old to count.
                (Mutant::PingAlwaysAnswers, Output::Ping { deadline, .. }) => {
                    *deadline = deadline.saturating_sub(self.config.timing.deadtime / 4);
                }
                (
                    Mutant::StartsBackwards,
                    Output::RunAgent { resource, action: Action::Start, .. },
                ) => {
                    let last = self.config.resource_ids(resource.group).last();
                    resource.index = last.map_or(0, |last| last.index - resource.index);
                }
                (Mutant::Chatters, Output::Emit(_)) => {
                    bent.extend(iter::repeat_n(output.clone(), 500));
                }
                (Mutant::SpeaksAfterExit, Output::Exit) => {
                    bent.push(output.clone());
                    output = Output::KillAgent { op: OpId(1) };
                }
                _ => {}
            }
            bent.push(output);
        }
        bent
    }

    fn listen(&mut self, own: &Heartbeat) {
        self.said = own.header.sequence;
        if let Body::Known(report) = &own.body {
            for wish in &report.wishes {
                if let WishSubject::Maintenance { on: true } = wish.subject {
                    self.maintenance = self.maintenance.max(Some(wish.stamp));
                }
            }
            for group in report.groups.iter().filter(|group| group.run == Run::Claiming) {
                self.claims.insert(group.group, group.term);
            }
        }
    }
}

fn forge_word(heartbeat: &mut Heartbeat, stamp: u64, state: MaintenanceState) {
    let records = &mut heartbeat.header.records;
    records.retain(|record| !matches!(record, GuardRecord::Maintenance(_)));
    records.push(GuardRecord::Maintenance(MaintenanceWord { stamp, state }));
}
