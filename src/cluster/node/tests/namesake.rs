//! Two machines with one name: whatever they and their peer do, nothing is taken twice.

use super::*;

/// Alpha, beta, and a third machine that was given alpha's name; all hear each other.
const ALPHA: usize = 0;
const BETA: usize = 1;
const CLONE: usize = 2;

fn on_a_group(me: u8) -> Config {
    let mut config = config(me);
    config.links[0].transport = Transport::Multicast {
        group: "239.192.7.94".parse().unwrap(),
        ttl: 1,
        addresses: vec![None; 2],
    };
    config
}

/// A pair that runs its group on alpha; the third machine has no power.
fn three() -> Pair {
    let mut three = Pair::with([on_a_group(0), on_a_group(1), on_a_group(0)]);
    three.dead.insert(CLONE);
    three.run(1000);
    assert_eq!(three.holders(), [ALPHA], "{}", three.story());
    three
}

fn boot(three: &mut Pair) {
    three.nodes[CLONE] = Node::new(on_a_group(0), Incarnation(777), 8, three.now);
    three.dead.remove(&CLONE);
}

fn knows(three: &Pair, node: usize, wanted: bool) -> bool {
    let told = three.events.iter().rev().find_map(|(at, _, event)| {
        if let Event::Namesakes { lives, .. } = event {
            (*at == node).then_some(*lives)
        } else {
            None
        }
    });
    told == Some(wanted)
}

/// Every millisecond, since what must not be may be short.
fn run_as_one(three: &mut Pair, millis: u64, holder: usize) {
    for _ in 0..millis {
        three.run(1);
        assert_eq!(three.holders(), [holder], "{}", three.story());
    }
}

#[test]
fn a_clone_takes_nothing_and_all_three_tell_of_it() {
    for offset in (0..100).step_by(7) {
        let mut three = three();
        three.run(offset);
        boot(&mut three);
        run_as_one(&mut three, 3000, ALPHA);
        for node in [ALPHA, BETA, CLONE] {
            assert!(knows(&three, node, true), "{node}: {}", three.story());
        }
        // It is said once, and what follows from it is no news each time.
        let news = three
            .events
            .iter()
            .filter(|(_, at, _)| three.now - *at < Duration::from_millis(2000))
            .count();
        assert!(news < 10, "{news} events in two seconds: {}", three.story());
        let view = three.nodes[ALPHA].snapshot(three.now);
        assert_eq!(view.namesake.as_deref(), Some("machine 2"));
        assert!(view.nodes[0].doubled && !view.nodes[1].doubled);
        assert!(three.nodes[BETA].snapshot(three.now).nodes[0].doubled);
    }
}

#[test]
fn a_clone_that_is_stopped_speaks_for_nobody() {
    let mut three = three();
    boot(&mut three);
    run_as_one(&mut three, 1000, ALPHA);
    three.tell(CLONE, Input::Shutdown);
    run_as_one(&mut three, 200, ALPHA);
    assert!(three.exited.contains(&CLONE));
    three.dead.insert(CLONE);
    run_as_one(&mut three, 3000, ALPHA);
    for node in [ALPHA, BETA] {
        assert!(knows(&three, node, false), "{node}: {}", three.story());
    }
    // All is as before: alpha can fail.
    three.dead.insert(ALPHA);
    three.run(700);
    assert_eq!(three.holders(), [BETA], "{}", three.story());
}

#[test]
fn nothing_moves_while_two_have_one_name() {
    let mut three = three();
    boot(&mut three);
    run_as_one(&mut three, 1000, ALPHA);
    for node in [BETA, ALPHA, CLONE] {
        three.command(
            node,
            Command::Switchover { group: "web".to_owned(), to: Some("beta".to_owned()) },
        );
        run_as_one(&mut three, 1500, ALPHA);
    }
}

#[test]
fn one_of_three_has_the_group_again_after_the_holder_died() {
    let mut three = three();
    boot(&mut three);
    run_as_one(&mut three, 1000, ALPHA);
    three.dead.insert(ALPHA);
    for _ in 0..6000 {
        three.run(1);
        assert!(three.holders().len() <= 1, "{}", three.story());
    }
    assert_eq!(three.holders().len(), 1, "{}", three.story());
}

#[test]
fn two_that_start_together_take_nothing_until_one_is_gone() {
    let mut three = Pair::with([on_a_group(0), on_a_group(1), on_a_group(0)]);
    three.nodes[CLONE] = Node::new(on_a_group(0), Incarnation(777), 8, Instant::ZERO);
    for _ in 0..5000 {
        three.run(1);
        assert!(three.holders().len() <= 1, "{}", three.story());
    }
    three.dead.insert(CLONE);
    three.run(5000);
    assert_eq!(three.holders().len(), 1, "{}", three.story());
}

