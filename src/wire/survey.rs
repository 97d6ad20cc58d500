//! What `lubdub check --peer` says to the other nodes, and what their daemons answer. It is no heartbeat: another magic,
//! which is signed too, and another function that opens it, so that nothing of it reaches the core of a running daemon.
//!
//! All numbers are big-endian. A survey is as long as a datagram may be: a link that carries none of these would lose the
//! largest heartbeats, and no answer is longer than what it answers.
//!
//! ```text
//! offset size
//!      0    4  magic "lus1"
//!      4   16  cluster
//!     20    1  key id
//!     21    1  role: 0 asks, 1 has seen enough, 2 answers for a daemon
//!     22    8  sender
//!     30    8  receiver
//!     38    8  life of the sender, not 0
//!     46    8  sent, microseconds
//!     54    8  wall clock, microseconds
//!     62   16  digest of each section of the configuration
//!     78    1  id of the key that signs
//!     79   32  a bit for each key id that is accepted, id 0 first
//!    111    1  length of the version, at most 32
//!    112       version of the program, UTF-8
//!           1  number of entries, at most 8
//!              each: link 1, life 8, sent 8, hold 4
//!           1  what the sender found wrong on its own machine: 0 nothing, 1 something
//!              zeros
//!   1168   32  HMAC-SHA256 over all before it
//! ```

use super::codec::{MAX_DATAGRAM, OpenError, TAG_LEN, sign, verify};
use super::header::{Prefix, Reader};
use super::{ClusterTag, Incarnation, Keys, NodeTag};

/// The first bytes of every survey. Another layout gets another one.
pub const SURVEY_MAGIC: [u8; 4] = *b"lus1";

/// Bytes of a program's version: what is longer is cut off.
const MAX_VERSION: usize = 32;

/// Links of a cluster.
const MAX_ENTRIES: usize = 8;

/// Who sends a survey, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SurveyRole {
    /// `check --peer`, which wants to be answered.
    Asks,
    /// `check --peer`, which has seen enough.
    Done,
    /// A daemon that was asked. It asks nothing, and is not answered.
    Daemon,
}

/// What a node found on its own machine: files, agents, their parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnCheck {
    /// Nothing is wrong.
    Passed,
    /// Something is.
    Failed,
}

/// One survey: from one node to another, on one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Who sends it, and why.
    pub role: SurveyRole,
    /// The node that speaks.
    pub sender: NodeTag,
    /// The node that is spoken to. On links that everybody hears, others hear it too.
    pub receiver: NodeTag,
    /// One run of the sender's program: random, new each time.
    pub life: Incarnation,
    /// When it was sent, microseconds of the sender's own clock.
    pub sent_us: u64,
    /// The sender's wall clock, microseconds since the Unix epoch.
    pub wall_us: u64,
    /// Digest of each section of the sender's configuration, in the order of `config::Section`.
    pub digests: [u32; 4],
    /// The key that the sender signs with.
    pub sending: u8,
    /// The keys that it accepts, in order.
    pub accepted: Vec<u8>,
    /// Version of its program.
    pub version: String,
    /// What it heard of the receiver.
    pub heard: Vec<SurveyHeard>,
    /// What it found on its own machine.
    pub own_check: OwnCheck,
}

/// The newest survey that was heard of a node on one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SurveyHeard {
    /// Place of the link in the configuration, as in heartbeats.
    pub link: u8,
    /// Of which life.
    pub life: Incarnation,
    /// When that node had sent it, by that node's own clock, microseconds.
    pub sent_us: u64,
    /// How long ago it was received when this was sent, microseconds (saturating).
    pub hold_us: u32,
}

/// Whether a datagram says that it is a survey. Anybody can have written that.
#[must_use]
pub fn is_survey(datagram: &[u8]) -> bool {
    datagram.starts_with(&SURVEY_MAGIC)
}

