//! The client: opens a connection to the service address every 2 ms, whatever became of the earlier ones, and writes
//! down what it saw.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, Socket, Type};

use super::error::{LabError, refused};
use super::moment::Moment;
use super::room::Room;

/// Time between two requests.
pub const INTERVAL: Duration = Duration::from_millis(2);
/// Under a second, or the kernel's own retransmission of the first SYN would round the result.
const TIMEOUT: Duration = Duration::from_millis(900);
/// More than can be under way at once: one every [`INTERVAL`] for [`TIMEOUT`].
const MOST_UNDER_WAY: usize = 512;
const REQUEST: &[u8] = b"GET / HTTP/1.0\r\n\r\n";
/// More than any page of ours.
const ANSWER_LIMIT: usize = 4096;

/// One request and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When its connection was opened.
    pub sent: Moment,
    /// When its answer was complete, or it had failed.
    pub ended: Moment,
    /// The node that answered.
    pub result: Result<String, Failure>,
}

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing came in time.
    TimedOut,
    /// The kernel said why there is no connection, or no longer.
    Socket(ErrorKind),
    /// The answer is not a page of ours.
    BadAnswer,
}

/// A client at work. It stops with this handle.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    ended: Receiver<Result<(), LabError>>,
}

/// What a client wrote down since somebody looked last.
#[derive(Debug, Default)]
pub struct Notes {
    /// When it sent requests; several at once are one moment.
    pub asked: Vec<Moment>,
    /// Requests that have come to an end, in the order in which they did.
    pub attempts: Vec<Attempt>,
}

#[derive(Debug, Default)]
struct Shared {
    notes: Mutex<Notes>,
    stop: AtomicBool,
}

impl Shared {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        // Whoever panicked meanwhile has at most left out an attempt.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    /// Sets to work in a room.
    pub(super) fn start(room: &Room, target: SocketAddr) -> Result<Self, LabError> {
        let shared = Arc::new(Shared::default());
        let ended = room.begin({
            let shared = Arc::clone(&shared);
            move || ask(target, &shared)
        })?;
        Ok(Self { shared, ended })
    }

    /// All requests that have come to an end, so far.
    #[must_use]
    pub fn attempts(&self) -> Vec<Attempt> {
        self.shared.notes().attempts.clone()
    }

    /// What it wrote down since the last time: it forgets it, so that it can work for as long as somebody looks on.
    #[must_use]
    pub fn take_notes(&self) -> Notes {
        std::mem::take(&mut *self.shared.notes())
    }

    /// Whether of the requests that came to an end the one that was sent last was answered by this node. Older ones that
    /// time out meanwhile tell of an outage that is over.
    #[must_use]
    pub fn served_by(&self, node: &str) -> bool {
        let notes = self.shared.notes();
        let newest =
            notes.attempts.iter().rev().take(MOST_UNDER_WAY).max_by_key(|attempt| attempt.sent);
        newest.is_some_and(|attempt| attempt.result.as_deref() == Ok(node))
    }

    /// Stops asking, waits for what is under way, and hands out everything.
    ///
    /// # Errors
    /// If it had to stop early.
    pub fn finish(self) -> Result<Vec<Attempt>, LabError> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.ended.recv().map_err(|RecvError| LabError::ThreadEnded("client".to_owned()))??;
        let mut attempts = self.take_notes().attempts;
        attempts.sort_by_key(|attempt| attempt.sent);
        Ok(attempts)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

/// A request under way.
struct Request {
    socket: Socket,
    sent: Moment,
    written: bool,
    answer: Vec<u8>,
}

fn ask(target: SocketAddr, shared: &Shared) -> Result<(), LabError> {
    let mut requests: Vec<Request> = Vec::new();
    let mut next = Moment::now();
    loop {
        let now = Moment::now();
        let stop = shared.stop.load(Ordering::Relaxed);
        // Whoever looks on stopped it (Ctrl-Z): what was under way tells nothing, and what it left out is not made up for.
        if now - next > TIMEOUT {
            requests.clear();
            next = now;
        }
        if stop && requests.is_empty() {
            return Ok(());
        }
        if !stop && next <= now {
            shared.notes().asked.push(now);
        }
        while !stop && next <= now {
            match open(target) {
                Ok(socket) => {
                    requests.push(Request {
                        socket,
                        sent: now,
                        written: false,
                        answer: Vec::new(),
                    });
                }
                Err(error) => record(shared, now, now, Err(Failure::Socket(error.kind()))),
            }
            next = next + INTERVAL;
        }
        let ready = ready(&requests, (next - now).min(INTERVAL))?;
        let now = Moment::now();
        let mut number = 0;
        requests.retain_mut(|request| {
            let result = if ready.contains(&number) { request.go_on() } else { None };
            number += 1;
            let result =
                result.or_else(|| (now - request.sent > TIMEOUT).then_some(Err(Failure::TimedOut)));
            match result {
                Some(result) => {
                    record(shared, request.sent, now, result);
                    false
                }
                None => true,
            }
        });
    }
}

fn open(target: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Closed by reset: thousands of connections in TIME_WAIT would use up the ports.
    socket.set_linger(Some(Duration::ZERO))?;
    match socket.connect(&target.into()) {
        Err(error) if error.raw_os_error() != Some(nix::errno::Errno::EINPROGRESS as i32) => {
            Err(error)
        }
        _ => Ok(socket),
    }
}

/// Waits until one of the requests can go on, or for so long; numbers of those that can.
fn ready(requests: &[Request], patience: Duration) -> Result<BTreeSet<usize>, LabError> {
    let mut fds: Vec<PollFd<'_>> = requests
        .iter()
        .map(|request| {
            let wanted = if request.written { PollFlags::POLLIN } else { PollFlags::POLLOUT };
            PollFd::new(request.socket.as_fd(), wanted)
        })
        .collect();
    // Rounded up: a poll of 0 ms would spin.
    let patience = u16::try_from(patience.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
    match poll(&mut fds, PollTimeout::from(patience)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(errno) => return Err(refused("wait for answers")(errno)),
    }
    let can = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
    Ok(fds.iter().enumerate().filter(|(_, fd)| can(fd)).map(|(number, _)| number).collect())
}

impl Request {
    /// Does what can be done without waiting; what came of it, when it has come to an end.
    fn go_on(&mut self) -> Option<Result<String, Failure>> {
        match self.step() {
            Ok(false) => None,
            Ok(true) => Some(node_of(&self.answer).ok_or(Failure::BadAnswer)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => Some(Err(Failure::Socket(error.kind()))),
        }
    }

    fn step(&mut self) -> std::io::Result<bool> {
        if !self.written {
            if let Some(error) = self.socket.take_error()? {
                return Err(error);
            }
            // So short a request goes whole into an empty buffer.
            self.socket.write_all(REQUEST)?;
            self.written = true;
            return Ok(false);
        }
        let mut buffer = [0; ANSWER_LIMIT];
        let read = self.socket.read(&mut buffer)?;
        self.answer.extend(buffer.iter().take(read));
        Ok(read == 0 || self.answer.len() >= ANSWER_LIMIT)
    }
}

/// The node that a page names: the whole body of a `200` answer.
fn node_of(answer: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?;
    (status == "200" && !body.trim().is_empty()).then(|| body.trim().to_owned())
}

fn record(shared: &Shared, sent: Moment, ended: Moment, result: Result<String, Failure>) {
    shared.notes().attempts.push(Attempt { sent, ended, result });
}
