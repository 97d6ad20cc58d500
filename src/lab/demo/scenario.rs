//! What can go wrong in the demo, and what has to come of it. A fault here is the fault of a key on the live screen: both
//! are [`Scenario::strike`].

use std::fmt;

use clap::ValueEnum;

use super::super::client::Client;
use super::super::error::LabError;
use super::super::laboratory::{Lab, PATIENCE, stays, wait_for};
use super::super::moment::Moment;
use super::super::plan::{APART, GROUP, LAN};
use crate::cluster::event::Event;
use crate::cluster::io::{Command, Response};
use crate::control::{Answer, Request};

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

/// Who has the group, and who could take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    /// Runs the group.
    pub(super) active: String,
    /// Does not.
    pub(super) standby: String,
}

/// Something that the demo did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Act {
    /// When.
    pub(super) moment: Moment,
    /// What, in words.
    pub(super) text: String,
}

/// What was done.
#[derive(Debug)]
pub(super) struct Played {
    /// When it began to be wrong.
    pub(super) fault: Moment,
    /// What the demo did, with the times.
    pub(super) acts: Vec<Act>,
    /// The one node that has to have the group at the end.
    pub(super) ends_on: String,
}

impl Pair {
    /// The pair as it is: the kernels tell who has the address. Where nobody has it, or both, the preferred node counts.
    pub(super) fn of(lab: &Lab) -> Result<Self, LabError> {
        let holders = lab.kernels().holders();
        let names = || lab.nodes().iter().map(|node| node.name());
        let none = || LabError::Node { node: GROUP.to_owned(), problem: "it takes two nodes" };
        let active = match holders.as_slice() {
            [holder] => holder.as_str(),
            _ => names().next().ok_or_else(none)?,
        };
        let standby = names().find(|name| *name != active).ok_or_else(none)?;
        Ok(Self { active: active.to_owned(), standby: standby.to_owned() })
    }
}

impl Act {
    fn now(text: String) -> Self {
        Self { moment: Moment::now(), text }
    }
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
    pub(super) fn what_happens(self, pair: &Pair) -> String {
        let Pair { active, standby } = pair;
        match self {
            Self::PowerOff => format!("Now the power of {active}, the active node, is cut."),
            Self::KillDaemon => format!(
                "Now the daemon on {active}, the active node, is killed; the web server and the address are not."
            ),
            Self::KillService => {
                format!("Now the web server on {active}, the active node, is killed.")
            }
            Self::CutLink => format!(
                "Now the cable between {active}, the active node, and the service network is pulled."
            ),
            Self::Switchover => {
                format!("Now an operator moves the group from {active} to {standby}.")
            }
            Self::Partition => {
                "Now all heartbeats between the nodes are lost, while both still reach client and ping node.\n\
                 A cluster that took silence for death would run the group twice."
                    .to_owned()
            }
        }
    }

    /// Does it, and no more.
    pub(super) fn strike(self, lab: &Lab, pair: &Pair) -> Result<Act, LabError> {
        let Pair { active, standby } = pair;
        match self {
            Self::PowerOff => {
                let moment = lab.power_off(active)?;
                Ok(Act { moment, text: format!("the power of {active} is cut") })
            }
            Self::KillDaemon => {
                let act = Act::now(format!("the daemon on {active} is killed with SIGKILL"));
                lab.node(active)?.kill_daemon()?;
                Ok(act)
            }
            Self::KillService => {
                let act = Act::now(format!("the web server on {active} is killed with SIGKILL"));
                match lab.node(active)?.kill_matching(lab.plan().web.pattern())? {
                    0 => Err(LabError::Node {
                        node: active.clone(),
                        problem: "no web server runs there",
                    }),
                    _ => Ok(act),
                }
            }
            Self::CutLink => {
                let act =
                    Act::now(format!("the port of {active} on the service network goes down"));
                lab.switch().cut(active, LAN)?;
                Ok(act)
            }
            Self::Switchover => {
                let act = Act::now(format!("an operator moves {GROUP} to {standby}"));
                move_to(lab, pair)?;
                Ok(act)
            }
            Self::Partition => {
                let act = Act::now(format!(
                    "the heartbeat networks {} go dead between {active} and {standby}",
                    APART.join(" and ")
                ));
                lab.switch().stop(&APART)?;
                Ok(act)
            }
        }
    }

