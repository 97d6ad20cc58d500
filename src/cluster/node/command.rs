//! What an operator asks for becomes a wish or a proof; the rest follows from these.

use super::Node;
use crate::cluster::event::Event;
use crate::cluster::guard::Guard;
use crate::cluster::io::{ClientId, Command, Output, Response};
use crate::cluster::peer::{Peer, Standing};
use crate::config::{GroupId, NodeId};
use crate::wire::{GroupTag, Mac, Wish, WishSubject};

impl Node {
    pub(super) fn command(
        &mut self,
        client: ClientId,
        author: &str,
        unix_ms: u64,
        command: Command,
    ) {
        let result = match command {
            Command::Standby { node } => self.standby(node, true, author, unix_ms),
            Command::Online { node } => self.standby(node, false, author, unix_ms),
            Command::Switchover { group, to } => self.switchover(&group, to, author, unix_ms),
            Command::Maintenance { on } => self.wish_maintenance(on, author, unix_ms),
            Command::ConfirmDead { node } => self.confirm_dead(&node, author),
        };
        let response = result.unwrap_or_else(|message| Response::Refused { message });
        self.out.push(Output::Reply { client, response });
    }

    fn find_node(&self, name: &str) -> Result<NodeId, String> {
        self.config.node_by_name(name).ok_or_else(|| {
            let names: Vec<&str> =
                self.config.nodes.iter().map(|node| node.name.as_str()).collect();
            format!("there is no node {name}; the nodes are {}", names.join(", "))
        })
    }

    fn find_group(&self, name: &str) -> Result<GroupId, String> {
        self.config.group_by_name(name).ok_or_else(|| {
            let names: Vec<&str> =
                self.config.groups.iter().map(|group| group.name.as_str()).collect();
            format!("there is no group {name}; the groups are {}", names.join(", "))
        })
    }

    pub(super) fn wish(&mut self, subject: WishSubject, author: &str, unix_ms: u64) {
        self.wishes.wish(subject, author, unix_ms, self.config.me.0);
        self.news = true;
        self.remember();
    }

    fn standby(
        &mut self,
        node: Option<String>,
        standby: bool,
        author: &str,
        unix_ms: u64,
    ) -> Result<Response, String> {
        let node = node.map_or(Ok(self.config.me), |name| self.find_node(&name))?;
        let (name, tag) = (self.name(node), self.config.node(node).tag);
        if standby {
            self.refuse_in_maintenance()?;
        }
        let word = if standby { "standby" } else { "online" };
        let already = self.wishes.standby(tag).is_some() == standby;
        if !already {
            self.wish(WishSubject::Standby { node: tag, standby }, author, unix_ms);
            self.tell_wish(format!("{name} {word}"), author, None);
        }
        let message = match (already, standby) {
            (true, _) => format!("{name} is {word} already"),
            (false, true) => {
                format!("{name} gives up its groups and takes none until `lubdub online {name}`")
            }
            (false, false) => format!("{name} takes part again"),
        };
        Ok(Response::Accepted { message, to: None })
    }

    fn switchover(
        &mut self,
        group: &str,
        to: Option<String>,
        author: &str,
        unix_ms: u64,
    ) -> Result<Response, String> {
        let id = self.find_group(group)?;
        self.refuse_in_maintenance()?;
        // What a node ran that is silent now is no longer known.
        let heard =
            |node: NodeId| node == self.config.me || self.peer(node).is_some_and(Peer::is_up);
        let holder = self
            .config
            .node_ids()
            .find(|node| heard(*node) && super::reconcile::holds(self.run_on(*node, id)));
        let target = match to {
            Some(name) => self.find_node(&name)?,
            None => {
                let nodes = self.config.group(id).nodes.iter().copied();
                let other = nodes
                    .filter(|node| Some(*node) != holder)
                    .find(|node| self.unable(*node, id).is_none());
                other.ok_or_else(|| self.no_other(id, holder))?
            }
        };
        let name = self.name(target);
        if let Some(why) = self.unable(target, id) {
            return Err(format!("{group} cannot move: {name} {why}"));
        }
        let differs = |peer: &Peer| Some((peer.id, Guard::differs(&self.config, peer)?));
        if let Some((peer, section)) =
            self.peers.iter().filter(|peer| peer.is_up()).find_map(differs)
        {
            return Err(format!(
                "{group} stays: {section} of {}'s configuration differs; nothing moves until both files say the same",
                self.name(peer)
            ));
        }
        self.wish(
            WishSubject::Location {
                group: self.config.group(id).tag,
                node: Some(self.config.node(target).tag),
            },
            author,
            unix_ms,
        );
        let wish = format!("{group} to {name}");
        self.tell_wish(wish.clone(), author, None);
        Ok(Response::Accepted { message: format!("moving {wish}"), to: Some(name) })
    }

