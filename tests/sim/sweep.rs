//! Many seeds, one report; one seed, its whole story.
//!
//! `SIM_SEEDS` says how many, `SIM_FROM` which is the first, `SIM_SEED` plays one and prints everything.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{env, thread};

use lubdub::config::NodeId;

use crate::audit::Violation;
use crate::chaos::FAULTS;
use crate::mutant::Mutant;
use crate::options::Options;
use crate::rng::Rng;
use crate::trace::Detail;
use crate::world::{Tally, World};

/// Seeds of a plain `cargo test`.
const SEEDS: u64 = 256;

/// A sweep of fewer need not have seen everything.
const SEEDS_THAT_SEE_ALL: u64 = 200;

/// What a sweep has to have seen besides every fault, or it tested less than it says.
const SIGHTS: [&str; 24] = [
    "datagram lost",
    "datagram doubled",
    "datagram held up",
    "agent hung",
    "monitor lied",
    "write refused",
    "kernel's lease ended",
    "start came too late",
    "peer lost",
    "peer left",
    "pause noticed",
    "takeover refused",
    "holder let go",
    "group adopted",
    "group blocked",
    "both active",
    "cleared by consent",
    "cleared by goodbye",
    "cleared by the guard",
    "two held beyond the promise",
    "maintenance in force",
    "maintenance over",
    "left running",
    "left alone",
];

/// Play a seed: a quiet beginning, faults, calm, and the end.
pub fn play(world: &mut World) -> Result<(), Violation> {
    let mut rng = Rng::new(world.options.seed, "script");
    play_until_calm(world)?;
    let absent = (world.options.nodes > 1 && rng.chance(250))
        .then(|| NodeId(u8::try_from(rng.below(u64::from(world.options.nodes))).unwrap()));
    let bound = world.calm(absent);
    world.run_until(world.now + world.options.timing.deadtime)?;
    world.settle(bound + world.options.timing.deadtime)
}

/// Nodes come up one after the other, and then faults go on for as long as the options say.
fn play_until_calm(world: &mut World) -> Result<(), Violation> {
    let mut rng = Rng::new(world.options.seed, "beginning");
    for node in world.nodes() {
        let skew = rng.duration(Duration::ZERO, world.options.timing.deadtime * 2);
        world.undo_after(skew, crate::hands::Undo::PowerOn(node));
    }
    let quiet = world.options.timing.initdead + world.options.timing.deadtime * 4;
    let quiet = rng.duration(Duration::from_millis(1), quiet + Duration::from_secs(1));
    world.run_until(world.now + quiet)?;
    let end = world.unleash();
    world.run_until(end)
}

/// The failure of a seed, with the last lines of its story and how to see all of it.
fn failure_text(seed: u64) -> String {
    let mut world = World::new(Options::swarm(seed), Mutant::Sound, Detail::Last);
    let result = play(&mut world);
    let mut text = format!("seed {seed}: {:?}\n", world.options);
    for line in world.trace.lines() {
        let _ = writeln!(text, "{line}");
    }
    match result {
        Ok(()) => text
            .push_str("the second run of this seed passed: the simulation is not deterministic\n"),
        Err(violation) => {
            let _ = writeln!(text, "{violation}");
        }
    }
    let _ = writeln!(text, "replay: SIM_SEED={seed} cargo test --test sim sweep -- --nocapture");
    text
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

#[test]
fn sweep() {
    if let Some(seed) = number("SIM_SEED") {
        let mut world = World::new(Options::swarm(seed), Mutant::Sound, Detail::All);
        let result = play(&mut world);
        println!("{:?}\n{}\n{}", world.options, world.story(), world.tally);
        result.unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        return;
    }
    let (first, count) = (number("SIM_FROM").unwrap_or(0), number("SIM_SEEDS").unwrap_or(SEEDS));
    let next = AtomicU64::new(first);
    let results = Mutex::new((Tally::default(), Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        break;
                    }
                    let mut world = World::new(Options::swarm(seed), Mutant::Sound, Detail::None);
                    let result = play(&mut world);
                    let mut results = results.lock().unwrap();
                    results.0.add(&world.tally);
                    if let Err(violation) = result {
                        results.1.push((seed, violation));
                    }
                }
            });
        }
    });
    let (tally, mut failed) = results.into_inner().unwrap();
    println!("{count} seeds: {tally}");
    failed.sort_unstable_by_key(|(seed, _)| *seed);
    if let Some((first, _)) = failed.first() {
        for (seed, violation) in &failed {
            println!("seed {seed}: {violation}");
        }
        panic!(
            "{} of {count} seeds failed; the first of them:\n{}",
            failed.len(),
            failure_text(*first)
        );
    }
    if count >= SEEDS_THAT_SEE_ALL {
        let expected = FAULTS.iter().map(|(_, _, name)| *name).chain(SIGHTS);
        let unseen: Vec<&str> = expected.filter(|name| tally.of(name) == 0).collect();
        assert!(unseen.is_empty(), "never happened in {count} seeds: {unseen:?}");
    }
}

#[test]
fn in_a_world_at_peace_operators_never_raise_an_alarm_nor_make_two() {
    for seed in 0..64 {
        let mut options = Options::swarm(seed);
        (options.peaceful, options.wall_steps) = (true, false);
        let mut world = World::new(options, Mutant::Sound, Detail::Last);
        let result = play_until_calm(&mut world);
        result.unwrap_or_else(|violation| panic!("seed {seed}: {violation}\n{}", world.story()));
        assert_eq!(
            world.tally.of("two held beyond the promise"),
            0,
            "seed {seed}: {}",
            world.story()
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_story_and_another_seed_another() {
    let tell = |seed| {
        let mut options = Options::swarm(seed);
        options.chaos = Duration::from_secs(6);
        let mut world = World::new(options, Mutant::Sound, Detail::All);
        let result = play(&mut world).map_err(|violation| violation.to_string());
        (world.story(), world.trace.digest(), result)
    };
    for seed in 1000..1004 {
        let (first, second, other) = (tell(seed), tell(seed), tell(seed + 100));
        assert!(first == second, "seed {seed} told two stories");
        assert_ne!(first.1, other.1);
        assert_ne!(first.0, other.0);
    }
}
