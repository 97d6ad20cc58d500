//! Wall clocks that are wrong: what is said of them, and that nothing else follows.

use super::*;

const YEAR_US: i64 = 31_557_600_000_000;

fn is_about_clocks(event: &Event) -> bool {
    matches!(event, Event::ClockOffset { .. })
}

/// What a node says of the other's clock: for each piece of news the offset, and whether that is too much.
fn said(pair: &Pair, node: usize) -> Vec<(i64, bool)> {
    let events = pair.events.iter().filter(|(at, ..)| *at == node);
    events
        .filter_map(|(.., event)| {
            if let Event::ClockOffset { offset_us, apart, .. } = event {
                return Some((*offset_us, *apart));
            }
            assert!(!is_about_clocks(event));
            None
        })
        .collect()
}

#[test]
fn a_clock_that_is_a_year_off_is_said_once_and_again_when_it_is_right() {
    let mut pair = Pair::new();
    pair.wall_offset_us[1] = -YEAR_US;
    pair.run(5000);
    assert_eq!(said(&pair, 0), [(-YEAR_US, true)], "{}", pair.story());
    assert_eq!(said(&pair, 1), [(YEAR_US, true)], "{}", pair.story());
    let view = |pair: &Pair| pair.nodes[0].snapshot(pair.now).nodes[1].peer.clone().unwrap();
    assert_eq!((view(&pair).clock_offset_us, view(&pair).clock_apart), (Some(-YEAR_US), true));

    pair.wall_offset_us[1] = 300_000;
    pair.run(5000);
    assert_eq!(said(&pair, 0), [(-YEAR_US, true), (300_000, false)], "{}", pair.story());
    assert_eq!((view(&pair).clock_offset_us, view(&pair).clock_apart), (Some(300_000), false));
}

#[test]
fn what_was_said_is_not_said_again_of_the_next_life() {
    let mut pair = Pair::new();
    pair.wall_offset_us[1] = YEAR_US;
    pair.run(1000);
    pair.dead.insert(1);
    pair.run(2000);
    pair.restart(1, config(1));
    pair.run(3000);
    assert_eq!(said(&pair, 0), [(YEAR_US, true)], "{}", pair.story());
}

/// All outputs of a pair that starts, moves its group, loses a node and gets it back, and how many datagrams it took.
fn life_of_a_pair(steps_us: [[i64; 2]; 4]) -> (Vec<(usize, Output)>, usize) {
    let mut pair = Pair::new();
    let mut steps = steps_us.into_iter();
    let mut next =
        |pair: &mut Pair| pair.wall_offset_us[..2].copy_from_slice(&steps.next().unwrap());
    next(&mut pair);
    pair.run(1000);
    next(&mut pair);
    pair.run(50);
    pair.switchover(0);
    pair.run(1000);
    assert_eq!(pair.holders(), [1]);
    pair.dead.insert(1);
    pair.running.clear();
    pair.run(100);
    next(&mut pair);
    pair.run(1500);
    assert_eq!(pair.holders(), [0]);
    pair.restart(1, config(1));
    next(&mut pair);
    pair.run(2000);
    assert_eq!(pair.holders(), [0]);
    let others = |(_, output): &(usize, Output)| {
        if let Output::Emit(event) = output { !is_about_clocks(event) } else { true }
    };
    (pair.outputs.into_iter().filter(others).collect(), pair.sent)
}

#[test]
fn steps_of_wall_clocks_change_nothing_but_what_is_shown() {
    let right = life_of_a_pair([[0; 2]; 4]);
    for steps in [
        [[0, YEAR_US], [-YEAR_US, 0], [0, 0], [YEAR_US, YEAR_US]],
        [[0, 900_000], [0, 1_100_000], [0, -1_100_000], [5, -5]],
    ] {
        assert_eq!(life_of_a_pair(steps), right);
    }
}
