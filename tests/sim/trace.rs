//! What happened, as a story in virtual time. Lines are made only where somebody will read them: a sweep runs without,
//! and a seed that failed is run again with them, which gives the same run.

use std::collections::VecDeque;

use crate::time::Moment;

/// Lines kept for a failure's text.
pub const LAST_LINES: usize = 40;

/// How much of the story is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    None,
    /// The last lines.
    Last,
    /// All.
    All,
}

/// The story so far, and a digest of everything that happened, told or not.
#[derive(Debug)]
pub struct Trace {
    detail: Detail,
    lines: VecDeque<String>,
    digest: u64,
}

impl Trace {
    pub fn new(detail: Detail) -> Self {
        Self { detail, lines: VecDeque::new(), digest: 0xcbf2_9ce4_8422_2325 }
    }

    /// Tell something. `who`: a node's name, or the part of the world.
    pub fn tell(&mut self, now: Moment, who: &str, what: impl FnOnce() -> String) {
        match self.detail {
            Detail::None => return,
            Detail::Last if self.lines.len() == LAST_LINES => drop(self.lines.pop_front()),
            Detail::Last | Detail::All => {}
        }
        self.lines.push_back(format!("{now}  {who:<8} {}", what()));
    }

    /// Take a number into the digest (FNV-1a).
    pub fn mix(&mut self, value: u64) {
        for byte in value.to_le_bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub fn digest(&self) -> u64 {
        self.digest
    }

    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}
