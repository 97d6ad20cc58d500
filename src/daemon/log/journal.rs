//! journald's native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>): a datagram an entry, a field a line, or,
//! where a value has more lines than one, its name, its length in 64 bits little-endian, and itself.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::entry::Entry;

/// What `journalctl -t` looks for.
const IDENTIFIER: &str = "lubdub";

/// The way to journald.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// # Errors
    /// Nobody listens there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // Sent to by name each time, so that a journald that was replaced is found again. Here it has to be there.
        UnixDatagram::unbound()?.connect(path)?;
        Ok(Self { socket, path: path.to_owned() })
    }

    /// Sends an entry. Waits where journald is slow: this is the log's own thread.
    ///
    /// # Errors
    /// Nobody took it.
    pub(super) fn send(&self, entry: &Entry) -> io::Result<()> {
        let send = |bytes: &[u8]| self.socket.send_to(bytes, &self.path).map(drop);
        let short = sentence(entry);
        let fields = entry.fields();
        let whole = fields.iter().fold(short.clone(), |mut bytes, (name, value)| {
            put(&mut bytes, &field_name(name), value);
            bytes
        });
        match send(&whole) {
            // Parts of it are larger than a datagram may be: the sentence is what counts.
            Err(error) if error.raw_os_error() == Some(Errno::EMSGSIZE as i32) => send(&short),
            result => result,
        }
    }
}

/// The fields that every program has.
fn sentence(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, "MESSAGE", &entry.message());
    put(&mut bytes, "PRIORITY", &entry.priority().to_string());
    put(&mut bytes, "SYSLOG_IDENTIFIER", IDENTIFIER);
    bytes
}

/// Ours are of small letters, digits and underscores, and begin with a letter.
fn field_name(name: &str) -> String {
    name.to_ascii_uppercase()
}

fn put(bytes: &mut Vec<u8>, name: &str, value: &str) {
    bytes.extend(name.as_bytes());
    if value.contains('\n') {
        bytes.push(b'\n');
        bytes.extend(u64::try_from(value.len()).unwrap_or(u64::MAX).to_le_bytes());
    } else {
        bytes.push(b'=');
    }
    bytes.extend(value.as_bytes());
    bytes.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use socket2::SockRef;

    use super::super::entry::tests::{failed, lost};
    use super::*;
    use crate::daemon::clock::Clock;

    /// Reads an entry as journald does.
    fn received(journald: &UnixDatagram) -> BTreeMap<String, String> {
        let mut buffer = vec![0; 1 << 20];
        let length = journald.recv(&mut buffer).unwrap();
        let mut rest = &buffer[..length];
        let mut fields = BTreeMap::new();
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
            let line = std::str::from_utf8(&rest[..end]).unwrap();
            rest = &rest[end + 1..];
            let (name, value) = line.split_once('=').unwrap_or_else(|| {
                let (size, after) = rest.split_first_chunk::<8>().unwrap();
                let size = usize::try_from(u64::from_le_bytes(*size)).unwrap();
                let value = std::str::from_utf8(&after[..size]).unwrap();
                assert_eq!(after[size], b'\n');
                rest = &after[size + 1..];
                (line, value)
            });
            let legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            assert!(name.chars().all(legal) && name.starts_with(char::is_alphabetic), "{name}");
            assert_eq!(fields.insert(name.to_owned(), value.to_owned()), None, "{name} twice");
        }
        fields
    }

    #[test]
    fn an_entry_has_its_parts_as_fields() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::open(&path).unwrap();
        journal.send(&lost()).unwrap();
        let entry = received(&journald);
        for (name, value) in [
            ("MESSAGE", "silence 500 ms > deadtime 500 ms: alpha is lost"),
            ("PRIORITY", "4"),
            ("SYSLOG_IDENTIFIER", "lubdub"),
            ("EVENT", "peer_lost"),
            ("PEER", "alpha"),
            ("SILENCE_MS", "500"),
        ] {
            assert_eq!(entry[name], value);
        }
        journal.send(&failed("one\ntwo=2\n\nthree")).unwrap();
        let entry = received(&journald);
        assert!(entry["MESSAGE"].contains("one\ntwo=2\n\nthree"), "{entry:?}");
        assert_eq!((entry["GROUP"].as_str(), entry["RESOURCE"].as_str()), ("web", "nginx"));
    }

    /// A process that another test is about to start has the socket too, until it is on its way.
    fn nobody_listens(reach: impl Fn() -> io::Result<()>) {
        let clock = Clock::start();
        let deadline = clock.now() + Duration::from_secs(20);
        while reach().is_ok() {
            assert!(clock.now() < deadline, "somebody still listens");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_journald_that_was_replaced_is_found_again_and_one_that_is_gone_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        assert!(Journal::open(&path).is_err());
        drop(UnixDatagram::bind(&path).unwrap());
        nobody_listens(|| Journal::open(&path).map(drop));
        std::fs::remove_file(&path).unwrap();
        let first = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::open(&path).unwrap();
        drop(first);
        nobody_listens(|| journal.send(&lost()));
        std::fs::remove_file(&path).unwrap();
        let second = UnixDatagram::bind(&path).unwrap();
        journal.send(&lost()).unwrap();
        assert_eq!(received(&second)["EVENT"], "peer_lost");
    }

    #[test]
    fn what_is_too_large_keeps_its_sentence() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::open(&path).unwrap();
        // The kernel doubles it. With the outcome once more as a field the entry does not fit.
        SockRef::from(&journal.socket).set_send_buffer_size(50_000).unwrap();
        journal.send(&failed(&"x".repeat(60_000))).unwrap();
        let entry = received(&journald);
        assert_eq!(entry.keys().collect::<Vec<_>>(), ["MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER"]);
    }
}