/// A clone that hears beta before it hears its namesake waits for a little more than a keepalive.
#[test]
fn a_clone_listens_before_it_takes_part() {
    for offset in (0..100).step_by(5) {
        let mut three = three();
        three.run(offset);
        three.lost.extend([(ALPHA, CLONE), (CLONE, ALPHA)]);
        boot(&mut three);
        run_as_one(&mut three, 15, ALPHA);
        three.lost.clear();
        run_as_one(&mut three, 1000, ALPHA);
    }
}

/// Beta hears of its two peers of one name the clone alone, which hears both: that promises nothing in the other's name,
/// and says no goodbye for it.
#[test]
fn a_clone_does_not_speak_for_the_one_that_is_not_heard() {
    let mut three = three();
    boot(&mut three);
    run_as_one(&mut three, 500, ALPHA);
    three.lost.insert((ALPHA, BETA));
    run_as_one(&mut three, 3000, ALPHA);
    assert!(knows(&three, BETA, false), "{}", three.story());
    three.tell(CLONE, Input::Shutdown);
    run_as_one(&mut three, 3000, ALPHA);
}

/// The two do not hear each other, beta hears both, and one of them says goodbye: that counts for neither.
#[test]
fn a_goodbye_of_one_of_two_is_not_believed() {
    let mut three = three();
    three.lost.extend([(ALPHA, CLONE), (CLONE, ALPHA)]);
    let resource = ResourceId { group: GroupId(0), index: 0 };
    let failure = Outcome::Exited { code: ExitCode::Generic, reason: None };
    three.broken.insert((CLONE, resource.index, Action::Start), failure);
    boot(&mut three);
    run_as_one(&mut three, 1000, ALPHA);
    assert!(knows(&three, BETA, true), "{}", three.story());
    three.tell(CLONE, Input::Shutdown);
    run_as_one(&mut three, 150, ALPHA);
    assert!(three.exited.contains(&CLONE), "{}", three.story());
    three.dead.insert(CLONE);
    run_as_one(&mut three, 3000, ALPHA);
}

/// What a former life of this node sent may be played to it again: it is held up once, and not for long.
#[test]
fn a_replay_is_no_namesake() {
    let mut three = three();
    let mut recorded = None;
    if let Some((_, Output::Send { link, heartbeat, .. })) = capture(&mut three) {
        recorded = Some((link, heartbeat));
    }
    let (link, heartbeat) = recorded.expect("alpha beats");
    three.dead.insert(ALPHA);
    boot(&mut three);
    let start = three.now;
    while three.now < start + Duration::from_millis(3000) {
        for sequence in 0..20 {
            let mut heartbeat = heartbeat.clone();
            heartbeat.header.sequence.0 += sequence + three.now.as_micros();
            let source = "somewhere".to_owned();
            three.tell(CLONE, Input::Namesake { link, source, heartbeat });
        }
        three.run(10);
        assert!(three.holders().len() <= 1, "{}", three.story());
    }
    assert!(!knows(&three, CLONE, true), "{}", three.story());
    assert_eq!(three.holders().len(), 1, "somebody serves: {}", three.story());
    let joined = |(at, _, event): &&(usize, Instant, Event)| {
        *at == CLONE && matches!(event, Event::Joined { .. })
    };
    assert_eq!(three.events.iter().filter(joined).count(), 1, "{}", three.story());
}

/// The next heartbeat that alpha sends.
fn capture(three: &mut Pair) -> Option<(usize, Output)> {
    let (at, _) = three.nodes[ALPHA].poll_timeout()?;
    three.now = three.now.max(at);
    for _ in 0..5 {
        three.nodes[ALPHA].handle_timeout(three.now);
        while let Some(output) = three.nodes[ALPHA].poll_output() {
            if matches!(output, Output::Send { .. }) {
                return Some((ALPHA, output));
            }
            three.carry_out(ALPHA, output);
        }
        three.now = three.nodes[ALPHA].poll_timeout()?.0;
    }
    None
}

/// The word of one of two does not bind the other.
#[test]
fn maintenance_is_refused_while_two_have_one_name() {
    let mut three = three();
    boot(&mut three);
    three.run(3000);
    for node in [ALPHA, BETA, CLONE] {
        three.command(node, Command::Maintenance { on: true });
        three.run(300);
        assert_eq!(three.nodes[node].maintenance_view(), None, "{}", three.story());
    }
}
