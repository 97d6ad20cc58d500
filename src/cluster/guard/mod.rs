//! What stands between a silent peer and split brain: `ping` and `arp`, and the operator's word.
//!
//! It owns the only way to a `Proof`, and with it to a `Permit` to start a group; and, for a holder, the moment at
//! which a peer may act. It starts nothing and stops nothing itself. Driven by the node, after each input.

mod arp;
mod evidence;
mod ping;
mod proof;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

pub use evidence::{Doubt, Evidence, GuardLevel};
pub(super) use ping::{PingGuard, Target as PingTarget};
pub(super) use proof::{Permit, Proof};

use super::io::{Output, PingOutcome, ProbeOutcome};
use super::outbox::{Asked, Outbox};
use super::peer::{Peer, Standing};
use super::time::Instant;
use crate::config::{Config, GroupId, NodeId, ResourceId, Section};
use crate::wire::{Mac, Run, Term};
use arp::Probes;

/// The guard of one node.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) ping: PingGuard,
    arp: bool,
    probes: BTreeMap<ResourceId, Probes>,
    /// When this daemon last stood still for long.
    resumed: Option<Instant>,
    deadtime: Duration,
    stop_budget: Duration,
    probe_interval: Duration,
}

impl Guard {
    pub(super) fn new(config: &Config) -> Self {
        let timing = config.timing;
        let ping = PingGuard::new(&config.guard.ping, &timing);
        let addresses = config.group_ids().flat_map(|group| config.resource_ids(group));
        let probes = addresses
            .filter(|id| config.resource(*id).address.is_some())
            .map(|id| (id, Probes::default()));
        Self {
            ping,
            arp: config.guard.arp,
            probes: probes.collect(),
            resumed: None,
            deadtime: timing.deadtime,
            stop_budget: timing.stop_budget(),
            // Four of them fit between late and lost, so that three are silent when the time comes.
            probe_interval: ((timing.deadtime - timing.warntime) / 4).max(Duration::from_millis(1)),
        }
    }

    /// Whether a guard was asked for.
    pub(super) fn is_on(&self) -> bool {
        self.arp || self.ping.is_on()
    }

    /// This daemon stood still: what it saw before says nothing about the time between (P5).
    pub(super) fn paused(&mut self, now: Instant) {
        self.resumed = Some(now);
        self.probes.values_mut().for_each(Probes::forget);
    }

    /// What this node may promise for a group, and why that is less than what is asked for.
    pub(super) fn level(&self, config: &Config, group: GroupId) -> (GuardLevel, Option<String>) {
        let group = config.group(group);
        let unaddressed = group.resources.iter().all(|resource| resource.address.is_none());
        let ping = self.ping.is_on();
        match (ping, self.arp) {
            (false, false) => (GuardLevel::None, None),
            (true, _) | (_, true) if unaddressed => (
                GuardLevel::None,
                Some(format!(
                    "it has no address, and its agents may need longer to stop than the guard allows ({} ms)",
                    self.stop_budget.as_millis()
                )),
            ),
            (true, false) => (GuardLevel::Ping, None),
            (false, true) => (GuardLevel::Arp, None),
            (true, true) => (GuardLevel::PingArp, None),
        }
    }

    /// Ask again for each wanted address. `wanted`: those of groups that a silent peer may hold and this node might take.
    /// `nodes`: the hardware addresses of the other nodes.
    pub(super) fn probe(
        &mut self,
        now: Instant,
        config: &Config,
        wanted: &dyn Fn(GroupId) -> bool,
        nodes: &[Mac],
        out: &mut Outbox,
    ) {
        let interval = self.probe_interval;
        for (id, probes) in &mut self.probes {
            if !wanted(id.group) {
                if !probes.is_fresh() {
                    probes.forget();
                }
                continue;
            }
            let Some(address) = &config.resource(*id).address else { continue };
            if probes.next(interval).is_some_and(|next| now >= next) {
                let (address, neighbours, deadline) =
                    (address.clone(), config.guard.ping.clone(), now + interval);
                let nodes = nodes.to_vec();
                let op = out.ask(Asked::Probe { resource: *id }, |op| Output::Probe {
                    op,
                    address,
                    neighbours,
                    nodes,
                    deadline,
                });
                probes.asked(now, op);
            }
        }
    }

