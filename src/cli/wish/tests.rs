use std::path::Path;

use super::*;
use crate::cluster::snapshot::MaintenanceView;
use crate::control::Status;
use crate::wire::{Run, Term};

/// alpha and beta up, web started on alpha.
fn fine() -> Snapshot {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/status/fine.json");
    serde_json::from_str::<Status>(&std::fs::read_to_string(path).unwrap()).unwrap().snapshot
}

fn holders(snapshot: &mut Snapshot, holders: &[(&str, Run)]) {
    snapshot.groups[0].holders =
        holders.iter().map(|(node, run)| ((*node).to_owned(), *run, Term(256))).collect();
}

fn to_beta() -> Goal {
    Goal::Moved { group: "web".into(), to: Some("beta".into()), from: Some("alpha".into()) }
}

fn waiting(text: &str) -> Progress {
    Progress::Waiting(text.to_owned())
}

#[test]
fn a_switchover_is_done_when_the_group_runs_there_alone() {
    let mut now = fine();
    now.groups[0].target = Some("beta".into());
    assert_eq!(to_beta().progress(&now), waiting("web still runs on alpha"));
    holders(&mut now, &[("alpha", Run::Stopping), ("beta", Run::Claiming)]);
    assert_eq!(to_beta().progress(&now), waiting("web is stopping on alpha"));
    holders(&mut now, &[("beta", Run::Starting)]);
    assert_eq!(to_beta().progress(&now), waiting("web is starting on beta"));
    holders(&mut now, &[("alpha", Run::Started), ("beta", Run::Started)]);
    assert_eq!(to_beta().progress(&now), waiting("web runs on alpha and beta"));
    holders(&mut now, &[("beta", Run::Started)]);
    assert_eq!(
        to_beta().progress(&now),
        Progress::Done("web runs on beta, no longer on alpha".into())
    );
}

#[test]
fn a_switchover_to_any_other_node_is_done_on_any_other_node() {
    let goal = Goal::Moved { group: "web".into(), to: None, from: Some("alpha".into()) };
    let mut now = fine();
    assert_eq!(goal.progress(&now), waiting("web still runs on alpha"));
    holders(&mut now, &[("beta", Run::Started)]);
    assert_eq!(goal.progress(&now), Progress::Done("web runs on beta, no longer on alpha".into()));
}

#[test]
fn a_switchover_that_comes_back_has_failed() {
    let mut now = fine();
    now.groups[0].reason = Reason::BestAble { instead_of: vec![("beta".into(), Unable::Failed)] };
    let Progress::Failed(why) = to_beta().progress(&now) else { panic!("it did not fail") };
    assert_eq!(
        why,
        "web runs on alpha, not on beta: best able node (beta failed to run it a short time ago)"
    );
    now.groups[0].unable = vec![("beta".into(), Unable::Failed)];
    let Progress::Failed(why) = to_beta().progress(&now) else { panic!("it did not fail") };
    assert!(why.ends_with("; `lubdub status` on beta says why"), "{why}");
    holders(&mut now, &[("alpha", Run::Blocked)]);
    let Progress::Failed(why) = to_beta().progress(&now) else { panic!("it did not fail") };
    assert!(why.starts_with("web is blocked: a stop failed on alpha"), "{why}");
}

#[test]
fn standby_is_done_when_the_groups_run_elsewhere() {
    let goal = Goal::Standby { node: "alpha".into() };
    let mut now = fine();
    assert_eq!(goal.progress(&now), waiting("alpha is not in standby yet"));
    now.nodes[0].standby = Some("root".into());
    assert_eq!(goal.progress(&now), waiting("web still runs on alpha"));
    now.groups[0].target = Some("beta".into());
    holders(&mut now, &[]);
    assert!(matches!(goal.progress(&now), Progress::Waiting(_)), "between two nodes");
    holders(&mut now, &[("beta", Run::Starting)]);
    assert_eq!(goal.progress(&now), waiting("web is starting on beta"));
    holders(&mut now, &[("beta", Run::Started)]);
    assert_eq!(goal.progress(&now), Progress::Done("alpha is in standby and runs nothing".into()));
}

