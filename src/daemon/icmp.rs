//! Ping nodes: ICMP echo (RFC 792, RFC 4443).
//!
//! Owns the sockets and the echoes under way. Decides nothing, reads no clock and has no timer: the loop calls
//! [`Pinger::expire`] at [`Pinger::deadline`]. Each ping has one outcome, which comes from [`Pinger::next`] or from
//! [`Pinger::expire`], whichever is first.
//!
//! Raw sockets rather than ping sockets: the latter need a sysctl (`ping_group_range`) that fresh namespaces close.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, ready};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::packet::{checksum, filter};
use super::readiness::readable;
use crate::cluster::io::{OpId, PingOutcome};
use crate::cluster::time::Instant;

/// Datagrams read in one turn, so that a flood of replies cannot keep the loop from its timers.
const BATCH: usize = 32;
/// More small datagrams than a default receive buffer holds (277): all that was there before a deadline is read.
const DRAIN: usize = 512;
/// An IPv4 header with all options, an ICMP header, and our payload; what is longer is no reply to us.
const DATAGRAM: usize = 60 + HEADER + PAYLOAD;
/// Type, code, checksum, identifier, sequence.
const HEADER: usize = 8;
/// A secret of this process, and the operation.
const PAYLOAD: usize = 16;

const ECHO_V4: u8 = 8;
const ECHO_V6: u8 = 128;
const ECHO_REPLY_V4: u8 = 0;
const ECHO_REPLY_V6: u8 = 129;

/// Why pings cannot be sent at all.
#[derive(Debug, thiserror::Error)]
#[error("no random numbers for pings: {0}")]
pub struct PingerError(getrandom::Error);

/// Asks ping nodes.
pub struct Pinger {
    /// Keeps other programs' replies and those to an earlier life of this one apart.
    secret: [u8; 8],
    identifier: u16,
    sequence: u16,
    targets: BTreeMap<IpAddr, Target>,
    asked: BTreeMap<OpId, Asked>,
    finished: VecDeque<(OpId, PingOutcome)>,
}

struct Target {
    socket: AsyncFd<Socket>,
    /// Its route and source address still serve, as far as is known.
    fresh: bool,
}

struct Asked {
    target: IpAddr,
    deadline: Instant,
    /// What the network said meanwhile. An answer still counts: such messages carry no proof of where they come from.
    trouble: Option<io::Error>,
}

impl Pinger {
    /// A pinger that has asked nobody.
    pub fn new() -> Result<Self, PingerError> {
        let mut secret = [0; 8];
        let mut identifier = [0; 2];
        getrandom::fill(&mut secret).map_err(PingerError)?;
        getrandom::fill(&mut identifier).map_err(PingerError)?;
        Ok(Self {
            secret,
            identifier: u16::from_be_bytes(identifier),
            sequence: 0,
            targets: BTreeMap::new(),
            asked: BTreeMap::new(),
            finished: VecDeque::new(),
        })
    }

    /// Sends one echo request; the kernel's route gives the source address. Inside a tokio runtime only.
    pub fn ping(&mut self, op: OpId, target: IpAddr, deadline: Instant) {
        match self.send(op, target) {
            Ok(()) => {
                self.asked.insert(op, Asked { target, deadline, trouble: None });
            }
            Err(error) => {
                self.retire(target);
                self.finished
                    .push_back((op, PingOutcome::Failed(format!("cannot ping {target}: {error}"))));
            }
        }
    }

    /// The next ping that ended before its deadline. Waits for ever if none does; dropping the future loses nothing.
    pub async fn next(&mut self) -> (OpId, PingOutcome) {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// When [`Pinger::expire`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.asked.values().map(|asked| asked.deadline).min()
    }

