//! The live screen on a real laboratory: keys become faults, and what daemons, kernels and the client say becomes the
//! picture.
//!
//! ```text
//! this thread   draws 25 times a second, reads keys ◄── News ── worker: owns the laboratory, does one thing at a time
//!      ▲  └──────────────────── Order ──────────────────────────►
//!      └── Sighting ── a poller for each daemon
//! ```

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::super::client::Client;
use super::super::complain;
use super::super::error::{LabError, file};
use super::super::kernels::Onlooker;
use super::super::laboratory::Lab;
use super::super::moment::Moment;
use super::super::plan::{LAN, PING_NODE, Plan, SERVICE};
use super::logs;
use super::scenario::{Act, Pair, Scenario, repair};
use crate::screen::{
    Body, Incident, Key, Model, Palette, Poller, Pressed, Screen, ServiceNetwork, Sighting, Target,
    Tone, Words,
};

/// Time between two frames.
const FRAME: Duration = Duration::from_millis(40);
/// Time between two questions to a daemon.
const LOOK: Duration = Duration::from_millis(50);

/// Ends the screen; the terminal knows it too.
const QUIT: Key = Key { key: 'q', word: "quit" };
const REPAIR: Key = Key { key: 'r', word: "repair" };

/// What the worker is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Strike(Scenario),
    Repair,
}

/// What is new.
#[derive(Debug)]
enum News {
    /// The nodes are there.
    Built { nodes: Vec<NodeNow>, kernels: Onlooker },
    /// Somebody serves, and the client asks.
    Began(Client),
    /// An order was carried out.
    Did { acts: Vec<Act>, nodes: Vec<NodeNow> },
    /// An order could not be carried out.
    CouldNot(String),
    /// A daemon was asked.
    Saw(Sighting),
    /// The laboratory cannot go on; the ends of its logs.
    Failed(LabError, String),
}

/// A node, as the laboratory knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NodeNow {
    name: String,
    power: bool,
    cable: bool,
    socket: Option<PathBuf>,
}

/// The key of a scenario.
fn key_of(scenario: Scenario) -> Key {
    let (key, word) = match scenario {
        Scenario::PowerOff => ('p', "power"),
        Scenario::KillDaemon => ('k', "daemon"),
        Scenario::KillService => ('s', "service"),
        Scenario::CutLink => ('l', "link"),
        Scenario::Switchover => ('w', "switchover"),
        Scenario::Partition => ('x', "partition"),
    };
    Key { key, word }
}

/// All of them, in the order in which they stand on the screen.
const SCENARIOS: [Scenario; 6] = [
    Scenario::PowerOff,
    Scenario::KillDaemon,
    Scenario::KillService,
    Scenario::CutLink,
    Scenario::Switchover,
    Scenario::Partition,
];

fn order_of(key: char) -> Option<Order> {
    if key == REPAIR.key {
        return Some(Order::Repair);
    }
    SCENARIOS.into_iter().find(|scenario| key_of(*scenario).key == key).map(Order::Strike)
}

/// Shows it until somebody has seen enough.
pub(super) fn show(plan: Plan) -> Result<(), LabError> {
    // First of all, so that there is something to look at, and before there is a second thread.
    let mut screen = Screen::open(Palette::of_environment()).map_err(terminal_gone)?;
    let (orders, inbox) = mpsc::channel();
    let (news, events) = mpsc::channel();
    let mut live = Live::new(&plan, orders, news.clone());
    let worker = thread::Builder::new()
        .name("laboratory".to_owned())
        .spawn(move || {
            let end = work(plan, &inbox, &news);
            if let Err(failed) = end {
                // If nobody listens any more the demo is over.
                let _ = news.send(failed);
            }
        })
        .map_err(|source| LabError::CannotRun {
            program: "thread laboratory".to_owned(),
            source,
        })?;
    let shown = live.run(&mut screen, &events, &worker);
    drop(screen);
    if !live.logs.is_empty() {
        complain(&live.logs);
    }
    // Whatever the worker is at, the laboratory ends with this process.
    shown
}

fn terminal_gone(source: std::io::Error) -> LabError {
    file(Path::new("terminal"))(source)
}

/// The worker: builds the laboratory, then carries out orders until there are no more.
fn work(plan: Plan, orders: &Receiver<Order>, news: &Sender<News>) -> Result<(), News> {
    let lab = Lab::new(plan).map_err(|error| News::Failed(error, String::new()))?;
    // That nobody listens any more is seen by the end of the orders.
    let tell = |what| drop(news.send(what));
    tell(News::Built { nodes: nodes_now(&lab), kernels: lab.kernels().onlooker() });
    tell(News::Began(lab.begin().map_err(|error| News::Failed(error, logs(&lab)))?));
    for order in orders {
        let done = match order {
            Order::Strike(scenario) => {
                Pair::of(&lab).and_then(|pair| scenario.strike(&lab, &pair)).map(|act| vec![act])
            }
            Order::Repair => repair(&lab),
        };
        tell(match done {
            Ok(acts) => News::Did { acts, nodes: nodes_now(&lab) },
            Err(error) => News::CouldNot(error.to_string()),
        });
    }
    Ok(())
}

fn nodes_now(lab: &Lab) -> Vec<NodeNow> {
    lab.nodes()
        .iter()
        .map(|node| NodeNow {
            name: node.name().to_owned(),
            power: node.has_power(),
            cable: node.has_power() && !lab.switch().is_cut(node.name(), LAN),
            socket: node.control_socket().ok(),
        })
        .collect()
}

