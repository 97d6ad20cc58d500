//! The one loop: take one thing in, hand it to the core, carry out what the core asks for, sleep until its deadline.
//!
//! What peers sent is read before time is told to pass: a daemon that stood still must not take its own silence for
//! theirs (P5). Every source has its bound of work for each turn, so that a flood of one starves no other.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::address::{Addresses, Finding};
use super::clock::{Alarm, Clock};
use super::exec::Executor;
use super::icmp::Pinger;
use super::link::{Datagram, Links};
use super::log::Log;
use super::metrics::{Ask, Metrics};
use super::netlink::{News, Watcher};
use super::notify::{self, Notifier};
use super::reload::{Asker, Files, Reading, Reloader};
use super::store::Store;
use super::survey::answer::{Reply, Responder};
use super::{RunError, realtime, system};
use crate::agent::Agents;
use crate::cluster::Node;
use crate::cluster::io::{Destination, Input, LinkState};
use crate::config::{Config, LinkId};
use crate::control::{Answer, Call, DaemonFacts, KeyIds, Request, Server, Status, rfc3339};
use crate::wire::{Incarnation, Keys, is_survey};

/// Datagrams that are read in one go.
const BATCH: usize = 64;
/// Batches that are read before time may pass.
const BATCHES: usize = 8;
/// How long the last lines may take to reach the disk when the daemon ends.
const LAST_WRITES: Duration = Duration::from_secs(2);
/// How often links that wait are tried again, beside every news of interfaces and addresses.
const RETRY: Duration = Duration::from_secs(1);
/// How often links are looked after while none waits: news may be lost, and sockets for peers may be missing.
const LOOK_AFTER: Duration = Duration::from_secs(10);

/// What the loop is made of.
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) keys: Keys,
    /// Where both came from.
    pub(super) files: Files,
    pub(super) agents: Agents,
    pub(super) program: PathBuf,
    pub(super) clock: Clock,
    pub(super) log: Log,
    pub(super) server: Server,
}

/// The daemon.
pub(super) struct EventLoop {
    pub(super) config: Config,
    pub(super) keys: Keys,
    pub(super) agents: Agents,
    pub(super) program: PathBuf,
    pub(super) clock: Clock,
    pub(super) log: Log,
    pub(super) server: Server,
    pub(super) node: Node,
    incarnation: Incarnation,
    pub(super) inbox: VecDeque<Input>,
    pub(super) links: Links,
    pub(super) pinger: Pinger,
    pub(super) addresses: Addresses,
    pub(super) executor: Executor,
    pub(super) store: Store,
    pub(super) notifier: Notifier,
    pub(super) exiting: bool,
    responder: Responder,
    /// Something happened since the service manager was told how things are.
    pub(super) news_untold: bool,
    watcher: Watcher,
    alarm: Alarm,
    reloader: Reloader,
    metrics: Metrics,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    realtime: realtime::Report,
    next_retry: crate::cluster::time::Instant,
    waiting: BTreeSet<LinkId>,
}

/// What ended a sleep.
enum Wake {
    Datagrams,
    Deadline,
    Input(Input),
    Call(Call),
    News(News),
    HangUp,
    Reading(Box<Reading>),
    Scrape(Ask),
}

impl EventLoop {
    pub(super) fn new(parts: Parts, state: &Path) -> Result<Self, RunError> {
        let Parts { config, keys, files, agents, program, clock, log, server } = parts;
        let opened = Store::open(state, clock)?;
        for complaint in &opened.complaints {
            tracing::warn!("{complaint}");
        }
        let executor = Executor::new(move || clock.now())?;
        let notifier = Notifier::from_env().unwrap_or_else(|error| {
            tracing::warn!("{error}");
            Notifier::default()
        });
        let (incarnation, seed) = (Incarnation(getrandom::u64()?.max(1)), getrandom::u64()?);
        let catch = |kind| signal(kind).map_err(system("cannot catch signals"));
        let mut event_loop = Self {
            node: Node::new(config.clone(), incarnation, seed, clock.now()),
            inbox: VecDeque::from([Input::Restored(opened.memory)]),
            links: Links::open(&config)?,
            incarnation,
            pinger: Pinger::new()?,
            addresses: Addresses::new()?,
            executor,
            store: opened.store,
            notifier,
            exiting: false,
            responder: Responder::new(incarnation),
            news_untold: true,
            watcher: Watcher::open()?,
            alarm: Alarm::new(clock).map_err(system("cannot make a timer"))?,
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
            hang_up: catch(SignalKind::hangup())?,
            reloader: Reloader::new(files),
            metrics: Metrics::start(config.metrics, clock).map_err(RunError::Metrics)?,
            // The last thing: threads that were started before stay as they are, and so do the agents they start.
            realtime: realtime::raise(),
            next_retry: clock.now() + RETRY,
            waiting: BTreeSet::new(),
            config,
            keys,
            agents,
            program,
            clock,
            log,
            server,
        };
        tracing::info!("{}", event_loop.realtime);
        let config = &event_loop.config;
        event_loop.addresses.watch(
            config
                .group_ids()
                .flat_map(|group| config.resource_ids(group))
                .filter_map(|id| Some((id, config.resource(id).address.as_ref()?.ip))),
        );
        event_loop.tell_macs();
        Ok(event_loop)
    }

