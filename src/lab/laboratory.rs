//! The laboratory as a whole.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sched::CloneFlags;

use super::client::Client;
use super::error::{LabError, file};
use super::flood::{Flood, Torrent};
use super::furniture::make_room;
use super::kernels::Kernels;
use super::moment::Moment;
use super::node::{Node, settle_network};
use super::plan::{Plan, Service};
use super::room::Room;
use super::switch::Switch;
use super::tool;
use crate::cluster::event::Event;

/// Time between two looks at a condition.
const LOOK: Duration = Duration::from_millis(2);

/// Longer than anything may take that has no bound of its own.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Nodes, a switch between them, a client, a ping node. All of it ends with this value.
#[derive(Debug)]
pub struct Lab {
    plan: Plan,
    kernels: Kernels,
    nodes: Vec<Node>,
    switch: Switch,
    client: Room,
    /// Its kernel answers; it needs no process.
    _ping_node: Room,
}

impl Lab {
    /// Builds it: all nodes have power, no daemon runs. The calling process must be inside (see [`super::Inside`]).
    ///
    /// # Errors
    /// What the machine refuses, and which tool it lacks.
    pub fn new(plan: Plan) -> Result<Self, LabError> {
        make_room()?;
        let switch = Switch::new(plan.needs_ipv6())?;
        let stranger = |name| {
            let room = Room::open(name, CloneFlags::CLONE_NEWNET)?;
            room.within(settle_network)??;
            Ok::<_, LabError>(room)
        };
        let (client, ping_node) = (stranger("client")?, stranger("ping")?);
        switch.plug_strangers(&client, &ping_node)?;
        let nodes: Vec<Node> = plan
            .nodes
            .iter()
            .enumerate()
            .map(|(index, name)| Node::new(name, index, &plan.program))
            .collect::<Result<_, _>>()?;
        let lab =
            Self { plan, kernels: Kernels::new()?, nodes, switch, client, _ping_node: ping_node };
        for node in &lab.nodes {
            lab.install(node)?;
            lab.power_on(node.name())?;
        }
        Ok(lab)
    }

    /// What it was built from.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// All nodes, the preferred one first.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A node by name.
    ///
    /// # Errors
    /// If there is none.
    pub fn node(&self, name: &str) -> Result<&Node, LabError> {
        self.nodes.iter().find(|node| node.name() == name).ok_or_else(|| LabError::Node {
            node: name.to_owned(),
            problem: "there is no such node here",
        })
    }

    /// The switch: cuts and loss.
    #[must_use]
    pub fn switch(&self) -> &Switch {
        &self.switch
    }

    /// Each kernel's own view.
    #[must_use]
    pub fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    /// Pulls a node's card out of one link: the interface is gone from it.
    ///
    /// # Errors
    /// If `ip` refuses.
    pub fn pull_card(&self, name: &str, link: &str) -> Result<(), LabError> {
        self.switch.pull_card(self.node(name)?.name(), link)
    }

    /// Plugs the card in again that was pulled: another interface of the same name.
    ///
    /// # Errors
    /// Without power, or if `ip` refuses.
    pub fn plug_card(&self, name: &str, link: &str) -> Result<(), LabError> {
        self.node(name)?.plug_card(&self.switch, link)
    }

    /// Takes a node's power away: its ports go down, then everything on it is killed. The moment is that after which
    /// nothing of it can be heard.
    ///
    /// # Errors
    /// If it has none.
    pub fn power_off(&self, name: &str) -> Result<Moment, LabError> {
        let off = self.node(name)?.power_off(&self.switch)?;
        self.kernels.forget(name);
        Ok(off)
    }

    /// Gives a node power: it boots with what its disk held. No daemon runs.
    ///
    /// # Errors
    /// If it has power.
    pub fn power_on(&self, name: &str) -> Result<(), LabError> {
        let node = self.node(name)?;
        node.power_on(&self.switch)?;
        self.kernels.watch(node)?;
        match self.plan.service {
            Service::ColdWeb => Ok(()),
            Service::Address => self.plan.web.start(node),
        }
    }

    /// Begins: starts the daemons, and the client once there is somebody to ask. Afterwards the first node has the group, the
    /// client is served, and the nodes hear each other.
    ///
    /// # Errors
    /// If that does not come about.
    pub fn begin(&self) -> Result<Client, LabError> {
        let first = self.plan.nodes.first().map(String::as_str).unwrap_or_default();
        self.start_daemons()?;
        wait_for(&format!("{first} has the address"), PATIENCE, || {
            // Nothing comes of a daemon that refused to start: its log says why.
            match self.nodes.iter().find(|node| node.daemon_runs().is_ok_and(|runs| !runs)) {
                Some(node) => Err(LabError::Node {
                    node: node.name().to_owned(),
                    problem: "its daemon has ended",
                }),
                None => Ok(self.kernels.only_holder_is(first)),
            }
        })?;
        let client = self.start_client()?;
        self.wait_served(&client, first)?;
        wait_for("the nodes hear each other", PATIENCE, || {
            Ok(self.all_have_seen(Moment::BOOT, |event| matches!(event, Event::PeerUp { .. })))
        })?;
        Ok(client)
    }