/// Lays and signs a survey.
#[must_use]
pub fn seal_survey(survey: &Survey, keys: &Keys, cluster: ClusterTag) -> Vec<u8> {
    let mut out = Vec::with_capacity(MAX_DATAGRAM);
    out.extend(SURVEY_MAGIC);
    out.extend(cluster.0);
    out.push(keys.sending_id().get());
    out.push(match survey.role {
        SurveyRole::Asks => 0,
        SurveyRole::Done => 1,
        SurveyRole::Daemon => 2,
    });
    out.extend(survey.sender.0.to_be_bytes());
    out.extend(survey.receiver.0.to_be_bytes());
    out.extend(survey.life.0.to_be_bytes());
    out.extend(survey.sent_us.to_be_bytes());
    out.extend(survey.wall_us.to_be_bytes());
    for digest in survey.digests {
        out.extend(digest.to_be_bytes());
    }
    out.push(survey.sending);
    out.extend(to_bits(&survey.accepted));
    let mut version = survey.version.clone();
    while version.len() > MAX_VERSION {
        version.pop();
    }
    out.push(u8::try_from(version.len()).unwrap_or(0));
    out.extend(version.as_bytes());
    let entries = survey.heard.iter().take(MAX_ENTRIES);
    out.push(u8::try_from(entries.len()).unwrap_or(0));
    for heard in entries {
        out.push(heard.link);
        out.extend(heard.life.0.to_be_bytes());
        out.extend(heard.sent_us.to_be_bytes());
        out.extend(heard.hold_us.to_be_bytes());
    }
    out.push(match survey.own_check {
        OwnCheck::Passed => 0,
        OwnCheck::Failed => 1,
    });
    out.resize(MAX_DATAGRAM - TAG_LEN, 0);
    sign(&mut out, keys.sending_mac(cluster));
    out
}

/// Verifies and reads a survey.
///
/// # Errors
/// If it is not a well-formed survey of this cluster, signed with one of these keys.
pub fn open_survey(datagram: &[u8], keys: &Keys, cluster: ClusterTag) -> Result<Survey, OpenError> {
    if datagram.len() != MAX_DATAGRAM {
        return Err(OpenError::Malformed);
    }
    let prefix = Prefix::read(SURVEY_MAGIC, datagram).ok_or(OpenError::Malformed)?;
    let (_key, signed) = verify(datagram, prefix, keys, cluster)?;
    read(signed).ok_or(OpenError::Malformed)
}

fn read(signed: &[u8]) -> Option<Survey> {
    let mut reader = Reader(signed.get(Prefix::LEN..)?);
    let role = match reader.u8()? {
        0 => SurveyRole::Asks,
        1 => SurveyRole::Done,
        2 => SurveyRole::Daemon,
        _ => return None,
    };
    let (sender, receiver) = (NodeTag(reader.u64()?), NodeTag(reader.u64()?));
    let life = reader.incarnation()?;
    let (sent_us, wall_us) = (reader.u64()?, reader.u64()?);
    let digests = [reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?];
    let sending = reader.u8()?;
    let accepted = from_bits(reader.array()?);
    let length = usize::from(reader.u8()?);
    let version = std::str::from_utf8(reader.slice(length)?).ok()?.to_owned();
    let count = usize::from(reader.u8()?);
    if length > MAX_VERSION || count > MAX_ENTRIES {
        return None;
    }
    let entry = |reader: &mut Reader<'_>| {
        Some(SurveyHeard {
            link: reader.u8()?,
            life: reader.incarnation()?,
            sent_us: reader.u64()?,
            hold_us: reader.u32()?,
        })
    };
    let heard = (0..count).map(|_| entry(&mut reader)).collect::<Option<_>>()?;
    let own_check = match reader.u8()? {
        0 => OwnCheck::Passed,
        1 => OwnCheck::Failed,
        _ => return None,
    };
    Some(Survey {
        role,
        sender,
        receiver,
        life,
        sent_us,
        wall_us,
        digests,
        sending,
        accepted,
        version,
        heard,
        own_check,
    })
}

fn to_bits(ids: &[u8]) -> [u8; 32] {
    let mut bits = [0; 32];
    for (place, byte) in (0_u8..).zip(&mut bits) {
        for bit in 0..8 {
            if ids.contains(&(place * 8 + bit)) {
                *byte |= 1 << bit;
            }
        }
    }
    bits
}

