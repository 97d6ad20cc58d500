//! What became of each line of the sources, and why a source could not be taken at all.

use std::fmt;

use serde::Serialize;

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It stands in cluster.toml.
    Converted,
    /// lubdub does without it, and nothing is lost.
    NotNeeded,
    /// lubdub has nothing for it; what is said tells the reason and what to do instead.
    NotConverted,
}

/// One line of a source, or a part of one, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Which of the named sources it belongs to, from 0.
    pub source: usize,
    /// The file, as it was named to us.
    pub file: String,
    /// The line, from 1; 0: the file as a whole.
    pub line: usize,
    /// The last line of it, where it is a block.
    pub last_line: usize,
    /// What stands there, without secrets.
    pub text: String,
    /// What became of it.
    pub verdict: Verdict,
    /// What stands for it now, or why nothing does.
    pub says: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.last_line > self.line {
            write!(f, "-{}", self.last_line)?;
        }
        let verdict = match self.verdict {
            Verdict::Converted => "->",
            Verdict::NotNeeded => "not needed:",
            Verdict::NotConverted => "NOT CONVERTED:",
        };
        write!(f, ": {} {verdict} {}", self.text, self.says)
    }
}

/// Something for which a source cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named to us.
    pub file: String,
    /// The line, from 1; `None`: the file as a whole.
    pub line: Option<usize>,
    /// What is wrong; what to do about it.
    pub text: String,
}

/// Everything for which nothing could be imported, printed one a line as compilers do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ImportErrors(pub Vec<Fault>);

impl fmt::Display for ImportErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match fault.line {
                Some(line) => write!(f, "{}:{line}: {}", fault.file, fault.text)?,
                None => write!(f, "{}: {}", fault.file, fault.text)?,
            }
        }
        Ok(())
    }
}

/// A file of a [`Report`]: its place in the order in which files were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(usize);

/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) file: FileId,
    /// From 1; 0: the file as a whole.
    pub(super) line: usize,
    /// The last line of a block, or the same one.
    pub(super) last: usize,
}

impl Place {
    /// One line.
    pub(super) fn new(file: FileId, line: usize) -> Self {
        Self { file, line, last: line }
    }
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// With the source that each belongs to.
    files: Vec<(String, usize)>,
    /// The one that is being read.
    source: usize,
    entries: Vec<(Place, Entry)>,
    faults: Vec<(Place, String)>,
}

impl Report {
    /// The files from here on belong to this source.
    pub(super) fn begin_source(&mut self, source: usize) {
        self.source = source;
    }

    /// A further file, under the name that the operator gave it.
    pub(super) fn file(&mut self, name: &str) -> FileId {
        self.files.push((name.to_owned(), self.source));
        FileId(self.files.len() - 1)
    }

    /// The name of a file.
    pub(super) fn name(&self, file: FileId) -> &str {
        self.files.get(file.0).map_or("", |(name, _)| name)
    }

    /// A place for people: `ha.cf:3`, with the last part of the path alone.
    pub(super) fn short(&self, at: Place) -> String {
        let name = self.name(at.file);
        format!("{}:{}", name.rsplit('/').next().unwrap_or(name), at.line)
    }

    pub(super) fn converted(
        &mut self,
        at: Place,
        text: impl Into<String>,
        says: impl Into<String>,
    ) {
        self.entry(at, Verdict::Converted, text.into(), says.into());
    }

    pub(super) fn not_needed(
        &mut self,
        at: Place,
        text: impl Into<String>,
        says: impl Into<String>,
    ) {
        self.entry(at, Verdict::NotNeeded, text.into(), says.into());
    }

    pub(super) fn not_converted(
        &mut self,
        at: Place,
        text: impl Into<String>,
        says: impl Into<String>,
    ) {
        self.entry(at, Verdict::NotConverted, text.into(), says.into());
    }

    pub(super) fn entry(&mut self, at: Place, verdict: Verdict, text: String, says: String) {
        let source = self.files.get(at.file.0).map_or(0, |(_, source)| *source);
        let entry = Entry {
            source,
            file: self.name(at.file).to_owned(),
            line: at.line,
            last_line: at.last,
            text,
            verdict,
            says,
        };
        self.entries.push((at, entry));
    }

    /// Something for which nothing can be imported.
    pub(super) fn fault(&mut self, at: Place, text: impl Into<String>) {
        self.faults.push((at, text.into()));
    }

    /// Something for which nothing can be imported, about a whole file or argument.
    pub(super) fn fault_of(&mut self, name: &str, text: impl Into<String>) {
        let file = self.file(name);
        self.fault(Place::new(file, 0), text);
    }

    pub(super) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// What was made, and what became of each line in the order of the sources. Nothing is made only where a fault was
    /// noted.
    pub(super) fn finish<T>(mut self, made: Option<T>) -> Result<(T, Vec<Entry>), ImportErrors> {
        if let Some(made) = made.filter(|_| !self.has_faults()) {
            self.entries.sort_by_key(|(at, _)| (at.file, at.line));
            return Ok((made, self.entries.into_iter().map(|(_, entry)| entry).collect()));
        }
        debug_assert!(self.has_faults(), "nothing was made, and nobody said why");
        self.faults.sort_by_key(|(at, _)| (at.file, at.line));
        let faults = self.faults.iter().map(|(at, text)| Fault {
            file: self.name(at.file).to_owned(),
            line: Some(at.line).filter(|line| *line > 0),
            text: text.clone(),
        });
        Err(ImportErrors(faults.collect()))
    }
}
