//! `lubdub ip`, without its arguments and exit codes.

use std::num::NonZeroU32;
use std::time::Duration;

use lubdub::config::Address;
use lubdub::daemon::address::IpError;
use lubdub::daemon::address::command::{
    IpErrorClass, NotAfter, ip_add, ip_announce, ip_del, ip_show,
};
use lubdub::daemon::netlink::{Deleted, Lifetime, Put};

use crate::lab::{Clock, VIP, VIP6, address, with_pair};

fn add(address: &Address) -> Result<Put, IpError> {
    ip_add(address, Some(Duration::from_secs(30)), NotAfter::Never, || 0)
}

#[test]
fn adds_shows_leases_again_and_deletes() {
    with_pair(|here, _| {
        for vip in [VIP, VIP6] {
            let with_prefix = |prefix| Address { prefix, ..address(vip) };
            let alone = if address(vip).ip.is_ipv4() { 32 } else { 128 };
            for vip in [address(vip), with_prefix(alone)] {
                here.inside(|| {
                    assert_eq!(ip_show(&vip).unwrap(), None);
                    assert_eq!(add(&vip).unwrap(), Put::Added);
                    assert_eq!(add(&vip).unwrap(), Put::Renewed);
                    let shown = ip_show(&vip).unwrap().unwrap();
                    assert_eq!(
                        (shown.interface.as_str(), shown.address.prefix),
                        ("eth0", vip.prefix)
                    );
                    assert!(
                        matches!(shown.address.lifetime, Lifetime::Seconds(left) if left.get() > 27)
                    );
                });
                assert!(here.ip("addr show dev eth0").contains(&format!("{vip}")));
                here.inside(|| {
                    assert_eq!(ip_del(&vip).unwrap(), Deleted::Removed);
                    assert_eq!(ip_del(&vip).unwrap(), Deleted::WasNotThere);
                    assert_eq!(ip_show(&vip).unwrap(), None);
                });
                assert!(!here.has(&vip.ip.to_string()));
            }
        }
    });
}

#[test]
fn takes_over_a_lasting_address_and_gives_it_a_lease() {
    with_pair(|here, _| {
        here.ip(&format!("addr add {VIP}/24 dev eth0"));
        here.inside(|| {
            assert_eq!(
                ip_show(&address(VIP)).unwrap().unwrap().address.lifetime,
                Lifetime::Forever
            );
            assert_eq!(add(&address(VIP)).unwrap(), Put::Renewed);
            let lifetime = ip_show(&address(VIP)).unwrap().unwrap().address.lifetime;
            assert_eq!(lifetime, Lifetime::Seconds(NonZeroU32::new(30).unwrap()));
        });
    });
}

#[test]
fn an_ipv6_address_answers_at_once() {
    with_pair(|here, _| {
        here.inside(|| add(&address(VIP6))).unwrap();
        let shown = here.ip("-6 addr show dev eth0");
        assert!(shown.contains(VIP6) && !shown.contains("tentative"), "{shown}");
    });
}

#[test]
fn finds_the_interface_by_the_network() {
    with_pair(|here, _| {
        for vip in [VIP, VIP6] {
            let found = Address { interface: None, ..address(vip) };
            here.inside(|| add(&found)).unwrap();
            assert!(here.has(vip));
            // It finds it again although the route to it now is this machine's own.
            here.inside(|| assert_eq!(add(&found).unwrap(), Put::Renewed));
            here.inside(|| assert_eq!(ip_del(&found).unwrap(), Deleted::Removed));
        }
        // A default route is no network of one's own, and no route is none either.
        let elsewhere = Address { interface: None, ..address("203.0.113.1") };
        for gateway in [false, true] {
            if gateway {
                here.ip("route add default via 10.9.0.2");
            }
            let error = here.inside(|| add(&elsewhere)).unwrap_err();
            assert!(matches!(error, IpError::NoNetwork { .. }), "{error}");
            assert_eq!(error.class(), IpErrorClass::UnknownInterface);
        }
    });
}

#[test]
fn refuses_what_would_not_end_well() {
    with_pair(|here, _| {
        let unknown = Address { interface: Some("eth7".to_owned()), ..address(VIP) };
        let too_long = Address {
            interface: Some("an-interface-name-that-is-too-long".to_owned()),
            ..address(VIP)
        };
        here.inside(|| {
            for unknown in [&unknown, &too_long] {
                for error in [
                    add(unknown).unwrap_err(),
                    ip_show(unknown).unwrap_err(),
                    ip_announce(unknown).unwrap_err(),
                ] {
                    assert_eq!(error.class(), IpErrorClass::UnknownInterface, "{error}");
                }
                assert_eq!(ip_del(unknown).unwrap(), Deleted::WasNotThere);
            }
        });

        here.ip(&format!("addr add {VIP}/32 dev lo"));
        let error = here.inside(|| add(&address(VIP))).unwrap_err();
        assert_eq!(error.class(), IpErrorClass::Failed);
        assert!(error.to_string().contains("on interface lo already"), "{error}");
        here.ip(&format!("addr del {VIP}/32 dev lo"));

        here.ip(&format!("addr add {VIP}/32 dev eth0"));
        let error = here.inside(|| add(&address(VIP))).unwrap_err();
        assert!(error.to_string().contains("as 10.9.0.100/32 and not /24"), "{error}");
        here.ip(&format!("addr del {VIP}/32 dev eth0"));

        let until = |now| ip_add(&address(VIP), None, NotAfter::Boottime(100), move || now);
        let error = here.inside(|| until(101)).unwrap_err();
        assert!(matches!(error, IpError::TooLate { .. }), "{error}");
        assert!(!here.has(VIP));
        here.inside(|| until(100)).unwrap();
        assert!(here.has(VIP));
    });
}

#[test]
fn is_quick() {
    with_pair(|here, _| {
        for vip in [VIP, VIP6] {
            let mut times: Vec<Duration> = Vec::new();
            for _ in 0..20 {
                times.push(here.inside(|| {
                    let clock = Clock::start();
                    add(&address(vip)).unwrap();
                    let took = clock.now() - lubdub::cluster::time::Instant::ZERO;
                    ip_del(&address(vip)).unwrap();
                    took
                }));
            }
            times.sort_unstable();
            println!("ip add {vip}: median {:?}, worst {:?}", times[10], times[19]);
            assert!(times[10] < Duration::from_millis(3), "{times:?}");
        }
    });
}
