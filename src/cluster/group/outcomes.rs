//! What comes of a group's actions: answers of agents, renewals, and news about its addresses.

use std::mem;

use super::{
    AGENT_RETRY, Care, Failure, Ground, LocalGroup, RESTART_WINDOW, RESTARTS, RETRY_FIRST,
    RETRY_MOST, Running,
};
use crate::agent::{Action, ExitCode, Outcome};
use crate::cluster::event::{Event, Recovery, StopReason};
use crate::cluster::io::{AddressNotice, OpId, RenewOutcome};
use crate::cluster::outbox::Outbox;
use crate::cluster::resource::{Doing, LocalResource};
use crate::cluster::time::Instant;
use crate::config::{Config, ResourceId};

impl LocalGroup {
    /// An agent's answer.
    pub(in crate::cluster) fn agent_finished(
        &mut self,
        ground: &Ground<'_>,
        (id, op): (ResourceId, OpId),
        action: Action,
        outcome: &Outcome,
        out: &mut Outbox,
    ) {
        let Some(place) = self.resources.iter().position(|resource| resource.id == id) else {
            return;
        };
        let Some(resource) = self.resources.get_mut(place) else { return };
        let spec = ground.config.resource(id);
        match (resource.doing, action) {
            (Doing::Unknown(Some(asked)), Action::Monitor) if asked == op => {
                self.found(ground, place, outcome, out);
            }
            (Doing::Blocked(Some(asked)), Action::Monitor) if asked == op => {
                if outcome.is_not_running() {
                    resource.doing = Doing::Stopped;
                    resource.failure = None;
                    if !self.resources.iter().any(LocalResource::is_blocked) {
                        out.emit(Event::GroupUnblocked { group: self.name(ground.config) });
                        self.running = Running::Stopping { since: ground.now };
                    }
                } else {
                    resource.doing = Doing::Blocked(None);
                }
            }
            (Doing::Starting(asked), Action::Start) if asked == op => match outcome {
                outcome if outcome.is_success() => {
                    resource.failure = None;
                    resource.no_agent = false;
                    resource.started(ground.now, spec);
                    self.remarked(ground.config, place, outcome, out);
                }
                // The right is to be asked for anew, not stretched.
                Outcome::TooLate => {
                    resource.doing = Doing::Stopped;
                    self.release(ground, StopReason::TooLate, out);
                }
                Outcome::Killed => resource.doing = Doing::Failed,
                Outcome::Exited { .. }
                | Outcome::TimedOut
                | Outcome::Signalled(_)
                | Outcome::CannotExecute(_) => {
                    self.failed(ground, place, action, outcome, out);
                }
            },
            (Doing::Stopping(asked), Action::Stop) if asked == op => {
                if outcome.is_success() {
                    resource.doing = Doing::Stopped;
                    resource.remark = None;
                    resource.no_agent = false;
                } else {
                    self.failed(ground, place, action, outcome, out);
                }
            }
            (Doing::Stopped, Action::Monitor) if resource.monitor == Some(op) => {
                resource.looked();
                self.looked_again(ground, place, outcome, out);
            }
            (_, Action::Monitor) if resource.monitor == Some(op) => {
                self.monitored(ground, place, outcome, out);
            }
            // Of an action that something newer replaced: it changes nothing.
            _ => {}
        }
    }

    fn found(&mut self, ground: &Ground<'_>, place: usize, outcome: &Outcome, out: &mut Outbox) {
        let Some(resource) = self.resources.get_mut(place) else { return };
        resource.found();
        resource.doing = match outcome {
            outcome if outcome.is_success() => Doing::Started,
            outcome if outcome.is_not_running() => Doing::Stopped,
            Outcome::Exited { code, .. } if code.is_hard() => {
                resource.failure = Some(format!("monitor: {outcome}"));
                self.failure = Some(Failure::Hard);
                self.tell_failure(
                    ground.config,
                    place,
                    (Action::Monitor, outcome),
                    Recovery::Leave { able_again: None },
                    out,
                );
                let Some(resource) = self.resources.get_mut(place) else { return };
                resource.doing = Doing::Stopped;
                return;
            }
            Outcome::CannotExecute(_) => {
                resource.failure = Some(format!("monitor: {outcome}"));
                resource.doing = Doing::Stopped;
                resource.no_agent = true;
                let then = self.fail_here(ground.now, outcome);
                self.tell_failure(ground.config, place, (Action::Monitor, outcome), then, out);
                return;
            }
            // Something is wrong with it, so something of it may run.
            Outcome::Exited { .. }
            | Outcome::TimedOut
            | Outcome::Signalled(_)
            | Outcome::Killed
            | Outcome::TooLate => Doing::Failed,
        };
    }

