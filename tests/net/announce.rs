//! Announcements move the neighbours' caches at once.

use lubdub::daemon::address::Addresses;
use lubdub::daemon::address::command::{NotAfter, ip_add, ip_announce};

use crate::lab::{HERE, NOBODY, Net, VIP, VIP6, address, until, with_pair};

/// The other machine believes that the address is elsewhere, and talks to it there.
fn mislead(there: &Net, vip: &str) {
    there.ip(&format!("neigh replace {vip} lladdr {NOBODY} dev eth0 nud reachable"));
    assert!(there.ip(&format!("neigh show {vip}")).contains(NOBODY));
}

fn believes(there: &Net, vip: &str) -> bool {
    there.ip(&format!("neigh show {vip}")).contains(&HERE.to_string())
}

#[test]
fn of_the_daemon() {
    with_pair(|here, there| {
        here.run(async |clock| {
            let mut addresses = Addresses::new().unwrap();
            for vip in [VIP, VIP6] {
                mislead(there, vip);
                ip_add(&address(vip), None, NotAfter::Never, || 0).unwrap();
                assert!(!believes(there, vip));
                for _ in 0..2 {
                    let before = clock.now();
                    addresses.announce(&address(vip)).unwrap();
                    println!("announced {vip} in {:?}", clock.now() - before);
                }
                until("the neighbour believes it", || believes(there, vip));
            }
        });
    });
}

#[test]
fn of_the_command_line() {
    with_pair(|here, there| {
        for vip in [VIP, VIP6] {
            mislead(there, vip);
            here.inside(|| {
                ip_add(&address(vip), None, NotAfter::Never, || 0).unwrap();
                ip_announce(&address(vip)).unwrap();
            });
            until("the neighbour believes it", || believes(there, vip));
        }
    });
}

#[test]
fn nobody_is_told_on_the_loopback_interface() {
    with_pair(|here, _| {
        here.inside(|| {
            let mut vip = address(VIP);
            vip.interface = Some("lo".to_owned());
            ip_add(&vip, None, NotAfter::Never, || 0).unwrap();
            ip_announce(&vip).unwrap();
        });
    });
}
