//! The `ping` guard: ping nodes tell a node whether it is itself cut off.
//!
//! A ping node has no memory: it cannot choose between two nodes that both reach it, and no tuning changes that.

use std::net::IpAddr;
use std::time::Duration;

use crate::cluster::io::{Output, PingOutcome};
use crate::cluster::outbox::{Asked, Outbox};
use crate::cluster::time::Instant;
use crate::config::Timing;
use crate::wire::PingSight;

/// One ping node.
#[derive(Debug)]
pub(in crate::cluster) struct Target {
    pub(in crate::cluster) address: IpAddr,
    /// Send time of the newest ping that it answered.
    pub(in crate::cluster) answered: Option<Instant>,
    pub(in crate::cluster) error: Option<String>,
    open: u32,
}

/// What this node sees of its ping nodes: it sees them while any of them answers.
#[derive(Debug)]
pub(in crate::cluster) struct PingGuard {
    pub(in crate::cluster) targets: Vec<Target>,
    /// An answer counts for so long from when it was asked for.
    window: Duration,
    gap: Duration,
    keepalive: Duration,
    asked: Option<Instant>,
    /// Since when answers never were further apart than `gap`.
    answers_since: Option<Instant>,
    /// Since when it answers, or does not.
    since: Instant,
    answered: bool,
    /// It has been without an answer for a deadtime, and not been with for long enough since.
    blind: bool,
    deadtime: Duration,
    /// What was last told about it.
    pub(in crate::cluster) said_answers: Option<bool>,
}

/// A node that had lost its ping node is a good place again after it answered for so many deadtimes: no ping-pong.
const HOLD_DOWN_DEADTIMES: u32 = 5;
/// Pings to one target that may be open at a time: with deadlines of deadtime/2 and a ping every keepalive/4 more would
/// mean that answers do not come.
const OPEN_MOST: u32 = 64;

impl PingGuard {
    pub(in crate::cluster) fn new(addresses: &[IpAddr], timing: &Timing) -> Self {
        let target =
            |address: &IpAddr| Target { address: *address, answered: None, error: None, open: 0 };
        Self {
            targets: addresses.iter().map(target).collect(),
            window: timing.deadtime / 2,
            // One lost ping is no gap.
            gap: (timing.deadtime / 2).max(timing.keepalive * 2),
            keepalive: timing.keepalive,
            asked: None,
            answers_since: None,
            since: Instant::ZERO,
            answered: true,
            blind: false,
            deadtime: timing.deadtime,
            said_answers: None,
        }
    }

    /// Whether this guard was asked for.
    pub(in crate::cluster) fn is_on(&self) -> bool {
        !self.targets.is_empty()
    }

    /// When to ask next: every keepalive; four times as often while a peer is late, or no answer has come yet.
    pub(in crate::cluster) fn next(&self, peers_are_late: bool) -> Option<Instant> {
        if !self.is_on() {
            return None;
        }
        let Some(asked) = self.asked else { return Some(Instant::ZERO) };
        let answered = self.newest().is_some_and(|(_, at)| at >= asked);
        let calm = answered && !peers_are_late;
        Some(asked + if calm { self.keepalive } else { self.keepalive / 4 })
    }

    /// Ask if it is time. A node that is awake for its heartbeat (`next_beat`) asks then, so that it need not wake again.
    pub(in crate::cluster) fn tick(
        &mut self,
        now: Instant,
        peers_are_late: bool,
        next_beat: Instant,
        out: &mut Outbox,
    ) {
        let Some(next) = self.next(peers_are_late) else { return };
        let beside_beat = now >= next_beat && self.asked.is_some_and(|asked| asked < now);
        if now < next && !beside_beat {
            return;
        }
        self.asked = Some(now);
        let deadline = now + self.window;
        for (place, target) in self.targets.iter_mut().enumerate() {
            if target.open < OPEN_MOST {
                target.open += 1;
                let address = target.address;
                out.ask(Asked::Ping { target: place, at: now }, |op| Output::Ping {
                    op,
                    target: address,
                    deadline,
                });
            }
        }
    }

    /// An answer: `at` is when it was asked for.
    pub(in crate::cluster) fn finished(&mut self, place: usize, at: Instant, outcome: PingOutcome) {
        let newest = self.newest();
        let Some(target) = self.targets.get_mut(place) else { return };
        target.open = target.open.saturating_sub(1);
        match outcome {
            PingOutcome::Answered => {
                target.error = None;
                target.answered = target.answered.max(Some(at));
                if newest.is_none_or(|(_, newest)| at - newest > self.gap) {
                    self.answers_since = Some(at);
                }
            }
            PingOutcome::Silent => {}
            PingOutcome::Failed(why) => target.error = Some(why),
        }
    }

    /// The target that answered the newest ping, and when that was sent.
    pub(in crate::cluster) fn newest(&self) -> Option<(IpAddr, Instant)> {
        let answered =
            self.targets.iter().filter_map(|target| Some((target.address, target.answered?)));
        answered.max_by_key(|(_, at)| *at)
    }

    /// Until when the newest answer counts.
    pub(in crate::cluster) fn counts_until(&self) -> Option<Instant> {
        self.newest().map(|(_, at)| at + self.window)
    }

    /// For how long a holder that was cut off from everybody may go on after that.
    pub(in crate::cluster) fn holds_on(&self) -> Duration {
        if self.is_on() { self.window } else { Duration::ZERO }
    }

    /// Whether a ping node answers.
    pub(in crate::cluster) fn answers(&self, now: Instant) -> bool {
        self.counts_until().is_some_and(|until| now <= until)
    }

    /// When it will have answered without a gap for a deadtime, if it goes on.
    pub(in crate::cluster) fn proves_from(&self) -> Option<Instant> {
        self.answers_since.filter(|_| self.is_on()).map(|since| since + self.deadtime)
    }

    /// For how long a ping node has answered without a gap.
    pub(in crate::cluster) fn answers_for(&self, now: Instant) -> Option<Duration> {
        self.answers(now).then(|| self.answers_since.map(|since| now - since))?
    }

    /// Judge for how long it has answered, or has not.
    pub(in crate::cluster) fn judge(&mut self, now: Instant) {
        if !self.is_on() {
            return;
        }
        let answers = self.answers(now);
        if answers != self.answered {
            (self.answered, self.since) = (answers, now);
        }
        if now >= self.next_judgement() {
            self.blind = !answers;
        }
    }

    /// When the present state has lasted for long enough to count.
    fn next_judgement(&self) -> Instant {
        let bound = if self.answered { self.deadtime * HOLD_DOWN_DEADTIMES } else { self.deadtime };
        self.since + bound
    }

    /// When [`judge`](Self::judge) has something to say next, if nothing comes in.
    pub(in crate::cluster) fn judged_next(&self) -> Option<Instant> {
        (self.is_on() && self.blind == self.answered).then(|| self.next_judgement())
    }

    /// What this node says of its ping nodes: all nodes decide on these words, so that all decide alike.
    pub(in crate::cluster) fn sight(&self) -> PingSight {
        match (self.answered, self.blind) {
            (true, false) => PingSight::Answers,
            (false, false) => PingSight::Unanswered,
            (false, true) => PingSight::Silent,
            (true, true) => PingSight::Returning,
        }
    }
}
