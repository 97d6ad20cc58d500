//! What the core wants of the world: outputs in order, and the requests that wait for their one answer.

use std::collections::{BTreeMap, VecDeque};

use super::counts::Counts;
use super::event::Event;
use super::io::{OpId, Output};
use super::time::Instant;
use crate::agent::Action;
use crate::config::ResourceId;

/// What a request was about, kept until its answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// A ping node, by place in the configuration, and when.
    Ping { target: usize, at: Instant },
    /// An address of a group.
    Probe { resource: ResourceId },
    /// An agent's action.
    Agent { resource: ResourceId, action: Action },
    /// A renewal.
    Renew { resource: ResourceId },
    /// A removal.
    Drop { resource: ResourceId },
}

/// Queue of outputs and table of open requests.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Output>,
    pushed: u64,
    next_op: u64,
    asked: BTreeMap<OpId, Asked>,
    counts: Counts,
}

impl Outbox {
    /// Queue an output that has no answer.
    pub(super) fn push(&mut self, output: Output) {
        self.pushed += 1;
        self.queue.push_back(output);
    }

    /// Queue an event, and count it.
    pub(super) fn emit(&mut self, event: Event) {
        self.counts.note(&event);
        self.push(Output::Emit(event));
    }

    /// What was told of so far.
    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Queue a request, made with its fresh id.
    pub(super) fn ask(&mut self, asked: Asked, output: impl FnOnce(OpId) -> Output) -> OpId {
        self.next_op += 1;
        let op = OpId(self.next_op);
        self.asked.insert(op, asked);
        self.push(output(op));
        op
    }

    /// The request that this answers. `None`: unknown or already answered, so it changes nothing.
    pub(super) fn answered(&mut self, op: OpId) -> Option<Asked> {
        self.asked.remove(&op)
    }

    /// The next output.
    pub(super) fn poll(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    /// How many outputs there were, in all.
    pub(super) fn total(&self) -> u64 {
        self.pushed
    }

    /// Whether all outputs were taken.
    pub(super) fn is_drained(&self) -> bool {
        self.queue.is_empty()
    }
}
