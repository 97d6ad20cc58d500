//! Who has an address, as the service network answers.

use std::net::IpAddr;
use std::time::Duration;

use lubdub::cluster::io::{OpId, ProbeOutcome};
use lubdub::cluster::time::Instant;
use lubdub::config::Address;
use lubdub::daemon::address::command::{NotAfter, ip_add, ip_announce};
use lubdub::daemon::address::{Addresses, Finding, NotCounted};

use crate::lab::{Clock, Net, THERE, VIP, VIP6, address, soon, until, with_pair};

/// Silence takes so long to be told; even on a busy machine an answer comes sooner.
const PATIENCE: u64 = 400;
/// Longer than anything takes where an answer ends the wait.
const ANSWERS: u64 = 10_000;
/// The address under test and the other machine's own, of both families.
const FAMILIES: [(&str, &str); 2] = [(VIP, "10.9.0.2"), (VIP6, "fd09::2")];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Drives a probe to its end as the loop does; the outcome, and how long it took.
async fn outcome(addresses: &mut Addresses, clock: &Clock) -> (OpId, ProbeOutcome, Duration) {
    let start = clock.now();
    let drive = async {
        loop {
            let deadline = addresses.deadline();
            tokio::select! {
                finding = addresses.next() => match finding {
                    Finding::Probed(op, outcome) => return (op, outcome),
                    Finding::Noticed(_, notice) => panic!("{notice:?}"),
                },
                () = clock.reach(deadline) => {
                    if let Some(ended) = addresses.expire(clock.now()).pop() {
                        return ended;
                    }
                }
            }
        }
    };
    let (op, outcome) = soon("an outcome", drive).await;
    (op, outcome, clock.now() - start)
}

async fn probe(
    addresses: &mut Addresses,
    clock: &Clock,
    address: &Address,
    neighbours: &[IpAddr],
) -> ProbeOutcome {
    addresses.probe(OpId(7), address, neighbours, NotCounted::default(), clock.after(PATIENCE));
    let (op, outcome, _) = outcome(addresses, clock).await;
    assert_eq!(op, OpId(7));
    assert_eq!(addresses.deadline(), None);
    outcome
}

fn silent(witnessed: bool) -> ProbeOutcome {
    ProbeOutcome::Silent { witnessed }
}

#[test]
fn a_holder_answers_at_once_with_its_hardware_address() {
    with_pair(|here, there| {
        for (vip, other) in FAMILIES {
            there.inside(|| ip_add(&address(vip), None, NotAfter::Never, || 0)).unwrap();
            here.run(async |clock| {
                let mut addresses = Addresses::new().unwrap();
                for op in 1..4 {
                    let before = clock.now();
                    addresses.probe(
                        OpId(op),
                        &address(vip),
                        &[ip(other)],
                        NotCounted::default(),
                        clock.after(1000),
                    );
                    let asked = clock.now() - before;
                    let (op_ended, outcome, took) = outcome(&mut addresses, clock).await;
                    println!("{vip}: asked in {asked:?}, answered after {took:?}");
                    assert_eq!(
                        (op_ended, outcome),
                        (OpId(op), ProbeOutcome::Answered { mac: THERE })
                    );
                    assert!(took < Duration::from_millis(500));
                }
            });
        }
    });
}

#[test]
fn a_machine_without_an_address_of_its_own_can_ask_too() {
    with_pair(|here, there| {
        here.ip("addr flush dev eth0");
        for (vip, _) in FAMILIES {
            there.inside(|| ip_add(&address(vip), None, NotAfter::Never, || 0)).unwrap();
            here.run(async |clock| {
                let mut addresses = Addresses::new().unwrap();
                let (deadline, nobody) = (clock.after(ANSWERS), NotCounted::default());
                addresses.probe(OpId(7), &address(vip), &[], nobody, deadline);
                let (_, outcome, _) = outcome(&mut addresses, clock).await;
                assert_eq!(outcome, ProbeOutcome::Answered { mac: THERE });
            });
        }
        // It named nobody, so the other machine's cache has nothing false in it.
        assert!(!there.ip("-4 neigh show").contains("0.0.0.0"));
    });
}

