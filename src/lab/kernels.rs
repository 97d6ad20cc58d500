//! Each kernel's own view: which node holds the service address, from when to when, told by the kernels' netlink news
//! and not by any daemon.
//!
//! One thread reads the news of all nodes and gives everything that it finds at one waking the same time. So an address
//! that leaves one node before it comes to another is never seen on both; one that both hold for less than the thread
//! takes to wake up may be missed.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::error::{LabError, file};
use super::moment::Moment;
use super::node::Node;
use super::plan::SERVICE;

/// News about IPv4 addresses (rtnetlink(7): `RTNLGRP_IPV4_IFADDR`).
const NEWS_OF_ADDRESSES: u32 = 5;
/// After so long at most the reader sees that a node was added, or that it is to end.
const LOOK_UP: Duration = Duration::from_millis(20);

/// A time during which a node's kernel held the service address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The node.
    pub node: String,
    /// From when.
    pub from: Moment,
    /// Until when; `None`: it still does.
    pub until: Option<Moment>,
}

/// The views of all kernels.
#[derive(Debug)]
pub struct Kernels {
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    view: Mutex<View>,
    stop: AtomicBool,
}

#[derive(Debug, Default)]
struct View {
    watched: Vec<(String, Arc<Socket>)>,
    holds: Vec<Hold>,
    /// What made the reader end early.
    broken: Option<Errno>,
}

impl Kernels {
    pub(super) fn new() -> Result<Self, LabError> {
        let shared = Arc::new(Shared::default());
        let reader = thread::Builder::new().name("kernels".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.read_news()
        });
        let reader = reader.map_err(|source| LabError::CannotRun {
            program: "thread kernels".to_owned(),
            source,
        })?;
        Ok(Self { shared, reader: Some(reader) })
    }

    /// Listens to a node's kernel from now on. It must not hold the address yet.
    pub(super) fn watch(&self, node: &Node) -> Result<(), LabError> {
        let socket = node.inside(listen)?.map_err(file("netlink socket".as_ref()))?;
        self.shared.view().watched.push((node.name().to_owned(), Arc::new(socket)));
        Ok(())
    }

    /// A node's kernel is no more: what it held, it holds no longer.
    pub(super) fn forget(&self, node: &str) {
        let mut view = self.shared.view();
        view.watched.retain(|(name, _)| name != node);
        view.note(node, false, Moment::now());
    }

    /// All times at which a node held the address, in the order in which they began.
    #[must_use]
    pub fn holds(&self) -> Vec<Hold> {
        self.shared.view().holds.clone()
    }

    /// The nodes that hold it now.
    #[must_use]
    pub fn holders(&self) -> Vec<String> {
        self.onlooker().holders()
    }

    /// For another thread, which only wants to know who holds it.
    #[must_use]
    pub(super) fn onlooker(&self) -> Onlooker {
        Onlooker(Arc::clone(&self.shared))
    }

    /// Whether this node holds it now, and no other.
    #[must_use]
    pub fn only_holder_is(&self, node: &str) -> bool {
        self.holders() == [node]
    }

    /// For how long more than one node held it, in all.
    ///
    /// # Errors
    /// If the view is not complete.
    pub fn both_held(&self) -> Result<Duration, LabError> {
        let view = self.shared.view();
        match view.broken {
            Some(errno) => {
                Err(LabError::Refused { what: "read the kernels' news".to_owned(), errno })
            }
            None => Ok(overlap(&view.holds, Moment::now())),
        }
    }
}

/// Sees who holds the address, from any thread.
#[derive(Debug, Clone)]
pub(super) struct Onlooker(Arc<Shared>);

impl Onlooker {
    /// The nodes that hold it now.
    pub(super) fn holders(&self) -> Vec<String> {
        let view = self.0.view();
        let now = view.holds.iter().filter(|hold| hold.until.is_none());
        now.map(|hold| hold.node.clone()).collect()
    }
}

impl Drop for Kernels {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            // If it panicked it has printed why.
            let _ = reader.join();
        }
    }
}

