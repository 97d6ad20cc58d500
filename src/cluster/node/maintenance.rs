//! Maintenance: nothing is started, stopped or moved on any node, and a daemon that ends leaves running what runs.
//!
//! It owns what this node keeps to of the newest wish, and what it says of that. It starts and stops nothing itself.
//!
//! A node keeps what it runs beyond the guard's rules (no end of its right to hold, no lease in the kernel) only once
//! *every* node has the wish on its disk: from then on nobody takes anything over, whatever falls silent and whoever
//! starts again. A silent node counts as one that may keep what it ran until it has said that it knows of the end. It
//! says so only when the guard's rules let it hold what it holds, and every address on it is leased again, so that its
//! death ends that (P7); until then it goes on as before.

use super::Node;
use crate::cluster::event::Event;
use crate::cluster::group::{Care, LocalGroup, Running};
use crate::cluster::guard::Guard;
use crate::cluster::io::{Agreed, Response};
use crate::cluster::peer::Peer;
use crate::cluster::snapshot::{MaintenanceView, Wait};
use crate::config::NodeId;
use crate::wire::{MaintenanceState, MaintenanceWord, Run, WishSubject};

/// What this node keeps to, and has said.
#[derive(Debug, Default)]
pub(super) struct Maintenance {
    /// What it says in its heartbeats.
    pub(super) word: Option<MaintenanceWord>,
    /// Who looked after groups when it last looked.
    care: Care,
    /// The newest wish that was to be kept on disk, and the number of the memory that has it.
    written: (u64, u64),
    /// Number of the last memory that was to be kept, and of the newest that is on disk.
    asked: u64,
    pub(super) newest: u64,
}

impl Maintenance {
    /// A memory is to be kept, in which this is the newest wish.
    pub(super) fn remembers(&mut self, stamp: u64) -> u64 {
        self.asked += 1;
        if self.written.0 != stamp {
            self.written = (stamp, self.asked);
        }
        self.asked
    }

    /// What a former life kept.
    pub(super) fn restored(&mut self, stamp: u64) {
        self.written = (stamp, 0);
    }

    fn is_on_disk(&self, stamp: u64) -> bool {
        self.written.0 == stamp && self.newest >= self.written.1
    }
}

impl Node {
    /// Whether an operator wants nothing to be touched, as far as this node knows.
    pub(super) fn hands_off(&self) -> bool {
        self.wishes.maintenance().is_some_and(|wish| wish.on)
    }

    /// Who looks after groups.
    pub(super) fn care(&self) -> Care {
        match self.wishes.maintenance() {
            Some(wish) if wish.on && self.is_agreed(wish.stamp, true) => Care::InForce,
            Some(wish) if wish.on => Care::HandsOff,
            Some(_) | None => Care::Full,
        }
    }

    fn nodes_digest(&self) -> u32 {
        let [_, nodes, _, _] = self.config.digests.0;
        nodes
    }

    /// Whether every node is known to have this wish on its disk. A node that was added since knows of no maintenance; its
    /// end binds only those that were in it.
    fn is_agreed(&self, stamp: u64, on: bool) -> bool {
        let same = |agreed: Agreed| !on || agreed.nodes == self.nodes_digest();
        self.memory.agreed.is_some_and(|agreed| agreed.stamp == stamp && same(agreed))
    }

    /// Whether this node may keep what it runs whatever it hears: it said so, and has not said anything else since.
    pub(super) fn keeps(&self) -> bool {
        let said = self.maintenance.word.is_some_and(|word| is_in_force(word.state));
        said || self.care() == Care::InForce
    }

    /// A peer says what it keeps to.
    pub(super) fn maintenance_word(&mut self, from: NodeId, word: MaintenanceWord) {
        let Some(peer) = self.peer_mut(from) else { return };
        let former = peer.bond.word.replace(word);
        if leaves(Some(word)) && !leaves(former) {
            let peer = self.name(from);
            self.out.emit(Event::PeerLeavesRunning { peer });
        }
    }