    /// Ends the pings whose deadline has come, after reading what is already in the sockets: a daemon that stood still
    /// must not blame its ping node.
    pub fn expire(&mut self, now: Instant) -> Vec<(OpId, PingOutcome)> {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return Vec::new();
        }
        let targets: Vec<IpAddr> = self.targets.keys().copied().collect();
        for target in targets {
            self.drain(target);
        }
        let mut ended: Vec<_> = self.finished.drain(..).collect();
        let due: Vec<OpId> = self
            .asked
            .iter()
            .filter(|(_, asked)| asked.deadline <= now)
            .map(|(op, _)| *op)
            .collect();
        for op in due {
            let Some(asked) = self.asked.remove(&op) else { continue };
            self.retire(asked.target);
            ended.push((
                op,
                match asked.trouble {
                    Some(error) => {
                        PingOutcome::Failed(format!("{} is out of reach: {error}", asked.target))
                    }
                    None => PingOutcome::Silent,
                },
            ));
        }
        ended
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(OpId, PingOutcome)> {
        for _ in 0..BATCH {
            if let Some(finished) = self.finished.pop_front() {
                return Poll::Ready(finished);
            }
            let (target, datagram) = ready!(self.poll_read(cx));
            self.take_in(target, datagram);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// One read from whichever socket has something.
    fn poll_read(&self, cx: &mut Context<'_>) -> Poll<(IpAddr, io::Result<Vec<u8>>)> {
        for (ip, target) in &self.targets {
            while let Poll::Ready(readiness) = target.socket.poll_read_ready(cx) {
                match readiness.map(|mut guard| guard.try_io(|socket| read(socket.get_ref()))) {
                    Ok(Ok(datagram)) => return Poll::Ready((*ip, datagram)),
                    // Not readable after all: `poll_read_ready` now waits.
                    Ok(Err(_)) => {}
                    Err(error) => return Poll::Ready((*ip, Err(error))),
                }
            }
        }
        Poll::Pending
    }

    fn drain(&mut self, target: IpAddr) {
        for _ in 0..DRAIN {
            let Some(socket) = self.targets.get(&target) else { return };
            match read(socket.socket.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                datagram => self.take_in(target, datagram),
            }
        }
    }

    fn take_in(&mut self, target: IpAddr, datagram: io::Result<Vec<u8>>) {
        match datagram {
            Ok(datagram) => {
                let op = self.reply(target, &datagram);
                if let Some(op) =
                    op.filter(|op| self.asked.get(op).is_some_and(|asked| asked.target == target))
                {
                    self.asked.remove(&op);
                    self.finished.push_back((op, PingOutcome::Answered));
                }
            }
            // The network's own word on what we sent. The kernel hands on only what it takes for final, such as "forbidden".
            Err(error) => {
                for asked in self.asked.values_mut().filter(|asked| asked.target == target) {
                    asked.trouble = Some(io::Error::new(error.kind(), error.to_string()));
                }
            }
        }
    }

    /// Which operation a datagram answers; `None`: it answers none of ours.
    fn reply(&self, target: IpAddr, datagram: &[u8]) -> Option<OpId> {
        let (kind, message) = match target {
            IpAddr::V4(_) => {
                let message = datagram.get(usize::from(datagram.first()? & 0x0f) * 4..)?;
                if checksum(&[message]) != 0 {
                    return None;
                }
                (ECHO_REPLY_V4, message)
            }
            // The kernel has checked the sum and gives no IP header.
            IpAddr::V6(_) => (ECHO_REPLY_V6, datagram),
        };
        let (header, payload) = message.split_first_chunk::<HEADER>()?;
        let [id, code, _, _, high, low, _, _] = *header;
        let (secret, op) = payload.split_first_chunk::<8>()?;
        let ours = id == kind
            && code == 0
            && [high, low] == self.identifier.to_be_bytes()
            && *secret == self.secret;
        ours.then_some(OpId(u64::from_be_bytes(op.try_into().ok()?)))
    }

    fn send(&mut self, op: OpId, target: IpAddr) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let message = self.echo(op, target);
        if self.targets.get(&target).is_none_or(|target| !target.fresh) {
            self.drain(target);
            let socket = self.open(target)?;
            self.targets.insert(target, Target { socket, fresh: true });
        }
        let Some(target) = self.targets.get(&target) else { return Ok(()) };
        target.socket.get_ref().send(&message).map(|_| ())
    }

    /// A request for this operation. ICMPv6 leaves the checksum to the kernel, which knows the source address.
    fn echo(&self, op: OpId, target: IpAddr) -> Vec<u8> {
        let kind = if target.is_ipv4() { ECHO_V4 } else { ECHO_V6 };
        let mut rest = Vec::with_capacity(HEADER + PAYLOAD);
        rest.extend(self.identifier.to_be_bytes());
        rest.extend(self.sequence.to_be_bytes());
        rest.extend(self.secret);
        rest.extend(op.0.to_be_bytes());
        let sum = if target.is_ipv4() { checksum(&[&[kind, 0], &rest]) } else { 0 };
        [&[kind, 0][..], &sum.to_be_bytes(), &rest].concat()
    }

    fn open(&self, target: IpAddr) -> io::Result<AsyncFd<Socket>> {
        let socket = match target {
            IpAddr::V4(_) => {
                let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
                socket.attach_filter(&filter::echo_reply_v4(self.identifier))?;
                socket
            }
            IpAddr::V6(_) => {
                let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
                socket.attach_filter(&filter::echo_reply_v6(self.identifier))?;
                socket
            }
        };
        socket.set_nonblocking(true)?;
        // Connected, so that other machines' replies fill no buffer, and errors come back.
        socket.connect(&SocketAddr::new(target, 0).into())?;
        readable(socket)
    }

    /// The next ping to this target opens its socket anew: a connected socket keeps the source address that it chose, and
    /// that may be what went wrong.
    fn retire(&mut self, target: IpAddr) {
        if let Some(target) = self.targets.get_mut(&target) {
            target.fresh = false;
        }
    }
}

fn read(mut socket: &Socket) -> io::Result<Vec<u8>> {
    let mut buffer = [0; DATAGRAM];
    let length = socket.read(&mut buffer)?;
    Ok(buffer.get(..length).unwrap_or_default().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    /// What an honest target sends back.
    fn answer(pinger: &Pinger, op: OpId, target: IpAddr) -> Vec<u8> {
        let mut message = pinger.echo(op, target);
        message[2..4].fill(0);
        if target.is_ipv4() {
            message[0] = ECHO_REPLY_V4;
            let sum = checksum(&[&message]);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
            [vec![0x45; 20], message].concat()
        } else {
            message[0] = ECHO_REPLY_V6;
            message
        }
    }

    #[test]
    fn a_request_byte_by_byte() {
        let mut pinger = Pinger::new().unwrap();
        (pinger.secret, pinger.identifier, pinger.sequence) = ([1; 8], 0x1234, 5);
        // 0800 + 1234 + 0005 + 4·0101 + 0007 = 1e44.
        let mut expected = vec![
            8, 0, 0xe1, 0xbb, 0x12, 0x34, 0, 5, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 7,
        ];
        assert_eq!(pinger.echo(OpId(7), V4), expected);
        expected[0] = 128;
        expected[2..4].fill(0);
        assert_eq!(pinger.echo(OpId(7), V6), expected);
    }

    #[test]
    fn only_replies_to_this_pinger_count() {
        let pinger = Pinger::new().unwrap();
        for target in [V4, V6] {
            let good = answer(&pinger, OpId(42), target);
            assert_eq!(pinger.reply(target, &good), Some(OpId(42)));
            let start = good.len() - HEADER - PAYLOAD;
            for length in 0..good.len() {
                assert_eq!(pinger.reply(target, &good[..length]), None, "{length} bytes");
            }
            // Type, code, identifier, secret. (The checksum of IPv6 is the kernel's business.)
            for place in [0, 1, 4, 5, 8, 15] {
                let mut bad = good.clone();
                bad[start + place] ^= 1;
                assert_eq!(pinger.reply(target, &bad), None, "byte {place}");
            }
        }
    }

    #[test]
    fn an_answer_counts_once_and_only_from_whom_was_asked() {
        let mut pinger = Pinger::new().unwrap();
        let deadline = Instant::from_millis(10);
        pinger.asked.insert(OpId(1), Asked { target: V4, deadline, trouble: None });
        let (from_v4, from_v6) = (answer(&pinger, OpId(1), V4), answer(&pinger, OpId(1), V6));
        pinger.take_in(V6, Ok(from_v6));
        assert!(pinger.finished.is_empty());
        pinger.take_in(V4, Ok(from_v4.clone()));
        pinger.take_in(V4, Ok(from_v4));
        assert_eq!(Vec::from(pinger.finished), [(OpId(1), PingOutcome::Answered)]);
    }

    #[test]
    fn silence_is_told_at_the_deadline_with_what_the_network_said() {
        let mut pinger = Pinger::new().unwrap();
        for (op, target) in [(1, V4), (2, V6)] {
            pinger.asked.insert(
                OpId(op),
                Asked { target, deadline: Instant::from_millis(10), trouble: None },
            );
        }
        pinger.take_in(V6, Err(io::Error::other("no route")));
        assert_eq!(pinger.deadline(), Some(Instant::from_millis(10)));
        assert!(pinger.expire(Instant::from_micros(9_999)).is_empty());
        let ended = pinger.expire(Instant::from_millis(10));
        assert_eq!(ended[0], (OpId(1), PingOutcome::Silent));
        assert_eq!(
            ended[1],
            (OpId(2), PingOutcome::Failed("::1 is out of reach: no route".to_owned()))
        );
        assert_eq!(pinger.deadline(), None);
    }
}
