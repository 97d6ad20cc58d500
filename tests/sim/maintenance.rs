//! Maintenance, in words: what is left alone, what comes back, and what nobody may take meanwhile.

use std::time::Duration;

use lubdub::cluster::io::Command;
use lubdub::cluster::snapshot::{MaintenanceView, ResourceState, Snapshot};
use lubdub::config::{GroupId, NodeId};

use crate::directed::{ALPHA, BETA, SERVICE, VIP, WEB, come_up, millis};
use crate::mutant::Mutant;
use crate::network::Broken;
use crate::options::Options;
use crate::world::World;

const ON: Command = Command::Maintenance { on: true };
const OFF: Command = Command::Maintenance { on: false };

fn snapshot(world: &World, node: NodeId) -> Option<Snapshot> {
    let life = world.machine(node).life.as_ref()?;
    Some(life.door.snapshot(life.clock.read(world.now)))
}

fn view(world: &World, node: NodeId) -> Option<MaintenanceView> {
    snapshot(world, node)?.maintenance
}

fn in_force(world: &World) -> bool {
    world.nodes().all(|node| {
        view(world, node).is_some_and(|view| view.on && view.in_force && view.waits_for.is_empty())
    })
}

fn is_over(world: &World) -> bool {
    world.nodes().all(|node| snapshot(world, node).is_some() && view(world, node).is_none())
}

/// A pair in maintenance, with the group on alpha.
fn pair(options: Options) -> World {
    let mut world = come_up(options, Mutant::Sound).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(world.place_of(WEB), Some(ALPHA));
    world.command(BETA, ON);
    let took = world.wait_for(millis(1000), "maintenance is in force", in_force);
    assert!(took < millis(100), "{took:?}: news wait for no keepalive");
    world
}

fn ends(world: &mut World, node: NodeId) {
    world.terminate(node);
    world.wait_for(millis(3000), "the daemon ends", |world| world.machine(node).life.is_none());
}

/// Runs on; nothing starts or stops anywhere meanwhile.
fn still(world: &mut World, time: Duration) {
    let before = world.last_change;
    world.pass(time);
    assert_eq!(world.last_change, before, "{}\n{}", world.picture(), world.story());
}

fn over_and_stays_on(world: &mut World, node: NodeId) {
    world.wait_for(millis(5000), "every node knows that it is over", is_over);
    world.pass(millis(3000));
    let served = world.machine(node).runs_all(WEB) && world.place_of(WEB) == Some(node);
    assert!(served, "{}\n{}", world.picture(), world.story());
    still(world, millis(6000));
}

#[test]
fn daemons_are_upgraded_one_after_the_other_and_both_at_once_and_nothing_moves() {
    for seed in 0..20 {
        let mut world = pair(Options::pair(seed * 13));
        let before = world.last_change;
        for nodes in [&[BETA][..], &[ALPHA], &[ALPHA, BETA]] {
            for node in nodes {
                ends(&mut world, *node);
            }
            world.pass(millis(4000));
            for node in nodes {
                world.start_daemon(*node);
                world.pass(millis(seed * 100));
            }
            world.wait_for(millis(4000), "both are back", in_force);
        }
        world.command(ALPHA, OFF);
        world.wait_for(millis(2000), "it is over", is_over);
        assert_eq!(world.last_change, before, "{}\n{}", world.picture(), world.story());
        over_and_stays_on(&mut world, ALPHA);
        // Looked after again: the kernel lets the address of a dead daemon go, and the other one takes over.
        world.kill_daemon(ALPHA);
        world.wait_for(millis(4000), "beta takes over", |world| world.machine(BETA).runs_all(WEB));
    }
}

#[test]
fn a_killed_daemon_leaves_its_address_and_finds_it_again() {
    let mut world = pair(Options::pair(5));
    world.kill_daemon(ALPHA);
    still(&mut world, millis(20_000));
    world.start_daemon(ALPHA);
    world.wait_for(millis(4000), "alpha is back", in_force);
    world.command(ALPHA, OFF);
    over_and_stays_on(&mut world, ALPHA);
}

/// Neither peer nor ping node is heard, and nobody lets go; the other one is told that it is over, and takes nothing from
/// a node that cannot know.
#[test]
fn whoever_cannot_have_heard_of_the_end_keeps_what_it_has() {
    for seed in 0..20 {
        let mut options = Options::pair(seed * 11);
        options.arp = seed % 2 == 0;
        let mut world = pair(options);
        let cables = world.all_cables(ALPHA);
        world.break_(&cables);
        still(&mut world, millis(5000));
        world.command(BETA, OFF);
        still(&mut world, millis(5000));
        // Nor does it after a restart of its daemon.
        ends(&mut world, BETA);
        world.start_daemon(BETA);
        still(&mut world, millis(8000));
        // It would move to the node that sees the ping node, if only that did.
        world.mend(&[Broken::PingPath { node: ALPHA }, Broken::Service { node: ALPHA }]);
        still(&mut world, millis(5000));
        world.mend(&cables);
        over_and_stays_on(&mut world, ALPHA);
    }
}