    /// Look what has become of the newest wish.
    pub(super) fn observe_maintenance(&mut self) {
        let Some(wish) = self.wishes.maintenance() else { return };
        let (stamp, on) = (wish.stamp, wish.on);
        // A word that came in no round trip ends no silence: whoever acted on that silence at once would meet its speaker.
        for peer in self.peers.iter_mut().filter(|peer| peer.is_up()) {
            let over = peer.bond.word.filter(|word| word.state == MaintenanceState::Over);
            peer.bond.over = over.map_or(peer.bond.over, |word| word.stamp.max(peer.bond.over));
        }
        self.agree(stamp, on);
        let care = self.care();
        let former = std::mem::replace(&mut self.maintenance.care, care);
        if former != care {
            for id in self.config.group_ids().collect::<Vec<_>>() {
                self.with_group(id, |group, ground, out| match care {
                    Care::Full => group.look_over(ground, out),
                    Care::HandsOff | Care::InForce => group.renew_now(ground),
                });
            }
        }
        let state = self.own_wait(stamp, on).is_none().then_some(match care {
            Care::InForce if self.is_over() => MaintenanceState::Leaves,
            Care::InForce => MaintenanceState::InForce,
            Care::HandsOff => MaintenanceState::Noted,
            Care::Full => MaintenanceState::Over,
        });
        // What was said of an older wish stands until something can be said of this one.
        let word = state.map(|state| MaintenanceWord { stamp, state }).or(self.maintenance.word);
        if word != self.maintenance.word {
            self.maintenance.word = word;
            self.news = true;
            self.agree(stamp, on);
        }
        let agreed = self.is_agreed(stamp, on);
        for peer in &mut self.peers {
            peer.bond.may_keep = on || !agreed && peer.bond.over < stamp;
        }
    }

    /// Every node said that it keeps to this wish: that is so from now on, whoever falls silent. Whoever left, or is dead by
    /// an operator's word, ran nothing then; in maintenance it starts nothing either, so its end binds it as it is.
    fn agree(&mut self, stamp: u64, on: bool) {
        let said = |word: Option<MaintenanceWord>| word.is_some_and(|word| word.stamp == stamp);
        let knows = |peer: &Peer| match on {
            true => said(peer.bond.word),
            false => peer.bond.over == stamp || peer.is_gone(),
        };
        let all = said(self.maintenance.word) && self.peers.iter().all(knows);
        let differs = |peer: &Peer| peer.is_up() && Guard::differs(&self.config, peer).is_some();
        if !all || self.is_agreed(stamp, on) || on && self.peers.iter().any(differs) {
            return;
        }
        self.memory.agreed = Some(Agreed { stamp, nodes: self.nodes_digest() });
        self.out.emit(Event::Maintenance { on });
        self.news = true;
        self.remember();
    }

    /// What keeps this node itself from saying that it keeps to a wish.
    fn own_wait(&self, stamp: u64, on: bool) -> Option<Wait> {
        let leased = |group: &LocalGroup| {
            group.resources.iter().all(|one| one.is_leased(self.config.resource(one.id)))
        };
        let rests = |group: &LocalGroup| match self.care() {
            Care::InForce => group.is_at_rest() && self.is_endless(group),
            Care::HandsOff => group.is_at_rest(),
            Care::Full => leased(group) && group.running != Running::Unknown,
        };
        let holds = self.groups.iter().any(|group| group.has_to_let_go(&self.config));
        let until = self.guard.holds_until(self.peers.iter());
        if !self.maintenance.is_on_disk(stamp) {
            Some(Wait::Disk)
        } else if !self.groups.iter().all(rests) {
            Some(Wait::Groups)
        } else if !on && holds && until.is_some_and(|until| until <= self.now) {
            Some(Wait::CutOff)
        } else {
            None
        }
    }

    /// Whether all that runs here would go on without this daemon.
    pub(super) fn leaves_running(&self) -> bool {
        // An address that cannot be renewed, since its interface is gone, say, keeps nobody from ending.
        let late = self.now >= self.leaving_since + self.config.timing.deadtime;
        self.care() == Care::InForce
            && self
                .groups
                .iter()
                .all(|group| group.is_at_rest() && (late || self.is_endless(group)))
    }

    /// Whether what this node holds of a group stays if its daemon ends. What it found and leaves alone is nobody's to keep.
    fn is_endless(&self, group: &LocalGroup) -> bool {
        let mut all = group.resources.iter();
        !group.holds() || all.all(|one| one.is_endless(self.config.resource(one.id)))
    }

    /// Tell what is left running.
    pub(super) fn tell_left_running(&mut self) {
        let runs = |group: &&LocalGroup| match group.running {
            Running::Unknown => group.left_alone,
            Running::Stopped => false,
            Running::Claiming { .. }
            | Running::Starting { .. }
            | Running::Started { .. }
            | Running::Stopping { .. }
            | Running::Blocked => true,
        };
        let name = |group: &LocalGroup| self.config.group(group.id).name.clone();
        let groups: Vec<String> = self.groups.iter().filter(runs).map(name).collect();
        if self.care() == Care::InForce && !groups.is_empty() {
            self.out.emit(Event::LeftRunning { groups });
        }
    }

