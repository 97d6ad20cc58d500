//! What can go wrong in the demo, and what has to come of it.

use std::fmt;

use clap::ValueEnum;

use super::super::client::Client;
use super::super::error::LabError;
use super::super::laboratory::{Lab, PATIENCE, stays, wait_for};
use super::super::moment::Moment;
use super::super::plan::{GROUP, LAN};
use super::super::tool;
use crate::cluster::event::Event;

/// The node that runs the group first, and the other.
const PAIR: [&str; 2] = ["alpha", "beta"];

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// The active node loses power.
    PowerOff,
    /// The daemon on the active node is killed.
    KillDaemon,
    /// The web server on the active node is killed.
    KillService,
    /// The active node's cable to the service network is pulled.
    CutLink,
    /// An operator moves the group.
    Switchover,
    /// All heartbeats between the nodes are lost, and nothing else.
    Partition,
}

/// What was done.
#[derive(Debug)]
pub(super) struct Played {
    /// When it began to be wrong.
    pub(super) fault: Moment,
    /// What the demo did, with the times.
    pub(super) acts: Vec<(Moment, String)>,
    /// The one node that has to have the group at the end.
    pub(super) ends_on: &'static str,
}

impl fmt::Display for Scenario {
    /// As on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_possible_value().map_or(Ok(()), |value| f.write_str(value.get_name()))
    }
}

impl Scenario {
    /// The names of the others.
    pub(super) fn others(self) -> String {
        let others = Self::value_variants().iter().filter(|scenario| **scenario != self);
        others.map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// For the story's beginning.
    pub(super) fn what_happens(self) -> &'static str {
        match self {
            Self::PowerOff => "Now the power of alpha, the active node, is cut.",
            Self::KillDaemon => {
                "Now the daemon on alpha, the active node, is killed; nginx and the address are not."
            }
            Self::KillService => "Now the web server on alpha, the active node, is killed.",
            Self::CutLink => {
                "Now the cable between alpha, the active node, and the service network is pulled."
            }
            Self::Switchover => "Now an operator moves the group from alpha to beta.",
            Self::Partition => {
                "Now all heartbeats between the nodes are lost, while both still reach client and ping node.\n\
                 A cluster that took silence for death would run the group twice."
            }
        }
    }

    /// Finds out whether the machine has the tools for it, before anything is built.
    pub(super) fn check_tools(self) -> Result<(), LabError> {
        match self {
            Self::Partition => tool::nft(""),
            Self::PowerOff
            | Self::KillDaemon
            | Self::KillService
            | Self::CutLink
            | Self::Switchover => Ok(()),
        }
    }

    /// Does it, and waits until what has to follow is seen from outside.
    pub(super) fn play(self, lab: &Lab, client: &Client) -> Result<Played, LabError> {
        match self {
            Self::PowerOff => power_off(lab, client),
            Self::KillDaemon => kill_daemon(lab, client),
            Self::KillService => kill_service(lab, client),
            Self::CutLink => cut_link(lab, client),
            Self::Switchover => switchover(lab, client),
            Self::Partition => partition(lab, client),
        }
    }
}

fn power_off(lab: &Lab, client: &Client) -> Result<Played, LabError> {
    let [active, standby] = PAIR;
    let fault = lab.power_off(active)?;
    lab.wait_served(client, standby)?;
    Ok(Played {
        fault,
        acts: vec![(fault, format!("the power of {active} is cut"))],
        ends_on: standby,
    })
}

fn kill_daemon(lab: &Lab, client: &Client) -> Result<Played, LabError> {
    let [active, standby] = PAIR;
    let node = lab.node(active)?;
    let fault = Moment::now();
    node.kill_daemon()?;
    lab.wait_served(client, standby)?;
    let back = Moment::now();
    node.start_daemon()?;
    wait_for(&format!("{active} cleans up what its daemon left"), PATIENCE, || {
        Ok(lab.web_runs_on()? == [standby])
    })?;
    let acts = vec![
        (fault, format!("the daemon on {active} is killed with SIGKILL")),
        (back, format!("the daemon on {active} is started again")),
    ];
    Ok(Played { fault, acts, ends_on: standby })
}

fn kill_service(lab: &Lab, client: &Client) -> Result<Played, LabError> {
    let [active, _] = PAIR;
    let node = lab.node(active)?;
    let fault = Moment::now();
    let killed = node.kill_matching(lab.plan().web.pattern())?;
    wait_for("the client sees a failure", PATIENCE, || Ok(!client.served_by(active)))?;
    lab.wait_served(client, active)?;
    let acts = vec![(
        fault,
        format!("{killed} processes of the web server on {active} are killed with SIGKILL"),
    )];
    Ok(Played { fault, acts, ends_on: active })
}

fn cut_link(lab: &Lab, client: &Client) -> Result<Played, LabError> {
    let [active, standby] = PAIR;
    let fault = Moment::now();
    lab.switch().cut(active, LAN)?;
    lab.wait_served(client, standby)?;
    wait_for(&format!("{active} lets go"), PATIENCE, || Ok(lab.web_runs_on()? == [standby]))?;
    let healed = Moment::now();
    lab.switch().heal(active, LAN)?;
    let acts = vec![
        (fault, format!("the port of {active} on the service network goes down")),
        (healed, "the port comes up again".to_owned()),
    ];
    Ok(Played { fault, acts, ends_on: standby })
}

fn switchover(lab: &Lab, client: &Client) -> Result<Played, LabError> {
    let [active, standby] = PAIR;
    let fault = Moment::now();
    let output = lab.node(active)?.lubdub(&["switchover", GROUP, "--to", standby])?;
    if !output.status.success() {
        return Err(LabError::Failed {
            command: format!("lubdub switchover {GROUP} --to {standby}"),
            status: output.status.to_string(),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    lab.wait_served(client, standby)?;
    wait_for(&format!("{active} has stopped everything"), PATIENCE, || {
        Ok(lab.web_runs_on()? == [standby])
    })?;
    let acts = vec![(fault, format!("lubdub switchover {GROUP} --to {standby}"))];
    Ok(Played { fault, acts, ends_on: standby })
}

fn partition(lab: &Lab, client: &Client) -> Result<Played, LabError> {
    let [active, standby] = PAIR;
    let fault = Moment::now();
    lab.switch().cut_heartbeats(active, standby)?;
    stays(
        &format!("{active} keeps the group, and {standby} does not take it"),
        lab.plan().deadtime * 4,
        || Ok(lab.kernels().only_holder_is(active)),
    )?;
    let healed = Moment::now();
    lab.switch().lose_nothing()?;
    wait_for("the nodes hear each other again", PATIENCE, || {
        Ok(lab.all_have_seen(healed, |event| matches!(event, Event::PeerUp { .. })))
    })?;
    lab.wait_served(client, active)?;
    let acts = vec![
        (
            fault,
            format!("all heartbeats between {active} and {standby} are dropped, on both links"),
        ),
        (healed, "heartbeats pass again".to_owned()),
    ];
    Ok(Played { fault, acts, ends_on: active })
}
