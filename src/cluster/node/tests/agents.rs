//! Agents that cannot be executed, and what is found of a group where it does not run.

use super::*;
use crate::cluster::event::{Recovery, StopReason};
use crate::cluster::io::{AddressNotice, Response};
use crate::cluster::placement::Unable;

const VIP: ResourceId = ResourceId { group: WEB, index: 0 };
const WEB: GroupId = GroupId(0);

fn gone() -> Outcome {
    Outcome::CannotExecute("no such file".to_owned())
}

fn replies(pair: &Pair) -> Vec<&Response> {
    let mut replies = Vec::new();
    for (_, output) in &pair.outputs {
        if let Output::Reply { response, .. } = output {
            replies.push(response);
        }
    }
    replies
}

#[test]
fn a_node_without_an_agent_gets_nothing_until_the_agent_is_there() {
    let mut pair = Pair::new();
    for action in [Action::Monitor, Action::Start, Action::Stop] {
        pair.broken.insert((1, 0, action), gone());
    }
    pair.run(30_000);
    assert_eq!(pair.holders(), [0], "{}", pair.story());
    // Long after it was found to be missing.
    for node in 0..2 {
        assert_eq!(pair.nodes[node].unable(NodeId(1), WEB), Some(Unable::NoAgent));
    }
    pair.switchover(0);
    pair.run(1000);
    assert_eq!(pair.holders(), [0], "an outage for nothing: {}", pair.story());
    let refused = |response: &&Response| matches!(response, Response::Refused { message } if message.contains("cannot be executed"));
    assert!(replies(&pair).iter().any(refused), "{:?}", replies(&pair));
    let told = |event: &Event| matches!(event, Event::AgentFailed { then, .. } if *then == Recovery::AwaitAgent);
    assert_eq!(pair.count(1, told), 1, "{}", pair.story());

    pair.broken.clear();
    pair.run(11_000);
    assert_eq!(pair.nodes[0].unable(NodeId(1), WEB), None, "{}", pair.story());
    pair.dead.insert(0);
    pair.run(1000);
    assert_eq!(pair.holders(), [1], "{}", pair.story());
}

#[test]
fn a_monitor_that_cannot_be_executed_ends_nothing() {
    let mut pair = Pair::new();
    pair.run(1000);
    for action in [Action::Monitor, Action::Start, Action::Stop] {
        pair.broken.insert((0, 0, action), gone());
    }
    pair.run(20_000);
    assert_eq!(pair.holders(), [0], "{}", pair.story());
    assert_eq!(pair.count(0, |event| matches!(event, Event::GroupStopping { .. })), 0);
    let told = |event: &Event| matches!(event, Event::AgentFailed { then, .. } if *then == Recovery::Unwatched);
    assert_eq!(pair.count(0, told), 1, "{}", pair.story());
    assert!(pair.nodes[0].groups[0].resources[0].failure.is_some());
    pair.broken.clear();
    pair.run(2000);
    assert_eq!(pair.nodes[0].groups[0].resources[0].failure, None);
}

#[test]
fn an_address_that_came_to_a_standby_is_taken_off_again() {
    let mut pair = Pair::new();
    pair.run(1000);
    pair.running.insert((1, VIP));
    pair.tell(1, Input::AddressNoticed { resource: VIP, notice: AddressNotice::Appeared });
    pair.run(200);
    assert_eq!(pair.holders(), [0], "{}", pair.story());
    let leftover = |event: &Event| matches!(event, Event::GroupStopping { because, .. } if matches!(because, StopReason::Leftover { .. }));
    assert_eq!(pair.count(1, leftover), 1, "{}", pair.story());
    // And it can take over as before.
    pair.dead.insert(0);
    pair.run(1000);
    assert_eq!(pair.holders(), [1], "{}", pair.story());
}

#[test]
fn a_look_that_hangs_holds_no_takeover_up() {
    let mut pair = Pair::new();
    pair.run(1000);
    pair.slow.insert((1, 0, Action::Monitor));
    pair.tell(1, Input::AddressNoticed { resource: VIP, notice: AddressNotice::Appeared });
    pair.run(100);
    pair.dead.insert(0);
    pair.run(700);
    let (node, op) = pair.waiting[0];
    assert!(pair.outputs.contains(&(node, Output::KillAgent { op })), "{}", pair.story());
    pair.tell(node, Input::AgentFinished { op, outcome: Outcome::Killed });
    pair.run(50);
    assert_eq!(pair.holders(), [1], "{}", pair.story());
}

#[test]
fn a_group_whose_former_holder_is_silent_cannot_move_to_where_it_is() {
    let mut pair = Pair::new();
    pair.run(1000);
    pair.dead.insert(0);
    pair.run(1000);
    assert_eq!(pair.holders(), [1], "{}", pair.story());
    pair.switchover(1);
    pair.run(100);
    let refused = |response: &&Response| matches!(response, Response::Refused { message } if message.contains("alpha is lost"));
    assert!(replies(&pair).iter().any(refused), "{:?}", replies(&pair));
}
