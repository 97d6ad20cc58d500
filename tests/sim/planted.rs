//! Each planted bug must be caught, by the audit that is there for it.

use lubdub::cluster::io::Command;

use crate::audit::{Audit, Violation};
use crate::directed::{ALPHA, BETA, SERVICE, VIP, come_up, millis};
use crate::machine::Temper;
use crate::mutant::Mutant;
use crate::network::Broken;
use crate::options::{Options, Sort};
use crate::sweep::play;
use crate::time::Moment;
use crate::trace::Detail;
use crate::world::World;

/// Run a story with a planted bug for some seeds: at least one of them must be caught, and each that is by one of these.
fn caught(
    mutant: Mutant,
    by: &[Audit],
    seeds: u64,
    story: impl Fn(Options, Mutant) -> Result<(), Violation>,
) {
    let mut found = 0;
    for seed in 0..seeds {
        if let Err(sound) = story(Options::pair(seed * 7), Mutant::Sound) {
            panic!("without the bug, seed {seed}: {sound}");
        }
        if let Err(violation) = story(Options::pair(seed * 7), mutant) {
            assert!(
                by.contains(&violation.audit),
                "{mutant:?} was caught by the wrong audit: {violation}"
            );
            found += 1;
        }
    }
    assert!(found > 0, "{mutant:?} was not caught in {seeds} seeds");
}

fn on(world: &World, time: u64) -> Moment {
    world.now + millis(time)
}

fn isolate(mut world: World) -> Result<(), Violation> {
    let cables = world.all_cables(ALPHA);
    world.break_(&cables);
    world.run_until(on(&world, 3000))
}

fn cut_heartbeats(options: Options, mutant: Mutant) -> Result<(), Violation> {
    let mut world = come_up(options, mutant)?;
    let cut = world.ways_between(ALPHA, BETA);
    world.break_(&cut);
    world.run_until(on(&world, 3000))
}

fn switch_over(options: Options, mutant: Mutant) -> Result<(), Violation> {
    let mut world = come_up(options, mutant)?;
    world.command(ALPHA, Command::Switchover { group: "web".to_owned(), to: None });
    world.run_until(on(&world, 3000))
}

#[test]
fn a_right_that_never_ends() {
    // An address is on its way when its daemon freezes and the heartbeats are cut: nobody is left to stop it but itself.
    caught(Mutant::RightsNeverEnd, &[Audit::NeverTwo], 10, |mut options, mutant| {
        options.groups = vec![vec![Sort::Address]];
        let mut world = come_up(options, mutant)?;
        let to =
            |node: &str| Command::Switchover { group: "web".to_owned(), to: Some(node.to_owned()) };
        world.command(ALPHA, to("beta"));
        world.run_until(on(&world, 1000))?;
        world.set_temper(ALPHA, SERVICE, Temper::Slow);
        world.command(ALPHA, to("alpha"));
        world.run_until(on(&world, 60))?;
        let cut = world.ways_between(ALPHA, BETA);
        world.break_(&cut);
        world.freeze(ALPHA);
        world.run_until(on(&world, 3000))
    });
}

#[test]
fn a_kernel_that_keeps_addresses_for_ever() {
    caught(Mutant::LeasesNeverEnd, &[Audit::SoonOne], 3, |mut options, mutant| {
        options.groups = vec![vec![Sort::Address]];
        let mut world = come_up(options, mutant)?;
        world.kill_daemon(ALPHA);
        world.settle(on(&world, 5000))
    });
}

#[test]
fn a_holder_that_does_not_let_go() {
    caught(Mutant::KeepsAddress, &[Audit::NeverTwo], 3, |options, mutant| {
        let mut world = come_up(options, mutant)?;
        // Its agent would not have got it off in time.
        world.set_temper(ALPHA, VIP, Temper::StopHangs);
        isolate(world)
    });
}

#[test]
fn a_stop_that_lies() {
    caught(Mutant::StopLies, &[Audit::NeverTwo], 3, |options, mutant| {
        let mut world = come_up(options, mutant)?;
        world.set_temper(ALPHA, VIP, Temper::StopFails);
        world.command(ALPHA, Command::Switchover { group: "web".to_owned(), to: None });
        world.run_until(on(&world, 3000))
    });
}

#[test]
fn a_clock_that_does_not_count_pauses() {
    caught(Mutant::HidesPauses, &[Audit::NeverTwo], 5, |options, mutant| {
        let mut world = come_up(options, mutant)?;
        // Longer than deadtime, and shorter than the kernel's lease.
        world.suspend(ALPHA);
        let cut = world.ways_between(ALPHA, BETA);
        world.break_(&cut);
        world.run_until(on(&world, 700))?;
        world.wake(ALPHA);
        world.run_until(on(&world, 3000))
    });
}