    /// When the next of the wanted addresses is to be asked for.
    pub(super) fn next_probe(&self, wanted: &dyn Fn(GroupId) -> bool) -> Option<Instant> {
        let wanted = self.probes.iter().filter(|(id, _)| wanted(id.group));
        wanted.filter_map(|(_, probes)| probes.next(self.probe_interval)).min()
    }

    /// An address that one of these machines was last heard to answer for.
    pub(super) fn still_answers(&self, config: &Config, macs: &[Mac]) -> Option<IpAddr> {
        let answers = |probes: &Probes| probes.answered_by().is_some_and(|mac| macs.contains(&mac));
        let (id, _) = self.probes.iter().find(|(_, probes)| answers(probes))?;
        config.resource(*id).address.as_ref().map(|address| address.ip)
    }

    /// The answer to a probe.
    pub(super) fn probed(&mut self, now: Instant, resource: ResourceId, outcome: ProbeOutcome) {
        // Without the `arp` guard an address is asked for at the start only, as a courtesy: a witness is not asked for.
        let need_witness = self.arp;
        if let Some(probes) = self.probes.get_mut(&resource) {
            probes.finished(now, outcome, need_witness);
        }
    }

    /// The answer to a ping.
    pub(super) fn pinged(&mut self, target: usize, at: Instant, outcome: PingOutcome) {
        self.ping.finished(target, at, outcome);
    }

    /// Why this peer does not run the group, or why it still may.
    pub(super) fn proof(
        &self,
        now: Instant,
        about: &About<'_>,
        peer: &Peer,
    ) -> Result<Proof, Doubt> {
        let lasting = now + self.deadtime;
        let proof = |evidence, until| Proof { peer: peer.id, evidence, until };
        // Whoever was gone may have come back while this node stood still.
        if peer.is_gone() && self.just_paused(now) {
            return Err(Doubt::JustPaused);
        }
        let dead = matches!(peer.standing, Standing::Dead { .. });
        if peer.is_double(now, self.deadtime) && !dead {
            return Err(Doubt::Namesakes);
        }
        if let Some(section) = Self::differs(about.config, peer).filter(|_| !peer.is_gone()) {
            return Err(Doubt::GuardDiffers { section });
        }
        match &peer.standing {
            Standing::Left => Ok(proof(Evidence::Goodbye, lasting)),
            Standing::Dead { author } => {
                Ok(proof(Evidence::Operator { author: author.clone() }, lasting))
            }
            Standing::Up | Standing::Late => {
                let report = peer.report(about.group);
                if report.is_some_and(|report| report.consent == Some(about.term)) {
                    // It keeps its word for as long as it hears this node, and a deadtime more.
                    let until = peer.keeps_word_until(about.group).ok_or(Doubt::NoConsent)?;
                    return Ok(proof(Evidence::Consent, until));
                }
                let runs = report.is_some_and(|report| match report.run {
                    Run::Starting | Run::Started | Run::Stopping | Run::Blocked => true,
                    Run::Unknown | Run::Stopped | Run::Claiming => false,
                });
                Err(if runs { Doubt::RunsThere } else { Doubt::NoConsent })
            }
            Standing::Lost | Standing::Unknown => {
                let silence = peer.silence(now);
                if silence <= self.deadtime {
                    return Err(Doubt::NotLostYet { silence });
                }
                // What did not stop when it was told to does not stop for a silence either (P6).
                if peer.report(about.group).is_some_and(|report| report.run == Run::Blocked) {
                    return Err(Doubt::StopFailed);
                }
                if peer.bond.may_keep {
                    return Err(Doubt::Maintenance);
                }
                let evidence = self.silence_means_death(now, about, peer, silence)?;
                Ok(proof(evidence, lasting))
            }
        }
    }

    /// What the guard rests on and this peer's configuration says otherwise: nobody gains a right until they agree (P9).
    pub(super) fn differs(config: &Config, peer: &Peer) -> Option<Section> {
        let theirs = peer.said()?.digests?;
        config.digests.differing(theirs).into_iter().find(|section| section.binds())
    }

    fn just_paused(&self, now: Instant) -> bool {
        self.resumed.is_some_and(|resumed| now < resumed + self.deadtime)
    }

