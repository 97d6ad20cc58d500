//! An address that is held, and another machine that says it has it.

use std::time::Duration;

use lubdub::cluster::io::AddressNotice;
use lubdub::daemon::address::command::{NotAfter, ip_add, ip_announce};
use lubdub::daemon::address::{Addresses, Finding};

use crate::lab::{HERE, Net, RESOURCE, THERE, VIP, VIP6, address, soon, with_pair};

const LEASE: Duration = Duration::from_secs(5);

fn claim(net: &Net, vip: &str) {
    net.inside(|| {
        ip_add(&address(vip), None, NotAfter::Never, || 0).unwrap();
        ip_announce(&address(vip)).unwrap();
    });
}

#[test]
fn is_noticed_once_a_second_and_only_while_it_is_held() {
    with_pair(|here, there| {
        here.run(async |clock| {
            for vip in [VIP, VIP6] {
                let mut addresses = Addresses::new().unwrap();
                addresses
                    .renew(RESOURCE, &address(vip), Some(LEASE), clock.after(1000), || clock.now());
                // Our own words are no conflict.
                addresses.announce(&address(vip)).unwrap();
                claim(there, vip);
                let conflict = Finding::Noticed(
                    RESOURCE,
                    AddressNotice::Conflict { mac: THERE, here: Some(HERE) },
                );
                assert_eq!(soon("the conflict", addresses.next()).await, conflict);
                // Told again only when a second has passed.
                claim(there, vip);
                quiet(&mut addresses).await;
                clock.reach(Some(clock.after(1000))).await;
                addresses
                    .renew(RESOURCE, &address(vip), Some(LEASE), clock.after(1000), || clock.now());
                claim(there, vip);
                assert_eq!(soon("the conflict", addresses.next()).await, conflict);

                clock.reach(Some(clock.after(1000))).await;
                addresses.expire(clock.now());
                addresses.release(RESOURCE);
                claim(there, vip);
                quiet(&mut addresses).await;
            }
        });
    });
}

#[test]
fn other_traffic_is_no_conflict() {
    with_pair(|here, there| {
        here.run(async |clock| {
            let mut addresses = Addresses::new().unwrap();
            for vip in [VIP, VIP6] {
                addresses
                    .renew(RESOURCE, &address(vip), Some(LEASE), clock.after(1000), || clock.now());
                // It asks for the address, and gets its answer.
                there.ip("neigh flush all");
                there.inside(|| {
                    let socket = std::net::UdpSocket::bind("[::]:0").unwrap();
                    let mapped =
                        if vip == VIP { format!("[::ffff:{vip}]:9") } else { format!("[{vip}]:9") };
                    socket.send_to(b"?", mapped).unwrap();
                });
                crate::lab::until("the neighbour asked", || {
                    there.ip(&format!("neigh show {vip}")).contains("lladdr")
                });
                quiet(&mut addresses).await;
            }
        });
    });
}

/// Nothing comes for a while in which it would have come.
async fn quiet(addresses: &mut Addresses) {
    let finding = tokio::time::timeout(Duration::from_millis(50), addresses.next()).await;
    assert!(finding.is_err(), "{finding:?}");
}