#[test]
fn terms_that_begin_again() {
    caught(Mutant::Amnesia, &[Audit::Terms], 3, |options, mutant| {
        let mut world = come_up(options, mutant)?;
        for _ in 0..2 {
            world.power_off(ALPHA);
            world.power_off(BETA);
            world.power_on_all();
            world.run_until(on(&world, 4000))?;
        }
        Ok(())
    });
}

#[test]
fn consent_that_was_never_given() {
    caught(Mutant::ForgesConsent, &[Audit::Evidence, Audit::NeverTwo], 3, switch_over);
}

#[test]
fn a_ping_node_that_always_seems_to_answer() {
    caught(
        Mutant::PingAlwaysAnswers,
        &[Audit::Evidence, Audit::NeverTwo],
        3,
        |mut options, mutant| {
            options.arp = false;
            isolate(come_up(options, mutant)?)
        },
    );
}

#[test]
fn probes_that_hear_nothing() {
    caught(Mutant::ProbesAlwaysSilent, &[Audit::NeverTwo], 3, cut_heartbeats);
}

#[test]
fn replays_that_are_believed() {
    caught(Mutant::BelievesReplays, &[Audit::SoonOne], 3, |options, mutant| {
        let mut world = come_up(options, mutant)?;
        world.power_off(ALPHA);
        world.replay(20_000, millis(20_000));
        world.settle(on(&world, 4000))
    });
}

#[test]
fn maintenance_that_not_every_node_has_on_its_disk() {
    caught(Mutant::ForgesNoted, &[Audit::NeverTwo], 3, |options, mutant| {
        let mut world = come_up(options, mutant)?;
        // The wish does not get through; what beta says still does, for a while.
        let ways = world.ways_between(ALPHA, BETA).into_iter();
        let out: Vec<Broken> =
            ways.filter(|way| matches!(way, Broken::Way { from: ALPHA, .. })).collect();
        world.break_(&out);
        world.command(ALPHA, Command::Maintenance { on: true });
        world.run_until(on(&world, 300))?;
        isolate(world)
    });
}

#[test]
fn an_end_of_maintenance_that_its_holder_has_not_heard_of() {
    caught(Mutant::ForgesOver, &[Audit::NeverTwo], 3, |options, mutant| {
        let mut world = come_up(options, mutant)?;
        world.command(BETA, Command::Maintenance { on: true });
        world.run_until(on(&world, 1000))?;
        let cables = world.all_cables(ALPHA);
        world.break_(&cables);
        world.run_until(on(&world, 2000))?;
        world.command(BETA, Command::Maintenance { on: false });
        world.run_until(on(&world, 3000))
    });
}

#[test]
fn requests_with_one_name() {
    caught(Mutant::RepeatsIds, &[Audit::Requests], 1, switch_over);
}

#[test]
fn a_group_that_starts_from_its_end() {
    caught(Mutant::StartsBackwards, &[Audit::Order], 1, switch_over);
}

#[test]
fn a_core_that_says_too_much() {
    caught(Mutant::Chatters, &[Audit::Bounds], 1, switch_over);
}

#[test]
fn a_core_that_goes_on_after_its_end() {
    caught(Mutant::SpeaksAfterExit, &[Audit::Requests], 1, |options, mutant| {
        let mut world = come_up(options, mutant)?;
        world.terminate(ALPHA);
        world.run_until(on(&world, 3000))
    });
}

#[test]
fn a_ping_guard_without_its_answer_is_caught_in_random_worlds_too() {
    let mut audits = Vec::new();
    for seed in 0..40 {
        let mut options = Options::swarm(seed);
        (options.nodes, options.ping, options.arp) = (2, true, true);
        options.chaos = millis(8000);
        let mut world = World::new(options, Mutant::ProbesAlwaysSilent, Detail::None);
        audits.extend(play(&mut world).err().map(|violation| violation.audit));
    }
    assert!(audits.contains(&Audit::NeverTwo), "{audits:?}");
}

#[test]
fn a_breach_is_told_with_its_audit_its_moment_and_its_story() {
    let mut world = come_up(Options::pair(1), Mutant::ProbesAlwaysSilent).unwrap();
    let cut = world.ways_between(ALPHA, BETA);
    world.break_(&cut);
    let violation = world.run_until(on(&world, 3000)).unwrap_err();
    assert!(violation.to_string().contains("audit NeverTwo failed at"), "{violation}");
    assert!(
        world.story().contains("BROKEN") && world.story().lines().count() <= 40,
        "{}",
        world.story()
    );
    assert!(!world.network.is_broken(Broken::PingNode));
}
