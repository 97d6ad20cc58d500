//! The state of the screen, made of what daemons say, what a client sees and what was done. Pure: time comes in.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::boxes::Body;
use super::caption::{Caption, Told, caption};
use super::lane::{Lane, Passage};
use super::lines::Words;
use super::poll::Sighting;
use super::strip::Strip;
use crate::cluster::event::Level;
use crate::cluster::snapshot::{NodeView, Snapshot};
use crate::control::Record;

/// Events that are kept: more than any screen has lines.
const KEPT: usize = 300;

/// History is stamped in milliseconds, by the wall clock: what was written right at a fault may seem earlier.
const STAMP_ERROR_MS: u64 = 2;

/// Everything that the screen shows.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// Top left.
    pub title: String,
    /// Top right.
    pub facts: Words,
    /// What keys do, for the last line.
    pub keys: Vec<Key>,
    /// Where the clients are, if the screen shows that.
    pub service: Option<ServiceNetwork>,
    /// What is not as it should be.
    pub notes: Vec<Words>,
    pub(super) nodes: Vec<Node>,
    pub(super) tracks: Vec<Track>,
    pub(super) strip: Option<Strip>,
    pub(super) incident: Option<Incident>,
    /// Why the last thing that was to be done was not.
    pub(super) failure: Option<String>,
    /// The incident before, for as long as it is not known whether the newest one came about.
    before: Option<(Incident, Strip)>,
    pub(super) told: VecDeque<Entry>,
}

/// A key and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub key: char,
    /// What it does, in a word.
    pub word: &'static str,
}

/// The network on which clients ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceNetwork {
    /// Its name.
    pub name: String,
    /// Who is on it besides the nodes.
    pub others: Vec<String>,
}

/// Something that was done to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// The key for it.
    pub key: char,
    /// What was done.
    pub text: String,
    /// When, by the screen's clock.
    pub at: Duration,
    /// When, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
}

/// A node.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub(super) name: String,
    /// What its own daemon said last; `None`: it is not asked, or does not answer.
    pub(super) own: Option<Snapshot>,
    /// Its daemon was asked and did not answer.
    pub(super) silent: bool,
    /// What is known of it without its daemon.
    pub(super) body: Option<Body>,
}

/// A record, and whose history it stands in.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) node: String,
    pub(super) record: Record,
}

/// A link between the first node and another.
#[derive(Debug, Clone)]
pub(super) struct Track {
    /// The other node.
    pub(super) peer: usize,
    pub(super) link: String,
    /// From the first node.
    pub(super) there: Lane,
    /// To the first node.
    pub(super) back: Lane,
}

impl Track {
    pub(super) fn works(&self) -> bool {
        self.there.passage == Passage::Works && self.back.passage == Passage::Works
    }

    /// As one of its ends sees it: the other end, the lane towards this end, the lane away from it.
    fn seen_from(&mut self, me: usize) -> Option<(usize, &mut Lane, &mut Lane)> {
        if me == 0 {
            return Some((self.peer, &mut self.back, &mut self.there));
        }
        (me == self.peer).then_some((0, &mut self.there, &mut self.back))
    }
}

