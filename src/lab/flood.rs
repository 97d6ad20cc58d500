//! A stranger on the service network that sends datagrams to a node, so many a second or as fast as one processor can.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};
use nix::unistd::Pid;
use socket2::{Domain, Protocol, Socket, Type};

use super::error::{LabError, refused};
use super::moment::Moment;
use super::room::Room;

/// Datagrams of one system call.
const BATCH: u16 = 64;

/// What a flood sends, and as whom.
#[derive(Debug, Clone)]
pub struct Torrent {
    /// Where from: any address, the stranger's own or somebody else's.
    pub source: SocketAddr,
    /// Where to.
    pub target: SocketAddr,
    /// The payload.
    pub datagram: Vec<u8>,
    /// The processor that sends, should the machine have it.
    pub processor: usize,
    /// So many a second; `None`: as fast as it can.
    pub pace: Option<u32>,
}

/// What came of a flood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flooded {
    /// Datagrams that the kernel took.
    pub datagrams: u64,
    /// In this time.
    pub lasted: Duration,
}

/// A flood under way. It stops with this handle.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    ended: Receiver<Result<Flooded, LabError>>,
}

impl Flood {
    /// Begins in a room, which does nothing else meanwhile.
    pub(super) fn start(room: &Room, torrent: Torrent) -> Result<Self, LabError> {
        let stop = Arc::new(AtomicBool::new(false));
        let ended = room.begin({
            let stop = Arc::clone(&stop);
            move || pour(&torrent, &stop)
        })?;
        Ok(Self { stop, ended })
    }

    /// Stops it.
    ///
    /// # Errors
    /// If it could not begin, or broke off.
    pub fn finish(self) -> Result<Flooded, LabError> {
        self.stop.store(true, Ordering::Relaxed);
        self.ended.recv().map_err(|RecvError| LabError::ThreadEnded("flood".to_owned()))?
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn pour(torrent: &Torrent, stop: &AtomicBool) -> Result<Flooded, LabError> {
    let what = format!("flood {} as {}", torrent.target, torrent.source);
    let socket = socket(torrent).map_err(|error| {
        refused(what.clone())(Errno::from_raw(error.raw_os_error().unwrap_or_default()))
    })?;
    let this_thread = Pid::from_raw(0);
    let everywhere = sched_getaffinity(this_thread).map_err(refused("read the processors"))?;
    let mut one = CpuSet::new();
    // A machine without that processor sends from any.
    let _ = one.set(torrent.processor).and_then(|()| sched_setaffinity(this_thread, &one));

    let payload = [IoSlice::new(&torrent.datagram)];
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH.into(), None);
    let begin = Moment::now();
    let (mut datagrams, mut offered) = (0_u64, 0);
    while !stop.load(Ordering::Relaxed) {
        let sent = sendmmsg(
            socket.as_raw_fd(),
            &mut headers,
            std::iter::repeat_n(&payload, BATCH.into()),
            [None; BATCH as usize],
            [],
            MsgFlags::empty(),
        );
        match sent {
            Ok(results) => datagrams += results.count() as u64,
            // A full queue, or an error that a datagram before brought back: the next may go.
            Err(Errno::ENOBUFS | Errno::ECONNREFUSED | Errno::EINTR) => {}
            Err(errno) => return Err(refused(what)(errno)),
        }
        offered += u64::from(BATCH);
        if let Some(pace) = torrent.pace {
            keep_pace(begin, offered, pace);
        }
    }
    let lasted = Moment::now() - begin;
    sched_setaffinity(this_thread, &everywhere).map_err(refused("choose processors"))?;
    Ok(Flooded { datagrams, lasted })
}

/// Sleeps until so many are due; whoever is late catches up.
#[expect(clippy::disallowed_methods, reason = "time is what it waits for")]
fn keep_pace(begin: Moment, offered: u64, pace: u32) {
    let due = Duration::from_micros(offered.saturating_mul(1_000_000) / u64::from(pace.max(1)));
    std::thread::sleep(due.saturating_sub(Moment::now() - begin));
}

fn socket(torrent: &Torrent) -> std::io::Result<Socket> {
    let domain = Domain::for_address(torrent.source);
    let socket = Socket::new(domain, Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
    // Lets it speak as somebody else (ip(7)).
    if torrent.source.is_ipv4() {
        socket.set_ip_transparent_v4(true)?;
    }
    socket.bind(&torrent.source.into())?;
    socket.connect(&torrent.target.into())?;
    Ok(socket)
}
