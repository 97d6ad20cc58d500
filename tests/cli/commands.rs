//! Commands wait until what they asked for has happened, and say what did.

use lubdub::cluster::io::{Command, Response};
use lubdub::cluster::snapshot::NodeState;
use lubdub::control::{Answer, Reload, Request, Status};
use lubdub::wire::{KeysChange, Run, Term};

use crate::player::{Player, fine};

fn accepted(message: &str, to: Option<&str>) -> Answer {
    Answer::Command(Response::Accepted { message: message.into(), to: to.map(Into::into) })
}

fn shown(status: &Status) -> Answer {
    Answer::Status(Box::new(status.clone()))
}

/// A daemon that moves web to beta, a step at each look.
fn mover() -> Player {
    let mut status = fine();
    let mut steps = None;
    Player::new(move |request| match request {
        Request::Status => {
            let group = &mut status.snapshot.groups[0];
            let term = Term(512);
            match steps.as_mut().and_then(Iterator::next) {
                Some(Run::Stopped) | None => {}
                Some(run @ Run::Stopping) => group.holders = vec![("alpha".into(), run, term)],
                Some(run) => group.holders = vec![("beta".into(), run, term)],
            }
            shown(&status)
        }
        Request::Command(_) => {
            status.snapshot.groups[0].target = Some("beta".into());
            steps = Some([Run::Stopping, Run::Claiming, Run::Starting, Run::Started].into_iter());
            accepted("web moves to beta", Some("beta"))
        }
        Request::History { .. } | Request::Reload => Answer::History(Vec::new()),
    })
}