    pub(super) fn tell_wish(&mut self, wish: String, author: &str, on: Option<String>) {
        self.out.emit(Event::Wished { wish, author: author.to_owned(), on });
    }

    /// An operator wished something on another node, which told it. That a move is over is told by the move.
    pub(super) fn learnt_wish(&mut self, wish: &Wish) {
        let words = match wish.subject {
            WishSubject::Standby { node, standby } => {
                let word = if standby { "standby" } else { "online" };
                self.config.node_by_tag(node).map(|node| format!("{} {word}", self.name(node)))
            }
            WishSubject::Location { group, node: Some(node) } => {
                let group = self.config.group_by_tag(group);
                let node = self.config.node_by_tag(node);
                group.zip(node).map(|(group, node)| {
                    format!("{} to {}", self.config.group(group).name, self.name(node))
                })
            }
            WishSubject::Location { node: None, .. } => None,
            WishSubject::Maintenance { on: true } => Some("maintenance".to_owned()),
            WishSubject::Maintenance { on: false } => Some("end of maintenance".to_owned()),
        };
        // The last byte of its stamp is the place of the node that gave it.
        let place = usize::try_from(wish.stamp & 0xff).ok();
        let on = place.and_then(|place| self.config.nodes.get(place)).map(|node| node.name.clone());
        if let Some(words) = words {
            self.tell_wish(words, &wish.author, on.or_else(|| Some("another node".to_owned())));
        }
    }

    fn refuse_in_maintenance(&self) -> Result<(), String> {
        match self.wishes.maintenance() {
            Some(wish) if wish.on => Err(format!(
                "the cluster is in maintenance ({} asked for it), and nothing moves: lubdub maintenance off, then ask again",
                wish.author
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Why a group can go nowhere else.
    fn no_other(&self, id: GroupId, holder: Option<NodeId>) -> String {
        let others = self.config.group(id).nodes.iter().filter(|node| Some(**node) != holder);
        let why: Vec<String> = others
            .filter_map(|node| Some(format!("{} {}", self.name(*node), self.unable(*node, id)?)))
            .collect();
        let group = &self.config.group(id).name;
        if why.is_empty() {
            format!("{group} has no other node")
        } else {
            format!("no other node can take {group} now: {}", why.join(", "))
        }
    }

    /// The wish for a place ends: the group had to go elsewhere, and stays there.
    pub(super) fn take_back_location(&mut self, group: GroupTag) {
        let unix_ms = self.memory.unix_ms + self.now.as_micros() / 1000;
        self.wish(WishSubject::Location { group, node: None }, "lubdub", unix_ms);
    }

    fn confirm_dead(&mut self, name: &str, author: &str) -> Result<Response, String> {
        let id = self.find_node(name)?;
        let Some(peer) = self.peer_mut(id) else { return Err(format!("{name} is this very node")) };
        match peer.standing {
            Standing::Up | Standing::Late => {
                return Err(format!(
                    "{name} is alive: it was heard a moment ago. To move its groups: lubdub standby {name}"
                ));
            }
            Standing::Left | Standing::Dead { .. } => {
                let message = format!("{name} is known to run nothing already");
                return Ok(Response::Accepted { message, to: None });
            }
            Standing::Lost | Standing::Unknown => {}
        }
        // What a node has that is heard says nothing of one that is not.
        let silent = self.peers.iter().filter(|peer| !peer.is_up()).filter_map(Peer::said);
        let macs: Vec<Mac> = silent.flat_map(|said| said.macs.clone()).collect();
        if let Some(address) = self.guard.still_answers(&self.config, &macs) {
            return Err(format!(
                "{name} is not dead: {address} still answers from a node of this cluster that is silent. Cut its power first; when the \
                 address is silent, it is taken over or can be confirmed"
            ));
        }
        let Some(peer) = self.peer_mut(id) else { return Err(format!("{name} is this very node")) };
        peer.standing = Standing::Dead { author: author.to_owned() };
        self.news = true;
        self.out
            .emit(Event::PeerConfirmedDead { peer: name.to_owned(), author: author.to_owned() });
        let message = format!("{name} counts as dead until it is heard again");
        Ok(Response::Accepted { message, to: None })
    }
}
