//! Ping nodes that answer, are silent, or cannot be reached.

use std::net::IpAddr;
use std::time::Duration;

use lubdub::cluster::io::{OpId, PingOutcome};
use lubdub::cluster::time::Instant;
use lubdub::daemon::icmp::Pinger;

use crate::lab::{Clock, soon, with_pair};

const OTHERS: [&str; 2] = ["10.9.0.2", "fd09::2"];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Drives a ping to its end as the loop does.
async fn outcome(pinger: &mut Pinger, clock: &Clock) -> (OpId, PingOutcome) {
    let drive = async {
        loop {
            let deadline = pinger.deadline();
            tokio::select! {
                ended = pinger.next() => return ended,
                () = clock.reach(deadline) => {
                    if let Some(ended) = pinger.expire(clock.now()).pop() {
                        return ended;
                    }
                }
            }
        }
    };
    soon("an outcome", drive).await
}

#[test]
fn who_is_there_answers() {
    with_pair(|here, _| {
        here.run(async |clock| {
            let mut pinger = Pinger::new().unwrap();
            for target in OTHERS.into_iter().chain(["127.0.0.1", "::1"]) {
                for op in 1..4 {
                    pinger.ping(OpId(op), ip(target), clock.after(1000));
                    assert_eq!(
                        outcome(&mut pinger, clock).await,
                        (OpId(op), PingOutcome::Answered),
                        "{target}"
                    );
                }
            }
            assert_eq!(pinger.deadline(), None);
        });
    });
}

#[test]
fn who_says_nothing_is_silent_at_the_deadline_and_may_answer_later() {
    with_pair(|here, there| {
        let mute = |value| {
            there.sysctl("ipv4/icmp_echo_ignore_all", value);
            there.sysctl("ipv6/icmp/echo_ignore_all", value);
        };
        here.run(async |clock| {
            let mut pinger = Pinger::new().unwrap();
            for target in OTHERS {
                mute("1");
                let start = clock.now();
                pinger.ping(OpId(1), ip(target), clock.after(30));
                assert_eq!(outcome(&mut pinger, clock).await, (OpId(1), PingOutcome::Silent));
                let took = clock.now() - start;
                assert!(
                    (Duration::from_millis(30)..Duration::from_millis(500)).contains(&took),
                    "{took:?}"
                );
                mute("0");
                pinger.ping(OpId(2), ip(target), clock.after(1000));
                assert_eq!(outcome(&mut pinger, clock).await, (OpId(2), PingOutcome::Answered));
            }
        });
    });
}

#[test]
fn who_cannot_be_reached_has_failed_with_the_reason() {
    with_pair(|here, there| {
        here.run(async |clock| {
            let mut pinger = Pinger::new().unwrap();
            // No route: known at once.
            for target in ["192.0.2.1", "2001:db8::1"] {
                pinger.ping(OpId(1), ip(target), clock.after(1000));
                assert_eq!(pinger.deadline(), None);
                let (op, ended) = outcome(&mut pinger, clock).await;
                assert!(
                    matches!(&ended, PingOutcome::Failed(why) if why.contains("unreachable")),
                    "{ended:?}"
                );
                assert_eq!(op, OpId(1));
            }
            // A router on the way forbids it: told at the deadline, since anybody could say it.
            here.ip("route add 198.51.100.0/24 via 10.9.0.2");
            there.ip("route add prohibit 198.51.100.0/24");
            there.sysctl("ipv4/ip_forward", "1");
            pinger.ping(OpId(2), ip("198.51.100.1"), clock.after(200));
            let (op, ended) = outcome(&mut pinger, clock).await;
            assert!(
                matches!(&ended, PingOutcome::Failed(why) if why.contains("out of reach")),
                "{ended:?}"
            );
            assert_eq!(op, OpId(2));
        });
    });
}

#[test]
fn a_source_address_that_goes_away_is_replaced() {
    with_pair(|here, _| {
        here.ip("addr add 10.9.0.3/24 dev eth0");
        here.run(async |clock| {
            let mut pinger = Pinger::new().unwrap();
            pinger.ping(OpId(1), ip("10.9.0.2"), clock.after(1000));
            assert_eq!(outcome(&mut pinger, clock).await.1, PingOutcome::Answered);
            here.sysctl("ipv4/conf/eth0/promote_secondaries", "1");
            here.ip("addr del 10.9.0.1/24 dev eth0");
            // One ping may be lost on it; the next one works.
            pinger.ping(OpId(2), ip("10.9.0.2"), clock.after(30));
            outcome(&mut pinger, clock).await;
            pinger.ping(OpId(3), ip("10.9.0.2"), clock.after(1000));
            assert_eq!(outcome(&mut pinger, clock).await, (OpId(3), PingOutcome::Answered));
        });
    });
}

#[test]
fn two_pingers_do_not_take_each_others_answers() {
    with_pair(|here, there| {
        here.run(async |clock| {
            let (mut one, mut other) = (Pinger::new().unwrap(), Pinger::new().unwrap());
            for target in OTHERS {
                // `other` waits for an answer that never comes, while `one` gets its own to the same operation.
                there.sysctl("ipv4/icmp_echo_ignore_all", "1");
                there.sysctl("ipv6/icmp/echo_ignore_all", "1");
                other.ping(OpId(1), ip(target), clock.after(200));
                there.sysctl("ipv4/icmp_echo_ignore_all", "0");
                there.sysctl("ipv6/icmp/echo_ignore_all", "0");
                one.ping(OpId(1), ip(target), clock.after(1000));
                assert_eq!(outcome(&mut one, clock).await, (OpId(1), PingOutcome::Answered));
                assert_eq!(outcome(&mut other, clock).await, (OpId(1), PingOutcome::Silent));
            }
        });
    });
}

#[test]
fn a_loop_that_stood_still_reads_before_it_judges() {
    with_pair(|here, _| {
        here.run(async |clock| {
            for target in OTHERS {
                let mut pinger = Pinger::new().unwrap();
                pinger.ping(OpId(1), ip(target), clock.after(1));
                // Nothing is polled meanwhile; the answer comes and waits.
                std::thread::park_timeout(Duration::from_millis(60));
                let ended = pinger.expire(Instant::from_millis(60_000));
                assert_eq!(ended, [(OpId(1), PingOutcome::Answered)]);
            }
        });
    });
}