    fn silence_means_death(
        &self,
        now: Instant,
        about: &About<'_>,
        peer: &Peer,
        silence: Duration,
    ) -> Result<Evidence, Doubt> {
        if self.just_paused(now) {
            return Err(Doubt::JustPaused);
        }
        if self.ping.is_on() {
            let Some(answers_for) = self.ping.answers_for(now) else {
                return Err(Doubt::PingSilent {
                    silence: self.ping.newest().map(|(_, at)| now - at),
                });
            };
            if answers_for < self.deadtime {
                return Err(Doubt::PingTooNew { answers_for });
            }
        }
        // A peer that was never heard may have run for long: its address is asked for at every level.
        let mut silent_probes = 0;
        if self.arp || peer.standing == Standing::Unknown || about.yielded {
            silent_probes = self.addresses_are_silent(now, about)?;
        }
        if !self.ping.is_on() && !self.arp {
            return Ok(Evidence::Unguarded { silence });
        }
        let ping = self.ping.newest().map(|(target, at)| (target, now - at));
        Ok(Evidence::Guard { silence, ping, silent_probes })
    }

    /// Whether somebody else has an address of the group: a right that rests on silent probes ends with that.
    pub(super) fn address_answers(&self, now: Instant, about: &About<'_>) -> bool {
        let answers = self.addresses_are_silent(now, about).is_err_and(|doubt| {
            matches!(doubt, Doubt::AddressAnswers { .. } | Doubt::AddressConflict { .. })
        });
        self.arp && answers
    }

    fn addresses_are_silent(&self, now: Instant, about: &About<'_>) -> Result<u32, Doubt> {
        let mut fewest = u32::MAX;
        for (id, probes) in self.probes.iter().filter(|(id, _)| id.group == about.group) {
            let Some(address) = &about.config.resource(*id).address else { continue };
            let silent = probes.verdict(
                now,
                self.probe_interval * 2,
                (self.ping.holds_on() + self.stop_budget, about.yielded),
                &address.ip.to_string(),
                about.known_mac,
            )?;
            fewest = fewest.min(silent);
        }
        Ok(if fewest == u32::MAX { 0 } else { fewest })
    }

    /// The right to start a group: a proof for every other node, or what is missing.
    pub(super) fn permit<'a>(
        &self,
        now: Instant,
        about: &About<'_>,
        peers: impl Iterator<Item = &'a Peer>,
    ) -> Result<(Permit, Vec<Proof>), Doubts> {
        let (mut proofs, mut doubts) = (Vec::new(), Vec::new());
        for peer in peers {
            match self.proof(now, about, peer) {
                Ok(proof) => proofs.push(proof),
                Err(doubt) => doubts.push((peer.id, doubt)),
            }
        }
        let permit = Permit::from_proofs(
            about.group,
            about.term,
            about.config.peers(),
            &proofs,
            now + self.deadtime,
        );
        match permit {
            Some(permit) if permit.until() > now => Ok((permit, proofs)),
            Some(_) | None => Err(doubts),
        }
    }

    /// Until when this node may go on holding what it holds if it hears nothing more. `None`: without a bound.
    ///
    /// A peer that hears nothing either takes over a deadtime after its own last round trip. Each heartbeat says which
    /// of its predecessors arrived, so a bound of that moment is known, whatever was lost. Before it this node lets go,
    /// unless a ping node shows that it is not the one that is cut off.
    pub(super) fn holds_until<'a>(&self, peers: impl Iterator<Item = &'a Peer>) -> Option<Instant> {
        if !self.ping.is_on() {
            return None;
        }
        let peers_wait = self.peers_wait(peers)?;
        Some(self.ping.counts_until().map_or(peers_wait, |ping| ping.max(peers_wait)))
    }

    /// Before this moment no peer acts, whatever else it sees. `None`: there is none that could.
    pub(super) fn peers_wait<'a>(&self, peers: impl Iterator<Item = &'a Peer>) -> Option<Instant> {
        let peers = peers.filter(|peer| !peer.is_gone());
        let waits = peers.map(|peer| peer.waits_until().unwrap_or(Instant::ZERO)).min()?;
        Some(waits.saturating_sub(self.stop_budget))
    }
}

/// Who may still run a group, and why.
pub(super) type Doubts = Vec<(NodeId, Doubt)>;

/// What a proof is about.
pub(super) struct About<'a> {
    pub(super) config: &'a Config,
    pub(super) group: GroupId,
    pub(super) term: Term,
    /// This node let go of its address because another machine has it too.
    pub(super) yielded: bool,
    /// Whether a hardware address is one of the cluster's nodes'.
    pub(super) known_mac: &'a dyn Fn(Mac) -> bool,
}
