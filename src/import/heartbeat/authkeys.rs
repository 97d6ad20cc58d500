//! `authkeys` of Heartbeat (authkeys(5)): `auth ID`, and `ID METHOD [KEY]`. No key is carried over: those of Heartbeat are
//! short, and sha1 and md5 have signed with them for years. What the file says is told without showing a key.

use crate::import::report::{FileId, Place, Report};

const KEY: &str =
    "no key is carried over: lubdub signs with sha256 and takes keys of 32 random bytes or more";

/// Tells what became of each line.
pub(super) fn read(text: &str, file: FileId, report: &mut Report) {
    for (index, line) in text.lines().enumerate() {
        let at = Place::new(file, index + 1);
        let words: Vec<&str> =
            line.split('#').next().unwrap_or_default().split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            ["auth", ids @ ..] => {
                report.not_needed(at, format!("auth {}", ids.join(" ")), "a fresh key signs");
            }
            [id, "crc", ..] if is_id(id) => report.not_converted(
                at,
                format!("{id} crc"),
                "crc proves nothing about who sent a message; every datagram of lubdub is signed",
            ),
            [id, method @ ("md5" | "sha1"), ..] if is_id(id) => {
                report.not_converted(at, format!("{id} {method} ..."), KEY);
            }
            [..] => report.not_converted(
                at,
                "a line of another shape",
                "Heartbeat has no such line, and would not start with it",
            ),
        }
    }
}

fn is_id(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}
