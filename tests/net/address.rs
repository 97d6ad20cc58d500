//! The lease of an address: it goes by itself, is renewed, and is put back.

use std::time::Duration;

use lubdub::cluster::io::{AddressNotice, RenewOutcome};
use lubdub::cluster::time::Instant;
use lubdub::daemon::address::Addresses;
use lubdub::daemon::address::command::{NotAfter, ip_add};
use lubdub::daemon::netlink::{Netlink, News, Watcher};

use crate::lab::{Clock, HERE, Net, RESOURCE, VIP, VIP6, address, soon, until, with_pair};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn without_renewal_the_kernel_removes_it() {
    with_pair(|here, _| {
        for vip in [VIP, VIP6] {
            let clock = Clock::start();
            here.inside(|| ip_add(&address(vip), Some(SECOND), NotAfter::Never, || 0)).unwrap();
            assert!(here.has(vip));
            until("the lease ends", || !here.has(vip));
            let lived = clock.now();
            assert!(lived > Instant::from_millis(1000), "{vip} went early, after {lived}");
            assert!(lived < Instant::from_millis(2500), "{vip} went late, after {lived}");
        }
    });
}

#[test]
fn renewal_keeps_it() {
    with_pair(|here, _| {
        here.run(async |clock| {
            let mut addresses = Addresses::new().unwrap();
            for vip in [VIP, VIP6] {
                let vip = address(vip);
                let first =
                    addresses
                        .renew(RESOURCE, &vip, Some(SECOND), clock.after(1000), || clock.now());
                assert_eq!(first, RenewOutcome::PutBack);
                let end = clock.after(2500);
                while clock.now() < end {
                    clock.reach(Some(clock.after(200))).await;
                    assert!(here.has(&vip.ip.to_string()));
                    let renewed =
                        addresses
                            .renew(RESOURCE, &vip, Some(SECOND), clock.after(1000), || clock.now());
                    assert_eq!(renewed, RenewOutcome::Kept);
                }
            }
        });
    });
}

/// As in maintenance, and after it.
#[test]
fn without_a_lease_it_stays_and_with_one_again_it_goes() {
    with_pair(|here, _| {
        here.run(async |clock| {
            let mut addresses = Addresses::new().unwrap();
            for vip in [VIP, VIP6] {
                let vip = address(vip);
                let mut renew = |lease| {
                    addresses.renew(RESOURCE, &vip, lease, clock.after(1000), || clock.now())
                };
                assert_eq!(renew(Some(SECOND)), RenewOutcome::PutBack);
                assert_eq!(renew(None), RenewOutcome::Kept);
                clock.reach(Some(clock.after(2500))).await;
                assert!(here.has(&vip.ip.to_string()));
                assert_eq!(renew(Some(SECOND)), RenewOutcome::Kept);
                until("the lease ends", || !here.has(&vip.ip.to_string()));
            }
        });
    });
}

#[test]
fn what_somebody_removed_is_noticed_and_put_back() {
    with_pair(|here, _| {
        here.run(async |clock| {
            let mut watcher = Watcher::open().unwrap();
            let mut addresses = Addresses::new().unwrap();
            for vip in [VIP, VIP6] {
                let address = address(vip);
                let renew = |addresses: &mut Addresses| {
                    addresses.renew(RESOURCE, &address, Some(5 * SECOND), clock.after(1000), || {
                        clock.now()
                    })
                };
                assert_eq!(renew(&mut addresses), RenewOutcome::PutBack);
                here.ip(&format!("addr del {address} dev eth0"));
                let notices =
                    soon("news of the removal", notices(&mut watcher, &mut addresses)).await;
                assert_eq!(notices, [(RESOURCE, AddressNotice::Removed)]);
                assert!(!here.has(vip));
                assert_eq!(renew(&mut addresses), RenewOutcome::PutBack);
                assert!(here.has(vip));
            }
        });
    });
}

#[test]
fn nothing_is_put_anywhere_once_the_right_is_over() {
    with_pair(|here, _| {
        here.run(async |clock| {
            let vip = address(VIP);
            let mut addresses = Addresses::new().unwrap();
            clock.reach(Some(clock.after(2))).await;
            let late =
                addresses
                    .renew(RESOURCE, &vip, Some(SECOND), Instant::from_millis(1), || clock.now());
            assert_eq!(late, RenewOutcome::TooLate);
            assert!(!here.has(VIP));
            // The right ends between the look at the clock and the kernel's answer: taken back.
            let reads = std::cell::Cell::new(0);
            let jumps = || {
                reads.set(reads.get() + 1);
                Instant::from_millis(if reads.get() <= 2 { 10 } else { 20 })
            };
            let late =
                addresses.renew(RESOURCE, &vip, Some(SECOND), Instant::from_millis(10), jumps);
            assert_eq!((late, reads.get()), (RenewOutcome::TooLate, 3));
            assert!(!here.has(VIP));
        });
    });
}

