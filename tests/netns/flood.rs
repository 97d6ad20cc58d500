//! A stranger floods the holder's heartbeat port.

use std::net::SocketAddr;
use std::time::Duration;

use lubdub::cluster::event::Event;
use lubdub::lab::{CLIENT, Moment, PORT, Service, Torrent, stays};

use crate::support::{assert_never_moved, in_lab, pair};

/// As itself, and as the holder's peer, on one of the two links: nobody loses anybody, and nothing moves.
#[test]
fn a_flood_moves_nothing() {
    let plan = lubdub::lab::Plan { service: Service::Address, ..pair() };
    in_lab("flood::a_flood_moves_nothing", plan, |lab| {
        let client = lab.begin()?;
        client.finish()?;
        let begin = Moment::now();
        for source in [SocketAddr::from((CLIENT, 9)), SocketAddr::from(([10, 77, 0, 2], PORT))] {
            let flood = lab.flood(Torrent {
                source,
                target: SocketAddr::from(([10, 77, 0, 1], PORT)),
                datagram: vec![b'l'; 200],
                processor: 1,
                pace: Some(100_000),
            })?;
            stays("alpha keeps the group", Duration::from_secs(3), || {
                Ok(lab.kernels().only_holder_is("alpha"))
            })?;
            assert!(flood.finish()?.datagrams > 10_000, "it was a flood");
        }
        assert_never_moved(lab, "alpha");
        for node in lab.nodes() {
            let lost = node.history()?.into_iter().find(|happening| {
                happening.moment >= begin && matches!(happening.event, Event::PeerLost { .. })
            });
            assert_eq!(lost, None);
        }
        Ok(())
    });
}
