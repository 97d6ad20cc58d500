//! Body version 1, in bincode 2 (`config::standard()`: little-endian, integers of variable length). The only file that
//! names bincode. The order of fields and the numbers of variants below are the format: another order is another
//! version.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::de::{Decode, Decoder};
use bincode::enc::{Encode, Encoder};
use bincode::error::{DecodeError, EncodeError};

use super::codec::MAX_DATAGRAM;
use super::{
    Ability, GroupReport, GroupTag, Mac, NodeTag, Phase, Report, Run, Term, Wish, WishSubject,
};

/// The version that this program speaks.
pub(super) const VERSION: u16 = 1;

/// What a decoded body may take up in memory: far more than a datagram can ask for honestly.
const MEMORY_LIMIT: usize = 16 * 1024;

const CONFIG: Configuration<LittleEndian, Varint, Limit<MEMORY_LIMIT>> =
    bincode::config::standard().with_limit::<MEMORY_LIMIT>();

/// `None`: larger than any datagram.
pub(super) fn write(report: &Report) -> Option<Vec<u8>> {
    let mut bytes = vec![0; MAX_DATAGRAM];
    let len = bincode::encode_into_slice(report, &mut bytes, CONFIG).ok()?;
    bytes.truncate(len);
    Some(bytes)
}

/// `None`: not a body of this version, or bytes left over.
pub(super) fn read(bytes: &[u8]) -> Option<Report> {
    let (report, len) = bincode::decode_from_slice(bytes, CONFIG).ok()?;
    (len == bytes.len()).then_some(report)
}

macro_rules! fields {
    ($($name:ident { $($field:tt),+ })+) => {$(
        impl Encode for $name {
            fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
                $(self.$field.encode(encoder)?;)+
                Ok(())
            }
        }

        impl<Context> Decode<Context> for $name {
            fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
                Ok(Self { $($field: Decode::decode(decoder)?),+ })
            }
        }
    )+};
}

fields! {
    Report { phase, digests, macs, groups, wishes }
    GroupReport { group, run, term, highest, consent, ability }
    Wish { subject, stamp, author }
    GroupTag { 0 }
    NodeTag { 0 }
    Term { 0 }
    Mac { 0 }
}

macro_rules! numbers {
    ($($name:ident { $($variant:ident = $number:literal),+ })+) => {$(
        impl Encode for $name {
            fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
                let number: u8 = match self {
                    $(Self::$variant => $number),+
                };
                number.encode(encoder)
            }
        }

        impl<Context> Decode<Context> for $name {
            fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
                match u8::decode(decoder)? {
                    $($number => Ok(Self::$variant),)+
                    _ => Err(DecodeError::Other(concat!("no such ", stringify!($name)))),
                }
            }
        }
    )+};
}

numbers! {
    Phase { Starting = 0, Active = 1, Leaving = 2 }
    Run { Unknown = 0, Stopped = 1, Claiming = 2, Starting = 3, Started = 4, Stopping = 5, Blocked = 6 }
    Ability { Able = 0, Failed = 1, Unfit = 2, Excluded = 3, NoAgent = 4 }
}

const STANDBY: u8 = 0;
const LOCATION: u8 = 1;
const MAINTENANCE: u8 = 2;

impl Encode for WishSubject {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        match self {
            Self::Standby { node, standby } => (STANDBY, *node, *standby).encode(encoder),
            Self::Location { group, node } => (LOCATION, *group, *node).encode(encoder),
            Self::Maintenance { on } => (MAINTENANCE, *on).encode(encoder),
        }
    }
}

impl<Context> Decode<Context> for WishSubject {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        match u8::decode(decoder)? {
            STANDBY => Ok(Self::Standby {
                node: Decode::decode(decoder)?,
                standby: Decode::decode(decoder)?,
            }),
            LOCATION => Ok(Self::Location {
                group: Decode::decode(decoder)?,
                node: Decode::decode(decoder)?,
            }),
            MAINTENANCE => Ok(Self::Maintenance { on: Decode::decode(decoder)? }),
            _ => Err(DecodeError::Other("no such WishSubject")),
        }
    }
}