#[test]
fn a_holder_that_loses_power_is_taken_over_after_the_operators_two_words() {
    let mut world = pair(Options::pair(9));
    world.power_off(ALPHA);
    still(&mut world, millis(5000));
    world.command(BETA, OFF);
    still(&mut world, millis(5000));
    world.command(BETA, Command::ConfirmDead { node: "alpha".to_owned() });
    world.wait_for(millis(2000), "beta takes over", |world| world.place_of(WEB) == Some(BETA));
    // What was settled so is settled for the next start too.
    ends(&mut world, BETA);
    world.start_daemon(BETA);
    world.wait_for(millis(5000), "beta starts it again", |world| world.place_of(WEB) == Some(BETA));
    world.power_on(ALPHA);
    over_and_stays_on(&mut world, BETA);
}

#[test]
fn what_died_or_was_stopped_by_hand_meanwhile_is_put_right_afterwards() {
    for (resource, restarted) in [(SERVICE, false), (VIP, false), (SERVICE, true), (VIP, true)] {
        let mut world = pair(Options::pair(21));
        world.end_resource(ALPHA, resource, "an operator stopped it");
        if restarted {
            ends(&mut world, ALPHA);
            world.start_daemon(ALPHA);
            world.wait_for(millis(4000), "alpha is back", in_force);
        }
        still(&mut world, millis(20_000));
        world.command(BETA, OFF);
        over_and_stays_on(&mut world, ALPHA);
    }
}

#[test]
fn it_needs_the_word_of_every_node_on_its_disk() {
    let mut world = come_up(Options::pair(4), Mutant::Sound).unwrap();
    world.break_(&[Broken::Disk { node: BETA }]);
    world.command(ALPHA, ON);
    world.pass(millis(10_000));
    let waits = view(&world, ALPHA).expect("it was asked for");
    assert!(waits.on && !waits.in_force, "{waits:?}");
    assert_eq!(waits.waits_for.first().map(|(node, _)| node.as_str()), Some("beta"));
    // Whoever is cut off lets go as ever, and nobody takes it: an operator wants nothing to move.
    let cables = world.all_cables(ALPHA);
    world.break_(&cables);
    world.wait_for(millis(1000), "alpha lets go", |world| !world.machine(ALPHA).runs_any(WEB));
    still(&mut world, millis(5000));
    world.mend(&cables);
    world.mend(&[Broken::Disk { node: BETA }]);
    world.wait_for(millis(10_000), "maintenance is in force", in_force);
    still(&mut world, millis(5000));
    world.command(ALPHA, OFF);
    over_and_stays_on(&mut world, ALPHA);

    // With a node that is not heard it is refused.
    world.power_off(BETA);
    world.pass(millis(2000));
    world.command(ALPHA, ON);
    world.pass(millis(100));
    assert_eq!(view(&world, ALPHA), None);
}

#[test]
fn the_end_is_said_only_when_a_dead_daemon_would_lose_its_address_again() {
    for wait in 0..40 {
        let mut options = Options::pair(wait);
        options.arp = false;
        let mut world = pair(options);
        world.command(BETA, OFF);
        world.pass(Duration::from_micros(wait * 250));
        // Whatever it had said by then: nobody takes over what is still there. What nobody has, since the address was
        // leased again and that not yet said, alpha has again when its daemon is back.
        world.kill_daemon(ALPHA);
        world.pass(millis(6000));
        let kept = world.machine(ALPHA).holds(WEB);
        let taken = world.machine(BETA).holds(WEB);
        assert!(!(kept && taken), "{}\n{}", world.picture(), world.story());
        world.start_daemon(ALPHA);
        over_and_stays_on(&mut world, if taken { BETA } else { ALPHA });
    }
}

#[test]
fn a_group_that_moves_is_waited_for_and_one_that_nobody_had_is_not_started() {
    let mut options = Options::pair(6);
    options.agent = millis(400);
    let mut world = come_up(options, Mutant::Sound).unwrap();
    world.command(ALPHA, Command::Switchover { group: "web".to_owned(), to: None });
    world.pass(millis(100));
    world.command(ALPHA, ON);
    world.pass(millis(3000));
    assert_eq!(view(&world, ALPHA), None, "it was refused while web moves");
    assert_eq!(world.place_of(WEB), Some(BETA));

    world.command(ALPHA, ON);
    world.wait_for(millis(1000), "maintenance is in force", in_force);
    world.power_off(ALPHA);
    world.power_off(BETA);
    world.power_on_all();
    still(&mut world, millis(10_000));
    let group = |world: &World| {
        snapshot(world, BETA).map(|now| now.groups[usize::from(GroupId(0).0)].clone())
    };
    let seen = group(&world).expect("beta runs");
    assert!(seen.resources.iter().all(|one| one.state == ResourceState::Stopped), "{seen:?}");
    assert!(seen.reason.to_string().contains("maintenance"), "{}", seen.reason);
    world.command(BETA, OFF);
    over_and_stays_on(&mut world, BETA);
}

/// It hears nobody and is heard: its word that it knows of the end comes in no round trip, and a ping node has no memory.
#[test]
fn a_deaf_holder_is_not_taken_for_dead_by_its_own_word() {
    let mut options = Options::pair(17);
    options.arp = false;
    let mut world = pair(options);
    let ways = world.ways_between(ALPHA, BETA).into_iter();
    let to_alpha: Vec<Broken> =
        ways.filter(|way| matches!(way, Broken::Way { to: ALPHA, .. })).collect();
    world.break_(&to_alpha);
    still(&mut world, millis(5000));
    world.command(ALPHA, OFF);
    still(&mut world, millis(5000));
    world.mend(&to_alpha);
    over_and_stays_on(&mut world, ALPHA);
}