    pub(super) async fn run(mut self) -> Result<(), RunError> {
        self.drain_outputs();
        self.report("service manager", |notifier| notifier.ready());
        while !self.exiting {
            self.turn();
            if self.exiting {
                break;
            }
            self.tell_summary();
            match self.sleep().await? {
                Wake::Datagrams | Wake::Deadline => {}
                Wake::Input(input) => self.inbox.push_back(input),
                Wake::Call(call) => self.call(call),
                Wake::News(news) => self.news(&news),
                Wake::HangUp => self.reloader.ask(Asker::Signal),
                Wake::Reading(reading) => self.reload(*reading),
                // A scrape that is over by now misses nothing.
                Wake::Scrape(ask) => drop(ask.send(self.status())),
            }
        }
        self.report("service manager", |notifier| notifier.stopping());
        if let Err(error) = self.store.close(LAST_WRITES).await {
            tracing::warn!("what was to be kept is not all on disk: {error}");
        }
        Ok(())
    }

    /// Everything that can be done without waiting.
    fn turn(&mut self) {
        self.drain_inbox();
        for _ in 0..BATCHES {
            let batch = self.links.receive(BATCH);
            let more = batch.len() == BATCH;
            let wall_us = self.clock.unix_us();
            for datagram in batch {
                if is_survey(&datagram.bytes) {
                    self.answer_survey(&datagram, wall_us);
                    continue;
                }
                let (link, source) = (datagram.link, datagram.source);
                let me = self.incarnation;
                let input = datagram.into_input(&self.config, me, &self.keys, wall_us);
                if let Some(Input::Received { from, .. }) = &input {
                    self.links.came_from(link, *from, source);
                }
                if let Some(input) = input {
                    self.hand_in(input);
                }
            }
            if !more {
                break;
            }
        }
        let now = self.clock.now();
        if now >= self.next_retry {
            self.next_retry = now + if self.waiting.is_empty() { LOOK_AFTER } else { RETRY };
            self.links.retry();
        }
        for (link, state) in self.links.changes() {
            match state {
                LinkState::Up => self.waiting.remove(&link),
                LinkState::Waiting(_) => self.waiting.insert(link),
            };
            self.inbox.push_back(Input::LinkChanged { link, state });
        }
        if !self.waiting.is_empty() {
            self.next_retry = self.next_retry.min(now + RETRY);
        }
        let pings = self
            .pinger
            .expire(now)
            .into_iter()
            .map(|(op, outcome)| Input::PingFinished { op, outcome });
        self.inbox.extend(pings);
        let probes = self
            .addresses
            .expire(now)
            .into_iter()
            .map(|(op, outcome)| Input::ProbeFinished { op, outcome });
        self.inbox.extend(probes);
        self.drain_inbox();
        if self.node.poll_timeout().is_some_and(|(at, _)| at <= self.clock.now()) {
            self.node.handle_timeout(self.clock.now());
            self.drain_outputs();
            self.drain_inbox();
        }
    }

    /// A node on which `check --peer` looks round asks what is heard of it. The core has no part in that.
    fn answer_survey(&mut self, datagram: &Datagram, wall_us: u64) {
        let now = self.clock.now();
        match self.responder.reply(now, wall_us, datagram, &self.config, &self.keys) {
            Reply::Send(node, answer) => {
                for link in self.config.link_ids() {
                    self.links.send(link, Destination::Node(node), &answer);
                }
            }
            Reply::Refused(input) => self.hand_in(input),
            Reply::Silence => {}
        }
    }

    fn drain_inbox(&mut self) {
        while let Some(input) = self.inbox.pop_front() {
            self.hand_in(input);
        }
    }

    fn hand_in(&mut self, input: Input) {
        self.node.handle_input(self.clock.now(), input);
        self.drain_outputs();
    }

