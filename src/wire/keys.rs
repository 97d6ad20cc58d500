//! The shared keys: the file `authkeys`, and what is derived from it. Key bytes leave this file only as keyed HMAC states.
//!
//! ```text
//! # comment
//! auth ID                   the key that this node signs with
//! ID sha256 KEY             ID 1 to 255, KEY at least 32 random bytes in hexadecimal or base64 (RFC 4648)
//! ```
//!
//! All keys are accepted, one signs: a new key goes into the file of every node first, then `auth` names it everywhere,
//! then the old one is taken out.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::num::NonZeroU8;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use thiserror::Error;

pub use self::edit::EditError;
use super::ClusterTag;

mod edit;

/// Names a key in the file and on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyId(NonZeroU8);

impl From<NonZeroU8> for KeyId {
    fn from(id: NonZeroU8) -> Self {
        Self(id)
    }
}

/// Not the id of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the id of a key is a number from 1 to 255")]
pub struct NoKeyId;

impl FromStr for KeyId {
    type Err = NoKeyId;

    fn from_str(text: &str) -> Result<Self, NoKeyId> {
        text.parse().map(Self).map_err(|_not_a_number| NoKeyId)
    }
}

impl KeyId {
    /// Its number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Shortest key, bytes: as many as the tag has.
const MIN_KEY: usize = 32;

/// Random bytes have more different values than this among the first 32, and among their differences: 15 or fewer come
/// up once in 10^15 keys. A word repeated, a row of numbers or a line of zeros has fewer.
const MIN_DISTINCT: usize = 16;

/// The only method.
const METHOD: &str = "sha256";

/// No authkeys file of any use is longer, bytes.
const MAX_FILE: u64 = 64 * 1024;

/// Why the text of authkeys is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeysError {
    /// A line of another shape.
    #[error(
        "line {line}: not a line of authkeys: write `auth ID`, or `ID sha256 KEY` with an ID from 1 to 255"
    )]
    Shape {
        /// From 1.
        line: usize,
    },
    /// Another method than sha256.
    #[error(
        "line {line}: key {id} has a method that is unknown or too weak: write `{id} sha256 KEY`; `lubdub keygen` makes one"
    )]
    Method {
        /// From 1.
        line: usize,
        /// Of which key. What stands in the method's place may be the key itself, so it is not told.
        id: KeyId,
    },
    /// Neither hexadecimal nor base64.
    #[error(
        "line {line}: the key is neither hexadecimal nor base64: `lubdub keygen` makes a good one"
    )]
    Encoding {
        /// From 1.
        line: usize,
    },
    /// Fewer than 32 bytes.
    #[error(
        "line {line}: the key has {bytes} bytes, at least {MIN_KEY} are needed: `lubdub keygen` makes a good one"
    )]
    Short {
        /// From 1.
        line: usize,
        /// How many.
        bytes: usize,
    },
    /// A pattern.
    #[error(
        "line {line}: the key is not random, it can be guessed: `lubdub keygen` makes a good one"
    )]
    Weak {
        /// From 1.
        line: usize,
    },
    /// Two lines for one thing.
    #[error("line {line}: {what} stands here a second time: take one of the two lines out")]
    Twice {
        /// From 1.
        line: usize,
        /// Of what.
        what: String,
    },
    /// No `auth` line.
    #[error("no line `auth ID` says which key this node signs with: add one")]
    NoAuth,
    /// The key to sign with is not there.
    #[error(
        "`auth {id}` names a key that is not in the file: add `{id} sha256 KEY`, or name another"
    )]
    NoSuchKey {
        /// That one.
        id: KeyId,
    },
}

/// Why a file cannot be used.
#[derive(Debug, Error)]
pub enum LoadError {
    /// It cannot be opened or read.
    #[error("{}: {source}; {}", path.display(), read_hint(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is a directory, a device or a pipe, or far too large.
    #[error("{}: not an authkeys file; `lubdub keygen` makes one", path.display())]
    NotKeys {
        /// The file.
        path: PathBuf,
    },
    /// Others than its owner may read or write it.
    #[error("{}: others may read or change it (mode {mode:04o}): chmod 600 {}", path.display(), path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("{}: it belongs to user {uid}, who can change it: chown root {}", path.display(), path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Its text is refused.
    #[error("{}: {source}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeysError,
    },
}