/// The end of the thread that draws.
struct Live {
    model: Model,
    orders: Sender<Order>,
    news: Sender<News>,
    nodes: Vec<NodeNow>,
    kernels: Option<Onlooker>,
    client: Option<Client>,
    pollers: Vec<(String, Target, Poller)>,
    /// The ends of the daemons' logs, for when the screen is gone.
    logs: String,
}

impl Live {
    fn new(plan: &Plan, orders: Sender<Order>, news: Sender<News>) -> Self {
        let mut model = Model::of_nodes(plan.nodes.iter().map(String::as_str), &plan.links);
        model.title = "lubdub demo · a real pair on this machine".to_owned();
        let facts = format!(
            "keepalive {} ms · deadtime {} ms",
            plan.keepalive.as_millis(),
            plan.deadtime.as_millis()
        );
        model.facts = Words::new(Tone::Faint, facts);
        model.keys = SCENARIOS.into_iter().map(key_of).chain([REPAIR, QUIT]).collect();
        let others = vec!["client".to_owned(), format!("ping node {PING_NODE}")];
        model.service = Some(ServiceNetwork { name: LAN.to_owned(), others });
        Self {
            model,
            orders,
            news,
            nodes: Vec::new(),
            kernels: None,
            client: None,
            pollers: Vec::new(),
            logs: String::new(),
        }
    }

    fn run(
        &mut self,
        screen: &mut Screen,
        events: &Receiver<News>,
        worker: &JoinHandle<()>,
    ) -> Result<(), LabError> {
        loop {
            for what in events.try_iter() {
                self.take(what)?;
            }
            if worker.is_finished() {
                return Err(LabError::ThreadEnded("laboratory".to_owned()));
            }
            self.look();
            screen.draw(&self.model, Moment::now().since_boot()).map_err(terminal_gone)?;
            match screen.wait(FRAME).map_err(terminal_gone)? {
                Some(Pressed::End) => return Ok(()),
                Some(Pressed::Key(key)) => self.press(key),
                None => {}
            }
        }
    }

    fn take(&mut self, what: News) -> Result<(), LabError> {
        match what {
            News::Built { nodes, kernels } => {
                self.kernels = Some(kernels);
                self.arrange(nodes)?;
            }
            News::Began(client) => self.client = Some(client),
            News::Did { acts, nodes } => {
                self.arrange(nodes)?;
                self.tell(&acts);
            }
            News::CouldNot(why) => self.model.fail(why),
            News::Saw(sighting) => self.model.saw(sighting),
            News::Failed(error, logs) => {
                self.logs = logs;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Asks the daemons where they are now.
    fn arrange(&mut self, nodes: Vec<NodeNow>) -> Result<(), LabError> {
        for node in &nodes {
            if let Some((_, target, _)) = self.pollers.iter().find(|(name, ..)| *name == node.name)
            {
                target.set(node.socket.clone());
                continue;
            }
            let (target, news) = (Target::default(), self.news.clone());
            target.set(node.socket.clone());
            let tell = move |sighting| news.send(News::Saw(sighting)).is_ok();
            let poller =
                Poller::start(&node.name, target.clone(), LOOK, tell).map_err(|source| {
                    LabError::CannotRun { program: format!("thread for {}", node.name), source }
                })?;
            self.pollers.push((node.name.clone(), target, poller));
        }
        self.nodes = nodes;
        Ok(())
    }

    /// What can be seen without asking anybody: the kernels, and the client's notes.
    fn look(&mut self) {
        let holders = self.kernels.as_ref().map(Onlooker::holders).unwrap_or_default();
        for node in &self.nodes {
            let holds = holders.contains(&node.name);
            let addresses = holds.then(|| SERVICE.to_string()).into_iter().collect();
            let body = Body { power: node.power, cable: node.cable, addresses };
            self.model.know_body(&node.name, body);
        }
        let notes = self.client.as_ref().map(Client::take_notes).unwrap_or_default();
        notes.asked.iter().for_each(|at| self.model.asked(at.since_boot()));
        for attempt in &notes.attempts {
            self.model.ended(attempt.ended.since_boot(), attempt.result.as_deref().ok());
        }
    }

    fn press(&mut self, key: char) {
        let Some(order) = order_of(key) else { return };
        // Before somebody serves there is nothing to break.
        if self.client.is_none() || self.orders.send(order).is_err() {
            return;
        }
        self.model.begin(incident(key, Moment::now(), "…".to_owned()));
    }

    /// What was done, and when it began.
    fn tell(&mut self, acts: &[Act]) {
        let first = acts.first().map(|act| act.moment);
        let text = acts.iter().map(|act| act.text.as_str()).collect::<Vec<_>>().join("; ");
        let text = if text.is_empty() { "nothing was broken".to_owned() } else { text };
        self.model.correct(first.map(|moment| (moment.since_boot(), unix_ms(moment))), text);
    }
}

fn unix_ms(moment: Moment) -> u64 {
    moment.to_unix_millis(Moment::wall())
}

fn incident(key: char, moment: Moment, text: String) -> Incident {
    Incident { key, text, at: moment.since_boot(), unix_ms: unix_ms(moment) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_a_key_of_its_own() {
        for scenario in SCENARIOS {
            assert_eq!(order_of(key_of(scenario).key), Some(Order::Strike(scenario)));
        }
        assert_eq!(order_of('r'), Some(Order::Repair));
        assert_eq!((order_of('q'), order_of('z')), (None, None));
    }
}
