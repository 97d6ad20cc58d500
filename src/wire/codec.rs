//! From a heartbeat to an authenticated datagram and back. The tag is verified before anything is decoded beyond magic,
//! cluster and key id.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use thiserror::Error;

use super::header::{self, FIXED_LEN, Frame, Prefix, Unwritable};
use super::{Body, ClusterTag, Header, Heartbeat, KeyId, Keys, SURVEY_MAGIC, body};

/// Bytes of the largest datagram (its UDP payload): no link has to fragment it, nor a tunnel that the link goes through.
pub const MAX_DATAGRAM: usize = 1200;

/// Bytes of the smallest: a header without echoes, an empty body, the tag.
pub const MIN_DATAGRAM: usize = FIXED_LEN + TAG_LEN;

pub(super) const TAG_LEN: usize = 32;

/// Why a heartbeat cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealError {
    /// The sender put more into it than its pages allow.
    #[error(
        "a heartbeat is larger than {MAX_DATAGRAM} bytes: fewer groups, wishes or echoes have to go into one"
    )]
    TooLarge,
    /// It was read from a newer version of lubdub, which alone can write it.
    #[error("a body or guard record that this version cannot read cannot be sent either")]
    Unknown,
}

/// Why a datagram is refused. Everybody who can send to the port can cause the first three, and so can a peer of another
/// configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    /// Not a datagram of lubdub, or (after its tag was found right) a field that makes no sense.
    #[error("malformed: not a datagram of lubdub; see what else sends to this port")]
    Malformed,
    /// Of another cluster.
    #[error("of another cluster: give one of the two another name or another port")]
    ForeignCluster,
    /// Signed with a key id that this node does not have.
    #[error(
        "signed with key {id}, which this node does not have: copy authkeys of the sender to all nodes"
    )]
    UnknownKey {
        /// That id.
        id: u8,
    },
    /// The tag is wrong: forged, or signed with another key of the same id.
    #[error("the signature is wrong: it is forged, or authkeys differs between the nodes")]
    BadTag,
}

/// A datagram that is authentic and well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The key that signed it.
    pub key: KeyId,
    /// What it says.
    pub heartbeat: Heartbeat,
}

/// Lays, encodes and signs a heartbeat; `wall_us` takes the place of the header's own wall clock.
///
/// # Errors
/// If it does not fit into a datagram, or holds parts that only a newer version can write.
pub fn seal(
    heartbeat: &Heartbeat,
    wall_us: u64,
    keys: &Keys,
    cluster: ClusterTag,
) -> Result<Vec<u8>, SealError> {
    let report = match &heartbeat.body {
        Body::Known(report) => report,
        Body::Unknown { .. } => return Err(SealError::Unknown),
    };
    let body = body::write(report).ok_or(SealError::TooLarge)?;
    let header = Header { wall_us, ..heartbeat.header.clone() };
    let frame = Frame {
        prefix: Prefix { cluster, key: keys.sending_id().get() },
        body_version: body::VERSION,
        body_len: u16::try_from(body.len()).map_err(|_too_large| SealError::TooLarge)?,
    };
    let mut datagram = Vec::with_capacity(MAX_DATAGRAM);
    header::write(&header, frame, &mut datagram).map_err(|error| match error {
        Unwritable::TooMany => SealError::TooLarge,
        Unwritable::UnknownRecord => SealError::Unknown,
    })?;
    datagram.extend(body);
    sign(&mut datagram, keys.sending_mac(cluster));
    if datagram.len() > MAX_DATAGRAM {
        return Err(SealError::TooLarge);
    }
    Ok(datagram)
}

/// Verifies and decodes a datagram.
///
/// # Errors
/// If it is not a well-formed datagram of this cluster, signed with one of these keys.
pub fn open(datagram: &[u8], keys: &Keys, cluster: ClusterTag) -> Result<Opened, OpenError> {
    if datagram.len() < MIN_DATAGRAM || datagram.len() > MAX_DATAGRAM {
        return Err(OpenError::Malformed);
    }
    let prefix = Prefix::read(header::MAGIC, datagram).ok_or(OpenError::Malformed)?;
    let (key, signed) = verify(datagram, prefix, keys, cluster)?;
    let heartbeat = decode(signed).ok_or(OpenError::Malformed)?;
    Ok(Opened { key, heartbeat })
}

/// The key of a datagram's tag, and what the tag covers, if it is right.
pub(super) fn verify<'d>(
    datagram: &'d [u8],
    prefix: Prefix,
    keys: &Keys,
    cluster: ClusterTag,
) -> Result<(KeyId, &'d [u8]), OpenError> {
    if prefix.cluster != cluster {
        return Err(OpenError::ForeignCluster);
    }
    let (key, mac) =
        keys.mac(prefix.key, cluster).ok_or(OpenError::UnknownKey { id: prefix.key })?;
    let (signed, tag) = datagram.split_last_chunk::<TAG_LEN>().ok_or(OpenError::Malformed)?;
    mac.chain_update(signed).verify_slice(tag).map_err(|_mac_error| OpenError::BadTag)?;
    Ok((key, signed))
}

/// The cluster that a datagram names, if it looks like one of lubdub's. Anybody can have written that.
#[must_use]
pub fn cluster_of(datagram: &[u8]) -> Option<ClusterTag> {
    let heartbeat = || Prefix::read(header::MAGIC, datagram);
    let prefix = heartbeat().or_else(|| Prefix::read(SURVEY_MAGIC, datagram));
    prefix.map(|prefix| prefix.cluster)
}

pub(super) fn sign(datagram: &mut Vec<u8>, mac: Hmac<Sha256>) {
    let tag = mac.chain_update(&datagram).finalize().into_bytes();
    datagram.extend_from_slice(&tag);
}

fn decode(signed: &[u8]) -> Option<Heartbeat> {
    let (header, frame, rest) = header::read(signed)?;
    if rest.len() != usize::from(frame.body_len) {
        return None;
    }
    let body = match frame.body_version {
        body::VERSION => Body::Known(body::read(rest)?),
        version => Body::Unknown { version },
    };
    Some(Heartbeat { header, body })
}

#[cfg(test)]
mod tests;
