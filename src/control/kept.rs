//! The files in which a daemon keeps its history, for whoever wants to read it where no daemon answers.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::Record;

/// The files that the daemon keeps in its directory, oldest first.
const FILES: [&str; 2] = ["history.jsonl.1", "history.jsonl"];

/// What was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The newest records, oldest first.
    pub records: Vec<Record>,
    /// Files with lines that make no sense here, and how many. The last line may be torn, by a power cut.
    pub strange: Vec<(PathBuf, usize)>,
}

/// Why a history cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct KeptError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// The newest records in the files of a directory, at most so many; `None`: there are no files.
///
/// # Errors
///
/// A file is there and cannot be read.
pub fn kept(dir: &Path, limit: u32) -> Result<Option<Kept>, KeptError> {
    let mut found = None;
    for name in FILES {
        let path = dir.join(name);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(source) => return Err(KeptError { path, source }),
        };
        let kept = found.get_or_insert_with(|| Kept { records: Vec::new(), strange: Vec::new() });
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut strange = 0_usize;
        for line in lines {
            match serde_json::from_slice(line) {
                Ok(record) => kept.records.push(record),
                Err(_not_a_record) => strange += 1,
            }
        }
        if strange > 0 {
            kept.strange.push((path, strange));
        }
    }
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(found.map(|mut kept| {
        kept.records = kept.records.split_off(kept.records.len().saturating_sub(most));
        kept
    }))
}