    /// An operator wants maintenance, or its end.
    pub(super) fn wish_maintenance(
        &mut self,
        on: bool,
        author: &str,
        unix_ms: u64,
    ) -> Result<Response, String> {
        let accepted = |message: String| Ok(Response::Accepted { message, to: None });
        let silent: Vec<String> =
            self.peers.iter().filter(|peer| !peer.is_up()).map(|peer| self.name(peer.id)).collect();
        if self.hands_off() == on {
            return accepted(match on {
                true => "maintenance was asked for already".to_owned(),
                false => "there is no maintenance".to_owned(),
            });
        }
        if on {
            self.refuse_maintenance(&silent)?;
        }
        self.wish(WishSubject::Maintenance { on }, author, unix_ms);
        self.tell_wish(
            if on { "maintenance" } else { "end of maintenance" }.to_owned(),
            author,
            None,
        );
        accepted(match (on, silent.as_slice()) {
            (true, _) => {
                "nothing is started, stopped or moved until `lubdub maintenance off`".to_owned()
            }
            (false, []) => "all is looked after again".to_owned(),
            (false, silent) => format!(
                "this node looks after its groups again. Not heard: {}. What runs there is not taken over until it is heard \
                 again, or `lubdub confirm-dead NODE` says that it is off",
                silent.join(", ")
            ),
        })
    }

    fn refuse_maintenance(&self, silent: &[String]) -> Result<(), String> {
        if let Some(node) = silent.first() {
            return Err(format!(
                "{node} is not heard: maintenance needs the word of every node that it takes nothing over. Start lubdub \
                 there or mend the links (lubdub status), then ask again"
            ));
        }
        if self.has_namesake() || self.peers.iter().any(|peer| peer.told_double) {
            return Err(
                "two machines run under one name (lubdub status), and the word of one does not bind the other: stop one, \
                 then ask again"
                    .to_owned(),
            );
        }
        let differs = |peer: &Peer| Some((peer.id, Guard::differs(&self.config, peer)?));
        if let Some((peer, section)) = self.peers.iter().find_map(differs) {
            return Err(format!(
                "{section} of {}'s configuration differs: make both files say the same, then ask again",
                self.name(peer)
            ));
        }
        let moves = |run: Run| matches!(run, Run::Claiming | Run::Starting | Run::Stopping);
        let mut moving = self
            .config
            .group_ids()
            .filter(|id| self.config.node_ids().any(|node| moves(self.run_on(node, *id))));
        match moving.next() {
            Some(id) => Err(format!(
                "{} is being started, stopped or moved: ask again when lubdub status shows it at rest",
                self.config.group(id).name
            )),
            None => Ok(()),
        }
    }

    /// For status: `None` where there is none, and none that has yet to end.
    pub(in crate::cluster) fn maintenance_view(&self) -> Option<MaintenanceView> {
        let wish = self.wishes.maintenance()?;
        let agreed = self.is_agreed(wish.stamp, wish.on);
        if agreed && !wish.on {
            return None;
        }
        let wait = |node: NodeId| {
            let Some(peer) = self.peer(node) else { return self.own_wait(wish.stamp, wish.on) };
            // Once this node knows that all keep to it, the others still have to know that too.
            let enough = |state| !agreed || is_in_force(state);
            let said = peer.bond.word;
            let said = said.is_some_and(|word| word.stamp == wish.stamp && enough(word.state));
            match (said, peer.is_up()) {
                (true, _) => None,
                (false, true) => Some(Wait::Word),
                (false, false) => Some(Wait::Silent),
            }
        };
        let waits = self.config.node_ids().filter_map(|node| Some((self.name(node), wait(node)?)));
        Some(MaintenanceView {
            on: wish.on,
            author: wish.author.to_owned(),
            in_force: agreed,
            waits_for: waits.collect(),
        })
    }
}

/// Whether somebody who says this keeps what it runs, whatever it hears.
fn is_in_force(state: MaintenanceState) -> bool {
    match state {
        MaintenanceState::InForce | MaintenanceState::Leaves => true,
        MaintenanceState::Over | MaintenanceState::Noted => false,
    }
}

/// Whether a daemon that said this last has ended by now, as it said.
pub(super) fn leaves(word: Option<MaintenanceWord>) -> bool {
    word.is_some_and(|word| word.state == MaintenanceState::Leaves)
}