    fn drain_outputs(&mut self) {
        while let Some(output) = self.node.poll_output() {
            self.carry_out(output);
        }
    }

    async fn sleep(&mut self) -> Result<Wake, RunError> {
        let core = self.node.poll_timeout().map(|(at, _)| at);
        let deadlines =
            [core, self.pinger.deadline(), self.addresses.deadline(), Some(self.next_retry)];
        let next = deadlines.into_iter().flatten().min().unwrap_or(self.next_retry);
        let wake = tokio::select! {
            ready = self.links.ready() => {
                ready.map_err(system("the event loop is gone"))?;
                Wake::Datagrams
            }
            timer = self.alarm.until(next) => {
                timer.map_err(system("the timer failed"))?;
                Wake::Deadline
            }
            (op, outcome) = self.pinger.next() => Wake::Input(Input::PingFinished { op, outcome }),
            finding = self.addresses.next() => Wake::Input(match finding {
                Finding::Probed(op, outcome) => Input::ProbeFinished { op, outcome },
                Finding::Noticed(resource, notice) => Input::AddressNoticed { resource, notice },
            }),
            (op, outcome) = self.executor.next() => Wake::Input(Input::AgentFinished { op, outcome }),
            input = self.store.next() => Wake::Input(input),
            call = self.server.next() => Wake::Call(call),
            news = self.watcher.next() => Wake::News(news?),
            _ = self.terminate.recv() => Wake::Input(Input::Shutdown),
            _ = self.interrupt.recv() => Wake::Input(Input::Shutdown),
            _ = self.hang_up.recv() => Wake::HangUp,
            ask = self.metrics.next() => Wake::Scrape(ask),
            reading = self.reloader.next() => Wake::Reading(Box::new(reading)),
        };
        Ok(wake)
    }

    fn news(&mut self, news: &News) {
        let notices = self.addresses.handle_news(news);
        let notices = notices
            .into_iter()
            .map(|(resource, notice)| Input::AddressNoticed { resource, notice });
        self.inbox.extend(notices);
        match news {
            News::Link(_) | News::LinkGone { .. } | News::LookAgain => {
                self.links.retry();
                self.tell_macs();
            }
            // A renewed lease is such news too, and no link waits for it.
            News::AddressAdded { .. } if self.waiting.is_empty() => {}
            News::AddressAdded { .. } | News::AddressRemoved { .. } => self.links.retry(),
        }
    }

    fn tell_macs(&mut self) {
        let resources = self.config.groups.iter().flat_map(|group| &group.resources);
        let addresses = resources.filter_map(|resource| resource.address.as_ref());
        match self.addresses.own_macs(addresses) {
            Ok(macs) => self.inbox.push_back(Input::OwnMacs(macs)),
            Err(error) => {
                tracing::warn!("the hardware addresses of this machine are not known: {error}");
            }
        }
    }

    fn call(&mut self, call: Call) {
        let Call { client, author, request } = call;
        match request {
            Request::Status => {
                let status = self.status();
                self.server.answer(client, Answer::Status(Box::new(status)));
            }
            Request::History { limit } => {
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                self.server.answer(client, Answer::History(self.store.history(limit)));
            }
            Request::Reload => self.reloader.ask(Asker::Client(client, author)),
            Request::Command(command) => {
                let unix_ms = self.clock.unix_ms();
                self.inbox.push_back(Input::Command { client, author, unix_ms, command });
            }
        }
    }

    fn status(&self) -> Status {
        let accepted = self.keys.ids().collect();
        let drops = self.links.drops();
        Status {
            snapshot: self.node.snapshot(self.clock.now()),
            daemon: DaemonFacts {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: std::process::id(),
                realtime: self.realtime.shortcomings(),
                kernel_drops: drops.peers,
                keys: KeyIds { sending: self.keys.sending_id(), accepted },
                time: rfc3339(self.clock.unix_ms()),
            },
        }
    }

    /// Once a turn, however much happened in it.
    fn tell_summary(&mut self) {
        if std::mem::take(&mut self.news_untold) && self.notifier.is_heard() {
            let line = notify::summary(&self.node.snapshot(self.clock.now()));
            self.report("service manager", |notifier| notifier.status(&line));
        }
    }

    /// Tells the service manager something; its silence is worth a line, no more.
    pub(super) fn report(&self, whom: &str, tell: impl FnOnce(&Notifier) -> std::io::Result<()>) {
        if let Err(error) = tell(&self.notifier) {
            tracing::warn!("the {whom} could not be told: {error}");
        }
    }
}
