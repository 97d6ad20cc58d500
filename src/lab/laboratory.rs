//! The laboratory as a whole.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sched::CloneFlags;

use super::client::Client;
use super::error::{LabError, file};
use super::furniture::make_room;
use super::kernels::Kernels;
use super::moment::Moment;
use super::node::{Node, settle_network};
use super::plan::{Plan, Service};
use super::room::Room;
use super::switch::Switch;
use super::tool;

/// Time between two looks at a condition.
const LOOK: Duration = Duration::from_millis(2);

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
        let switch = Switch::new()?;
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
        let keys = lab.authkeys()?;
        for node in &lab.nodes {
            lab.install(node, &keys)?;
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

    /// Each node's keys are the same file.
    fn authkeys(&self) -> Result<Vec<u8>, LabError> {
        let mut command = tool::command(&self.plan.program);
        command.args(["keygen", "-"]);
        Ok(tool::finish(command)?.stdout)
    }

    fn install(&self, node: &Node, keys: &[u8]) -> Result<(), LabError> {
        let etc = node.etc();
        let config = etc.join("cluster.toml");
        fs::write(&config, self.plan.cluster_toml()).map_err(file(&config))?;
        let path = etc.join("authkeys");
        let written =
            File::options().create(true).write(true).truncate(true).mode(0o600).open(&path);
        written.and_then(|mut keyfile| keyfile.write_all(keys)).map_err(file(&path))?;
        copy_all(&self.plan.agents, &etc.join("agents"))?;
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