#[test]
fn silence_is_witnessed_by_a_ping_node_on_the_same_network() {
    with_pair(|here, _| {
        for (vip, other) in FAMILIES {
            here.run(async |clock| {
                let mut addresses = Addresses::new().unwrap();
                let start = clock.now();
                assert_eq!(
                    probe(&mut addresses, clock, &address(vip), &[ip(other)]).await,
                    silent(true)
                );
                assert!(clock.now() - start >= Duration::from_millis(PATIENCE));
            });
        }
    });
}

#[test]
fn silence_without_a_witness_says_so() {
    with_pair(|here, _| {
        for (vip, other) in FAMILIES {
            here.run(async |clock| {
                let mut addresses = Addresses::new().unwrap();
                here.ip("neigh flush all");
                // Nobody to ask, somebody on another network, and somebody who is not there.
                for neighbours in
                    [vec![], vec![ip("192.0.2.7")], vec![ip("10.9.0.77"), ip("fd09::77")]]
                {
                    assert_eq!(
                        probe(&mut addresses, clock, &address(vip), &neighbours).await,
                        silent(false)
                    );
                }
                // The one who would answer is the silent peer itself: known by its address, or by its hardware alone.
                let (ips, macs) = ([ip(other)], [THERE]);
                for not_counted in
                    [NotCounted { ips: &ips, macs: &[] }, NotCounted { ips: &[], macs: &macs }]
                {
                    let deadline = clock.after(PATIENCE);
                    addresses.probe(OpId(7), &address(vip), &[ip(other)], not_counted, deadline);
                    assert_eq!(outcome(&mut addresses, clock).await.1, silent(false));
                }
                // This machine is no witness for itself.
                let me = if ip(vip).is_ipv4() { "10.9.0.1" } else { "fd09::1" };
                assert_eq!(
                    probe(&mut addresses, clock, &address(vip), &[ip(me)]).await,
                    silent(false)
                );
            });
        }
    });
}

#[test]
fn known_neighbours_and_the_gateway_are_witnesses() {
    with_pair(|here, _| {
        for (vip, other) in FAMILIES {
            let family = if ip(vip).is_ipv4() { "-4" } else { "-6" };
            let probe = || {
                here.run(async |clock| {
                    let mut addresses = Addresses::new().unwrap();
                    probe(&mut addresses, clock, &address(vip), &[]).await
                })
            };
            here.ip("neigh flush all");
            assert_eq!(probe(), silent(false));
            here.ip(&format!("{family} route add default via {other}"));
            assert_eq!(probe(), silent(true));
            here.ip(&format!("{family} route del default"));
            assert_eq!(probe(), silent(false));
            here.ip(&format!("neigh replace {other} lladdr {THERE} dev eth0 nud stale"));
            assert_eq!(probe(), silent(true));
        }
    });
}

