//! Agents as the processes they are: they take time, take effect late, fail, hang, lie, and live on when the daemon
//! that started them is dead. And the kernel's hand at addresses, which removes each when its lease ends.

use std::time::Duration;

use lubdub::agent::{Action, ExitCode, Outcome};
use lubdub::cluster::io::{Input, OpId, RenewOutcome};
use lubdub::cluster::time::Instant;
use lubdub::config::{NodeId, ResourceId};

use crate::daemon::Who;
use crate::machine::Temper;
use crate::mutant::Mutant;
use crate::time::Clock;
use crate::world::{Happening, Job, World};

/// One run of an agent.
#[derive(Debug, Clone)]
pub struct Process {
    /// Who waits for it.
    pub owner: Who,
    op: OpId,
    resource: ResourceId,
    pub action: Action,
    /// What it will end with; what it finds out at its effect may change that.
    outcome: Outcome,
    /// Its right ends then, by this clock of its machine.
    not_after: Option<Instant>,
    clock: Clock,
    lease: Option<Duration>,
}

/// What the core asks for when it wants an agent to run.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    pub op: OpId,
    pub resource: ResourceId,
    pub action: Action,
    pub timeout: Duration,
    pub not_after: Option<Instant>,
    pub lease: Option<Duration>,
}

/// What an agent of this temper ends with; `None`: it hangs.
fn ending(action: Action, temper: Temper) -> Option<ExitCode> {
    match (action, temper) {
        (Action::Start, Temper::StartHangs)
        | (Action::Stop, Temper::StopHangs)
        | (Action::Monitor, Temper::MonitorHangs) => None,
        (Action::Start, Temper::StartFails { code, .. }) => Some(ExitCode::from(code)),
        (Action::Stop, Temper::StopFails) => Some(ExitCode::Generic),
        _ => Some(ExitCode::Success),
    }
}

fn exited(code: ExitCode) -> Outcome {
    let reason = (code == ExitCode::Generic).then(|| "the world is against it".to_owned());
    Outcome::Exited { code, reason }
}

impl World {
    /// A daemon starts an agent.
    pub fn run_agent(&mut self, owner: Who, order: Order) {
        let Some(life) = self.life(owner) else { return };
        let clock = life.clock;
        let too_late = order.not_after.is_some_and(|end| clock.read(self.now) >= end);
        if too_late && self.mutant != Mutant::RightsNeverEnd {
            self.answer_soon(
                owner,
                Input::AgentFinished { op: order.op, outcome: Outcome::TooLate },
            );
            return;
        }
        let Order { op, resource, action, timeout, not_after, lease } = order;
        let temper = self.machine(owner.node).state(resource).temper;
        let takes = self.agent_takes(owner.node, resource, action, temper);
        let process = self.next_process();
        self.after(timeout, Happening::Timeout { process });
        let outcome = match ending(action, temper) {
            Some(code) => {
                // A start is true at some moment before the agent says so, a stop only at its end.
                let effect = if action == Action::Start {
                    self.rng.duration(takes / 4, takes)
                } else {
                    takes
                };
                self.after(effect, Happening::Effect { process });
                self.after(takes, Happening::Finish { process });
                exited(code)
            }
            None => {
                self.tally.count("agent hung");
                Outcome::TimedOut
            }
        };
        self.processes.insert(
            process,
            Process { owner, op, resource, action, outcome, not_after, clock, lease },
        );
    }

    fn agent_takes(
        &mut self,
        node: NodeId,
        resource: ResourceId,
        action: Action,
        temper: Temper,
    ) -> Duration {
        let is_address = self.machine(node).state(resource).is_address;
        let takes = match action {
            Action::Start | Action::Stop if !is_address => {
                self.rng.duration(Duration::from_millis(3), self.options.agent)
            }
            Action::Start
            | Action::Stop
            | Action::Monitor
            | Action::ValidateAll
            | Action::MetaData => self.rng.millis(2, 8),
        };
        if temper == Temper::Slow { takes + Duration::from_secs(1) } else { takes }
    }

