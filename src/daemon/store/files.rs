//! The files: how they are read at start, and written.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::cluster::io::Memory;
use crate::control::Record;

/// A history file is put aside at this size: some thousand lines. One old file is kept.
const MAX_HISTORY: u64 = 1 << 20;

/// No state of ours is as large, bytes.
const MAX_STATE: u64 = 1 << 20;

/// The history may name users; it is for those who may read the control socket, and they are asked there.
const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o750;

pub(super) fn state_path(dir: &Path) -> PathBuf {
    dir.join("state.json")
}

pub(super) fn history_path(dir: &Path) -> PathBuf {
    dir.join("history.jsonl")
}

fn old_history_path(dir: &Path) -> PathBuf {
    dir.join("history.jsonl.1")
}

/// An error with its path: it is told far from here.
pub(super) fn at(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

pub(super) fn make_dir(dir: &Path, complaints: &mut Vec<String>) {
    if let Err(error) = DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir) {
        complaints
            .push(format!("{}; terms and history are not kept until it is there", at(dir, &error)));
    }
}

/// What was kept, or nothing. A file that makes no sense is put aside: terms grow with the wall clock, so that a node
/// which forgot them is no danger.
pub(super) fn read_state(dir: &Path, complaints: &mut Vec<String>) -> Memory {
    let path = state_path(dir);
    let bytes = match read_bounded(&path, MAX_STATE) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Memory::default(),
        Err(error) => {
            complaints
                .push(format!("{}; starting without former terms and wishes", at(&path, &error)));
            return Memory::default();
        }
    };
    serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        let aside = dir.join("state.json.corrupt");
        let kept = match fs::rename(&path, &aside) {
            Ok(()) => format!("kept as {}", aside.display()),
            Err(error) => format!("it cannot be put aside: {error}"),
        };
        complaints.push(format!(
            "{}: {error}; {kept}; standby, maintenance and moves have to be wished again",
            path.display()
        ));
        Memory::default()
    })
}

/// The newest records of both history files, oldest first. The last line may be torn, by a power cut.
pub(super) fn read_history(
    dir: &Path,
    most: usize,
    complaints: &mut Vec<String>,
) -> VecDeque<Record> {
    let mut bytes = Vec::new();
    for path in [old_history_path(dir), history_path(dir)] {
        match read_bounded(&path, MAX_HISTORY) {
            Ok(read) => bytes.extend(whole_lines(&read)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => complaints.push(at(&path, &error)),
        }
    }
    let lines: Vec<&[u8]> =
        bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let newest = lines.iter().skip(lines.len().saturating_sub(most));
    let parsed: Vec<_> = newest.map(|line| serde_json::from_slice(line)).collect();
    let strange = parsed.iter().filter(|record| record.is_err()).count();
    if strange > 0 {
        complaints.push(format!(
            "{}: lines that make no sense here are skipped: {strange}",
            history_path(dir).display()
        ));
    }
    parsed.into_iter().flatten().collect()
}

fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    if file.metadata()?.len() > most {
        return Err(io::Error::new(ErrorKind::FileTooLarge, "larger than we write it"));
    }
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Everything up to the last newline.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    bytes.get(..length).unwrap_or_default()
}

/// Replaces the state: whatever happens, the file holds the old or the new one as a whole (rename(2)).
pub(super) fn write_state(dir: &Path, memory: &Memory) -> io::Result<()> {
    let new = dir.join("state.json.new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&new)?;
    file.write_all(&serde_json::to_vec(memory)?)?;
    file.sync_all()?;
    fs::rename(&new, state_path(dir))?;
    File::open(dir)?.sync_all()
}

/// The history file, opened when it is needed and again after each error.
pub(super) struct History {
    dir: PathBuf,
    /// With its length.
    open: Option<(File, u64)>,
}

impl History {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), open: None }
    }

    /// Appends records, a line each: all of them, or after an error none. What a failed write leaves behind is cut off
    /// with the next one.
    pub(super) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, record)?;
            lines.push(b'\n');
        }
        let (mut file, mut length) = match self.open.take() {
            Some(open) => open,
            None => self.open()?,
        };
        let more = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        if length > 0 && length.saturating_add(more) > MAX_HISTORY {
            fs::rename(history_path(&self.dir), old_history_path(&self.dir))?;
            (file, length) = self.open()?;
        }
        if let Err(error) = file.write_all(&lines) {
            // Whole lines of it may have been written.
            file.set_len(length)?;
            return Err(error);
        }
        file.sync_data()?;
        self.open = Some((file, length.saturating_add(more)));
        Ok(())
    }

    /// Opens the file and cuts off a torn last line.
    fn open(&self) -> io::Result<(File, u64)> {
        let path = history_path(&self.dir);
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(FILE_MODE).open(&path)?;
        let length = file.metadata()?.len();
        if length > MAX_HISTORY {
            return Ok((file, length));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = u64::try_from(whole_lines(&bytes).len()).unwrap_or(length);
        if whole < length {
            file.set_len(whole)?;
        }
        Ok((file, whole))
    }
}