fn read_hint(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::PermissionDenied {
        "only its owner may read it, which is root as a rule: run this as root"
    } else {
        "`lubdub keygen` makes one, which belongs on every node"
    }
}

/// What one set of keys has otherwise than a former one. Names ids only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysChange {
    /// Accepted from now on.
    pub added: Vec<KeyId>,
    /// No longer accepted.
    pub dropped: Vec<KeyId>,
    /// Another key under the same id.
    pub replaced: Vec<KeyId>,
    /// The id that signed, and the one that signs now, where they differ.
    pub signs: Option<(KeyId, KeyId)>,
}

impl KeysChange {
    /// Whether both sets are the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// All keys of a file. Shows its ids, never its keys.
#[derive(Clone)]
pub struct Keys {
    sending_id: KeyId,
    sending: Secret,
    all: BTreeMap<KeyId, Secret>,
}

impl Keys {
    /// Reads a file. It must belong to this user or root, and be closed to everybody else.
    ///
    /// # Errors
    /// If it cannot be read, is open to others, or says something wrong.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let path = path.to_path_buf();
        let read_error = |source| LoadError::Read { path: path.clone(), source };
        let file = File::open(&path).map_err(read_error)?;
        let metadata = file.metadata().map_err(read_error)?;
        if !metadata.is_file() || metadata.len() > MAX_FILE {
            return Err(LoadError::NotKeys { path });
        }
        check_access(&path, metadata.mode(), metadata.uid(), nix::unistd::geteuid().as_raw())?;
        let mut text = String::new();
        file.take(MAX_FILE).read_to_string(&mut text).map_err(read_error)?;
        Self::parse(&text).map_err(|source| LoadError::Text { path, source })
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let mut auth = None;
        let mut all = BTreeMap::new();
        for (index, content) in text.lines().enumerate() {
            let line = index + 1;
            let content = content.split('#').next().unwrap_or_default();
            let words: Vec<&str> = content.split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                ["auth", id] => {
                    if auth.replace(parse_id(id, line)?).is_some() {
                        return Err(KeysError::Twice { line, what: "auth".to_owned() });
                    }
                }
                [id, METHOD, key] => {
                    let id = parse_id(id, line)?;
                    if all.insert(id, Secret::new(&parse_key(key, line)?)).is_some() {
                        return Err(KeysError::Twice { line, what: format!("key {id}") });
                    }
                }
                [id, method, ..] if parse_id(id, line).is_ok() && *method != METHOD => {
                    return Err(KeysError::Method { line, id: parse_id(id, line)? });
                }
                [..] => return Err(KeysError::Shape { line }),
            }
        }
        let sending_id = auth.ok_or(KeysError::NoAuth)?;
        let sending =
            all.get(&sending_id).cloned().ok_or(KeysError::NoSuchKey { id: sending_id })?;
        Ok(Self { sending_id, sending, all })
    }

    /// The text of a new file with one random key.
    ///
    /// # Errors
    /// If the kernel has no random numbers.
    pub fn generate() -> Result<String, getrandom::Error> {
        let key = random_key()?;
        Ok(format!(
            "# The shared keys of a lubdub cluster: the same file on every node, owned by root, mode 0600.\n\
             # `auth` names the key that signs; all keys are accepted.\n\
             auth 1\n\
             1 {METHOD} {key}\n"
        ))
    }

    /// What these keys have otherwise than former ones.
    #[must_use]
    pub fn change_from(&self, former: &Self) -> KeysChange {
        let only_in = |one: &Self, other: &Self| {
            one.ids().filter(|id| !other.all.contains_key(id)).collect::<Vec<_>>()
        };
        let replaced = |id: &KeyId| {
            let (old, new) = (former.all.get(id), self.all.get(id));
            old.zip(new).is_some_and(|(old, new)| !old.is_same(new))
        };
        let signs = (former.sending_id, self.sending_id);
        KeysChange {
            added: only_in(self, former),
            dropped: only_in(former, self),
            replaced: self.ids().filter(replaced).collect(),
            signs: (signs.0 != signs.1).then_some(signs),
        }
    }

    /// The key that signs.
    #[must_use]
    pub fn sending_id(&self) -> KeyId {
        self.sending_id
    }

    /// All keys that are accepted, in order.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.all.keys().copied()
    }

    /// What signs for this cluster.
    pub(super) fn sending_mac(&self, cluster: ClusterTag) -> Hmac<Sha256> {
        self.sending.mac(cluster)
    }

    /// What verifies a datagram of this cluster that names this key, and that key's id.
    pub(super) fn mac(&self, id: u8, cluster: ClusterTag) -> Option<(KeyId, Hmac<Sha256>)> {
        let id = NonZeroU8::new(id).map(KeyId)?;
        self.all.get(&id).map(|secret| (id, secret.mac(cluster)))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<u8> = self.all.keys().map(|id| id.get()).collect();
        f.debug_struct("Keys")
            .field("sends", &self.sending_id.get())
            .field("accepts", &ids)
            .finish()
    }
}