#[test]
fn switchover_tells_the_way_and_the_end() {
    let player = mover();
    let ran = player.lubdub(&["switchover", "web"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("web runs on beta, no longer on alpha ("), "{ran:?}");
    assert_eq!(
        ran.stderr,
        "web moves to beta\nweb is stopping on alpha\nweb is waiting to start on beta\nweb is starting on beta\n"
    );
    let command = Request::Command(Command::Switchover { group: "web".into(), to: None });
    assert!(player.asked().contains(&command));
}

#[test]
fn a_command_that_does_not_come_to_pass_fails_with_the_reason() {
    let player = Player::new(|request| match request {
        Request::Status => shown(&fine()),
        Request::Command(_) => accepted("alpha goes to standby", None),
        Request::History { .. } | Request::Reload => Answer::History(Vec::new()),
    });
    let ran = player.lubdub(&["standby", "--timeout", "0"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.contains("not done after 0 ms: alpha is not in standby yet"), "{ran:?}");
}

#[test]
fn a_refusal_is_1_with_its_words() {
    let player = Player::new(|request| match request {
        Request::Status => shown(&fine()),
        Request::Command(_) => Answer::Command(Response::Refused {
            message: "beta is in standby; lubdub online beta".into(),
        }),
        Request::History { .. } | Request::Reload => Answer::History(Vec::new()),
    });
    let ran = player.lubdub(&["switchover", "web", "--to", "beta"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert_eq!(ran.stderr, "lubdub: beta is in standby; lubdub online beta\n");
}

#[test]
fn a_refused_target_is_told_with_the_way_out() {
    let mut status = fine();
    status.snapshot.groups[0].unable =
        vec![("beta".into(), lubdub::cluster::placement::Unable::Standby)];
    let player = Player::new(move |request| match request {
        Request::Status => shown(&status),
        Request::Command(_) => Answer::Command(Response::Refused { message: "no".into() }),
        Request::History { .. } | Request::Reload => Answer::History(Vec::new()),
    });
    let ran = player.lubdub(&["switchover", "web", "--to", "beta"]);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (
            Some(1),
            "lubdub: web cannot move to beta: it is in standby; take it out with `lubdub online beta`\n"
        )
    );
}

#[test]
fn a_reload_tells_what_was_taken_up_and_what_was_not() {
    let keys = KeysChange { added: vec!["2".parse().unwrap()], ..KeysChange::default() };
    for (keys, restart, text) in [
        (KeysChange::default(), vec![], "keys: the same as before\ncluster.toml: unchanged\n"),
        (
            keys,
            vec!["[heartbeat]".to_owned(), "[[group]]".to_owned()],
            "keys: key 2 is accepted too\ncluster.toml: changed in [heartbeat], [[group]]; restart the daemon to apply \
             that (systemctl restart lubdub), the standby node first\n",
        ),
    ] {
        let outcome = Reload::Applied { keys, restart };
        let player = Player::new(move |_| Answer::Reload(outcome.clone()));
        let ran = player.lubdub(&["reload"]);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), text, ""));
        assert_eq!(player.asked(), [Request::Reload]);
    }
    let problems = vec!["authkeys: chmod 600 authkeys".to_owned(), "cluster.toml:3: no".to_owned()];
    let player =
        Player::new(move |_| Answer::Reload(Reload::Refused { problems: problems.clone() }));
    let ran = player.lubdub(&["reload"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert_eq!(
        ran.stderr,
        "lubdub: nothing was changed:\nauthkeys: chmod 600 authkeys\ncluster.toml:3: no\n"
    );
}

#[test]
fn a_move_to_where_it_is_says_so() {
    let player = Player::new(|request| match request {
        Request::Status => shown(&fine()),
        Request::Command(_) => accepted("moving web to alpha", Some("alpha")),
        Request::History { .. } | Request::Reload => Answer::History(Vec::new()),
    });
    let ran = player.lubdub(&["switchover", "web", "--to", "alpha"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "web is on alpha already\n"));
}

#[test]
fn mistyped_names_never_reach_the_daemon() {
    for (arguments, hint) in [
        (&["switchover", "wbe"][..], "no group is called `wbe`; did you mean `web`?"),
        (&["switchover", "web", "--to", "bta"], "no node is called `bta`; did you mean `beta`?"),
        (&["standby", "alfa"], "no node is called `alfa`; did you mean `alpha`?"),
        (&["online", "x"], "no node is called `x`; there is: alpha, beta"),
        (&["confirm-dead", "betta", "--yes"], "no node is called `betta`; did you mean `beta`?"),
    ] {
        let player = Player::showing(fine());
        let ran = player.lubdub(arguments);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(hint), "{ran:?}");
        assert_eq!(player.asked(), [Request::Status]);
    }
}

#[test]
fn confirm_dead_asks_a_person() {
    let mut status = fine();
    status.snapshot.nodes[1].state = NodeState::Lost;
    let player = Player::showing(status);
    let ran = player.lubdub(&["confirm-dead", "beta"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("--yes"), "{ran:?}");
    assert_eq!(player.asked(), [Request::Status], "nothing was commanded");
}

#[test]
fn nobody_is_asked_to_vouch_for_a_node_that_is_heard() {
    let alive = "beta is alive: it was heard a moment ago";
    let player = Player::new(move |request| match request {
        Request::Status => shown(&fine()),
        Request::Command(_) => Answer::Command(Response::Refused { message: alive.to_owned() }),
        Request::History { .. } | Request::Reload => {
            Answer::Error { message: "not in this test".to_owned() }
        }
    });
    let ran = player.lubdub(&["confirm-dead", "beta"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(ran.stderr, format!("lubdub: {alive}\n"));
}

#[test]
fn confirm_dead_waits_for_the_takeover() {
    let mut status = fine();
    status.snapshot.nodes[1].state = NodeState::Lost;
    let player = Player::new(move |request| match request {
        Request::Status => shown(&status),
        Request::Command(_) => {
            status.snapshot.nodes[1].state = NodeState::Dead;
            accepted("beta counts as dead", None)
        }
        Request::History { .. } | Request::Reload => Answer::History(Vec::new()),
    });
    let ran = player.lubdub(&["confirm-dead", "beta", "--yes"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("beta counts as dead; web runs on alpha ("), "{ran:?}");
}
