//! The header, laid by hand. It never changes within the magic, so that every version of lubdub can tell that a peer
//! lives, whatever its body says.
//!
//! All numbers are big-endian.
//!
//! ```text
//! offset size
//!      0    4  magic "lub1"
//!      4   16  cluster
//!     20    1  key id
//!     21    1  flags: 1 ask, 2 answer, 4 goodbye; others are ignored
//!     22    2  version of the body
//!     24    8  sender
//!     32    8  incarnation, not 0
//!     40    8  sequence, not 0
//!     48    8  sent, microseconds
//!     56    8  wall clock, microseconds
//!     64    4  keepalive, microseconds
//!     68    4  deadtime, microseconds
//!     72    1  number of echoes
//!     73    1  number of guard records
//!     74    2  length of the body
//!     76       echoes, guard records, body
//!    -32   32  HMAC-SHA256 over all before it
//!
//! echo:  node 8 | parts 1 (1 heard, 2 answer) | number of candidates 1
//!        | heard: incarnation 8, sequence 8, hold 4, links 1 | answer: nonce 8 | each candidate: incarnation 8, nonce 8
//! guard record: kind 1 | length 2 | value
//!        kind 1, ping nodes: 0 silent, 1 answers, 2 unanswered, 3 returning
//!        kind 2, maintenance: stamp 8, then 0 over, 1 noted, 2 in force, 3 leaves
//! ```

use super::{
    Candidate, ClusterTag, Echo, Flags, GuardRecord, Header, Heard, Incarnation, MaintenanceState,
    MaintenanceWord, NodeTag, Nonce, PingSight, Sequence,
};

/// The first bytes of every datagram. Another layout of the header gets another magic.
pub const MAGIC: [u8; 4] = *b"lub1";

/// Bytes before the first echo.
pub(super) const FIXED_LEN: usize = 76;

const FLAG_ASK: u8 = 1;
const FLAG_ANSWER: u8 = 2;
const FLAG_GOODBYE: u8 = 4;

const PART_HEARD: u8 = 1;
const PART_ANSWER: u8 = 2;

const RECORD_PING: u8 = 1;
const RECORD_MAINTENANCE: u8 = 2;

/// What must be known before the tag can be verified. The only thing that is read of a stranger's datagram.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prefix {
    pub(super) cluster: ClusterTag,
    pub(super) key: u8,
}

impl Prefix {
    /// Magic, cluster and key id.
    pub(super) const LEN: usize = 21;

    /// `None`: too short, or another magic.
    pub(super) fn read(magic: [u8; 4], datagram: &[u8]) -> Option<Self> {
        let mut reader = Reader(datagram);
        if reader.array()? != magic {
            return None;
        }
        Some(Self { cluster: ClusterTag(reader.array()?), key: reader.u8()? })
    }
}

/// What the header says of the bytes around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) prefix: Prefix,
    pub(super) body_version: u16,
    pub(super) body_len: u16,
}

/// Why a header cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unwritable {
    /// More entries than a count can say.
    TooMany,
    /// A record of which only the kind is known.
    UnknownRecord,
}

/// Lays a header. The body follows.
pub(super) fn write(header: &Header, frame: Frame, out: &mut Vec<u8>) -> Result<(), Unwritable> {
    out.extend(MAGIC);
    out.extend(frame.prefix.cluster.0);
    out.push(frame.prefix.key);
    out.push(flags_to_bits(header.flags));
    out.extend(frame.body_version.to_be_bytes());
    out.extend(header.sender.0.to_be_bytes());
    out.extend(header.incarnation.0.to_be_bytes());
    out.extend(header.sequence.0.to_be_bytes());
    out.extend(header.sent_us.to_be_bytes());
    out.extend(header.wall_us.to_be_bytes());
    out.extend(header.keepalive_us.to_be_bytes());
    out.extend(header.deadtime_us.to_be_bytes());
    out.push(count(&header.echoes)?);
    out.push(count(&header.records)?);
    out.extend(frame.body_len.to_be_bytes());
    for echo in &header.echoes {
        write_echo(echo, out)?;
    }
    for record in &header.records {
        write_record(record, out)?;
    }
    Ok(())
}

/// Reads a header, and hands back what follows it. `None`: a field that makes no sense, or too short.
pub(super) fn read(bytes: &[u8]) -> Option<(Header, Frame, &[u8])> {
    let prefix = Prefix::read(MAGIC, bytes)?;
    let mut reader = Reader(bytes.get(Prefix::LEN..)?);
    let flags = flags_from_bits(reader.u8()?);
    let body_version = reader.u16()?;
    let sender = NodeTag(reader.u64()?);
    let incarnation = reader.incarnation()?;
    let sequence = reader.sequence()?;
    let (sent_us, wall_us) = (reader.u64()?, reader.u64()?);
    let (keepalive_us, deadtime_us) = (reader.u32()?, reader.u32()?);
    let (echo_count, record_count, body_len) = (reader.u8()?, reader.u8()?, reader.u16()?);
    let echoes = (0..echo_count).map(|_| reader.echo()).collect::<Option<_>>()?;
    let records = (0..record_count).map(|_| reader.record()).collect::<Option<_>>()?;
    let header = Header {
        sender,
        incarnation,
        sequence,
        sent_us,
        wall_us,
        flags,
        keepalive_us,
        deadtime_us,
        echoes,
        records,
    };
    Some((header, Frame { prefix, body_version, body_len }, reader.0))
}

fn count<T>(list: &[T]) -> Result<u8, Unwritable> {
    u8::try_from(list.len()).map_err(|_too_many| Unwritable::TooMany)
}