    /// Does it, and waits until what has to follow is seen from outside.
    pub(super) fn play(self, lab: &Lab, client: &Client) -> Result<Played, LabError> {
        let pair = Pair::of(lab)?;
        let Pair { active, standby } = &pair;
        let act = self.strike(lab, &pair)?;
        let (fault, mut acts) = (act.moment, vec![act]);
        let ends_on = match self {
            Self::PowerOff => {
                lab.wait_served(client, standby)?;
                standby
            }
            Self::KillDaemon => {
                lab.wait_served(client, standby)?;
                acts.extend(repair(lab)?);
                cleaned_up(lab, &pair)?;
                standby
            }
            Self::KillService => {
                wait_for("the client sees a failure", PATIENCE, || Ok(!client.served_by(active)))?;
                lab.wait_served(client, active)?;
                active
            }
            Self::CutLink => {
                lab.wait_served(client, standby)?;
                cleaned_up(lab, &pair)?;
                acts.extend(repair(lab)?);
                standby
            }
            Self::Switchover => {
                lab.wait_served(client, standby)?;
                cleaned_up(lab, &pair)?;
                standby
            }
            Self::Partition => {
                stays(
                    &format!("{active} keeps the group, and {standby} does not take it"),
                    lab.plan().deadtime * 4,
                    || Ok(lab.kernels().only_holder_is(active)),
                )?;
                let healed = repair(lab)?;
                let since = healed.first().map_or(fault, |act| act.moment);
                acts.extend(healed);
                wait_for("the nodes hear each other again", PATIENCE, || {
                    Ok(lab.all_have_seen(since, |event| matches!(event, Event::PeerUp { .. })))
                })?;
                lab.wait_served(client, active)?;
                active
            }
        };
        Ok(Played { fault, acts, ends_on: ends_on.clone() })
    }
}

/// Mends all that is broken; what it did.
pub(super) fn repair(lab: &Lab) -> Result<Vec<Act>, LabError> {
    // Before it is done: what follows from it follows at once.
    let moment = Moment::now();
    let mended = lab.switch().restore()?.into_iter();
    let mut acts: Vec<Act> = mended.map(|text| Act { moment, text }).collect();
    for node in lab.nodes() {
        let name = node.name();
        if !node.has_power() {
            acts.push(Act::now(format!("{name} has power again and starts its daemon")));
            lab.power_on(name)?;
            node.start_daemon()?;
        } else if !node.daemon_runs()? {
            acts.push(Act::now(format!("the daemon on {name} is started again")));
            node.start_daemon()?;
        }
    }
    Ok(acts)
}

/// Waits until the group runs on the second node alone.
fn cleaned_up(lab: &Lab, pair: &Pair) -> Result<(), LabError> {
    let Pair { active, standby } = pair;
    wait_for(&format!("{active} has stopped everything"), PATIENCE, || {
        Ok(lab.web_runs_on()? == [standby.as_str()])
    })
}

/// Asks the active node's daemon for the move, as `lubdub switchover` does, and does not wait for it.
fn move_to(lab: &Lab, pair: &Pair) -> Result<(), LabError> {
    let command = Command::Switchover { group: GROUP.to_owned(), to: Some(pair.standby.clone()) };
    let refused = |stderr: String| LabError::Failed {
        command: format!("lubdub switchover {GROUP} --to {}", pair.standby),
        status: "refused".to_owned(),
        stderr,
    };
    match lab.node(&pair.active)?.ask(&Request::Command(command))? {
        Answer::Command(Response::Accepted { .. }) => Ok(()),
        Answer::Command(Response::Refused { message }) | Answer::Error { message } => {
            Err(refused(message))
        }
        Answer::Status(_) | Answer::History(_) | Answer::Reload(_) => {
            Err(refused("the daemon answered another question".to_owned()))
        }
    }
}