/// An HMAC state that has taken in a shared key and waits for a cluster.
#[derive(Clone)]
struct Secret(Hmac<Sha256>);

impl Secret {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104, section 2)")]
    fn new(key: &[u8]) -> Self {
        let state = Hmac::new_from_slice(key).expect("a key of any length");
        Self(state.chain_update(b"lubdub heartbeat "))
    }

    /// Whether both were made from the same key, whatever it was written as.
    fn is_same(&self, other: &Self) -> bool {
        self.0.clone().finalize() == other.0.clone().finalize()
    }

    /// A state keyed for one cluster, so that one shared key on two clusters is two keys.
    fn mac(&self, cluster: ClusterTag) -> Hmac<Sha256> {
        let derived = self.0.clone().chain_update(cluster.0).finalize().into_bytes();
        // HMAC fills a key up to the block with zeros (RFC 2104, section 2).
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        for (to, from) in block.iter_mut().zip(derived) {
            *to = from;
        }
        Hmac::new(&block)
    }
}

/// A new key as it is written.
fn random_key() -> Result<String, getrandom::Error> {
    let mut key = [0_u8; MIN_KEY];
    getrandom::fill(&mut key)?;
    Ok(key.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn check_access(path: &Path, mode: u32, owner: u32, me: u32) -> Result<(), LoadError> {
    let mode = mode & 0o7777;
    if mode & 0o077 != 0 {
        return Err(LoadError::Mode { path: path.to_path_buf(), mode });
    }
    if owner != 0 && owner != me {
        return Err(LoadError::Owner { path: path.to_path_buf(), uid: owner });
    }
    Ok(())
}

fn parse_id(word: &str, line: usize) -> Result<KeyId, KeysError> {
    word.parse().map_err(|_not_an_id| KeysError::Shape { line })
}

fn parse_key(word: &str, line: usize) -> Result<Vec<u8>, KeysError> {
    // A base64 text of 32 random bytes in which all letters happen to be hexadecimal comes up once in 10^20 keys.
    let key =
        decode_hex(word).or_else(|| decode_base64(word)).ok_or(KeysError::Encoding { line })?;
    if key.len() < MIN_KEY {
        return Err(KeysError::Short { line, bytes: key.len() });
    }
    if is_guessable(&key) {
        return Err(KeysError::Weak { line });
    }
    Ok(key)
}

fn is_guessable(key: &[u8]) -> bool {
    let distinct = |mut bytes: Vec<u8>| {
        bytes.sort_unstable();
        bytes.dedup();
        bytes.len()
    };
    let differences = key.iter().zip(key.iter().skip(1)).map(|(a, b)| b.wrapping_sub(*a)).collect();
    distinct(key.to_vec()) < MIN_DISTINCT || distinct(differences) < MIN_DISTINCT
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<Vec<u32>>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| u8::try_from(high << 4 | low).ok()).collect()
}

/// RFC 4648, section 4; the padding may be left out.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=');
    if text.len() - digits.len() > 2 || digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = ALPHABET.iter().position(|letter| *letter == digit)?;
        bits = (bits << 6 | u32::try_from(value).ok()?) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