fn flags_to_bits(flags: Flags) -> u8 {
    let bit = |set: bool, bit: u8| if set { bit } else { 0 };
    bit(flags.ask, FLAG_ASK) | bit(flags.answer, FLAG_ANSWER) | bit(flags.goodbye, FLAG_GOODBYE)
}

fn flags_from_bits(bits: u8) -> Flags {
    Flags {
        ask: bits & FLAG_ASK != 0,
        answer: bits & FLAG_ANSWER != 0,
        goodbye: bits & FLAG_GOODBYE != 0,
    }
}

fn write_echo(echo: &Echo, out: &mut Vec<u8>) -> Result<(), Unwritable> {
    let heard = if echo.heard.is_some() { PART_HEARD } else { 0 };
    let answer = if echo.answer.is_some() { PART_ANSWER } else { 0 };
    out.extend(echo.node.0.to_be_bytes());
    out.push(heard | answer);
    out.push(count(&echo.candidates)?);
    if let Some(heard) = echo.heard {
        out.extend(heard.incarnation.0.to_be_bytes());
        out.extend(heard.sequence.0.to_be_bytes());
        out.extend(heard.hold_us.to_be_bytes());
        out.push(heard.links);
    }
    if let Some(nonce) = echo.answer {
        out.extend(nonce.0.to_be_bytes());
    }
    for candidate in &echo.candidates {
        out.extend(candidate.incarnation.0.to_be_bytes());
        out.extend(candidate.nonce.0.to_be_bytes());
    }
    Ok(())
}

fn write_record(record: &GuardRecord, out: &mut Vec<u8>) -> Result<(), Unwritable> {
    let (kind, stamp, value) = match record {
        GuardRecord::Ping(PingSight::Silent) => (RECORD_PING, None, 0_u8),
        GuardRecord::Ping(PingSight::Answers) => (RECORD_PING, None, 1),
        GuardRecord::Ping(PingSight::Unanswered) => (RECORD_PING, None, 2),
        GuardRecord::Ping(PingSight::Returning) => (RECORD_PING, None, 3),
        GuardRecord::Maintenance(MaintenanceWord { stamp, state }) => {
            let state = match state {
                MaintenanceState::Over => 0,
                MaintenanceState::Noted => 1,
                MaintenanceState::InForce => 2,
                MaintenanceState::Leaves => 3,
            };
            (RECORD_MAINTENANCE, Some(*stamp), state)
        }
        GuardRecord::Unknown { .. } => return Err(Unwritable::UnknownRecord),
    };
    out.push(kind);
    out.extend(if stamp.is_some() { 9_u16 } else { 1 }.to_be_bytes());
    out.extend(stamp.map(u64::to_be_bytes).into_iter().flatten());
    out.push(value);
    Ok(())
}

/// The bytes not yet read. Every method takes its bytes from the front; `None`: there are not enough, or they make no
/// sense.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub(super) fn slice(&mut self, len: usize) -> Option<&'a [u8]> {
        let (slice, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(slice)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn incarnation(&mut self) -> Option<Incarnation> {
        self.u64().filter(|number| *number != 0).map(Incarnation)
    }

    fn sequence(&mut self) -> Option<Sequence> {
        self.u64().filter(|number| *number != 0).map(Sequence)
    }

    fn echo(&mut self) -> Option<Echo> {
        let node = NodeTag(self.u64()?);
        let parts = self.u8()?;
        if parts & !(PART_HEARD | PART_ANSWER) != 0 {
            return None;
        }
        let candidate_count = self.u8()?;
        let heard = if parts & PART_HEARD != 0 { Some(self.heard()?) } else { None };
        let answer = if parts & PART_ANSWER != 0 { Some(Nonce(self.u64()?)) } else { None };
        let candidates = (0..candidate_count).map(|_| self.candidate()).collect::<Option<_>>()?;
        Some(Echo { node, heard, candidates, answer })
    }

    fn heard(&mut self) -> Option<Heard> {
        Some(Heard {
            incarnation: self.incarnation()?,
            sequence: self.sequence()?,
            hold_us: self.u32()?,
            links: self.u8()?,
        })
    }

    fn candidate(&mut self) -> Option<Candidate> {
        Some(Candidate { incarnation: self.incarnation()?, nonce: Nonce(self.u64()?) })
    }

    fn record(&mut self) -> Option<GuardRecord> {
        let kind = self.u8()?;
        let len = self.u16()?;
        let value = self.slice(usize::from(len))?;
        match (kind, value) {
            (RECORD_PING, [0]) => Some(GuardRecord::Ping(PingSight::Silent)),
            (RECORD_PING, [1]) => Some(GuardRecord::Ping(PingSight::Answers)),
            (RECORD_PING, [2]) => Some(GuardRecord::Ping(PingSight::Unanswered)),
            (RECORD_PING, [3]) => Some(GuardRecord::Ping(PingSight::Returning)),
            (RECORD_PING, _) => None,
            (RECORD_MAINTENANCE, value) => {
                let mut reader = Reader(value);
                let (stamp, state) = (reader.u64()?, reader.u8()?);
                let state = match state {
                    0 => MaintenanceState::Over,
                    1 => MaintenanceState::Noted,
                    2 => MaintenanceState::InForce,
                    3 => MaintenanceState::Leaves,
                    _ => return None,
                };
                let word = MaintenanceWord { stamp, state };
                reader.0.is_empty().then_some(GuardRecord::Maintenance(word))
            }
            (kind, _) => Some(GuardRecord::Unknown { kind }),
        }
    }
}
