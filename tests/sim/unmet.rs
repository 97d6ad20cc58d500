//! Nodes that have never heard each other, by a wrong multicast group, say, and see only each other's addresses.

use crate::directed::{ALPHA, BETA, WEB, millis};
use crate::mutant::Mutant;
use crate::options::Options;
use crate::trace::Detail;
use crate::world::World;

/// Two nodes start at the same time, and nothing between them works but the service network: each brings the address up
/// after it has seen it silent.
#[test]
fn two_that_start_at_once_unheard_become_one_holder_that_stays() {
    let mut raced = 0;
    for seed in 0..60 {
        let mut options = Options::pair(seed * 7);
        options.arp = seed % 3 != 0;
        let mut world = World::new(options, Mutant::Sound, Detail::Last);
        let ways = world.ways_between(ALPHA, BETA);
        world.break_(&ways);
        world.power_on(ALPHA);
        world.pass(millis(seed % 7));
        world.power_on(BETA);
        world.pass(millis(2100));
        raced += u32::from(world.holders(WEB).len() == 2);
        world.pass(millis(4000));
        let place = world.place_of(WEB);
        assert!(place.is_some(), "seed {seed}: {}\n{}", world.picture(), world.story());
        let before = world.last_change;
        world.pass(millis(20_000));
        assert_eq!(world.last_change, before, "seed {seed}: {}", world.story());
        assert_eq!(world.place_of(WEB), place);
        // And the other one is there when it is needed.
        let holder = place.unwrap();
        world.power_off(holder);
        world.pass(millis(3000));
        assert!(
            world.place_of(WEB).is_some_and(|now| now != holder),
            "{}\n{}",
            world.picture(),
            world.story()
        );
    }
    assert!(raced > 10, "{raced} races are too few");
}

/// A ping node has no memory: with the heartbeats cut both hold at first. They see each other's address, and one lets go.
#[test]
fn two_that_a_cut_made_at_level_ping_become_one_when_they_see_each_others_address() {
    let mut met = 0;
    for seed in 0..20 {
        let mut options = Options::pair(seed * 5);
        options.arp = false;
        let mut world = World::new(options, Mutant::Sound, Detail::Last);
        world.power_on_all();
        world.pass(millis(5000));
        let ways = world.ways_between(ALPHA, BETA);
        world.break_(&ways);
        world.pass(millis(700));
        met += u32::from(world.holders(WEB).len() == 2);
        world.pass(millis(3000));
        let place = world.place_of(WEB);
        assert!(place.is_some(), "seed {seed}: {}\n{}", world.picture(), world.story());
        let before = world.last_change;
        world.pass(millis(30_000));
        assert_eq!(world.last_change, before, "seed {seed}: {}", world.story());
        world.mend(&ways);
        world.pass(millis(5000));
        assert_eq!(world.place_of(WEB), place, "{}", world.story());
    }
    assert!(met > 10, "{met}");
}