    /// Waits until this node alone has the address and serves the client.
    ///
    /// # Errors
    /// If that does not come about.
    pub fn wait_served(&self, client: &Client, node: &str) -> Result<(), LabError> {
        wait_for(&format!("{node} alone has the address and serves the client"), PATIENCE, || {
            Ok(self.kernels.only_holder_is(node) && client.served_by(node))
        })
    }

    /// Whether the history of every node with power tells of such an event since then. A daemon that does not answer yet
    /// tells of nothing.
    #[must_use]
    pub fn all_have_seen(&self, since: Moment, wanted: impl Fn(&Event) -> bool) -> bool {
        self.nodes.iter().filter(|node| node.has_power()).all(|node| {
            node.history().is_ok_and(|happenings| {
                happenings
                    .iter()
                    .any(|happening| happening.moment >= since && wanted(&happening.event))
            })
        })
    }

    /// Starts the daemon on every node that has power.
    ///
    /// # Errors
    /// If one runs already.
    pub fn start_daemons(&self) -> Result<(), LabError> {
        self.nodes.iter().filter(|node| node.has_power()).try_for_each(Node::start_daemon)
    }

    /// Nodes on which processes of the web server run.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn web_runs_on(&self) -> Result<Vec<&str>, LabError> {
        let pattern = self.plan.web.pattern();
        let mut running = Vec::new();
        for node in self.nodes.iter().filter(|node| node.has_power()) {
            if node.processes()?.iter().any(|process| process.command.contains(pattern)) {
                running.push(node.name());
            }
        }
        Ok(running)
    }

    /// Sets the client to work. It has heard of nobody: its neighbour table is empty now, and nobody touches it later.
    ///
    /// # Errors
    /// If `ip` refuses.
    pub fn start_client(&self) -> Result<Client, LabError> {
        self.client.within(|| tool::ip("neigh flush all\n"))??;
        Client::start(&self.client, self.plan.target())
    }

    /// Lets a stranger flood somebody, from the client's place on the service network; the client rests meanwhile.
    ///
    /// # Errors
    /// If there is no laboratory any more.
    pub fn flood(&self, torrent: Torrent) -> Result<Flood, LabError> {
        Flood::start(&self.client, torrent)
    }

    /// Lays a node's files into its `/etc/lubdub`. The keys are made for the first node; the others get the same.
    fn install(&self, node: &Node) -> Result<(), LabError> {
        let config = node.etc().join("cluster.toml");
        fs::write(&config, self.plan.cluster_toml()).map_err(file(&config))?;
        let keys = node.etc().join("authkeys");
        match self.nodes.first() {
            Some(first) if first.name() != node.name() => {
                // With its mode: a file that others can read is refused.
                fs::copy(first.etc().join("authkeys"), &keys).map_err(file(&keys))?;
            }
            _ => {
                let mut keygen = tool::command(&self.plan.program);
                keygen.arg("keygen").arg(&keys);
                tool::finish(keygen)?;
            }
        }
        copy_all(&self.plan.agents, &node.etc().join("agents"))?;
        self.plan.web.install(node)
    }
}

/// Copies the files of a directory, with their modes.
fn copy_all(from: &Path, to: &Path) -> Result<(), LabError> {
    fs::create_dir_all(to).map_err(file(to))?;
    for entry in fs::read_dir(from).map_err(file(from))? {
        let entry = entry.map_err(file(from))?;
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).map_err(file(&entry.path()))?;
        }
    }
    Ok(())
}

/// Waits until a condition is met.
///
/// # Errors
/// [`LabError::Late`] if it is not in time; the condition's own error at once.
pub fn wait_for(
    what: &str,
    within: Duration,
    mut condition: impl FnMut() -> Result<bool, LabError>,
) -> Result<(), LabError> {
    let deadline = Moment::now() + within;
    loop {
        if condition()? {
            return Ok(());
        }
        if Moment::now() > deadline {
            return Err(LabError::Late { what: what.to_owned(), within });
        }
        pause();
    }
}

/// Watches that a condition lasts.
///
/// # Errors
/// [`LabError::Broken`] as soon as it does not; the condition's own error at once.
pub fn stays(
    what: &str,
    lasting: Duration,
    mut condition: impl FnMut() -> Result<bool, LabError>,
) -> Result<(), LabError> {
    let start = Moment::now();
    loop {
        let now = Moment::now();
        if !condition()? {
            return Err(LabError::Broken { what: what.to_owned(), after: now - start });
        }
        if now - start >= lasting {
            return Ok(());
        }
        pause();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that sleeps, between two looks at a condition"
)]
fn pause() {
    thread::sleep(LOOK);
}