    /// What a look at a stopped resource found.
    fn looked_again(
        &mut self,
        ground: &Ground<'_>,
        place: usize,
        outcome: &Outcome,
        out: &mut Outbox,
    ) {
        let Some(resource) = self.resources.get_mut(place) else { return };
        match outcome {
            // Cut short for a start.
            Outcome::Killed | Outcome::TooLate => {}
            Outcome::CannotExecute(_) if resource.no_agent => {
                resource.failure = Some(format!("monitor: {outcome}"));
                self.fail_here(ground.now, outcome);
            }
            Outcome::Exited { .. }
            | Outcome::TimedOut
            | Outcome::Signalled(_)
            | Outcome::CannotExecute(_) => {
                if mem::take(&mut resource.no_agent) {
                    resource.failure = None;
                }
                let missing = |resource: &LocalResource| resource.no_agent;
                if matches!(self.failure, Some(Failure::NoAgent { .. }))
                    && !self.resources.iter().any(missing)
                {
                    self.failure = None;
                }
                self.found(ground, place, outcome, out);
            }
        }
    }

    fn monitored(
        &mut self,
        ground: &Ground<'_>,
        place: usize,
        outcome: &Outcome,
        out: &mut Outbox,
    ) {
        let Some(resource) = self.resources.get_mut(place) else { return };
        resource.looked();
        let spec = ground.config.resource(resource.id);
        // Nobody acts on it in maintenance; it is looked at again after that.
        if ground.care != Care::Full {
            return;
        }
        match outcome {
            outcome if outcome.is_success() => {
                resource.slow = false;
                if mem::take(&mut resource.no_agent) {
                    resource.failure = None;
                }
                self.remarked(ground.config, place, outcome, out);
            }
            Outcome::Killed | Outcome::TooLate => {}
            // Slow is not failed: it has to repeat before it counts.
            Outcome::TimedOut if !resource.slow => {
                resource.slow = true;
                resource.look_now(ground.now);
                out.emit(Event::MonitorSlow {
                    group: ground.config.group(self.id).name.clone(),
                    resource: spec.name.clone(),
                    timeout: spec.timeout.monitor,
                });
            }
            // That nobody can look is no word on the service, and without its agent it could not be stopped either.
            Outcome::CannotExecute(_) => {
                if !mem::replace(&mut resource.no_agent, true) {
                    resource.failure = Some(format!("monitor: {outcome}"));
                    let failed = (Action::Monitor, outcome);
                    self.tell_failure(ground.config, place, failed, Recovery::Unwatched, out);
                }
            }
            Outcome::Exited { .. } | Outcome::TimedOut | Outcome::Signalled(_) => {
                self.failed(ground, place, Action::Monitor, outcome, out);
            }
        }
    }

    /// What an agent said though it succeeded is kept; that it says something, or no longer does, is told.
    fn remarked(&mut self, config: &Config, place: usize, outcome: &Outcome, out: &mut Outbox) {
        let group = self.name(config);
        let Some(resource) = self.resources.get_mut(place) else { return };
        let remark = outcome.remark().map(str::to_owned);
        // Figures in its words change from one look to the next.
        let news = remark.is_some() != resource.remark.is_some();
        resource.remark.clone_from(&remark);
        if news {
            let resource = config.resource(resource.id).name.clone();
            out.emit(Event::AgentRemarked { group, resource, remark });
        }
    }

    fn failed(
        &mut self,
        ground: &Ground<'_>,
        place: usize,
        action: Action,
        outcome: &Outcome,
        out: &mut Outbox,
    ) {
        let Some(resource) = self.resources.get_mut(place) else { return };
        resource.failure = Some(format!("{action}: {outcome}"));
        resource.remark = None;
        let name = ground.config.resource(resource.id).name.clone();
        if action == Action::Stop {
            resource.doing = Doing::Blocked(None);
            resource.look_now(ground.now);
            self.running = Running::Blocked;
            self.tell_failure(ground.config, place, (action, outcome), Recovery::Block, out);
            let group = self.name(ground.config);
            out.emit(Event::GroupBlocked { group, resource: name, outcome: outcome.clone() });
            return;
        }
        // What never ran needs no stop.
        resource.no_agent = matches!(outcome, Outcome::CannotExecute(_));
        resource.doing = if resource.no_agent { Doing::Stopped } else { Doing::Failed };
        self.restarts.retain(|at| ground.now - *at <= RESTART_WINDOW);
        let hard = matches!(outcome, Outcome::Exited { code, .. } if code.is_hard() && *code != ExitCode::Unimplemented);
        if action == Action::Monitor && !hard && self.holds() && self.restarts.len() < RESTARTS {
            self.restarts.push(ground.now);
            self.restarting.get_or_insert(ground.now);
            self.tell_failure(ground.config, place, (action, outcome), Recovery::RestartHere, out);
            return;
        }
        let then = self.fail_here(ground.now, outcome);
        self.tell_failure(ground.config, place, (action, outcome), then, out);
        self.release(ground, StopReason::Failed { resource: name }, out);
    }