fn from_bits(bits: [u8; 32]) -> Vec<u8> {
    let is_set =
        |id: &u8| bits.get(usize::from(id / 8)).is_some_and(|byte| byte & (1 << (id % 8)) != 0);
    (0..=u8::MAX).filter(is_set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    const KEY: &str = "f05a1dc3b3f9e2b6c8b35a7f4fb1adf6f2a8f2ca34c7c6f6b0d4a5b1e60cb4d9";
    const OTHER_KEY: &str = "a1b6f0c87d2e94351f6c0a8be2d7439b5c80f1647ae3d92b06f5187c4de39a50";

    fn keys(id: u8, key: &str) -> Keys {
        Keys::parse(&format!("auth {id}\n{id} sha256 {key}\n")).unwrap()
    }

    fn cluster() -> ClusterTag {
        ClusterTag::of("web")
    }

    fn survey() -> Survey {
        let heard = |link| SurveyHeard {
            link,
            life: Incarnation(u64::MAX),
            sent_us: u64::MAX,
            hold_us: u32::MAX,
        };
        Survey {
            role: SurveyRole::Done,
            sender: NodeTag::of("alpha"),
            receiver: NodeTag::of("beta"),
            life: Incarnation(7),
            sent_us: 1,
            wall_us: 2,
            digests: [1, 2, 3, u32::MAX],
            sending: 3,
            accepted: vec![1, 3, 8, 255],
            version: "0.1.0".to_owned(),
            heard: (0..8).map(heard).collect(),
            own_check: OwnCheck::Failed,
        }
    }

    #[test]
    fn it_comes_back_as_it_was_and_is_as_long_as_a_datagram_may_be() {
        let keys = keys(3, KEY);
        let full = survey();
        for role in [SurveyRole::Asks, SurveyRole::Done, SurveyRole::Daemon] {
            for survey in [
                Survey { role, ..full.clone() },
                Survey {
                    role,
                    accepted: vec![],
                    version: String::new(),
                    heard: vec![],
                    own_check: OwnCheck::Passed,
                    ..full.clone()
                },
            ] {
                let datagram = seal_survey(&survey, &keys, cluster());
                assert_eq!(datagram.len(), MAX_DATAGRAM);
                assert!(is_survey(&datagram));
                assert_eq!(open_survey(&datagram, &keys, cluster()), Ok(survey));
            }
        }
    }

    #[test]
    fn a_long_version_is_cut_between_characters() {
        let keys = keys(3, KEY);
        let survey = Survey { version: format!("{}ää", "x".repeat(31)), ..survey() };
        let opened = open_survey(&seal_survey(&survey, &keys, cluster()), &keys, cluster());
        assert_eq!(opened.unwrap().version, "x".repeat(31));
    }

    #[test]
    fn a_survey_is_no_heartbeat_and_a_heartbeat_no_survey() {
        let keys = keys(3, KEY);
        let datagram = seal_survey(&survey(), &keys, cluster());
        assert_eq!(wire::open(&datagram, &keys, cluster()).err(), Some(OpenError::Malformed));
        // Nor with the other's magic: it is signed with the rest.
        let mut disguised = datagram.clone();
        disguised[..4].copy_from_slice(&wire::MAGIC);
        assert_eq!(wire::open(&disguised, &keys, cluster()).err(), Some(OpenError::BadTag));
        let mut disguised = datagram;
        disguised[..4].copy_from_slice(&wire::MAGIC);
        assert_eq!(open_survey(&disguised, &keys, cluster()), Err(OpenError::Malformed));
    }

    #[test]
    fn what_is_wrong_with_one_is_told() {
        let good = seal_survey(&survey(), &keys(3, KEY), cluster());
        let open = |datagram: &[u8], keys: &Keys| open_survey(datagram, keys, cluster()).err();
        assert_eq!(open(&good, &keys(3, OTHER_KEY)), Some(OpenError::BadTag));
        assert_eq!(open(&good, &keys(4, KEY)), Some(OpenError::UnknownKey { id: 3 }));
        assert_eq!(
            open_survey(&good, &keys(3, KEY), ClusterTag::of("db")).err(),
            Some(OpenError::ForeignCluster)
        );
        assert_eq!(open(&good[1..], &keys(3, KEY)), Some(OpenError::Malformed));
        for place in [21, 62, 1199] {
            let mut bad = good.clone();
            bad[place] ^= 0x10;
            assert_eq!(open(&bad, &keys(3, KEY)), Some(OpenError::BadTag), "byte {place}");
        }
    }

    #[test]
    fn a_field_that_makes_no_sense_is_malformed_after_all() {
        let keys = keys(3, KEY);
        let good = seal_survey(&survey(), &keys, cluster());
        // role, life, length of the version, number of entries, own check
        for (range, value) in
            [(21..22, 3), (38..46, 0), (111..112, 33), (117..118, 9), (286..287, 2)]
        {
            let mut bad = good[..MAX_DATAGRAM - TAG_LEN].to_vec();
            bad[range.clone()].fill(value);
            sign(&mut bad, keys.sending_mac(cluster()));
            assert_eq!(open_survey(&bad, &keys, cluster()), Err(OpenError::Malformed), "{range:?}");
        }
    }
}