impl Model {
    /// A screen on which these nodes are known beforehand, the first one on the left.
    #[must_use]
    pub fn of_nodes<'a>(names: impl IntoIterator<Item = &'a str>, links: &[&str]) -> Self {
        let mut model = Self::default();
        model.know(names.into_iter().map(str::to_owned));
        model.know_links(links.iter().map(|link| (*link).to_owned()));
        model
    }

    /// What a poller saw of a node's daemon.
    pub fn saw(&mut self, sighting: Sighting) {
        let Sighting { node, at, seen, fresh } = sighting;
        self.tell(&node, fresh);
        match seen {
            Ok(status) => self.look(at, &node, status.snapshot),
            Err(_) => self.lose_sight(&node),
        }
    }

    /// What is known of a node without its daemon.
    pub fn know_body(&mut self, node: &str, body: Body) {
        if let Some(node) = self.nodes.iter_mut().find(|known| known.name == node) {
            node.body = Some(body);
        }
    }

    /// A client sent a request.
    pub fn asked(&mut self, at: Duration) {
        self.strip.get_or_insert_default().asked(at);
    }

    /// A request of the client ended: the node that answered, if any did.
    pub fn ended(&mut self, at: Duration, by: Option<&str>) {
        let by = by.and_then(|name| self.seat(name));
        let strip = self.strip.get_or_insert_default();
        match by {
            Some(node) => strip.answered(at, node),
            None => strip.failed(at),
        }
    }

    /// Something is being done: what happens from now on is its consequence.
    pub fn begin(&mut self, incident: Incident) {
        let before = self.incident.take().zip(self.strip.clone());
        if let Some(strip) = &mut self.strip {
            strip.fault(incident.at);
        }
        (self.incident, self.failure, self.before) = (Some(incident), None, before);
    }

    /// It was not done after all: the incident before it is still the newest.
    pub fn fail(&mut self, why: String) {
        self.failure = Some(why);
        self.incident = self.before.take().map(|(incident, account)| {
            if let Some(strip) = &mut self.strip {
                strip.resume(&account);
            }
            incident
        });
    }

    /// What was done exactly, and when (by the screen's clock, and in milliseconds since the Unix epoch), now that it is
    /// known.
    pub fn correct(&mut self, when: Option<(Duration, u64)>, text: String) {
        self.before = None;
        if let Some(incident) = &mut self.incident {
            incident.text = text;
            if let Some((at, unix_ms)) = when {
                (incident.at, incident.unix_ms) = (at, unix_ms);
            }
        }
    }

    /// What the newest incident came to, as far as is known.
    #[must_use]
    pub fn caption(&self, now: Duration) -> Option<Caption> {
        let incident = self.incident.as_ref()?;
        let since = incident.unix_ms.saturating_sub(STAMP_ERROR_MS);
        let since_then = self.told.iter().filter(|entry| entry.record.unix_ms >= since);
        let told: Vec<Told<'_>> = since_then
            .map(|entry| Told { node: &entry.node, event: &entry.record.event })
            .collect();
        Some(caption(&told, self.strip.as_ref().and_then(|strip| strip.saw(now))))
    }

    pub(super) fn seat(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == name)
    }

    /// What others say of a node: the first one that is asked, and is not that node itself.
    pub(super) fn view_of(&self, name: &str) -> Option<(&Snapshot, &NodeView)> {
        let others = self.nodes.iter().filter(|node| node.name != name);
        others.filter_map(|node| node.own.as_ref()).find_map(|snapshot| {
            let view = snapshot.nodes.iter().find(|view| view.name == name)?;
            Some((snapshot, view))
        })
    }

    fn know(&mut self, names: impl IntoIterator<Item = String>) {
        for name in names {
            if self.seat(&name).is_none() {
                self.nodes.push(Node { name, ..Node::default() });
            }
        }
    }

    fn know_links(&mut self, links: impl IntoIterator<Item = String>) {
        for link in links {
            for peer in 1..self.nodes.len() {
                if self.tracks.iter().any(|track| track.peer == peer && track.link == link) {
                    continue;
                }
                let link = link.clone();
                self.tracks.push(Track {
                    peer,
                    link,
                    there: Lane::default(),
                    back: Lane::default(),
                });
            }
        }
    }

    fn tell(&mut self, node: &str, fresh: Vec<Record>) {
        let loud = fresh.into_iter().filter(|record| record.event.level() > Level::Debug);
        self.told.extend(loud.map(|record| Entry { node: node.to_owned(), record }));
        // Nodes are asked in turn: their histories are laid into one another.
        self.told.make_contiguous().sort_by_key(|told| told.record.unix_ms);
        let surplus = self.told.len().saturating_sub(KEPT);
        self.told.drain(..surplus);
    }

    /// This node's daemon said this: what it hears on its lanes, and what it knows of those whose daemons are not asked.
    fn look(&mut self, at: Duration, name: &str, snapshot: Snapshot) {
        // The node that is asked comes first.
        self.know([name.to_owned()]);
        self.know(snapshot.nodes.iter().map(|node| node.name.clone()));
        self.know_links(snapshot.links.iter().map(|(link, _)| link.clone()));
        let Some(me) = self.seat(name) else { return };
        let asked: Vec<bool> = self.nodes.iter().map(|node| node.own.is_some()).collect();
        let views: BTreeMap<&str, &NodeView> =
            snapshot.nodes.iter().map(|view| (view.name.as_str(), view)).collect();
        let names: Vec<String> = self.nodes.iter().map(|node| node.name.clone()).collect();
        for track in &mut self.tracks {
            let name = track.link.clone();
            let Some((other, inward, outward)) = track.seen_from(me) else { continue };
            let view = names.get(other).and_then(|name| views.get(name.as_str()));
            let link = view
                .and_then(|view| view.peer.as_ref()?.links.iter().find(|link| link.name == name));
            let passage = |passes: bool| if passes { Passage::Works } else { Passage::Broken };
            match link {
                Some(link) => {
                    inward.counted(at, link.heartbeats);
                    inward.passage = passage(link.heard);
                }
                None => inward.passage = Passage::Broken,
            }
            if asked.get(other) != Some(&true) {
                outward.passage = link.map_or(Passage::Broken, |link| passage(link.hears));
            }
        }
        if let Some(node) = self.nodes.get_mut(me) {
            node.own = Some(snapshot);
            node.silent = false;
        }
    }

    fn lose_sight(&mut self, name: &str) {
        let Some(me) = self.seat(name) else { return };
        let Some(node) = self.nodes.get_mut(me) else { return };
        node.silent = true;
        // From now on others tell of it, if anybody does.
        if node.own.take().is_none() {
            return;
        }
        let asked: Vec<bool> = self.nodes.iter().map(|node| node.own.is_some()).collect();
        for track in &mut self.tracks {
            let Some((other, inward, outward)) = track.seen_from(me) else { continue };
            inward.lose_sight();
            if asked.get(other) != Some(&true) {
                outward.lose_sight();
            }
        }
    }
}