    /// Not able here for a while.
    fn fail_here(&mut self, now: Instant, outcome: &Outcome) -> Recovery {
        if matches!(outcome, Outcome::Exited { code, .. } if code.is_hard()) {
            self.failure = Some(Failure::Hard);
            return Recovery::Leave { able_again: None };
        }
        if matches!(outcome, Outcome::CannotExecute(_)) {
            self.failure = Some(Failure::NoAgent { until: now + AGENT_RETRY });
            return Recovery::AwaitAgent;
        }
        let wait = RETRY_FIRST.saturating_mul(1 << self.failures.min(16)).min(RETRY_MOST);
        self.failures += 1;
        self.failure = Some(Failure::Soft { until: now + wait });
        Recovery::Leave { able_again: Some(wait) }
    }

    fn tell_failure(
        &self,
        config: &Config,
        place: usize,
        (action, outcome): (Action, &Outcome),
        then: Recovery,
        out: &mut Outbox,
    ) {
        let Some(resource) = self.resources.get(place) else { return };
        out.emit(Event::AgentFailed {
            group: self.name(config),
            resource: config.resource(resource.id).name.clone(),
            action,
            outcome: outcome.clone(),
            then,
        });
    }

    /// A renewal's answer.
    pub(in crate::cluster) fn renewed(
        &mut self,
        ground: &Ground<'_>,
        id: ResourceId,
        outcome: RenewOutcome,
        out: &mut Outbox,
    ) {
        let (group, holds) = (self.name(ground.config), self.holds());
        let Some(resource) = self.resources.iter_mut().find(|resource| resource.id == id) else {
            return;
        };
        resource.renewed(matches!(outcome, RenewOutcome::Kept | RenewOutcome::PutBack));
        if !holds || resource.doing != Doing::Started {
            // It came back behind the back of whoever removed it.
            if outcome == RenewOutcome::PutBack {
                resource.drop_address(out);
            }
            return;
        }
        let Some(address) = &ground.config.resource(id).address else { return };
        let address = address.to_string();
        match outcome {
            RenewOutcome::Kept if resource.no_agent => {}
            RenewOutcome::Kept => resource.failure = None,
            RenewOutcome::TooLate => resource.renew_now(ground.now),
            RenewOutcome::PutBack => {
                resource.announce_now(ground.now, out);
                out.emit(Event::AddressPutBack { group, address });
            }
            RenewOutcome::Failed(why) => {
                if resource.failure.as_ref() != Some(&why) {
                    resource.failure = Some(why.clone());
                    out.emit(Event::AddressFailed { group, address, why });
                }
            }
        }
    }

    /// News about an address of this machine.
    pub(in crate::cluster) fn noticed(
        &mut self,
        ground: &Ground<'_>,
        id: ResourceId,
        notice: AddressNotice,
        out: &mut Outbox,
    ) {
        let (group, holds) = (self.name(ground.config), self.holds());
        let Some(resource) = self.resources.iter_mut().find(|resource| resource.id == id) else {
            return;
        };
        let kept = holds && resource.doing == Doing::Started;
        match notice {
            // Whoever does that in maintenance may.
            AddressNotice::Appeared | AddressNotice::Removed if ground.care != Care::Full => {}
            // Put there by hand, say: if its agent confirms it, it is stopped as what is left of the group.
            AddressNotice::Appeared if self.running == Running::Stopped => {
                resource.look_again(ground.config.resource(id), out);
            }
            AddressNotice::Removed if kept => resource.renew_now(ground.now),
            AddressNotice::LinkUp if kept => resource.announce_now(ground.now, out),
            AddressNotice::Conflict { mac, here } if kept => {
                resource.conflicts(ground.now, mac, here);
                let address = ground.config.resource(id).address.as_ref();
                if resource.defend(ground.now, out)
                    && let Some(address) = address
                {
                    out.emit(Event::AddressConflict { group, address: address.to_string(), mac });
                }
            }
            AddressNotice::Appeared
            | AddressNotice::Removed
            | AddressNotice::LinkUp
            | AddressNotice::Conflict { .. } => {}
        }
    }

    /// Tell of all its addresses again: neighbours may have learnt another holder meanwhile.
    pub(in crate::cluster) fn announce(&mut self, ground: &Ground<'_>, out: &mut Outbox) {
        for resource in &mut self.resources {
            if resource.doing == Doing::Started
                && ground.config.resource(resource.id).address.is_some()
            {
                resource.announce_now(ground.now, out);
            }
        }
    }
}
