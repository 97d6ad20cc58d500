//! A stranger sends what looks like heartbeats to the holder, 200,000 a second and then as fast as a processor can, under a
//! key that is wrong: from its own address, and from the peer's. Nobody may lose anybody at the first pace.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use lubdub::lab::{CLIENT, Lab, LabError, PORT, Service, Torrent, stays};
use lubdub::wire::{
    Body, ClusterTag, Flags, Header, Heartbeat, Incarnation, Keys, NodeTag, Phase, Report,
    Sequence, seal,
};
use nix::sched::{CpuSet, sched_setaffinity};

use crate::loss::{changes, count, times_lost};
use crate::table::figure;
use crate::{Probe, pair, settled};

const LONG: Duration = Duration::from_secs(20);
const ALPHA: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const BETA: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// The processor of the node that is flooded.
const HOLDER: usize = 0;
/// The processor of the stranger, and of the other node: that one stands for another machine, which the flood does not
/// reach, and goes before the stranger.
const STRANGER: usize = 1;

/// Datagrams a second that must move nothing.
pub(crate) const PACE: u32 = 200_000;

/// As whom the stranger speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// As itself.
    Foreign,
    /// As the holder's peer.
    Peer,
}

/// Both floods; `true` if nobody lost anybody.
pub(crate) fn section() -> Result<bool, LabError> {
    println!(
        "\nthe holder is flooded for 20 s on one of two links, lubdub 100/500 ms, address only"
    );
    let mut kept = true;
    // What is asked for, and then what this machine can do.
    for (probe, name, bound) in [
        (Probe::FloodForeign, "from a foreign address, offered", Some(0.0)),
        (Probe::FloodSpoofed, "from the peer's address, offered", Some(0.0)),
        (Probe::TorrentForeign, "as fast as it can, foreign, offered", None),
        (Probe::TorrentSpoofed, "as fast as it can, as the peer, offered", None),
    ] {
        let figures = probe.run_inside(None)?;
        figure(name, figures.first(), "a second", None);
        figure("  dropped by the kernel, as status tells", figures.get(1), "datagrams", None);
        kept &= figure("  peer lost", figures.get(2), "times", bound);
        kept &= figure("  address taken or given up", figures.get(3), "times", bound);
    }
    Ok(kept)
}

/// Datagrams offered a second, drops that status shows, losses of the peer, changes of the hold.
pub(crate) fn run(source: Source, pace: Option<u32>) -> Result<Vec<f64>, LabError> {
    let lab = settled(pair(Service::Address, 100, 500))?;
    pin_daemons(&lab)?;
    let (lost, changed) = (times_lost(&lab)?, changes(&lab));
    let source = match source {
        Source::Foreign => SocketAddr::from((CLIENT, PORT)),
        Source::Peer => SocketAddr::from((BETA, PORT)),
    };
    let flood = lab.flood(Torrent {
        source,
        target: SocketAddr::from((ALPHA, PORT)),
        datagram: forged()?,
        processor: STRANGER,
        pace,
    })?;
    // Watched to the end: what happens meanwhile is counted below.
    stays("the flood", LONG, || Ok(true))?;
    let flooded = flood.finish()?;
    stays("what is under way arrives", Duration::from_secs(1), || Ok(true))?;
    #[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
    let (offered, drops) = (flooded.datagrams as f64, kernel_drops(&lab)? as f64);
    Ok(vec![
        offered / flooded.lasted.as_secs_f64(),
        drops,
        count(times_lost(&lab)? - lost),
        count(changes(&lab) - changed),
    ])
}

fn pin_daemons(lab: &Lab) -> Result<(), LabError> {
    let refused = |errno| LabError::Refused { what: "choose a processor".to_owned(), errno };
    for (node, processor) in [("alpha", HOLDER), ("beta", STRANGER)] {
        let (node, mut one) = (lab.node(node)?, CpuSet::new());
        one.set(processor).map_err(refused)?;
        for process in node.processes()? {
            sched_setaffinity(process.pid, &one).map_err(refused)?;
        }
    }
    Ok(())
}

fn kernel_drops(lab: &Lab) -> Result<u64, LabError> {
    Ok(lab.node("alpha")?.status()?.daemon.kernel_drops)
}

/// A heartbeat as beta's would be, under a key that nobody has: it passes every test but the last.
fn forged() -> Result<Vec<u8>, LabError> {
    let wrong = |what: String| LabError::Failed {
        command: "forge a heartbeat".to_owned(),
        status: "failed".to_owned(),
        stderr: what,
    };
    let keys = Keys::generate().map_err(|error| wrong(error.to_string()))?;
    let keys = Keys::parse(&keys).map_err(|error| wrong(error.to_string()))?;
    let heartbeat = Heartbeat {
        header: Header {
            sender: NodeTag::of("beta"),
            incarnation: Incarnation(1),
            sequence: Sequence(1),
            sent_us: 1,
            wall_us: 1,
            flags: Flags::default(),
            keepalive_us: 100_000,
            deadtime_us: 500_000,
            echoes: Vec::new(),
            records: Vec::new(),
        },
        body: Body::Known(Report {
            phase: Phase::Active,
            digests: [0; 4],
            macs: Vec::new(),
            groups: Vec::new(),
            wishes: Vec::new(),
        }),
    };
    seal(&heartbeat, 1, &keys, ClusterTag::of("demo")).map_err(|error| wrong(error.to_string()))
}