#[test]
fn standby_fails_where_nobody_else_is_able() {
    let mut now = fine();
    now.nodes[0].standby = Some("root".into());
    now.groups[0].reason = Reason::NobodyElse { because: Unable::Standby };
    let Progress::Failed(why) = (Goal::Standby { node: "alpha".into() }).progress(&now) else {
        panic!("it did not fail")
    };
    assert!(why.starts_with("alpha is in standby, but keeps web: no other node is able"), "{why}");
}

#[test]
fn maintenance_is_done_when_every_node_knows_and_its_end_when_all_that_are_heard_do() {
    let (on, off) = (Goal::Maintenance { on: true }, Goal::Maintenance { on: false });
    let mut now = fine();
    let view = |on: bool, in_force: bool, waits: &[(&str, Wait)]| {
        let waits_for = waits.iter().map(|(node, wait)| ((*node).to_owned(), *wait)).collect();
        Some(MaintenanceView { on, author: "root".into(), in_force, waits_for })
    };
    assert_eq!(off.progress(&now), Progress::Done("maintenance is over".into()));
    now.maintenance = view(true, false, &[("beta", Wait::Silent)]);
    assert_eq!(on.progress(&now), waiting("beta is not heard"));
    assert_eq!(off.progress(&now), waiting("maintenance is not over yet"));
    now.maintenance = view(true, true, &[("beta", Wait::Word)]);
    assert_eq!(on.progress(&now), waiting("beta has not said that it knows"));
    now.maintenance = view(true, true, &[]);
    assert_eq!(on.progress(&now), Progress::Done("maintenance is in force on every node".into()));
    now.maintenance = view(false, false, &[("beta", Wait::Silent), ("alpha", Wait::Groups)]);
    assert!(matches!(on.progress(&now), Progress::Failed(_)));
    assert_eq!(off.progress(&now), waiting("alpha still looks at what runs on it"));
    now.maintenance = view(false, false, &[("beta", Wait::Silent)]);
    assert_eq!(
        off.progress(&now),
        Progress::Done("maintenance is over on every node that is heard".into())
    );
    // Nothing is waited for that maintenance keeps from happening.
    now.nodes[1].state = NodeState::Dead;
    now.maintenance = view(true, true, &[]);
    let dead = Goal::Dead { node: "beta".into() }.progress(&now);
    assert!(
        matches!(&dead, Progress::Done(words) if words.contains("maintenance off")),
        "{dead:?}"
    );
}

#[test]
fn online_is_done_when_nobody_wants_standby_any_more() {
    let goal = Goal::Online { node: "beta".into() };
    let mut now = fine();
    now.nodes[1].standby = Some("root".into());
    assert_eq!(goal.progress(&now), waiting("beta is still in standby"));
    now.nodes[1].standby = None;
    assert_eq!(goal.progress(&now), Progress::Done("beta takes part".into()));
}

#[test]
fn confirm_dead_is_done_when_the_groups_run_again() {
    let goal = Goal::Dead { node: "beta".into() };
    let mut now = fine();
    assert_eq!(goal.progress(&now), Progress::Failed("beta is heard again: it is alive".into()));
    now.nodes[1].state = NodeState::Lost;
    holders(&mut now, &[("beta", Run::Started)]);
    assert_eq!(goal.progress(&now), waiting("beta does not count as dead yet"));
    now.nodes[1].state = NodeState::Dead;
    now.groups[0].target = Some("alpha".into());
    assert!(matches!(goal.progress(&now), Progress::Waiting(_)));
    holders(&mut now, &[("alpha", Run::Starting)]);
    assert_eq!(goal.progress(&now), waiting("web is starting on alpha"));
    holders(&mut now, &[("alpha", Run::Started)]);
    assert_eq!(
        goal.progress(&now),
        Progress::Done("beta counts as dead; web runs on alpha".into())
    );
}