#[test]
fn dropping_is_at_once_and_no_surprise() {
    with_pair(|here, _| {
        here.run(async |clock| {
            let vip = address(VIP);
            let mut watcher = Watcher::open().unwrap();
            let mut addresses = Addresses::new().unwrap();
            addresses.renew(RESOURCE, &vip, Some(SECOND), clock.after(1000), || clock.now());
            assert!(here.has(VIP));
            let before = clock.now();
            addresses.drop_now(RESOURCE, &vip).unwrap();
            println!("dropped in {:?}", clock.now() - before);
            assert!(!here.has(VIP));
            // The news of it comes, and means nothing.
            loop {
                let news = soon("news of the removal", watcher.next()).await.unwrap();
                assert_eq!(addresses.handle_news(&news), []);
                if matches!(news, News::AddressRemoved { ip, .. } if ip == vip.ip) {
                    break;
                }
            }
            // What is not there can be dropped, and so can what was on an interface that is gone.
            addresses.drop_now(RESOURCE, &vip).unwrap();
            here.ip("link del eth0");
            addresses.drop_now(RESOURCE, &vip).unwrap();
            let renewed =
                addresses.renew(RESOURCE, &vip, Some(SECOND), clock.after(1000), || clock.now());
            assert!(
                matches!(&renewed, RenewOutcome::Failed(why) if why.contains("no interface eth0")),
                "{renewed:?}"
            );
        });
    });
}

#[test]
fn carrier_that_returns_is_noticed() {
    with_pair(|here, there| {
        here.run(async |clock| {
            let mut watcher = Watcher::open().unwrap();
            let mut addresses = Addresses::new().unwrap();
            addresses.renew(RESOURCE, &address(VIP), Some(5 * SECOND), clock.after(1000), || {
                clock.now()
            });
            there.ip("link set eth0 down");
            until("the cable is dead", || !here.ip("-o link show eth0").contains("LOWER_UP"));
            there.ip("link set eth0 up");
            let notices = soon("news of the carrier", notices(&mut watcher, &mut addresses)).await;
            assert_eq!(notices, [(RESOURCE, AddressNotice::LinkUp)]);
        });
    });
}

#[test]
fn lost_news_mean_looking_at_everything_again() {
    with_pair(|here, _| {
        here.run(async |clock| {
            let mut watcher = Watcher::open().unwrap();
            let mut addresses = Addresses::new().unwrap();
            addresses.renew(RESOURCE, &address(VIP), Some(5 * SECOND), clock.after(1000), || {
                clock.now()
            });
            // More news than the socket holds, the one that counts among those that are lost.
            flood(here);
            here.ip(&format!("addr del {VIP}/24 dev eth0"));
            soon("the overrun", async {
                while watcher.next().await.unwrap() != News::LookAgain {}
            })
            .await;
            assert_eq!(
                addresses.handle_news(&News::LookAgain),
                [(RESOURCE, AddressNotice::Removed)]
            );
        });
    });
}

#[test]
fn own_hardware_addresses_begin_with_those_that_count() {
    with_pair(|here, _| {
        here.ip("link add aaa0 address 02:00:00:00:00:0a type veth peer name aaa1 address 02:00:00:00:00:0b");
        here.inside(|| {
            let mut addresses = Addresses::new().unwrap();
            let macs = addresses.own_macs([&address(VIP), &address(VIP6)]).unwrap();
            assert_eq!((macs.len(), macs[0]), (3, HERE));
            let list = Netlink::open().unwrap().interfaces().unwrap();
            let lo = list.iter().find(|interface| interface.name == "lo").unwrap();
            assert_eq!((lo.mac, lo.carrier), (None, true));
        });
    });
}

/// Changes nobody asked for, until they mean something.
async fn notices(
    watcher: &mut Watcher,
    addresses: &mut Addresses,
) -> Vec<(lubdub::config::ResourceId, AddressNotice)> {
    loop {
        let notices = addresses.handle_news(&watcher.next().await.unwrap());
        if !notices.is_empty() {
            return notices;
        }
    }
}

fn flood(net: &Net) {
    net.inside(|| {
        for _ in 0..3000 {
            ip_add(&address("10.9.0.50"), Some(SECOND), NotAfter::Never, || 0).unwrap();
        }
    });
}