#[test]
fn silence_counts_only_while_there_is_carrier() {
    with_pair(|here, there| {
        for (vip, other) in FAMILIES {
            here.run(async |clock| {
                let mut addresses = Addresses::new().unwrap();
                // It goes and comes again within one probe, after the witness has answered.
                addresses.probe(
                    OpId(1),
                    &address(vip),
                    &[ip(other)],
                    NotCounted::default(),
                    clock.after(3000),
                );
                let nothing =
                    tokio::time::timeout(Duration::from_millis(50), addresses.next()).await;
                assert!(nothing.is_err(), "{nothing:?}");
                there.ip("link set eth0 down");
                until("carrier is gone", || !here.ip("-o link show eth0").contains("LOWER_UP"));
                there.ip("link set eth0 up");
                until("carrier is back", || here.ip("-o link show eth0").contains("LOWER_UP"));
                assert_eq!(outcome(&mut addresses, clock).await.1, silent(false));

                there.ip("link set eth0 down");
                until("carrier is gone", || !here.ip("-o link show eth0").contains("LOWER_UP"));
                assert_eq!(
                    probe(&mut addresses, clock, &address(vip), &[ip(other)]).await,
                    silent(false)
                );
                there.ip("link set eth0 up");
                until("carrier is back", || here.ip("-o link show eth0").contains("LOWER_UP"));
                for last in [1, 2] {
                    let net = if last == 1 { here } else { there };
                    net.ip(&format!("addr replace fe80::{last}/64 dev eth0 nodad"));
                    net.ip(&format!("addr replace fd09::{last}/64 dev eth0 nodad"));
                }
                assert_eq!(
                    probe(&mut addresses, clock, &address(vip), &[ip(other)]).await,
                    silent(true)
                );
            });
        }
    });
}

#[test]
fn what_cannot_be_asked_has_failed() {
    with_pair(|here, _| {
        here.run(async |clock| {
            let mut addresses = Addresses::new().unwrap();
            let on = |name: &str| Address { interface: Some(name.to_owned()), ..address(VIP) };
            for (interface, why) in [("eth7", "no interface eth7"), ("lo", "no hardware address")] {
                match probe(&mut addresses, clock, &on(interface), &[]).await {
                    ProbeOutcome::Failed(text) => assert!(text.contains(why), "{text}"),
                    other @ (ProbeOutcome::Answered { .. } | ProbeOutcome::Silent { .. }) => {
                        panic!("{other:?}")
                    }
                }
            }
            here.ip("link set eth0 down");
            let down = probe(&mut addresses, clock, &on("eth0"), &[]).await;
            assert!(matches!(&down, ProbeOutcome::Failed(why) if why.contains("down")), "{down:?}");
        });
    });
}

#[test]
fn a_loop_that_stood_still_reads_before_it_judges() {
    with_pair(|here, there| {
        for (vip, other) in FAMILIES {
            there.inside(|| ip_add(&address(vip), None, NotAfter::Never, || 0)).unwrap();
            here.run(async |clock| {
                let mut addresses = Addresses::new().unwrap();
                addresses.probe(
                    OpId(1),
                    &address(vip),
                    &[ip(other)],
                    NotCounted::default(),
                    clock.after(1),
                );
                // Nothing is polled meanwhile; the answer comes and waits.
                std::thread::park_timeout(Duration::from_millis(60));
                let ended = addresses.expire(Instant::from_millis(60_000));
                assert_eq!(ended, []);
                let answered = Finding::Probed(OpId(1), ProbeOutcome::Answered { mac: THERE });
                assert_eq!(soon("the answer", addresses.next()).await, answered);
            });
        }
    });
}

#[test]
fn an_announcement_answers_too_and_several_probes_run_at_once() {
    with_pair(|here, there| {
        here.run(async |clock| {
            let mut addresses = Addresses::new().unwrap();
            for (op, (vip, other)) in (1..).zip(FAMILIES) {
                addresses.probe(
                    OpId(op),
                    &address(vip),
                    &[ip(other)],
                    NotCounted::default(),
                    clock.after(2000),
                );
            }
            announce_late(there, VIP6);
            let (op, ended, _) = outcome(&mut addresses, clock).await;
            assert_eq!((op, ended), (OpId(2), ProbeOutcome::Answered { mac: THERE }));
            announce_late(there, VIP);
            let (op, ended, _) = outcome(&mut addresses, clock).await;
            assert_eq!((op, ended), (OpId(1), ProbeOutcome::Answered { mac: THERE }));
        });
    });
}

fn announce_late(net: &Net, vip: &str) {
    net.inside(|| {
        ip_add(&address(vip), None, NotAfter::Never, || 0).unwrap();
        ip_announce(&address(vip)).unwrap();
    });
}
