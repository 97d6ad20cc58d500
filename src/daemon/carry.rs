//! What the core asks for, done. Nothing here waits, and nothing here decides.

use super::event_loop::EventLoop;
use crate::agent::{Call, Outcome, STATE_DIR};
use crate::cluster::io::{Destination, Input, OpId, Output, RenewOutcome};
use crate::cluster::time::Instant;
use crate::config::{Address, LinkId, ResourceId};
use crate::control::{Answer, Record};
use crate::daemon::address::NotCounted;
use crate::daemon::exec::Request;
use crate::wire::{self, Heartbeat};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// The answer to a request that should not have been made: every request has one.
const NO_ADDRESS: &str = "the resource has no address";

impl EventLoop {
    pub(super) fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send { link, to, heartbeat } => self.send(link, to, &heartbeat),
            Output::Ping { op, target, deadline } => self.pinger.ping(op, target, deadline),
            Output::Probe { op, address, neighbours, nodes, deadline } => {
                let not_counted = NotCounted { ips: &self.node_addresses(), macs: &nodes };
                self.addresses.probe(op, &address, &neighbours, not_counted, deadline);
            }
            run @ Output::RunAgent { .. } => self.run_agent(run),
            Output::KillAgent { op } => self.executor.kill(op),
            Output::RenewAddress { op, resource, lease, not_after } => {
                self.renew(op, resource, lease, not_after);
            }
            Output::DropAddress { op, resource } => self.drop_address(op, resource),
            Output::Announce { resource } => {
                if let Some(address) = self.address_of(resource)
                    && let Err(error) = self.addresses.announce(&address)
                {
                    tracing::warn!("{address} could not be announced: {error}");
                }
            }
            Output::Reply { client, response } => {
                self.server.answer(client, Answer::Command(response));
            }
            Output::Emit(event) => {
                self.log.event(&event);
                self.news_untold = true;
                self.store.append(Record::new(self.clock.unix_ms(), event));
            }
            Output::Remember { number, memory } => self.store.remember(number, memory),
            Output::Exit => self.exiting = true,
        }
    }

    fn send(&mut self, link: LinkId, to: Destination, heartbeat: &Heartbeat) {
        let cluster = self.config.cluster_tag();
        match wire::seal(heartbeat, self.clock.unix_us(), &self.keys, cluster) {
            Ok(datagram) => self.links.send(link, to, &datagram),
            Err(error) => tracing::error!("a heartbeat could not be written: {error}"),
        }
    }

    /// Addresses of the nodes, as far as the configuration has them.
    fn node_addresses(&self) -> Vec<IpAddr> {
        let config = &self.config;
        let links = config.links.iter();
        links
            .flat_map(|link| config.node_ids().filter_map(|id| link.transport.address(id)))
            .collect()
    }

    fn address_of(&self, resource: ResourceId) -> Option<Address> {
        self.config.resource(resource).address.clone()
    }

    fn run_agent(&mut self, output: Output) {
        let Output::RunAgent { op, resource, action, timeout, not_after, term, lease } = output
        else {
            return;
        };
        let spec = self.config.resource(resource);
        let path = match self.agents.find(&spec.agent) {
            Ok(path) => path,
            Err(error) => {
                let outcome = Outcome::CannotExecute(error.to_string());
                self.inbox.push_back(Input::AgentFinished { op, outcome });
                return;
            }
        };
        if action == crate::agent::Action::Stop && spec.address.is_some() {
            self.addresses.release(resource);
        }
        let call = Call {
            group: &self.config.group(resource.group).name,
            resource: spec,
            action,
            timeout,
            term,
            lease,
            not_after: not_after.map(|at| Duration::from_micros(self.clock.boottime_us(at))),
            state_dir: Path::new(STATE_DIR),
            program: &self.program,
        };
        let environment = call.environment();
        self.executor.run(Request { op, path, action, environment, timeout, not_after });
    }

    fn renew(
        &mut self,
        op: OpId,
        resource: ResourceId,
        lease: Option<Duration>,
        not_after: Instant,
    ) {
        let clock = self.clock;
        let outcome = match self.address_of(resource) {
            Some(address) => {
                self.addresses.renew(resource, &address, lease, not_after, move || clock.now())
            }
            None => RenewOutcome::Failed(NO_ADDRESS.to_owned()),
        };
        self.inbox.push_back(Input::AddressRenewed { op, outcome });
    }

    fn drop_address(&mut self, op: OpId, resource: ResourceId) {
        let error = match self.address_of(resource) {
            Some(address) => {
                self.addresses.drop_now(resource, &address).err().map(|error| error.to_string())
            }
            None => Some(NO_ADDRESS.to_owned()),
        };
        self.inbox.push_back(Input::AddressDropped { op, error });
    }
}