    /// What an agent does becomes true, whether or not anybody still waits for it.
    pub fn effect(&mut self, process: u64) {
        let Some(running) = self.processes.get(&process).cloned() else { return };
        let Process { owner, resource, action, not_after, clock, lease, .. } = running;
        let node = owner.node;
        let state = self.machine(node).state(resource);
        let (is_address, runs, temper) = (state.is_address, state.runs, state.temper);
        let outcome = match action {
            Action::Start => {
                let late = is_address && not_after.is_some_and(|end| clock.read(self.now) >= end);
                if late && self.mutant != Mutant::RightsNeverEnd {
                    self.tally.count("start came too late");
                    Some(Outcome::TooLate)
                } else {
                    if !matches!(temper, Temper::StartFails { leaves: false, .. }) {
                        self.make_true(node, resource, true, "start");
                        self.keep_until(node, resource, lease);
                        if is_address {
                            self.announce(node, resource);
                        }
                    }
                    None
                }
            }
            Action::Stop => {
                if temper == Temper::StopFails && self.mutant == Mutant::StopLies {
                    Some(exited(ExitCode::Success))
                } else {
                    if temper != Temper::StopFails {
                        self.make_true(node, resource, false, "stop");
                    }
                    None
                }
            }
            Action::Monitor => {
                let says = runs != (temper == Temper::MonitorLies);
                if says != runs {
                    self.tally.count("monitor lied");
                    self.machine_mut(node).unruly = Some(self.now);
                }
                Some(exited(if says { ExitCode::Success } else { ExitCode::NotRunning }))
            }
            Action::ValidateAll | Action::MetaData => None,
        };
        if let (Some(outcome), Some(running)) = (outcome, self.processes.get_mut(&process)) {
            running.outcome = outcome;
        }
    }

    /// An agent ends by itself.
    pub fn finish(&mut self, process: u64) {
        if let Some(Process { owner, op, outcome, .. }) = self.processes.remove(&process) {
            self.arrive(owner, Input::AgentFinished { op, outcome });
        }
    }

    /// An agent's time is over: its daemon kills it, if that is there to do so.
    pub fn time_out(&mut self, process: u64) {
        let Some(Process { owner, op, .. }) = self.processes.get(&process).cloned() else { return };
        match self.life_mut(owner) {
            Some(life) if life.frozen => life.deferred.push(Happening::Timeout { process }),
            Some(_) => {
                self.processes.remove(&process);
                self.arrive(owner, Input::AgentFinished { op, outcome: Outcome::TimedOut });
            }
            None => {}
        }
    }

    /// A daemon kills an agent.
    pub fn kill_agent(&mut self, owner: Who, op: OpId) {
        let found =
            self.processes.iter().find(|(_, process)| process.owner == owner && process.op == op);
        if let Some(process) = found.map(|(number, _)| *number) {
            self.processes.remove(&process);
            self.answer_soon(owner, Input::AgentFinished { op, outcome: Outcome::Killed });
        }
    }

    /// The daemon's own hand at an address. It is the daemon's: frozen it waits, dead it never comes.
    pub fn netlink(&mut self, to: Who, op: OpId, job: Job) {
        let Some(life) = self.life_mut(to) else { return };
        if life.frozen {
            life.deferred.push(Happening::Netlink { to, op, job });
            return;
        }
        let clock = life.clock;
        let input = match job {
            Job::Renew { resource, lease, not_after } => {
                let outcome =
                    if clock.read(self.now) >= not_after && self.mutant != Mutant::RightsNeverEnd {
                        self.tally.count("renewal came too late");
                        RenewOutcome::TooLate
                    } else {
                        let was_there = self.machine(to.node).state(resource).runs;
                        self.make_true(to.node, resource, true, "put back");
                        self.keep_until(to.node, resource, lease);
                        if was_there { RenewOutcome::Kept } else { RenewOutcome::PutBack }
                    };
                Input::AddressRenewed { op, outcome }
            }
            Job::Drop { resource } => {
                if self.mutant != Mutant::KeepsAddress {
                    self.make_true(to.node, resource, false, "dropped");
                }
                Input::AddressDropped { op, error: None }
            }
        };
        self.arrive(to, input);
    }

    /// The kernel will remove an address after this time: never early, and up to a third of a second late (measured).
    fn keep_until(&mut self, node: NodeId, resource: ResourceId, lease: Option<Duration>) {
        let state = self.machine_mut(node).state_mut(resource);
        state.lease += 1;
        let number = state.lease;
        // Without a lease it stays until somebody removes it.
        let Some(lease) = lease else { return };
        let late = self.rng.millis(10, 330);
        self.after(lease + late, Happening::Expire { node, resource, lease: number });
    }

    /// The lease of an address is over, unless it was renewed meanwhile.
    pub fn expire(&mut self, node: NodeId, resource: ResourceId, lease: u64) {
        let state = self.machine(node).state(resource);
        if state.runs && state.lease == lease && self.mutant != Mutant::LeasesNeverEnd {
            self.tally.count("kernel's lease ended");
            self.make_true(node, resource, false, "the kernel's lease is over");
        }
    }
}