impl Shared {
    fn view(&self) -> MutexGuard<'_, View> {
        // Each change is one push or one assignment: nothing is half done after a panic.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_news(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let watched = self.view().watched.clone();
            if let Err(errno) = wait_for_news(&watched) {
                self.view().broken = Some(errno);
                return;
            }
            let mut view = self.view();
            let now = Moment::now();
            // Twice: what left one node after its turn, so that it could come to the next, has the same time.
            for (node, socket) in watched.iter().chain(&watched) {
                match read_socket(socket) {
                    Ok(news) if view.watches(socket) => {
                        news.iter().for_each(|holds| view.note(node, *holds, now));
                    }
                    Ok(_) => {}
                    Err(errno) => {
                        view.broken = Some(errno);
                        return;
                    }
                }
            }
        }
    }
}

impl View {
    fn watches(&self, socket: &Arc<Socket>) -> bool {
        self.watched.iter().any(|(_, other)| Arc::ptr_eq(other, socket))
    }

    fn note(&mut self, node: &str, holds: bool, now: Moment) {
        let open = self.holds.iter_mut().find(|hold| hold.node == node && hold.until.is_none());
        match (open, holds) {
            // A renewal is news too.
            (Some(_), true) | (None, false) => {}
            (Some(hold), false) => hold.until = Some(now),
            (None, true) => self.holds.push(Hold { node: node.to_owned(), from: now, until: None }),
        }
    }
}

fn listen() -> std::io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    socket.set_non_blocking(true)?;
    socket.add_membership(NEWS_OF_ADDRESSES)?;
    Ok(socket)
}

fn wait_for_news(watched: &[(String, Arc<Socket>)]) -> Result<(), Errno> {
    let mut fds: Vec<PollFd<'_>> =
        watched.iter().map(|(_, socket)| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
    let patience = PollTimeout::try_from(LOOK_UP).unwrap_or(PollTimeout::ZERO);
    match poll(&mut fds, patience) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Reads all that is there: whether the service address was gained (or renewed) or lost, in order.
fn read_socket(socket: &Socket) -> Result<Vec<bool>, Errno> {
    let mut news = Vec::new();
    loop {
        let datagram = match socket.recv_from_full() {
            Ok((datagram, _)) => datagram,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(news),
            Err(error) => return Err(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)),
        };
        let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&datagram) else {
            return Err(Errno::EBADMSG);
        };
        if let NetlinkPayload::InnerMessage(message) = message.payload {
            news.extend(news_of(&message));
        }
    }
}

/// Whether a node has the service address, where a message tells.
fn news_of(message: &RouteNetlinkMessage) -> Option<bool> {
    if let RouteNetlinkMessage::NewAddress(address) = message {
        return is_service(address).then_some(true);
    }
    if let RouteNetlinkMessage::DelAddress(address) = message {
        return is_service(address).then_some(false);
    }
    None
}

fn is_service(address: &AddressMessage) -> bool {
    address.attributes.contains(&AddressAttribute::Local(IpAddr::V4(SERVICE)))
}

/// For how long at least two of these lasted at once.
fn overlap(holds: &[Hold], now: Moment) -> Duration {
    let mut changes: Vec<(Moment, i32)> =
        holds.iter().flat_map(|hold| [(hold.from, 1), (hold.until.unwrap_or(now), -1)]).collect();
    changes.sort_unstable();
    let (mut holders, mut since, mut total) = (0, now, Duration::ZERO);
    for (moment, change) in changes {
        if holders > 1 {
            total += moment - since;
        }
        holders += change;
        since = moment;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(start: Moment, node: &str, from: u64, until: Option<u64>) -> Hold {
        let at = |ms| start + Duration::from_millis(ms);
        Hold { node: node.to_owned(), from: at(from), until: until.map(at) }
    }

    #[test]
    fn only_time_with_two_holders_counts() {
        let start = Moment::now();
        let end = start + Duration::from_millis(100);
        let one_after_the_other =
            [hold(start, "alpha", 0, Some(50)), hold(start, "beta", 50, None)];
        assert_eq!(overlap(&one_after_the_other, end), Duration::ZERO);
        let both = [
            hold(start, "alpha", 0, Some(60)),
            hold(start, "beta", 50, None),
            hold(start, "alpha", 90, None),
        ];
        assert_eq!(overlap(&both, end), Duration::from_millis(20));
    }

    #[test]
    fn a_renewal_is_not_a_second_hold() {
        let mut view = View::default();
        let now = Moment::now();
        for gained in [false, true, true, false, false, true] {
            view.note("alpha", gained, now);
        }
        assert_eq!(view.holds.len(), 2, "{:?}", view.holds);
        assert_eq!(view.holds.iter().filter(|hold| hold.until.is_none()).count(), 1);
    }
}
