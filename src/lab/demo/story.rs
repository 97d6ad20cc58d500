//! Scenarios that play themselves, one after the other on one pair, each with its story.

use std::process::ExitCode;

use super::super::client::Client;
use super::super::complain;
use super::super::error::LabError;
use super::super::figures::Sight;
use super::super::laboratory::{Lab, PATIENCE, stays, wait_for};
use super::super::plan::Plan;
use super::logs;
use super::report::{Figures, Report};
use super::scenario::{Pair, Played, Scenario};
use crate::cluster::snapshot::{NodeState, Snapshot};
use crate::control::{Answer, Request};

/// All of them: first what is mended in place, last what takes a whole node away; the refusal before the takeovers.
pub(super) const ALL: [Scenario; 6] = [
    Scenario::KillService,
    Scenario::Partition,
    Scenario::Switchover,
    Scenario::CutLink,
    Scenario::KillDaemon,
    Scenario::PowerOff,
];

/// What is told, as it happens.
#[derive(Debug)]
pub(super) enum Part {
    /// What is about to happen.
    Begins(String),
    /// What came of it.
    Ended(Report),
}

/// Plays them, each to its end; an error if the group does not end on exactly the node on which it belongs.
pub(super) fn tell(
    plan: Plan,
    scenarios: &[Scenario],
    mut hear: impl FnMut(Part) -> Result<(), LabError>,
) -> Result<ExitCode, LabError> {
    let lab = Lab::new(plan)?;
    let mut play_all = || {
        let mut first = Some(lab.begin()?);
        for scenario in scenarios {
            let client = match first.take() {
                Some(client) => client,
                None => {
                    settle(&lab)?;
                    lab.start_client()?
                }
            };
            hear(Part::Begins(scenario.what_happens(&Pair::of(&lab)?)))?;
            hear(Part::Ended(perform(&lab, *scenario, client)?))?;
        }
        Ok(())
    };
    if let Err(error) = play_all() {
        complain(&logs(&lab));
        return Err(error);
    }
    Ok(ExitCode::SUCCESS)
}

fn perform(lab: &Lab, scenario: Scenario, client: Client) -> Result<Report, LabError> {
    let Played { fault, acts, ends_on } = scenario.play(lab, &client)?;
    stays(
        &format!("{ends_on} alone has the group and serves the client"),
        lab.plan().deadtime,
        || {
            Ok(lab.kernels().only_holder_is(&ends_on)
                && client.served_by(&ends_on)
                && lab.web_runs_on()? == [ends_on.as_str()])
        },
    )?;
    let records = lab
        .nodes()
        .iter()
        .filter(|node| node.has_power())
        .map(|node| Ok((node.name().to_owned(), node.history()?)))
        .collect::<Result<Vec<_>, LabError>>()?;
    let figures = Figures::new(
        scenario,
        &lab.plan().web,
        fault,
        &Sight::of(&client.finish()?, fault),
        lab.kernels().both_held()?,
        &ends_on,
    );
    Ok(Report::new(figures, fault, &acts, &lab.kernels().holds(), &records))
}

/// Waits until either node could take the group over. Only daemons know that; what comes of it is judged from outside.
fn settle(lab: &Lab) -> Result<(), LabError> {
    let all_able = || {
        lab.nodes().iter().all(|node| {
            matches!(node.ask(&Request::Status), Ok(Answer::Status(status)) if is_settled(&status.snapshot))
        })
    };
    wait_for("either node could take the group over", PATIENCE, || Ok(all_able()))?;
    // For so long a ping node has to have answered before it counts.
    stays("either node could take the group over", lab.plan().deadtime, || Ok(all_able()))
}

fn is_settled(snapshot: &Snapshot) -> bool {
    let fine = |state: NodeState, ping: Option<bool>| state == NodeState::Up && ping == Some(true);
    snapshot.nodes.iter().all(|node| fine(node.state, node.ping))
        && snapshot.groups.iter().all(|group| group.unable.is_empty())
}
